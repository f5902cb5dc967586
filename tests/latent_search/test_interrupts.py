"""An interrupt at any moment leaves the journal and the search in agreement."""

import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

import latent_search.search
from latent_search import create_optimizer
from latent_search.interrupts import postponed

SQUARE = [(-4.0, 4.0)] * 2
FILES = tuple(str(Path(latent_search.search.__file__).with_name(f'{name}.py'))
              for name in ('search', 'log', 'journal', 'journal_format', 'locked_file', 'events'))
STEPS = {'ask': lambda search: search.ask(), 'tell': lambda search: search.tell(2, 0.5),
         'tell_failed': lambda search: search.tell_failed(1, 'the oven is out'),
         'add_known': lambda search: search.add_known([[1, 1], [2, 2]], [[1], [2]]),
         'step': lambda search: search.step()}


@pytest.fixture(autouse=True)
def ctrl_c_interrupts():
    """Also where a shell has started the tests in the background, so that they ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(step, at, files=FILES):
    """Raises KeyboardInterrupt before the bytecode instruction `at` of our files; returns how many there were."""
    count = 0

    def of_frame(frame, event, _):
        nonlocal count
        if event == 'opcode':
            count += 1
            if count == at:
                raise KeyboardInterrupt
        return of_frame

    def tracer(frame, event, _):
        if frame.f_code.co_filename in files:
            frame.f_trace_opcodes = True
            return of_frame
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        step()
    finally:
        sys.settrace(before)
    return count


def known(events):
    return [(event.number, event.status, event.t.tolist(), event.value, event.note) for event in events]


@pytest.fixture
def opened(tmp_path):
    """Opens a copy of a journal with two pending experiments, again and again."""
    begun = create_optimizer(None, SQUARE, journal=tmp_path / 'begun.csv')
    begun.ask(2)
    begun.close()
    path = tmp_path / 'journal.csv'
    searches = []

    def open_copy():
        if searches:
            searches.pop().close()
        shutil.copy(tmp_path / 'begun.csv', path)
        searches.append(create_optimizer(lambda t: 0.25, SQUARE, journal=path))
        return searches[0]

    yield open_copy, path
    searches.pop().close()


def check(step, at, opened):
    open_copy, path = opened
    search = open_copy()
    before = known(search.events)
    with suppress(KeyboardInterrupt):
        interrupted(lambda: STEPS[step](search), at)
    with suppress(ValueError):
        search.tell(99, 1.0)  # Refused, once the search has settled what was interrupted.
    settled = known(search.events)
    search.close()

    reopened = create_optimizer(None, SQUARE, journal=path)
    assert known(reopened.events) == settled
    assert settled[:2] == before and len(settled) <= 4
    number = reopened.ask()[0].number
    reopened.tell(number, 1.0)
    reopened.close()
    assert len(create_optimizer(None, SQUARE, journal=path).events) == len(settled) + 2
    return len(settled)


@pytest.mark.parametrize('step', STEPS)
def test_an_interrupt_leaves_journal_and_search_in_agreement(step, opened):
    total = interrupted(lambda: STEPS[step](opened[0]()), None)
    outcomes = {check(step, at, opened) for at in np.linspace(1, total, 25).astype(int)}

    assert min(outcomes) == 2 and max(outcomes) > 2  # Some came before the event, and some after it.


@pytest.mark.slow
@pytest.mark.parametrize('step', STEPS)
def test_an_interrupt_at_any_instruction(step, opened):
    total = interrupted(lambda: STEPS[step](opened[0]()), None)
    for at in np.random.default_rng(0).permutation(np.arange(1, total + 1))[:200]:
        check(step, at, opened)


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_second_interrupt_while_the_first_is_settled(opened, monkeypatch):
    open_copy, path = opened
    search = open_copy()
    fsync, fstat = os.fsync, os.fstat

    def interrupted_fstat(file):
        if synced:
            raise KeyboardInterrupt
        return fstat(file)

    synced = []
    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', lambda file: (fsync(file), synced.append(file)))
        patch.setattr(os, 'fstat', interrupted_fstat)  # The line is on the disk by then.
        patch.setattr(os, 'truncate', interrupt)
        with pytest.raises(KeyboardInterrupt):
            search.tell(2, 0.5)

    assert [number for number, _ in search.pending] == [1, 2]
    search.ask()
    assert [number for number, _ in search.pending] == [1, 3] and search.Y.tolist() == [[0.5]]
    search.close()
    assert known(create_optimizer(None, SQUARE, journal=path).events) == known(search.events)


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_comes_after_what_is_postponed():
    done = []

    with pytest.raises(KeyboardInterrupt), postponed():
        ctrl_c()
        done.append('after it')

    assert done == ['after it']
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()


@pytest.mark.parametrize('at', ['close', 'FileLock'])
def test_ctrl_c_while_a_journal_is_closed(at, path, monkeypatch, tmp_path):
    """It leaves no descriptor behind that could be another file's later."""
    search = create_optimizer(None, SQUARE, journal=path)
    close, release = os.close, FileLock.release
    with monkeypatch.context() as patch:
        if at == 'close':
            patch.setattr(os, 'close', lambda file: (close(file), ctrl_c()))
        else:
            patch.setattr(FileLock, 'release', lambda lock: (ctrl_c(), release(lock)))
        with pytest.raises(KeyboardInterrupt):
            search.close()
    with open(tmp_path / 'mine', 'w') as mine:
        search.close()
        mine.write('x')
        mine.flush()

    create_optimizer(None, SQUARE, journal=path).ask()


def test_an_interrupt_while_a_search_is_created_leaves_the_journal_free(path, elsewhere):
    def create():
        create_optimizer(None, SQUARE, journal=path)

    files = [*FILES, *(str(Path(FILES[0]).with_name(f'{name}.py')) for name in ('settings', 'points', 'files'))]
    create()
    total = interrupted(create, None, files)
    for at in np.linspace(1, total, 20).astype(int):
        with suppress(KeyboardInterrupt):
            interrupted(create, at, files)
        elsewhere(asked_once, path)


def asked_once(path):
    create_optimizer(None, SQUARE, journal=path).close()
