"""Gaussian processes in closed form: how a search models an objective.

Points are rows of arrays (n, d), values and predictions are columns (n, 1). Length scales are in units of the box's
sides.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lapack, solve_triangular
from scipy.special import erfcx, log_ndtr, ndtr

from latent_search.hyperparameters import Hyperparameters
from latent_search.likelihood import LengthScalePrior, Likelihood, Prior, matern, profile, squared_distances
from latent_search.points import Array

log_sqrt_2pi = 0.5 * np.log(2 * np.pi)


class GaussianProcess:
    """A Gaussian process: Matérn-5/2 kernel with a length scale for each dimension, constant mean.

    The length scales maximise the marginal likelihood times a log-normal prior, see `Likelihood`; the constant mean and
    the variance that maximise it for given length scales are known in closed form. The prior lets all dimensions vary
    together more than each of them: a few dozen values say little about each of many.
    Values are exact, or the variance of their noise is learned like the length scales.

    Pending experiments are fantasized: each result is taken to be what the model predicts, so that the place is no
    longer uncertain and the mean stays the same (the kriging believer of Ginsbourger et al., 2010).

    Args:
        domain: the bounds of the box, (d, 2).
        noisy: whether values have noise.
        pending: points of experiments that have no result yet, (m, d).
        hyperparameters: those that were fitted before to the first of the same evaluations; without them each fit is
            from the start.
    """

    # As a share of the variance. For exact values it only keeps the covariance matrix well conditioned.
    jitter = 1e-6
    noise_prior = Prior(-6.0, 3.0)
    length_scale_prior = LengthScalePrior(shared_std=np.sqrt(3), own_std=1.0)
    # Where values jump, as an objective does at the border of a label's region, the maximum-likelihood variance is too
    # small elsewhere, and a search that trusts it takes a local minimum for the global one. Twice that was enough in
    # several hundred searches.
    variance_factor = 2.0
    # A model of more evaluations than these is one of a subset, see `representative`.
    max_points = 300

    def __init__(self, domain: Array, noisy: bool = False, pending: ArrayLike = (),
                 hyperparameters: Hyperparameters | None = None) -> None:
        self.low, self.width = domain[:, 0], np.ptp(domain, axis=1)
        self.noisy = bool(noisy)
        self.pending = np.reshape(pending, (-1, len(domain)))
        self.hyperparameters = hyperparameters

    def fit(self, X: Array, Y: Array) -> Self:  # noqa: N803 (GPyOpt's names)
        """Fits the model to all evaluations: points (n, d) and values (n, 1).

        Raises:
            np.linalg.LinAlgError: no covariance matrix is positive definite.
        """
        self.X, self.Y = X, Y
        of_all, parameters = self._most_probable()
        self.u, self.y = of_all.u, of_all.y
        self.weights, self.noise, _, self.factor = of_all.decompose(parameters)
        self.constant, self.alpha, variance = profile(self.factor, self.y)
        self.length_scales = np.exp(parameters[:len(self.low)])
        self.variance = self.variance_factor * variance
        if len(self.pending):
            self._fantasize((self.pending - self.low) / self.width - 0.5)
        return self

    def _most_probable(self, unit: float = 1.0) -> tuple[Likelihood, Array]:
        """The likelihood of all evaluations, observed in a unit, and the most probable parameters."""
        def likelihood(count: int) -> Likelihood:
            chosen = representative(self.Y[:count, 0], self.max_points)
            observed = self._observed(self.X[:count], self.Y[:count], unit)[chosen, 0]
            return Likelihood((self.X[chosen] - self.low) / self.width, observed, self.jitter,
                              self.noise_prior if self.noisy else None, self.length_scale_prior)

        hyperparameters = Hyperparameters() if self.hyperparameters is None else self.hyperparameters
        return likelihood(len(self.Y)), hyperparameters.at(len(self.Y), likelihood, unit)

    def predict(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
        """Mean and standard deviation of the objective at points (n, d), each (n, 1)."""
        return self._predict_observed(X)

    def expected_improvement(self, X: Array) -> Array:  # noqa: N803
        """E[max(incumbent − f, 0)] at points (n, d): (n, 1), in units of the objective."""
        return np.exp(self.log_ei(X, self.incumbent()))

    def incumbent(self) -> float:
        """The lowest mean of what is improved at an evaluated or pending point."""
        of_pending = self._improved_mean(self.pending) if len(self.pending) else np.inf
        return float(min(self._means().min(), np.min(of_pending)))

    def _means(self) -> Array:
        """The mean of what is improved at the evaluations that the model is made of, (n,)."""
        return self.y - self.noise * self.alpha[:len(self.y)]

    def _improved_mean(self, X: Array) -> Array:  # noqa: N803
        """The mean of what is improved at points (n, d): (n, 1)."""
        return self._predict_observed(X)[0]

    @property
    def spread(self) -> float:
        """The standard deviation of what is improved: here of the values."""
        return self.y.std()

    def log_ei(self, X: Array, threshold: float | Array) -> Array:  # noqa: N803
        """Logarithm of the expected improvement, log E[max(threshold − f, 0)], at points (n, d).

        Args:
            X: the points.
            threshold: a number, or several, (k,).

        Returns:
            An array, (n, 1) or (n, k).

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

    def _observed(self, X: Array, Y: Array, unit: float) -> Array:  # noqa: N803
        """What the Gaussian process models at evaluated points (n, d) with values (n, 1): here the values."""
        return Y

    def _correlation(self, u: Array, others: Array) -> Array:
        scale = np.sqrt(5 * self.weights)
        return matern(np.sqrt(squared_distances(u * scale, others * scale)))

    def _fantasize(self, u: Array) -> None:
        """Adds points whose values are the predictions: their weights are 0, only the standard deviation shrinks."""
        solved = solve_triangular(self.factor, self._correlation(self.u, u), lower=True, check_finite=False)
        left = self._correlation(u, u) - solved.T @ solved
        left[np.diag_indices(len(u))] += self.noise
        self.factor = np.block([[self.factor, np.zeros((len(self.u), len(u)))], [solved.T, np.linalg.cholesky(left)]])
        self.alpha = np.r_[self.alpha, np.zeros(len(u))]
        self.u = np.vstack((self.u, u))

    def _predict_observed(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
        k = self._correlation((X - self.low) / self.width - 0.5, self.u)
        explained = (solve_triangular(self.factor, k.T, lower=True, check_finite=False) ** 2).sum(axis=0)
        return ((self.constant + k @ self.alpha)[:, np.newaxis],
                np.sqrt(self.variance * np.maximum(1 - explained, 1e-12))[:, np.newaxis])

    def _predict_observed_with_gradient(self, x: Array) -> tuple[float, float, Array, Array]:
        differences = (x - self.low) / self.width - 0.5 - self.u
        r = np.sqrt(5 * (differences ** 2) @ self.weights)
        decay = np.exp(-r)
        k = (1 + r + r * r / 3) * decay
        k_gradient = -5 / 3 * ((1 + r) * decay)[:, np.newaxis] * differences * self.weights / self.width
        solved = lapack.dpotrs(self.factor, k, lower=1)[0]
        std = np.sqrt(self.variance * max(1 - k @ solved, 1e-12))
        return (self.constant + k @ self.alpha, std,
                self.alpha @ k_gradient, -self.variance * (solved @ k_gradient) / std)


class LogGaussianProcess(GaussianProcess):
    """A model of an objective of any shape: f = lowest + unit · scale · (exp(g) − 1), where g is a Gaussian process.

    Here lowest is the lowest value so far, and scale how far the median is above it. With the unit 1 values that span
    orders of magnitude do not hide what matters near the minimum. With a large unit g is proportional to the values
    themselves, which suits smooth functions. Of the two the unit is chosen that makes the values more probable. What is
    improved is g.
    """

    # A larger variance than the likeliest was worth nothing on 24 functions in 2 to 20 dimensions.
    variance_factor = 1.0
    units = 1.0, 1e4

    def predict(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
        """Mean and standard deviation of the objective at points (n, d), each (n, 1)."""
        mean, std = self._predict_observed(X)
        lowest, scale = outcome_scale(self.Y)
        exponent = np.minimum(mean + std ** 2 / 2, 600)
        return (lowest + self.unit * scale * np.expm1(exponent),
                self.unit * scale * np.exp(exponent) * np.sqrt(np.expm1(np.minimum(std ** 2, 100))))

    def expected_improvement(self, X: Array) -> Array:  # noqa: N803
        """E[max(incumbent − f, 0)] at points (n, d): (n, 1), in units of the objective.

        With b = unit · scale and c = incumbent − lowest + b it is c Φ(z) − b · exp(mean + std² / 2) Φ(z − std), where
        z = (log(c / b) − mean) / std.
        """
        mean, std = self._predict_observed(X)
        _, scale = outcome_scale(self.Y)
        incumbent = self.incumbent()
        z = (incumbent - mean) / std
        log_second = np.minimum(mean + std ** 2 / 2, 600) + log_ndtr(z - std)
        return self.unit * scale * np.maximum(np.exp(incumbent + log_ndtr(z)) - np.exp(log_second), 0)

    def _most_probable(self, unit: float = 1.0) -> tuple[Likelihood, Array]:
        fits = {unit: super(LogGaussianProcess, self)._most_probable(unit) for unit in self.units}
        self.unit = min(self.units, key=lambda unit: self._negative_log_probability(unit, *fits[unit]))
        return fits[self.unit]

    def _negative_log_probability(self, unit: float, likelihood: Likelihood, parameters: Array) -> float:
        """That of the values, which is that of g times the product of the derivatives of g by the values."""
        _, scale = outcome_scale(self.Y)
        value, _ = likelihood.negative_log_posterior(parameters)
        return value + (np.log(unit * scale) + likelihood.y).sum()

    def _observed(self, X: Array, Y: Array, unit: float) -> Array:  # noqa: N803
        lowest, scale = outcome_scale(Y)
        return np.log1p((Y - lowest) / (unit * scale))


def outcome_scale(Y: Array) -> tuple[float, float]:  # noqa: N803
    """The lowest of the values (n, 1), and how far the median is above it: the units of what is modelled.

    Where more than half of the values are the lowest, the mean takes the median's place, and 1 where all are.
    """
    lowest = Y.min()
    return float(lowest), float(np.median(Y) - lowest or Y.mean() - lowest or 1.0)


def representative(y: Array, num: int) -> NDArray[np.intp]:
    """Which of the values y (n,) a model of at most `num` evaluations is made of: indices, ascending.

    Half of them are the lowest. Of the others, each second or fourth or eighth ... in their order.
    """
    if len(y) <= num:
        return np.arange(len(y))
    order = np.argsort(y, kind='stable')
    lowest, others = order[:num // 2], np.sort(order[num // 2:])
    stride = 1 << int(np.ceil(np.log2(len(others) / (num - num // 2))))
    return np.sort(np.r_[lowest, others[others % stride == 0][num // 2 - num:]])


class SquaredGaussianProcess(GaussianProcess):
    """A model of an objective with a known lower bound: f = lower_bound + g² / 2, where g is a Gaussian process.

    What is known is not learned again, and no improvement beyond the bound is expected. The square root also brings a
    steep objective's plateaus and valleys closer together. Gunter et al., arXiv 1411.0439, and Nguyen and Osborne,
    arXiv 1905.02685, do the same for a bound that is a number; here it is a function.

    Noisy values below the bound count as values on it. The noise that is learned is that of g, the same everywhere.

    Args:
        domain: as for `GaussianProcess`.
        lower_bound: a function of points (n, d) that returns values (n, 1).
        noisy: as for `GaussianProcess`.
        pending: as for `GaussianProcess`. What is fantasized is g.
        hyperparameters: as for `GaussianProcess`.
    """

    # Where the improvement is not more than this share of the variance of g, only rounding errors are left of it.
    smallest_share = 1e-14
    log_of_nothing = -690.0

    def __init__(self, domain: Array, lower_bound: Callable[[Array], Array], noisy: bool = False,
                 pending: ArrayLike = (), hyperparameters: Hyperparameters | None = None) -> None:
        super().__init__(domain, noisy, pending, hyperparameters)
        self.lower_bound = lower_bound

    def predict(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
        """Mean and standard deviation of the objective at points (n, d), each (n, 1)."""
        mean, std = self._predict_observed(X)
        return self.lower_bound(X) + (mean ** 2 + std ** 2) / 2, std * np.sqrt(mean ** 2 + std ** 2 / 2)

    def _means(self) -> Array:
        return self._improved_mean(self.low + self.width * (self.u[:len(self.y)] + 0.5))[:, 0]

    def _improved_mean(self, X: Array) -> Array:  # noqa: N803
        return self.predict(X)[0]

    @property
    def spread(self) -> float:
        """The standard deviation of what is improved: here of the values."""
        return self.Y.std()

    def log_ei(self, X: Array, threshold: float | Array) -> Array:  # noqa: N803
        """Logarithm of the expected improvement at points (n, d): (n, 1), or (n, k) for k thresholds.

        It is −690 where the expectation vanishes.

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

    def _observed(self, X: Array, Y: Array, unit: float) -> Array:  # noqa: N803
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
