"""A journal of experiments: a CSV file that people can read and edit, and that no crash and no full disk can spoil.

The first line names the columns and the bounds of the search, each further one is an event:

    number,status,t1 from -4.0 to 4.0,t2 from -4.0 to 4.0,value,note,time
    1,proposed,0.25,-1.5,,,2026-11-22T18:30:00+00:00
    1,done,0.25,-1.5,3.75,,2026-11-22T18:31:10+00:00
    2,proposed,2.0,1.0,,,2026-11-22T18:31:10+00:00
    2,failed,2.0,1.0,,the oven is out,2026-11-22T18:40:00+00:00
    3,known,0.5,0.5,2.5,,2026-11-22T18:41:00+00:00

Values are minimised. An experiment without a value has the status `failed`, never a number that stands for it. `known`
are results that no proposal asked for. Lines are only ever added, each is on the disk before the search goes on, and no
two processes write to one journal.
"""

import csv
import errno
import io
import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock, Timeout

statuses = ('proposed', 'done', 'failed', 'known')
longest_note = 1000  # Characters.


class Event(NamedTuple):
    """A line of a journal.

    Attributes:
        number: of the experiment, 1 or more.
        status: 'proposed', 'done', 'failed' or 'known'.
        t: the point, float64 (1, d).
        value: the result where the status is 'done' or 'known', otherwise None.
        note: why it failed, or whatever a person has written there.
    """

    number: int
    status: str
    t: np.ndarray
    value: float | None = None
    note: str = ''


class JournalInUseError(OSError):
    """Another process writes to the journal."""


class Journal:
    """The journal of a search, open for writing by this process alone.

    Opening it again in the same process closes it first, as happens when a cell of a notebook is run twice.

    Args:
        path: the CSV file, made where there is none. Beside it are PATH.lock and, if a crash has left a part of a last
            line, PATH.torn with that part.
        domain: the bounds of the search, (d, 2).

    Attributes:
        events: what the file held when it was opened, a list of `Event`.

    Raises:
        ValueError: the file is damaged, or the journal of another box, or no journal; line and reason are named, and
            the file is left as it was.
        JournalInUseError: another process has it open.
        OSError: it cannot be read or written.
    """

    _open = {}

    def __init__(self, path, domain):
        self.path = Path(path).resolve()
        self.columns = ['number', 'status',
                        *(f't{i} from {float(low)} to {float(high)}' for i, (low, high) in enumerate(domain, start=1)),
                        'value', 'note', 'time']
        self._domain = np.asarray(domain)
        self._process = os.getpid()
        before = self._open.get(self.path)
        if before is not None and before._process == self._process:
            before.close()
        self._lock = FileLock(f'{self.path}.lock', thread_local=False)
        try:
            if not self.path.parent.is_dir():  # The lock would make it, also where its name has a typing error.
                raise FileNotFoundError(errno.ENOENT, 'There is no such folder')
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise JournalInUseError(f'The journal {self.path} is in use by another process. Stop that one, or give '
                                    'this search a journal of its own.') from error
        except OSError as error:
            raise self._explained(error) from error
        try:
            self.events = self._read() if self.path.exists() else self._create()
        except BaseException:
            self.close()
            raise
        self._open[self.path] = self

    def close(self):
        """Lets others write to the journal; `append` then raises ValueError."""
        self._lock.release()
        if self._open.get(self.path) is self:
            del self._open[self.path]

    def append(self, event):
        """Writes an event and returns when it is on the disk; if that fails the journal is as it was before.

        Raises:
            ValueError: the journal was closed, or opened again since, or belongs to another process.
            OSError: it cannot be written, or the file was changed by something else since it was opened.
        """
        if self._open.get(self.path) is not self or os.getpid() != self._process:
            raise ValueError(f'This journal of {self.path} is closed, or belongs to another process. Continue with the '
                             'search that has opened it last, or open it again.')
        try:
            changed = self._stamp() != self._known_stamp
            if not changed:
                self._write(self._line(event))
        except OSError as error:
            raise self._explained(error) from error
        if changed:
            raise OSError(f'The journal {self.path} was changed while a search had it open, so nothing was added to '
                          'it. Create the search again, which reads it anew, and do the last step again.')

    def _line(self, event):
        cells = [event.number, event.status, *(repr(float(coordinate)) for coordinate in event.t[0]),
                 '' if event.value is None else repr(float(event.value)), ' '.join(event.note.split())[:longest_note],
                 datetime.now().astimezone().isoformat(timespec='seconds')]
        return self._as_csv(cells)

    def _as_csv(self, cells):
        text = io.StringIO()
        csv.writer(text, lineterminator='\n').writerow(cells)
        return text.getvalue().encode(errors='backslashreplace')

    def _create(self):
        unfinished = self.path.with_name(self.path.name + '.unfinished')
        try:
            with open(unfinished, 'wb') as file:
                file.write(self._as_csv(self.columns))
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, self.path)
            self._sync_folder()
        except OSError as error:
            raise self._explained(error) from error
        self._known_stamp = self._stamp()
        self._end = self._known_stamp[0]
        return []

    def _sync_folder(self):
        if os.name == 'posix':  # Elsewhere folders cannot be opened, and need not be.
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _stamp(self):
        status = os.stat(self.path)
        return status.st_size, status.st_mtime_ns, status.st_ino

    def _write(self, line):
        """Makes the file end with `line`, after all that is known to be on the disk."""
        file = os.open(self.path, os.O_WRONLY)
        try:
            os.lseek(file, self._end, os.SEEK_SET)
            left = line
            while left:
                left = left[os.write(file, left):]
            os.ftruncate(file, self._end + len(line))
            os.fsync(file)
            self._end += len(line)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(file, self._end)
            raise
        finally:
            os.close(file)
            self._known_stamp = self._stamp()

    def _explained(self, error):
        return OSError(error.errno, f'The journal {self.path} cannot be written: {error.strerror or error}. What it '
                       'holds is untouched. Make sure that its folder exists, is writable and has space, and do the '
                       'last step again')

    def _read(self):
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise OSError(error.errno, f'The journal {self.path} cannot be read: {error.strerror}') from error
        self._known_stamp = self._stamp()
        complete, newline, last = content.rpartition(b'\n')
        lines = (complete + newline).splitlines()
        events, states = [], {}
        for i, line in enumerate(lines, start=1):
            cells = self._cells(line, i)
            if i == 1:
                self._check_columns(cells)
            elif any(cells):
                events.append(self._event(cells, states, i))
        if not lines:
            self._check_columns(self._cells(last, 1))
            raise self._wrong(1, 'it has no end. No experiment has been recorded yet; delete the file')
        self._end = len(content) - len(last)
        if last:
            events += self._finish(last, states, len(lines) + 1)
        return events

    def _finish(self, last, states, i):
        """What becomes of a last line without an end: complete, and only the line break missing; or a part of one."""
        try:
            cells = self._cells(last, i)
        except ValueError:
            cells = ['']
        # The time is the last cell and has a fixed form, so where it is complete the others are.
        if len(cells) == len(self.columns) and re.fullmatch(r'\d{4}(-\d\d){2}T\d\d(:\d\d){2}[+-]\d\d:\d\d', cells[-1]):
            event = self._event(cells, states, i)
            self._end += len(last)
            try:
                self._write(b'\n')
            except OSError as error:
                raise self._explained(error) from error
            return [event]
        torn = self.path.with_name(self.path.name + '.torn')
        try:
            with open(torn, 'ab') as file:
                file.write(last + b'\n')
                file.flush()
                os.fsync(file.fileno())
            self._write(b'')
        except OSError as error:
            raise self._explained(error) from error
        print(f'{self.path.name}, line {i}: only a part of it was written before the search stopped. That part is now '
              f'in {torn.name}, and the search goes on from the line before.')
        return []

    def _wrong(self, i, reason):
        return ValueError(f'{self.path}, line {i}: {reason}. Nothing was changed. Correct that line, or give this '
                          'search a journal of its own.')

    def _cells(self, line, i):
        try:
            text = line.decode('utf-8-sig' if i == 1 else 'utf-8')
            return next(csv.reader([text], strict=True), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._wrong(i, f'it is not CSV ({error})') from error

    def _check_columns(self, cells):
        if cells != self.columns:
            raise self._wrong(1, f'the columns must be {", ".join(self.columns)}, they are '
                                 f'{", ".join(cells)[:300] or "none"}; this is not the journal of such a search')

    def _event(self, cells, states, i):
        if len(cells) != len(self.columns):
            raise self._wrong(i, f'it must have {len(self.columns)} cells, it has {len(cells)}')
        number, status, *coordinates, value, note, _ = cells
        if not re.fullmatch(r'[1-9]\d{0,8}', number, re.ASCII):
            raise self._wrong(i, f'the number must be an integer of at least 1, it is {number!r}')
        if status not in statuses:
            raise self._wrong(i, f'the status must be one of {", ".join(statuses)}, it is {status!r}')
        number = int(number)
        t = np.array([[self._number(coordinate, name, i) for coordinate, name in
                       zip(coordinates, self.columns[2:], strict=False)]])
        if not ((t >= self._domain[:, 0]) & (t <= self._domain[:, 1])).all():
            raise self._wrong(i, f'the point {t[0]} is not within the bounds')
        if status in ('done', 'known'):
            value = self._number(value, 'value', i)
        elif value:
            raise self._wrong(i, f'an experiment that is {status} has no value, this one has {value!r}')

        proposed = states.get(number)
        if status in ('proposed', 'known') and proposed is not None:
            raise self._wrong(i, f'there is an experiment {number} already, in line {proposed.line}')
        if status in ('done', 'failed'):
            if proposed is None:
                raise self._wrong(i, f'experiment {number} is {status}, but no line before it proposes it')
            if proposed.result_line:
                raise self._wrong(i, f'experiment {number} has a result already, in line {proposed.result_line}')
            if not np.array_equal(proposed.t, t):
                raise self._wrong(i, f'experiment {number} was proposed at another point, in line {proposed.line}')
        states[number] = _State(t, i, 0) if status == 'proposed' else _State(t, proposed.line if proposed else i, i)
        return Event(number, status, t, value if status in ('done', 'known') else None, note)

    def _number(self, text, name, i):
        try:
            number = float(text)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            raise self._wrong(i, f'{name} must be a finite number, it is {text!r}')
        return number


class _State(NamedTuple):
    """What the lines so far say of an experiment: its point, the line of its proposal, the line of its result or 0."""

    t: np.ndarray
    line: int
    result_line: int
