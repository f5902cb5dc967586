"""Gaussian processes in closed form, in the unit box: how a search models an objective.

Points u are rows of arrays (n, d), means and standard deviations have the shape (n,).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, solve_triangular
from scipy.spatial.distance import cdist

from latent_search.hyperparameters import Hyperparameters
from latent_search.likelihood import LengthScalePrior, Likelihood, Prior, matern, profile, squared_distances
from latent_search.outcomes import Outcome, with_gradient
from latent_search.points import Array

# As a share of the variance. For exact values it only keeps the covariance matrix well conditioned.
jitter = 1e-6
noise_prior = Prior(-6.0, 3.0)
length_scale_prior = LengthScalePrior(shared_std=float(np.sqrt(3)), own_std=1.0)
# A model of more evaluations than these is one of a subset, see `representative`.
max_points = 300
# Predictions at more points are computed in parts of this size, for the sake of memory.
part = 8192


class GaussianProcess:
    """A Gaussian process: Matérn-5/2 kernel with a length scale for each dimension; constant mean, or one with a trend.

    The length scales maximise the marginal likelihood times a log-normal prior, see `Likelihood`; the mean's weights
    and the variance that maximise it for given length scales are known in closed form. The prior lets all dimensions
    vary together more than each of them: a few dozen values say little about each of many. Observations are exact, or
    the variance of their noise is learned like the length scales.

    Exact observations may be rough: the sum of a smooth part and of one that neighbouring points do not predict, as in
    a table or where a point is decoded to one of many objects. The covariance is then σ² (k(u, u') + ρ [u = u']), and
    ρ is learned. An evaluated point has its value. Everywhere else ρ σ² is added to the variance of the smooth part.

    Args:
        likelihood: of the observations.
        parameters: the most probable ones.
        variance_factor: how many times the likeliest variance is assumed.
        trend: a function of points (n, d), (n,), the second column of the likelihood's basis; None if it has one.
        rough: whether the noise that was learned is a part of the values.

    Attributes:
        length_scales: in units of the box's sides, (d,).
        noise: its variance, as a share of `variance`.
        roughness: ρ.
        variance: of the process.
        mean_weights: of the constant, and of the trend if there is one.
    """

    def __init__(self, likelihood: Likelihood, parameters: Array, variance_factor: float = 1.0,
                 trend: Callable[[Array], Array] | None = None, rough: bool = False) -> None:
        self.u, self.y, self.trend = likelihood.u, likelihood.y, trend
        self._inverse_squares, noise, _, self._factor = likelihood.decompose(parameters)
        self.roughness = noise - jitter if rough else 0.0
        self.noise = noise - self.roughness
        self.mean_weights, self._alpha, variance = profile(self._factor, likelihood.basis, self.y)
        self.length_scales = np.exp(parameters[:likelihood.d])
        self.variance = variance_factor * variance

    def means(self) -> Array:
        """The means at the observations."""
        return self.y - self.noise * self._alpha[:len(self.y)]

    def believe(self, u: Array) -> None:
        """Takes pending experiments to have the results that are predicted for them.

        The places are then no longer uncertain, and the mean stays the same: the kriging believer of Ginsbourger et
        al., 2010. The weights of these points are 0.
        """
        u = u - 0.5
        solved = solve_triangular(self._factor, self._correlation(self.u, u), lower=True, check_finite=False)
        left = self._correlation(u, u) - solved.T @ solved
        left[np.diag_indices(len(u))] += self.noise
        self._factor = np.block([[self._factor, np.zeros((len(self.u), len(u)))],
                                 [solved.T, np.linalg.cholesky(left)]])
        self._alpha = np.r_[self._alpha, np.zeros(len(u))]
        self.u = np.vstack((self.u, u))

    def predict(self, u: Array) -> tuple[Array, Array]:
        """Mean and standard deviation without noise."""
        parts = [self._predict(u[start:start + part]) for start in range(0, len(u), part)]
        mean, std = (np.concatenate(of_parts) for of_parts in zip(*parts, strict=True))
        return mean, std

    def _predict(self, u: Array) -> tuple[Array, Array]:
        k = self._correlation(u - 0.5, self.u)
        explained = (solve_triangular(self._factor, k.T, lower=True, check_finite=False) ** 2).sum(axis=0)
        mean = self.mean_weights[0] + k @ self._alpha
        if self.trend is not None:
            mean += self.mean_weights[1] * self.trend(u)
        return mean, np.sqrt(self.variance * np.maximum(1 + self.roughness - explained, 1e-12))

    def predict_with_gradients(self, u: Array) -> tuple[float, float, Array, Array]:
        """Mean and standard deviation at one point (d,), and their gradients, each (d,)."""
        differences = u - 0.5 - self.u
        r = np.sqrt(5 * (differences ** 2) @ self._inverse_squares)
        decay = np.exp(-r)
        k = (1 + r + r * r / 3) * decay
        k_gradient = -5 / 3 * ((1 + r) * decay)[:, np.newaxis] * differences * self._inverse_squares
        solved = lapack.dpotrs(self._factor, k, lower=1)[0]
        std = np.sqrt(self.variance * max(1 + self.roughness - k @ solved, 1e-12))
        mean, mean_gradient = self.mean_weights[0] + k @ self._alpha, self._alpha @ k_gradient
        if self.trend is not None:
            trend, trend_gradient = with_gradient(self.trend, u)
            mean, mean_gradient = (mean + self.mean_weights[1] * trend,
                                   mean_gradient + self.mean_weights[1] * trend_gradient)
        return mean, std, mean_gradient, -self.variance * (solved @ k_gradient) / std

    def _correlation(self, u: Array, others: Array) -> Array:
        scale = np.sqrt(5 * self._inverse_squares)
        smooth = matern(np.sqrt(squared_distances(u * scale, others * scale)))
        return smooth + self.roughness * (cdist(u, others) == 0) if self.roughness else smooth


class Kind(NamedTuple):
    """A kind of model. Of several, the search chooses the kind under which the values are most likely.

    Attributes:
        name: of the kind; fits of one kind continue each other.
        outcome: a function of values y (n,) and of their unit that returns the `Outcome`; y is in that unit.
        noisy: whether the noise of g is learned. Outliers then have no more weight than others, see `without_outliers`.
        rough: whether exact values have a part that is not smooth, whose size is learned.
        prediction: a function of points (n, d), (n,), whose g becomes the trend of the mean; None for a constant mean.
        length_scales: their prior.
        fewest: how many values there have to be at least.
        cost: what is added to the negative log density of the values, in nats: how much likelier than others they have
            to be for this kind to be chosen.
    """

    name: str
    outcome: Callable[[Array, float], Outcome]
    noisy: bool = False
    rough: bool = False
    prediction: Callable[[Array], Array] | None = None
    length_scales: LengthScalePrior = length_scale_prior
    fewest: int = 0
    cost: float = 0.0


class Model:
    """The model of an objective f: a Gaussian process g, and how f follows from it.

    Args:
        u: the evaluated points, (n, d).
        y: their values, (n,).
        pending: points of experiments that have no result yet, (m, d).
        kinds: of which one is chosen.
        hyperparameters: those that were fitted before to the first of the same evaluations.

    Attributes:
        u, y, pending: as given.
        unit: what values are divided by, so that their squares neither overflow nor underflow.
        kind: the chosen one.
        process: the Gaussian process of g.
        outcome: how f follows from g, in that unit.
        incumbent: the lowest mean of what is improved at an evaluated or pending point, in that unit.
        spread: the standard deviation of what is improved.

    Raises:
        np.linalg.LinAlgError: no covariance matrix is positive definite.
    """

    def __init__(self, u: Array, y: Array, pending: Array, kinds: Sequence[Kind],
                 hyperparameters: Hyperparameters) -> None:
        self.u, self.y, self.pending, self.unit = u, y, pending, unit_of(y)
        lowest = np.inf
        for kind, likelihood, parameters in self._fits(kinds, hyperparameters):
            outcome = kind.outcome(y / self.unit, self.unit)
            of_parameters, _ = likelihood.negative_log_posterior(parameters)
            value = of_parameters + outcome.log_slope(likelihood.y) + kind.cost
            trend = None if likelihood.basis.shape[1] == 1 else _trend(kind, outcome, self.unit)
            process = GaussianProcess(likelihood, parameters, outcome.variance_factor, trend, kind.rough)
            if value < lowest and (trend is None or process.mean_weights[1] > 0):
                lowest, self.kind, self.outcome, self.process = value, kind, outcome, process
        observed, chosen = self.process.y, self.process.u + 0.5
        means = self.outcome.improved(self.process.means(), self.process.predict(chosen)[1], chosen)
        if len(pending):
            self.process.believe(pending)
            means = np.r_[means, self.outcome.improved(*self.process.predict(pending), pending)]
        self.incumbent = float(means.min())
        self.spread = self.outcome.spread((without_outliers(y) if self.kind.noisy else y) / self.unit, observed)

    def _fits(self, kinds: Sequence[Kind],
              hyperparameters: Hyperparameters) -> Iterator[tuple[Kind, Likelihood, Array]]:
        """Each kind with the likelihood of all evaluations and the most probable parameters."""
        for kind in (kind for kind in kinds if len(self.y) >= kind.fewest):
            def likelihood(count: int, kind: Kind = kind) -> Likelihood:
                return _likelihood(kind, self.u[:count], self.y[:count])

            yield kind, likelihood(len(self.y)), hyperparameters.at(len(self.y), likelihood, kind.name)

    def predict(self, u: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the objective without noise, each (n, 1)."""
        mean, std = self.outcome.objective(*self.process.predict(u), u)
        return self.unit * mean[:, np.newaxis], self.unit * std[:, np.newaxis]

    def expected_improvement(self, u: Array) -> Array:
        """Of the objective, on the incumbent: (n, 1)."""
        of_unit = self.outcome.expected_improvement(*self.process.predict(u), u, self.incumbent)
        return self.unit * of_unit[:, np.newaxis]

    def log_ei(self, u: Array, thresholds: Array) -> Array:
        """Logarithms of the expected improvement of what is improved on thresholds (k,): (n, k)."""
        return self.outcome.log_ei(*self.process.predict(u), u, thresholds)

    def log_ei_with_gradient(self, u: Array, threshold: float) -> tuple[float, Array]:
        """The same at one point (d,): a number, and its gradient (d,)."""
        mean, std, mean_gradient, std_gradient = self.process.predict_with_gradients(u)
        value, of_mean, of_std, of_point = self.outcome.log_ei_slopes(mean, std, u, threshold)
        gradient: Any = of_mean * mean_gradient + of_std * std_gradient + of_point
        return value, gradient


def _likelihood(kind: Kind, u: Array, y: Array) -> Likelihood:
    unit, chosen = unit_of(y), representative(y, max_points)
    outcome = kind.outcome(y / unit, unit)
    basis = np.ones((len(chosen), 1))
    if kind.prediction is not None:
        trend = _trend(kind, outcome, unit)(u[chosen])
        if np.ptp(trend) > 1e-8 * np.abs(trend).max():  # It would otherwise be another constant.
            basis = np.c_[basis, trend]
    g = outcome.observe(u, y / unit)
    return Likelihood(u[chosen], (without_outliers(g) if kind.noisy else g)[chosen], basis, jitter,
                      noise_prior if kind.noisy or kind.rough else None, kind.length_scales)


def _trend(kind: Kind, outcome: Outcome, unit: float) -> Callable[[Array], Array]:
    prediction = kind.prediction
    assert prediction is not None
    return lambda u: outcome.from_values(u, prediction(u) / unit)


def unit_of(y: Array) -> float:
    """A power of two near the largest of the values (n,), where their squares would overflow or underflow; else 1."""
    largest = np.abs(y).max(initial=0.0)
    return 1.0 if largest == 0 or 1e-100 <= largest <= 1e100 else float(2.0 ** np.floor(np.log2(largest)))


def without_outliers(y: Array) -> Array:
    """Noisy values (n,), of which outliers are moved to the nearest value that is none, so that their order stays.

    Outliers lie more than three interquartile ranges beyond the quartiles (Tukey): a wrong measurement, or a steep
    function far from its minimum. A low one that is right is none any more once values like it are found nearby.
    Where the quartiles are equal, nothing is moved.
    """
    low, high = np.quantile(y, [0.25, 0.75])
    if low == high:
        return y
    others = y[(y >= low - 3 * (high - low)) & (y <= high + 3 * (high - low))]
    return np.clip(y, others.min(), others.max())


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
