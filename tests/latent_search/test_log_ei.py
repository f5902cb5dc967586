"""The logarithm of the expected improvement and its gradient, against integrals and finite differences."""

import numpy as np
import pytest
from helpers import BOX, bound, sample, wavy
from model_helpers import (
    PENDING,
    assert_gradient_is_right,
    conditioned,
    expectation,
    log_standard_improvement,
    observed,
    of_squares,
    of_values,
    refitted,
    root_model,
)
from scipy.stats import norm

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.mark.parametrize('z', [-5.0, -1.5, -1.0, -0.5, 0.0, 2.0, 30.0])
def test_log_ei_is_expected_improvement(z, gp, rng):
    t = sample(rng, 20)
    mean, std = gp.predict(t)
    threshold = mean[0, 0] + z * std[0, 0]
    improvement = threshold - mean
    expected = improvement * norm.cdf(improvement / std) + std * norm.pdf(improvement / std)
    visible = improvement / std > -6

    assert visible[0]
    np.testing.assert_allclose(gp.log_ei(t, threshold)[visible], np.log(expected[visible]), atol=1e-7)


@pytest.mark.parametrize('z', [-0.99, -1.01, -8.0, -40.0, -150.0, -3e3, -0.9e5, -1.1e5, -1e8])
def test_log_ei_far_above_the_threshold(z, gp, rng):
    t = sample(rng, 1)
    mean, std = gp.predict(t)[0].item(), gp.predict(t)[1].item()
    threshold = mean + z * std
    exact = (threshold - mean) / std

    expected = np.log(std) + log_standard_improvement(exact)
    value, gradient = gp.log_ei_with_gradient(t[0], threshold)

    np.testing.assert_allclose(gp.log_ei(t, threshold), [[expected]], rtol=1e-13, atol=1e-5)
    np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-5)
    assert np.isfinite(gradient).all()


def test_log_ei_grows_with_the_threshold(gp, rng):
    t = sample(rng, 1)
    mean, std = gp.predict(t)

    values = [gp.log_ei(t, threshold).item()
              for threshold in (mean + std * np.r_[-np.logspace(8, -2, 500), np.linspace(0, 10, 50)]).ravel()]

    assert np.isfinite(values).all() and (np.diff(values) > 0).all()


@pytest.mark.parametrize('above_bound', [1e-3, 0.1, 1.0, 5.0, 50.0])
def test_squared_log_ei_is_the_integral(above_bound, squared, rng):
    t = sample(rng, 20)
    means, stds = (values[:, 0] for values in root_model(squared).predict(t))

    for point, mean, std in zip(t, means, stds, strict=True):
        threshold = bound(point[np.newaxis]).item() + above_bound
        edge = np.sqrt(2 * above_bound)
        expected = expectation(lambda g: above_bound - g * g / 2, mean, std, -edge, edge)
        value = squared.log_ei(point[np.newaxis], threshold)
        assert value.shape == (1, 1)
        np.testing.assert_allclose(np.exp(value.item()), expected, rtol=1e-6, atol=1e-12)


def test_no_improvement_below_the_bound(squared, rng):
    t = sample(rng, 20)
    threshold = bound(t).min() - 1e-3

    np.testing.assert_allclose(squared.log_ei(t, threshold), np.full((20, 1), -690), atol=1)
    for point in t:
        value, gradient = squared.log_ei_with_gradient(point, threshold)
        assert value == -690
        np.testing.assert_array_equal(gradient, [0, 0])


@pytest.mark.parametrize('d', [1, 2, 5])
@pytest.mark.parametrize('squares', [False, True])
def test_gradient_of_log_ei(squares, d, rng):
    x = sample(rng, 6 * d + 2, d)
    model = of_squares(BOX[:d], bound) if squares else of_values(BOX[:d])
    model.fit(x, wavy(x))
    cases = [(point, threshold) for point in sample(rng, 30, d)
             for threshold in model.incumbent() + model.Y.std() * np.array([0.0, 0.3, 3.0])
             if model.log_ei(point[np.newaxis], threshold) > -20]

    assert len(cases) > 40
    for point, threshold in cases:
        assert_gradient_is_right(model, point, threshold)


def test_gradient_where_the_root_is_negative():
    # A smooth function through these roots falls below 0 between the last ones.
    u, root = np.linspace(0, 1, 6)[:, np.newaxis], np.array([[3.0], [2.0], [1.0], [0.0], [0.0], [0.0]])
    x = BOX[0, 0] + 5 * u
    model = of_squares(BOX[:1], bound).fit(x, bound(x) + root ** 2 / 2)
    t = np.linspace(0, 3, 200)[:, np.newaxis]
    negative = t[root_model(model).predict(t)[0][:, 0] < -0.01]

    assert len(negative) > 10
    for point in negative:
        assert_gradient_is_right(model, point, bound(point[np.newaxis]).item() + 0.01)


@pytest.mark.parametrize('which', PENDING)
@pytest.mark.parametrize('name', ['gp', 'noisy', 'logarithmic', 'squared', 'noisy_squared'])
def test_gradient_of_log_ei_with_noise_and_pending_points(name, which, request, rng):
    model = request.getfixturevalue(name)
    t = sample(rng, 20)
    model = refitted(model, PENDING[which](model.X, sample(rng, 4)))
    cases = [(point, threshold) for point in t for threshold in model.incumbent() + model.spread * np.array([0.3, 3.0])
             if model.log_ei(point[np.newaxis], threshold) > -20]

    assert len(cases) > 20
    for point, threshold in cases:
        assert_gradient_is_right(model, point, threshold)


@pytest.mark.parametrize('name', ['gp', 'noisy'])
def test_improvement_with_pending_points_is_that_of_what_is_believed(name, request, rng):
    model = request.getfixturevalue(name)
    t, pending = sample(rng, 20), sample(rng, 3)
    threshold = model.incumbent() + model.Y.std()
    mean, std = conditioned(model, model.X, observed(model), t, pending)
    z = (threshold - mean) / std
    expected = std * (z * norm.cdf(z) + norm.pdf(z))

    improvement = np.exp(refitted(model, pending).log_ei(t, threshold))

    np.testing.assert_allclose(improvement, expected, rtol=1e-4, atol=1e-6 * model.Y.std())
