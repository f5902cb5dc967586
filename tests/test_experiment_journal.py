import csv
import errno
import io
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import experiment_journal
import numpy as np
import pytest
from experiment_journal import Event, Journal, JournalInUseError

import vae_opt_util
from vae_opt_util import create_optimizer

# Processes of these tests are forked from one that has loaded this module, and with it what a search loads.
create_optimizer(lambda t: t, [(0, 1)]).suggest_next_locations()
vae_opt_util._import_gpyopt()
import gpyopt_extensions  # noqa: E402, F401

SQUARE = [(-4.0, 4.0)] * 2
EXPERIMENTS = 16
SETTINGS = {'exact': {}, 'noisy': {'noisy': True}, 'bounded': {'lower_bound': lambda t: np.zeros((len(t), 1))}}

HEADER = 'number,status,t1 from -4.0 to 4.0,t2 from -4.0 to 4.0,value,note,time'
GOOD = [HEADER,
        '1,proposed,0.25,-1.5,,,2026-11-22T18:30:00+00:00',
        '1,done,0.25,-1.5,3.75,,2026-11-22T18:31:10+00:00',
        '2,proposed,2.0,1.0,,,2026-11-22T18:31:10+00:00',
        '2,failed,2.0,1.0,,"no ""oven"", again",2026-11-22T18:40:00+00:00',
        '3,known,0.5,0.5,2.5,,2026-11-22T18:41:00+00:00']

ONE, TWO = np.array([[0.1, -1 / 3]]), np.array([[1e-300, 2.5]])
EVENTS = [Event(1, 'proposed', ONE), Event(1, 'done', ONE, 2 / 3), Event(2, 'proposed', TWO)]
LAST = {'proposed': Event(3, 'proposed', ONE), 'done': Event(2, 'done', TWO, -1e-17),
        'failed': Event(2, 'failed', TWO, note='no "oven", again'), 'known': Event(3, 'known', ONE, 1e22)}


def steps(search, num=EXPERIMENTS):
    """Makes experiments, two at a time, of which some fail; stops after each event."""
    while True:
        proposed = len(search.X) + len(search.failed) + len(search.pending)
        if len(search.pending) < 2 and proposed < num:
            search.ask()
        elif search.pending:
            number, t = search.pending[0]
            if t[0, 0] > 1.5:
                search.tell_failed(number, 'too hot,\n"again"')
            else:
                search.tell(number, ((t - 1) ** 2).sum())
        else:
            return
        yield


def state(search):
    return (search.X, search.Y, search.failed, [(number, *t[0]) for number, t in search.pending],
            search.suggest_next_locations())


def assert_same(state, expected):
    for array, other in zip(state, expected, strict=True):
        np.testing.assert_array_equal(array, other)


def rows(path):
    """The lines of a journal as dicts, without the time."""
    with open(path, newline='', encoding='utf-8') as file:
        return [{name: cell for name, cell in row.items() if name != 'time'} for row in csv.DictReader(file)]


def plain(events):
    return [(event.number, event.status, event.t.tolist(), event.value, event.note) for event in events]


def journal_of(path, events):
    journal = Journal(path, SQUARE)
    for event in events:
        journal.append(event)
    journal.close()
    return path.read_bytes()


def files_beside(path):
    return {file.name for file in path.parent.iterdir()} - {path.name, path.name + '.lock'}


@pytest.fixture
def path(tmp_path):
    yield tmp_path / 'journal.csv'
    for journal in list(Journal._open.values()):
        journal.close()


@pytest.fixture(scope='module')
def reference():
    """What a search without a journal knows after each event, and what one with a journal has written after all."""
    search = create_optimizer(None, SQUARE, seed=1)
    states = [state(search), *(state(search) for _ in steps(search))]
    assert len(states) == 1 + 2 * EXPERIMENTS and 2 <= len(search.failed) <= 6
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'journal.csv'
        written = create_optimizer(None, SQUARE, seed=1, journal=path)
        for _ in steps(written):
            pass
        written._journal.close()
        return states, path.read_bytes(), rows(path)


@pytest.fixture(scope='module')
def processes():
    """Starts processes in milliseconds."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', os.pathsep.join(sys.path))
        process = context.Process(target=int)
        process.start()
    process.join()
    return context


@pytest.fixture
def elsewhere(processes):
    """Calls a function in a process of its own, and raises what it raises."""
    def call(function, *arguments):
        with ProcessPoolExecutor(1, mp_context=processes) as pool:
            return pool.submit(function, *arguments).result()

    return call


# What a journal looks like


def test_a_journal_is_a_table_that_people_can_read(path):
    search = create_optimizer(None, SQUARE, journal=path)
    (_, first), (_, second), (_, third) = search.ask(3)
    search.tell(2, 0.1 + 0.2)
    search.tell_failed(1, 'the oven, "new",\r\nis out\n')
    search.add_known([[-0.0, 1 / 3]], [[7]])

    lines = path.read_text().splitlines()
    assert lines[0] == HEADER and len(lines) == 7
    with open(path, newline='') as file:
        table = list(csv.DictReader(file))
    names = ['number', 'status', 't1 from -4.0 to 4.0', 't2 from -4.0 to 4.0', 'value', 'note']
    expected = [(1, 'proposed', *first[0], '', ''), (2, 'proposed', *second[0], '', ''),
                (3, 'proposed', *third[0], '', ''), (2, 'done', *second[0], 0.30000000000000004, ''),
                (1, 'failed', *first[0], '', 'the oven, "new", is out'), (4, 'known', '-0.0', 1 / 3, '7.0', '')]
    assert [[row[name] for name in names] for row in table] == [list(map(str, row)) for row in expected]
    assert all(datetime.fromisoformat(row['time']).tzinfo for row in table)


def test_bounds_are_in_the_header(path):
    Journal(path, [(0, 1), (-0.3, 1e-9), (2, np.float64(1e20))])

    assert path.read_text() == 'number,status,t1 from 0.0 to 1.0,t2 from -0.3 to 1e-09,t3 from 2.0 to 1e+20,' \
                               'value,note,time\n'


def test_numbers_are_read_as_they_were(path, rng):
    numbers = np.r_[rng.uniform(-4, 4, 60), 5e-324, -0.0, 4.0, -4.0, np.nextafter(4.0, 0), np.nextafter(0.1, 1)]
    values = np.r_[rng.normal(size=30) * 10.0 ** rng.integers(-300, 300, 30), 1.7e308, np.float32(0.1), 3]
    events = [Event(i, 'known', t[np.newaxis], value)
              for i, (t, value) in enumerate(zip(numbers.reshape(-1, 2), values, strict=True), start=1)]

    journal_of(path, events)

    assert plain(Journal(path, SQUARE).events) == plain(events)


@pytest.mark.parametrize('note', ['a, b', '"', '""', "'", ',', '=1+1', 'ofen größer 10⁻³', 'a\0b', 'number,status', '#',
                                  '\\', '2026-11-22T18:30:00+00:00'])
def test_notes_are_read_as_they_were(note, path):
    events = [Event(1, 'proposed', ONE), Event(1, 'failed', ONE, note=note)]

    content = journal_of(path, events)

    assert content.count(b'\n') == 3
    assert plain(Journal(path, SQUARE).events) == plain(events)


@pytest.mark.parametrize('note', ['one\ntwo', 'one\r\ntwo', 'one\rtwo', 'one\u2028two', 'one\x0b two', ' one\t two\n'])
def test_notes_of_several_lines_become_one(note, path):
    journal_of(path, [Event(1, 'proposed', ONE), Event(1, 'failed', ONE, note=note)])

    assert len(path.read_text().splitlines()) == 3
    assert Journal(path, SQUARE).events[1].note == 'one two'


def test_a_long_note_is_cut(path):
    journal_of(path, [Event(1, 'proposed', ONE), Event(1, 'failed', ONE, note='x' * 200_000)])

    assert Journal(path, SQUARE).events[1].note == 'x' * 1000


def test_a_reason_that_is_no_unicode_is_written_down(path):
    """As Python decodes names of files and what programs say."""
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask()

    search.tell_failed(1, b'no file caf\xe9'.decode(errors='surrogateescape'))

    assert rows(path)[1]['note'].startswith('no file caf')
    assert len(create_optimizer(None, SQUARE, journal=path).failed) == 1


def test_importing_it_needs_no_tensorflow():
    code = "import experiment_journal, sys; assert not {'tensorflow', 'keras', 'vae_opt_util'} & set(sys.modules)"

    subprocess.run([sys.executable, '-c', code], check=True, cwd=Path(experiment_journal.__file__).parent)


# Going on from a journal


@pytest.mark.parametrize('settings', SETTINGS)
@pytest.mark.parametrize('restarts', [[0, 1, 2, 3], [9, 12, 13], [16, 21, 26, 28]])
def test_a_restart_makes_no_difference(settings, restarts, path):
    settings = SETTINGS[settings]
    never, events = create_optimizer(None, SQUARE, **settings), 0
    restarted = create_optimizer(None, SQUARE, journal=path, **settings)
    continued, going_on = steps(never), steps(restarted)

    for events in range(2 * EXPERIMENTS + 1):
        if events in restarts:
            restarted = create_optimizer(None, SQUARE, journal=path, **settings)
            going_on = steps(restarted)
            assert_same(state(restarted), state(never))
        next(continued, None), next(going_on, None)

    assert_same(state(restarted), state(never))
    assert len(never.X) + len(never.failed) == EXPERIMENTS


def test_a_journal_of_a_search_that_evaluates_by_itself(path):
    def objective(t):
        return ((t - 1) ** 2).sum(axis=1, keepdims=True)

    whole = create_optimizer(objective, SQUARE)
    whole.run_optimization(6)
    for iterations in (2, 0, 4):
        create_optimizer(objective, SQUARE, journal=path).run_optimization(iterations)
    parts = create_optimizer(objective, SQUARE, journal=path)

    assert_same(state(parts), state(whole))
    assert [row['status'] for row in rows(path)] == ['proposed', 'done'] * 12
    np.testing.assert_array_equal([float(row['value']) for row in rows(path)[1::2]], whole.Y[:, 0])


def test_an_evaluation_that_was_interrupted_is_the_first_after_a_restart(path):
    asked = []

    def fragile(t):
        asked.append(t.copy())
        if len(asked) in (4, 9):
            raise KeyboardInterrupt
        return ((t - 1) ** 2).sum(axis=1, keepdims=True)

    whole = create_optimizer(lambda t: ((t - 1) ** 2).sum(axis=1, keepdims=True), SQUARE)
    whole.run_optimization(4)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            create_optimizer(fragile, SQUARE, journal=path).run_optimization(4)
    restarted = create_optimizer(fragile, SQUARE, journal=path)
    restarted.run_optimization(10 - len(restarted.X))

    assert_same(state(restarted), state(whole))
    np.testing.assert_array_equal(np.vstack(asked[4:5] + asked[9:10]), np.vstack(asked[3:4] + asked[8:9]))
    assert [row['status'] for row in rows(path)] == ['proposed', 'done'] * 10


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
    path.write_bytes(EDITS[edit](b''.join(content.splitlines(keepends=True)[:events + 1])))

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


# Crashes


def run_to_the_end(path, slow, log):
    """Runs in a process of its own, where writing takes long: a few bytes at a time."""
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if slow:
        write = os.write

        def slowly(file, data):
            time.sleep(0.0005)
            return write(file, data[:8])

        os.write = slowly
    for _ in steps(create_optimizer(None, SQUARE, seed=1, journal=path)):
        pass


def test_a_hundred_kills_lose_nothing(tmp_path, processes, reference, rng):
    states, _, expected = reference
    log = tmp_path / 'log'

    def start(path, slow):
        process = processes.Process(target=run_to_the_end, args=(path, slow, log), daemon=True)
        process.start()
        return process

    def finish(path, slow):
        process = start(path, slow)
        process.join(timeout=60)
        assert process.exitcode == 0, log.read_text()
        assert rows(path) == expected

    longest = {}
    for slow in (False, True, False, True):  # The second time all is warm.
        begin = time.perf_counter()
        finish(tmp_path / f'whole-{slow}-{slow in longest}.csv', slow)
        longest[slow] = time.perf_counter() - begin

    kills, hits, finished, path = 0, 0, 0, tmp_path / '0.csv'
    while kills < 100:
        slow = bool(kills % 2)
        process = start(path, slow)
        process.join(rng.uniform(0, longest[slow] / 3))
        process.kill()
        process.join()
        if process.exitcode == 0:
            assert rows(path) == expected
            finished += 1
            path = tmp_path / f'{finished}.csv'
            continue
        assert process.exitcode == -9, log.read_text()
        kills += 1
        hits += path.exists() and 1 < path.read_bytes().count(b'\n') <= len(expected)
    finish(path, slow=False)

    # Otherwise too few hit a search at work, or none a line that was being written.
    assert hits >= 50 and finished >= 3 and len(list(tmp_path.glob('*.torn'))) >= 3
    for i in range(finished + 1):
        search = create_optimizer(None, SQUARE, seed=1, journal=tmp_path / f'{i}.csv')
        assert_same(state(search), states[-1])
        search._journal.close()


@pytest.mark.parametrize('status', LAST)
def test_a_last_line_torn_at_any_byte_is_all_that_is_lost(status, tmp_path, capsys):
    last = LAST[status]
    earlier = journal_of(tmp_path / 'earlier.csv', EVENTS)
    line = journal_of(tmp_path / 'whole.csv', [*EVENTS, last])[len(earlier):]

    for cut in range(len(line)):
        only_the_line_end = cut == len(line) - 1
        path = tmp_path / f'{cut}.csv'
        path.write_bytes(earlier + line[:cut])
        capsys.readouterr()

        journal = Journal(path, SQUARE)

        torn = tmp_path / f'{cut}.csv.torn'
        if cut and not only_the_line_end:
            assert torn.read_bytes() == line[:cut] + b'\n'
            assert capsys.readouterr().out.startswith(f'{cut}.csv, line 5: only a part of it was written')
        else:
            assert not torn.exists() and capsys.readouterr().out == ''
        if only_the_line_end:
            assert path.read_bytes() == earlier + line
        else:
            assert path.read_bytes() == earlier
            assert plain(journal.events) == plain(EVENTS)
            journal.append(last)
        journal.close()
        journal = Journal(path, SQUARE)
        assert plain(journal.events) == plain([*EVENTS, last])
        journal.close()


@pytest.mark.parametrize('note', ['2026-11-22T18:30:00+00:00', 'x,2026-11-22T18:30:00+00:00'])
def test_a_torn_line_whose_note_ends_like_a_line(note, tmp_path):
    earlier = journal_of(tmp_path / 'earlier.csv', EVENTS)
    line = journal_of(tmp_path / 'whole.csv', [*EVENTS, Event(2, 'failed', TWO, note=note)])[len(earlier):]

    for cut in range(1, len(line) - 1):
        path = tmp_path / f'{cut}.csv'
        path.write_bytes(earlier + line[:cut])
        journal = Journal(path, SQUARE)
        assert plain(journal.events) == plain(EVENTS) and path.read_bytes() == earlier
        journal.close()


@pytest.mark.parametrize('event', [1, 2, 13, 17, 20, 27, 28])
@pytest.mark.parametrize('left', [1, 30, -2, -1])
def test_a_search_goes_on_from_a_torn_line(event, left, path, reference):
    states, content, expected = reference
    lines = content.splitlines(keepends=True)
    path.write_bytes(b''.join(lines[:event]) + lines[event][:left])

    search = create_optimizer(None, SQUARE, seed=1, journal=path)
    assert_same(state(search), states[event if left == -1 else event - 1])
    for _ in steps(search):
        pass

    assert rows(path) == expected


def test_torn_lines_are_collected(path):
    parts = [b'3,pro', b'3,known,1.0,"', b'\xff\x00\x00', b'3,known,0.5,0.5,2.5,,2026-11-22T18:4']
    earlier = journal_of(path, EVENTS)
    for part in parts:
        path.write_bytes(earlier + part)
        Journal(path, SQUARE)

    assert path.read_bytes() == earlier
    assert path.with_name('journal.csv.torn').read_bytes() == b'\n'.join(parts) + b'\n'


def test_a_journal_whose_making_was_interrupted(path):
    path.with_name('journal.csv.unfinished').write_bytes(b'number,sta' * 100)

    Journal(path, SQUARE)

    assert path.read_text() == HEADER + '\n' and files_beside(path) == set()


# Damage


def test_the_undamaged_journal_is_read(path):
    """The one that is damaged below."""
    path.write_text('\n'.join(GOOD) + '\n')

    assert plain(Journal(path, SQUARE).events) == [
        (1, 'proposed', [[0.25, -1.5]], None, ''), (1, 'done', [[0.25, -1.5]], 3.75, ''),
        (2, 'proposed', [[2.0, 1.0]], None, ''), (2, 'failed', [[2.0, 1.0]], None, 'no "oven", again'),
        (3, 'known', [[0.5, 0.5]], 2.5, '')]


DAMAGES = [
    (2, '0,proposed,0.25,-1.5,,,', "number must be an integer of at least 1, it is '0'"),
    (2, '-1,proposed,0.25,-1.5,,,', "number must be an integer of at least 1, it is '-1'"),
    (2, '1.5,proposed,0.25,-1.5,,,', "number must be an integer of at least 1, it is '1.5'"),
    (2, ',proposed,0.25,-1.5,,,', "number must be an integer of at least 1, it is ''"),
    pytest.param(2, '1' * 5000 + ',proposed,0.25,-1.5,,,', 'number', id='long number'),
    (2, '1,proposed,0.25,-1.5,3.75,,', "an experiment that is proposed has no value, this one has '3.75'"),
    (2, '1,proposed,4.000000000000001,-1.5,,,', 'is not within the bounds'),
    (2, '1,proposed,inf,-1.5,,,', "t1 from -4.0 to 4.0 must be a finite number, it is 'inf'"),
    (2, '1,proposed,0.25,nan,,,', "t2 from -4.0 to 4.0 must be a finite number, it is 'nan'"),
    (2, '1,proposed,0.25,,,,', "t2 from -4.0 to 4.0 must be a finite number, it is ''"),
    (3, '1,done,0.25,-1.5,,,', "value must be a finite number, it is ''"),
    (3, '1,done,0.25,-1.5,nan,,', "value must be a finite number, it is 'nan'"),
    (3, '1,done,0.25,-1.5,-inf,,', "value must be a finite number, it is '-inf'"),
    (3, '1,done,0.25,-1.5,1e999,,', "value must be a finite number, it is '1e999'"),
    (3, '1,done,0.25,-1.5,low,,', "value must be a finite number, it is 'low'"),
    (3, '1,done,0.25,-1.5,3,75,,', 'it must have 7 cells, it has 8'),
    (3, '1,done,0.25', 'it must have 7 cells, it has 3'),
    (3, '1;done;0.25;-1.5;3.75;;', 'it must have 7 cells, it has 1'),
    (3, '1,finished,0.25,-1.5,3.75,,', "status must be one of proposed, done, failed, known, it is 'finished'"),
    (3, '1,Done,0.25,-1.5,3.75,,', "status must be one of proposed, done, failed, known, it is 'Done'"),
    (3, '1,done,0.26,-1.5,3.75,,', 'experiment 1 was proposed at another point, in line 2'),
    (3, '1,failed,0.25,-1.4,,,', 'experiment 1 was proposed at another point, in line 2'),
    (3, '7,done,0.25,-1.5,3.75,,', 'experiment 7 is done, but no line before it proposes it'),
    (3, '2,failed,2.0,1.0,,,', 'experiment 2 is failed, but no line before it proposes it'),
    (4, '1,proposed,2.0,1.0,,,', 'there is an experiment 1 already, in line 2'),
    (5, '2,failed,2.0,1.0,7.5,,', "an experiment that is failed has no value, this one has '7.5'"),
    (5, '2,failed,2.0,1.0,,"no oven,2026-11-22T18:40:00+00:00', 'it is not CSV'),
    (5, '2,failed,2.0,1.0,,"no" oven,2026-11-22T18:40:00+00:00', 'it is not CSV'),
    (5, b'2,failed,2.0,1.0,,caf\xe9,2026-11-22T18:40:00+00:00', 'it is not CSV'),
    (6, '2,done,2.0,1.0,7.5,,', 'experiment 2 has a result already, in line 5'),
    (6, '1,failed,0.25,-1.5,,,', 'experiment 1 has a result already, in line 3'),
    (6, '1,known,0.5,0.5,2.5,,', 'there is an experiment 1 already, in line 2'),
    (6, '3,known,0.5,-4.1,2.5,,', 'is not within the bounds')]


def assert_refused(path, content, line, reason):
    path.write_bytes(content)

    with pytest.raises(ValueError) as raised:
        create_optimizer(None, SQUARE, journal=path)

    assert str(raised.value).startswith(f'{path}, line {line}: ') and reason in str(raised.value)
    assert path.read_bytes() == content and files_beside(path) == set()


@pytest.mark.parametrize('torn', ['', '3,kno', '4,known,0.5,0.5,2.5,,2026-11-22T18:41:00+00:00'])
@pytest.mark.parametrize('line, damage, reason', DAMAGES)
def test_a_damaged_line_is_named_and_nothing_is_changed(line, damage, reason, torn, path):
    lines = [good.encode() for good in GOOD]
    lines[line - 1] = damage if isinstance(damage, bytes) else damage.encode()

    assert_refused(path, b'\n'.join([*lines, torn.encode()]), line, reason)


@pytest.mark.parametrize('last', ['1,done,0.25,-1.5,5.0,,2026-11-22T18:41:00+00:00',
                                  '7,failed,0.25,-1.5,,,2026-11-22T18:41:00+00:00',
                                  '3,known,0.5,-4.1,2.5,,2026-11-22T18:41:00+00:00'])
def test_a_damaged_last_line_that_lacks_only_its_end(last, path):
    assert_refused(path, '\n'.join([*GOOD[:5], last]).encode(), 6, ' ')


def test_lines_are_counted_as_an_editor_does(path):
    assert_refused(path, '\r\n\r\n'.join([*GOOD, ',,,,,,', '9,lost,0,0,,,\r\n']).encode(), 15, "it is 'lost'")


OTHER_FILES = {
    'empty': (b'', 'they are none'),
    'a blank line': (b'\n', 'they are none'),
    'header without an end': (HEADER.encode(), 'delete the file'),
    'part of a header': (HEADER[:30].encode(), 'the columns must be number, status'),
    'image': (b'\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR', 'it is not CSV'),
    'text': (b'Dear diary,\ntoday the oven was out.\n', 'they are Dear diary'),
    'other table': (b'a,b,c\n1,2,3\n', 'they are a, b, c; this is not the journal of such a search'),
    'no header': ('\n'.join(GOOD[1:]).encode() + b'\n', 'the columns must be'),
    'other bounds': ('\n'.join(GOOD).replace('-4.0 to', '-5.0 to').encode() + b'\n', 't1 from -5.0 to 4.0'),
    'one dimension': (HEADER.replace('t2 from -4.0 to 4.0,', '').encode() + b'\n', 'the columns must be'),
    'three dimensions': (HEADER.replace(',value', ',t3 from -4.0 to 4.0,value').encode() + b'\n', 't3 from'),
    'semicolons': ('\n'.join(GOOD).replace(',', ';').encode() + b'\n', 'the columns must be'),
    'old Macintosh': ('\r'.join(GOOD).encode() + b'\r', 'it is not CSV'),
    'UTF-16': ('\n'.join(GOOD).encode('utf-16'), 'it is not CSV')}


@pytest.mark.parametrize('file', OTHER_FILES)
def test_other_files_are_refused_and_left_alone(file, path):
    assert_refused(path, OTHER_FILES[file][0], 1, OTHER_FILES[file][1])


def test_a_journal_can_be_repaired_and_opened(path):
    test_a_damaged_line_is_named_and_nothing_is_changed(*DAMAGES[0], '', path)
    path.write_text('\n'.join(GOOD) + '\n')

    assert len(Journal(path, SQUARE).events) == 5


# Full disks, and folders that cannot be written


def append_where_space_runs_out(path, event):
    journal = Journal(path, SQUARE)
    before = path.read_bytes()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    for space in range(1000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + space, unlimited[1]))
        try:
            journal.append(event)
            break
        except OSError as error:
            assert f'The journal {path} cannot be written: File too large' in str(error)
            assert path.read_bytes() == before
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    return space, before


@pytest.mark.parametrize('status', LAST)
def test_a_line_that_the_disk_has_no_room_for_leaves_no_trace(status, path, elsewhere):
    before = journal_of(path, EVENTS)

    space, seen = elsewhere(append_where_space_runs_out, path, LAST[status])

    assert seen == before == path.read_bytes()[:len(before)]
    # It succeeded as soon as there was room for the whole line.
    assert space == len(path.read_bytes()) - len(before) > 40
    assert plain(Journal(path, SQUARE).events) == plain([*EVENTS, LAST[status]])


def search_where_space_runs_out(path):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask(2)
    before, content = state(search), path.read_bytes()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 20, unlimited[1]))
    for step in (lambda: search.tell(2, 0.5), lambda: search.tell_failed(1), lambda: search.ask(3),
                 lambda: search.add_known([[1, 1]], [[1]])):
        with pytest.raises(OSError, match='journal.csv cannot be written.*do the last step again'):
            step()
        assert_same(state(search), before)
        assert path.read_bytes() == content
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    search.tell(2, 0.5)
    search.ask()
    return state(search)


def test_a_search_goes_on_when_there_is_room_again(path, elsewhere):
    known = elsewhere(search_where_space_runs_out, path)

    assert known[1] == [[0.5]] and [number for number, *_ in known[3]] == [1, 3]
    assert_same(state(create_optimizer(None, SQUARE, journal=path)), known)


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


STEPS = {'tell': lambda search: search.tell(2, 0.5), 'tell_failed': lambda search: search.tell_failed(1, 'out'),
         'ask': lambda search: search.ask(2), 'add_known': lambda search: search.add_known([[1, 1]], [[1]]),
         'run_optimization': lambda search: search.run_optimization(0)}


@pytest.mark.parametrize('step', STEPS)
def test_what_may_not_be_on_the_disk_did_not_happen(step, path, monkeypatch):
    step = STEPS[step]
    search = create_optimizer(lambda t: t[:, :1], SQUARE, journal=path)
    search.ask(2)
    before, content = state(search), path.read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', no_space)
        with pytest.raises(OSError, match='cannot be written: No space left.*and do the last step again') as raised:
            step(search)
    assert raised.value.errno == errno.ENOSPC and str(path) in str(raised.value)
    assert_same(state(search), before)
    assert path.read_bytes() == content

    step(search)
    assert_same(state(create_optimizer(None, SQUARE, journal=path)), state(search))
    assert path.read_bytes().startswith(content) and path.read_bytes() != content


@pytest.mark.parametrize('step', [lambda search: search.ask(4),
                                  lambda search: search.add_known([[0, 0], [1, 1], [2, 2], [3, 3]], [[0]] * 4)],
                         ids=['ask', 'add_known'])
def test_of_several_those_before_the_disk_was_full_are_kept(step, path, monkeypatch):
    search = create_optimizer(None, SQUARE, journal=path)
    fsync, calls = os.fsync, []

    def full_at_the_third(file):
        calls.append(file)
        if len(calls) == 3:
            no_space()
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', full_at_the_third)
        with pytest.raises(OSError, match='No space left'):
            step(search)

    assert len(search.X) + len(search.pending) == 2
    assert search.ask()[0].number == 3
    assert_same(state(create_optimizer(None, SQUARE, journal=path)), state(search))


def test_a_line_that_cannot_be_taken_back_is_not_there_twice(path, monkeypatch):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask(2)
    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', no_space)
        patch.setattr(os, 'ftruncate', no_space)
        with pytest.raises(OSError, match='cannot be written'):
            search.tell(2, 0.5)

    with suppress(OSError):
        search.tell(2, 0.25)

    reopened = create_optimizer(None, SQUARE, journal=path)
    assert reopened.Y in (0.25, 0.5) and [number for number, _ in reopened.pending] == [1]


@pytest.mark.parametrize('unfinished', [lambda whole: whole + b'3,known,0.5', lambda whole: whole[:-1]],
                         ids=['torn line', 'line without its end'])
def test_an_unfinished_last_line_is_kept_where_there_is_no_space_to_mend_it(path, monkeypatch, unfinished):
    whole = journal_of(path, EVENTS)
    path.write_bytes(unfinished(whole))

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', no_space)
        with pytest.raises(OSError, match='cannot be written: No space left'):
            Journal(path, SQUARE)
    assert path.read_bytes() == unfinished(whole)

    assert plain(Journal(path, SQUARE).events) == plain(EVENTS)
    assert path.read_bytes() == whole


def test_a_line_is_whole_where_the_system_writes_a_part_at_a_time(path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, 'write', lambda file, data: write(file, data[:3]))

    journal_of(path, EVENTS)

    assert plain(Journal(path, SQUARE).events) == plain(EVENTS)


def test_no_journal_where_there_is_no_space_for_its_header(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', no_space)
        with pytest.raises(OSError, match='No space left on device.*Make sure that its folder exists, is writable'):
            Journal(path, SQUARE)
    assert not path.exists()

    assert Journal(path, SQUARE).events == [] and path.exists()


def test_each_line_is_on_the_disk_before_the_search_goes_on(path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, 'fsync', lambda file: (fsync(file), synced.append(os.readlink(f'/proc/self/fd/{file}'))))
    search = create_optimizer(None, SQUARE, journal=path)
    assert str(path.parent) in synced

    for step in (search.ask, lambda: search.tell(1, 2), lambda: search.add_known([[1, 1]], [[1]])):
        synced.clear()
        step()
        assert synced == [str(path)]


def test_no_folder(path):
    with suppress(OSError):
        create_optimizer(None, SQUARE, journal=path.parent / 'no folder' / 'journal.csv')

    assert not (path.parent / 'no folder').exists()


def test_a_folder_is_no_journal(path):
    path.mkdir()

    with pytest.raises(OSError, match='journal.csv cannot be read: Is a directory'):
        Journal(path, SQUARE)


def without_permission(path):
    'Python loads its codecs from where others may not'.encode('utf-8-sig')
    if os.geteuid() == 0:
        os.setuid(65534)  # Nothing is forbidden to root.
    folder = path.parent
    folder.chmod(0o555)
    with pytest.raises(OSError, match='Permission denied.*Make sure that its folder exists, is writable'):
        create_optimizer(None, SQUARE, journal=path)
    assert list(folder.iterdir()) == []

    folder.chmod(0o755)
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask(2)
    before, content = state(search), path.read_bytes()
    path.chmod(0o444)
    for step in (lambda: search.tell(2, 0.5), search.ask):
        with pytest.raises(OSError, match='cannot be written: Permission denied.*do the last step again'):
            step()
        assert_same(state(search), before)
        assert path.read_bytes() == content
    path.chmod(0o644)
    search.tell(2, 0.5)

    # A line that is added needs the folder no more, one that is torn does.
    folder.chmod(0o555)
    search.tell(1, 0.25)
    content = path.read_bytes() + b'3,prop'
    path.write_bytes(content)
    with pytest.raises(OSError, match='cannot be written: Permission denied'):
        create_optimizer(None, SQUARE, journal=path)
    assert path.read_bytes() == content
    folder.chmod(0o755)
    search = create_optimizer(None, SQUARE, journal=path)
    search._journal.close()

    path.chmod(0o000)
    with pytest.raises(OSError, match='cannot be read: Permission denied'):
        create_optimizer(None, SQUARE, journal=path)
    path.chmod(0o644)
    return search.Y.tolist()


def test_without_permission_nothing_is_lost(elsewhere):
    folder = Path(tempfile.mkdtemp(dir='/tmp'))  # Those of pytest are closed to other users.
    try:
        if os.geteuid() == 0:
            os.chown(folder, 65534, -1)
        assert elsewhere(without_permission, folder / 'journal.csv') == [[0.5], [0.25]]
        assert len(create_optimizer(None, SQUARE, journal=folder / 'journal.csv').X) == 2
    finally:
        shutil.rmtree(folder)


# Several writers


def hold(path, connection):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask()
    connection.send('it is mine')
    connection.recv()


def test_one_process_at_a_time(path, processes):
    ours, theirs = processes.Pipe()
    process = processes.Process(target=hold, args=(path, theirs), daemon=True)
    process.start()
    assert ours.recv() == 'it is mine'
    content = path.read_bytes()

    for _ in range(2):
        with pytest.raises(JournalInUseError, match='journal.csv is in use by another process. Stop that one, or'):
            create_optimizer(None, SQUARE, journal=path)
    assert path.read_bytes() == content and process.is_alive()
    process.kill()
    process.join()
    search = create_optimizer(None, SQUARE, journal=path)

    assert [number for number, _ in search.pending] == [1]
    search.tell(1, 2)


def test_one_process_at_a_time_under_any_name(path, processes):
    """The journal's own name is not the only one that it can be opened by."""
    (path.parent / 'folder').mkdir()
    (path.parent / 'link').symlink_to('folder')
    ours, theirs = processes.Pipe()
    process = processes.Process(target=hold, args=(path.parent / 'folder' / 'journal.csv', theirs), daemon=True)
    process.start()
    assert ours.recv() == 'it is mine'
    path.symlink_to('folder/journal.csv')

    for name in ('folder/../folder/journal.csv', 'link/journal.csv', 'journal.csv'):
        with pytest.raises(JournalInUseError):
            create_optimizer(None, SQUARE, journal=path.parent / name)
    process.kill()
    process.join()


def compete(path, start, rounds):
    start.wait(timeout=60)
    while rounds:
        try:
            search = create_optimizer(None, SQUARE, journal=path)
        except JournalInUseError:
            time.sleep(0.002)
            continue
        alone = os.open(f'{path}.alone', os.O_CREAT | os.O_EXCL)
        for number, t in search.ask(2):
            search.tell(number, t.sum())
        os.close(alone)
        os.remove(f'{path}.alone')
        search._journal.close()
        rounds -= 1
        time.sleep(0.005)


def test_eight_processes_want_one_journal(path, processes):
    start = processes.Barrier(8)
    competitors = [processes.Process(target=compete, args=(path, start, 3), daemon=True) for _ in range(8)]
    for process in competitors:
        process.start()
    for process in competitors:
        process.join(timeout=60)

    assert [process.exitcode for process in competitors] == [0] * 8
    search = create_optimizer(None, SQUARE, journal=path)
    assert [int(row['number']) for row in rows(path) if row['status'] == 'proposed'] == list(range(1, 49))
    assert len(search.X) == 48 and search.pending == []
    # They went on from each other's results.
    assert len(np.unique(search.X, axis=0)) == 48


def inherit(path, connection):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask()
    content = path.read_bytes()
    child = os.fork()
    if child == 0:
        ok = False
        try:
            with pytest.raises(ValueError, match='belongs to another process'):
                search.tell(1, 2)
            with pytest.raises(JournalInUseError):
                create_optimizer(None, SQUARE, journal=path)
            search._journal.close()
            Journal._open.clear()
            del search
            ok = True
        finally:
            os._exit(0 if ok else 1)
    connection.send(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert connection.recv() == 'tried'
    assert path.read_bytes() == content
    search.tell(1, 2)


def test_a_forked_process_neither_writes_nor_lets_others_write(path, processes):
    ours, theirs = processes.Pipe()
    process = processes.Process(target=inherit, args=(path, theirs), daemon=True)
    process.start()
    theirs.close()

    assert ours.recv() == 0
    with pytest.raises(JournalInUseError):
        create_optimizer(None, SQUARE, journal=path)
    ours.send('tried')
    process.join()

    assert process.exitcode == 0
    np.testing.assert_array_equal(create_optimizer(None, SQUARE, journal=path).Y, [[2]])


def test_opened_again_in_the_same_process(path, monkeypatch):
    first = create_optimizer(None, SQUARE, journal=path)
    first.ask(2)
    monkeypatch.chdir(path.parent)
    second = create_optimizer(None, SQUARE, journal='journal.csv')
    before, content = state(first), path.read_bytes()

    for step in (first.ask, lambda: first.tell(1, 2), lambda: first.tell_failed(1),
                 lambda: first.add_known([[1, 1]], [[1]])):
        with pytest.raises(ValueError, match='journal.csv is closed.*the search that has opened it last'):
            step()
        assert_same(state(first), before)
        assert path.read_bytes() == content
    second.tell(1, 2)
    second.ask()

    assert_same(state(create_optimizer(None, SQUARE, journal=path)), state(second))


def test_opened_again_in_vain(path):
    first = create_optimizer(None, SQUARE, journal=path)
    with pytest.raises(ValueError, match='this is not the journal of such a search'):
        create_optimizer(None, SQUARE * 2, journal=path)

    with pytest.raises(ValueError, match='is closed'):  # It no longer keeps other processes from writing.
        first.ask()
    create_optimizer(None, SQUARE, journal=path).ask()


def test_two_journals_in_one_process(path):
    other = path.with_name('other.csv')
    searches = [create_optimizer(None, SQUARE, seed, journal=journal) for seed, journal in enumerate((path, other))]

    for search in searches:
        search.tell(search.ask()[0].number, 1)

    assert [len(rows(journal)) for journal in (path, other)] == [2, 2]


def test_closed_is_closed(path):
    journal = Journal(path, SQUARE)
    journal.close()
    journal.close()

    with pytest.raises(ValueError, match='closed'):
        journal.append(EVENTS[0])
    assert path.read_text() == HEADER + '\n'


def replace(path):
    shutil.copy2(path, path.with_name('copy'))
    os.replace(path.with_name('copy'), path)


def correct(path):
    status = path.stat()
    path.write_text(path.read_text().replace(',2.5,', ',3.5,'))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


CHANGES = {'line added': lambda path: path.write_text(path.read_text() + GOOD[-1] + '\n'),
           'value corrected': correct,
           'replaced': replace,
           'cut': lambda path: os.truncate(path, path.stat().st_size - 1),
           'emptied': lambda path: path.write_text('')}


@pytest.mark.parametrize('change', CHANGES)
def test_a_file_that_something_else_has_changed_is_left_alone(change, path):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask(2)
    search.tell(1, 2.5)
    before = state(search)
    CHANGES[change](path)
    content = path.read_bytes()

    for step in (search.ask, lambda: search.tell(2, 2), lambda: search.add_known([[1, 1]], [[1]])):
        with pytest.raises(OSError, match='journal.csv was changed while a search had it open, so nothing was added'):
            step()
        assert_same(state(search), before)
    assert path.read_bytes() == content


def test_a_file_that_something_else_has_deleted(path):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask()
    before = state(search)
    path.unlink()

    with pytest.raises(OSError, match='journal.csv cannot be written: No such file'):
        search.tell(1, 2)
    assert_same(state(search), before)
    assert not path.exists()
