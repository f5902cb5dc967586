"""Outcomes: how the values f of an objective follow from what the Gaussian process g models.

Each class says what g is at evaluations, and what mean and standard deviation of g at points mean for f. Arrays of
means and deviations have the shape (n,), points u of the unit box (n, d).
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from latent_search.points import Array

log_sqrt_2pi = 0.5 * np.log(2 * np.pi)


class Outcome(Protocol):
    """How f follows from g.

    Attributes:
        variance_factor: how many times the likeliest variance a search assumes.
    """

    variance_factor: float

    def observe(self, u: Array, y: Array) -> Array:
        """g at points with values y (n,): (n,)."""

    def from_values(self, u: Array, y: Array) -> Array:
        """g for other values than evaluated ones, such as a prediction's: (n,)."""

    def log_slope(self, g: Array) -> float:
        """The logarithm of the product of df/dg over evaluations, for comparing outcomes by how likely values are."""

    def objective(self, mean: Array, std: Array, u: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of f."""

    def improved(self, mean: Array, std: Array, u: Array) -> Array:
        """The mean of what is improved: of f, or of g where its order is the same."""

    def spread(self, y: Array, g: Array) -> float:
        """The standard deviation of what is improved, over evaluations."""

    def log_ei(self, mean: Array, std: Array, u: Array, thresholds: Array) -> Array:
        """Logarithms of the expected improvement on k thresholds, log E[max(threshold − improved, 0)]: (n, k)."""

    def log_ei_slopes(self, mean: float, std: float, u: Array, threshold: float) -> tuple[float, float, float, Any]:
        """`log_ei` at one point (d,), and its derivatives by mean, standard deviation and, for given ones, point."""

    def expected_improvement(self, mean: Array, std: Array, u: Array, incumbent: float) -> Array:
        """E[max(f(incumbent) − f, 0)]: (n,)."""


class Values:
    """f = g. Noisy values are modelled as they are."""

    # Where values jump, as an objective does at the border of a label's region, the maximum-likelihood variance is too
    # small elsewhere, and a search that trusts it takes a local minimum for the global one. Twice that was enough in
    # several hundred searches.
    variance_factor = 2.0

    def observe(self, u: Array, y: Array) -> Array:
        return y

    from_values = observe

    def log_slope(self, g: Array) -> float:
        return 0.0

    def objective(self, mean: Array, std: Array, u: Array) -> tuple[Array, Array]:
        return mean, std

    def improved(self, mean: Array, std: Array, u: Array) -> Array:
        return mean

    def spread(self, y: Array, g: Array) -> float:
        return float(g.std())

    def log_ei(self, mean: Array, std: Array, u: Array, thresholds: Array) -> Array:
        """With z = (threshold − mean) / std it is log std + log(φ(z) + z Φ(z)), computed as in Ament et al., arXiv
        2310.20708, so that it stays finite where the expectation underflows."""
        return np.log(std)[:, np.newaxis] + log_standard_ei((thresholds - mean[:, np.newaxis]) / std[:, np.newaxis])

    def log_ei_slopes(self, mean: float, std: float, u: Array, threshold: float) -> tuple[float, float, float, Any]:
        z = (threshold - mean) / std
        log_standard = log_standard_ei(np.array([z]))[0]
        return (np.log(std) + log_standard, -np.exp(log_ndtr(z) - log_standard) / std,
                np.exp(-z * z / 2 - log_sqrt_2pi - log_standard) / std, 0.0)

    def expected_improvement(self, mean: Array, std: Array, u: Array, incumbent: float) -> Array:
        return np.exp(self.log_ei(mean, std, u, np.array([incumbent])))[:, 0]


class Logarithms(Values):
    """f = lowest + b (exp(g) − 1), b = share · scale: for an objective of any shape.

    Here lowest is the lowest value, and scale how far the median is above it. With the share 1 values that span orders
    of magnitude do not hide what matters near the minimum. With a large share g is proportional to the values
    themselves, which suits smooth functions. What is improved is g.

    Args:
        y: the values, (n,).
        share: of the scale.
    """

    # A larger variance than the likeliest was worth nothing on 24 functions in 2 to 20 dimensions.
    variance_factor = 1.0

    def __init__(self, y: Array, share: float) -> None:
        self.lowest, scale = outcome_scale(y)
        self.b = share * scale

    def observe(self, u: Array, y: Array) -> Array:
        return np.log1p((y - self.lowest) / self.b)

    def from_values(self, u: Array, y: Array) -> Array:
        above = (y - self.lowest) / self.b
        return np.sign(above) * np.log1p(np.abs(above))

    def log_slope(self, g: Array) -> float:
        return float((np.log(self.b) + g).sum())

    def objective(self, mean: Array, std: Array, u: Array) -> tuple[Array, Array]:
        exponent = np.minimum(mean + std ** 2 / 2, 600)
        return (self.lowest + self.b * np.expm1(exponent),
                self.b * np.exp(exponent) * np.sqrt(np.expm1(np.minimum(std ** 2, 100))))

    def expected_improvement(self, mean: Array, std: Array, u: Array, incumbent: float) -> Array:
        """With c = exp(incumbent) it is b (c Φ(z) − exp(mean + std² / 2) Φ(z − std)), z = (incumbent − mean) / std."""
        z = (incumbent - mean) / std
        log_second = np.minimum(mean + std ** 2 / 2, 600) + log_ndtr(z - std)
        return self.b * np.maximum(np.exp(incumbent + log_ndtr(z)) - np.exp(log_second), 0)


class Squares:
    """f = bound + g² / 2: for an objective with a known lower bound, a function of points.

    What is known is not learned again, and no improvement beyond the bound is expected. The square root also brings a
    steep objective's plateaus and valleys closer together. Gunter et al., arXiv 1411.0439, and Nguyen and Osborne,
    arXiv 1905.02685, do the same for a bound that is a number; here it is a function. Values below the bound, as noisy
    ones can be, count as values on it. The noise that is learned is that of g, the same everywhere.

    Args:
        bound: a function of points u (n, d) that returns values (n,).
    """

    variance_factor = 2.0
    # Where the improvement is not more than this share of the variance of g, only rounding errors are left of it.
    smallest_share = 1e-14
    log_of_nothing = -690.0

    def __init__(self, bound: Callable[[Array], Array]) -> None:
        self.bound = bound

    def observe(self, u: Array, y: Array) -> Array:
        return np.sqrt(2 * np.maximum(y - self.bound(u), 0))

    from_values = observe

    def log_slope(self, g: Array) -> float:
        return 0.0  # It is compared with itself only, of the same g.

    def objective(self, mean: Array, std: Array, u: Array) -> tuple[Array, Array]:
        return self.bound(u) + (mean ** 2 + std ** 2) / 2, std * np.sqrt(mean ** 2 + std ** 2 / 2)

    def improved(self, mean: Array, std: Array, u: Array) -> Array:
        return self.objective(mean, std, u)[0]

    def spread(self, y: Array, g: Array) -> float:
        return float(y.std())

    def log_ei(self, mean: Array, std: Array, u: Array, thresholds: Array) -> Array:
        """−690 where the expectation vanishes. With c = threshold − bound it is that of c − g² / 2 over
        −√2c < g < √2c, in closed form."""
        c = thresholds - self.bound(u)[:, np.newaxis]
        ei = _squared_ei(np.abs(mean)[:, np.newaxis], std[:, np.newaxis], c)[0]
        return np.log(np.maximum(ei, 1e-300))

    def log_ei_slopes(self, mean: float, std: float, u: Array, threshold: float) -> tuple[float, float, float, Any]:
        bound, bound_gradient = with_gradient(self.bound, u)
        ei, of_mean, of_std, of_c = _squared_ei(abs(mean), std, threshold - bound)
        if ei < self.smallest_share * std ** 2:
            return self.log_of_nothing, 0.0, 0.0, 0.0
        return np.log(ei), np.sign(mean) * of_mean / ei, of_std / ei, -of_c / ei * bound_gradient

    def expected_improvement(self, mean: Array, std: Array, u: Array, incumbent: float) -> Array:
        return np.exp(self.log_ei(mean, std, u, np.array([incumbent])))[:, 0]


def outcome_scale(y: Array) -> tuple[float, float]:
    """The lowest of the values (n,), and how far the median is above it: the units of `Logarithms`.

    Where more than half of the values are the lowest, the mean takes the median's place, and 1 where all are.
    """
    lowest = y.min()
    return float(lowest), float(np.median(y) - lowest or y.mean() - lowest or 1.0)


def with_gradient(function: Callable[[Array], Array], u: Array) -> tuple[float, Array]:
    """A function at one point (d,) and its central differences, which are one-sided at the border of the unit box."""
    above, below = (np.clip(u + sign * 1e-6, 0, 1) for sign in (1, -1))
    stencil = np.vstack((u, np.where(np.eye(len(u)), above, u), np.where(np.eye(len(u)), below, u)))
    around = function(stencil)
    return around[0], (around[1:len(u) + 1] - around[len(u) + 1:]) / (above - below)


def log_standard_ei(z: Array) -> Array:
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
