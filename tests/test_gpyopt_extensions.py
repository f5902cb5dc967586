import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.spatial.distance import cdist, pdist
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
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
