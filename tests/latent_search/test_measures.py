import numpy as np
import pytest

from latent_search.measures import (
    SharesNear,
    evaluations_table,
    evaluations_within,
    median_regret,
    shares_near,
    shares_table,
)
from latent_search.points import create_grid


def test_shares_near():
    _, _, grid = create_grid([(-4, 4)] * 2, points=81)
    ei = -np.linalg.norm(grid - [3.0, 3.0], axis=1)  # Highest around (3, 3).
    evaluated = np.array([[3.0, 3.0], [3.0, 3.9], [3.0, 1.9], [0.0, 0.0]])

    near = shares_near([3.0, 3.0], evaluated, grid, ei[:, np.newaxis])
    elsewhere = shares_near([-3.0, 0.0], evaluated, grid, ei)
    wider = shares_near([3.0, 3.0], evaluated, grid, ei, radius=1.2)

    assert near.evaluations == 0.5 and near.highest_ei == 1
    assert near.box == (np.linalg.norm(grid - [3.0, 3.0], axis=1) < 1).sum() / 81 ** 2
    assert elsewhere[:2] == (0, 0) and elsewhere.box == pytest.approx(near.box, rel=0.02)
    assert wider.evaluations == 0.75 and wider.box > near.box


def test_shares_near_half_of_the_highest():
    grid = np.linspace(0, 10, 1000)[:, np.newaxis]
    ei = np.zeros(1000)
    ei[[0, 100, 200, 300, 900]] = 1
    ei[500:505] = 2

    assert shares_near(grid[502], grid[:2], grid, ei).highest_ei == 0.5


def test_shares_near_of_what_does_not_fit():
    grid = np.zeros((100, 2))
    with pytest.raises(ValueError, match='100 points or more and one value for each, got 100 points and 99 values'):
        shares_near([0, 0], grid, grid, np.zeros(99))
    with pytest.raises(ValueError, match='got 99 points'):
        shares_near([0, 0], grid, grid[1:], np.zeros(99))
    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        shares_near([0, 0], np.zeros((5, 3)), grid, np.zeros(100))


def test_shares_table():
    header, rows = shares_table('near 4', {'a': SharesNear(0.231, 0.02, 0.05), 'b': SharesNear(0.77, 1, 0.05)})

    assert header == ['near 4', 'a', 'b']
    assert rows == [['evaluations', '23%', '77%'], ['the hundredth of the box with the highest EI', '2%', '100%'],
                    ['the box itself', '5%', '5%']]


def test_median_regret_covers_the_true_median():
    """In about 95 of a hundred samples of a known distribution."""
    covered = []
    for seed in range(100):
        regrets = np.random.default_rng(seed).exponential(size=(60, 3)) * [1, 2, 4]

        low, median, high = median_regret(regrets).T

        np.testing.assert_array_equal(median, np.median(regrets, axis=0))
        covered.append((low <= np.log(2) * np.array([1, 2, 4])) & (np.log(2) * np.array([1, 2, 4]) <= high))
    assert 0.88 < np.mean(covered) < 0.99


def test_evaluations_within():
    regrets = [[0.5, 0.09, 0.09], [0.05, 0.05, 0.0], [0.5, 0.5, 0.1], [0.4, 0.3, 0.02]]

    np.testing.assert_array_equal(evaluations_within(regrets, 0.1), [2, 1, 4, 3])


def test_evaluations_table():
    quick, slow = [[0.5, 0.09], [0.05, 0.05]], [[1.0, 1.0], [1.0, 1.0]]

    header, rows = evaluations_table('ways', {'quick': quick, 'slow': slow}, 0.1)

    assert header == ['ways', 'evaluations to within 0.1 nats of the minimum (median)']
    assert rows == [['quick', '1.5'], ['slow', '> 2']]
