"""Where a search looks next: spaced and refined proposals."""

from functools import partial

import numpy as np
import pytest
from helpers import BOX, SETTINGS, ZERO_BOUND, bound, from_unit_box, points_of, sample, search_with, to_unit_box, wavy
from model_helpers import of_logarithms, of_squares, of_values
from scipy.spatial.distance import cdist, pdist

from latent_search import create_grid, create_optimizer, distinct_distance
from latent_search.acquisition import SpacedExpectedImprovement

pytestmark = pytest.mark.usefixtures('one_thread')
SPACING = distinct_distance


def searched(domain, max_iter, minimum=0.4, **settings):
    low, width = domain[:, 0], np.ptp(domain, axis=1)

    def quadratic(t):
        return (((t - low) / width - minimum) ** 2).sum(axis=1, keepdims=True)

    search = create_optimizer(quadratic, domain, **settings)
    search.run_optimization(max_iter)
    assert (search.X >= domain[:, 0]).all() and (search.X <= domain[:, 1]).all()
    u = (search.X - low) / width
    # How far each proposal was from all evaluations before it.
    return search, np.array([cdist(u[[i]], u[:i]).min() for i in range(6, len(u))])


@pytest.mark.parametrize('minimum', [-0.5, 1.0])
def test_proposals_stay_in_the_box(minimum):
    search, _ = searched(BOX[:2], max_iter=10, minimum=minimum)

    corner = BOX[:2, 0] if minimum < 0 else BOX[:2, 1]
    assert np.abs(to_unit_box(search.X) - to_unit_box(corner)).max(axis=1).min() < 0.01


def test_proposals_of_both_kinds():
    search, nearest = searched(BOX[:2], max_iter=24)

    assert len(search.X) == 30
    assert (nearest < SPACING).any() and (nearest >= SPACING).any()
    turn = np.arange(6, 30) % SpacedExpectedImprovement.spaced_every == 0
    assert nearest[turn].min() >= SPACING * (1 - 1e-9)
    assert search.Y.min() < 1e-4


@pytest.mark.parametrize('d', [1, 2])
@pytest.mark.parametrize('settings', [{}, ZERO_BOUND])
def test_proposals_of_an_unconverged_search_are_spaced(d, settings, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', -1)

    search, nearest = searched(BOX[:d], max_iter=12, **settings)

    assert nearest.min() >= SPACING * (1 - 1e-9)


@pytest.mark.parametrize('matters, above, spacing', [(-1, 0.03, SPACING), (np.inf, 0, 0)])
@pytest.mark.parametrize('squares', [False, True])
def test_proposal_has_nearly_the_highest_expected_improvement(squares, matters, above, spacing, rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', matters)
    model = of_squares(BOX[:2], bound) if squares else of_logarithms(BOX[:2])
    grid = create_grid(BOX[:2], points=100)[2]
    missed = []

    for _ in range(8):
        x = sample(rng, 17)
        search = search_with(x, wavy(x), domain=BOX[:2], lower_bound=bound if squares else None)
        model.fit(x, wavy(x))
        threshold = model.incumbent() + above * model.spread
        t = grid[cdist(to_unit_box(grid), to_unit_box(search.X)).min(axis=1) >= spacing]
        proposal = search.suggest_next_locations()
        missed.append(model.log_ei(t, threshold).max() - model.log_ei(proposal, threshold).item())

    # One search in some dozens climbs another peak, nearly as high.
    assert sorted(missed)[-2] < 0.2 and max(missed) < 0.5


# One of these numbers of evaluations is the turn of a spaced proposal.
@pytest.mark.parametrize('n', [200, 201, 202, 203])
@pytest.mark.parametrize('settings', [{}, ZERO_BOUND])
def test_a_proposal_where_no_point_is_at_that_distance(settings, n):
    x = np.linspace(0, 1, n)[:, np.newaxis]
    search = search_with(x, (x - 0.3) ** 2, domain=[(0, 1)], **settings)

    proposal = search.suggest_next_locations()

    assert proposal.shape == (1, 1) and 0 <= proposal.item() <= 1


@pytest.mark.parametrize('bound', [None, lambda t: np.zeros((len(t), 1))])
@pytest.mark.parametrize('minimum', [0.0, *(pytest.param(minimum, marks=pytest.mark.slow) for minimum in (-0.5, 1.0))])
def test_no_point_is_evaluated_twice_where_the_minimum_is_in_a_corner(minimum, bound):
    search = create_optimizer(lambda t: ((t - minimum) ** 2).sum(axis=1, keepdims=True), [(0.0, 1.0)] * 2,
                              lower_bound=bound)
    search.run_optimization(30)

    assert pdist(search.X).min() >= 1e-5


# In floating point low + (high - low) is above high in the second of these boxes.
@pytest.mark.parametrize('low, high', [(0.0, 1.0), (-0.3, 0.1)])
@pytest.mark.parametrize('sign', [-1, 1])
def test_lower_bound_is_asked_only_inside_the_box(low, high, sign):
    asked = []

    def bound(t):
        asked.append(t)
        return np.full((len(t), 1), -5.0)

    search = create_optimizer(lambda t: sign * t.sum(axis=1, keepdims=True), [(low, high)] * 2, lower_bound=bound)
    search.run_optimization(10)

    asked = np.vstack(asked)
    assert asked.min() == low and asked.max() == high


def distances_to_those_before(search):
    """How far each pending experiment is from all evaluations, and from those that are pending for longer."""
    points = to_unit_box(np.vstack((search.X, points_of(search.pending))))
    return np.array([cdist(points[[i]], points[:i]).min() for i in range(len(search.X), len(points))])


@pytest.mark.parametrize('d', [1, 2])
@pytest.mark.parametrize('settings', [{}, {'noisy': True}, {'lower_bound': bound}])
def test_spaced_proposals_keep_their_distance_from_pending_ones(d, settings, rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', -1)
    x = sample(rng, 12, d)
    search = search_with(x, wavy(x), domain=BOX[:d], **settings)

    experiments = search.ask(10)

    assert len({experiment.t.tobytes() for experiment in experiments}) == 10
    assert distances_to_those_before(search).min() >= SPACING * (1 - 1e-9)


@pytest.mark.parametrize('settings', SETTINGS)
def test_proposals_take_turns_while_others_are_pending(settings, rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', np.inf)
    # Around the minimum a proposal that need not keep a distance from evaluations keeps none.
    u = np.vstack((create_grid([(0, 1)] * 2, points=4)[2], rng.uniform(0.37, 0.43, (10, 2))))
    values = 0.1 + ((u - 0.4) ** 2).sum(axis=1, keepdims=True)
    search = search_with(from_unit_box(u), values, domain=BOX[:2], **settings)

    proposed = to_unit_box(points_of(search.ask(8)))

    nearest = cdist(proposed, u).min(axis=1)
    turn = np.arange(26, 34) % SpacedExpectedImprovement.spaced_every == 0
    assert nearest[turn].min() >= SPACING * (1 - 1e-9)
    assert SpacedExpectedImprovement.min_distance * (1 - 1e-9) <= nearest[~turn].min() < SPACING
    # From pending ones both kinds keep their distance.
    assert pdist(proposed).min() >= SPACING * (1 - 1e-9)


def test_refined_proposals_keep_the_resolution_from_pending_ones(rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'convergence_tolerance', np.inf)
    monkeypatch.setattr(SpacedExpectedImprovement, 'spaced_every', 10 ** 6)
    monkeypatch.setattr(SpacedExpectedImprovement, 'min_distance', 0.3)
    x = from_unit_box(rng.uniform(0, 0.1, (6, 2)))
    search = search_with(x, wavy(x), domain=BOX[:2])

    search.ask(6)

    assert distances_to_those_before(search).min() >= 0.3 * (1 - 1e-9)


# One of these numbers of experiments is the turn of a spaced proposal.
@pytest.mark.parametrize('n', [64, 65, 66, 67])
@pytest.mark.parametrize('model', [of_logarithms, partial(of_values, noisy=True),
                                   partial(of_squares, **ZERO_BOUND)])
def test_a_proposal_where_no_point_is_at_that_distance_from_pending_ones(model, n):
    t = np.linspace(0, 1, n)[:, np.newaxis]
    pending, x = t[1:-1:2], np.union1d(t[::2], t[-1])[:, np.newaxis]
    model = model(np.array([[0.0, 1.0]]), pending=pending).fit(x, (x - 0.3) ** 2)
    between = np.linspace(0, 1, 10 ** 4)[:, np.newaxis]
    everything = np.vstack((x, pending))
    # There is room among the evaluations alone.
    assert cdist(between, x).min(axis=1).max() > SPACING > cdist(between, everything).min(axis=1).max()

    proposal = SpacedExpectedImprovement(model.model, t[2::3]).propose(np.random.RandomState(0))

    assert proposal.shape == (1,) and 0 <= proposal.item() <= 1
    assert 1e-5 <= cdist([proposal], everything).min() < SPACING


def test_lower_bound_is_never_asked_of_no_points():
    asked = []

    def bound(t):
        asked.append(len(t))
        return np.zeros((len(t), 1))

    x = np.linspace(0, 1, 201)[:, np.newaxis]
    search = search_with(x, (x - 0.3) ** 2, np.full((200, 1), 0.9), [(0, 1)], lower_bound=bound)
    search.ask(2)

    assert min(asked) > 0
