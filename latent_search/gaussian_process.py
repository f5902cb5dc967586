"""Gaussian processes in closed form: how a search models an objective.

Points are rows of arrays (n, d), values and predictions are columns (n, 1). Length scales are in units of the box's
sides.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import lapack, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import erfcx, log_ndtr, ndtr

from latent_search.points import Array

log_sqrt_2pi = 0.5 * np.log(2 * np.pi)


def matern(r: Array) -> Array:
    """The Matérn-5/2 correlation at distances `r`, which are in length scales times √5."""
    return (1 + r + r * r / 3) * np.exp(-r)


class Prior(NamedTuple):
    """Normal prior of a parameter's logarithm: mean and standard deviation."""

    mean: float
    std: float


class Decomposition(NamedTuple):
    """The model of n observations for given parameters; the variance is profiled out.

    Attributes:
        weights: inverse squares of the length scales, (d,).
        noise: variance of the noise as a share of the variance.
        slope: (1 + r) exp(−r) for each pair of points, (n, n): the derivative of the correlation needs it.
        factor: lower Cholesky factor of the correlation matrix with noise, (n, n).
        constant: the mean that maximises the likelihood.
        alpha: the inverse correlation matrix times the observations less the constant, (n,).
        variance: the variance that maximises the likelihood.
    """

    weights: Array
    noise: float
    slope: Array
    factor: Array
    constant: float
    alpha: Array
    variance: float


class Likelihood:
    """The posterior density of length scales and noise given observations, with constant and variance profiled out.

    Parameters are the logarithms of the length scales, and of the noise's share of the variance where it is learned.

    Args:
        u: points in units of the box's sides, (n, d).
        y: observations, (n,).
        jitter: the noise's share of the variance where it is not learned, and its smallest value where it is.
        noise_prior: prior of the noise's share; None if values are exact.
    """

    def __init__(self, u: Array, y: Array, jitter: float, noise_prior: Prior | None) -> None:
        self.y, self.jitter, self.learns_noise = y, jitter, noise_prior is not None
        self.n, self.d = u.shape
        self.squared_differences = (u.T[:, :, np.newaxis] - u.T[:, np.newaxis, :]) ** 2
        # Hvarfner et al., arXiv 2402.02229.
        priors = [Prior(np.sqrt(2) + 0.5 * np.log(self.d), np.sqrt(3))] * self.d
        self.prior_mean, self.prior_std = np.array(priors + ([] if noise_prior is None else [noise_prior])).T
        # If all values are equal, the variance would be 0, and nothing can be divided by its root.
        self.smallest_variance = (1e-8 * (np.abs(y).max() or 1.0)) ** 2

    def decompose(self, parameters: Array) -> Decomposition:
        """Decomposes the correlation matrix.

        Raises:
            np.linalg.LinAlgError: it is not positive definite.
        """
        weights = np.exp(-2 * parameters[:self.d])
        noise = float(np.exp(parameters[self.d])) if self.learns_noise else self.jitter
        r = np.sqrt(5 * np.tensordot(weights, self.squared_differences, 1))
        decay = np.exp(-r)
        correlation = (1 + r + r * r / 3) * decay
        correlation[np.diag_indices(self.n)] += noise
        factor, failed = lapack.dpotrf(correlation, lower=1)
        if failed:
            raise np.linalg.LinAlgError('the covariance matrix is not positive definite')
        of_ones, of_y = lapack.dpotrs(factor, np.c_[np.ones(self.n), self.y], lower=1)[0].T
        constant = of_y.sum() / of_ones.sum()
        alpha = of_y - constant * of_ones
        variance = max((self.y - constant) @ alpha / self.n, self.smallest_variance)
        return Decomposition(weights, noise, (1 + r) * decay, factor, constant, alpha, variance)

    def negative_log_posterior(self, parameters: Array) -> tuple[float, Array]:
        """The negative log density, up to a constant, and its gradient."""
        of = self.decompose(parameters)
        inverse = lapack.dpotri(of.factor, lower=1)[0]
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        of_correlation = (inverse - np.outer(of.alpha, of.alpha) / of.variance) / 2
        standardised = (parameters - self.prior_mean) / self.prior_std
        value = (self.n / 2 * np.log(of.variance) + np.log(np.diag(of.factor)).sum()
                 + standardised @ standardised / 2)
        gradient = 5 / 3 * of.weights * np.tensordot(self.squared_differences, of.slope * of_correlation, 2)
        if self.learns_noise:
            gradient = np.r_[gradient, of.noise * np.trace(of_correlation)]
        return value, gradient + standardised / self.prior_std

    def maximise(self) -> Array:
        """The most probable parameters, (d,), or (d + 1,) where noise is learned."""
        starts = [[np.log(0.15)] * self.d + list(self.prior_mean[self.d:])]
        if self.learns_noise:
            # There are often two optima: much of the variation is explained, or much of it is taken for noise.
            starts.append([np.log(0.5)] * self.d + [np.log(0.3)])
        bounds = [(np.log(2e-3), np.log(10))] * self.d + [(np.log(self.jitter), 0.0)] * self.learns_noise
        return min((minimize(self.negative_log_posterior, start, jac=True, method='L-BFGS-B', bounds=bounds,
                             options={'maxiter': 50}) for start in starts), key=lambda fit: fit.fun).x


class GaussianProcess:
    """A Gaussian process: Matérn-5/2 kernel with a length scale for each dimension, constant mean.

    The length scales maximise the marginal likelihood times a broad log-normal prior (Hvarfner et al., arXiv
    2402.02229); the constant mean and the variance that maximise it for given length scales are known in closed form.
    Values are exact, or the variance of their noise is learned like the length scales.

    Pending experiments are fantasized: each result is taken to be what the model predicts, so that the place is no
    longer uncertain and the mean stays the same (the kriging believer of Ginsbourger et al., 2010).

    Args:
        domain: the bounds of the box, (d, 2).
        noisy: whether values have noise.
        pending: points of experiments that have no result yet, (m, d).
    """

    # As a share of the variance. For exact values it only keeps the covariance matrix well conditioned.
    jitter = 1e-6
    noise_prior = Prior(-6.0, 3.0)
    # Where values jump, as an objective does at the border of a label's region, the maximum-likelihood variance is too
    # small elsewhere, and a search that trusts it takes a local minimum for the global one. Twice that was enough in
    # several hundred searches.
    variance_factor = 2.0

    def __init__(self, domain: Array, noisy: bool = False, pending: ArrayLike = ()) -> None:
        self.low, self.width = domain[:, 0], np.ptp(domain, axis=1)
        self.noisy = bool(noisy)
        self.pending = np.reshape(pending, (-1, len(domain)))

    def fit(self, X: Array, Y: Array) -> Self:  # noqa: N803 (GPyOpt's names)
        """Fits the model to all evaluations: points (n, d) and values (n, 1).

        Raises:
            np.linalg.LinAlgError: no covariance matrix is positive definite.
        """
        self.X, self.Y = X, Y
        self.u = (X - self.low) / self.width
        likelihood = Likelihood(self.u, self._observed(X, Y)[:, 0], self.jitter,
                                self.noise_prior if self.noisy else None)
        parameters = likelihood.maximise()
        self.weights, self.noise, _, self.factor, self.constant, self.alpha, variance = likelihood.decompose(parameters)
        self.length_scales = np.exp(parameters[:len(self.low)])
        self.variance = self.variance_factor * variance
        if len(self.pending):
            self._fantasize((self.pending - self.low) / self.width)
        return self

    def predict(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
        """Mean and standard deviation of the objective at points (n, d), each (n, 1)."""
        return self._predict_observed(X)

    def incumbent(self) -> float:
        """The lowest mean of the objective at an evaluated or pending point."""
        return self.predict(np.vstack((self.X, self.pending)))[0].min()

    def log_ei(self, X: Array, threshold: float) -> Array:  # noqa: N803
        """Logarithm of the expected improvement, log E[max(threshold − f, 0)], at points (n, d): (n, 1).

        With z = (threshold − mean) / std it is log std + log(φ(z) + z Φ(z)), computed as in Ament et al., arXiv
        2310.20708, so that it stays finite where the expectation underflows.
        """
        mean, std = self._predict_observed(X)
        return np.log(std) + _log_standard_ei((threshold - mean) / std)

    def log_ei_with_gradient(self, x: Array, threshold: float) -> tuple[float, Array]:
        """`log_ei` at one point (d,): a number, and its gradient (d,)."""
        mean, std, mean_gradient, std_gradient = self._predict_observed_with_gradient(x)
        z = (threshold - mean) / std
        log_standard = _log_standard_ei(np.array([z]))[0]
        gradient = (np.exp(-z * z / 2 - log_sqrt_2pi - log_standard) * std_gradient
                    - np.exp(log_ndtr(z) - log_standard) * mean_gradient) / std
        return np.log(std) + log_standard, gradient

    def _observed(self, X: Array, Y: Array) -> Array:  # noqa: N803
        """What the Gaussian process models: here the values."""
        return Y

    def _correlation(self, u: Array, others: Array) -> Array:
        scale = np.sqrt(5 * self.weights)
        return matern(cdist(u * scale, others * scale))

    def _fantasize(self, u: Array) -> None:
        """Adds points whose values are the predictions: their weights are 0, only the standard deviation shrinks."""
        solved = solve_triangular(self.factor, self._correlation(self.u, u), lower=True, check_finite=False)
        left = self._correlation(u, u) - solved.T @ solved
        left[np.diag_indices(len(u))] += self.noise
        self.factor = np.block([[self.factor, np.zeros((len(self.u), len(u)))], [solved.T, np.linalg.cholesky(left)]])
        self.alpha = np.r_[self.alpha, np.zeros(len(u))]
        self.u = np.vstack((self.u, u))

    def _predict_observed(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
        k = self._correlation((X - self.low) / self.width, self.u)
        explained = (solve_triangular(self.factor, k.T, lower=True, check_finite=False) ** 2).sum(axis=0)
        return ((self.constant + k @ self.alpha)[:, np.newaxis],
                np.sqrt(self.variance * np.maximum(1 - explained, 1e-12))[:, np.newaxis])

    def _predict_observed_with_gradient(self, x: Array) -> tuple[float, float, Array, Array]:
        differences = (x - self.low) / self.width - self.u
        r = np.sqrt(5 * (differences ** 2) @ self.weights)
        decay = np.exp(-r)
        k = (1 + r + r * r / 3) * decay
        k_gradient = -5 / 3 * ((1 + r) * decay)[:, np.newaxis] * differences * self.weights / self.width
        solved = lapack.dpotrs(self.factor, k, lower=1)[0]
        std = np.sqrt(self.variance * max(1 - k @ solved, 1e-12))
        return (self.constant + k @ self.alpha, std,
                self.alpha @ k_gradient, -self.variance * (solved @ k_gradient) / std)


class SquaredGaussianProcess(GaussianProcess):
    """A model of an objective with a known lower bound: f = lower_bound + g² / 2, where g is a Gaussian process.

    What is known is not learned again, and no improvement beyond the bound is expected. The square root also brings a
    steep objective's plateaus and valleys closer together. Gunter et al., arXiv 1411.0439, and Nguyen and Osborne,
    arXiv 1905.02685, do the same for a bound that is a number; here it is a function.

    Args:
        domain: as for `GaussianProcess`.
        lower_bound: a function of points (n, d) that returns values (n, 1).
        pending: as for `GaussianProcess`. What is fantasized is g.
    """

    # Where the improvement is not more than this share of the variance of g, only rounding errors are left of it.
    smallest_share = 1e-14
    log_of_nothing = -690.0

    def __init__(self, domain: Array, lower_bound: Callable[[Array], Array], pending: ArrayLike = ()) -> None:
        super().__init__(domain, pending=pending)
        self.lower_bound = lower_bound

    def predict(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
        """Mean and standard deviation of the objective at points (n, d), each (n, 1)."""
        mean, std = self._predict_observed(X)
        return self.lower_bound(X) + (mean ** 2 + std ** 2) / 2, std * np.sqrt(mean ** 2 + std ** 2 / 2)

    def log_ei(self, X: Array, threshold: float) -> Array:  # noqa: N803
        """Logarithm of the expected improvement at points (n, d): (n, 1), −690 where the expectation vanishes.

        With c = threshold − lower_bound it is the expectation of c − g² / 2 over −√2c < g < √2c, in closed form.
        """
        mean, std = self._predict_observed(X)
        ei = _squared_ei(np.abs(mean), std, threshold - self.lower_bound(X))[0]
        return np.log(np.maximum(ei, 1e-300))

    def log_ei_with_gradient(self, x: Array, threshold: float) -> tuple[float, Array]:
        """`log_ei` at one point (d,): a number, and its gradient (d,)."""
        mean, std, mean_gradient, std_gradient = self._predict_observed_with_gradient(x)
        bound, bound_gradient = self._lower_bound_with_gradient(x)
        ei, of_mean, of_std, of_c = _squared_ei(abs(mean), std, threshold - bound)
        if ei < self.smallest_share * std ** 2:
            return self.log_of_nothing, np.zeros(len(x))
        gradient = np.sign(mean) * of_mean * mean_gradient + of_std * std_gradient - of_c * bound_gradient
        return np.log(ei), gradient / ei

    def _lower_bound_with_gradient(self, x: Array) -> tuple[float, Array]:
        """The bound at one point (d,) and its central differences, which are one-sided at the border of the box."""
        above, below = (np.clip(x + sign * 1e-6 * self.width, self.low, self.low + self.width) for sign in (1, -1))
        stencil = np.vstack((x, np.where(np.eye(len(x)), above, x), np.where(np.eye(len(x)), below, x)))
        around = self.lower_bound(stencil)[:, 0]
        return around[0], (around[1:len(x) + 1] - around[len(x) + 1:]) / (above - below)

    def _observed(self, X: Array, Y: Array) -> Array:  # noqa: N803
        return np.sqrt(2 * np.maximum(Y - self.lower_bound(X), 0))


def _log_standard_ei(z: Array) -> Array:
    """log(φ(z) + z Φ(z)), without the cancellation that makes it −∞ below z = −8."""
    tail = np.minimum(z, -1.0)
    # φ + z Φ = φ (1 − |z| Φ / φ), and Φ / φ is the scaled complementary error function.
    share = np.maximum(1 + tail * np.sqrt(np.pi / 2) * erfcx(-tail / np.sqrt(2)), 1e-300)
    log_tail = np.where(tail > -1e5, np.log(share), -2 * np.log(-tail)) - tail * tail / 2 - log_sqrt_2pi
    body = np.maximum(z, -1.0)
    return np.where(z > -1, np.log(_phi(body) + body * ndtr(body)), log_tail)


def _squared_ei(mean: Any, std: Any, c: Any) -> tuple[Any, Any, Any, Any]:
    """E[max(c − g² / 2, 0)] for g ~ N(mean, std²), mean ≥ 0; and its derivatives by mean, std and c."""
    half_width = np.sqrt(2 * np.maximum(c, 0))
    a, b = (-half_width - mean) / std, (half_width - mean) / std
    # Moments of the standardised g between the two: of order 0, 1 and 2.
    zeroth, first = ndtr(b) - ndtr(a), _phi(a) - _phi(b)
    second = zeroth + a * _phi(a) - b * _phi(b)
    ei = c * zeroth - (mean ** 2 * zeroth + 2 * mean * std * first + std ** 2 * second) / 2
    return np.where(c > 0, ei, 0.0), -(mean * zeroth + std * first), -(mean * first + std * second), zeroth


def _phi(z: Array) -> Array:
    return np.exp(-z * z / 2 - log_sqrt_2pi)
