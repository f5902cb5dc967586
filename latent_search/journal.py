"""A journal of experiments: a CSV file that people can read and edit, safe against crashes and full disks.

Values are minimised. An experiment without a value has the status `failed`, never a number that stands for it. `known`
are results that no proposal asked for. Lines are only ever added, each is on the disk before the search goes on, and no
two processes write to one journal. `journal_format` shows what a journal looks like.
"""

import logging
import os
from collections.abc import Sequence

from latent_search.events import Event
from latent_search.journal_format import LineError, Reader, cells_of, line_of
from latent_search.locked_file import JournalInUseError, LockedFile
from latent_search.points import Array

__all__ = ['Journal', 'JournalInUseError']

logger = logging.getLogger(__name__)


class Journal:
    """The journal of a search, open for writing by this process alone.

    Opening it again in the same process closes it first, as happens when a cell of a notebook is run twice.

    Args:
        path: the CSV file, made where there is none. Beside it are PATH.lock and, if a crash has left a part of a last
            line, PATH.torn with that part.
        domain: the bounds of the search, (d, 2).
        settings: of the search, one line of text. A new journal records it.

    Attributes:
        path: of the file, with all links resolved.
        events: what the file held when it was opened, a list of `Event`.
        settings: those that the file records; None if it was written before settings were recorded.

    Raises:
        ValueError: the file is damaged, or is the journal of another box, or no journal. Line and reason are named, and
            the file is left as it was.
        JournalInUseError: another process has it open.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: os.PathLike[str] | str, domain: Array, settings: str = '') -> None:
        self._reader = Reader(domain)
        self._file = LockedFile(path)
        self.path = self._file.path
        try:
            if self.path.exists():
                self.events = self._read()
                self.settings = self._reader.settings
            else:
                self._file.create(self._reader.head(settings))
                self.events, self.settings = [], settings
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets others write to the journal; `append` then raises ValueError."""
        self._file.close()

    def append(self, events: Sequence[Event]) -> None:
        """Writes events and returns when they are on the disk; if that fails the journal is as it was before.

        Raises:
            ValueError: the journal was closed, or opened again since, or belongs to another process.
            OSError: it cannot be written, or something else has changed the file since it was opened.
        """
        self._file.append(b''.join(line_of(event) for event in events), of=events)

    def settle(self, events: Sequence[Event]) -> bool:
        """Says whether events whose `append` was interrupted are on the disk; if not, nothing of them is.

        Raises:
            OSError: the journal cannot be read or written.
        """
        return self._file.settle(events)

    def _read(self) -> list[Event]:
        content = self._file.read()
        complete, newline, last = content.rpartition(b'\n')
        lines = (complete + newline).splitlines()
        events: list[Event | None] = []
        for i, line in enumerate(lines or [last], start=1):
            try:
                cells = cells_of(line, first=i == 1)
                if i == 1:
                    self._reader.check_columns(cells)
                elif any(cells):
                    events.append(self._reader.event(cells))
            except LineError as error:
                raise self._wrong(i, error) from error
        if not lines:
            raise self._wrong(1, LineError('it has no end. No experiment has been recorded yet; delete the file'))
        if last:
            events.append(self._finish(last, len(lines) + 1))
        return [event for event in events if event is not None]

    def _finish(self, last: bytes, i: int) -> Event | None:
        """What becomes of a last line without an end: it has all its cells, or only a part of it was written.

        A line that has all its cells lacks no more than a part of the time.
        """
        try:
            cells = cells_of(last)
        except LineError:
            cells = []
        if len(cells) >= len(self._reader.columns):
            try:
                event = self._reader.event(cells)
            except LineError as error:
                raise self._wrong(i, error) from error
            self._file.write(b'\n')
            return event
        torn = self._file.set_aside(last)
        self._file.end -= len(last)
        self._file.write(b'')
        logger.warning('%s, line %d: only a part of it was written before the search stopped. That part is now in %s, '
                       'and the search goes on from the line before.', self._file.path.name, i, torn.name)
        return None

    def _wrong(self, i: int, reason: LineError) -> ValueError:
        return ValueError(f'{self._file.path}, line {i}: {reason}. Nothing was changed. Correct that line, or give '
                          'this search a journal of its own.')
