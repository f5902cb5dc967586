"""Files that are written whole."""

import os

import pytest

from latent_search.files import replace_file


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
