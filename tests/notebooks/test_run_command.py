"""The command `python notebooks/run.py`: what it says when it cannot do its work, and what it leaves."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from notebook_helpers import ROOT

SETTINGS = nbformat.v4.new_code_cell('x = 1', metadata={'tags': ['parameters']})


@pytest.fixture
def run(tmp_path):
    """Executes a notebook of a cell with settings and `source`, in a clone of its own; returns what the command did."""
    for folder in ('notebooks', 'docs'):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / 'notebooks' / 'run.py', tmp_path / 'notebooks')

    def call(source, *arguments, name='made-up.ipynb'):
        notebook = nbformat.v4.new_notebook(cells=[SETTINGS, nbformat.v4.new_code_cell(source)])
        nbformat.write(notebook, tmp_path / 'notebooks' / 'made-up.ipynb')
        return subprocess.run([sys.executable, 'notebooks/run.py', f'notebooks/{name}', *arguments], cwd=tmp_path,
                              env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True)

    return call


def leaves_notebook_only(folder):
    return sorted(path.name for path in folder.rglob('*') if path.is_file()) == ['made-up.ipynb', 'run.py']


@pytest.mark.parametrize('arguments, name, sentence', [
    ([], 'nope.ipynb', 'There is no notebook notebooks/nope.ipynb.'),
    (['--set', 'x'], 'made-up.ipynb', "--set takes NAME=VALUE, such as --set seed=1, got 'x'."),
    (['--set', 'y=1'], 'made-up.ipynb', 'The cell tagged `parameters` does not assign y. It assigns x.'),
    (['--set', 'x=one'], 'made-up.ipynb', "x must be a value such as 1, got 'one'.")])
def test_mistakes_end_in_a_sentence(arguments, name, sentence, run, tmp_path):
    done = run('1', *arguments, name=name)

    assert (done.returncode, done.stdout, done.stderr.strip()) == (1, '', sentence)
    assert leaves_notebook_only(tmp_path)


def test_page_that_cannot_be_written_is_found_before_anything_is_executed(run, tmp_path):
    (tmp_path / 'build').symlink_to('/proc/nowhere')

    done = run('1')

    assert (done.returncode, done.stdout) == (1, '')
    sentence, = done.stderr.strip().splitlines()
    assert sentence.startswith(f'Nothing was executed, as {tmp_path}/build/made-up cannot be written to: ')
    assert leaves_notebook_only(tmp_path)


def test_docs_that_cannot_be_written_are_found_before_anything_is_executed(run, tmp_path):
    (tmp_path / 'docs').rmdir()
    (tmp_path / 'docs').touch()

    done = run('1', '--in-place')

    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.strip() == f'Nothing was executed, as {tmp_path}/docs cannot be written to: File exists.'
    assert list((tmp_path / 'build' / 'made-up').iterdir()) == []


def test_failing_cell_shows_its_traceback_once(run, tmp_path):
    done = run('1 / 0')

    assert done.returncode == 1 and done.stderr.count(': division by zero') == 1
    assert 'run.py' not in done.stderr
    assert done.stderr.splitlines()[-1] == 'This cell failed, and no page was written.'
    assert leaves_notebook_only(tmp_path)


def test_kernel_that_ends_fails_the_command(run):
    done = run('import os\nos._exit(1)')

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == 'The kernel ended before the notebook did, and no page was written.'


def test_full_disk_leaves_the_notebook(run, tmp_path):
    """The limit on the size of a file stands for a full disk."""
    source = "import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (100, 100))"

    done = run(source, '--in-place')

    assert done.returncode == 1
    assert done.stderr.strip() == 'The notebook or its page was not written: [Errno 27] File too large.'
    assert nbformat.read(tmp_path / 'notebooks' / 'made-up.ipynb', as_version=4).cells[1].source == source
    assert leaves_notebook_only(tmp_path)
