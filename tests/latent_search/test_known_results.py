"""Known results, noise, and bounds."""

import numpy as np
import pytest
from helpers import SQUARE, assert_same, numbers_of, quadratic, snapshot, told
from model_helpers import of_squares
from scipy.spatial.distance import pdist

from latent_search import create_grid, create_optimizer, distinct_distance


def test_known_results(tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    search.ask(2)

    search.add_known([[0, 1], [-4.0, 4.0]], [[3], [2]])
    search.add_known(np.array([[1, 2]], dtype='float32'), np.array([[0.5]], dtype='float32'))

    np.testing.assert_array_equal(search.X, [[0, 1], [-4, 4], [1, 2]])
    np.testing.assert_array_equal(search.Y, [[3], [2], [0.5]])
    assert search.X.dtype == search.Y.dtype == np.float64
    assert numbers_of(search.pending) == [1, 2] and search.ask()[0].number == 6
    assert_same(snapshot(create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')), snapshot(search))


@pytest.mark.parametrize('t, values, message', [
    ([[0, 1], [0, 1]], [[3]], r'shape \(2, 1\)'), ([[0, 1]], [3], r'shape \(1, 1\)'), ([[0, 1]], 3, r'shape \(1, 1\)'),
    ([[0, 1]], [[3, 4]], r'shape \(1, 1\)'), ([[0, 1]], [['low']], 'must be numbers'),
    ([[0, 1], [1, 1]], [[3], [np.nan]], r'1 of the 2 values are NaN or infinite, the first is at \[1. 1.\]'),
    ([[0, 1]], [[-np.inf]], '1 of the 1 values are NaN or infinite'),
    ([[0, 1]], [[True]], 'must be numbers'), ([[0, 1]], [[1j]], 'must be numbers'),
    ([0, 1], [[3]], r'shape \(n, 2\)'), ([[0, 1, 2]], [[3]], r'shape \(n, 2\)'), ([], [], r'shape \(n, 2\)'),
    ([[0, np.nan]], [[3]], 'Points must be finite'),
    ([[0, 1], [0, 4.1], [-5, 0]], [[3]] * 3, r'2 of the 3 points are not within the bounds.*\[0.  4.1\]')])
def test_bad_known_results_are_refused_and_none_is_added(t, values, message, tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    search.ask()
    before, content = snapshot(search), (tmp_path / 'journal.csv').read_bytes()

    with pytest.raises(ValueError, match=message):
        search.add_known(t, values)
    assert_same(snapshot(search), before)
    assert (tmp_path / 'journal.csv').read_bytes() == content


def test_known_results_below_the_lower_bound_are_refused_and_none_is_added():
    search = create_optimizer(None, SQUARE, lower_bound=quadratic)
    t = np.array([[1, 1], [0, 0], [2, 2]])

    with pytest.raises(ValueError, match='must not be above the objective'):
        search.add_known(t, quadratic(t) - [[0], [0], [0.01]])
    assert len(search.X) == len(search.Y) == 0
    search.add_known(t, quadratic(t))


def test_a_warm_start_needs_no_starting_points(rng):
    t = rng.uniform(-4, 4, (30, 2))
    search, without = (create_optimizer(quadratic, SQUARE) for _ in range(2))

    search.add_known(t, quadratic(t))
    search.run_optimization(3)
    without.run_optimization(0)

    assert len(search.X) == 33 and len(without.X) == 6
    assert search.Y[30:].max() < 0.5 * search.Y[:30].min()


def test_a_few_known_results_save_as_many_starting_points():
    search = create_optimizer(quadratic, SQUARE)

    search.add_known([[1, 1], [2, 2]], quadratic(np.array([[1, 1], [2, 2]])))
    search.run_optimization(0)

    assert len(search.X) == 6 and len(np.unique(search.X, axis=0)) == 6


def noisy_quadratic(seed):
    rng = np.random.default_rng(seed)
    return lambda t: quadratic(t) + rng.normal(0, 1, (len(t), 1))


@pytest.mark.parametrize('num', [1, pytest.param(5, marks=pytest.mark.slow)])
def test_the_minimum_is_found_under_noise(num):
    errors = []
    for seed in range(num):
        search = told(40, noisy_quadratic(seed), seed=seed, noisy=True)
        errors.append(np.linalg.norm(search.recommend().t - [0.5, 1.0]))

    assert np.median(errors) < 0.5


def test_repeated_values_that_differ_are_averaged():
    search = create_optimizer(None, SQUARE, noisy=True)
    t = create_grid(SQUARE, points=4)[2]
    search.add_known(np.vstack((t, t)), np.vstack((quadratic(t) - 1, quadratic(t) + 1)))

    mean = search.posterior(t)[0]

    assert np.abs(mean - quadratic(t)).max() < 1
    assert len(search.ask(3)) == 3


def test_noisy_values_may_be_below_the_bound(path):
    def search():
        return create_optimizer(None, SQUARE, lower_bound=quadratic, noisy=True, journal=path)

    t = create_grid(SQUARE, points=4)[2]
    first = search()
    first.add_known(np.vstack((t, t)), np.vstack((quadratic(t) - 1, quadratic(t) + 1)))
    model = of_squares(first.domain, quadratic, noisy=True).fit(first.X, first.Y)
    np.testing.assert_allclose(first.posterior(t)[0], model.predict(t)[0], rtol=1e-6)
    proposal = first.ask()[0].t
    first.close()
    resumed = search()
    mean = resumed.posterior(t)[0]

    assert (mean >= quadratic(t)).all() and np.abs(mean - quadratic(t)).max() < 1
    np.testing.assert_array_equal(resumed.pending[0].t, proposal)


def test_masked_values_are_refused_like_nan():
    search = create_optimizer(None, SQUARE)
    search.ask()

    with pytest.raises(ValueError, match='must be one finite number'):
        search.tell(1, np.ma.array([3.0], mask=[True]))
    with pytest.raises(ValueError, match='1 of the 2 values are NaN or infinite'):
        search.add_known([[0, 1], [1, 1]], np.ma.array([[3.0], [4.0]], mask=[[False], [True]]))
    with pytest.raises(ValueError, match='Points must be finite'):
        search.add_known(np.ma.array([[0.0, 1.0]], mask=[[True, False]]), [[3]])
    assert len(search.X) == 0


def test_a_bound_that_changes_its_points_changes_no_search():
    def careless(t):
        t -= 1
        return 0 * t[:, :1]

    one, other = (told(12, lower_bound=bound) for bound in (careless, lambda t: 0 * t[:, :1]))

    np.testing.assert_array_equal(one.X, other.X)


@pytest.mark.parametrize('seed', range(4))
def test_converged_proposals_keep_their_distance_from_pending_ones(seed):
    search = told(30, seed=seed)

    proposed = np.vstack([t for _, t in search.ask(4)])

    assert pdist(proposed / 8).min() >= distinct_distance * (1 - 1e-9)


def test_a_program_that_adds_its_known_results_can_run_again(path):
    known, values = np.array([[1.0, 1], [2, 2], [2, 2], [3, 0]]), [[1.0], [2.0], [2.0], [3.0]]
    for total in (10, 20):
        search = create_optimizer(quadratic, SQUARE, journal=path)
        search.add_known(known, values)
        search.add_known([[0.0, 0.0]], None)
        search.run(total)
        search.close()
        assert len(search.X) + len(search.failed) == total
        assert [event.status for event in search.events].count('known') == 4
        np.testing.assert_array_equal(search.failed, [[0, 0]])


def test_failures_that_are_known_move_proposals_away():
    search = create_optimizer(quadratic, SQUARE)
    search.run(12)
    best = search.suggest_next_locations()

    search.add_known(np.repeat(best, 3, axis=0) + [[0], [0.01], [-0.01]], None)

    assert len(search.failed) == 3 and len(search.X) == 12
    assert np.linalg.norm(search.suggest_next_locations() - best) > 0.1


def test_points_that_rounding_has_put_outside_are_taken():
    search = create_optimizer(None, [(0, 0.3)])

    search.add_known(np.arange(0, 0.4, 0.1)[:, np.newaxis], np.zeros((4, 1)))

    assert search.X.max() == 0.3


def test_many_known_results_are_added_at_once(rng):
    points = rng.uniform(-4, 4, (10_000, 2))
    search = create_optimizer(None, SQUARE)

    search.add_known(points, quadratic(points))

    assert len(search.X) == 10_000
    search.ask()
