"""Full disks, and folders that cannot be written."""

import errno
import os
import resource
import shutil
import tempfile
from pathlib import Path

import pytest
from journal_helpers import BOX, EVENTS, LAST, SQUARE, assert_same, journal_of, plain, state

from latent_search import create_optimizer
from latent_search.journal import Journal


def append_where_space_runs_out(path, event):
    journal = Journal(path, BOX)
    before = path.read_bytes()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    for space in range(1000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + space, unlimited[1]))
        try:
            journal.append([event])
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
    assert plain(Journal(path, BOX).events) == plain([*EVENTS, LAST[status]])


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


def test_of_several_proposals_those_before_the_disk_was_full_are_kept(path, monkeypatch):
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
            search.ask(4)

    assert len(search.pending) == 2
    assert search.ask()[0].number == 3
    assert_same(state(create_optimizer(None, SQUARE, journal=path)), state(search))


def test_known_results_are_written_at_once(path, monkeypatch):
    search, synced = create_optimizer(None, SQUARE, journal=path), []
    fsync = os.fsync
    monkeypatch.setattr(os, 'fsync', lambda file: (fsync(file), synced.append(file)))

    search.add_known([[0, 0], [1, 1], [2, 2], [3, 3]], [[0]] * 4)

    assert len(synced) == 1
    assert_same(state(create_optimizer(None, SQUARE, journal=path)), state(search))


@pytest.mark.parametrize('call', ['fstat', 'close'])
def test_an_error_after_a_line_is_on_the_disk_is_none(call, path, monkeypatch):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask(3)
    real, synced = getattr(os, call), []
    fsync = os.fsync

    def fails_once_synced(file):
        real(file)
        if synced:
            raise OSError(errno.EIO, 'Input/output error')
        return real(file) if call == 'fstat' else None

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', lambda file: (fsync(file), synced.append(file)))
        patch.setattr(os, call, fails_once_synced)
        search.tell(2, 0.5)
    search.tell(1, 0.25)
    search.close()

    assert search.Y.tolist() == [[0.5], [0.25]]
    assert_same(state(create_optimizer(None, SQUARE, journal=path)), state(search))


def test_a_line_that_cannot_be_taken_back_is_not_there_twice(path, monkeypatch):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask(2)
    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', no_space)
        patch.setattr(os, 'ftruncate', no_space)
        with pytest.raises(OSError, match='cannot be written'):
            search.tell(2, 0.5)

    search.tell(2, 0.25)  # In the place of the line that could not be taken back.

    reopened = create_optimizer(None, SQUARE, journal=path)
    assert reopened.Y.tolist() == [[0.25]] and [number for number, _ in reopened.pending] == [1]
    assert_same(state(reopened), state(search))


@pytest.mark.parametrize('unfinished', [lambda whole: whole + b'3,known,0.5', lambda whole: whole[:-1]],
                         ids=['torn line', 'line without its end'])
def test_an_unfinished_last_line_is_kept_where_there_is_no_space_to_mend_it(path, monkeypatch, unfinished):
    whole = journal_of(path, EVENTS)
    path.write_bytes(unfinished(whole))

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', no_space)
        with pytest.raises(OSError, match='cannot be written: No space left'):
            Journal(path, BOX)
    assert path.read_bytes() == unfinished(whole)

    assert plain(Journal(path, BOX).events) == plain(EVENTS)
    assert path.read_bytes() == whole


def test_a_line_is_whole_where_the_system_writes_a_part_at_a_time(path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, 'write', lambda file, data: write(file, data[:3]))

    journal_of(path, EVENTS)

    assert plain(Journal(path, BOX).events) == plain(EVENTS)


def test_no_journal_where_there_is_no_space_for_its_header(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', no_space)
        with pytest.raises(OSError, match='No space left on device.*Make sure that its folder exists, is writable'):
            Journal(path, BOX)
    assert not path.exists()

    assert Journal(path, BOX).events == [] and path.exists()


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
    with pytest.raises(FileNotFoundError, match='journal.csv cannot be written: There is no such folder'):
        create_optimizer(None, SQUARE, journal=path.parent / 'no folder' / 'journal.csv')

    assert not (path.parent / 'no folder').exists()


def test_a_folder_is_no_journal(path):
    path.mkdir()

    with pytest.raises(OSError, match='journal.csv cannot be read: Is a directory'):
        Journal(path, BOX)


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
    search.close()

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
