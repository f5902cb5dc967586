"""How far apart the results of a search are to be."""

import numpy as np
import pytest
from helpers import SQUARE, ZERO_BOUND, quadratic, run, to_unit
from scipy.spatial.distance import cdist, pdist

from latent_search import create_optimizer, distinct_distance, top


def flat(t):
    """Lowest everywhere in a disc."""
    return np.maximum(np.linalg.norm(t - 1, axis=1, keepdims=True) - 1.5, 0) ** 2


@pytest.mark.parametrize('settings', [pytest.param({}, marks=pytest.mark.slow), ZERO_BOUND])
def test_results_are_as_far_apart_as_asked_for(settings):
    """Where many points are equally good, ten of them can be that far apart, and by default they are not."""
    near, far = (run(flat, max_iter=46, spacing=spacing, **settings) for spacing in (None, 0.1))

    points, values = top(far)
    assert len(points) == 10 and pdist(to_unit(points)).min() >= 0.1
    assert values.max() < 0.05 and far.Y.min() < 1e-3
    assert pdist(to_unit(top(near)[0])).min() < 0.1
    assert np.median(pdist(points)) > np.median(pdist(top(near)[0]))


def test_top_takes_the_spacing_of_the_search():
    search = run(max_iter=20, spacing=0.1)

    for array, expected in zip(top(search), top(search, distance=0.1), strict=True):
        np.testing.assert_array_equal(array, expected)
    assert len(top(search, 26)[0]) < len(top(search, 26, distance=distinct_distance)[0])


@pytest.mark.parametrize('spacing', [0, 1, -0.1, np.nan, '0.1', [0.1]])
def test_bad_spacing(spacing):
    with pytest.raises(ValueError, match="spacing must be a number between 0 and 1, a share of the box's sides, got"):
        create_optimizer(quadratic, SQUARE, spacing=spacing)


def test_spacing_is_in_the_journal(path, recwarn):
    create_optimizer(None, SQUARE, spacing=0.1, journal=path).close()
    create_optimizer(None, SQUARE, spacing=0.1, journal=path).close()
    assert not recwarn.list

    with pytest.warns(UserWarning, match='with seed=0 .*spacing=0.1 .*; this one has seed=0'):
        create_optimizer(None, SQUARE, journal=path).close()


def test_journals_of_the_default_spacing_do_not_name_it(path):
    """So that those written before there was another one open without a warning."""
    create_optimizer(None, SQUARE, journal=path).close()

    assert 'spacing' not in path.read_text()


def test_refinement_ends_where_it_is_told_to():
    """After convergence, all proposals of a search for different results are spaced, and a quarter of others."""
    shares = {}
    for spacing in (None, 0.02):
        search = run(max_iter=60, spacing=spacing, **ZERO_BOUND)
        distances = [cdist(to_unit(search.X[:n]), to_unit(search.X[[n]])).min() for n in range(40, len(search.X))]
        shares[spacing] = np.mean(np.array(distances) >= search.spacing)
        assert search.Y.min() < 1e-3 * search.Y.std()

    assert shares[None] < 0.5 and shares[0.02] == 1
