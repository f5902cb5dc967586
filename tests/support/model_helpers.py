"""Independent computations of what a Gaussian process says."""

import numpy as np
from helpers import BOX, bound, to_unit_box
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process.kernels import Matern

from latent_search.gaussian_process import Kind, Model
from latent_search.hyperparameters import Hyperparameters
from latent_search.outcomes import Logarithms, Squares, Values, outcome_scale
from latent_search.proposals import Proposals
from latent_search.settings import Settings

# Pending points, given the evaluated points x and other points t.
PENDING = {
    'none': lambda x, t: x[:0],
    'one': lambda x, t: t[:1],
    'several': lambda x, t: t[:4],
    'coincident': lambda x, t: t[[0, 1, 0, 0]],
    'evaluated': lambda x, t: np.vstack((t[0], x[3], x[3])),
}


class InBox:
    """A model of evaluations in a box, in units of the box: points (n, d), values and predictions (n, 1)."""

    def __init__(self, domain, outcomes, noisy=False, pending=()):
        self.domain, self.outcomes, self.noisy = np.asarray(domain), outcomes, noisy
        self.low, self.width = self.domain[:, 0], np.ptp(self.domain, axis=1)
        self.pending = np.reshape(pending, (-1, len(self.domain)))

    def fit(self, X, Y):  # noqa: N803
        self.X, self.Y = X, Y
        kinds = [outcome if isinstance(outcome, Kind) else Kind(str(i), outcome, self.noisy)
                 for i, outcome in enumerate(self.outcomes)]
        self.model = Model(self._unit(X), Y[:, 0], self._unit(self.pending), kinds, Hyperparameters())
        process = self.model.process
        self.length_scales, self.variance, self.noise = process.length_scales, process.variance, process.noise
        self.constant, self.u, self.spread = process.mean_weights[0], process.u, self.model.spread
        self.variance_factor = self.model.outcome.variance_factor
        return self

    def _unit(self, t):
        return (t - self.low) / self.width

    def predict(self, t):
        return self.model.predict(self._unit(t))

    def incumbent(self):
        return self.model.incumbent

    def expected_improvement(self, t):
        return self.model.expected_improvement(self._unit(t))

    def log_ei(self, t, threshold):
        return self.model.log_ei(self._unit(t), np.atleast_1d(threshold))

    def log_ei_with_gradient(self, point, threshold):
        value, gradient = self.model.log_ei_with_gradient(self._unit(point), threshold)
        return value, gradient / self.width


def of_values(domain, noisy=False, pending=()):
    return InBox(domain, [lambda y, unit: Values()], noisy, pending)


def of_logarithms(domain, noisy=False, pending=()):
    return InBox(domain, [lambda y, unit: Logarithms(y, 1.0), lambda y, unit: Logarithms(y, 1e4)], noisy, pending)


def of_exact(domain, pending=()):
    """Of the kinds that a search without a bound chooses from."""
    return InBox(domain, Proposals(Settings(np.array(domain))).kinds(), pending=pending)


def of_squares(domain, lower_bound, noisy=False, pending=()):
    model = InBox(domain, [lambda y, unit: Squares(lambda u: lower_bound(model.low + model.width * u)[:, 0] / unit)],
                  noisy, pending)
    return model


def is_of_squares(model):
    return isinstance(model.model.outcome, Squares)


def root_model(squared):
    """The model of g itself, in f = bound + g² / 2."""
    x = squared.X
    return of_values(BOX[:x.shape[1]]).fit(x, np.sqrt(2 * (squared.Y - bound(x))))


def expectation(function, mean, std, low=-np.inf, high=np.inf):
    """E[function(g)] for g ~ N(mean, std²), where the function vanishes outside of (low, high)."""
    low, high = max(low, mean - 12 * std), min(high, mean + 12 * std)
    if low >= high:
        return 0.0
    return quad(lambda g: function(g) * norm.pdf(g, mean, std), low, high, epsabs=0, epsrel=1e-10, limit=200)[0]


def log_standard_improvement(z):
    """log E[max(z − e, 0)] for e ~ N(0, 1), z < 0, where the integrand over s = |z| (z − e) does not underflow."""
    integral = quad(lambda s: s * np.exp(-s - (s / z) ** 2 / 2), 0, np.inf, epsabs=0, epsrel=1e-12)[0]
    return norm.logpdf(z) - 2 * np.log(-z) + np.log(integral)


def assert_gradient_is_right(model, point, threshold):
    def f(t):
        return model.log_ei(t[np.newaxis], threshold).item()

    value, gradient = model.log_ei_with_gradient(point, threshold)
    # Central differences: smaller steps would show the rounding errors of an ill-conditioned covariance matrix.
    steps = 1e-5 * np.diag(model.width)
    expected = np.array([f(point + step) - f(point - step) for step in steps]) / 2e-5

    np.testing.assert_allclose(value, f(point), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient * model.width, expected, rtol=1e-3, atol=1e-3 * (1 + np.abs(expected).max()))


def conditioned(model, x, y, t, believed=None):
    """Mean and std at points t as textbooks have it: of the model only the length scales and noise are taken.

    What is believed are points whose values are the means there.
    """
    kernel = Matern(model.length_scales, nu=2.5)
    x, t = (to_unit_box(points) for points in (x, t))
    inverse = np.linalg.inv(kernel(x) + model.noise * np.eye(len(x)))
    constant = (inverse @ y).sum() / inverse.sum()
    variance = ((y - constant).T @ inverse @ (y - constant)).item() / len(x)

    def given(x, y, t):
        weights = np.linalg.solve(kernel(x) + model.noise * np.eye(len(x)), kernel(x, t)).T
        return constant + weights @ (y - constant), 1 - (weights * kernel(t, x)).sum(axis=1, keepdims=True)

    if believed is not None:
        believed = to_unit_box(believed)
        x, y = np.vstack((x, believed)), np.vstack((y, given(x, y, believed)[0]))
    mean, share = given(x, y, t)
    return mean, np.sqrt(model.variance_factor * variance * np.maximum(share, 0))


def log_prior(log_length_scales):
    """The log density of the logarithms of length scales, (d,)."""
    d = len(log_length_scales)
    covariance = (3 + np.eye(d)) / min(d, 10)
    return multivariate_normal(np.full(d, np.sqrt(2) + np.log(d) / 2), covariance).logpdf(log_length_scales)


def log_posterior_density(x, y, constant, log_variance, log_length_scales, log_noise):
    """The log density of values (n, 1) with noise, and of the parameters where they have a prior."""
    correlation = Matern(np.exp(log_length_scales), nu=2.5)(to_unit_box(x)) + np.exp(log_noise) * np.eye(len(x))
    return (multivariate_normal(np.full(len(x), constant), np.exp(log_variance) * correlation).logpdf(y[:, 0])
            + log_prior(log_length_scales)
            + norm(-6, 3).logpdf(log_noise))


def profiled(x, y, log_length_scales, log_noise):
    """`log_posterior_density` with the best constant and variance, which are those of generalised least squares."""
    u = to_unit_box(x)
    inverse = np.linalg.inv(Matern(np.exp(log_length_scales), nu=2.5)(u) + np.exp(log_noise) * np.eye(len(u)))
    constant = (inverse @ y).sum() / inverse.sum()
    variance = ((y - constant).T @ inverse @ (y - constant)).item() / len(u)
    return log_posterior_density(x, y, constant, np.log(variance), log_length_scales, log_noise)


def with_noise(rng, y, noise):
    return y + noise * rng.normal(size=y.shape)


def refitted(model, pending):
    """The same kind of model of the same evaluations, with pending experiments beside them."""
    return InBox(model.domain, model.outcomes, model.noisy, pending).fit(model.X, model.Y)


def near(y):
    """Values (n, 1), of which those far out are replaced by the nearest that is not."""
    first, third = np.percentile(y, [25, 75])
    far = abs(y - (first + third) / 2) > 3.5 * (third - first)
    return np.clip(y, y[~far].min(), y[~far].max())


def observed(model):
    """What the Gaussian process is of."""
    if is_of_squares(model):
        g = np.sqrt(2 * np.maximum(model.Y - bound(model.X), 0))
        return near(g) if model.noisy else g
    if isinstance(model.model.outcome, Logarithms):
        lowest, scale = outcome_scale(model.Y[:, 0])
        return np.log1p((model.Y - lowest) / scale)
    return near(model.Y) if model.noisy else model.Y
