"""What a journal looks like, to people and to other programs."""

import csv
import io
from datetime import datetime

import numpy as np
import pytest
from journal_helpers import (
    BOX,
    GOOD,
    HEADER,
    ONE,
    SQUARE,
    assert_same,
    files_beside,
    journal_of,
    plain,
    rows,
    state,
    steps,
)

from latent_search import Event, create_optimizer
from latent_search.journal import Journal


def test_a_journal_is_a_table_that_people_can_read(path):
    search = create_optimizer(None, SQUARE, journal=path)
    (_, first), (_, second), (_, third) = search.ask(3)
    search.tell(2, 0.1 + 0.2)
    search.tell_failed(1, 'the oven, "new",\r\nis out\n')
    search.add_known([[-0.0, 1 / 3]], [[7]])

    lines = path.read_text().splitlines()
    assert lines[0] == HEADER and len(lines) == 8
    assert lines[1].startswith('0,settings,,,,seed=0 noisy=False lower_bound=None,')
    with open(path, newline='') as file:
        _, *table = csv.DictReader(file)
    names = ['number', 'status', 't1 from -4.0 to 4.0', 't2 from -4.0 to 4.0', 'value', 'note']
    expected = [(1, 'proposed', *first[0], '', ''), (2, 'proposed', *second[0], '', ''),
                (3, 'proposed', *third[0], '', ''), (2, 'done', *second[0], 0.30000000000000004, ''),
                (1, 'failed', *first[0], '', 'the oven, "new", is out'), (4, 'known', '-0.0', 1 / 3, '7.0', '')]
    assert [[row[name] for name in names] for row in table] == [list(map(str, row)) for row in expected]
    assert all(datetime.fromisoformat(row['time']).tzinfo for row in table)


def test_bounds_are_in_the_header(path):
    Journal(path, np.array([(0, 1), (-0.3, 1e-9), (2, 1e20)]))

    assert path.read_text().splitlines()[0] == ('number,status,t1 from 0.0 to 1.0,t2 from -0.3 to 1e-09,'
                                                't3 from 2.0 to 1e+20,value,note,time')


def test_numbers_are_read_as_they_were(path, rng):
    numbers = np.r_[rng.uniform(-4, 4, 60), 5e-324, -0.0, 4.0, -4.0, np.nextafter(4.0, 0), np.nextafter(0.1, 1)]
    values = np.r_[rng.normal(size=30) * 10.0 ** rng.integers(-300, 300, 30), 1.7e308, np.float32(0.1), 3]
    events = [Event(i, 'known', t[np.newaxis], value)
              for i, (t, value) in enumerate(zip(numbers.reshape(-1, 2), values, strict=True), start=1)]

    journal_of(path, events)

    assert plain(Journal(path, BOX).events) == plain(events)


@pytest.mark.parametrize('note', ['a, b', '"', '""', "'", ',', '=1+1', 'ofen größer 10⁻³', 'a\0b', 'number,status', '#',
                                  '\\', '2026-11-22T18:30:00+00:00'])
def test_notes_are_read_as_they_were(note, path):
    events = [Event(1, 'proposed', ONE), Event(1, 'failed', ONE, note=note)]

    content = journal_of(path, events)

    assert content.count(b'\n') == 4
    assert plain(Journal(path, BOX).events) == plain(events)


@pytest.mark.parametrize('note', ['one\ntwo', 'one\r\ntwo', 'one\rtwo', 'one\u2028two', 'one\x0b two', ' one\t two\n'])
def test_notes_of_several_lines_become_one(note, path):
    journal_of(path, [Event(1, 'proposed', ONE), Event(1, 'failed', ONE, note=note)])

    assert len(path.read_text().splitlines()) == 4
    assert Journal(path, BOX).events[1].note == 'one two'


def test_a_long_note_is_cut(path):
    journal_of(path, [Event(1, 'proposed', ONE), Event(1, 'failed', ONE, note='x' * 200_000)])

    assert Journal(path, BOX).events[1].note == 'x' * 1000


def test_a_reason_that_is_no_unicode_is_written_down(path):
    """As Python decodes names of files and what programs say."""
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask()

    search.tell_failed(1, b'no file caf\xe9'.decode(errors='surrogateescape'))

    assert rows(path)[1]['note'].startswith('no file caf')
    assert len(create_optimizer(None, SQUARE, journal=path).failed) == 1


def quoted(content):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator='\n').writerows(csv.reader(content.decode().splitlines()))
    return text.getvalue().encode()


EDITS = {'CRLF': lambda content: content.replace(b'\n', b'\r\n'),
         'byte order mark': lambda content: b'\xef\xbb\xbf' + content,
         'all cells quoted': quoted,
         'blank lines': lambda content: content.replace(b'\n', b'\n\n') + b'\n',
         'lines of commas': lambda content: content.replace(b'\n', b'\n,,,,,,\n'),
         'no line end': lambda content: content[:-1],
         'by a spreadsheet': lambda content: b'\xef\xbb\xbf' + quoted(content).replace(b'\n', b'\r\n')[:-2],
         'half a CRLF': lambda content: content.replace(b'\n', b'\r\n')[:-1]}


@pytest.mark.parametrize('edit', EDITS)
@pytest.mark.parametrize('events', [1, 19, 20, 28])
def test_a_journal_saved_by_another_program_is_taken(edit, events, path, reference):
    states, content, expected = reference
    path.write_bytes(EDITS[edit](b''.join(content.splitlines(keepends=True)[:events + 2])))

    search = create_optimizer(None, SQUARE, seed=1, journal=path)
    assert_same(state(search), states[events])
    assert files_beside(path) == set()
    for _ in steps(search):
        pass

    assert_same(state(create_optimizer(None, SQUARE, seed=1, journal=path)), states[-1])
    assert files_beside(path) == set()


def test_a_value_corrected_by_hand_is_taken(path):
    search = create_optimizer(None, SQUARE, journal=path)
    told = create_optimizer(None, SQUARE)
    told.ask(8)
    for number, t in search.ask(8):
        search.tell(number, t[0, 0] ** 2)
        told.tell(number, -3.5 if number == 4 else t[0, 0] ** 2)
    wrong = repr(float(search.Y[3, 0]))
    path.write_text(path.read_text().replace(f',{wrong},', ',-3.5,'))

    corrected = create_optimizer(None, SQUARE, journal=path)

    assert corrected.Y[3] == -3.5
    assert_same(state(corrected), state(told))


@pytest.mark.parametrize('line', ['99,known,0.5,-0.25,0.125,from the old notebook,\n', '99,known,.5,-25e-2,0.125,,\n',
                                  '99,known,.5,-0.25, 0.125,,last summer\r\n\r\n'])
def test_a_result_added_by_hand_is_taken(line, path):
    search = create_optimizer(None, SQUARE, journal=path)
    told = create_optimizer(None, SQUARE)
    told.ask(8)
    for number, t in search.ask(8):
        search.tell(number, t[0, 0] ** 2)
        told.tell(number, t[0, 0] ** 2)
    told.add_known([[0.5, -0.25]], [[0.125]])
    with open(path, 'a', newline='') as file:
        file.write(line)

    search = create_optimizer(None, SQUARE, journal=path)

    assert_same(state(search), state(told))
    assert search.ask()[0].number == 100


def test_lines_of_experiments_can_be_deleted_by_hand(path):
    path.write_text('\n'.join([*GOOD[:1], *GOOD[3:]]) + '\n')

    search = create_optimizer(None, SQUARE, journal=path)

    np.testing.assert_array_equal(search.X, [[0.5, 0.5]])
    np.testing.assert_array_equal(search.failed, [[2, 1]])
    assert search.pending == [] and search.ask()[0].number == 4
