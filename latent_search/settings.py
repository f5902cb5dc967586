"""The settings of a search, checked once, and the box as the unit box."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latent_search.points import Array, check_domain, check_integer, distinct_distance, plain

OfPoints = Callable[[Array], ArrayLike]


@dataclass(frozen=True, eq=False)
class Settings:
    """The settings of a search: see `create_optimizer`. Points `u` are those of the unit box, float64 (n, d).

    Attributes:
        domain: the bounds of the box, float64 (d, 2).
        seed, lower_bound, noisy, feasible, prediction: as given.
        spacing: how far apart results are to be, in units of the box's sides.
        refinement_tolerance: the expected improvement, in standard deviations of the values, below which the search
            looks for different results only. 0 without a given spacing: it then always refines the best one too.

    Raises:
        ValueError: a setting is invalid.
    """

    domain: Array
    seed: int = 0
    lower_bound: OfPoints | None = None
    noisy: bool = False
    spacing: float = distinct_distance
    refinement_tolerance: float = 0.0
    feasible: OfPoints | None = None
    prediction: OfPoints | None = None

    @property
    def num_starting_points(self) -> int:
        """How many evaluations come before a model is fitted."""
        return 6 if self.prediction is None else 3

    def to_unit(self, t: Array) -> Array:
        """Points of the box (n, d) in the unit box."""
        return (t - self.domain[:, 0]) / np.ptp(self.domain, axis=1)

    def from_unit(self, u: Array) -> Array:
        """Points of the unit box (n, d) in the box."""
        # In floating point low + (high − low) can be above high, and functions may not be known there.
        return np.clip(self.domain[:, 0] + np.ptp(self.domain, axis=1) * u, *self.domain.T)

    def bound_at(self, t: Array) -> Array:
        """The lower bound at points of the box (n, d): (n, 1), −∞ where there is none."""
        if self.lower_bound is None:
            return np.full((len(t), 1), -np.inf)
        return _values_of('lower_bound', self.lower_bound, t)

    def prediction_at(self, t: Array) -> Array:
        """The prediction at points of the box (n, d): (n, 1)."""
        assert self.prediction is not None
        return _values_of('prediction', self.prediction, t)

    def feasible_at(self, t: Array) -> NDArray[np.bool_]:
        """Whether experiments may be made at points of the box (n, d): (n,)."""
        if self.feasible is None or not len(t):
            return np.ones(len(t), dtype=bool)
        answer = plain(self.feasible(t.copy()))
        if answer.shape != (len(t),) or answer.dtype.kind != 'b':
            raise ValueError('feasible must return booleans with shape (n,), one for each of n points. For points '
                             f'with shape {t.shape} it returned {answer.dtype} with shape {answer.shape}.')
        return answer

    def lowest_value(self, t: Array) -> float:
        """The lowest value at a point (1, d) that does not contradict the bound, but for rounding errors."""
        if self.noisy:
            return -np.inf
        bound: float = self.bound_at(t)[0, 0]
        return bound - 1e-6 * max(1.0, abs(bound)) if np.isfinite(bound) else bound

    def __str__(self) -> str:
        """One line, as journals record it, with values of functions, as these have no name to rely on."""
        center = self.domain.mean(axis=1)[np.newaxis]
        spacing = f'spacing={self.spacing:.9g} ' if self.refinement_tolerance else ''
        bound = 'None' if self.lower_bound is None else f'{self.bound_at(center)[0, 0]:.9g} at the centre'
        prediction = '' if self.prediction is None else (
            f' prediction={self.prediction_at(center)[0, 0]:.9g} at the centre')
        feasible = '' if self.feasible is None else f' feasible={self.feasible_at(center)[0]} at the centre'
        return f'seed={self.seed} noisy={self.noisy} {spacing}lower_bound={bound}{prediction}{feasible}'


def check_settings(domain: Any, seed: int, lower_bound: OfPoints | None, noisy: bool, spacing: float | None,
                   feasible: OfPoints | None, prediction: OfPoints | None) -> Settings:
    """Makes `Settings` of the arguments of `create_optimizer`.

    Raises:
        ValueError: see `create_optimizer`.
    """
    if spacing is not None and not (isinstance(spacing, (int, float)) and 0 < spacing < 1):
        raise ValueError(f"spacing must be a number between 0 and 1, a share of the box's sides, got {spacing!r}.")
    for name, function in (('lower_bound', lower_bound), ('feasible', feasible), ('prediction', prediction)):
        if function is not None and not callable(function):
            raise ValueError(f'{name} must be a function of points (n, d), got {function!r}.')
    settings = Settings(check_domain(domain), check_integer('seed', seed, at_least=0), lower_bound, bool(noisy),
                        distinct_distance if spacing is None else float(spacing), 0.0 if spacing is None else 1e-3,
                        feasible, prediction)
    corners = settings.domain.T
    settings.bound_at(corners)  # A function of another form is an error now, and not after some experiments.
    settings.feasible_at(corners)
    if prediction is not None:
        settings.prediction_at(corners)
    return settings


def _values_of(name: str, function: OfPoints, t: Array) -> Array:
    values = plain(function(t.copy()))
    if values.shape != (len(t), 1) or values.dtype.kind not in 'iuf' or not np.isfinite(values).all():
        raise ValueError(f'{name} must return finite numbers with shape (n, 1), one for each of n points. For points '
                         f'with shape {t.shape} it returned {values.dtype} with shape {values.shape}'
                         f'{"" if values.shape != (len(t), 1) else " that are not all finite numbers"}.')
    return values.astype('float64')
