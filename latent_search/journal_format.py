"""How a journal is written as CSV: cells, columns, and the rules that its lines follow.

The first line names the columns and the bounds of the search, the second records its settings, each further one is an
event:

    number,status,t1 from -4.0 to 4.0,t2 from -4.0 to 4.0,value,note,time
    0,settings,,,,seed=0 noisy=False lower_bound=None,2026-11-22T18:29:00+00:00
    1,proposed,0.25,-1.5,,,2026-11-22T18:30:00+00:00
    1,done,0.25,-1.5,3.75,,2026-11-22T18:31:10+00:00
    2,proposed,2.0,1.0,,,2026-11-22T18:31:10+00:00
    2,failed,2.0,1.0,,the oven is out,2026-11-22T18:40:00+00:00
    3,proposed,1.0,-3.0,,candidate 17,2026-11-22T18:40:00+00:00
    3,withdrawn,1.0,-3.0,,,2026-11-22T18:40:30+00:00
    4,known,0.5,0.5,2.5,,2026-11-22T18:41:00+00:00
    5,known failure,3.5,3.5,,,2026-11-22T18:41:00+00:00
"""

import csv
import io
import re
from collections.abc import Iterable
from datetime import datetime

import numpy as np

from latent_search.events import Event, Rules, statuses, with_value
from latent_search.points import Array

longest_note = 1000  # Characters.

# A cell that begins with one of these is a formula for a spreadsheet, unless it is a number.
_formula = ('=', '+', '-', '@', '\t', '\r')
_decimal = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?', re.ASCII)


class LineError(ValueError):
    """A line breaks a rule of the format; the message says which."""


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
        self._rules, self._has_events = Rules(domain), False

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

    def event(self, cells: list[str]) -> Event | None:
        """The event of a line; None if it is that of the settings.

        Raises:
            LineError: the line breaks a rule.
        """
        if len(cells) != len(self.columns):
            raise LineError(f'it must have {len(self.columns)} cells, it has {len(cells)}. Decimals have a point, and '
                            'a note with a comma is quoted')
        number, status, *coordinates, value, note, _ = cells
        if (number, status) == ('0', 'settings') and not self._has_events:
            self.settings = note
            return None
        if not re.fullmatch(r'[1-9]\d{0,17}', number, re.ASCII):
            raise LineError(f'the number must be an integer of at least 1, it is {number!r}')
        if status not in statuses:
            raise LineError(f'the status must be one of {", ".join(statuses)}, it is {status!r}')
        t = np.array([[_decimal_number(coordinate, name) for coordinate, name in
                       zip(coordinates, self.columns[2:], strict=False)]])
        has_value = bool(value) or status in with_value
        event = Event(int(number), status, t, _decimal_number(value, 'value') if has_value else None, _read_note(note))
        try:
            self._rules.check(event)
        except ValueError as error:
            raise LineError(str(error)) from error
        self._has_events = True
        return event


def _decimal_number(text: str, name: str) -> float:
    number = float(text) if _decimal.fullmatch(text.strip()) else np.nan
    if not np.isfinite(number):
        hint = '. Decimals have a point, not a comma' if ',' in text else ''
        raise LineError(f'{name} must be a finite number, it is {text!r}{hint}')
    return number
