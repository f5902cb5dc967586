"""Grids, the best distinct points, and variations of points."""

import numpy as np
import pytest
from helpers import SQUARE, quadratic, run
from scipy.spatial.distance import cdist
from scipy.stats import kstest

from latent_search import create_grid, create_optimizer, sample_around, spaced_best, top


def test_grid():
    gx, gy, t = create_grid([(-1, 1), (0, 2)], points=5)

    assert gx.shape == gy.shape == (5, 5) and t.shape == (25, 2)
    np.testing.assert_array_equal(t[7], [gx.flat[7], gy.flat[7]])
    np.testing.assert_array_equal(t.min(axis=0), [-1, 0])
    np.testing.assert_array_equal(t.max(axis=0), [1, 2])


def test_grid_in_one_dimension_and_in_three():
    gx, t = create_grid([(-1, 1)], points=5)
    *coordinates, in_three = create_grid([(0, 1), (0, 2), (0, 3)], points=4)

    np.testing.assert_array_equal(t, gx[:, np.newaxis])
    np.testing.assert_array_equal(gx, [-1, -0.5, 0, 0.5, 1])
    assert [coordinate.shape for coordinate in coordinates] == [(4, 4, 4)] * 3
    np.testing.assert_array_equal(in_three.T, [coordinate.ravel() for coordinate in coordinates])
    np.testing.assert_array_equal(in_three.max(axis=0), [1, 2, 3])


def test_top():
    search = run(max_iter=6)

    points, values = top(search, num=3, distance=0)
    distinct, distinct_values = top(search, num=3, distance=0.1)

    np.testing.assert_array_equal(values[:, 0], np.sort(search.Y[:, 0])[:3])
    np.testing.assert_allclose(quadratic(points), values)
    np.testing.assert_allclose(quadratic(distinct), distinct_values)
    assert distinct_values[0] == values[0] and (distinct_values >= values).all()
    assert np.linalg.norm(np.diff(distinct, axis=0), axis=1).min() >= 0.8
    assert len(top(search, num=20, distance=0)[0]) == 12
    with pytest.raises(ValueError, match='num must be an integer of at least 1'):
        top(search, num=0)
    with pytest.raises(ValueError, match='no evaluations. Call run_optimization'):
        top(create_optimizer(quadratic, SQUARE))


def greedy(points, values, num, spacing):
    """Takes the lowest value and removes all points that are too close to it, again and again."""
    left, chosen = list(range(len(points))), []
    while left and len(chosen) < num:
        best = min(left, key=lambda i: (values[i], i))
        chosen.append(best)
        left = [i for i in left if i != best and np.linalg.norm(points[i] - points[best]) >= spacing]
    return chosen


@pytest.mark.parametrize('num', [1, 10, 1000])
@pytest.mark.parametrize('d', [1, 3])
def test_spaced_best_is_greedy(num, d, rng):
    # Values of few digits, so that there are ties.
    points, values = rng.uniform(size=(200, d)), rng.uniform(size=200).round(1)

    chosen = spaced_best(points, values, num, 0.1)

    np.testing.assert_array_equal(chosen, greedy(points, values, num, 0.1))
    distances = cdist(points[chosen], points[chosen]) + np.eye(len(chosen))
    assert distances.min() >= 0.1
    assert (np.diff(values[chosen]) >= 0).all()


def test_spaced_best_of_few():
    points = np.array([[0.0, 0.0], [0.0, 0.05], [0.0, 0.5], [0.0, 1.0]])

    np.testing.assert_array_equal(spaced_best(points, np.array([2.0, 1.0, 3.0, 3.0]), 10, 0.1), [1, 2, 3])
    np.testing.assert_array_equal(spaced_best(points, np.ones(4), 10, 0.1), [0, 2, 3])
    # A distance that is exactly the spacing is enough, and with no spacing all are.
    np.testing.assert_array_equal(spaced_best(points, np.arange(4.0), 10, 0.5), [0, 2, 3])
    np.testing.assert_array_equal(spaced_best(points, np.arange(4.0), 10, 0.0), [0, 1, 2, 3])


@pytest.mark.parametrize('d', [1, 2, 10])
def test_samples_are_uniform_in_the_balls(d):
    centres = np.array([[0.0], [100.0], [-50.0]]) * np.ones(d)

    sampled = sample_around(centres, 2.5, 3000, seed=1)

    offsets = sampled[:, np.newaxis] - centres
    distances = np.linalg.norm(offsets, axis=2)
    assert sampled.shape == (3000, d) and distances.min(axis=1).max() <= 2.5
    nearest = distances.argmin(axis=1)
    assert np.bincount(nearest, minlength=3).min() > 850
    offsets = offsets[np.arange(3000), nearest] / 2.5
    assert kstest(np.linalg.norm(offsets, axis=1) ** d, 'uniform').pvalue > 0.001
    assert np.abs(offsets.mean(axis=0)).max() < 0.06
    assert (np.linalg.norm(offsets, axis=1) < 0.5 ** (1 / d)).mean() == pytest.approx(0.5, abs=0.04)
    np.testing.assert_array_equal(sample_around(centres, 2.5, 3000, seed=1), sampled)
    assert not np.allclose(sample_around(centres, 2.5, 3000, seed=2), sampled)


@pytest.mark.parametrize('points, radius, num, message', [
    ([[0, 0]], '1', 3, 'radius must be a positive number'), ([[0, 0]], None, 3, 'radius must be a positive number'),
    ([[]], 1, 3, r'shape \(n, d\)'),
    ([[0.0, 0.0]], 0, 5, 'radius must be a positive number, got 0'), ([[0.0, 0.0]], np.nan, 5, 'radius must be'),
    ([[0.0, 0.0]], np.inf, 5, 'radius must be'), ([[0.0, 0.0]], 1, 0, 'num must be an integer of at least 1'),
    ([0.0, 0.0], 1, 5, 'Points must be numbers'), ([[np.nan]], 1, 5, 'Points must be finite')])
def test_bad_samples(points, radius, num, message):
    with pytest.raises(ValueError, match=message):
        sample_around(points, radius, num)
