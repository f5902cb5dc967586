"""Exact values that are no smooth function, and noisy ones of which one is wrong."""

import numpy as np
import pytest
from helpers import BOX, sample, to_unit_box, wavy
from model_helpers import of_exact, of_values, with_noise

from latent_search import create_optimizer
from latent_search.acquisition import SpacedExpectedImprovement, probability_of_novelty, reach_of_repeats
from latent_search.gaussian_process import jitter, without_outliers

pytestmark = pytest.mark.usefixtures('one_thread')


def smooth(t):
    return ((to_unit_box(t) - 0.4) ** 2).sum(axis=1, keepdims=True)


@pytest.fixture
def rough(rng):
    x = sample(rng, 50)
    return of_exact(BOX[:2]).fit(x, with_noise(rng, smooth(x), 0.1))


@pytest.mark.parametrize('objective', [smooth, wavy, lambda t: np.exp(9 * smooth(t))])
def test_smooth_values_have_no_rough_part(objective, rng):
    x = sample(rng, 40)
    model = of_exact(BOX[:2]).fit(x, objective(x))

    assert not model.model.kind.rough and model.model.process.roughness == 0 and model.noise == jitter


def test_rough_part_is_as_large_as_what_is_not_smooth(rough, rng):
    t = sample(rng, 200)

    mean, std = rough.predict(t)

    assert rough.model.kind.rough
    np.testing.assert_allclose(std, 0.1, rtol=0.5)
    assert np.sqrt(np.mean((mean - smooth(t)) ** 2)) < 0.06


def test_rough_values_are_exact_where_they_are_known(rough):
    mean, std = rough.predict(rough.X)

    np.testing.assert_allclose(mean, rough.Y, atol=1e-3 * rough.Y.std())
    assert std.max() < 0.01
    assert rough.incumbent() == pytest.approx(0, abs=1e-3 * rough.spread)
    assert rough.expected_improvement(rough.X).max() < 1e-3 < rough.expected_improvement(rough.X + 1e-4).max()


def test_pending_experiments_of_rough_values(rough, rng):
    t = sample(rng, 3)
    pending = np.vstack((t, t[:1], rough.X[:1]))
    model = of_exact(BOX[:2], pending=pending).fit(rough.X, rough.Y)

    assert model.model.kind.rough and model.predict(pending)[1].max() < 0.01 < model.predict(sample(rng, 50))[1].min()


def test_a_wrong_value_among_noisy_ones(rng):
    y = rng.normal(size=(40, 1))
    for wrong in (1e4, -1e4):
        told = y.copy()
        told[7] = wrong
        moved = without_outliers(told)
        others = np.delete(told, 7)
        assert moved[7] == (others.max() if wrong > 0 else others.min())
        np.testing.assert_array_equal(np.delete(moved, 7), others)
    np.testing.assert_array_equal(without_outliers(y), y)


@pytest.mark.parametrize('values', [[3.0] * 6, [0.0] * 8 + [1.0], [1.0] * 8 + [-5.0]])
def test_no_value_is_an_outlier_where_most_are_equal(values):
    np.testing.assert_array_equal(without_outliers(np.array(values)), values)


@pytest.mark.parametrize('bound', [None, lambda t: np.full((len(t), 1), -0.5)])
@pytest.mark.parametrize('wrong', [1e4, *(pytest.param(wrong, marks=pytest.mark.slow) for wrong in (100.0, -100.0))])
def test_a_wrong_value_does_not_change_what_is_recommended(wrong, bound):
    distances = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        search = create_optimizer(None, BOX[:2], seed, noisy=True, lower_bound=bound)
        for i in range(30):
            number, t = search.ask()[0]
            search.tell(number, wrong if i == 11 else with_noise(rng, smooth(t), 0.02))
        distances.append(np.linalg.norm(to_unit_box(search.recommend().t[np.newaxis]) - 0.4))

    assert np.median(distances) < 0.2


def test_reach_of_repeats():
    rng = np.random.default_rng(0)
    u = rng.uniform(size=(300, 2))
    in_cells = np.floor(10 * u)

    reach = reach_of_repeats(u, in_cells @ [1.0, 10.0])

    assert 0.03 < reach < 0.3
    assert reach_of_repeats(u, in_cells @ [1.0, 10.0] + rng.uniform(size=300)) == 0
    assert reach_of_repeats(u, np.maximum((u - 0.5).sum(axis=1), 0.0) * -1) == 0  # a plateau above the minimum
    np.testing.assert_array_equal(probability_of_novelty(np.array([0.0, 1e-5, 3.0]), 0.0), 1)
    assert (np.diff(probability_of_novelty(np.array([0.0, 0.01, 0.1, 1.0]), reach)) > 0).all()


def test_a_search_leaves_the_step_of_the_best_value():
    """Where all around the best value is that value again, proposals go further than that."""
    def steps(t):
        return smooth(BOX[:2, 0] + np.ptp(BOX[:2], axis=1) * (np.floor(8 * to_unit_box(t)) + 0.5) / 8)

    searches = [create_optimizer(steps, BOX[:2], seed) for seed in range(2)]
    for search in searches:
        search.run(40)

    assert np.mean([len(np.unique(np.floor(8 * to_unit_box(search.X)), axis=0)) for search in searches]) > 16


@pytest.mark.parametrize('model', [of_exact(BOX[:2]), of_values(BOX[:2], noisy=True)], ids=['exact', 'noisy'])
def test_repeated_values_matter_to_exact_searches_only(model, rng, monkeypatch):
    asked = []
    monkeypatch.setattr('latent_search.acquisition.reach_of_repeats', lambda *given: asked.append(given) or 0.0)
    x = sample(rng, 20)

    SpacedExpectedImprovement(model.fit(x, smooth(x)).model, x[:0])

    assert len(asked) == (0 if model.noisy else 1)
