"""The statements and figures of the article as data, beside the measurements made here."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from latent_search.points import check_points


class Statement(NamedTuple):
    """A sentence of the article.

    Attributes:
        sentence: what the article says.
        measured: a template for `str.format` that says what was measured for it; see `measured_numbers`.
        holds: a function of these numbers that tells whether they support the sentence.
    """

    sentence: str
    measured: str
    holds: Callable[[SimpleNamespace], bool]


statements = (
    Statement('Labels overlap less with a predictor',
              '{knn[without predictor]:.1%} → {knn[with classifier]:.1%} (classifier), {knn[with regressor]:.1%} '
              '(regressor) 10-nearest-neighbour accuracy',
              lambda m: min(m.knn['with classifier'], m.knn['with regressor']) > m.knn['without predictor']),
    Statement('A regressor establishes a gradient of the value',
              'R² {r2[with regressor]:.2f}, against {r2[without predictor]:.2f} without predictor and '
              '{r2[with classifier]:.2f} with classifier',
              lambda m: m.r2['with regressor'] > max(m.r2['without predictor'], m.r2['with classifier'])),
    Statement('Without predictor, latent space is already organised enough to navigate',
              '{knn[without predictor]:.1%} 10-nearest-neighbour accuracy (chance: 10%)',
              lambda m: m.knn['without predictor'] > 0.5),
    Statement('The small classifier reaches 99.2%', '{accuracy[classifier]:.2%}',
              lambda m: m.accuracy['classifier'] >= 0.9915),
    Statement('Minima of the first objective lie inside the regions of their labels', '{first[inside]} of 10',
              lambda m: m.first['inside'] == 10),
    Statement('Minima of the second objective closely match those of the first',
              '{apart_median:.2f} apart in the median, {apart_most:.2f} at most; the box is 8 wide',
              lambda m: m.apart_median < 0.5),
    Statement('The second objective is more fuzzy: moderately low also outside of the region of its label',
              '{second[moderately_low_outside]:.1%} of the box, against {first[moderately_low_outside]:.1%} for the '
              'first',
              lambda m: m.second['moderately_low_outside'] > m.first['moderately_low_outside']),
    Statement('… and in sparsely populated places',
              '{second[moderately_low_sparse]:.1%} of the box, against {first[moderately_low_sparse]:.1%} for the '
              'first',
              lambda m: m.second['moderately_low_sparse'] > m.first['moderately_low_sparse']),
    Statement('Most samples lie around the minimum for 4',
              "{near.evaluations:.0%} within 1 of it, with the article's settings",
              lambda m: m.near.evaluations > 0.5),
    Statement('EI is high around the minimum for 4 and also elsewhere',
              '{near.highest_ei:.0%} of the hundredth of the box with the highest EI is within 1 of it (of the box: '
              '{near.box:.0%})',
              lambda m: m.near.box < m.near.highest_ei < 1),
    Statement('The ten best decode to their target',
              '{by_classifier:.0%} by the classifier, {by_judge:.0%} by the judge, over ten targets',
              lambda m: min(m.by_classifier, m.by_judge) > 0.9),
    Statement('The objective rises most among the ten best for 3 and 5',
              '{rises[3]:.2f} and {rises[5]:.2f} nats, others {others_median:.2f} in the median and {others_most:.2f} '
              'at most',
              lambda m: min(m.rises[3], m.rises[5]) > m.others_most),
)


def measured_numbers(*, knn, r2, accuracy, first, second, near, found):
    """The numbers that the statements are about.

    Args:
        knn: a dict from names of latent spaces to their nearest-neighbour accuracy.
        r2: a dict from the same names to the R² of a linear fit of the digit's value.
        accuracy: a dict with the accuracy of the `classifier`.
        first: what `objectives.assess_objective` returns for the first objective.
        second: the same for the second.
        near: the shares `evaluations`, `highest_ei` and `box` near the minimum for 4.
        found: a dict from all ten targets to their ten best points: `values`, (m,), nats; `classifier`, its
            probabilities of the target, (m,); `read`, what the judge reads, (m,).
    """
    apart = np.linalg.norm(first['minima'] - second['minima'], axis=1)
    rises = {target: np.ptp(of_target['values']) for target, of_target in found.items()}
    others = [rise for target, rise in rises.items() if target not in (3, 5)]
    return SimpleNamespace(
        knn=knn, r2=r2, accuracy=accuracy, first=first, second=second, near=near, rises=rises,
        apart_median=np.median(apart), apart_most=apart.max(), others_median=np.median(others),
        others_most=max(others), by_classifier=np.mean([of_target['classifier'] > 0.5 for of_target in found.values()]),
        by_judge=np.mean([of_target['read'] == target for target, of_target in found.items()]))


def statements_table(**measured):
    """Header and rows of a table: each statement, what was measured for it, and whether that supports it.

    Args:
        measured: the arguments of `measured_numbers`.
    """
    numbers = measured_numbers(**measured)
    return ['the article', 'here', 'borne out'], [
        [sentence, template.format(**vars(numbers)), 'yes' if holds(numbers) else '**no**']
        for sentence, template, holds in statements]


class SharesNear(NamedTuple):
    """Which shares lie near a point, from 0 to 1; see `shares_near`."""

    evaluations: float
    highest_ei: float
    box: float


def shares_near(center, X, grid, ei, radius=1.0):  # noqa: N803 (GPyOpt's name)
    """Shares of evaluations, of the hundredth of the box with the highest expected improvement, and of the box near a
    point.

    Args:
        center: the point, (d,).
        X: the evaluated points, (n, d).
        grid: points that fill the box evenly, (m, d), m ≥ 100.
        ei: expected improvement at these points, (m,) or (m, 1).
        radius: what counts as near, in units of the box.

    Raises:
        ValueError: the grid has fewer than 100 points, or `ei` is not one number for each.
    """
    grid, ei = check_points(grid), np.ravel(ei)
    if len(grid) < 100 or ei.shape != (len(grid),):
        raise ValueError(f'shares_near needs a grid of 100 points or more and one value for each, got {len(grid)} '
                         f'points and {len(ei)} values.')
    near, box = (np.linalg.norm(points - np.asarray(center), axis=1) < radius
                 for points in (check_points(X, grid.shape[1]), grid))
    highest = np.argsort(-ei)[:len(grid) // 100]
    return SharesNear(float(near.mean()), float(box[highest].mean()), float(box.mean()))
