"""Measures what a prediction is worth: the article's searches, of which the joint predictor's objective is a guess.

`make bench` runs this after the others. All know the prior as lower bound. The objective decodes a point and reads the
image with the classifier; the predictions are the objective by the joint predictor, the same negated, and random waves.
Searches that an interrupted run has finished, in build/bench, are read back. The table is printed, written to
benchmarks/results/prediction.csv, and from there into the pages.
"""

import argparse

import numpy as np
from assess import spread_of
from joblib import Parallel, delayed
from kept import kept, search_name
from landscapes import budget, domain, in_two, minima_of, objective_for
from tables import update_pages, write
from threadpoolctl import threadpool_limits

from digits.objectives import create_nll, nll_prior
from latent_search import create_optimizer
from vae_opt_util import load_pretrained


def predictor_for(target):
    return create_nll(load_pretrained(in_two).get_layer('predictor'), target)


def negated_for(target):
    predicted = predictor_for(target)
    return lambda t: -predicted(t)


def waves_for(target):
    """Ten on average, and smooth; about as steep as the objective."""
    rng = np.random.default_rng(target)
    directions, phases, heights = rng.normal(size=(2, 40)), rng.uniform(0, 2 * np.pi, 40), rng.normal(size=(40, 1))
    return lambda t: 10 + np.cos(1.5 * t @ directions + phases) @ heights


predictions = {'none': lambda target: None, 'the joint predictor': predictor_for, 'the same, negated': negated_for,
               'random waves': waves_for}


def search(prediction, target, seed):
    """Values (budget,) of one search."""
    found = create_optimizer(objective_for(target), domain, seed, lower_bound=nll_prior,
                             prediction=predictions[prediction](target))
    with threadpool_limits(1):
        while len(found.X) < budget:
            found.step()
    return found.Y[:, 0]


def regrets(prediction, seed, n_jobs):
    """The regret after each evaluation, (10, budget)."""
    values = kept(search_name('prediction', f'ours, {prediction}', seed), lambda: {'values': Parallel(n_jobs)(
        delayed(search)(prediction, target, seed) for target in range(10))})['values']
    return np.minimum.accumulate(values, axis=1) - minima_of(in_two)[:, np.newaxis]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=20)
    parser.add_argument('--jobs', type=int, default=2, help='searches at once')
    arguments = parser.parse_args()

    rows = []
    for prediction in predictions:
        found = np.vstack([regrets(prediction, seed, arguments.jobs) for seed in range(arguments.seeds)])
        needed = (np.c_[found, np.zeros(len(found))] < 0.1).argmax(axis=1) + 1
        rows.append([prediction, *(f'> {budget}' if number > budget else f'{number:g}' for number in (
            np.median(needed), np.quantile(needed, 0.9))), *spread_of(found[:, -1])])
    write('prediction', ['prediction', 'evaluations to 0.1 nats, median', '90th percentile', 'searches',
                         'regret, median', 'regret, 90th percentile', 'regret, worst'], rows)
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too.
    import prediction

    prediction.main()
