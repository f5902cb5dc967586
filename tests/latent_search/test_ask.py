"""Asking for experiments: where they are, alone and several at a time."""

import numpy as np
import pytest
from helpers import SETTINGS, SQUARE, assert_same, numbers_of, points_of, quadratic, snapshot, to_unit, told
from scipy.spatial.distance import cdist, pdist

from latent_search import create_grid, create_optimizer, distinct_distance
from latent_search.acquisition import SpacedExpectedImprovement
from latent_search.outcomes import outcome_scale


@pytest.mark.parametrize('domain', [[(-0.3, 0.1)], SQUARE, [(5.0, 6.0), (-1e3, 1e3)] * 5])
def test_ask_and_tell_in_any_box(domain):
    search = create_optimizer(None, domain)
    low, high = np.array(domain).T

    for first in range(1, 13, 4):
        experiments = search.ask(4)
        assert numbers_of(experiments) == list(range(first, first + 4))
        for number, t in experiments:
            assert t.shape == (1, len(domain)) and t.dtype == np.float64
            assert (t >= low).all() and (t <= high).all()
            search.tell(number, t.sum())

    assert search.X.shape == (12, len(domain)) and search.Y.shape == (12, 1)
    np.testing.assert_array_equal(search.Y, search.X.sum(axis=1, keepdims=True))


def test_asking_evaluates_nothing():
    search = create_optimizer(lambda t: pytest.fail('evaluated'), SQUARE)

    search.ask(3)

    assert search.X.shape == (0, 2) and search.Y.shape == (0, 1) and search.failed.shape == (0, 2)


@pytest.mark.parametrize('settings', SETTINGS)
def test_asking_for_several_is_asking_several_times(settings):
    at_once, one_by_one = (told(8, **settings) for _ in range(2))

    experiments = at_once.ask(5)

    np.testing.assert_array_equal(points_of(experiments), points_of([one_by_one.ask()[0] for _ in range(5)]))
    np.testing.assert_array_equal(points_of(at_once.pending), points_of(experiments))


@pytest.mark.parametrize('settings', SETTINGS)
def test_asking_and_telling_one_by_one_is_the_search_itself(settings, capsys):
    itself = create_optimizer(quadratic, SQUARE, seed=3, **settings)
    itself.run_optimization(1)

    search = told(len(itself.X), seed=3, **settings)

    assert_same(snapshot(search), snapshot(itself))


def test_same_seed_same_batches_whatever_ran_before():
    np.random.seed(1)
    first = told(20, batch=4, seed=3)
    np.random.seed(2)
    told(9, batch=3, seed=4)
    np.random.random(100)

    np.testing.assert_array_equal(told(20, batch=4, seed=3).X, first.X)
    assert not np.allclose(told(20, batch=4, seed=4).X, first.X)


@pytest.mark.parametrize('q', [0, -1, 1.5, True, None, '2'])
def test_bad_number_of_experiments(q):
    search = create_optimizer(None, SQUARE)

    with pytest.raises(ValueError, match='q must be an integer of at least 1'):
        search.ask(q)
    assert search.pending == []


def test_many_asked_before_any_result_fill_the_box():
    search = create_optimizer(None, SQUARE, seed=4)

    u = to_unit(points_of(search.ask(20)))

    # A net in base 2: each of 16 equal boxes of any shape has one of the first 16 points.
    for shape in ([1, 16], [2, 8], [4, 4], [8, 2], [16, 1]):
        assert len(np.unique((u[:16] * shape).astype(int), axis=0)) == 16
    assert pdist(u).min() > 0.01


@pytest.mark.parametrize('settings', SETTINGS)
@pytest.mark.parametrize('evaluated', [3, 6, pytest.param(30, marks=pytest.mark.slow)])
def test_no_two_of_many_pending_ones_coincide(settings, evaluated):
    search = told(evaluated, **settings)

    search.ask(25)

    everything = np.vstack((search.X, points_of(search.pending)))
    assert len(everything) == evaluated + 25
    assert pdist(to_unit(everything)).min() >= SpacedExpectedImprovement.min_distance * (1 - 1e-9)


@pytest.mark.parametrize('settings', SETTINGS)
def test_an_unconverged_search_keeps_its_distance_from_pending_ones(settings, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', -1)
    search = told(6, **settings)

    proposed = to_unit(points_of(search.ask(20)))

    assert pdist(proposed).min() >= distinct_distance * (1 - 1e-9)
    assert cdist(proposed, to_unit(search.X)).min() >= distinct_distance * (1 - 1e-9)


def median_of_logarithmic(search, mean, std):
    """The logarithm of the median of f − lowest + scale, which is log-normal, less that of its scale."""
    lowest, scale = outcome_scale(search.Y[:, 0])
    scale *= 1e4  # The values of a quadratic function are modelled as they are.
    mean = mean - lowest + scale
    return np.log(mean / scale) - np.log1p((std / mean) ** 2) / 2


@pytest.mark.parametrize('settings', SETTINGS[:2])
def test_a_pending_experiment_makes_its_place_certain_and_changes_no_mean(settings):
    search = told(12, **settings)
    _, _, grid = create_grid(SQUARE, points=12)
    mean, std, _ = search.posterior(grid)
    (_, t), = search.ask()
    there, elsewhere = search.posterior(t), search.posterior(grid)

    if settings:
        np.testing.assert_allclose(elsewhere[0], mean, rtol=1e-6, atol=1e-6)
    else:  # The mean is that of the logarithm.
        np.testing.assert_allclose(median_of_logarithmic(search, *elsewhere[:2]),
                                   median_of_logarithmic(search, mean, std), rtol=1e-6, atol=1e-6)
    assert (elsewhere[1] <= std * (1 + 1e-6)).all()
    assert there[1] < 0.01 * std.max() and there[2] < 0.01 * np.ptp(search.Y)


def test_two_workers_get_different_points():
    search, workers, everything = create_optimizer(None, SQUARE), {}, []
    for turn in range(30):
        if turn % 2 in workers:
            number, t = workers[turn % 2]
            search.tell(number, quadratic(t))
        (experiment,) = search.ask()
        workers[turn % 2] = experiment
        everything.append(experiment)
        assert numbers_of(search.pending) == numbers_of(everything[-2:])

    assert numbers_of(everything) == list(range(1, 31))
    assert pdist(to_unit(points_of(everything))).min() >= SpacedExpectedImprovement.min_distance * (1 - 1e-9)
    assert len(search.X) == 28 and search.Y.min() < 0.01


def test_what_ask_and_pending_return_is_a_copy(tmp_path):
    search, other = (create_optimizer(None, SQUARE, journal=tmp_path / f'{i}.csv') for i in range(2))
    (number, t), = search.ask()
    t *= 0.01
    search.pending[0].t[:] = 7
    search.pending.clear()
    other.ask()

    assert_same(snapshot(search), snapshot(other))
    search.tell(number, 1)
    other.tell(number, 1)
    assert_same(snapshot(search), snapshot(other))
    assert_same(snapshot(create_optimizer(None, SQUARE, journal=tmp_path / '0.csv')), snapshot(other))


@pytest.mark.parametrize('domain', [[(-0.3, 0.1)], [(-0.3, 0.1), (0.1, 0.7)], [(1e9, 1e9 + 0.1), (-1e-9, 1 / 3)]])
@pytest.mark.parametrize('sign', [-1, 1])
def test_proposals_at_the_border_are_in_the_box(domain, sign, tmp_path):
    """In floating point low + (high - low) may be above high, as in the first of these boxes."""
    search = told(18, lambda t: sign * to_unit(t, domain).sum(), domain, journal=tmp_path / 'journal.csv')

    low, high = np.array(domain).T
    assert (search.X >= low).all() and (search.X <= high).all()
    assert np.abs(to_unit(search.X, domain) - (sign < 0)).max(axis=1).min() < 0.01
    assert len(create_optimizer(None, domain, journal=tmp_path / 'journal.csv').X) == 18


@pytest.mark.slow
@pytest.mark.parametrize('settings', SETTINGS)
def test_batches_of_four_find_the_minimum_as_well(settings):
    def best(batch):
        return np.median([told(26, batch=batch, seed=seed, **settings).Y.min() for seed in range(3)])

    assert best(batch=4) < max(0.01, 3 * best(batch=1))


def test_a_batch_looks_in_different_valleys():
    def valleys(t):
        return np.cos(np.pi * t / 2).sum(axis=1, keepdims=True)  # Four are equally deep, at ±2.

    signs = np.sign(points_of(told(20, valleys).ask(8)))

    assert len(np.unique(signs, axis=0)) >= 3
