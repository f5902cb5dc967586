"""The Gaussian process of noisy values and of pending experiments, against independent computations."""

import numpy as np
import pytest
from helpers import BOX, bound, sample, to_unit_box, wavy
from model_helpers import (
    PENDING,
    conditioned,
    log_posterior_density,
    observed,
    of_values,
    profiled,
    refitted,
    with_noise,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from latent_search import create_grid

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.mark.parametrize('d', [1, 2, 5])
def test_fit_of_noisy_values_is_a_maximum_of_the_posterior_density(d, rng):
    x = sample(rng, 41, d)  # One of the numbers at which a search fits its parameters.
    y = with_noise(rng, wavy(x), 0.2 * wavy(x).std())
    model = of_values(BOX[:d], noisy=True).fit(x, y)
    fit = np.r_[model.constant, np.log(model.variance / 2), np.log(model.length_scales), np.log(model.noise)]
    y = observed(model)

    def log_density(parameters):
        return log_posterior_density(x, y, *parameters[:2], parameters[2:-1], parameters[-1])

    steps = np.diag(np.r_[y.std(), np.ones(d + 2)])
    central = [(log_density(fit + 1e-4 * step) - log_density(fit - 1e-4 * step)) / 2e-4 for step in steps]

    assert 1e-5 < model.noise < 0.9 and (np.log(2e-3) < fit[2:-1]).all() and (fit[2:-1] < np.log(10 * np.sqrt(d))).all()
    np.testing.assert_allclose(central, 0, atol=0.01)
    assert all(log_density(fit + 0.2 * sign * step) < log_density(fit) for step in steps for sign in (-1, 1))
    assert profiled(x, y, fit[2:-1], fit[-1]) == pytest.approx(log_density(fit), abs=1e-6)


@pytest.mark.filterwarnings('ignore::sklearn.exceptions.ConvergenceWarning')
@pytest.mark.parametrize('noise', [0.1, *(pytest.param(noise, marks=pytest.mark.slow) for noise in (0.0, 0.02, 0.3))])
def test_no_other_noise_and_length_scale_are_more_probable(noise, rng):
    x = sample(rng, 30, 1)
    y = with_noise(rng, wavy(x), noise * wavy(x).std())
    model = of_values(BOX[:1], noisy=True).fit(x, y)
    regressor = GaussianProcessRegressor(ConstantKernel() * Matern(0.2, nu=2.5) + WhiteKernel(0.1, (1e-6, 1e5)),
                                         normalize_y=True, n_restarts_optimizer=3, random_state=0)
    kernel = regressor.fit(to_unit_box(x), y[:, 0]).kernel_
    of_scikit_learn = np.log([kernel.k1.k2.length_scale, kernel.k2.noise_level / kernel.k1.k1.constant_value])
    y = observed(model)
    grid = create_grid([np.log([2e-3, 10]), np.log([1e-6, 1])], points=15)[2]

    density = profiled(x, y, np.log(model.length_scales), np.log(model.noise))

    for length_scale, share in np.vstack((grid, of_scikit_learn.clip(*np.log([[2e-3, 1e-6], [10, 1]])))):
        assert profiled(x, y, np.array([length_scale]), share) < density + 1e-3


@pytest.mark.parametrize('d, n, noise', [(1, 30, 0.05), *(pytest.param(*case, marks=pytest.mark.slow)
                                                            for case in ((1, 30, 0.3), (2, 50, 0.1), (2, 50, 0.3)))])
def test_noise_is_recovered(d, n, noise):
    ratios = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        x = sample(rng, n, d)
        model = of_values(BOX[:d], noisy=True).fit(x, with_noise(rng, wavy(x), noise))
        ratios.append(np.sqrt(model.noise * model.variance / model.variance_factor) / noise)

    assert 2 / 3 < np.median(ratios) < 3 / 2


@pytest.mark.parametrize('d, n', [(1, 15), (2, 20)])
def test_no_noise_is_found_in_exact_values(d, n, rng):
    x, t = sample(rng, n, d), sample(rng, 50, d)
    y = ((to_unit_box(x) - 0.4) ** 2).sum(axis=1, keepdims=True)
    model = of_values(BOX[:d], noisy=True).fit(x, y)
    exact = of_values(BOX[:d]).fit(x, y)

    assert model.noise == pytest.approx(1e-6) and exact.noise == 1e-6
    np.testing.assert_allclose(model.predict(t)[0], exact.predict(t)[0], atol=1e-3 * y.std())


@pytest.mark.parametrize('noise', [0.25, pytest.param(0.5, marks=pytest.mark.slow)])
def test_fit_does_not_take_a_wave_for_noise(noise):
    worse = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = sample(rng, 40, 1)
        u = to_unit_box(x)
        y = with_noise(rng, 2 * u + np.sin(7 * u), noise)
        model = of_values(BOX[:1], noisy=True).fit(x, y)
        density = profiled(x, y, np.log(model.length_scales), np.log(model.noise))
        worse += density < profiled(x, y, np.log([0.4]), np.log(2 * noise ** 2)) - 0.5

    assert worse <= 1


def test_predictions_from_noisy_values_are_of_what_is_without_noise(noisy, rng):
    t = np.vstack((sample(rng, 50), noisy.X))
    expected, expected_std = conditioned(noisy, noisy.X, observed(noisy), t)

    mean, std = noisy.predict(t)

    assert mean.shape == std.shape == (75, 1) and noisy.noise > 1e-4
    np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-6 * noisy.Y.std())
    np.testing.assert_allclose(std, expected_std, rtol=1e-5)
    # Each of three values of one point has more noise than is left of it in their mean.
    assert (std[50:55] < np.sqrt(noisy.noise * noisy.variance)).all()
    assert noisy.incumbent() == pytest.approx(mean[50:].min(), rel=1e-9)
    assert np.abs(mean[50:] - noisy.Y).max() > 0.1


def test_noise_brings_no_length_scale_of_its_own(noisy):
    assert noisy.length_scales.shape == (2,)


@pytest.mark.parametrize('which', PENDING)
@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared', 'noisy_squared'])
def test_pending_points_have_the_values_that_are_predicted_of_them(name, which, request, rng):
    model = request.getfixturevalue(name)
    t = sample(rng, 50)
    pending = PENDING[which](model.X, t)
    t = np.vstack((t, model.X, pending))
    expected, expected_std = conditioned(model, model.X, observed(model), t, pending)

    other = refitted(model, pending)
    mean, std = other.predict(t)

    if 'squared' in name:
        g, g_std = expected, expected_std
        expected = bound(t) + (g ** 2 + g_std ** 2) / 2
        expected_std = g_std * np.sqrt(g ** 2 + g_std ** 2 / 2)
    scale = np.sqrt(model.variance) * (np.abs(g).max() if 'squared' in name else 1)
    assert mean.shape == std.shape == t[:, :1].shape
    np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-5 * scale)
    np.testing.assert_allclose(std, expected_std, rtol=1e-4, atol=1e-5 * scale)
    np.testing.assert_array_equal(other.length_scales, model.length_scales)


@pytest.mark.parametrize('which', ['one', 'several', 'coincident', 'evaluated'])
@pytest.mark.parametrize('name', ['gp', 'noisy'])
def test_pending_points_make_nothing_but_the_std_smaller(name, which, request, rng):
    model = request.getfixturevalue(name)
    t = sample(rng, 500)
    pending = PENDING[which](model.X, t)

    other = refitted(model, pending)
    mean, std = other.predict(t)
    before, std_before = model.predict(t)

    np.testing.assert_allclose(mean, before, rtol=1e-9, atol=1e-9 * model.Y.std())
    assert (std <= std_before * (1 + 1e-9)).all()
    assert std[0] < 0.7 * std_before[0]
    at_pending = other.predict(pending)[1]
    assert at_pending.max() <= np.sqrt(model.noise * model.variance)
    if name == 'gp':
        assert at_pending.max() < 0.01 * std_before.max()


def test_pending_values_are_not_kept_for_the_next_fit(gp, rng):
    t, pending = sample(rng, 50), sample(rng, 3)
    model = refitted(gp, pending)
    predictions = model.predict(t)

    model.fit(gp.X, gp.Y)

    np.testing.assert_array_equal(model.predict(t), predictions)
    assert len(model.u) == len(gp.X) + 3


@pytest.mark.parametrize('name', ['gp', 'noisy', 'squared'])
def test_lowest_value_may_be_that_of_a_pending_point(name, request):
    model = request.getfixturevalue(name)
    grid = create_grid(BOX[:2], points=40)[2]
    mean = model.predict(grid)[0]
    lowest, highest = grid[[mean.argmin()]], grid[[mean.argmax()]]

    assert mean.min() < model.incumbent() - 1e-3
    with_lowest = refitted(model, np.vstack((highest, lowest)))
    assert with_lowest.incumbent() == pytest.approx(with_lowest.predict(lowest)[0].item())
    assert with_lowest.incumbent() <= mean.min() + 1e-9
    assert refitted(model, highest).incumbent() == pytest.approx(model.incumbent())
