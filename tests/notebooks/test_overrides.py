"""Overrides of parameters: training, and errors. Figures and their names: see tests/project."""

import subprocess
import sys

import nbformat
import pytest
from notebook_helpers import MAIN, ROOT, notebook_runner, read, run_main_notebook

MODELS = {'vae-predictor-off', 'vae-predictor-softmax', 'vae-predictor-linear', 'classifier', 'judge'}


def test_training_in_its_own_folder(tmp_path):
    run_main_notebook({'use_pretrained': False, 'dataset': 'digits'}, ROOT / 'notebooks', tmp_path)

    trained, = (tmp_path / 'checkpoints').iterdir()
    assert {folder.name for folder in trained.iterdir()} == MODELS


@pytest.mark.slow
def test_training_in_the_root(tmp_path):
    run_main_notebook({'use_pretrained': False, 'dataset': 'digits'}, ROOT, tmp_path)


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


def test_failing_notebook_fails_the_command(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_code_cell('x = 1', metadata={'tags': ['parameters']}), nbformat.v4.new_code_cell('1 / 0')])
    nbformat.write(notebook, tmp_path / 'failing.ipynb')

    done = subprocess.run([sys.executable, ROOT / 'notebooks' / 'run.py', tmp_path / 'failing.ipynb'],
                          capture_output=True, text=True)

    assert done.returncode != 0 and 'ZeroDivisionError' in done.stderr
