"""The likelihood of length scales and noise of a Gaussian process, and the most probable ones.

Points are rows of arrays (n, d) in units of the box's sides, and so are length scales.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

from latent_search.points import Array


def squared_distances(a: Array, b: Array) -> Array:
    """Squared distances between points a (n, d) and b (m, d): (n, m)."""
    return np.maximum((a * a).sum(axis=1)[:, np.newaxis] + (b * b).sum(axis=1) - 2 * a @ b.T, 0)


def matern(r: Array) -> Array:
    """The Matérn-5/2 correlation at distances `r`, which are in length scales times √5."""
    return (1 + r + r * r / 3) * np.exp(-r)


class Prior(NamedTuple):
    """Normal prior of a parameter's logarithm: mean and standard deviation."""

    mean: float
    std: float


class LengthScalePrior(NamedTuple):
    """Normal prior of the length scales' logarithms: their sum of a shared deviation and one of each dimension.

    The more dimensions, the narrower: in d dimensions both standard deviations are divided by √d, in more than ten by
    √10. A prior of hundreds of length scales that is narrower still would not let them become short enough. The mean is
    that of Hvarfner et al., arXiv 2402.02229, √2 + log(d) / 2. There each length scale has a prior of its own with
    standard deviation √3. The average of d such logarithms has √3 / √d, as the shared deviation here has up to ten
    dimensions.

    Attributes:
        shared_std: standard deviation of what all dimensions share, for d = 1.
        own_std: standard deviation of what each dimension adds, for d = 1.
        narrowest_in: the number of dimensions from which on the prior becomes no narrower.
    """

    shared_std: float
    own_std: float
    narrowest_in: int = 10

    def negative_log_density(self, log_length_scales: Array) -> tuple[float, Array]:
        """Of logarithms (d,), up to a constant; and its gradient (d,)."""
        d = len(log_length_scales)
        deviations = log_length_scales - np.sqrt(2) - 0.5 * np.log(d)
        # The inverse of (shared² 11ᵀ + own² I) / min(d, narrowest_in), by Sherman and Morrison.
        shared = self.shared_std ** 2 / (self.own_std ** 2 + d * self.shared_std ** 2)
        gradient = min(d, self.narrowest_in) * (deviations - shared * deviations.sum()) / self.own_std ** 2
        return float(deviations @ gradient) / 2, gradient


class Decomposition(NamedTuple):
    """The correlation of n observations for given parameters.

    Attributes:
        weights: inverse squares of the length scales, (d,).
        noise: variance of the noise as a share of the variance.
        slope: (1 + r) exp(−r) for each pair of points, (n, n): the derivative of the correlation needs it.
        factor: lower Cholesky factor of the correlation matrix with noise, (n, n).
    """

    weights: Array
    noise: float
    slope: Array
    factor: Array


class Profile(NamedTuple):
    """The mean and variance that maximise the likelihood for a given correlation.

    Attributes:
        weights: of the basis in the mean, (k,).
        alpha: the inverse correlation matrix times the observations less their mean, (n,).
        variance: the variance.
    """

    weights: Array
    alpha: Array
    variance: float


def profile(factor: Array, basis: Array, y: Array) -> Profile:
    """Mean and variance of observations y (n,) whose correlation matrix has the lower Cholesky factor `factor`.

    The mean is a weighted sum of the columns of `basis` (n, k), by generalised least squares.
    """
    solved = lapack.dpotrs(factor, np.c_[basis, y], lower=1)[0]
    of_basis, of_y = solved[:, :-1], solved[:, -1]
    weights = np.linalg.solve(basis.T @ of_basis, basis.T @ of_y)
    alpha = of_y - of_basis @ weights
    # If all values are equal, the variance would be 0, and nothing can be divided by its root.
    smallest = (1e-8 * (np.abs(y).max() or 1.0)) ** 2
    return Profile(weights, alpha, max((y - basis @ weights) @ alpha / len(y), smallest))


class Likelihood:
    """The posterior density of length scales and noise given observations, with mean and variance profiled out.

    Parameters are the logarithms of the length scales, and of the noise's share of the variance where it is learned.

    Args:
        u: points in units of the box's sides, (n, d).
        y: observations, (n,).
        basis: what their mean is a weighted sum of, (n, k).
        jitter: the noise's share of the variance where it is not learned, and its smallest value where it is.
        noise_prior: prior of the noise's share; None if values are exact.
        length_scale_prior: prior of the length scales.
    """

    def __init__(self, u: Array, y: Array, basis: Array, jitter: float, noise_prior: Prior | None,
                 length_scale_prior: LengthScalePrior) -> None:
        # Distances of points around the origin have smaller rounding errors.
        self.u, self.y, self.basis, self.jitter, self.noise_prior = u - 0.5, y, basis, jitter, noise_prior
        self.n, self.d = u.shape
        self.length_scale_prior = length_scale_prior

    def decompose(self, parameters: Array) -> Decomposition:
        """Decomposes the correlation matrix.

        Raises:
            np.linalg.LinAlgError: it is not positive definite.
        """
        weights = np.exp(-2 * parameters[:self.d])
        noise = float(np.exp(parameters[self.d])) if self.noise_prior else self.jitter
        scaled = self.u * np.sqrt(5 * weights)
        r = np.sqrt(squared_distances(scaled, scaled))
        slope = (1 + r) * np.exp(-r)
        correlation = slope * (1 + r * r / (3 * (1 + r)))
        correlation[np.diag_indices(self.n)] = 1 + noise
        factor, failed = lapack.dpotrf(correlation, lower=1)
        if failed:
            raise np.linalg.LinAlgError('the covariance matrix is not positive definite')
        return Decomposition(weights, noise, slope, factor)

    def negative_log_posterior(self, parameters: Array) -> tuple[float, Array]:
        """The negative log density, up to a constant, and its gradient."""
        of = self.decompose(parameters)
        _, alpha, variance = profile(of.factor, self.basis, self.y)
        inverse = lapack.dpotri(of.factor, lower=1)[0]
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        of_correlation = (inverse - np.outer(alpha, alpha) / variance) / 2
        of_prior, gradient_of_prior = self._negative_log_prior(parameters)
        value = self.n / 2 * np.log(variance) + np.log(np.diag(of.factor)).sum() + of_prior
        # Σ S_ij (u_i − u_j)² for each dimension, without an array (n, n, d).
        of_squares = of.slope * of_correlation
        sums = 2 * ((self.u ** 2 * of_squares.sum(axis=1)[:, np.newaxis]).sum(axis=0)
                    - (self.u * (of_squares @ self.u)).sum(axis=0))
        gradient = 5 / 3 * of.weights * sums
        if self.noise_prior:
            gradient = np.r_[gradient, of.noise * np.trace(of_correlation)]
        return float(value), gradient + gradient_of_prior

    def _negative_log_prior(self, parameters: Array) -> tuple[float, Array]:
        value, gradient = self.length_scale_prior.negative_log_density(parameters[:self.d])
        if not self.noise_prior:
            return value, gradient
        standardised = (parameters[self.d] - self.noise_prior.mean) / self.noise_prior.std
        return float(value + standardised ** 2 / 2), np.r_[gradient, standardised / self.noise_prior.std]

    def maximise(self, start: Array | None = None) -> Array:
        """The most probable parameters, (d,), or (d + 1,) where noise is learned.

        Args:
            start: where to climb from, such as the most probable parameters of fewer observations.
        """
        from scipy.optimize import minimize

        starts = self._starts() if start is None else [start]
        bounds = [(np.log(2e-3), np.log(10 * np.sqrt(self.d)))] * self.d
        bounds += [(np.log(self.jitter), 0.0)] * (self.noise_prior is not None)
        return min((minimize(self.negative_log_posterior, start, jac=True, method='L-BFGS-B', bounds=bounds,
                             options={'maxiter': 50}) for start in starts), key=lambda fit: fit.fun).x

    def _starts(self) -> list[Array]:
        scale = np.sqrt(self.d / 2)
        short, long = (np.full(self.d, np.log(length * scale)) for length in (0.15, 0.5))
        if not self.noise_prior:
            return [short]
        # There are often two optima: much of the variation is explained, or much of it is taken for noise.
        return [np.r_[short, self.noise_prior.mean], np.r_[long, np.log(0.3)]]
