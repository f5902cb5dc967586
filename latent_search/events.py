"""The events of a search, and what follows from them.

A search is the list of its events: proposals and results, in their order. Everything else that is known of it (which
points are evaluated, pending or failed) follows from them, see `replay`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latent_search.points import Array

statuses = ('proposed', 'done', 'failed', 'known')


class Event(NamedTuple):
    """A proposal, or the result of an experiment.

    Attributes:
        number: of the experiment, 1 or more.
        status: 'proposed', 'done', 'failed', or 'known' for a result that was not asked for.
        t: the point, float64 (1, d).
        value: the result where the status is 'done' or 'known', otherwise None.
        note: why it failed, or whatever a person has written there.
    """

    number: int
    status: str
    t: Array
    value: float | None = None
    note: str = ''


class Experiment(NamedTuple):
    """A proposal: the number under which its result is told, and the point, float64 (1, d)."""

    number: int
    t: Array


class Experiments(NamedTuple):
    """What follows from the events of a search.

    Attributes:
        X: the evaluated points, float64 (n, d), in the order of their results.
        Y: their values, float64 (n, 1).
        failed: the points of failed experiments, float64 (m, d).
        pending: the points without a result, each float64 (1, d), by their numbers, oldest first.
        last_number: the highest number so far, 0 where there are no events.
    """

    X: Array
    Y: Array
    failed: Array
    pending: dict[int, Array]
    last_number: int

    @property
    def num(self) -> int:
        """How many experiments there are: evaluated, pending and failed."""
        return len(self.X) + len(self.pending) + len(self.failed)


    def after(self, event: Event) -> 'Experiments':
        """What follows from one event more; `replay` does the same for many at once."""
        X, Y, failed, pending = self.X, self.Y, self.failed, dict(self.pending)  # noqa: N806 (GPyOpt's names)
        if event.status == 'proposed':
            pending[event.number] = event.t
        else:
            pending.pop(event.number, None)
            if event.status == 'failed':
                failed = np.vstack((failed, event.t))
            else:
                X, Y = np.vstack((X, event.t)), np.vstack((Y, [[event.value]]))  # noqa: N806
        return Experiments(X, Y, failed, pending, max(self.last_number, event.number))


def replay(events: Sequence[Event], dimensions: int) -> Experiments:
    """Derives the experiments from the events of a search in a box of `dimensions` dimensions."""
    evaluated, values, failed, pending, last_number = [], [], [], {}, 0
    for event in events:
        last_number = max(last_number, event.number)
        if event.status == 'proposed':
            pending[event.number] = event.t
            continue
        pending.pop(event.number, None)
        if event.status == 'failed':
            failed.append(event.t)
        else:
            evaluated.append(event.t)
            values.append(event.value)
    none = np.empty((0, dimensions))
    return Experiments(np.vstack([none, *evaluated]), np.array(values, dtype='float64').reshape(-1, 1),
                       np.vstack([none, *failed]), pending, last_number)


class Recommendation(NamedTuple):
    """An evaluated point, and what is known of the function there.

    Attributes:
        t: the point, float64 (d,).
        mean: the posterior mean, in units of the objective; the value, where values are exact.
        std: the posterior standard deviation of the function without noise; 0, where values are exact.
    """

    t: Array
    mean: float
    std: float


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


def read_only(t: Array) -> Array:
    """A copy that nobody can change, so that a search is what its events say."""
    t = np.array(t)
    t.flags.writeable = False
    return t
