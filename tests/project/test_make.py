"""What the Makefile does beside calling our programs."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Without the variables of a `make` that runs these tests.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(('MAKE', 'MFLAGS'))}


@pytest.fixture
def make(tmp_path):
    """Calls make with a JupyterLab that prints its arguments."""
    if shutil.which('make') is None:
        pytest.skip('needs make')
    jupyter = tmp_path / 'jupyter'
    jupyter.write_text('#!/bin/sh\necho "jupyter $@"\n')
    jupyter.chmod(0o755)

    def call(*arguments):
        return subprocess.run(['make', '--no-print-directory', '--old-file=.venv/installed', f'BIN={tmp_path}',
                               *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)

    return call


def test_make_lists_its_targets_and_installs_nothing(make):
    done = make()

    targets, descriptions = zip(*(re.fullmatch('make ([a-z-]+) +([a-z].+)', line).groups()
                                  for line in done.stdout.splitlines()), strict=True)
    assert {'run', 'test', 'test-oldest', 'lab', 'clean'} <= set(targets)
    assert len({line.index(text) for line, text in zip(done.stdout.splitlines(), descriptions, strict=True)}) == 1


@pytest.mark.parametrize('notebook', ['alternatives', 'alternatives.ipynb', 'notebooks/alternatives.ipynb'])
def test_run_takes_a_name_or_a_path(notebook, make):
    done = make('--dry-run', 'run', f'NOTEBOOK={notebook}')

    assert done.stdout.split()[1:] == ['notebooks/run.py', 'notebooks/alternatives.ipynb']


@pytest.mark.parametrize('notebook', ['nope', '', 'docs', 'README.md'])
def test_unknown_notebook_ends_in_a_sentence_before_anything_is_done(notebook, make):
    done = make('run', f'NOTEBOOK={notebook}')

    assert done.returncode != 0 and done.stdout == ''
    sentence, = done.stderr.splitlines()
    assert f"There is no notebook '{notebook}', but there are alternatives " in sentence


@pytest.fixture
def install(tmp_path):
    """Calls make with a Python that makes an empty environment, whose Python logs its calls and fails if told to."""
    if shutil.which('make') is None:
        pytest.skip('needs make')
    programs = {
        'python': f'case "$1" in -m) mkdir -p "$3/bin" && cp {tmp_path}/environment "$3/bin/python";; esac',
        'environment': f'echo "$@" >> {tmp_path}/log; touch "${{0%/bin/*}}/part"; test ! -e {tmp_path}/fail'}
    for name, lines in programs.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n{lines}\n')
        (tmp_path / name).chmod(0o755)

    def call(stamp='installed'):
        return subprocess.run(['make', f'PYTHON={tmp_path}/python', f'VENV={tmp_path}/venv',
                               f'{tmp_path}/venv/{stamp}'], cwd=ROOT, env=ENVIRONMENT, capture_output=True,
                              text=True).returncode

    return call


def test_failed_installation_is_repaired(install, tmp_path):
    (tmp_path / 'fail').touch()
    assert install() != 0 and (tmp_path / 'venv' / 'part').exists()
    (tmp_path / 'venv' / 'half-installed').touch()
    (tmp_path / 'fail').unlink()

    assert install() == 0
    assert not (tmp_path / 'venv' / 'half-installed').exists()


def test_finished_installation_is_kept(install, tmp_path):
    assert install() == 0
    (tmp_path / 'venv' / 'own').touch()
    before = (tmp_path / 'log').read_text()

    assert install() == 0
    assert (tmp_path / 'log').read_text() == before and (tmp_path / 'venv' / 'own').exists()


def test_packages_of_molecules_are_installed_once(install, tmp_path):
    assert install() == 0
    (tmp_path / 'fail').touch()
    assert install('with-molecules') != 0
    (tmp_path / 'fail').unlink()
    before = (tmp_path / 'log').read_text()

    for _ in range(2):
        assert install('with-molecules') == 0
    pip, compiled = (tmp_path / 'log').read_text().removeprefix(before).splitlines()
    assert pip.endswith('-e .[molecules] -c constraints.txt') and 'import molecules' in compiled


@pytest.mark.parametrize('arguments, needed', [
    (['run'], False), (['test'], False), (['run', 'NOTEBOOK=alternatives'], False), (['run', 'NOTEBOOK={}'], True),
    (['lab', 'NOTEBOOK={}'], True), (['notebook'], True), (['test-all'], True), (['train-molecules'], True)])
def test_packages_of_molecules_are_installed_where_they_are_needed(arguments, needed, make, tmp_path):
    for name in ('molecules.ipynb', 'installed'):
        (tmp_path / name).touch()
    arguments = [argument.format(tmp_path / 'molecules.ipynb') for argument in arguments]

    done = make('--dry-run', f'VENV={tmp_path}', *arguments)
    assert (done.returncode, 'Installing RDKit' in done.stdout) == (0, needed)

    (tmp_path / 'with-molecules').touch()
    assert 'Installing RDKit' not in make('--dry-run', f'VENV={tmp_path}', *arguments).stdout


def test_the_file_of_molecules_is_passed_on(make):
    """To a recipe, which is that of `lab` here."""
    done = make('lab', 'JUPYTER_FLAGS=$$MOLECULES', 'MOLECULES=qm9.csv')

    assert done.stdout.splitlines()[-1].endswith(' qm9.csv')


def test_lab_passes_on_flags(make):
    done = make('lab', 'JUPYTER_FLAGS=--allow-root --port=9999')

    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        'JupyterLab opens notebooks/variational_autoencoder_opt.ipynb. Ctrl-C ends it.',
        'jupyter lab notebooks/variational_autoencoder_opt.ipynb --ServerApp.root_dir=. --allow-root --port=9999']


@pytest.mark.slow
def test_lab_serves_what_the_notebook_links_to(tmp_path):
    """JupyterLab opens the notebook as a file of the project's folder, so links that begin with `../` stay inside."""
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    recipe = re.search(r'^\t@\$\(BIN\)/jupyter (lab .*)$', makefile, re.MULTILINE)[1]
    arguments = recipe.replace('$(NOTEBOOK_PATH)', 'notebooks/variational_autoencoder_opt.ipynb').replace(
        '$(JUPYTER_FLAGS)', '--allow-root --no-browser --port=0 --IdentityProvider.token=known').split()
    environment = {**os.environ, 'JUPYTER_RUNTIME_DIR': str(tmp_path), 'JUPYTER_CONFIG_DIR': str(tmp_path / 'config')}
    with open(tmp_path / 'log', 'w') as log:
        server = subprocess.Popen([sys.executable, '-m', 'jupyter', *arguments], cwd=ROOT, env=environment, stdout=log,
                                  stderr=log)
    try:
        # The page that sends the browser to what is opened.
        while not (pages := list(tmp_path.glob('jpserver-file-to-run-*.html'))):
            assert server.poll() is None, (tmp_path / 'log').read_text()
            time.sleep(0.2)
        address, notebook = re.search(r'(http://\S+:\d+/)lab/tree/(\S+)\?token', pages[0].read_text()).groups()

        assert notebook == 'notebooks/variational_autoencoder_opt.ipynb'
        for path in (notebook, 'README.md', 'models/README.md', 'vae_opt_util.py'):
            request = urllib.request.Request(f'{address}api/contents/{path}?content=0',
                                             headers={'Authorization': 'token known'})
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                assert json.load(answer)['path'] == path
    finally:
        server.terminate()
        server.wait()


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


def test_browser_test_says_what_is_missing(make):
    done = make('test-browser', 'CHROMIUM=')

    assert done.returncode != 0 and 'pytest' not in done.stdout
    assert 'There is no Chromium. Install it' in done.stdout


def test_all_tests_say_that_the_browser_test_is_skipped(make):
    shown = make('--dry-run', 'test-all', 'CHROMIUM=').stdout

    assert 'Skipped: make test-browser needs Chromium.' in shown
