import base64
import csv
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest

from vae_opt_util import create_nll, create_optimizer, load_pretrained

root = Path(__file__).resolve().parent.parent
notebooks = sorted((root / 'notebooks').glob('*.ipynb'))
main_notebook = root / 'notebooks' / 'variational_autoencoder_opt.ipynb'
num_figures = 11

sys.path.insert(0, str(root / 'notebooks'))
import run as notebook_runner  # noqa: E402


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == 'code']


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def figures(notebook):
    return [output for output in outputs(notebook) if 'image/png' in output.get('data', {})]


def statements(notebook):
    """The rows of the notebook's last table: what the article says, what was measured, whether it is borne out."""
    last = [output.data['text/markdown'] for output in outputs(notebook)
            if 'text/markdown' in output.get('data', {})][-1]
    rows = [[cell.strip() for cell in line.strip('| ').split(' | ')] for line in last.splitlines()]
    assert rows[0] == ['the article', 'here', 'borne out']
    return rows[2:]


@pytest.mark.parametrize('path', notebooks, ids=lambda path: path.stem)
def test_committed_notebook_is_of_one_clean_run(path):
    notebook = nbformat.read(path, as_version=4)

    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    for output in outputs(notebook):
        assert output.output_type != 'error'
        assert output.get('name') != 'stderr', output.get('text')
    assert not re.search(r'/(home|root|work|tmp|Users)/', path.read_text())
    assert 'NOT MNIST' not in path.read_text()


def test_main_notebook_is_among_the_notebooks():
    assert main_notebook in notebooks


def test_committed_main_notebook_was_run_with_its_defaults():
    notebook = nbformat.read(main_notebook, as_version=4)

    assert len(figures(notebook)) == num_figures
    assert 'VAE, on 10,000 test images of MNIST' in main_notebook.read_text()
    assert 'use_pretrained = True' in code_cells(notebook)[0].source


@pytest.mark.parametrize('folder', [root, root / 'notebooks'], ids=['root', 'own-folder'])
@pytest.mark.parametrize('use_pretrained', [True, False], ids=['pretrained', 'training'])
def test_main_notebook_runs(use_pretrained, folder, tmp_path, capfd):
    notebook = nbformat.read(main_notebook, as_version=4)
    notebook_runner.override_parameters(notebook, {
        'use_pretrained': use_pretrained, 'dataset': 'digits', 'epochs': 1, 'max_iter': 3,
        'checkpoint_dir': str(tmp_path / 'checkpoints')})

    notebook_runner.execute(notebook, folder)
    page, pngs = notebook_runner.export(notebook, tmp_path / 'page', 'main')

    assert len(figures(notebook)) == len(pngs) == num_figures
    assert not [output for output in outputs(notebook) if output.get('name') == 'stderr']
    assert len(statements(notebook)) == 12
    assert (tmp_path / 'checkpoints').exists() != use_pretrained
    assert 'Bayesian optimization' in capfd.readouterr().out

    for png, output in zip(pngs, figures(notebook), strict=True):
        assert png.read_bytes() == base64.b64decode(output.data['image/png'])
    html = page.read_text()
    assert html.count('<img') == num_figures and html.count('src="data:image/png') == num_figures
    assert '<math' in html and r'\log' not in html
    assert '<script' not in html and not re.search(r'<(link|img)[^>]+(src|href)="(https?:)?//', html)


# Smaller budgets, and how many figures there are.
OTHERS = {'alternatives': ({'max_iter': 6, 'num_images': 10, 'num_runs': 2}, 3),
          'external_results': ({'num_results': 12, 'max_iter': 2}, 4),
          'higher_dimensions': ({'max_iter': 1}, 5)}


def test_every_notebook_is_run_by_a_test():
    assert {path.stem for path in notebooks} == {main_notebook.stem, *OTHERS}


@pytest.mark.parametrize('name', OTHERS)
def test_committed_notebook_was_run_with_its_defaults_on_mnist(name):
    notebook = nbformat.read(main_notebook.with_stem(name), as_version=4)
    source = code_cells(notebook)[0].source

    assert len(figures(notebook)) == OTHERS[name][1]
    assert 'MNIST' in str(outputs(notebook)) and "dataset = 'auto'" in source
    assert all(f'{parameter} = ' in source and f'{parameter} = {value}\n' not in source
               for parameter, value in OTHERS[name][0].items())


@pytest.mark.parametrize('name', OTHERS)
def test_other_notebook_runs(name, tmp_path):
    notebook = nbformat.read(main_notebook.with_stem(name), as_version=4)
    parameters, num_figures = OTHERS[name]
    notebook_runner.override_parameters(notebook, {**parameters, 'dataset': 'digits'})

    notebook_runner.execute(notebook, main_notebook.parent)
    page, pngs = notebook_runner.export(notebook, tmp_path, name)

    assert len(figures(notebook)) == len(pngs) == num_figures and page.exists()
    assert not [output for output in outputs(notebook) if output.get('name') == 'stderr']


def test_interrupted_search_of_the_notebook_goes_on():
    """What the committed notebook shows around its interruption: one line of the journal was lost and no more."""
    notebook = nbformat.read(main_notebook.with_stem('external_results'), as_version=4)
    lines = [output.data['text/markdown'] for output in outputs(notebook)
             if 'pending' in output.get('data', {}).get('text/markdown', '')][0].splitlines()
    before, after = ([int(cell) for cell in line.strip('| ').split(' | ')[1:]] for line in lines[2:])

    assert before[0] >= 30 and sum(np.subtract(before, after)) in (0, 1)
    assert max(np.abs(np.subtract(before, after))) <= 1


def test_laboratory_leaves_out_what_has_a_result(tmp_path):
    journal, results = tmp_path / 'journal.csv', tmp_path / 'results.csv'
    search = create_optimizer(None, [(-4, 4)] * 2, journal=journal)
    search.ask(3)
    results.write_text('number,value,failure\n2,1.5,\n')

    laboratory = subprocess.Popen([sys.executable, main_notebook.parent / 'laboratory.py', journal, results,
                                   '--target', '4', '--seconds', '0.01', '--failing', '0', '--noise', '0'])
    try:
        while len(results.read_text().splitlines()) < 4 and laboratory.poll() is None:
            time.sleep(0.1)
        time.sleep(0.5)
    finally:
        laboratory.kill()
        laboratory.wait()

    rows = list(csv.DictReader(results.open()))
    assert sorted(int(row['number']) for row in rows) == [1, 2, 3]
    model, classifier = load_pretrained('vae-predictor-softmax'), load_pretrained('classifier')
    nll = create_nll(model.get_layer('decoder'), classifier, 4)
    for row in rows[1:]:
        np.testing.assert_allclose(float(row['value']), nll(search.pending[int(row['number']) - 1].t)[0, 0], rtol=1e-4)


def test_override_of_an_unknown_parameter():
    notebook = nbformat.read(main_notebook, as_version=4)

    with pytest.raises(ValueError, match='does not assign max_iterations. It assigns .*max_iter'):
        notebook_runner.override_parameters(notebook, {'max_iterations': 3})


def test_notebook_without_parameters_cell():
    notebook = nbformat.read(main_notebook, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop('tags', None)

    with pytest.raises(ValueError, match='one cell tagged `parameters`, it has 0'):
        notebook_runner.override_parameters(notebook, {})


def test_failing_notebook_fails_the_command(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_code_cell('x = 1', metadata={'tags': ['parameters']}), nbformat.v4.new_code_cell('1 / 0')])
    nbformat.write(notebook, tmp_path / 'failing.ipynb')

    done = subprocess.run([sys.executable, root / 'notebooks' / 'run.py', tmp_path / 'failing.ipynb'],
                          capture_output=True, text=True)

    assert done.returncode != 0 and 'ZeroDivisionError' in done.stderr
