"""What the Makefile does beside calling our programs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def make(tmp_path):
    """Calls make with a JupyterLab that prints its arguments."""
    if shutil.which('make') is None:
        pytest.skip('needs make')
    jupyter = tmp_path / 'jupyter'
    jupyter.write_text('#!/bin/sh\necho "jupyter $@"\n')
    jupyter.chmod(0o755)

    def call(*arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith('MAKE')}
        return subprocess.run(['make', '--no-print-directory', '--old-file=.venv/installed', f'BIN={tmp_path}',
                               *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)

    return call


def test_lab_passes_on_flags(make):
    done = make('lab', 'JUPYTER_FLAGS=--allow-root --port=9999')

    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == ('jupyter lab notebooks/variational_autoencoder_opt.ipynb --allow-root '
                                            '--port=9999')


@pytest.mark.skipif(not hasattr(os, 'getuid') or os.getuid() != 0, reason='root only')
def test_lab_says_how_root_can_start_it(make):
    done = make('lab')

    assert done.returncode != 0 and 'jupyter lab' not in done.stdout
    assert 'make lab JUPYTER_FLAGS=--allow-root' in done.stdout


@pytest.mark.parametrize('variables, command', [
    (['DIGIT=7'], "7 --by 'search' --num '10' --seed '0'"),
    (['DIGIT=4', 'BY=conditional', 'NUM=3', 'SEED=5', 'FOLDER=my fours'],
     "4 --by 'conditional' --num '3' --seed '5' --folder 'my fours'")])
def test_images_passes_on_variables(variables, command, make):
    done = make('--dry-run', 'images', *variables)

    assert ' '.join(done.stdout.replace('\\\n', ' ').split()[1:]) == f'models/generate.py {command}'


def test_commands_of_the_readme_exist(make):
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    for target in ('run', 'test', 'test-all', 'test-browser', 'explore', 'lab', 'images', 'train', 'bench', 'notebook',
                   'docs', 'clean'):
        assert f'make {target}' in readme
        assert make('--dry-run', target).returncode == 0


def test_browser_test_says_what_is_missing(make):
    done = make('test-browser', 'CHROMIUM=')

    assert done.returncode != 0 and 'pytest' not in done.stdout
    assert 'There is no Chromium. Install it' in done.stdout


def test_all_tests_say_that_the_browser_test_is_skipped(make):
    shown = make('--dry-run', 'test-all', 'CHROMIUM=').stdout

    assert 'Skipped: make test-browser needs Chromium.' in shown
