"""Local searches with gradients, of functions with known minima."""

import numpy as np
import pytest
from helpers import SQUARE
from threadpoolctl import threadpool_info, threadpool_limits

from latent_search import search_with_gradients


def quadratic(t):
    return ((t - [1.0, -2.0]) ** 2).sum(), 2 * (t - [1.0, -2.0])


def test_search_of_a_quadratic():
    calls = []

    def counted(t):
        calls.append(t.copy())
        return quadratic(t)

    search = search_with_gradients(counted, SQUARE, num_starts=5)

    np.testing.assert_allclose(search.X, [[1, -2]] * 5, atol=1e-6)
    assert search.Y.shape == (5, 1) and search.Y.max() < 1e-10
    assert search.evaluations == len(calls) >= 5


def test_search_keeps_to_the_box_and_sorts():
    def two_valleys(t):
        return np.cos(2 * t[0]) + 0.1 * t[0], np.array([-2 * np.sin(2 * t[0]) + 0.1])

    search = search_with_gradients(two_valleys, [(-3.0, 3.0)], num_starts=9)

    assert (np.abs(search.X) <= 3).all() and (np.diff(search.Y[:, 0]) >= 0).all()
    assert search.X[0, 0] == pytest.approx(-np.pi / 2, abs=0.05) and search.Y[-1, 0] > search.Y[0, 0] + 0.1


def test_same_seed_same_search():
    first, again, other = (search_with_gradients(quadratic, SQUARE, seed, 3) for seed in (0, 0, 1))

    np.testing.assert_array_equal(first.X, again.X)
    assert not np.array_equal(first.X, other.X)


def test_libraries_have_one_thread_meanwhile():
    def threads():
        return {library['num_threads'] for library in threadpool_info()}

    def objective(t):
        seen.append(threads())
        return float((t ** 2).sum()), 2 * t

    seen = []
    with threadpool_limits(2):
        search_with_gradients(objective, [(-1.0, 1.0)] * 2, num_starts=2)
        after = threads()

    assert seen and all(one == {1} for one in seen) and after == {2}
