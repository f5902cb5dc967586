"""What the article says of its searches, measured with its settings and with ours; see `digits.article`."""

import numpy as np
from assess import Evaluations
from landscapes import domain, in_two, models
from runs import run_seeds
from tables import write

from digits.measures import median_and_spread
from digits.objectives import nll_all_targets
from latent_search import create_grid, top
from networks.prediction import predict

methods = "GPyOpt, article's settings", 'ours'


def of_search(points, values, target, minimum):
    """What the article's claims are about, in one search.

    Args:
        points: the evaluated ones, (n, 2).
        values: theirs, (n,), nats.
        target: what is searched for.
        minimum: where the objective is lowest, (2,).

    Returns:
        Of the ten best the shares that the classifier (probability above 0.5) and the judge read as the target, and
        how much the objective rises among them, nats; the share of all evaluations within 1 of the minimum.
    """
    best, best_values = top(Evaluations(points, values, domain), 10, distance=0)
    images = predict(models()[in_two]['decoder'], best, '')
    return (np.mean(predict(models()[in_two]['reader'], best, '')[:, target] > 0.5),
            np.mean(predict(models()['judge'], images, '').argmax(axis=1) == target),
            np.ptp(best_values), np.mean(np.linalg.norm(points - minimum, axis=1) < 1))


def measure_claims(num_seeds, n_jobs):
    """Ten targets × seeds with each of the two settings; most of these searches are there from the part `searches`."""
    _, _, t = create_grid(domain, points=401)
    minima = t[nll_all_targets(models()[in_two]['reader'], t).argmin(axis=0)]
    found = run_seeds(dict.fromkeys(methods, num_seeds), n_jobs)
    rows = []
    for name in methods:
        classifier, judge, rises, near = np.array([
            [of_search(points, values, target, minima[target])
             for target, (points, values) in enumerate(zip(of_seed['points'], of_seed['values'], strict=True))]
            for of_seed in found[name]]).transpose(2, 0, 1)
        # The highest rise has rank 1.
        ranks = (-rises).argsort(axis=1).argsort(axis=1) + 1
        rows.append([name, 10 * num_seeds, *(median_and_spread(100 * share.mean(axis=1), 0)
                                             for share in (classifier, judge, near)),
                     median_and_spread(100 * near[:, 4], 0), *(median_and_spread(rise, 2) for rise in rises.T),
                     f'{(ranks[:, [3, 5]].max(axis=1) == 2).sum()} of {num_seeds}',
                     *(f'{rank:.1f}' for rank in ranks[:, [3, 5]].mean(axis=0))])
    write('claims', ['search', 'searches', 'ten best read as the target by the classifier, %', '… by the judge, %',
                     'evaluations within 1 of the minimum, %', '… of the minimum for 4, %',
                     *(f'rise among the ten best for {target}, nats' for target in range(10)),
                     'seeds where it rises most for 3 and 5', 'mean rank of 3', 'mean rank of 5'], rows)
