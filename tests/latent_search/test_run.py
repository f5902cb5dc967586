"""Searches that evaluate by themselves."""

import csv
import warnings

import numpy as np
import pytest
from helpers import ALL_SETTINGS, SQUARE, assert_same, numbers_of, points_of, prior, quadratic, run, snapshot, told

from latent_search import create_grid, create_optimizer


def test_finds_the_minimum_of_a_quadratic(published):
    search = run(max_iter=20, published=published)

    starting = search.num_starting_points
    assert search.X.shape == (starting + 20, 2) and search.Y.shape == (starting + 20, 1)
    np.testing.assert_allclose(search.Y, quadratic(search.X))
    assert search.Y.min() < 0.05
    assert search.Y.min() < search.Y[:starting].min()


def test_lower_bound_helps():
    """Like the article's objective: the prior, and beside it something that is 0 in one region and high outside."""
    def objective(t):
        outside = np.maximum(np.linalg.norm(t - 1.5, axis=1, keepdims=True) - 1, 0)
        return prior(t) + 18 * np.tanh(outside)

    best = [[run(objective, seed=seed, max_iter=24, lower_bound=bound).Y.min() for seed in range(5)]
            for bound in (prior, None)]

    assert np.median(best[0]) < np.median(best[1]) - 0.01


@pytest.mark.parametrize('bound', [quadratic, lambda t: quadratic(t)[:, 0], lambda t: np.full((1, 1), np.nan)])
def test_bad_lower_bound_is_named_and_loses_nothing(bound):
    search = create_optimizer(lambda t: quadratic(t) - (t[:, :1] > 0), SQUARE, lower_bound=bound)

    with pytest.raises(ValueError, match=r'lower bound must be one number with shape \(1, 1\), not above'):
        search.run_optimization(10)
    assert search.X.shape[0] == search.Y.shape[0] < 6


@pytest.mark.parametrize('domain', [[(0.0, 3.0)], [(-1.0, 2.0), (0.5, 1.5), (-3.0, 9.0)], [(0.0, 1.0)] * 20])
def test_any_box(domain, published):
    search = run(domain=domain, published=published)

    low, high = np.array(domain).T
    assert search.X.shape == (search.num_starting_points + 5, len(domain))
    assert (search.X >= low).all() and (search.X <= high).all()


def test_same_seed_same_search_whatever_ran_before(published):
    np.random.seed(1)
    first = run(seed=3, published=published)
    np.random.seed(2)
    run(seed=4, max_iter=1, published=published)
    np.random.random(100)

    np.testing.assert_array_equal(run(seed=3, published=published).X, first.X)
    assert not np.allclose(run(seed=4, published=published).X[:2], first.X[:2])


def test_a_search_in_parts_is_the_same_search():
    whole = run(max_iter=6)
    parts = run(max_iter=2)
    parts.run_optimization(0)
    parts.run_optimization(4)

    np.testing.assert_array_equal(parts.X, whole.X)


def test_looking_does_not_change_the_search(published):
    looked_at = create_optimizer(quadratic, SQUARE, seed=1, published=published)
    for _ in range(3):
        looked_at.run_optimization(1)
        looked_at.plot_acquisition()
        np.testing.assert_array_equal(looked_at.suggest_next_locations(), looked_at.suggest_next_locations())
        proposal = looked_at.suggest_next_locations()
        looked_at.posterior(np.zeros((3, 2)))
    looked_at.run_optimization(1)

    np.testing.assert_array_equal(looked_at.X[[-1]], proposal)
    np.testing.assert_array_equal(looked_at.X, run(seed=1, max_iter=4, published=published).X)


def test_search_is_quiet(recwarn, capfd, published):
    run(max_iter=3, published=published)

    assert [str(warning.message) for warning in recwarn] == []
    assert capfd.readouterr().err == ''


def test_objective_that_raises_loses_nothing():
    calls = []

    def fragile(t):
        calls.append(t)
        if len(calls) == 5:
            raise RuntimeError('the laboratory is closed')
        return quadratic(t)

    search = create_optimizer(fragile, SQUARE, seed=2)
    with pytest.raises(RuntimeError, match='the laboratory is closed'):
        search.run_optimization(6)
    assert len(search.X) == len(search.Y) == 4
    np.testing.assert_array_equal(search.Y, quadratic(search.X))
    search.run_optimization(6)

    np.testing.assert_array_equal(search.X, run(seed=2, max_iter=6).X)


@pytest.mark.parametrize('result', [np.array([[np.nan]]), np.array([[np.inf]]), np.array([[1j]]), np.ones(1),
                                    np.ones((2, 1)), 1.0, None, 'low'])
def test_bad_result_is_named_and_loses_nothing(result):
    results = iter([quadratic(np.zeros((1, 2))), quadratic(np.ones((1, 2))), result])
    search = create_optimizer(lambda t: next(results), SQUARE)

    with pytest.raises(ValueError, match='(?s)one finite number with shape .1, 1.*2 evaluations before it are kept'):
        search.run_optimization(3)
    assert search.X.shape == (2, 2) and search.Y.shape == (2, 1)


def test_objective_cannot_change_the_points():
    def careless(t):
        value = quadratic(t)
        t[:] = 0
        return value

    np.testing.assert_array_equal(run(careless).X, run().X)


@pytest.mark.parametrize('domain, message', [
    ([], 'sequence of pairs'), (None, 'sequence of pairs'), ([(0, 1), 2], 'sequence of pairs'),
    ([(0, 1, 2)], 'sequence of pairs'), ([(0, np.inf)], 'finite numbers'),
    ([(0, 1), (2, 2)], 'low < high'), ([(1, 0)], 'low < high')])
def test_bad_domain(domain, message):
    with pytest.raises(ValueError, match=message):
        create_optimizer(quadratic, domain)


@pytest.mark.parametrize('seed', [-1, 0.5, None])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match='seed must be an integer of at least 0'):
        create_optimizer(quadratic, SQUARE, seed)


@pytest.mark.parametrize('max_iter', [-1, 2.5, None])
def test_bad_budget(max_iter):
    with pytest.raises(ValueError, match='max_iter must be an integer of at least 0'):
        create_optimizer(quadratic, SQUARE).run_optimization(max_iter)


@pytest.mark.parametrize('bound', [None, lambda t: 900 + 0 * t[:, :1]])
def test_posterior_is_in_units_of_the_objective(bound):
    search = run(lambda t: 1000 + 50 * quadratic(t), max_iter=10, lower_bound=bound)
    _, _, t = create_grid(SQUARE, points=9)

    mean, std, ei = search.posterior(t)
    at_data, std_at_data, _ = search.posterior(search.X)

    assert mean.shape == std.shape == ei.shape == (81, 1)
    np.testing.assert_allclose(at_data, search.Y, rtol=0.001)
    assert std_at_data.max() < 0.1 * std.max()
    assert (ei >= 0).all() and (ei <= mean.max() - 900).all()


def test_posterior_needs_evaluations():
    with pytest.raises(ValueError, match='There are 0 evaluations.*run_optimization'):
        create_optimizer(quadratic, SQUARE).posterior(np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        run(max_iter=0).posterior(np.zeros((1, 3)))


def test_progress_shows_the_best_value(capsys):
    search = run(max_iter=2)

    said = capsys.readouterr().out
    assert said.startswith('\rquadratic') and f'best={search.Y.min():.4g}' in said


def test_warnings_of_the_objective_are_heard():
    def warned(t):
        warnings.warn('the oven is hot', stacklevel=1)
        return quadratic(t)

    with pytest.warns(UserWarning, match='the oven is hot'):
        run(warned, max_iter=1)


def test_an_interrupted_evaluation_is_the_first_to_be_made_again():
    calls = []

    def fragile(t):
        calls.append(t.copy())
        if len(calls) in (3, 9, 10):
            raise KeyboardInterrupt
        return quadratic(t)

    search = create_optimizer(fragile, SQUARE, seed=2)
    for evaluated in (2, 7, 7):
        with pytest.raises(KeyboardInterrupt):
            search.run_optimization(6)
        assert len(search.X) == len(search.Y) == evaluated
        assert numbers_of(search.pending) == [evaluated + 1]
        np.testing.assert_array_equal(search.pending[0].t, calls[-1])
        interrupted = calls[-1]
    search.run_optimization(12 - len(search.X))

    whole = create_optimizer(quadratic, SQUARE, seed=2)
    whole.run_optimization(6)
    np.testing.assert_array_equal(np.vstack(calls[8:11]), np.vstack([interrupted] * 3))
    assert_same(snapshot(search), snapshot(whole))


def test_pending_experiments_are_evaluated_first():
    search = create_optimizer(quadratic, SQUARE)
    experiments = search.ask(4)
    search.tell(2, 0.5)

    search.run_optimization(0)

    np.testing.assert_array_equal(search.X[:4], points_of([experiments[i] for i in (1, 0, 2, 3)]))
    assert len(search.X) == 6 and search.pending == []


@pytest.mark.parametrize('settings', ALL_SETTINGS)
def test_a_journal_changes_no_search(settings, tmp_path, capsys):
    def search(journal):
        search = create_optimizer(quadratic, SQUARE, **settings, journal=journal)
        search.run_optimization(2)
        return search

    without = search(None)
    assert_same(snapshot(search(tmp_path / 'journal.csv')), snapshot(without))
    with open(tmp_path / 'journal.csv', newline='') as file:
        values = [float(row['value']) for row in csv.DictReader(file) if row['status'] == 'done']
    np.testing.assert_array_equal(values, without.Y[:, 0])


def noisy_quadratic(seed):
    rng = np.random.default_rng(seed)
    return lambda t: quadratic(t) + rng.normal(0, 1, (len(t), 1))


def test_the_minimum_is_found_under_noise():
    def error(seed, **settings):
        search = told(40, noisy_quadratic(seed), seed=seed, **settings)
        best = search.X[search.posterior(search.X)[0].argmin()]
        return np.linalg.norm(best - [0.5, 1.0])

    errors = [error(seed, noisy=True) for seed in range(5)]

    assert np.median(errors) < 0.5
    # A search for exact values takes the noise for what the objective does.
    assert np.mean(errors) < np.mean([error(seed) for seed in range(5)])


def test_repeated_values_that_differ_are_averaged():
    search = create_optimizer(None, SQUARE, noisy=True)
    t = create_grid(SQUARE, points=4)[2]
    search.add_known(np.vstack((t, t)), np.vstack((quadratic(t) - 1, quadratic(t) + 1)))

    mean, std, _ = search.posterior(t)

    assert np.abs(mean - quadratic(t)).max() < 1
    assert len(search.ask(3)) == 3


def test_a_lower_bound_is_for_exact_values():
    with pytest.raises(ValueError, match='lower_bound is for exact values.*Leave out one of'):
        create_optimizer(None, SQUARE, lower_bound=quadratic, noisy=True)


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
