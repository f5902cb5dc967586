"""What lets a search take any function: the model of logarithms, fits at fixed numbers, subsets."""

import copy
import functools

import numpy as np
import pytest
from helpers import BOX, sample, to_unit_box, wavy
from model_helpers import InBox, assert_gradient_is_right, expectation, log_prior, of_logarithms, of_squares
from scipy.stats import multivariate_normal
from sklearn.gaussian_process.kernels import Matern

from latent_search import create_optimizer
from latent_search.acquisition import SpacedExpectedImprovement
from latent_search.gaussian_process import representative
from latent_search.hyperparameters import Hyperparameters
from latent_search.outcomes import Values, outcome_scale

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def model(rng):
    x = sample(rng, 15, 2)
    return of_logarithms(BOX[:2]).fit(x, np.exp(2 * wavy(x)))


class OfG(Values):
    variance_factor = 1.0


def model_of_g(x, g):
    return InBox(BOX[:2], [lambda y, unit: OfG()]).fit(x, g)


def of_logarithm(model, t):
    """Mean and standard deviation of g, in f = lowest + scale (exp(g) - 1), by a model of its values."""
    lowest, scale = outcome_scale(model.Y[:, 0])
    plain = model_of_g(model.X, np.log1p((model.Y - lowest) / scale))
    return np.hstack(plain.predict(t))


def test_scale_is_that_of_the_median():
    assert outcome_scale(np.array([5.0, 1.0, 3.0, 100.0, 2.0])) == (1.0, 2.0)
    assert outcome_scale(np.array([1.0, 1.0, 1.0, 5.0])) == (1.0, 1.0)
    assert outcome_scale(np.array([7.0, 7.0])) == (7.0, 1.0)


def test_predictions_are_the_moments(model, rng):
    """Near the evaluations: the moments far from all are beyond what the sums of `expectation` reach."""
    lowest, scale = outcome_scale(model.Y[:, 0])
    t = model.X + rng.normal(0, 0.02, model.X.shape)
    moments = [[expectation(lambda g: lowest + scale * np.expm1(g), *g),
                expectation(lambda g: (lowest + scale * np.expm1(g)) ** 2, *g)] for g in of_logarithm(model, t)]
    first, second = np.array(moments).T[:, :, np.newaxis]

    mean, std = model.predict(t)

    np.testing.assert_allclose(mean, first, rtol=1e-5)
    np.testing.assert_allclose(std, np.sqrt(second - first ** 2), rtol=1e-3)


def test_improvement_is_the_expectation(model, rng):
    lowest, scale = outcome_scale(model.Y[:, 0])
    best = model.incumbent()
    t = sample(rng, 20, 2)
    expected = [expectation(lambda g: scale * (np.exp(best) - np.exp(g)), *moments, high=best)
                for moments in of_logarithm(model, t)]

    np.testing.assert_allclose(model.expected_improvement(t)[:, 0], expected, rtol=1e-4, atol=1e-9 * scale)


def test_gradient_of_log_ei(model, rng):
    for point in sample(rng, 20, 2):
        assert_gradient_is_right(model, point, model.incumbent() + 0.3 * model.spread)


def test_several_thresholds_at_once(model, rng):
    t, thresholds = sample(rng, 20, 2), model.incumbent() + np.array([0.0, 0.5])

    together = model.log_ei(t, thresholds)

    np.testing.assert_array_equal(together, np.hstack([model.log_ei(t, threshold) for threshold in thresholds]))


def plane(x):
    return x[:, :1] - x[:, 1:]


@pytest.mark.parametrize('function, unit', [(plane, 1e4), (lambda x: np.exp(3 * wavy(x)), 1.0)])
def test_logarithms_or_values_whichever_are_more_probable(function, unit, rng):
    x = sample(rng, 25, 2)
    y = function(x)
    lowest, scale = outcome_scale(y[:, 0])
    densities = {}
    for each in (1.0, 1e4):
        g = np.log1p((y - lowest) / (each * scale))
        model = model_of_g(x, g)
        correlation = Matern(model.length_scales, nu=2.5)(to_unit_box(x)) + 1e-6 * np.eye(25)
        of_g = multivariate_normal(np.full(25, model.constant), model.variance * correlation).logpdf(g[:, 0])
        densities[each] = (of_g - np.log(each * scale + y - lowest).sum()  # dg / dy
                           + log_prior(np.log(model.length_scales)))

    assert max(densities, key=densities.get) == unit
    assert of_logarithms(BOX[:2]).fit(x, y).model.kind.name == str((1.0, 1e4).index(unit))


def test_a_model_is_fitted_anew_to_other_evaluations(rng):
    x, other = sample(rng, 15, 2), sample(rng, 15, 2)
    model = of_logarithms(BOX[:2]).fit(x, wavy(x)).fit(other, wavy(other))

    np.testing.assert_array_equal(model.length_scales,
                                  of_logarithms(BOX[:2]).fit(other, wavy(other)).length_scales)


def test_a_copy_that_goes_on_differently_fits_its_own_model():
    search = create_optimizer(None, BOX[:2])
    points = sample(np.random.default_rng(0), 20, 2)
    search.add_known(points[:9], wavy(points[:9]))
    search.ask()
    other = copy.copy(search)
    for each, values in ((search, wavy), (other, lambda t: wavy(t[:, ::-1]))):
        each.add_known(points[9:], values(points[9:]))
    resumed = create_optimizer(None, BOX[:2])
    resumed.restore(other.events)

    search.suggest_next_locations()

    np.testing.assert_array_equal(other.suggest_next_locations(), resumed.suggest_next_locations())


def test_what_a_noisy_search_recommends_is_not_luck(rng):
    search = create_optimizer(None, BOX[:2], noisy=True)
    x = sample(rng, 60, 2)
    u = to_unit_box(x)
    values = ((u - 0.4) ** 2).sum(axis=1, keepdims=True) + 0.05 * rng.normal(size=(60, 1))
    lucky = np.linalg.norm(u - 0.9, axis=1).argmin()
    values[lucky] = values.min() - 0.1
    search.add_known(x, values)
    mean, std, _ = search.posterior(x)

    t, best, uncertainty = search.recommend()

    np.testing.assert_array_equal(t, x[mean.argmin()])
    assert (best, uncertainty) == (mean.min(), std[mean.argmin()])
    assert np.linalg.norm(to_unit_box(t) - 0.4) < 0.2 and search.x_opt.tolist() == x[lucky].tolist()


@pytest.mark.parametrize('settings', [{}, {'lower_bound': lambda t: np.zeros((len(t), 1))}])
def test_an_exact_search_recommends_its_lowest_value(settings):
    search = create_optimizer(lambda t: np.exp(200 * to_unit_box(t).sum()), BOX[:2], **settings)
    with pytest.raises(ValueError, match='0 evaluations, and a posterior needs 6'):
        search.recommend()

    search.run(15)

    t, best, uncertainty = search.recommend()
    assert t.tolist() == search.x_opt.tolist() and (best, uncertainty) == (search.fx_opt, 0)


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('d', [1, 2, 5])
def test_equal_values(d):
    search = create_optimizer(lambda t: 3.0, BOX[:d])

    search.run(16)

    assert len(np.unique(search.X, axis=0)) == 16


def test_units_and_steepness_make_no_difference():
    """The logarithm of the differences from the lowest value is the same."""
    def rising(t):
        return ((t - 0.3) ** 2).sum()

    searches = [create_optimizer(f, BOX[:2]) for f in (rising, lambda t: 1e6 * rising(t) - 5)]
    for search in searches:
        search.run(12)

    np.testing.assert_allclose(searches[0].X, searches[1].X, atol=1e-2)


def test_all_evaluations_are_in_a_small_model(rng):
    np.testing.assert_array_equal(representative(rng.normal(size=300), 300), np.arange(300))


@pytest.mark.parametrize('n', [301, 777, 5000])
def test_subset_holds_the_lowest_and_some_of_all_others(n, rng):
    y = rng.normal(size=n)

    chosen = representative(y, 300)

    assert len(set(chosen)) == len(chosen) and 220 <= len(chosen) <= 300 and (np.diff(chosen) > 0).all()
    assert set(np.argsort(y)[:150]) <= set(chosen)
    others = np.setdiff1d(chosen, np.argsort(y)[:150])
    assert np.quantile(others, [0.25, 0.5, 0.75]) == pytest.approx(np.array([0.25, 0.5, 0.75]) * n, abs=0.15 * n)


def test_subset_stays_when_a_high_value_is_added(rng):
    y = rng.normal(size=400)

    np.testing.assert_array_equal(representative(np.r_[y, 9.0], 300)[:-1], representative(y, 300)[:len(
        representative(np.r_[y, 9.0], 300)) - 1])


class Fits:
    """A likelihood whose parameters say how they were fitted."""

    def __init__(self):
        self.made = []

    def __call__(self, count):
        self.made.append(count)
        return self

    def maximise(self, start):
        return (start or ()) + (self.made[-1],)


@pytest.mark.parametrize('num, chain', [(7, (7,)), (31, (31,)), (33, (32,)), (37, (35,)), (64, (64,)), (69, (64,)),
                                        (83, (64, 70, 76, 82)), (1100, (1024,))])
def test_parameters_depend_on_the_number_only(num, chain):
    after_others, alone = Hyperparameters(), Hyperparameters()
    for before in range(6, num):
        after_others.at(before, Fits(), 'kind')

    assert alone.at(num, Fits(), 'kind') == after_others.at(num, Fits(), 'kind') == chain


def test_parameters_are_fitted_once():
    hyperparameters, fits = Hyperparameters(), Fits()
    for num in range(64, 83):
        hyperparameters.at(num, fits, 'kind')

    assert fits.made == [64, 70, 76, 82]


@pytest.mark.parametrize('d', [2, 10])
def test_a_resumed_search_proposes_the_same(d):
    whole = create_optimizer(lambda t: ((t - 0.3) ** 2).sum(), BOX[:1].repeat(d, axis=0))
    whole.run(80)
    resumed = create_optimizer(None, whole.domain)
    resumed.restore(whole.events)

    np.testing.assert_array_equal(resumed.ask()[0].t, whole.ask()[0].t)


def bowl(t):
    return ((t - 0.5) ** 2).sum(axis=1, keepdims=True)


@pytest.mark.parametrize('model', [of_logarithms, functools.partial(of_squares, lower_bound=bowl)])
def test_proposals_leave_the_corner_of_the_evaluations(model, rng):
    x = rng.uniform(0.8, 1.0, (20, 10))
    fitted = model(np.array([(0.0, 1.0)] * 10)).fit(x, bowl(x) + 0.01)

    proposal = SpacedExpectedImprovement(fitted.model, x[:0]).propose(np.random.RandomState(0))

    assert proposal.min() < 0.5


def test_a_search_in_two_hundred_dimensions(rng):
    def sphere(t):
        return ((t - 0.3) ** 2).sum()

    search = create_optimizer(sphere, [(-1.0, 1.0)] * 200)
    search.run(40)

    assert search.fx_opt < 0.6 * min(map(sphere, rng.uniform(-1, 1, (40, 200))))


def test_a_thousand_known_results_in_many_dimensions(rng):
    search = create_optimizer(None, [(0.0, 1.0)] * 196)
    x = rng.uniform(size=(1000, 196))
    search.add_known(x, ((x - 0.3) ** 2).sum(axis=1, keepdims=True))

    (_, t), = search.ask()

    assert t.shape == (1, 196) and (t >= 0).all() and (t <= 1).all()
