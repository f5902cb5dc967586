"""The events of a search, and the state that follows from them.

A search is the list of its events: proposals and results, in their order. Everything else that is known of it (which
points are evaluated, pending or failed) follows from them, see `Experiments.after`.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np

from latent_search.points import Array

# A result that was not asked for has one of the last two.
statuses = ('proposed', 'done', 'failed', 'withdrawn', 'known', 'known failure')
with_value = ('done', 'known')
# A number may exceed the highest before it by this much, so that there is always a next one.
largest_step = 10 ** 9


class Event(NamedTuple):
    """A proposal, or the outcome of an experiment.

    Attributes:
        number: of the experiment, 1 or more.
        status: 'proposed', 'done', 'failed', 'withdrawn', or for a result that was not asked for 'known' or 'known
            failure'.
        t: the point, float64 (1, d).
        value: the result where the status is 'done' or 'known', otherwise None.
        note: why it failed, which candidate was proposed, or whatever a person has written there.
    """

    number: int
    status: str
    t: Array
    value: float | None = None
    note: str = ''


class _Proposal(NamedTuple):
    number: int
    t: Array


class Experiment(_Proposal):
    """A proposal: a pair of number and point.

    Attributes:
        number: under which its result is told.
        t: the point, float64 (1, d).
        candidate: the row of the candidates that were given to `ask`; None without candidates.
    """

    candidate: int | None

    def __new__(cls, number: int, t: Array, candidate: int | None = None) -> Self:
        experiment = super().__new__(cls, number, t)
        experiment.candidate = candidate
        return experiment

    def copy(self) -> 'Experiment':
        """The same with a point of its own."""
        return Experiment(self.number, self.t.copy(), self.candidate)


class Experiments(NamedTuple):
    """The state that follows from the events of a search.

    Attributes:
        X: the evaluated points, float64 (n, d), in the order of their results.
        Y: their values, float64 (n, 1).
        failed: the points of failed experiments, float64 (m, d).
        pending: the proposals without a result, by their numbers, oldest first.
        last_number: the highest number so far, 0 where there are no events.
    """

    X: Array
    Y: Array
    failed: Array
    pending: dict[int, Experiment]
    last_number: int

    @property
    def num(self) -> int:
        """How many experiments there are: evaluated, pending and failed."""
        return len(self.X) + len(self.pending) + len(self.failed)

    @property
    def num_results(self) -> int:
        """How many experiments have a result: a value or a failure."""
        return len(self.X) + len(self.failed)

    @property
    def pending_points(self) -> Array:
        """The points without a result, float64 (p, d)."""
        return np.vstack([self.X[:0], *(experiment.t for experiment in self.pending.values())])

    @property
    def points(self) -> Array:
        """The points of all experiments, float64 (num, d)."""
        return np.vstack([self.X, self.failed, self.pending_points])

    def after(self, events: Iterable[Event]) -> 'Experiments':
        """What follows from more events."""
        evaluated, values, failed = [self.X], [self.Y], [self.failed]
        pending, last_number = dict(self.pending), self.last_number
        for event in events:
            last_number = max(last_number, event.number)
            if event.status == 'proposed':
                pending[event.number] = Experiment(event.number, event.t, candidate_of(event.note))
                continue
            pending.pop(event.number, None)
            if event.status in with_value:
                evaluated.append(event.t)
                values.append(np.array([[event.value]], dtype='float64'))
            elif event.status != 'withdrawn':
                failed.append(event.t)
        return Experiments(np.vstack(evaluated), np.vstack(values), np.vstack(failed), pending, last_number)


def no_experiments(dimensions: int) -> Experiments:
    """Those of a search without events."""
    none = np.empty((0, dimensions))
    return Experiments(none, np.empty((0, 1)), none, {}, 0)


def note_of(candidate: int | None) -> str:
    """The note of a proposal that was chosen among candidates."""
    return '' if candidate is None else f'candidate {candidate}'


def candidate_of(note: str) -> int | None:
    """The candidate that a note names."""
    name, _, index = note.partition(' ')
    return int(index) if name == 'candidate' and index.isascii() and index.isdecimal() else None


class Rules:
    """Checks events one after the other: whether each may follow the events before it.

    Args:
        domain: the bounds of the search, (d, 2).
    """

    def __init__(self, domain: Array) -> None:
        self.domain = domain
        self._points: dict[int, Array] = {}
        self._pending: set[int] = set()
        self._highest = 0

    def check(self, event: Event) -> None:
        """Checks the next event, and takes note of it.

        Raises:
            ValueError: it cannot follow the events before it; the message says why.
        """
        number, status, t = event.number, event.status, event.t
        if status not in statuses:
            raise ValueError(f'the status must be one of {", ".join(statuses)}, it is {status!r}')
        if not 1 <= number <= self._highest + largest_step:
            raise ValueError(f'the number must be at least 1 and at most {self._highest + largest_step}, which is '
                             f'{largest_step} above the highest before it, it is {number}')
        if t.shape != (1, len(self.domain)) or not ((t >= self.domain[:, 0]) & (t <= self.domain[:, 1])).all():
            raise ValueError(f'the point {t[0]} is not within the bounds')
        has_value = event.value is not None and np.isfinite(event.value)
        if has_value != (status in with_value):
            raise ValueError(f'an experiment that is {status} has {"a" if status in with_value else "no"} value, this '
                             f'one has {event.value!r}')
        if status in ('proposed', 'known', 'known failure'):
            if number in self._points:
                raise ValueError(f'there is an experiment {number} already')
        elif number not in self._points:
            raise ValueError(f'experiment {number} is {status}, but no event before proposes it')
        elif number not in self._pending:
            raise ValueError(f'experiment {number} has a result already')
        elif not np.array_equal(self._points[number], t):
            raise ValueError(f'experiment {number} was proposed at another point')
        self._points[number], self._highest = t, max(self._highest, number)
        (self._pending.add if status == 'proposed' else self._pending.discard)(number)


class Recommendation(NamedTuple):
    """An evaluated point, and the belief about the function there.

    Attributes:
        t: the point, float64 (d,).
        mean: the posterior mean, in units of the objective; the value, where values are exact.
        std: the posterior standard deviation of the function without noise; 0, where values are exact.
    """

    t: Array
    mean: float
    std: float


def text_of(error: BaseException) -> str:
    """What kind of error it is and what it says, if it can say it."""
    try:
        return f'{type(error).__name__}: {error}'
    except Exception:
        return type(error).__name__


def read_only(t: Array) -> Array:
    """A copy that nobody can change, so that a search is what its events say."""
    t = np.array(t)
    t.flags.writeable = False
    return t
