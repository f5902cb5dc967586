"""Measures of searches: where their evaluations lie, and how soon they come close to the minimum."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latent_search.points import Array, check_points

TableCells = tuple[list[str], list[list[str]]]


class SharesNear(NamedTuple):
    """Which shares lie near a point, from 0 to 1; see `shares_near`."""

    evaluations: float
    highest_ei: float
    box: float


def shares_near(center: ArrayLike, X: ArrayLike, grid: ArrayLike, ei: ArrayLike,  # noqa: N803 (GPyOpt's name)
                radius: float = 1.0) -> SharesNear:
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


def shares_table(title: str, shares: Mapping[str, SharesNear]) -> TableCells:
    """Header and rows of a table: what share is near a point, for each search.

    Args:
        title: of the first column.
        shares: a dict from names of searches to what `shares_near` returns.
    """
    names = ('evaluations', 'the hundredth of the box with the highest EI', 'the box itself')
    return [title, *shares], [[name, *(f'{of_search[i]:.0%}' for of_search in shares.values())]
                              for i, name in enumerate(names)]


def median_regret(regrets: ArrayLike, seed: int = 0) -> Array:
    """The median of searches' regret after each evaluation, and its 95% interval, as `plot_regret` draws them.

    The interval is a bootstrap's: between these quantiles lie the medians of 1,000 sets of as many searches, drawn with
    replacement.

    Args:
        regrets: for each search the best value so far minus the minimum, (m, n).
        seed: of the draws.

    Returns:
        Lower end, median and upper end, float64 (n, 3).
    """
    regrets = np.asarray(regrets, dtype='float64')
    drawn = np.random.default_rng(seed).integers(len(regrets), size=(1000, len(regrets)))
    medians = np.array([np.median(regrets[of_set], axis=0) for of_set in drawn])
    low, high = np.quantile(medians, (0.025, 0.975), axis=0)
    return np.array([low, np.median(regrets, axis=0), high]).T


def evaluations_within(regrets: ArrayLike, tolerance: float) -> NDArray[np.intp]:
    """How many evaluations each search takes until its regret is below a tolerance.

    Args:
        regrets: for each search the best value so far minus the minimum, (m, n).
        tolerance: in units of the objective.

    Returns:
        Integers (m,) from 1 to n, or n + 1 where the regret is never below.
    """
    regrets = np.asarray(regrets, dtype='float64')
    return (np.c_[regrets, np.full(len(regrets), -np.inf)] < tolerance).argmax(axis=1) + 1


def evaluations_table(title: str, regrets: Mapping[str, ArrayLike], tolerance: float, unit: str = 'nats') -> TableCells:
    """Header and rows of a table: how many evaluations ways of searching need to come close to the minimum.

    Args:
        title: of the first column.
        regrets: a dict from names of ways to the regrets of their searches, (m, n).
        tolerance: what counts as close.
        unit: of the objective.
    """
    rows = []
    for name, of_name in regrets.items():
        needed, budget = np.median(evaluations_within(of_name, tolerance)), np.shape(of_name)[1]
        rows.append([name, f'{needed:g}' if needed <= budget else f'> {budget}'])
    return [title, f'evaluations to within {tolerance:g} {unit} of the minimum (median)'], rows
