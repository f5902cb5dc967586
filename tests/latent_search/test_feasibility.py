"""Proposals are made where experiments are likely to succeed."""

import numpy as np
import pytest
from helpers import BOX, SETTINGS, ZERO_BOUND, bound, from_unit_box, sample, search_with, to_unit_box, wavy
from model_helpers import of_logarithms, of_squares, of_values
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import Matern

from latent_search import create_grid, create_optimizer, distinct_distance
from latent_search.acquisition import SpacedExpectedImprovement, probability_of_success

pytestmark = pytest.mark.usefixtures('one_thread')
SPACING = distinct_distance


def feasibility(model, failed, t):
    """The probability that an experiment succeeds, by the acquisition function."""
    return probability_of_success(unit(model, t), model.model.u, unit(model, failed))


def unit(model, t):
    return (np.reshape(t, (-1, len(model.domain))) - model.low) / model.width


def propose(model, failed=()):
    u = SpacedExpectedImprovement(model.model, unit(model, failed)).propose(np.random.RandomState(0))
    return (model.low + model.width * u)[np.newaxis]


def success(model, failed, t):
    """The probability that an experiment succeeds, by Laplace's rule.

    One success is assumed, or a share of one where most have failed.
    """
    d, share = t.shape[1], (1 + len(model.X)) / (1 + len(model.X) + len(failed))
    assumed = 1 if share >= 0.5 else share
    kernel = Matern(0.1 * np.sqrt(d), nu=2.5)
    successes, failures = (kernel(to_unit_box(t), to_unit_box(points)).sum(axis=1) if len(points) else np.zeros(len(t))
                           for points in (model.X, failed))
    return (successes + assumed) / (successes + failures + 1)


def promise(model, failed, t, threshold):
    """The logarithm of the expected improvement times the probability of success, (n,)."""
    return model.log_ei(t, threshold)[:, 0] + np.log(success(model, failed, t))


@pytest.mark.parametrize('name', ['logarithmic', 'noisy', 'squared'])
def test_success_is_certain_until_something_has_failed(name, request, rng):
    t, model = sample(rng, 7), request.getfixturevalue(name)

    np.testing.assert_array_equal(feasibility(model, (), t), np.ones(7))
    np.testing.assert_array_equal(feasibility(model, np.empty((0, 2)), t), np.ones(7))


@pytest.mark.parametrize('failures', [0, 1, 2, 9])
@pytest.mark.parametrize('successes', [0, 1, 4])
def test_success_where_nothing_else_is_known(successes, failures):
    end = np.full((1, 1), BOX[0, 1])
    # These are all 9 length scales from the end, and what is pending is no success.
    x = np.vstack((BOX[0, 0] + np.linspace(0, 0.5, 10)[:, np.newaxis], np.repeat(end, successes, axis=0)))
    model = of_values(BOX[:1], pending=end).fit(x, wavy(x))

    probability = feasibility(model, [end[0]] * failures, np.vstack((end, x[:1])))

    np.testing.assert_allclose(probability, [(successes + 1) / (successes + failures + 1), 1], rtol=1e-4)


@pytest.mark.parametrize('d', [1, 2, 5])
def test_success_is_by_laplaces_rule(d, rng):
    x, failed = sample(rng, 20, d), sample(rng, 6, d)
    failed = np.vstack((failed, failed[:1], x[:2]))
    model = of_values(BOX[:d], pending=sample(rng, 3, d)).fit(x, wavy(x))
    t = np.vstack((sample(rng, 200, d), failed, x))

    probability = feasibility(model, failed, t)

    assert probability.shape == (len(t),)
    np.testing.assert_allclose(probability, success(model, failed, t), rtol=1e-9)
    assert 0 < probability.min() < 0.8 and 0.9 < probability.max() <= 1


@pytest.mark.parametrize('matters, above, spacing', [(-1, 0.03, SPACING), (np.inf, 0, 1e-5)])
@pytest.mark.parametrize('settings', [{}, {'noisy': True}, {'lower_bound': bound}])
def test_proposal_has_nearly_the_highest_improvement_where_success_is_likely(settings, matters, above, spacing, rng,
                                                                             monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', matters)
    grid = create_grid(BOX[:2], points=100)[2]

    for _ in range(5):
        x = sample(rng, 17)
        best = search_with(x, wavy(x), domain=BOX[:2], **settings).suggest_next_locations()
        # Failures around where the improvement is highest.
        around = best + 0.03 * np.ptp(BOX[:2], axis=1) * rng.normal(size=(12, 2))
        search = search_with(x, wavy(x), around.clip(*BOX[:2].T), BOX[:2], **settings)
        model = (of_squares(BOX[:2], bound) if 'lower_bound' in settings
                 else (of_values if settings else of_logarithms)(BOX[:2], **settings))
        model.fit(x, wavy(x))
        threshold = model.incumbent() + above * model.spread
        t = grid[(cdist(to_unit_box(grid), to_unit_box(model.X)).min(axis=1) >= spacing)
                 & (success(model, search.failed, grid) > 0.5)]

        proposal = search.suggest_next_locations()

        assert success(model, search.failed, best) < 0.5 < success(model, search.failed, proposal)
        # The highest is often at the border, where random points are all that there is.
        assert (promise(model, search.failed, t, threshold)
                > promise(model, search.failed, proposal, threshold)).mean() < 0.01
        assert 1000 < len(t) < 9900


@pytest.mark.parametrize('name', ['logarithmic', 'noisy', 'squared', 'noisy_squared'])
def test_proposal_where_all_is_likely_to_fail(name, request):
    model = request.getfixturevalue(name)
    # More and more failures to the right.
    grid = create_grid(BOX[:2], points=12)[2]
    failed = grid[np.repeat(np.arange(len(grid)), 2 + 10 * to_unit_box(grid)[:, 0].astype(int))]
    failed = np.vstack((failed, model.X, model.X))
    probability = success(model, failed, create_grid(BOX[:2], points=50)[2])

    proposal = propose(model, failed)

    assert proposal.shape == (1, 2) and probability.max() < 0.5
    assert success(model, failed, proposal) > np.quantile(probability, 0.98)


def test_what_is_likely_to_fail_promises_no_improvement(rng, monkeypatch):
    x = sample(rng, 17)
    model = of_logarithms(BOX[:2]).fit(x, wavy(x))
    grid = create_grid(BOX[:2], points=40)[2]
    improvement = model.log_ei(grid, model.incumbent())[:, 0]
    failed = np.repeat(grid[improvement > improvement.max() - 1.5], 2, axis=0)
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance',
                        np.exp(improvement.max() - 1) / model.spread)

    for failures, above in ((failed[:0], 0.03), (failed, 0)):
        proposal = propose(model, failures)
        promised = promise(model, failures, np.vstack((proposal, grid)), model.incumbent() + above * model.spread)
        likely = success(model, failures, grid) > 0.5
        assert proposal.shape == (1, 2) and success(model, failures, proposal) > 0.5
        assert promised[0] > np.quantile(promised[1:][likely], 0.98)


@pytest.mark.parametrize('matters', [-1, np.inf])
@pytest.mark.parametrize('model', [of_logarithms(BOX[:1]), of_values(BOX[:1], noisy=True),
                                   of_squares(BOX[:1], **ZERO_BOUND)], ids=['logarithms', 'noisy', 'squares'])
def test_one_failure_where_much_is_promised_is_bad_luck(model, matters, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', matters)
    u = np.linspace(0, 1, 5)[:, np.newaxis]
    model.fit(from_unit_box(u), (u - 0.4) ** 2)
    first = propose(model)
    often = np.repeat(first, 3, axis=0)

    again, elsewhere = (propose(model, failed) for failed in (first, often))

    assert np.abs(to_unit_box(first) - 0.4) < 0.1 and np.abs(to_unit_box(again) - to_unit_box(first)) < 0.03
    assert success(model, often, first) <= 0.5 < success(model, often, elsewhere)


def fail(search, fails, num):
    """Proposals in units of the box's sides, and which of them failed: those where `fails` says so."""
    points, failed = [], []
    for _ in range(num):
        experiment, = search.ask()
        points.append(to_unit_box(experiment.t)[0])
        failed.append(fails(points[-1]))
        if failed[-1]:
            search.tell_failed(experiment.number)
        else:
            search.tell(experiment.number, ((points[-1] - 0.4) ** 2).sum())
    return np.array(points), np.array(failed)


@pytest.mark.parametrize('settings', [{}, *(pytest.param(settings, marks=pytest.mark.slow)
                                             for settings in SETTINGS[1:])])
def test_failures_move_proposals_away(settings, rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', -1)
    x = sample(rng, 17)
    search = search_with(x, wavy(x), domain=BOX[:2], **settings)

    points, _ = fail(search, lambda u: True, 40)

    from_first = np.linalg.norm(points - points[0], axis=1)
    assert len(search.failed) == 40 and len(search.X) == 17 and not search.pending
    assert (from_first < 0.05).sum() < 10 and np.median(from_first[-20:]) > 0.1


@pytest.mark.parametrize('settings, radius', [({}, 0.02), *(pytest.param(settings, radius, marks=pytest.mark.slow)
                                                            for settings in SETTINGS for radius in (0.02, 0.15))])
def test_a_converged_search_does_not_stay_where_all_fails(settings, radius, rng):
    u = rng.uniform(size=(30, 2))
    u = u[np.linalg.norm(u - 0.4, axis=1) > radius]
    search = search_with(from_unit_box(u), ((u - 0.4) ** 2).sum(axis=1, keepdims=True), domain=BOX[:2], **settings)

    points, failed = fail(search, lambda u: np.linalg.norm(u - 0.4) < radius, 30)

    assert failed.any() and (~failed).sum() >= 8
    best = points[~failed][np.linalg.norm(points[~failed] - 0.4, axis=1).argmin()]
    assert np.linalg.norm(best - 0.4) < radius + 0.1


def test_success_at_an_evaluated_corner_alone():
    x = np.array([[0.0], [0.5], [0.7], [1.0]])
    model = of_values(np.array([[0.0, 1.0]])).fit(x, x)
    # Success is likely within 1e-6 of the corner, which is evaluated, and nowhere else.
    failed = np.r_[np.repeat(np.linspace(0.2, 1, 60), 2), 0.0884442126078136][:, np.newaxis]

    proposal = propose(model, failed)

    assert 0 <= proposal.item() <= 1


@pytest.mark.slow
@pytest.mark.parametrize('feasible', [lambda u: (u < 0.2236).all(), lambda u: u[0] > 0.95], ids=['corner', 'strip'])
def test_a_search_learns_where_nearly_everything_fails(feasible):
    """Where 95% of the box fails: 40 successes in 120 or more, median of three seeds."""
    successes = []
    for seed in range(3):
        optimizer = create_optimizer(None, [(0.0, 1.0)] * 2, seed)
        for _ in range(120):
            (number, t), = optimizer.ask()
            if feasible(t[0]):
                optimizer.tell(number, ((t - 0.4) ** 2).sum())
            else:
                optimizer.tell_failed(number)
        successes.append(len(optimizer.X))

    assert np.median(successes) >= 40
