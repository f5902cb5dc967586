import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy.stats import kstest, norm

import vae_opt_util
from vae_opt_util import (
    assess_around,
    create_grid,
    create_optimizer,
    mean_pixel_distance,
    nll_prior,
    run_searches,
    sample_around,
    top,
    widest_radius,
)

SQUARE = [(-4.0, 4.0)] * 2


def quadratic(t):
    return ((t - np.arange(1, t.shape[1] + 1) / 2) ** 2).sum(axis=1, keepdims=True)


@pytest.fixture(params=[False, True], ids=['ours', 'published'])
def published(request):
    return request.param


def run(objective=quadratic, domain=SQUARE, seed=0, max_iter=5, **settings):
    optimizer = create_optimizer(objective, domain, seed, **settings)
    optimizer.run_optimization(max_iter)
    return optimizer


def test_finds_the_minimum_of_a_quadratic(published):
    optimizer = run(max_iter=20, published=published)

    starting = optimizer.num_starting_points
    assert optimizer.X.shape == (starting + 20, 2) and optimizer.Y.shape == (starting + 20, 1)
    np.testing.assert_allclose(optimizer.Y, quadratic(optimizer.X))
    assert optimizer.Y.min() < 0.05
    assert optimizer.Y.min() < optimizer.Y[:starting].min()


def test_lower_bound_helps():
    """Like the article's objective: the prior, and beside it something that is 0 in one region and high outside."""
    def objective(t):
        outside = np.maximum(np.linalg.norm(t - 1.5, axis=1, keepdims=True) - 1, 0)
        return nll_prior(t) + 18 * np.tanh(outside)

    best = [[run(objective, seed=seed, max_iter=24, lower_bound=bound).Y.min() for seed in range(5)]
            for bound in (nll_prior, None)]

    assert np.median(best[0]) < np.median(best[1]) - 0.01


@pytest.mark.parametrize('bound', [quadratic, lambda t: quadratic(t)[:, 0], lambda t: np.full((1, 1), np.nan)])
def test_bad_lower_bound_is_named_and_loses_nothing(bound):
    optimizer = create_optimizer(lambda t: quadratic(t) - (t[:, :1] > 0), SQUARE, lower_bound=bound)

    with pytest.raises(ValueError, match=r'lower bound must be one number with shape \(1, 1\), not above'):
        optimizer.run_optimization(10)
    assert optimizer.X.shape[0] == optimizer.Y.shape[0] < 6


@pytest.mark.parametrize('domain', [[(0.0, 3.0)], [(-1.0, 2.0), (0.5, 1.5), (-3.0, 9.0)], [(0.0, 1.0)] * 20])
def test_any_box(domain, published):
    optimizer = run(domain=domain, published=published)

    low, high = np.array(domain).T
    assert optimizer.X.shape == (optimizer.num_starting_points + 5, len(domain))
    assert (optimizer.X >= low).all() and (optimizer.X <= high).all()


def test_same_seed_same_search_whatever_ran_before(published):
    np.random.seed(1)
    first = run(seed=3, published=published)
    np.random.seed(2)
    run(seed=4, max_iter=1, published=published)
    np.random.random(100)

    np.testing.assert_array_equal(run(seed=3, published=published).X, first.X)
    assert not np.allclose(run(seed=4, published=published).X[:2], first.X[:2])


def test_numpys_random_state_is_left_alone(published):
    np.random.seed(0)
    expected = np.random.random(3)
    np.random.seed(0)

    run(max_iter=2, published=published).posterior(np.zeros((1, 2)))

    np.testing.assert_array_equal(np.random.random(3), expected)


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


def test_importing_gpyopt_silences_nothing():
    code = """
import warnings
import numpy as np
import vae_opt_util
filters = list(warnings.filters)
vae_opt_util._import_gpyopt()
assert warnings.filters == filters
vae_opt_util.create_optimizer(lambda t: t ** 2, [(-1, 1)]).run_optimization(1)
warnings.warn('still heard', DeprecationWarning)
"""
    done = subprocess.run([sys.executable, '-W', 'default', '-c', code], capture_output=True, text=True, check=True)

    assert 'DeprecationWarning: still heard' in done.stderr


def test_search_is_quiet(recwarn, capfd, published):
    run(max_iter=3, published=published)

    assert [str(warning.message) for warning in recwarn] == []
    assert capfd.readouterr().err == ''


def test_budget_is_spent_where_proposals_coincide(monkeypatch, published):
    """GPyOpt's own loop stops without a word where two consecutive proposals lie within 1e-8."""
    same = np.array([[1.0, 1.0]])
    gpyopt = vae_opt_util._import_gpyopt()
    method = 'BayesianOptimization' if published else 'ModularBayesianOptimization'
    monkeypatch.setattr(getattr(gpyopt.methods, method), 'suggest_next_locations', lambda _: same)

    optimizer = run(max_iter=6, published=published)

    np.testing.assert_array_equal(optimizer.X[-6:], np.tile(same, (6, 1)))


def test_duplicate_points(published):
    optimizer = create_optimizer(quadratic, SQUARE, published=published)
    optimizer.X = np.repeat([[1.0, 1.0], [-2.0, 3.0], [0.0, -1.0]], 3, axis=0)
    optimizer.Y = quadratic(optimizer.X)

    optimizer.run_optimization(15)

    assert len(optimizer.X) == 24 and optimizer.Y.min() < 0.1


@pytest.mark.parametrize('value', [0.0, 1.0, -1e6])
def test_budget_is_spent_where_the_objective_is_constant(value, published):
    optimizer = run(lambda t: np.full((1, 1), value), max_iter=4, published=published)

    assert len(np.unique(optimizer.X, axis=0)) == optimizer.num_starting_points + 4
    assert all(np.isfinite(values).all() for values in optimizer.posterior(np.zeros((1, 2))))


def test_failed_fit_is_said_and_the_budget_is_spent(monkeypatch, capsys):
    """GPyOpt's own loop ends in silence where a fit fails, or with AttributeError under NumPy 2."""
    gpyopt = vae_opt_util._import_gpyopt()
    update = gpyopt.models.GPModel.updateModel

    def failing_update(model, x, *arguments):
        if len(x) == 4:
            raise np.linalg.LinAlgError('not positive definite, even with jitter.')
        update(model, x, *arguments)

    monkeypatch.setattr(gpyopt.models.GPModel, 'updateModel', failing_update)

    optimizer = run(max_iter=4, published=True)

    assert optimizer.X.shape == (6, 2)
    assert capsys.readouterr().out.count('No Gaussian process can be fitted to these 4 evaluations') == 1


def test_objective_that_raises_loses_nothing():
    calls = []

    def fragile(t):
        calls.append(t)
        if len(calls) == 5:
            raise RuntimeError('the laboratory is closed')
        return quadratic(t)

    optimizer = create_optimizer(fragile, SQUARE, seed=2)
    with pytest.raises(RuntimeError, match='the laboratory is closed'):
        optimizer.run_optimization(6)
    assert len(optimizer.X) == len(optimizer.Y) == 4
    np.testing.assert_array_equal(optimizer.Y, quadratic(optimizer.X))
    optimizer.run_optimization(6)

    np.testing.assert_array_equal(optimizer.X, run(seed=2, max_iter=6).X)


@pytest.mark.parametrize('result', [np.array([[np.nan]]), np.array([[np.inf]]), np.array([[1j]]), np.ones(1),
                                    np.ones((2, 1)), 1.0, None, 'low'])
def test_bad_result_is_named_and_loses_nothing(result):
    results = iter([quadratic(np.zeros((1, 2))), quadratic(np.ones((1, 2))), result])
    optimizer = create_optimizer(lambda t: next(results), SQUARE)

    with pytest.raises(ValueError, match='(?s)one finite number with shape .1, 1.*2 evaluations before it are kept'):
        optimizer.run_optimization(3)
    assert optimizer.X.shape == (2, 2) and optimizer.Y.shape == (2, 1)


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


def test_published_posterior_is_in_units_of_the_objective():
    optimizer = run(lambda t: 1000 + 50 * quadratic(t), max_iter=10, published=True)
    gx, _, t = create_grid(SQUARE, points=9)

    mean, deviation, expected_improvement = optimizer.posterior(t)
    at_data, deviation_at_data, _ = optimizer.posterior(optimizer.X)

    assert mean.shape == deviation.shape == expected_improvement.shape == (81, 1)
    np.testing.assert_allclose(at_data, optimizer.Y, rtol=0.01)
    assert deviation_at_data.max() < deviation.max()
    # Expected improvement on the lowest posterior mean, with jitter 0.01 deviations of Y, from its closed form.
    improvement = at_data.min() - mean - 0.01 * optimizer.Y.std()
    u = improvement / deviation
    expected = improvement * norm.cdf(u) + deviation * norm.pdf(u)
    np.testing.assert_allclose(expected_improvement, expected, rtol=0.05, atol=1e-3 * expected.max())


@pytest.mark.parametrize('bound', [None, lambda t: 900 + 0 * t[:, :1]])
def test_posterior_is_in_units_of_the_objective(bound):
    optimizer = run(lambda t: 1000 + 50 * quadratic(t), max_iter=10, lower_bound=bound)
    _, _, t = create_grid(SQUARE, points=9)

    mean, deviation, expected_improvement = optimizer.posterior(t)
    at_data, deviation_at_data, _ = optimizer.posterior(optimizer.X)

    assert mean.shape == deviation.shape == expected_improvement.shape == (81, 1)
    np.testing.assert_allclose(at_data, optimizer.Y, rtol=0.001)
    assert deviation_at_data.max() < 0.1 * deviation.max()
    assert (expected_improvement >= 0).all() and (expected_improvement <= mean.max() - 900).all()


def test_posterior_needs_evaluations():
    with pytest.raises(ValueError, match='There are 0 evaluations.*run_optimization'):
        create_optimizer(quadratic, SQUARE).posterior(np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        run(max_iter=0).posterior(np.zeros((1, 3)))


def test_progress_shows_the_best_value(capsys):
    optimizer = run(max_iter=2)

    said = capsys.readouterr().out
    assert said.startswith('\rquadratic') and f'best={optimizer.Y.min():.4g}' in said


def test_grid():
    gx, gy, t = create_grid([(-1, 1), (0, 2)], points=5)

    assert gx.shape == gy.shape == (5, 5) and t.shape == (25, 2)
    np.testing.assert_array_equal(t[7], [gx.flat[7], gy.flat[7]])
    np.testing.assert_array_equal(t.min(axis=0), [-1, 0])
    np.testing.assert_array_equal(t.max(axis=0), [1, 2])


def test_top():
    optimizer = run(max_iter=6)

    points, values = top(optimizer, num=3, distance=0)
    distinct, distinct_values = top(optimizer, num=3, distance=0.1)

    np.testing.assert_array_equal(values[:, 0], np.sort(optimizer.Y[:, 0])[:3])
    np.testing.assert_allclose(quadratic(points), values)
    np.testing.assert_allclose(quadratic(distinct), distinct_values)
    assert distinct_values[0] == values[0] and (distinct_values >= values).all()
    assert np.linalg.norm(np.diff(distinct, axis=0), axis=1).min() >= 0.8
    assert len(top(optimizer, num=20, distance=0)[0]) == 12
    with pytest.raises(ValueError, match='num must be an integer of at least 1'):
        top(optimizer, num=0)
    with pytest.raises(ValueError, match='no evaluations. Call run_optimization'):
        top(create_optimizer(quadratic, SQUARE))


def test_warnings_of_the_objective_are_heard():
    def warned(t):
        warnings.warn('the oven is hot', stacklevel=1)
        return quadratic(t)

    with pytest.warns(UserWarning, match='the oven is hot'):
        run(warned, max_iter=1)


def fragile_search(target, seed):
    def objective(t):
        if target == 1 and seed == 1 and t[0, 0] > 0:
            raise RuntimeError('the oven is out')
        return quadratic(t) + target

    return create_optimizer(objective, SQUARE, seed)


@pytest.mark.parametrize('n_jobs', [1, 2])
def test_many_searches(n_jobs, capsys):
    searches = run_searches(fragile_search, targets=[0, 1], seeds=[0, 1], max_iter=4, n_jobs=n_jobs)

    said = capsys.readouterr().out
    assert list(searches) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for (target, seed), search in searches.items():
        if (target, seed) == (1, 1):
            assert search.error == 'RuntimeError: the oven is out' and len(search.X) < 10
            assert f'The search for 1 with seed 1 failed after {len(search.X)} evaluations: RuntimeError' in said
            np.testing.assert_allclose(search.Y, quadratic(search.X) + 1)
        else:
            assert search.error is None and len(search.X) == 10
            alone = fragile_search(target, seed)
            alone.run_optimization(4)
            np.testing.assert_allclose(search.X, alone.X)


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
    ([[0.0, 0.0]], 0, 5, 'radius must be a positive number, got 0'), ([[0.0, 0.0]], np.nan, 5, 'radius must be'),
    ([[0.0, 0.0]], np.inf, 5, 'radius must be'), ([[0.0, 0.0]], 1, 0, 'num must be an integer of at least 1'),
    ([0.0, 0.0], 1, 5, 'Points must be numbers'), ([[np.nan]], 1, 5, 'Points must be finite')])
def test_bad_samples(points, radius, num, message):
    with pytest.raises(ValueError, match=message):
        sample_around(points, radius, num)


def test_assess_around(pretrained):
    decoder, judge = pretrained['vae-predictor-softmax'].get_layer('decoder'), pretrained['judge']
    points = np.array([[0.0, 0.0], [1.0, -1.0]])

    assessed = assess_around(points, 3, decoder, judge, radii=[0.1, 3.0], num=12, seed=5)

    assert assessed['images'].shape == (2, 12, 28, 28, 1) and assessed['read'].shape == (2, 12)
    np.testing.assert_array_equal(assessed['radii'], [0.1, 3.0])
    for i, radius in enumerate([0.1, 3.0]):
        images = decoder.predict_on_batch(sample_around(points, radius, 12, 5).astype('float32'))
        np.testing.assert_allclose(assessed['images'][i], images, atol=1e-5)
        np.testing.assert_array_equal(assessed['read'][i], judge.predict_on_batch(images).argmax(axis=1))
        assert assessed['share'][i] == list(assessed['read'][i]).count(3) / 12
        assert assessed['diversity'][i] == pytest.approx(mean_pixel_distance(images), rel=1e-4)
    assert len(set(assessed['read'][1])) > 1 and assessed['diversity'][1] > assessed['diversity'][0]


@pytest.mark.parametrize('share, agreement, expected', [
    ([1, 0.97, 0.9, 0.96], 0.95, 1), ([1, 0.97, 0.9, 0.96], 0.9, 3), ([1, 0.95, 0.94], 0.95, 1), ([1, 1, 1], 0.95, 2),
    ([1], 0.95, 0), ([0.97, 0.9], 0.95, 0), ([0.9, 1, 1], 0.95, None)])
def test_widest_radius(share, agreement, expected):
    assert widest_radius({'radii': np.arange(1, len(share) + 1), 'share': np.array(share)}, agreement) == expected


def test_many_searches_have_no_journal(tmp_path):
    def optimizer_for(target, seed):
        return create_optimizer(quadratic, SQUARE, seed, journal=tmp_path / f'{target}-{seed}.csv')

    with pytest.raises(ValueError, match='A journal belongs to one process'):
        run_searches(optimizer_for, [0], [0, 1], max_iter=1)
