"""Files that are written whole."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from latent_search.files import replace_file, replace_files


@pytest.mark.parametrize('content, written', [('−1\n\r\n', b'\xe2\x88\x921\n\r\n'), (b'\xff\n', b'\xff\n'), ('', b'')])
def test_a_new_file_and_one_that_was_there(content, written, tmp_path):
    for path in (tmp_path / 'new.txt', tmp_path / 'old.txt'):
        if path.name == 'old.txt':
            path.write_text('longer than what comes after it')

        replace_file(path, content)

        assert path.read_bytes() == written
    assert sorted(file.name for file in tmp_path.iterdir()) == ['new.txt', 'old.txt']


@pytest.mark.parametrize('name', ['fsync', 'replace'])
@pytest.mark.parametrize('error', [OSError('No space left'), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(name, error, tmp_path, monkeypatch):
    def fail(*_):
        raise error

    (tmp_path / 'file.txt').write_text('old')
    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(os, name, fail)
        replace_file(tmp_path / 'file.txt', 'new')

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [('file.txt', 'old')]


def test_it_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda *arguments: (calls.append('fsync'), fsync(*arguments)))
    monkeypatch.setattr(os, 'replace', lambda *arguments: (calls.append('replace'), replace(*arguments)))

    replace_file(tmp_path / 'file.txt', 'new')

    assert calls == ['fsync', 'replace', 'fsync']  # The last is of the folder.


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / 'nowhere' / 'file.txt', 'new')

    assert list(tmp_path.iterdir()) == []


def test_files_that_belong_together_on_a_disk_that_has_no_space_for_the_last(tmp_path, monkeypatch):
    old, fsync, calls = {'a.txt': 'old a', 'b.txt': 'old b'}, os.fsync, []
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    new = {tmp_path / name: f'new {name}' for name in old}

    def fail_at_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise OSError('No space left')
        fsync(*arguments)

    with monkeypatch.context() as patch, pytest.raises(OSError, match='No space left'):
        patch.setattr(os, 'fsync', fail_at_the_second)
        replace_files(new)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == old
    replace_files(new)
    assert {path: path.read_text() for path in tmp_path.iterdir()} == new


def test_threads_that_write_the_same_file(tmp_path):
    texts = ['a' * 1000, 'b' * 1000]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda text: [replace_file(tmp_path / 'file.txt', text) for _ in range(50)], texts))

    assert [(file.name, file.read_text() in texts) for file in tmp_path.iterdir()] == [('file.txt', True)]
