"""The log of a search: its events, in memory and in a journal where there is one."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from latent_search.events import Event, Experiments, Rules, no_experiments, read_only
from latent_search.points import Array

if TYPE_CHECKING:
    from latent_search.journal import Journal


class _History(NamedTuple):
    """The events and what follows from them, which change in one step."""

    events: tuple[Event, ...]
    experiments: Experiments


class Log:
    """Takes events into memory and into the journal: into both or into neither, whatever fails or interrupts.

    Args:
        domain: the bounds of the search, (d, 2).
        journal: open, or None.

    Attributes:
        journal: as given.
        changed: notified after each change; holds the lock of the log.
    """

    def __init__(self, domain: Array, journal: 'Journal | None' = None) -> None:
        self.domain, self.journal = domain, journal
        self.changed = threading.Condition(threading.RLock())
        self._history = _History((), no_experiments(len(domain)))
        self._unsettled: tuple[Event, ...] = ()  # Events that are being written to the journal.
        if journal is not None:
            self._take(tuple(journal.events))

    @property
    def events(self) -> tuple[Event, ...]:
        """Proposals and results in their order."""
        return self._history.events

    @property
    def experiments(self) -> Experiments:
        """What follows from them."""
        return self._history.experiments

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lets no other thread change the log, and ends what an interrupt has left unfinished."""
        with self.changed:
            self._settle()
            yield

    def record(self, *events: Event) -> None:
        """Writes events to the journal and takes them into memory.

        Raises:
            ValueError: the journal is closed.
            OSError: the journal cannot be written.
        """
        if self.journal is None or not events:
            return self._take(events)
        try:
            self._unsettled = events
            self.journal.append(events)
            self._take(events)
            self._unsettled = ()
        except (OSError, ValueError):
            self._unsettled = ()
            raise
        except BaseException:
            self._settle()
            raise

    def restore(self, events: Iterable[Event]) -> None:
        """Records events of another log.

        Raises:
            ValueError: they cannot follow those that are here. Nothing is taken then.
            OSError: the journal cannot be written.
        """
        events, rules = tuple(events), Rules(self.domain)
        with self.alone():
            for event in (*self.events, *events):
                rules.check(event)
            self.record(*events)

    def _take(self, events: tuple[Event, ...]) -> None:
        events = tuple(event._replace(t=read_only(event.t)) for event in events)
        self._history = _History((*self.events, *events), self.experiments.after(events))
        with self.changed:
            self.changed.notify_all()

    def _settle(self) -> None:
        events = self._unsettled
        if events and self.journal is not None:
            taken = self.events[-1:] and self.events[-1][:2] == events[-1][:2]
            if not taken and self.journal.settle(events):
                self._take(events)
            self._unsettled = ()
