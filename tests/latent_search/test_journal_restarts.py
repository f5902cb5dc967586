"""Searches that go on from a journal, and what a crash leaves of one."""

import os
import pickle
import time
import warnings

import numpy as np
import pytest
from journal_helpers import (
    BOX,
    EVENTS,
    EXPERIMENTS,
    GOOD,
    HEADER,
    LAST,
    SQUARE,
    TWO,
    assert_same,
    files_beside,
    journal_of,
    plain,
    rows,
    run_to_the_end,
    state,
    steps,
)

from latent_search import Event, create_optimizer
from latent_search.journal import Journal

SETTINGS = {'exact': {}, 'noisy': {'noisy': True}, 'bounded': {'lower_bound': lambda t: np.zeros((len(t), 1))}}


@pytest.mark.parametrize('settings', SETTINGS)
@pytest.mark.parametrize('restarts', [[0, 1, 2, 3], *(pytest.param(restarts, marks=pytest.mark.slow) for restarts in
                                                      ([9, 12, 13], [16, 21, 26, 28]))])
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


@pytest.mark.slow
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
    assert hits >= 50 and finished >= 1 and len(list(tmp_path.glob('*.torn'))) >= 1
    for i in range(finished + 1):
        search = create_optimizer(None, SQUARE, seed=1, journal=tmp_path / f'{i}.csv')
        assert_same(state(search), states[-1])
        search.close()


@pytest.mark.parametrize('status', [pytest.param(status, marks=pytest.mark.slow) if status != 'failed' else status
                                    for status in LAST])
def test_a_last_line_torn_at_any_byte_is_all_that_is_lost(status, tmp_path, caplog):
    """And nothing is lost where only the time, or a part of it, is missing."""
    last = LAST[status]
    earlier = journal_of(tmp_path / 'earlier.csv', EVENTS)
    line = journal_of(tmp_path / 'whole.csv', [*EVENTS, last])[len(earlier):]

    for cut in range(len(line)):
        path = tmp_path / f'{cut}.csv'
        path.write_bytes(earlier + line[:cut])
        caplog.clear()

        journal = Journal(path, BOX)

        torn = tmp_path / f'{cut}.csv.torn'
        if cut > line.rindex(b','):
            assert path.read_bytes() == earlier + line[:cut] + b'\n' and not torn.exists() and not caplog.text
        else:
            if cut:
                assert torn.read_bytes() == line[:cut] + b'\n'
                assert f'{cut}.csv, line 6: only a part of it was written' in caplog.text
            assert torn.exists() == bool(cut) == bool(caplog.text)
            assert path.read_bytes() == earlier and plain(journal.events) == plain(EVENTS)
            journal.append([last])
        journal.close()
        journal = Journal(path, BOX)
        assert plain(journal.events) == plain([*EVENTS, last])
        journal.close()


@pytest.mark.parametrize('note', ['2026-11-22T18:30:00+00:00', 'x,2026-11-22T18:30:00+00:00'])
def test_a_torn_line_whose_note_ends_like_a_line(note, tmp_path):
    earlier = journal_of(tmp_path / 'earlier.csv', EVENTS)
    line = journal_of(tmp_path / 'whole.csv', [*EVENTS, Event(2, 'failed', TWO, note=note)])[len(earlier):]

    for cut in range(1, line.rindex(b',') + 1):
        path = tmp_path / f'{cut}.csv'
        path.write_bytes(earlier + line[:cut])
        journal = Journal(path, BOX)
        assert plain(journal.events) == plain(EVENTS) and path.read_bytes() == earlier
        journal.close()


@pytest.mark.parametrize('time', ['', '2026-11-22T18:30:00Z', '23.11.2026 21:34', '2026-11-22T18:30:00+00:00:30', 'x'])
def test_a_last_line_added_by_hand_needs_no_end_and_no_time(time, path, caplog):
    earlier = journal_of(path, EVENTS)
    path.write_bytes(earlier + b'9,known,0.1,0.2,3.5,,' + time.encode())

    search = create_optimizer(None, SQUARE, journal=path)

    assert search.Y.tolist() == [[2 / 3], [3.5]] and not caplog.text and files_beside(path) == set()
    assert path.read_bytes().endswith(time.encode() + b'\n')


@pytest.mark.parametrize('event', [1, 2, 13, 17, 20, 27, 28])
@pytest.mark.parametrize('left', [1, 30, -2, -1])
def test_a_search_goes_on_from_a_torn_line(event, left, path, reference):
    states, content, expected = reference
    head, *lines = content.splitlines(keepends=True)
    path.write_bytes(head + b''.join(lines[:event]) + lines[event][:left])

    search = create_optimizer(None, SQUARE, seed=1, journal=path)
    assert_same(state(search), states[event if left < 0 else event - 1])
    for _ in steps(search):
        pass

    assert rows(path) == expected


def test_torn_lines_are_collected(path):
    parts = [b'3,pro', b'3,known,1.0,"', b'\xff\x00\x00', b'3,known,0.5,0.5,2.5,']
    earlier = journal_of(path, EVENTS)
    for part in parts:
        path.write_bytes(earlier + part)
        Journal(path, BOX)

    assert path.read_bytes() == earlier
    assert path.with_name('journal.csv.torn').read_bytes() == b'\n'.join(parts) + b'\n'


def test_a_journal_whose_making_was_interrupted(path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, 'fsync', interrupt)
        Journal(path, BOX)
    assert not path.exists() and files_beside(path) == set()

    Journal(path, BOX)

    assert path.read_text().splitlines()[0] == HEADER and files_beside(path) == set()


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_copy_of_a_search_goes_on_as_it_does():
    search = create_optimizer(None, SQUARE, seed=1)
    for _ in range(9):
        search.tell(search.ask()[0].number, 1.5)
    search.ask()

    assert_same(state(pickle.loads(pickle.dumps(search))), state(search))


def test_a_search_with_a_journal_cannot_be_copied(path):
    with pytest.raises(TypeError, match='A search with a journal cannot be pickled or copied.*after close'):
        pickle.dumps(create_optimizer(None, SQUARE, journal=path))


ZERO = {'lower_bound': lambda t: 0 * t[:, :1]}


@pytest.mark.parametrize('settings, others', [
    ({}, {'seed': 3}), ({}, {'noisy': True}), (ZERO, {}), ({}, ZERO),
    (ZERO, {'lower_bound': lambda t: -1 + 0 * t[:, :1]})])
def test_other_settings_than_those_of_the_journal_are_told(settings, others, path):
    create_optimizer(None, SQUARE, journal=path, **settings)

    with pytest.warns(UserWarning, match='was made by a search with seed=0.*this one has seed='):
        create_optimizer(None, SQUARE, journal=path, **others)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        create_optimizer(None, SQUARE, journal=path, **settings)


def test_a_journal_of_an_earlier_version_has_the_same_settings(path):
    """It also names a setting that there is no longer."""
    create_optimizer(None, SQUARE, journal=path).close()
    text = path.read_text()
    path.write_text(text.replace('noisy=False ', 'noisy=False published=False '))
    assert path.read_text() != text

    with warnings.catch_warnings():
        warnings.simplefilter('error')
        create_optimizer(None, SQUARE, journal=path)


def test_a_journal_from_before_settings_were_recorded(path):
    path.write_text('\n'.join(GOOD) + '\n')

    with warnings.catch_warnings():
        warnings.simplefilter('error')
        search = create_optimizer(None, SQUARE, seed=7, journal=path)
    search.ask()
    search.close()
    assert len(create_optimizer(None, SQUARE, seed=7, journal=path).pending) == 1


def test_a_bound_above_the_values_of_a_journal_is_an_error(path):
    path.write_text('\n'.join(GOOD) + '\n')
    content = path.read_bytes()

    with pytest.raises(ValueError, match=r'has the value 2\.5 for experiment 3, which is below the lower bound 3\.0'):
        create_optimizer(None, SQUARE, journal=path, lower_bound=lambda t: 3 + 0 * t[:, :1])
    assert path.read_bytes() == content
    create_optimizer(None, SQUARE, journal=path, lower_bound=lambda t: 2 + 0 * t[:, :1])
