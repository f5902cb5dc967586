"""What a search knew after some of its evaluations, and what it has learned."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from latent_search.log import Log
from latent_search.points import Array, check_integer, create_grid
from latent_search.search import LatentOptimizer


class Stage(NamedTuple):
    """What a search in two dimensions knew after n evaluations.

    Attributes:
        X: the evaluated points, float64 (n, 2), in the order of their results.
        Y: their values, float64 (n, 1).
        mean: the posterior mean on a grid over the box, (k, k), with a row for each second coordinate.
        std: the posterior standard deviation there, (k, k).
        ei: the expected improvement there, (k, k).
        next_location: the next proposal, (2,).
    """

    X: Array
    Y: Array
    mean: Array
    std: Array
    ei: Array
    next_location: Array

    @property
    def best_location(self) -> Array:
        """The point with the lowest value so far, (2,)."""
        location: Array = self.X[self.Y.argmin()]
        return location


def search_after(search: LatentOptimizer, num_evaluations: int) -> LatentOptimizer:
    """The search as it was after its first evaluations: the same settings, and the events up to then.

    It has the `posterior` and the next proposal of that time. The two searches share no experiments and no journal.

    Args:
        search: any search.
        num_evaluations: how many, from 0 to all.

    Raises:
        ValueError: there are fewer evaluations.
    """
    num = check_integer('num_evaluations', num_evaluations, at_least=0)
    ends = [0, *(i for i, event in enumerate(search.events, start=1) if event.value is not None)]
    if num >= len(ends):
        raise ValueError(f'There are {len(ends) - 1} evaluations, fewer than {num}. Call run_optimization first.')
    earlier = LatentOptimizer(search.objective, search.settings, Log(search.domain))
    earlier.restore(search.events[:ends[num]])
    return earlier


def stages_of(search: LatentOptimizer, numbers: Iterable[int], points: int = 101) -> list[Stage]:
    """What a search knew after some of its evaluations, over a box of two dimensions.

    Args:
        search: in two dimensions.
        numbers: of evaluations; each gives a stage.
        points: along each side of the grid on which posterior and expected improvement are computed.

    Raises:
        ValueError: the box has other than two dimensions, or a number is below that of the starting points or above
            that of all evaluations.
    """
    if len(search.domain) != 2:
        raise ValueError(f'Stages are drawn over a box of two dimensions, this one has {len(search.domain)}. In others '
                         'figures.plot_slices shows what a search has learnt.')
    gx, _, t = create_grid(search.domain, points)
    found = []
    for number in numbers:
        earlier = search_after(search, number)
        mean, std, ei = (values.reshape(gx.shape) for values in earlier.posterior(t))
        later = search.events[len(earlier.events):]
        proposed = later[0].t if later and later[0].status == 'proposed' else earlier.suggest_next_locations()
        found.append(Stage(earlier.X, earlier.Y, mean, std, ei, proposed[0]))
    return found


class Slice(NamedTuple):
    """What a search believes along one coordinate, where all others are those of the best point.

    Attributes:
        x: values of the coordinate, from bound to bound, (k,).
        mean: the posterior mean there, (k,).
        std: the posterior standard deviation there, (k,).
        best: the coordinate of the best point.
        best_mean: the posterior mean there.
    """

    x: Array
    mean: Array
    std: Array
    best: float
    best_mean: float


def slices_of(search: LatentOptimizer, points: int = 101) -> list[Slice]:
    """What a search has learned about each coordinate, on a line through the point that it recommends.

    Args:
        search: in any number of dimensions.
        points: along each line.

    Raises:
        ValueError: there are fewer evaluations than starting points.
    """
    t, best_mean, _ = search.recommend()
    found = []
    for i, (low, high) in enumerate(search.domain):
        x = np.linspace(low, high, points)
        line = np.repeat(t[np.newaxis], points, axis=0)
        line[:, i] = x
        mean, std, _ = search.posterior(line)
        found.append(Slice(x, mean[:, 0], std[:, 0], t[i], best_mean))
    return found
