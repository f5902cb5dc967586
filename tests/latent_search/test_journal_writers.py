"""Several writers of one journal: processes, forks, editors."""

import errno
import gc
import os
import shutil
import warnings

import numpy as np
import pytest
from journal_helpers import BOX, EVENTS, GOOD, HEADER, SQUARE, assert_same, compete, hold, rows, state

from latent_search import create_optimizer
from latent_search.journal import Journal, JournalInUseError


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


@pytest.mark.slow
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


def test_a_search_that_is_lost_closes_its_journal(path, recwarn):
    warnings.simplefilter('always')
    create_optimizer(None, SQUARE, journal=path)
    gc.collect()

    assert [str(warning.message) for warning in recwarn if str(path) in str(warning.message)] == []


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
            search.close()
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


def test_one_process_at_a_time_through_a_hard_link(path, processes):
    ours, theirs = processes.Pipe()
    process = processes.Process(target=hold, args=(path, theirs), daemon=True)
    process.start()
    assert ours.recv() == 'it is mine'
    link = path.with_name('link.csv')
    os.link(path, link)
    content = path.read_bytes()

    with pytest.raises(JournalInUseError, match='link.csv is in use by another process'):
        create_optimizer(None, SQUARE, journal=link)
    process.kill()
    process.join()
    assert path.read_bytes() == content
    search = create_optimizer(None, SQUARE, journal=link)
    assert [number for number, _ in search.pending] == [1]
    again = create_optimizer(None, SQUARE, journal=path)
    with pytest.raises(ValueError, match='link.csv is closed'):
        search.ask()
    again.ask()


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
    journal = Journal(path, BOX)
    journal.close()
    journal.close()

    with pytest.raises(ValueError, match='closed'):
        journal.append(EVENTS[:1])
    assert path.read_text().splitlines()[0] == HEADER and path.read_text().count('\n') == 2


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


@pytest.mark.parametrize('number', [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(number, path, monkeypatch):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr('fcntl.flock', flock)
        with pytest.raises(OSError, match='is on a file system without locks.*Put it on a local disk'):
            create_optimizer(None, SQUARE, journal=path)

    create_optimizer(None, SQUARE, journal=path).ask()


@pytest.mark.filterwarnings('ignore:flock not supported')
def test_where_flock_is_missing_a_journal_is_locked_another_way_or_it_is_said(path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr('fcntl.flock', flock)
    try:
        search = create_optimizer(None, SQUARE, journal=path)
    except OSError as error:  # With an older filelock.
        assert 'is on a file system without locks' in str(error)
    else:
        search.tell(search.ask()[0].number, 1.0)
        search.close()
        assert len(create_optimizer(None, SQUARE, journal=path).X) == 1


def test_a_pipe_is_no_journal(path):
    os.mkfifo(path)

    with pytest.raises(OSError, match='journal.csv cannot be written: It is not a file'):
        create_optimizer(None, SQUARE, journal=path)


def test_a_loop_of_links_is_no_journal(path):
    path.symlink_to(path.with_name('other'))
    path.with_name('other').symlink_to(path)

    with pytest.raises(OSError):
        create_optimizer(None, SQUARE, journal=path)


def test_a_journal_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))

    create_optimizer(None, SQUARE, journal='~/mine.csv')

    assert (tmp_path / 'mine.csv').exists()


def test_a_file_that_something_else_has_deleted(path):
    search = create_optimizer(None, SQUARE, journal=path)
    search.ask()
    before = state(search)
    path.unlink()

    with pytest.raises(OSError, match='journal.csv cannot be written: No such file'):
        search.tell(1, 2)
    assert_same(state(search), before)
    assert not path.exists()
