"""How a journal is written as CSV: cells, columns, and the rules that its lines follow.

The first line names the columns and the bounds of the search, the second records its settings, each further one is an
event:

    number,status,t1 from -4.0 to 4.0,t2 from -4.0 to 4.0,value,note,time
    0,settings,,,,seed=0 noisy=False lower_bound=None,2026-11-22T18:29:00+00:00
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
# A number may exceed the highest before it by this much, so that there is always a next one.
largest_step = 10 ** 9

# A cell that begins with one of these is a formula for a spreadsheet, unless it is a number.
_formula = ('=', '+', '-', '@', '\t', '\r')
_decimal = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?', re.ASCII)


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
                   '' if event.value is None else repr(float(event.value)), _written_note(event.note), _now()])


def _written_note(note: str) -> str:
    """A note on one line, and with an apostrophe before what a spreadsheet would run."""
    note = ' '.join(note.split())[:longest_note]
    return "'" + note if note.startswith((*_formula, "'")) else note


def _read_note(note: str) -> str:
    return note[1:] if note.startswith("'") and note[1:].startswith((*_formula, "'")) else note


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec='seconds')


class Reader:
    """Reads the lines of one journal, in their order, and checks each against those before.

    Args:
        domain: the bounds of the search, (d, 2).

    Attributes:
        columns: the cells of the first line.
        settings: the note of the second line, None until it is read and where there is none.
    """

    def __init__(self, domain: Array) -> None:
        self.domain = domain
        self.columns = ['number', 'status',
                        *(f't{i} from {float(low)} to {float(high)}' for i, (low, high) in enumerate(domain, start=1)),
                        'value', 'note', 'time']
        self.settings: str | None = None
        self._states: dict[int, _State] = {}
        self._highest = 0

    def head(self, settings: str) -> bytes:
        """The first two lines of a new journal."""
        blank = [''] * (len(self.domain) + 1)
        return as_csv(self.columns) + as_csv([0, 'settings', *blank, settings, _now()])

    def check_columns(self, cells: list[str]) -> None:
        """Checks the cells of the first line.

        Raises:
            LineError: they are not the columns of a journal of this box.
        """
        if cells != self.columns:
            raise LineError(f'the columns must be {", ".join(self.columns)}, they are '
                            f'{", ".join(cells)[:300] or "none"}; this is not the journal of such a search')

    def event(self, cells: list[str], line: int) -> Event | None:
        """The event of a line; None if it is that of the settings.

        Args:
            cells: of the line.
            line: its number in the file, for messages about later lines.

        Raises:
            LineError: the line breaks a rule.
        """
        if len(cells) != len(self.columns):
            raise LineError(f'it must have {len(self.columns)} cells, it has {len(cells)}. Decimals have a point, and '
                            'a note with a comma is quoted')
        number_text, status, *coordinates, value_text, note, _ = cells
        if (number_text, status) == ('0', 'settings') and not self._states:
            self.settings = note
            return None
        number = self._number(number_text)
        if status not in statuses:
            raise LineError(f'the status must be one of {", ".join(statuses)}, it is {status!r}')
        t = np.array([[_decimal_number(coordinate, name) for coordinate, name in
                       zip(coordinates, self.columns[2:], strict=False)]])
        if not ((t >= self.domain[:, 0]) & (t <= self.domain[:, 1])).all():
            raise LineError(f'the point {t[0]} is not within the bounds')
        value = None
        if status in ('done', 'known'):
            value = _decimal_number(value_text, 'value')
        elif value_text:
            raise LineError(f'an experiment that is {status} has no value, this one has {value_text!r}')
        event = Event(number, status, t, value, _read_note(note))
        self._check_order(event, line)
        return event

    def _number(self, text: str) -> int:
        if not re.fullmatch(r'[1-9]\d{0,17}', text, re.ASCII):
            raise LineError(f'the number must be an integer of at least 1, it is {text!r}')
        if int(text) > self._highest + largest_step:
            raise LineError(f'the number must be at most {self._highest + largest_step}, which is {largest_step} above '
                            f'the highest before it, it is {text}')
        return int(text)

    def _check_order(self, event: Event, line: int) -> None:
        """Checks an event against those before, and takes note of it."""
        number, status, t = event.number, event.status, event.t
        before = self._states.get(number)
        if status in ('proposed', 'known'):
            if before is not None:
                raise LineError(f'there is an experiment {number} already, in line {before.line}')
            self._states[number] = _State(t, line, 0 if status == 'proposed' else line)
            self._highest = max(self._highest, number)
            return
        if before is None:
            raise LineError(f'experiment {number} is {status}, but no line before it proposes it')
        if before.result_line:
            raise LineError(f'experiment {number} has a result already, in line {before.result_line}')
        if not np.array_equal(before.t, t):
            raise LineError(f'experiment {number} was proposed at another point, in line {before.line}')
        self._states[number] = _State(t, before.line, line)


def _decimal_number(text: str, name: str) -> float:
    number = float(text) if _decimal.fullmatch(text.strip()) else np.nan
    if not np.isfinite(number):
        hint = '. Decimals have a point, not a comma' if ',' in text else ''
        raise LineError(f'{name} must be a finite number, it is {text!r}{hint}')
    return number
