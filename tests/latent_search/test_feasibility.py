"""Proposals are made where experiments are likely to succeed."""

import numpy as np
import pytest
from helpers import BOX, bound, sample, to_unit_box, wavy
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import Matern

from latent_search import create_grid, create_optimizer
from latent_search.acquisition import SpacedExpectedImprovement
from latent_search.gaussian_process import GaussianProcess, SquaredGaussianProcess

pytestmark = pytest.mark.usefixtures('one_thread')
SPACING = SpacedExpectedImprovement.spacing


def acquisition(model, failed=()):
    np.random.seed(0)
    return SpacedExpectedImprovement(model, None, None, failed)


def success(model, failed, t):
    """The probability that an experiment succeeds, by Laplace's rule with one success assumed."""
    d = t.shape[1]
    kernel = Matern(0.1 * np.sqrt(d), nu=2.5)
    successes, failures = (kernel(to_unit_box(t), to_unit_box(points)).sum(axis=1) if len(points) else np.zeros(len(t))
                           for points in (model.X, failed))
    return (successes + 1) / (successes + failures + 1)


@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared'])
def test_success_is_certain_until_something_has_failed(name, request, rng):
    t, model = sample(rng, 7), request.getfixturevalue(name)

    np.testing.assert_array_equal(acquisition(model).probability_of_feasibility(t), np.ones(7))
    np.testing.assert_array_equal(acquisition(model, np.empty((0, 2))).probability_of_feasibility(t), np.ones(7))


@pytest.mark.parametrize('failures', [0, 1, 2, 9])
@pytest.mark.parametrize('successes', [0, 1, 4])
def test_success_where_nothing_else_is_known(successes, failures):
    end = np.full((1, 1), BOX[0, 1])
    # These are all 9 length scales from the end, and what is pending is no success.
    x = np.vstack((BOX[0, 0] + np.linspace(0, 0.5, 10)[:, np.newaxis], np.repeat(end, successes, axis=0)))
    model = GaussianProcess(BOX[:1], pending=end).fit(x, wavy(x))

    probability = acquisition(model, [end[0]] * failures).probability_of_feasibility(np.vstack((end, x[:1])))

    np.testing.assert_allclose(probability, [(successes + 1) / (successes + failures + 1), 1], rtol=1e-4)


@pytest.mark.parametrize('d', [1, 2, 5])
def test_success_is_by_laplaces_rule(d, rng):
    x, failed = sample(rng, 20, d), sample(rng, 6, d)
    failed = np.vstack((failed, failed[:1], x[:2]))
    model = GaussianProcess(BOX[:d], pending=sample(rng, 3, d)).fit(x, wavy(x))
    t = np.vstack((sample(rng, 200, d), failed, x))

    probability = acquisition(model, failed).probability_of_feasibility(t)

    assert probability.shape == (len(t),)
    np.testing.assert_allclose(probability, success(model, failed, t), rtol=1e-9)
    assert 0 < probability.min() < 0.8 and 0.9 < probability.max() <= 1


@pytest.mark.parametrize('matters, above, spacing', [(-1, 0.03, SPACING), (np.inf, 0, 1e-5)])
@pytest.mark.parametrize('settings', KINDS)
def test_proposal_has_nearly_the_highest_improvement_where_success_is_likely(settings, matters, above, spacing, rng,
                                                                             monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', matters)
    grid = create_grid(BOX[:2], points=100)[2]

    for _ in range(5):
        search = create_optimizer(None, BOX[:2], **settings)
        search.X = sample(rng, 17)
        search.Y = wavy(search.X)
        # Failures around where the improvement is highest.
        best = search.suggest_next_locations()
        around = best + 0.03 * np.ptp(BOX[:2], axis=1) * rng.normal(size=(12, 2))
        search.failed = around.clip(*BOX[:2].T)
        model = (SquaredGaussianProcess(BOX[:2], bound) if 'lower_bound' in settings
                 else GaussianProcess(BOX[:2], **settings))
        fitted(model, search.X, search.Y)
        threshold = model.incumbent() + above * search.Y.std()
        t = grid[(cdist(to_unit_box(grid), to_unit_box(model.X)).min(axis=1) >= spacing)
                 & (success(model, search.failed, grid) > 0.5)]

        proposal = search.suggest_next_locations()

        assert success(model, search.failed, best) < 0.5 < success(model, search.failed, proposal)
        # The highest is often at the border, where random points are all that there is.
        assert (model.log_ei(t, threshold) > model.log_ei(proposal, threshold)).mean() < 0.01
        assert 1000 < len(t) < 9900


@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared'])
def test_proposal_where_all_is_likely_to_fail(name, request):
    model = request.getfixturevalue(name)
    # More and more failures to the right.
    grid = create_grid(BOX[:2], points=12)[2]
    failed = grid[np.repeat(np.arange(len(grid)), 2 + 10 * to_unit_box(grid)[:, 0].astype(int))]
    failed = np.vstack((failed, model.X, model.X))
    probability = success(model, failed, create_grid(BOX[:2], points=50)[2])

    proposal, cost = acquisition(model, failed).optimize()

    assert proposal.shape == (1, 2) and cost.shape == (1, 1) and probability.max() < 0.5
    assert success(model, failed, proposal) > np.quantile(probability, 0.98)


def test_what_is_likely_to_fail_promises_no_improvement(rng, monkeypatch):
    x = sample(rng, 17)
    model = GaussianProcess(BOX[:2]).fit(x, wavy(x))
    grid = create_grid(BOX[:2], points=40)[2]
    improvement = model.log_ei(grid, model.incumbent())[:, 0]
    failed = np.repeat(grid[improvement > improvement.max() - 1.5], 2, axis=0)
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance',
                        np.exp(improvement.max() - 1) / model.Y.std())

    for failures, above in ((failed[:0], 0.03), (failed, 0)):
        proposal, cost = acquisition(model, failures).optimize()
        expected = model.log_ei(proposal, model.incumbent() + above * model.Y.std())
        assert proposal.shape == (1, 2) and cost.shape == (1, 1)
        np.testing.assert_allclose(-cost, expected, rtol=1e-6)
        assert success(model, failures, proposal) > 0.5


@pytest.mark.parametrize('matters', [-1, np.inf])
@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared'])
def test_one_failure_among_successes_is_bad_luck(name, matters, request, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', matters)
    model = request.getfixturevalue(name)
    first = acquisition(model).optimize()[0]

    again = acquisition(model, first).optimize()[0]

    assert success(model, first, first) > 0.5
    assert cdist(to_unit_box(again), to_unit_box(first)) < SPACING / 2


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


@pytest.mark.parametrize('settings', [{}, {'noisy': True}, ZERO_BOUND])
def test_failures_move_proposals_away(settings, rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', -1)
    search = create_optimizer(None, BOX[:2], **settings)
    X = sample(rng, 17)
    search.Y = wavy(search.X)

    points, _ = fail(search, lambda u: True, 40)

    from_first = np.linalg.norm(points - points[0], axis=1)
    assert len(search.failed) == 40 and len(search.X) == 17 and not search.pending
    assert (from_first < 0.05).sum() < 10 and np.median(from_first[-20:]) > 0.1


@pytest.mark.parametrize('radius', [0.02, 0.15])
@pytest.mark.parametrize('settings', [{}, {'noisy': True}, ZERO_BOUND])
def test_a_converged_search_does_not_stay_where_all_fails(settings, radius, rng):
    search = create_optimizer(None, BOX[:2], **settings)
    u = rng.uniform(size=(30, 2))
    u = u[np.linalg.norm(u - 0.4, axis=1) > radius]
    search.add_known(BOX[:2, 0] + u * np.ptp(BOX[:2], axis=1), ((u - 0.4) ** 2).sum(axis=1, keepdims=True))

    points, failed = fail(search, lambda u: np.linalg.norm(u - 0.4) < radius, 30)

    assert failed.any() and (~failed).sum() >= 8
    best = points[~failed][np.linalg.norm(points[~failed] - 0.4, axis=1).argmin()]
    assert np.linalg.norm(best - 0.4) < radius + 0.1


def test_success_at_an_evaluated_corner_alone():
    x = np.array([[0.0], [0.5], [0.7], [1.0]])
    model = GaussianProcess(np.array([[0.0, 1.0]])).fit(x, x)
    # Success is likely within 1e-6 of the corner, which is evaluated, and nowhere else.
    failed = np.r_[np.repeat(np.linspace(0.2, 1, 60), 2), 0.0884442126078136][:, np.newaxis]

    proposal, _ = acquisition(model, failed).optimize()

    assert 0 <= proposal.item() <= 1
