from functools import partial

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.spatial.distance import cdist, pdist
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits

import vae_opt_util
from vae_opt_util import create_grid, create_optimizer, spaced_best

# GPyOpt's own import, which gpyopt_extensions would do otherwise, silences all warnings.
vae_opt_util._import_gpyopt()
from gpyopt_extensions import GaussianProcess, SpacedExpectedImprovement, SquaredGaussianProcess  # noqa: E402

BOX = np.array([[-2.0, 3.0], [10.0, 11.0], [0.0, 0.2], [-300.0, -100.0], [5.0, 9.0]])
SPACING = SpacedExpectedImprovement.spacing
ZERO_BOUND = {'lower_bound': lambda t: np.zeros((len(t), 1))}


def bound(t):
    return 1 + 0.3 * np.sin(t).sum(axis=1, keepdims=True)


def wavy(t, d=2):
    u = to_unit(t, d)
    return bound(t) + (2 * u - 0.7 + np.sin(7 * u)).sum(axis=1, keepdims=True) ** 2


def to_unit(t, d=2):
    return (t - BOX[:d, 0]) / np.ptp(BOX[:d], axis=1)


def sample(rng, n, d=2):
    return rng.uniform(*BOX[:d].T, (n, d))


def fitted(model, x, y):
    model.updateModel(x, y, None, None)
    return model


@pytest.fixture(autouse=True)
def one_thread():
    """As a search does: matrices this small make several threads wait for each other."""
    with threadpool_limits(1, user_api='blas'):
        yield


@pytest.fixture
def gp(rng):
    x = sample(rng, 15)
    return fitted(GaussianProcess(BOX[:2]), x, wavy(x))


@pytest.fixture
def squared(rng):
    x = sample(rng, 15)
    return fitted(SquaredGaussianProcess(BOX[:2], bound), x, wavy(x))


def root_model(squared):
    """The model of g itself, in f = bound + g² / 2."""
    x = squared.X
    return fitted(GaussianProcess(BOX[:x.shape[1]]), x, np.sqrt(2 * (squared.Y - bound(x))))


def expectation(function, mean, deviation, low=-np.inf, high=np.inf):
    """E[function(g)] for g ~ N(mean, deviation²), where the function vanishes outside of (low, high)."""
    low, high = max(low, mean - 12 * deviation), min(high, mean + 12 * deviation)
    if low >= high:
        return 0.0
    return quad(lambda g: function(g) * norm.pdf(g, mean, deviation), low, high, epsabs=0, epsrel=1e-10, limit=200)[0]


def log_standard_improvement(z):
    """log E[max(z − e, 0)] for e ~ N(0, 1), z < 0, where the integrand over s = |z| (z − e) does not underflow."""
    integral = quad(lambda s: s * np.exp(-s - (s / z) ** 2 / 2), 0, np.inf, epsabs=0, epsrel=1e-12)[0]
    return norm.logpdf(z) - 2 * np.log(-z) + np.log(integral)


@pytest.mark.parametrize('d', [1, 2, 5])
def test_predictions_are_those_of_scikit_learn(d, rng):
    x, t = sample(rng, 20, d), sample(rng, 50, d)
    y = wavy(x, d)
    model = fitted(GaussianProcess(BOX[:d]), x, y)
    variance = model.variance / model.variance_factor
    oracle = GaussianProcessRegressor(ConstantKernel(variance) * Matern(model.length_scales, nu=2.5),
                                      alpha=1e-6 * variance, optimizer=None)
    oracle.fit(to_unit(x, d), y[:, 0] - model.constant)

    mean, deviation = model.predict(t)
    expected, expected_deviation = oracle.predict(to_unit(t, d), return_std=True)

    assert mean.shape == deviation.shape == (50, 1)
    np.testing.assert_allclose(mean[:, 0], model.constant + expected, rtol=1e-6, atol=1e-6 * y.std())
    np.testing.assert_allclose(deviation[:, 0], np.sqrt(2) * expected_deviation, rtol=1e-4)
    np.testing.assert_array_equal(model.get_model_parameters(), [model.length_scales])


@pytest.mark.parametrize('d', [1, 2, 5])
def test_fit_is_a_maximum_of_the_posterior_density(d, rng):
    x = sample(rng, 20, d)
    y = wavy(x, d)
    model = fitted(GaussianProcess(BOX[:d]), x, y)
    fit = np.r_[model.constant, np.log(model.variance / 2), np.log(model.length_scales)]

    def log_density(parameters):
        constant, log_variance, log_length_scales = parameters[0], parameters[1], parameters[2:]
        correlation = Matern(np.exp(log_length_scales), nu=2.5)(to_unit(x, d)) + 1e-6 * np.eye(20)
        prior = norm(np.sqrt(2) + np.log(d) / 2, np.sqrt(3)).logpdf(log_length_scales).sum()
        return multivariate_normal(np.full(20, constant), np.exp(log_variance) * correlation).logpdf(y[:, 0]) + prior

    steps = np.diag(np.r_[y.std(), np.ones(d + 1)])
    central = [(log_density(fit + 1e-4 * step) - log_density(fit - 1e-4 * step)) / 2e-4 for step in steps]

    assert (np.log(2e-3) < fit[2:]).all() and (fit[2:] < np.log(10)).all()
    np.testing.assert_allclose(central, 0, atol=0.01)
    assert all(log_density(fit + 0.2 * sign * step) < log_density(fit) for step in steps for sign in (-1, 1))


@pytest.mark.parametrize('name', ['gp', 'squared'])
def test_exact_values_are_interpolated(name, request, rng):
    model = request.getfixturevalue(name)

    mean, deviation = model.predict(model.X)

    np.testing.assert_allclose(mean, model.Y, atol=1e-3 * model.Y.std())
    assert deviation.max() < 0.02 * model.predict(sample(rng, 100))[1].max()
    assert model.get_fmin() == mean.min()


def test_units_of_the_values_make_no_difference(gp, rng):
    t = sample(rng, 50)
    other = fitted(GaussianProcess(BOX[:2]), gp.X, 300 * gp.Y - 5000)

    mean, deviation = gp.predict(t)
    other_mean, other_deviation = other.predict(t)

    np.testing.assert_allclose(other_mean, 300 * mean - 5000, atol=0.3 * gp.Y.std())
    np.testing.assert_allclose(other_deviation, 300 * deviation, rtol=1e-3)


@pytest.mark.parametrize('name', ['gp', 'squared'])
def test_units_of_the_box_make_no_difference(name, request, rng):
    model = request.getfixturevalue(name)
    scale, shift, t = np.array([50.0, 0.03]), np.array([-7.0, 2.0]), sample(rng, 50)
    domain = scale[:, np.newaxis] * BOX[:2] + shift[:, np.newaxis]
    other = (GaussianProcess(domain) if name == 'gp'
             else SquaredGaussianProcess(domain, lambda t: bound((t - shift) / scale)))
    fitted(other, scale * model.X + shift, model.Y)

    np.testing.assert_allclose(other.length_scales, model.length_scales, rtol=1e-4)
    np.testing.assert_allclose(other.predict(scale * t + shift), model.predict(t), rtol=1e-4)


def test_equal_values(rng):
    x, t = sample(rng, 10), sample(rng, 20)
    model = fitted(GaussianProcess(BOX[:2]), x, np.full((10, 1), 7.0))

    mean, deviation = model.predict(t)

    np.testing.assert_allclose(mean, 7)
    assert (deviation > 0).all() and np.isfinite(model.log_improvement(t, 7.0)).all()


@pytest.mark.parametrize('z', [-5.0, -1.5, -1.0, -0.5, 0.0, 2.0, 30.0])
def test_log_improvement_is_expected_improvement(z, gp, rng):
    t = sample(rng, 20)
    mean, deviation = gp.predict(t)
    threshold = mean[0, 0] + z * deviation[0, 0]
    improvement = threshold - mean
    expected = improvement * norm.cdf(improvement / deviation) + deviation * norm.pdf(improvement / deviation)
    visible = improvement / deviation > -6

    assert visible[0]
    np.testing.assert_allclose(gp.log_improvement(t, threshold)[visible], np.log(expected[visible]), atol=1e-7)


@pytest.mark.parametrize('z', [-0.99, -1.01, -8.0, -40.0, -150.0, -3e3, -0.9e5, -1.1e5, -1e8])
def test_log_improvement_far_above_the_threshold(z, gp, rng):
    t = sample(rng, 1)
    mean, deviation = gp.predict(t)[0].item(), gp.predict(t)[1].item()
    threshold = mean + z * deviation
    exact = (threshold - mean) / deviation

    expected = np.log(deviation) + log_standard_improvement(exact)
    value, gradient = gp.log_improvement_with_gradient(t[0], threshold)

    np.testing.assert_allclose(gp.log_improvement(t, threshold), [[expected]], rtol=1e-13, atol=1e-5)
    np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-5)
    assert np.isfinite(gradient).all()


def test_log_improvement_grows_with_the_threshold(gp, rng):
    t = sample(rng, 1)
    mean, deviation = gp.predict(t)

    values = [gp.log_improvement(t, threshold).item()
              for threshold in (mean + deviation * np.r_[-np.logspace(8, -2, 500), np.linspace(0, 10, 50)]).ravel()]

    assert np.isfinite(values).all() and (np.diff(values) > 0).all()


@pytest.mark.parametrize('above_bound', [1e-3, 0.1, 1.0, 5.0, 50.0])
def test_squared_log_improvement_is_the_integral(above_bound, squared, rng):
    t = sample(rng, 20)
    means, deviations = (values[:, 0] for values in root_model(squared).predict(t))

    for point, mean, deviation in zip(t, means, deviations, strict=True):
        threshold = bound(point[np.newaxis]).item() + above_bound
        edge = np.sqrt(2 * above_bound)
        expected = expectation(lambda g: above_bound - g * g / 2, mean, deviation, -edge, edge)
        value = squared.log_improvement(point[np.newaxis], threshold)
        assert value.shape == (1, 1)
        np.testing.assert_allclose(np.exp(value.item()), expected, rtol=1e-6, atol=1e-12)


def test_no_improvement_below_the_bound(squared, rng):
    t = sample(rng, 20)
    threshold = bound(t).min() - 1e-3

    np.testing.assert_allclose(squared.log_improvement(t, threshold), np.full((20, 1), -690), atol=1)
    for point in t:
        value, gradient = squared.log_improvement_with_gradient(point, threshold)
        assert value == -690
        np.testing.assert_array_equal(gradient, [0, 0])


def test_squared_predictions_are_the_moments(squared, rng):
    t = sample(rng, 20)
    moments = [[expectation(lambda g: g * g / 2, *g), expectation(lambda g: g ** 4 / 4, *g)]
               for g in np.hstack(root_model(squared).predict(t))]
    first, second = np.array(moments).T[:, :, np.newaxis]

    mean, deviation = squared.predict(t)

    assert mean.shape == deviation.shape == (20, 1)
    np.testing.assert_allclose(mean, bound(t) + first, rtol=1e-6)
    np.testing.assert_allclose(deviation, np.sqrt(second - first ** 2), rtol=1e-4)


def test_mean_is_never_below_the_bound(gp, squared, rng):
    t = sample(rng, 2000)

    assert (squared.predict(t)[0] >= bound(t)).all()
    assert (gp.predict(t)[0] < bound(t)).any()


def assert_gradient_is_right(model, point, threshold):
    def f(t):
        return model.log_improvement(t[np.newaxis], threshold).item()

    value, gradient = model.log_improvement_with_gradient(point, threshold)
    expected = approx_fprime(point, f, 1e-7 * model.width) * model.width

    np.testing.assert_allclose(value, f(point), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient * model.width, expected, rtol=1e-3, atol=1e-3 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize('d', [1, 2, 5])
@pytest.mark.parametrize('squares', [False, True])
def test_gradient_of_log_improvement(squares, d, rng):
    x = sample(rng, 6 * d + 2, d)
    model = SquaredGaussianProcess(BOX[:d], bound) if squares else GaussianProcess(BOX[:d])
    fitted(model, x, wavy(x, d))
    cases = [(point, threshold) for point in sample(rng, 30, d)
             for threshold in model.get_fmin() + model.Y.std() * np.array([0.0, 0.3, 3.0])
             if model.log_improvement(point[np.newaxis], threshold) > -20]

    assert len(cases) > 40
    for point, threshold in cases:
        assert_gradient_is_right(model, point, threshold)


def test_gradient_where_the_root_is_negative():
    # A smooth function through these roots falls below 0 between the last ones.
    u, root = np.linspace(0, 1, 6)[:, np.newaxis], np.array([[3.0], [2.0], [1.0], [0.0], [0.0], [0.0]])
    x = BOX[0, 0] + 5 * u
    model = fitted(SquaredGaussianProcess(BOX[:1], bound), x, bound(x) + root ** 2 / 2)
    t = np.linspace(0, 3, 200)[:, np.newaxis]
    negative = t[root_model(model).predict(t)[0][:, 0] < -0.01]

    assert len(negative) > 10
    for point in negative:
        assert_gradient_is_right(model, point, bound(point[np.newaxis]).item() + 0.01)


def conditioned(model, x, y, t, believed=None):
    """Mean and deviation at points t as textbooks have it: of the model only the length scales and noise are taken.

    What is believed are points whose values are the means there.
    """
    kernel = Matern(model.length_scales, nu=2.5)
    x, t = (to_unit(points, x.shape[1]) for points in (x, t))
    inverse = np.linalg.inv(kernel(x) + model.noise * np.eye(len(x)))
    constant = (inverse @ y).sum() / inverse.sum()
    variance = ((y - constant).T @ inverse @ (y - constant)).item() / len(x)

    def given(x, y, t):
        weights = np.linalg.solve(kernel(x) + model.noise * np.eye(len(x)), kernel(x, t)).T
        return constant + weights @ (y - constant), 1 - (weights * kernel(t, x)).sum(axis=1, keepdims=True)

    if believed is not None:
        believed = to_unit(believed, x.shape[1])
        x, y = np.vstack((x, believed)), np.vstack((y, given(x, y, believed)[0]))
    mean, share = given(x, y, t)
    return mean, np.sqrt(model.variance_factor * variance * np.maximum(share, 0))


def log_posterior_density(x, y, constant, log_variance, log_length_scales, log_noise):
    """The log density of values (n, 1) with noise, and of the parameters where they have a prior."""
    d = len(log_length_scales)
    correlation = Matern(np.exp(log_length_scales), nu=2.5)(to_unit(x, d)) + np.exp(log_noise) * np.eye(len(x))
    return (multivariate_normal(np.full(len(x), constant), np.exp(log_variance) * correlation).logpdf(y[:, 0])
            + norm(np.sqrt(2) + np.log(d) / 2, np.sqrt(3)).logpdf(log_length_scales).sum()
            + norm(-6, 3).logpdf(log_noise))


def profiled(x, y, log_length_scales, log_noise):
    """`log_posterior_density` with the best constant and variance, which are those of generalised least squares."""
    u = to_unit(x, x.shape[1])
    inverse = np.linalg.inv(Matern(np.exp(log_length_scales), nu=2.5)(u) + np.exp(log_noise) * np.eye(len(u)))
    constant = (inverse @ y).sum() / inverse.sum()
    variance = ((y - constant).T @ inverse @ (y - constant)).item() / len(u)
    return log_posterior_density(x, y, constant, np.log(variance), log_length_scales, log_noise)


def with_noise(rng, y, noise):
    return y + noise * rng.normal(size=y.shape)


@pytest.fixture
def noisy(rng):
    x = sample(rng, 15)
    # A few are repeated.
    x = np.vstack((x, x[:5], x[:5]))
    return fitted(GaussianProcess(BOX[:2], noisy=True), x, with_noise(rng, wavy(x), 0.3))


def refitted(model, pending):
    """The same kind of model of the same evaluations, with pending experiments beside them."""
    domain = BOX[:model.X.shape[1]]
    other = (SquaredGaussianProcess(domain, bound, pending) if isinstance(model, SquaredGaussianProcess)
             else GaussianProcess(domain, model.noisy, pending))
    return fitted(other, model.X, model.Y)


def observed(model):
    return np.sqrt(2 * (model.Y - bound(model.X))) if isinstance(model, SquaredGaussianProcess) else model.Y


@pytest.mark.parametrize('d', [1, 2, 5])
def test_fit_of_noisy_values_is_a_maximum_of_the_posterior_density(d, rng):
    x = sample(rng, 40, d)
    y = with_noise(rng, wavy(x, d), 0.2 * wavy(x, d).std())
    model = fitted(GaussianProcess(BOX[:d], noisy=True), x, y)
    fit = np.r_[model.constant, np.log(model.variance / 2), np.log(model.length_scales), np.log(model.noise)]

    def log_density(parameters):
        return log_posterior_density(x, y, *parameters[:2], parameters[2:-1], parameters[-1])

    steps = np.diag(np.r_[y.std(), np.ones(d + 2)])
    central = [(log_density(fit + 1e-4 * step) - log_density(fit - 1e-4 * step)) / 2e-4 for step in steps]

    assert 1e-5 < model.noise < 0.9 and (np.log(2e-3) < fit[2:-1]).all() and (fit[2:-1] < np.log(10)).all()
    np.testing.assert_allclose(central, 0, atol=0.01)
    assert all(log_density(fit + 0.2 * sign * step) < log_density(fit) for step in steps for sign in (-1, 1))
    assert profiled(x, y, fit[2:-1], fit[-1]) == pytest.approx(log_density(fit), abs=1e-6)


@pytest.mark.filterwarnings('ignore::sklearn.exceptions.ConvergenceWarning')
@pytest.mark.parametrize('noise', [0.0, 0.02, 0.1, 0.3])
def test_no_other_noise_and_length_scale_are_more_probable(noise, rng):
    x = sample(rng, 30, 1)
    y = with_noise(rng, wavy(x, 1), noise * wavy(x, 1).std())
    model = fitted(GaussianProcess(BOX[:1], noisy=True), x, y)
    regressor = GaussianProcessRegressor(ConstantKernel() * Matern(0.2, nu=2.5) + WhiteKernel(0.1, (1e-6, 1e5)),
                                         normalize_y=True, n_restarts_optimizer=3, random_state=0)
    kernel = regressor.fit(to_unit(x, 1), y[:, 0]).kernel_
    of_scikit_learn = np.log([kernel.k1.k2.length_scale, kernel.k2.noise_level / kernel.k1.k1.constant_value])
    grid = create_grid([np.log([2e-3, 10]), np.log([1e-6, 1])], points=20)[2]

    density = profiled(x, y, np.log(model.length_scales), np.log(model.noise))

    for length_scale, share in np.vstack((grid, of_scikit_learn.clip(*np.log([[2e-3, 1e-6], [10, 1]])))):
        assert profiled(x, y, np.array([length_scale]), share) < density + 1e-3


@pytest.mark.parametrize('d, n, noise', [(1, 30, 0.05), (1, 30, 0.3), (2, 50, 0.1), (2, 50, 0.3)])
def test_noise_is_recovered(d, n, noise):
    ratios = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        x = sample(rng, n, d)
        model = fitted(GaussianProcess(BOX[:d], noisy=True), x, with_noise(rng, wavy(x, d), noise))
        ratios.append(np.sqrt(model.noise * model.variance / model.variance_factor) / noise)

    assert 2 / 3 < np.median(ratios) < 3 / 2


@pytest.mark.parametrize('d, n', [(1, 15), (2, 20)])
def test_no_noise_is_found_in_exact_values(d, n, rng):
    x, t = sample(rng, n, d), sample(rng, 50, d)
    y = ((to_unit(x, d) - 0.4) ** 2).sum(axis=1, keepdims=True)
    model = fitted(GaussianProcess(BOX[:d], noisy=True), x, y)
    exact = fitted(GaussianProcess(BOX[:d]), x, y)

    assert model.noise == pytest.approx(1e-6) and exact.noise == 1e-6
    np.testing.assert_allclose(model.predict(t)[0], exact.predict(t)[0], atol=1e-3 * y.std())


def test_predictions_from_noisy_values_are_of_what_is_without_noise(noisy, rng):
    t = np.vstack((sample(rng, 50), noisy.X))
    expected, expected_deviation = conditioned(noisy, noisy.X, noisy.Y, t)

    mean, deviation = noisy.predict(t)

    assert mean.shape == deviation.shape == (75, 1) and noisy.noise > 1e-4
    np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-6 * noisy.Y.std())
    np.testing.assert_allclose(deviation, expected_deviation, rtol=1e-5)
    # Each of three values of one point has more noise than is left of it in their mean.
    assert (deviation[50:55] < np.sqrt(noisy.noise * noisy.variance)).all()
    assert noisy.get_fmin() == mean[50:].min()
    assert np.abs(mean[50:] - noisy.Y).max() > 0.1


def test_noise_brings_no_length_scale_of_its_own(noisy):
    assert noisy.length_scales.shape == (2,)
    np.testing.assert_array_equal(noisy.get_model_parameters(), [noisy.length_scales])


PENDING = {
    'none': lambda x, t: x[:0],
    'one': lambda x, t: t[:1],
    'several': lambda x, t: t[:4],
    'coincident': lambda x, t: t[[0, 1, 0, 0]],
    'evaluated': lambda x, t: np.vstack((t[0], x[3], x[3])),
}


@pytest.mark.parametrize('which', PENDING)
@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared'])
def test_pending_points_have_the_values_that_are_predicted_of_them(name, which, request, rng):
    model = request.getfixturevalue(name)
    t = sample(rng, 50)
    pending = PENDING[which](model.X, t)
    t = np.vstack((t, model.X, pending))
    expected, expected_deviation = conditioned(model, model.X, observed(model), t, pending)

    other = refitted(model, pending)
    mean, deviation = other.predict(t)

    if name == 'squared':
        g, g_deviation = expected, expected_deviation
        expected = bound(t) + (g ** 2 + g_deviation ** 2) / 2
        expected_deviation = g_deviation * np.sqrt(g ** 2 + g_deviation ** 2 / 2)
    scale = np.sqrt(model.variance) * (1 if name != 'squared' else np.abs(g).max())
    assert mean.shape == deviation.shape == t[:, :1].shape
    np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-5 * scale)
    np.testing.assert_allclose(deviation, expected_deviation, rtol=1e-4, atol=1e-5 * scale)
    np.testing.assert_array_equal(other.length_scales, model.length_scales)


@pytest.mark.parametrize('which', ['one', 'several', 'coincident', 'evaluated'])
@pytest.mark.parametrize('name', ['gp', 'noisy'])
def test_pending_points_make_nothing_but_the_deviation_smaller(name, which, request, rng):
    model = request.getfixturevalue(name)
    t = sample(rng, 500)
    pending = PENDING[which](model.X, t)

    other = refitted(model, pending)
    mean, deviation = other.predict(t)
    before, deviation_before = model.predict(t)

    np.testing.assert_allclose(mean, before, rtol=1e-9, atol=1e-9 * model.Y.std())
    assert (deviation <= deviation_before * (1 + 1e-9)).all()
    assert deviation[0] < 0.7 * deviation_before[0]
    at_pending = other.predict(pending)[1]
    assert at_pending.max() <= np.sqrt(model.noise * model.variance)
    if name == 'gp':
        assert at_pending.max() < 0.01 * deviation_before.max()


def test_pending_values_are_not_kept_for_the_next_fit(gp, rng):
    t, pending = sample(rng, 50), sample(rng, 3)
    model = refitted(gp, pending)
    predictions = model.predict(t)

    fitted(model, gp.X, gp.Y)

    np.testing.assert_array_equal(model.predict(t), predictions)
    assert len(model.u) == len(gp.X) + 3


@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared'])
def test_lowest_value_may_be_that_of_a_pending_point(name, request):
    model = request.getfixturevalue(name)
    grid = create_grid(BOX[:2], points=40)[2]
    mean = model.predict(grid)[0]
    lowest, highest = grid[[mean.argmin()]], grid[[mean.argmax()]]

    assert mean.min() < model.get_fmin() - 1e-3
    with_lowest = refitted(model, np.vstack((highest, lowest)))
    assert with_lowest.get_fmin() == pytest.approx(with_lowest.predict(lowest)[0].item())
    assert with_lowest.get_fmin() <= mean.min() + 1e-9
    assert refitted(model, highest).get_fmin() == pytest.approx(model.get_fmin())


@pytest.mark.parametrize('which', PENDING)
@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared'])
def test_gradient_of_log_improvement_with_noise_and_pending_points(name, which, request, rng):
    model = request.getfixturevalue(name)
    t = sample(rng, 20)
    model = refitted(model, PENDING[which](model.X, sample(rng, 4)))
    cases = [(point, threshold) for point in t for threshold in model.get_fmin() + model.Y.std() * np.array([0.3, 3.0])
             if model.log_improvement(point[np.newaxis], threshold) > -20]

    assert len(cases) > 20
    for point, threshold in cases:
        assert_gradient_is_right(model, point, threshold)


@pytest.mark.parametrize('name', ['gp', 'noisy'])
def test_improvement_with_pending_points_is_that_of_what_is_believed(name, request, rng):
    model = request.getfixturevalue(name)
    t, pending = sample(rng, 20), sample(rng, 3)
    threshold = model.get_fmin() + model.Y.std()
    mean, deviation = conditioned(model, model.X, model.Y, t, pending)
    z = (threshold - mean) / deviation
    expected = deviation * (z * norm.cdf(z) + norm.pdf(z))

    improvement = np.exp(refitted(model, pending).log_improvement(t, threshold))

    np.testing.assert_allclose(improvement, expected, rtol=1e-4, atol=1e-6 * model.Y.std())


def greedy(points, values, num, spacing):
    """Takes the lowest value and removes all points that are too close to it, again and again."""
    left, chosen = list(range(len(points))), []
    while left and len(chosen) < num:
        best = min(left, key=lambda i: (values[i], i))
        chosen.append(best)
        left = [i for i in left if i != best and np.linalg.norm(points[i] - points[best]) >= spacing]
    return chosen


@pytest.mark.parametrize('num', [1, 10, 1000])
@pytest.mark.parametrize('d', [1, 3])
def test_spaced_best_is_greedy(num, d, rng):
    # Values of few digits, so that there are ties.
    points, values = rng.uniform(size=(200, d)), rng.uniform(size=200).round(1)

    chosen = spaced_best(points, values, num, 0.1)

    np.testing.assert_array_equal(chosen, greedy(points, values, num, 0.1))
    distances = cdist(points[chosen], points[chosen]) + np.eye(len(chosen))
    assert distances.min() >= 0.1
    assert (np.diff(values[chosen]) >= 0).all()


def test_spaced_best_of_few():
    points = np.array([[0.0, 0.0], [0.0, 0.05], [0.0, 0.5], [0.0, 1.0]])

    np.testing.assert_array_equal(spaced_best(points, np.array([2.0, 1.0, 3.0, 3.0]), 10, 0.1), [1, 2, 3])
    np.testing.assert_array_equal(spaced_best(points, np.ones(4), 10, 0.1), [0, 2, 3])
    # A distance that is exactly the spacing is enough, and with no spacing all are.
    np.testing.assert_array_equal(spaced_best(points, np.arange(4.0), 10, 0.5), [0, 2, 3])
    np.testing.assert_array_equal(spaced_best(points, np.arange(4.0), 10, 0.0), [0, 1, 2, 3])


def search(domain, max_iter, minimum=0.4, **arguments):
    low, width = domain[:, 0], np.ptp(domain, axis=1)

    def quadratic(t):
        return (((t - low) / width - minimum) ** 2).sum(axis=1, keepdims=True)

    optimizer = create_optimizer(quadratic, domain, **arguments)
    optimizer.run_optimization(max_iter)
    assert (optimizer.X >= domain[:, 0]).all() and (optimizer.X <= domain[:, 1]).all()
    u = (optimizer.X - low) / width
    # How far each proposal was from all evaluations before it.
    return optimizer, np.array([cdist(u[[i]], u[:i]).min() for i in range(6, len(u))])


@pytest.mark.parametrize('minimum', [-0.5, 1.0])
def test_proposals_stay_in_the_box(minimum):
    optimizer, _ = search(BOX[:2], max_iter=10, minimum=minimum)

    corner = BOX[:2, 0] if minimum < 0 else BOX[:2, 1]
    assert np.abs(to_unit(optimizer.X) - to_unit(corner)).max(axis=1).min() < 0.01


def test_proposals_of_both_kinds():
    optimizer, nearest = search(BOX[:2], max_iter=24)

    assert len(optimizer.X) == 30
    assert (nearest < SPACING).any() and (nearest >= SPACING).any()
    turn = np.arange(6, 30) % SpacedExpectedImprovement.turns == 0
    assert nearest[turn].min() >= SPACING * (1 - 1e-9)
    assert optimizer.Y.min() < 1e-4


@pytest.mark.parametrize('d', [1, 2])
@pytest.mark.parametrize('arguments', [{}, ZERO_BOUND])
def test_proposals_of_an_unconverged_search_are_spaced(d, arguments, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'improvement_that_matters', -1)

    optimizer, nearest = search(BOX[:d], max_iter=12, **arguments)

    assert nearest.min() >= SPACING * (1 - 1e-9)


@pytest.mark.parametrize('matters, above, spacing', [(-1, 0.03, SPACING), (np.inf, 0, 0)])
@pytest.mark.parametrize('squares', [False, True])
def test_proposal_has_nearly_the_highest_expected_improvement(squares, matters, above, spacing, rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'improvement_that_matters', matters)
    optimizer = create_optimizer(None, BOX[:2], lower_bound=bound if squares else None)
    model = SquaredGaussianProcess(BOX[:2], bound) if squares else GaussianProcess(BOX[:2])
    grid = create_grid(BOX[:2], points=100)[2]

    for _ in range(5):
        optimizer.X = sample(rng, 17)
        optimizer.Y = wavy(optimizer.X)
        fitted(model, optimizer.X, optimizer.Y)
        threshold = model.get_fmin() + above * optimizer.Y.std()
        t = grid[cdist(to_unit(grid), to_unit(optimizer.X)).min(axis=1) >= spacing]
        proposal = optimizer.suggest_next_locations()
        assert model.log_improvement(proposal, threshold) > model.log_improvement(t, threshold).max() - 0.2


# One of these numbers of evaluations is the turn of a spaced proposal.
@pytest.mark.parametrize('n', [200, 201, 202, 203])
@pytest.mark.parametrize('arguments', [{}, ZERO_BOUND])
def test_a_proposal_where_no_point_is_at_that_distance(arguments, n):
    optimizer = create_optimizer(None, [(0, 1)], **arguments)
    optimizer.X = np.linspace(0, 1, n)[:, np.newaxis]
    optimizer.Y = (optimizer.X - 0.3) ** 2

    proposal = optimizer.suggest_next_locations()

    assert proposal.shape == (1, 1) and 0 <= proposal.item() <= 1


@pytest.mark.parametrize('bound', [None, lambda t: np.zeros((len(t), 1))])
@pytest.mark.parametrize('minimum', [-0.5, 0.0, 1.0])
def test_no_point_is_evaluated_twice_where_the_minimum_is_in_a_corner(minimum, bound):
    optimizer = create_optimizer(lambda t: ((t - minimum) ** 2).sum(axis=1, keepdims=True), [(0.0, 1.0)] * 2,
                                 lower_bound=bound)
    optimizer.run_optimization(30)

    assert pdist(optimizer.X).min() >= 1e-5


def test_lower_bound_is_asked_only_inside_the_box():
    asked = []

    def bound(t):
        asked.append(t)
        return np.zeros((len(t), 1))

    optimizer = create_optimizer(lambda t: t.sum(axis=1, keepdims=True), [(0.0, 1.0)] * 2, lower_bound=bound)
    optimizer.run_optimization(20)

    asked = np.vstack(asked)
    assert asked.min() == 0 and asked.max() <= 1


def distances_to_those_before(optimizer):
    """How far each pending experiment is from all evaluations, and from those that are pending for longer."""
    points = to_unit(np.vstack((optimizer.X, *[experiment.t for experiment in optimizer.pending])),
                     len(optimizer.domain))
    return np.array([cdist(points[[i]], points[:i]).min() for i in range(len(optimizer.X), len(points))])


def acquisition(model, failed=()):
    np.random.seed(0)
    return SpacedExpectedImprovement(model, None, None, failed)


def success(model, failed, t):
    """The probability that an experiment succeeds, by Laplace's rule with one success assumed."""
    d = t.shape[1]
    kernel = Matern(0.1 * np.sqrt(d), nu=2.5)
    successes, failures = (kernel(to_unit(t, d), to_unit(points, d)).sum(axis=1) if len(points) else np.zeros(len(t))
                           for points in (model.X, failed))
    return (successes + 1) / (successes + failures + 1)


@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared'])
def test_success_is_certain_until_something_has_failed(name, request, rng):
    t, model = sample(rng, 7), request.getfixturevalue(name)

    np.testing.assert_array_equal(acquisition(model).success_probability(t), np.ones(7))
    np.testing.assert_array_equal(acquisition(model, np.empty((0, 2))).success_probability(t), np.ones(7))


@pytest.mark.parametrize('failures', [0, 1, 2, 9])
@pytest.mark.parametrize('successes', [0, 1, 4])
def test_success_where_nothing_else_is_known(successes, failures):
    end = np.full((1, 1), BOX[0, 1])
    # These are all 9 length scales from the end, and what is pending is no success.
    x = np.vstack((BOX[0, 0] + np.linspace(0, 0.5, 10)[:, np.newaxis], np.repeat(end, successes, axis=0)))
    model = fitted(GaussianProcess(BOX[:1], pending=end), x, wavy(x, 1))

    probability = acquisition(model, [end[0]] * failures).success_probability(np.vstack((end, x[:1])))

    np.testing.assert_allclose(probability, [(successes + 1) / (successes + failures + 1), 1], rtol=1e-4)


@pytest.mark.parametrize('d', [1, 2, 5])
def test_success_is_by_laplaces_rule(d, rng):
    x, failed = sample(rng, 20, d), sample(rng, 6, d)
    failed = np.vstack((failed, failed[:1], x[:2]))
    model = fitted(GaussianProcess(BOX[:d], pending=sample(rng, 3, d)), x, wavy(x, d))
    t = np.vstack((sample(rng, 200, d), failed, x))

    probability = acquisition(model, failed).success_probability(t)

    assert probability.shape == (len(t),)
    np.testing.assert_allclose(probability, success(model, failed, t), rtol=1e-9)
    assert 0 < probability.min() < 0.8 and 0.9 < probability.max() <= 1


KINDS = [{}, {'noisy': True}, {'lower_bound': bound}]


@pytest.mark.parametrize('d', [1, 2])
@pytest.mark.parametrize('arguments', KINDS)
def test_spaced_proposals_keep_their_distance_from_pending_ones(d, arguments, rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'improvement_that_matters', -1)
    optimizer = create_optimizer(None, BOX[:d], **arguments)
    optimizer.X = sample(rng, 12, d)
    optimizer.Y = wavy(optimizer.X, d)

    experiments = optimizer.ask(10)

    assert len({experiment.t.tobytes() for experiment in experiments}) == 10
    assert distances_to_those_before(optimizer).min() >= SPACING * (1 - 1e-9)


@pytest.mark.parametrize('arguments', [{}, {'noisy': True}, ZERO_BOUND])
def test_proposals_take_turns_while_others_are_pending(arguments, rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'improvement_that_matters', np.inf)
    optimizer = create_optimizer(None, BOX[:2], **arguments)
    # Around the minimum a proposal that need not keep a distance keeps none.
    optimizer.X = BOX[:2, 0] + np.ptp(BOX[:2], axis=1) * rng.uniform(0.3, 0.5, (17, 2))
    optimizer.Y = 0.1 + ((to_unit(optimizer.X) - 0.4) ** 2).sum(axis=1, keepdims=True)

    optimizer.ask(12)

    nearest = distances_to_those_before(optimizer)
    turn = np.arange(17, 29) % SpacedExpectedImprovement.turns == 0
    assert nearest[turn].min() >= SPACING * (1 - 1e-9)
    assert nearest[~turn].min() < SPACING
    assert nearest.min() >= SpacedExpectedImprovement.resolution * (1 - 1e-9)


def test_refined_proposals_keep_the_resolution_from_pending_ones(rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'improvement_that_matters', np.inf)
    monkeypatch.setattr(SpacedExpectedImprovement, 'turns', 10 ** 6)
    monkeypatch.setattr(SpacedExpectedImprovement, 'resolution', 0.3)
    optimizer = create_optimizer(None, BOX[:2])
    optimizer.X = BOX[:2, 0] + np.ptp(BOX[:2], axis=1) * rng.uniform(0, 0.1, (6, 2))
    optimizer.Y = wavy(optimizer.X)

    optimizer.ask(6)

    assert distances_to_those_before(optimizer).min() >= 0.3 * (1 - 1e-9)


@pytest.mark.parametrize('matters, above, spacing', [(-1, 0.03, SPACING), (np.inf, 0, 1e-5)])
@pytest.mark.parametrize('arguments', KINDS)
def test_proposal_has_nearly_the_highest_improvement_where_success_is_likely(arguments, matters, above, spacing, rng,
                                                                             monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'improvement_that_matters', matters)
    grid = create_grid(BOX[:2], points=100)[2]

    for _ in range(5):
        optimizer = create_optimizer(None, BOX[:2], **arguments)
        optimizer.X = sample(rng, 17)
        optimizer.Y = wavy(optimizer.X)
        # Failures around where the improvement is highest.
        best = optimizer.suggest_next_locations()
        around = best + 0.03 * np.ptp(BOX[:2], axis=1) * rng.normal(size=(12, 2))
        optimizer.failed = around.clip(*BOX[:2].T)
        model = (SquaredGaussianProcess(BOX[:2], bound) if 'lower_bound' in arguments
                 else GaussianProcess(BOX[:2], **arguments))
        fitted(model, optimizer.X, optimizer.Y)
        threshold = model.get_fmin() + above * optimizer.Y.std()
        t = grid[(cdist(to_unit(grid), to_unit(model.X)).min(axis=1) >= spacing)
                 & (success(model, optimizer.failed, grid) > 0.5)]

        proposal = optimizer.suggest_next_locations()

        assert success(model, optimizer.failed, best) < 0.5 < success(model, optimizer.failed, proposal)
        # The highest is often at the border, where random points are all that there is.
        assert (model.log_improvement(t, threshold) > model.log_improvement(proposal, threshold)).mean() < 0.01
        assert 1000 < len(t) < 9900


@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared'])
def test_proposal_where_all_is_likely_to_fail(name, request):
    model = request.getfixturevalue(name)
    # More and more failures to the right.
    grid = create_grid(BOX[:2], points=12)[2]
    failed = grid[np.repeat(np.arange(len(grid)), 2 + 10 * to_unit(grid)[:, 0].astype(int))]
    failed = np.vstack((failed, model.X, model.X))
    probability = success(model, failed, create_grid(BOX[:2], points=50)[2])

    proposal, cost = acquisition(model, failed).optimize()

    assert proposal.shape == (1, 2) and cost.shape == (1, 1) and probability.max() < 0.5
    assert success(model, failed, proposal) > np.quantile(probability, 0.98)


def test_what_is_likely_to_fail_promises_no_improvement(rng, monkeypatch):
    x = sample(rng, 17)
    model = fitted(GaussianProcess(BOX[:2]), x, wavy(x))
    grid = create_grid(BOX[:2], points=40)[2]
    improvement = model.log_improvement(grid, model.get_fmin())[:, 0]
    failed = np.repeat(grid[improvement > improvement.max() - 1.5], 2, axis=0)
    monkeypatch.setattr(SpacedExpectedImprovement, 'improvement_that_matters',
                        np.exp(improvement.max() - 1) / model.Y.std())

    for failures, above in ((failed[:0], 0.03), (failed, 0)):
        proposal, cost = acquisition(model, failures).optimize()
        expected = model.log_improvement(proposal, model.get_fmin() + above * model.Y.std())
        assert proposal.shape == (1, 2) and cost.shape == (1, 1)
        np.testing.assert_allclose(-cost, expected, rtol=1e-6)
        assert success(model, failures, proposal) > 0.5


@pytest.mark.parametrize('matters', [-1, np.inf])
@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared'])
def test_one_failure_among_successes_is_bad_luck(name, matters, request, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'improvement_that_matters', matters)
    model = request.getfixturevalue(name)
    first = acquisition(model).optimize()[0]

    again = acquisition(model, first).optimize()[0]

    assert success(model, first, first) > 0.5
    assert cdist(to_unit(again), to_unit(first)) < SPACING / 2


def fail(optimizer, fails, num):
    """Proposals in units of the box's sides, and which of them failed: those where `fails` says so."""
    points, failed = [], []
    for _ in range(num):
        experiment, = optimizer.ask()
        points.append(to_unit(experiment.t)[0])
        failed.append(fails(points[-1]))
        if failed[-1]:
            optimizer.tell_failed(experiment.number)
        else:
            optimizer.tell(experiment.number, ((points[-1] - 0.4) ** 2).sum())
    return np.array(points), np.array(failed)


@pytest.mark.parametrize('arguments', [{}, {'noisy': True}, ZERO_BOUND])
def test_failures_move_proposals_away(arguments, rng, monkeypatch):
    monkeypatch.setattr(SpacedExpectedImprovement, 'improvement_that_matters', -1)
    optimizer = create_optimizer(None, BOX[:2], **arguments)
    optimizer.X = sample(rng, 17)
    optimizer.Y = wavy(optimizer.X)

    points, _ = fail(optimizer, lambda u: True, 40)

    from_first = np.linalg.norm(points - points[0], axis=1)
    assert len(optimizer.failed) == 40 and len(optimizer.X) == 17 and not optimizer.pending
    assert (from_first < 0.05).sum() < 10 and np.median(from_first[-20:]) > 0.1


@pytest.mark.parametrize('radius', [0.02, 0.15])
@pytest.mark.parametrize('arguments', [{}, {'noisy': True}, ZERO_BOUND])
def test_a_converged_search_does_not_stay_where_all_fails(arguments, radius, rng):
    optimizer = create_optimizer(None, BOX[:2], **arguments)
    u = rng.uniform(size=(30, 2))
    u = u[np.linalg.norm(u - 0.4, axis=1) > radius]
    optimizer.add_known(BOX[:2, 0] + u * np.ptp(BOX[:2], axis=1), ((u - 0.4) ** 2).sum(axis=1, keepdims=True))

    points, failed = fail(optimizer, lambda u: np.linalg.norm(u - 0.4) < radius, 30)

    assert failed.any() and (~failed).sum() >= 8
    best = points[~failed][np.linalg.norm(points[~failed] - 0.4, axis=1).argmin()]
    assert np.linalg.norm(best - 0.4) < radius + 0.1


# One of these numbers of experiments is the turn of a spaced proposal.
@pytest.mark.parametrize('n', [64, 65, 66, 67])
@pytest.mark.parametrize('model', [GaussianProcess, partial(GaussianProcess, noisy=True),
                                   partial(SquaredGaussianProcess, **ZERO_BOUND)])
def test_a_proposal_where_no_point_is_at_that_distance_from_pending_ones(model, n):
    t = np.linspace(0, 1, n)[:, np.newaxis]
    pending, x = t[1:-1:2], np.union1d(t[::2], t[-1])[:, np.newaxis]
    model = fitted(model(np.array([[0.0, 1.0]]), pending=pending), x, (x - 0.3) ** 2)
    between = np.linspace(0, 1, 10 ** 4)[:, np.newaxis]
    # There is room among the evaluations alone.
    assert cdist(between, x).min(axis=1).max() > SPACING > cdist(between, model.u).min(axis=1).max()

    proposal, cost = acquisition(model, t[2::3]).optimize()

    assert proposal.shape == cost.shape == (1, 1) and 0 <= proposal.item() <= 1
    assert 1e-5 <= cdist(proposal, model.u).min() < SPACING
    np.testing.assert_allclose(-cost, model.log_improvement(proposal, model.get_fmin()), rtol=1e-6)


def test_lower_bound_is_never_asked_of_no_points():
    asked = []

    def bound(t):
        asked.append(len(t))
        return np.zeros((len(t), 1))

    optimizer = create_optimizer(None, [(0, 1)], lower_bound=bound)
    optimizer.X = np.linspace(0, 1, 201)[:, np.newaxis]
    optimizer.Y = (optimizer.X - 0.3) ** 2
    optimizer.failed = np.full((200, 1), 0.9)
    optimizer.ask(2)

    assert min(asked) > 0


@pytest.mark.parametrize('noise', [0.25, 0.5])
def test_fit_does_not_take_a_wave_for_noise(noise):
    worse = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = sample(rng, 40, 1)
        u = to_unit(x, 1)
        y = with_noise(rng, 2 * u + np.sin(7 * u), noise)
        model = fitted(GaussianProcess(BOX[:1], noisy=True), x, y)
        density = profiled(x, y, np.log(model.length_scales), np.log(model.noise))
        worse += density < profiled(x, y, np.log([0.4]), np.log(2 * noise ** 2)) - 0.5

    assert worse <= 1


def test_success_at_an_evaluated_corner_alone():
    x = np.array([[0.0], [0.5], [0.7], [1.0]])
    model = fitted(GaussianProcess(np.array([[0.0, 1.0]])), x, x)
    # Success is likely within 1e-6 of the corner, which is evaluated, and nowhere else.
    failed = np.r_[np.repeat(np.linspace(0.2, 1, 60), 2), 0.0884442126078136][:, np.newaxis]

    proposal, _ = acquisition(model, failed).optimize()

    assert 0 <= proposal.item() <= 1
