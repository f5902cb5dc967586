"""The Gaussian processes of exact values, against independent computations."""

import numpy as np
import pytest
from helpers import BOX, bound, sample, to_unit_box, wavy
from model_helpers import expectation, log_prior, of_squares, of_values, root_model
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from latent_search.gaussian_process import length_scale_prior

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.mark.parametrize('d', [1, 2, 5])
def test_predictions_are_those_of_scikit_learn(d, rng):
    x, t = sample(rng, 20, d), sample(rng, 50, d)
    y = wavy(x)
    model = of_values(BOX[:d]).fit(x, y)
    variance = model.variance / model.variance_factor
    oracle = GaussianProcessRegressor(ConstantKernel(variance) * Matern(model.length_scales, nu=2.5),
                                      alpha=1e-6 * variance, optimizer=None)
    oracle.fit(to_unit_box(x), y[:, 0] - model.constant)

    mean, std = model.predict(t)
    expected, expected_std = oracle.predict(to_unit_box(t), return_std=True)

    assert mean.shape == std.shape == (50, 1)
    np.testing.assert_allclose(mean[:, 0], model.constant + expected, rtol=1e-6, atol=1e-6 * y.std())
    np.testing.assert_allclose(std[:, 0], np.sqrt(2) * expected_std, rtol=1e-4)


@pytest.mark.parametrize('d', [1, 2, 5])
def test_fit_is_a_maximum_of_the_posterior_density(d, rng):
    x = sample(rng, 20, d)
    y = wavy(x)
    model = of_values(BOX[:d]).fit(x, y)
    fit = np.r_[model.constant, np.log(model.variance / 2), np.log(model.length_scales)]

    def log_density(parameters):
        constant, log_variance, log_length_scales = parameters[0], parameters[1], parameters[2:]
        correlation = Matern(np.exp(log_length_scales), nu=2.5)(to_unit_box(x)) + 1e-6 * np.eye(20)
        return (multivariate_normal(np.full(20, constant), np.exp(log_variance) * correlation).logpdf(y[:, 0])
                + log_prior(log_length_scales))

    steps = np.diag(np.r_[y.std(), np.ones(d + 1)])
    central = [(log_density(fit + 1e-4 * step) - log_density(fit - 1e-4 * step)) / 2e-4 for step in steps]

    assert (np.log(2e-3) < fit[2:]).all() and (fit[2:] < np.log(10 * np.sqrt(d))).all()
    np.testing.assert_allclose(central, 0, atol=0.01)
    assert all(log_density(fit + 0.2 * sign * step) < log_density(fit) for step in steps for sign in (-1, 1))


@pytest.mark.parametrize('d', [1, 3, 30])
def test_prior_of_the_length_scales(d, rng):
    prior = length_scale_prior
    a, b = rng.normal(size=(2, d))
    (of_a, gradient), (of_b, _) = prior.negative_log_density(a), prior.negative_log_density(b)

    assert of_a - of_b == pytest.approx(log_prior(b) - log_prior(a))
    central = [(prior.negative_log_density(a + step)[0] - prior.negative_log_density(a - step)[0]) / 2e-5
               for step in 1e-5 * np.eye(d)]
    np.testing.assert_allclose(gradient, central, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('name', ['gp', 'squared'])
def test_exact_values_are_interpolated(name, request, rng):
    model = request.getfixturevalue(name)

    mean, std = model.predict(model.X)

    np.testing.assert_allclose(mean, model.Y, atol=1e-3 * model.Y.std())
    assert std.max() < 0.02 * model.predict(sample(rng, 100))[1].max()
    assert model.incumbent() == pytest.approx(mean.min(), abs=1e-9)


def test_units_of_the_values_make_no_difference(gp, rng):
    t = sample(rng, 50)
    other = of_values(BOX[:2]).fit(gp.X, 300 * gp.Y - 5000)

    mean, std = gp.predict(t)
    other_mean, other_std = other.predict(t)

    np.testing.assert_allclose(other_mean, 300 * mean - 5000, atol=0.3 * gp.Y.std())
    np.testing.assert_allclose(other_std, 300 * std, rtol=1e-3)


@pytest.mark.parametrize('name', ['gp', 'squared'])
def test_units_of_the_box_make_no_difference(name, request, rng):
    model = request.getfixturevalue(name)
    scale, shift, t = np.array([50.0, 0.03]), np.array([-7.0, 2.0]), sample(rng, 50)
    domain = scale[:, np.newaxis] * BOX[:2] + shift[:, np.newaxis]
    other = (of_values(domain) if name == 'gp'
             else of_squares(domain, lambda t: bound((t - shift) / scale)))
    other.fit(scale * model.X + shift, model.Y)

    np.testing.assert_allclose(other.length_scales, model.length_scales, rtol=1e-4)
    np.testing.assert_allclose(other.predict(scale * t + shift), model.predict(t), rtol=1e-4)


def test_equal_values(rng):
    x, t = sample(rng, 10), sample(rng, 20)
    model = of_values(BOX[:2]).fit(x, np.full((10, 1), 7.0))

    mean, std = model.predict(t)

    np.testing.assert_allclose(mean, 7)
    assert (std > 0).all() and np.isfinite(model.log_ei(t, 7.0)).all()


def test_squared_predictions_are_the_moments(squared, rng):
    t = sample(rng, 20)
    moments = [[expectation(lambda g: g * g / 2, *g), expectation(lambda g: g ** 4 / 4, *g)]
               for g in np.hstack(root_model(squared).predict(t))]
    first, second = np.array(moments).T[:, :, np.newaxis]

    mean, std = squared.predict(t)

    assert mean.shape == std.shape == (20, 1)
    np.testing.assert_allclose(mean, bound(t) + first, rtol=1e-6)
    np.testing.assert_allclose(std, np.sqrt(second - first ** 2), rtol=1e-4)


def test_mean_is_never_below_the_bound(gp, squared, rng):
    t = sample(rng, 2000)

    assert (squared.predict(t)[0] >= bound(t)).all()
    assert (gp.predict(t)[0] < bound(t)).any()
