"""Overrides of parameters: training, and errors. Figures and their names: see tests/project."""

import os
import signal
import subprocess
import sys

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from notebook_helpers import MAIN, ROOT, code_cells, figures, notebook_runner, read, run_main_notebook, tables

MODELS = {'vae-predictor-off', 'vae-predictor-softmax', 'vae-predictor-linear', 'classifier', 'judge'}


def test_training_without_pretrained_models(tmp_path):
    """The cells that train and measure, in the project's folder; other tests run in that of the notebooks."""
    notebook = run_main_notebook({'use_pretrained': False, 'dataset': 'digits'}, ROOT, tmp_path,
                                 until='## Latent space')

    trained = {folder.name.rpartition('-')[0] for folder in (tmp_path / 'checkpoints').iterdir()}
    assert trained == MODELS
    assert len(figures(notebook)) == 4 and len(tables(notebook)) == 1


@pytest.mark.slow
def test_latent_spaces_that_cannot_be_drawn_are_refused_before_any_training(tmp_path):
    notebook = read(MAIN)
    for cell in code_cells(notebook):
        cell.execution_count = None
    notebook_runner.override_parameters(notebook, {'latent_dim': 3, 'use_pretrained': False})

    with pytest.raises(CellExecutionError, match='latent space of two dimensions, got latent_dim = 3. Set it to 2'):
        notebook_runner.execute(notebook, MAIN.parent)
    assert sum(cell.execution_count is not None for cell in code_cells(notebook)) == 3


@pytest.mark.parametrize('item, expected', [
    ('seed=1', ('seed', 1)), ('dataset=digits', ('dataset', 'digits')), ("dataset='digits'", ('dataset', 'digits')),
    ('folder=/a=b', ('folder', '/a=b')), ('use_pretrained=False', ('use_pretrained', False)),
    ('epochs=None', ('epochs', None))])
def test_parameter_on_the_command_line(item, expected):
    assert notebook_runner.as_parameter(item) == expected


def test_parameter_without_a_value():
    with pytest.raises(ValueError, match="--set takes NAME=VALUE, such as --set seed=1, got 'seed'"):
        notebook_runner.as_parameter('seed')


@pytest.mark.parametrize('name, value', [('use_pretrained', 'false'), ('seed', 'one'), ('max_iter', '4 6')])
def test_override_by_a_text_in_place_of_a_number(name, value):
    with pytest.raises(ValueError, match=f'{name} must be a value such as .*, got {value!r}'):
        notebook_runner.override_parameters(read(MAIN), {name: value})


def test_override_of_an_unknown_parameter():
    with pytest.raises(ValueError, match='does not assign max_iterations. It assigns .*max_iter'):
        notebook_runner.override_parameters(read(MAIN), {'max_iterations': 3})


def test_override_follows_the_parameters():
    notebook = read(MAIN)
    tagged = next(i for i, cell in enumerate(notebook.cells) if 'parameters' in cell.metadata.get('tags', []))

    notebook_runner.override_parameters(notebook, {'max_iter': 3, 'dataset': 'digits'})

    assert notebook.cells[tagged + 1].source == "max_iter = 3\ndataset = 'digits'"


def test_notebook_without_parameters_cell():
    notebook = read(MAIN)
    for cell in notebook.cells:
        cell.metadata.pop('tags', None)

    with pytest.raises(ValueError, match='one cell tagged `parameters`, it has 0'):
        notebook_runner.override_parameters(notebook, {})


@pytest.mark.slow
def test_ctrl_c_ends_the_command_in_one_line(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_code_cell('x = 1', metadata={'tags': ['parameters']}),
        nbformat.v4.new_code_cell("import time\nfrom latent_search import interruptible\n"
                                  "with interruptible(lambda: 'All is kept.'):\n"
                                  "    print('begun', flush=True)\n    time.sleep(60)")])
    nbformat.write(notebook, tmp_path / 'long.ipynb')
    command = subprocess.Popen([sys.executable, '-u', ROOT / 'notebooks' / 'run.py', tmp_path / 'long.ipynb'],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while 'begun' not in command.stdout.readline():
        assert command.poll() is None

    os.killpg(command.pid, signal.SIGINT)
    _, errors = command.communicate(timeout=30)

    assert command.returncode == 1
    assert errors.strip() == 'Interrupted, and no page was written. All is kept.'
