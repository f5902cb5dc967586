"""Points in a box: checks of a user's arguments, grids, the best distinct points, and variations of points."""

from collections.abc import Sequence
from contextlib import suppress
from numbers import Real
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# How far points of a search have to be apart to be distinct, unless it is told otherwise, in units of the box's sides:
# 0.1 in the article's box.
distinct_distance = 0.0125


class Evaluated(Protocol):
    """Anything that has evaluated points: a search, one of GPyOpt, or what `search_with_gradients` returns.

    Attributes:
        domain: the bounds of the box, in any form that `check_domain` takes.
        X: the points, (n, d).
        Y: their values, (n, 1).
        spacing: how far points have to be apart to be distinct, in units of the box's sides.
    """

    @property
    def spacing(self) -> float: ...

    @property
    def domain(self) -> Any: ...

    @property
    def X(self) -> Array: ...  # noqa: N802 (GPyOpt's name)

    @property
    def Y(self) -> Array: ...  # noqa: N802 (GPyOpt's name)


def check_integer(name: str, value: Any, at_least: int) -> int:
    """Returns `value` as an int.

    Raises:
        ValueError: `value` is not an integer, or is less than `at_least`. The message calls it `name`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < at_least:
        raise ValueError(f'{name} must be an integer of at least {at_least}, got {value!r}.')
    return int(value)


def plain(values: ArrayLike) -> NDArray[Any]:
    """Returns values as an array; masked ones are NaN, so that they are refused like it."""
    masked = np.ma.asarray(values) if isinstance(values, (list, tuple)) else values
    if isinstance(masked, np.ma.MaskedArray) and np.ma.is_masked(masked):
        return np.ma.filled(masked.astype('float64'), np.nan)
    return np.asarray(values)


class NotFiniteError(ValueError, FloatingPointError):
    """A value is NaN or infinite."""


def as_number(value: Any) -> float:
    """Returns one number in any form (a float, a Decimal, an array with one element) as a float, finite or not.

    Raises:
        ValueError: it is not one number.
    """
    array = plain(value)
    is_other = array.dtype.kind == 'O' and array.size == 1 and isinstance(array.item(), (str, bytes, bool, type(None)))
    if array.size == 1 and array.dtype.kind in 'iufOV' and not is_other:
        with suppress(TypeError, ValueError, OverflowError), np.errstate(over='ignore'):
            return float(array.astype('float64').item())
    raise ValueError(f'The value must be one number, got {value!r}.')


def check_points(t: ArrayLike, dimensions: int | None = None) -> Array:
    """Returns points as float64 (n, d).

    Args:
        t: the points, n ≥ 1 rows of d ≥ 1 finite numbers.
        dimensions: the number d that is expected; any number without it.

    Raises:
        ValueError: the points have another shape, or are not finite numbers.
    """
    t = plain(t)
    if t.ndim != 2 or t.size == 0 or t.shape[1] != (dimensions or t.shape[1]) or t.dtype.kind not in 'iuf':
        raise ValueError(f"Points must be numbers with shape (n, {dimensions or 'd'}), n ≥ 1, got {t.dtype} with shape "
                         f'{t.shape}.')
    if not np.isfinite(t).all():
        raise ValueError('Points must be finite, got NaN or infinity.')
    return t.astype('float64')


def check_inside(t: ArrayLike, box: Array) -> Array:
    """Returns points in a box (d, 2) as float64 (n, d). Points that rounding has put outside are put on its border.

    Raises:
        ValueError: the points have another shape, are not finite numbers, or are out of the box.
    """
    points = check_points(t, len(box))
    clipped = np.clip(points, *box.T)
    outside = (np.abs(points - clipped) > 1e-9 * np.ptp(box, axis=1)).any(axis=1)
    if outside.any():
        raise ValueError(f'{outside.sum()} of the {len(points)} points are not within the bounds, the first is '
                         f'{points[outside][0]}. Leave them out, or search a larger box.')
    return clipped


# Beyond these sizes the squares of distances overflow or underflow.
_largest_bound, _smallest_width = 1e100, 1e-100
# A side of a box must hold so many floating-point numbers that proposals can differ.
_fewest_numbers = 2.0 ** 17


def check_domain(domain: Any) -> Array:
    """Returns the bounds of a box as float64 (d, 2).

    Args:
        domain: d ≥ 1 pairs `(low, high)`, or GPyOpt's list of dicts with the keys 'name', 'type', 'domain' and
            'dimensionality', where all types are 'continuous'.

    Raises:
        ValueError: the bounds are not finite numbers with low < high, the box is too large or too small to compute
            with, or a dict has another type.
    """
    if isinstance(domain, (list, tuple)) and any(isinstance(side, dict) for side in domain):
        domain = _from_gpyopt(domain)
    try:
        box = plain(domain).astype('float64')
    except (TypeError, ValueError):
        box = np.empty(0)
    if box.ndim != 2 or box.shape[1] != 2 or len(box) == 0 or not np.isfinite(box).all():
        raise ValueError(f'domain must be a sequence of pairs (low, high) of finite numbers, got {domain!r}.')
    if not (box[:, 0] < box[:, 1]).all():
        raise ValueError(f'Each pair of domain must have low < high, got {domain!r}. Leave out a coordinate that is '
                         'fixed, and put it back inside the objective.')
    if np.abs(box).max() > _largest_bound or (box[:, 1] - box[:, 0]).min() < _smallest_width:
        raise ValueError(f'Each pair of domain must lie within ±{_largest_bound:g} and be at least {_smallest_width:g} '
                         f'wide, got {domain!r}. Scale the coordinates, and scale them back inside the objective.')
    if ((box[:, 1] - box[:, 0]) < _fewest_numbers * np.spacing(np.abs(box).max(axis=1))).any():
        raise ValueError('A pair of domain is so narrow that it holds only few floating-point numbers, got '
                         f'{domain!r}. Shift the coordinate towards 0, and shift it back inside the objective.')
    return box


def _from_gpyopt(domain: Sequence[Any]) -> list[Any]:
    pairs = []
    for side in domain:
        if not isinstance(side, dict) or 'domain' not in side:
            raise ValueError(f"Each dict of domain must have the key 'domain', a pair (low, high), got {side!r}.")
        if side.get('type', 'continuous') != 'continuous':
            raise ValueError(f"The type {side['type']!r} of {side.get('name', 'a variable')!r} is not supported: all "
                             "variables of a search must be 'continuous'.")
        pairs += [side['domain']] * check_integer('dimensionality', side.get('dimensionality', 1), at_least=1)
    return pairs


def create_grid(domain: ArrayLike, points: int = 80) -> tuple[Array, ...]:
    """Creates a regular grid over a box.

    Args:
        domain: the bounds, d pairs `(low, high)`.
        points: how many there are along each side.

    Returns:
        The coordinates of the grid and its points as rows. In two dimensions these are `gx, gy, t`: two arrays (points,
        points) with a row for each second coordinate, and (points², 2).

    Raises:
        ValueError: the box is not d ≥ 1 pairs of finite numbers low < high.
    """
    coordinates = np.meshgrid(*(np.linspace(low, high, points) for low, high in check_domain(domain)))
    return *coordinates, np.column_stack([coordinate.ravel() for coordinate in coordinates])


def spaced_best(points: Array, values: Array, num: int, spacing: float) -> NDArray[np.intp]:
    """Indices of the lowest values at points (n, d) that are at least `spacing` apart: at most `num`, lowest first."""
    chosen: list[int] = []
    rest = np.argsort(values, kind='stable')
    while len(rest) and len(chosen) < num:
        best, rest = rest[0], rest[1:]
        chosen.append(best)
        rest = rest[np.linalg.norm(points[rest] - points[best], axis=1) >= spacing]
    return np.array(chosen)


def top(search: Evaluated, num: int = 10, distance: float | None = None) -> tuple[Array, Array]:
    """The best evaluations of a search that are also distinct, best first.

    Args:
        search: the search.
        num: how many at most.
        distance: their smallest distance from each other, in units of the box's sides; without it the spacing of the
            search. 0 gives the best evaluations, distinct or not.

    Returns:
        Points (num, d) and values (num, 1), fewer if there are fewer.

    Raises:
        ValueError: the search has no evaluations, or `num` is not a positive integer.
    """
    num = check_integer('num', num, at_least=1)
    X, Y = search.X, search.Y  # noqa: N806 (GPyOpt's names)
    if len(Y) == 0:
        raise ValueError('The search has no evaluations. Call run_optimization first.')
    low, high = check_domain(search.domain).T
    best = spaced_best((X - low) / (high - low), Y[:, 0], num, search.spacing if distance is None else distance)
    return X[best], Y[best]


def sample_around(points: ArrayLike, radius: float, num: int, seed: int = 0) -> Array:
    """Draws points uniformly from the balls around some points: variations of them.

    Args:
        points: the centres, (m, d), each equally likely.
        radius: of the balls, in units of the space.
        num: how many points are drawn.
        seed: governs the draw.

    Returns:
        float64 (num, d).

    Raises:
        ValueError: `points` are not finite numbers with shape (m, d), or `radius` or `num` is not positive.
    """
    centers = check_points(points)
    if not (isinstance(radius, Real) and 0 < radius < np.inf):
        raise ValueError(f'radius must be a positive number, got {radius!r}.')
    rng = np.random.default_rng(check_integer('seed', seed, at_least=0))
    num, d = check_integer('num', num, at_least=1), centers.shape[1]
    directions = rng.normal(size=(num, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return centers[rng.integers(len(centers), size=num)] + radius * rng.uniform(size=(num, 1)) ** (1 / d) * directions
