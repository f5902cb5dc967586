"""How a journal is written as CSV: cells, columns, and the rules that its lines follow.

The first line names the columns and the bounds of the search, each further one is an event:

    number,status,t1 from -4.0 to 4.0,t2 from -4.0 to 4.0,value,note,time
    1,proposed,0.25,-1.5,,,2026-11-22T18:30:00+00:00
    1,done,0.25,-1.5,3.75,,2026-11-22T18:31:10+00:00
    2,proposed,2.0,1.0,,,2026-11-22T18:31:10+00:00
    2,failed,2.0,1.0,,the oven is out,2026-11-22T18:40:00+00:00
    3,known,0.5,0.5,2.5,,2026-11-22T18:41:00+00:00
"""

import csv
import io
import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import numpy as np

from latent_search.events import Event, statuses
from latent_search.points import Array

longest_note = 1000  # Characters.


class LineError(ValueError):
    """A line breaks a rule of the format; the message says which."""


class _State(NamedTuple):
    """What the lines so far say of an experiment: its point, the line of its proposal, the line of its result or 0."""

    t: Array
    line: int
    result_line: int


def as_csv(cells: Iterable[object]) -> bytes:
    """A line of CSV with its end, UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerow(cells)
    return text.getvalue().encode(errors='backslashreplace')


def cells_of(line: bytes, first: bool = False) -> list[str]:
    """The cells of a line of CSV; the first line of a file may begin with a byte order mark.

    Raises:
        LineError: it is not CSV in UTF-8.
    """
    try:
        return next(csv.reader([line.decode('utf-8-sig' if first else 'utf-8')], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise LineError(f'it is not CSV ({error})') from error


def line_of(event: Event) -> bytes:
    """The line of an event, with the time of now."""
    return as_csv([event.number, event.status, *(repr(float(coordinate)) for coordinate in event.t[0]),
                   '' if event.value is None else repr(float(event.value)), ' '.join(event.note.split())[:longest_note],
                   datetime.now().astimezone().isoformat(timespec='seconds')])


class Reader:
    """Reads the lines of one journal, in their order, and checks each against those before.

    Args:
        domain: the bounds of the search, (d, 2).
    """

    def __init__(self, domain: Array) -> None:
        self.domain = domain
        self.columns = ['number', 'status',
                        *(f't{i} from {float(low)} to {float(high)}' for i, (low, high) in enumerate(domain, start=1)),
                        'value', 'note', 'time']
        self._states: dict[int, _State] = {}

    def check_columns(self, cells: list[str]) -> None:
        """Checks the cells of the first line.

        Raises:
            LineError: they are not the columns of a journal of this box.
        """
        if cells != self.columns:
            raise LineError(f'the columns must be {", ".join(self.columns)}, they are '
                            f'{", ".join(cells)[:300] or "none"}; this is not the journal of such a search')

    def is_whole(self, cells: list[str]) -> bool:
        """Whether a last line without an end lacks nothing else.

        The time is the last cell and has a fixed form, so where it is complete the others are.
        """
        return (len(cells) == len(self.columns)
                and bool(re.fullmatch(r'\d{4}(-\d\d){2}T\d\d(:\d\d){2}[+-]\d\d:\d\d', cells[-1])))

    def event(self, cells: list[str], line: int) -> Event:
        """The event of a line.

        Args:
            cells: of the line.
            line: its number in the file, for messages about later lines.

        Raises:
            LineError: the line breaks a rule.
        """
        if len(cells) != len(self.columns):
            raise LineError(f'it must have {len(self.columns)} cells, it has {len(cells)}')
        number_text, status, *coordinates, value_text, note, _ = cells
        if not re.fullmatch(r'[1-9]\d{0,8}', number_text, re.ASCII):
            raise LineError(f'the number must be an integer of at least 1, it is {number_text!r}')
        if status not in statuses:
            raise LineError(f'the status must be one of {", ".join(statuses)}, it is {status!r}')
        t = np.array([[_number(coordinate, name) for coordinate, name in
                       zip(coordinates, self.columns[2:], strict=False)]])
        if not ((t >= self.domain[:, 0]) & (t <= self.domain[:, 1])).all():
            raise LineError(f'the point {t[0]} is not within the bounds')
        value = None
        if status in ('done', 'known'):
            value = _number(value_text, 'value')
        elif value_text:
            raise LineError(f'an experiment that is {status} has no value, this one has {value_text!r}')
        event = Event(int(number_text), status, t, value, note)
        self._check_order(event, line)
        return event

    def _check_order(self, event: Event, line: int) -> None:
        """Checks an event against those before, and takes note of it."""
        number, status, t = event.number, event.status, event.t
        before = self._states.get(number)
        if status in ('proposed', 'known'):
            if before is not None:
                raise LineError(f'there is an experiment {number} already, in line {before.line}')
            self._states[number] = _State(t, line, 0 if status == 'proposed' else line)
            return
        if before is None:
            raise LineError(f'experiment {number} is {status}, but no line before it proposes it')
        if before.result_line:
            raise LineError(f'experiment {number} has a result already, in line {before.result_line}')
        if not np.array_equal(before.t, t):
            raise LineError(f'experiment {number} was proposed at another point, in line {before.line}')
        self._states[number] = _State(t, before.line, line)


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise LineError(f'{name} must be a finite number, it is {text!r}')
    return number
