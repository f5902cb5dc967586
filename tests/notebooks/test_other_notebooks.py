"""The other notebooks with small budgets, on small digits, and the laboratory that one of them starts."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock, create_autospec

import numpy as np
import pytest
from notebook_helpers import MAIN, NUM_FIGURES, ROOT, code_cells, figures, notebook_runner, printed, read

from latent_search import create_optimizer

PARAMETERS = {'alternatives': {'max_iter': 6, 'num_starts': 2, 'num_images': 10, 'num_runs': 1},
              'external_results': {'num_results': 12, 'max_iter': 2},
              'higher_dimensions': {'max_iter': 1},
              'latent_spaces': {'max_iter': 1}}


def test_none_is_missing():
    assert {MAIN.stem, *PARAMETERS, 'molecules'} == set(NUM_FIGURES)


def run_small(name, parameters, tmp_path):
    """Executes a notebook on digits with small budgets, and checks what it shows."""
    notebook = read(MAIN.with_stem(name))
    notebook_runner.override_parameters(notebook, {**PARAMETERS[name], **parameters, 'dataset': 'digits'})

    notebook_runner.execute(notebook, MAIN.parent)
    page, pngs = notebook_runner.export(notebook, tmp_path, name)

    assert len(figures(notebook)) == len(pngs) == NUM_FIGURES[name] and page.exists()
    assert printed(notebook, 'stderr') == ''
    return printed(notebook, 'stdout')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['alternatives', 'higher_dimensions', 'latent_spaces'])
def test_runs(name, tmp_path):
    assert 'only a part of it was written' not in run_small(name, {}, tmp_path)


@pytest.mark.slow
def test_results_from_outside_are_there_after_the_kernel_has_ended(tmp_path):
    """The notebook goes on with the four results that its journal holds already."""
    folder = tmp_path / 'journals'
    folder.mkdir()
    search = create_optimizer(None, [(-4.0, 4.0)] * 2, noisy=True, journal=folder / 'journal.csv')
    for number, t in search.ask(4):
        search.tell(number, 10 + t.sum())
    search.close()

    def results():
        with open(folder / 'journal.csv', newline='') as file:
            return [row for row in csv.DictReader(file) if row['status'] == 'done']

    first = results()
    text = run_small('external_results', {'folder': str(folder)}, tmp_path)

    assert len(first) == 4 and results()[:4] == first
    assert len(results()) == PARAMETERS['external_results']['num_results']
    assert 'only a part of it was written' in text


@pytest.mark.parametrize('start_anew', [False, True])
def test_only_a_search_anew_forgets_earlier_results(start_anew, tmp_path):
    folder = tmp_path / 'journals'
    folder.mkdir()
    (folder / 'journal.csv').write_text('of before')
    cell, = (cell for cell in code_cells(read(MAIN.with_stem('external_results'))) if 'rmtree' in cell.source)

    exec(cell.source, {'Path': Path, 'shutil': shutil, 'folder': str(folder), 'start_anew': start_anew})

    assert folder.is_dir() and (folder / 'journal.csv').exists() != start_anew


MOLECULES = [f'{left}{middle}{right}' for left in ('C', 'CC', 'CCC', 'N', 'CN', 'O', 'CO', 'N#C', 'F', 'O=C')
             for middle in ('C', 'CC', 'C(C)', 'C(O)', 'C(=O)', 'C(N)', 'C1CC1', 'C(F)', 'C=C')
             for right in ('C', 'CO', 'CN', 'C(C)C', 'C(=O)N', 'C1CC1', 'C#C', 'C(C)O', 'C#N', 'OC')]


def molecules_notebook(tmp_path, **parameters):
    """The notebook with small budgets, and the file of molecules that it may be given."""
    pytest.importorskip('rdkit', reason='needs RDKit: pip install -e ".[molecules]"')
    (tmp_path / 'molecules.csv').write_text('\n'.join(['smiles', *MOLECULES, 'nonsense']))
    notebook = read(MAIN.with_stem('molecules'))
    notebook_runner.override_parameters(notebook, {
        'library_size': 300, 'num_experiments': 4, 'folder': str(tmp_path / 'journals'), **parameters})
    return notebook


@pytest.mark.slow
def test_molecules_without_a_file(tmp_path, monkeypatch):
    monkeypatch.delenv('MOLECULES', raising=False)
    notebook = molecules_notebook(tmp_path)

    notebook_runner.execute(notebook, MAIN.parent)
    page, pngs = notebook_runner.export(notebook, tmp_path, 'molecules')

    assert len(figures(notebook)) == len(pngs) == NUM_FIGURES['molecules'] and page.exists()
    assert printed(notebook, 'stderr') == ''
    for name in ('inventing', 'screening'):
        with open(tmp_path / 'journals' / f'{name}.csv', newline='') as file:
            statuses = [row['status'] for row in csv.DictReader(file)]
        assert sum(status in ('done', 'failed') for status in statuses) == 4
        assert sum(status.startswith('known') for status in statuses) == 10


@pytest.mark.slow
def test_molecules_are_trained_where_pretrained_models_are_not_wanted(tmp_path):
    """After one epoch on so few molecules a search has nothing to choose from."""
    notebook = molecules_notebook(tmp_path, use_pretrained=False, epochs=1,
                                  molecules_file=str(tmp_path / 'molecules.csv'))

    with pytest.raises(Exception, match='Train for more epochs or on more molecules'):
        notebook_runner.execute(notebook, MAIN.parent)
    for said in ("'cannot be parsed as SMILES': 1", 'with-predictor', 'without-predictor'):
        assert said in printed(notebook, 'stdout')


def test_alternatives_are_trained_where_pretrained_models_are_not_wanted(digits):
    """What the cells call, and with what. The tests of the functions that train do train."""
    import alternatives
    import comparison
    import vae_opt_util
    from digits.data import load_data

    history = [{'seconds': 1.5}, {'seconds': 2.5}]
    train = create_autospec(vae_opt_util.train, side_effect=lambda name, *_, **__: (FakeModel(name), history))
    module = create_autospec(alternatives)
    module.train_conditional_vae.return_value = 'trained VAE', history
    module.train_latent_constraints.return_value = 'trained constraints', history
    cells = [cell.source for cell in code_cells(read(MAIN.with_stem('alternatives')))]
    names = {'alternatives': module, 'comparison': comparison, 'load_data': load_data, 'train': train,
             'MODELS': vae_opt_util.MODELS, 'VAE_RECIPE': vae_opt_util.VAE_RECIPE, 'objectives': Mock(), 'methods': {}}

    exec(cells[0], names)
    names |= {'use_pretrained': False, 'dataset': 'digits', 'epochs': 3, 'checkpoint_dir': 'here'}
    for cell in cells[1:]:
        if 'load_or_train(' in cell or 'if use_pretrained' in cell:
            exec(cell, names)

    assert [call.args[0] for call in train.call_args_list] == [
        'vae-predictor-softmax', 'vae-predictor-off', 'classifier', 'judge']
    for call in train.call_args_list:
        assert call.args[1].name == digits.name and call.kwargs == {
            'recipe': vae_opt_util.MODELS[call.args[0]].recipe._replace(epochs=3), 'seed': 0, 'checkpoint_dir': 'here'}
    module.train_conditional_vae.assert_called_once_with(
        names['data'], recipe=vae_opt_util.VAE_RECIPE._replace(epochs=3), seed=0, checkpoint_dir='here')
    module.train_latent_constraints.assert_called_once_with(names['vae'], names['data'], epochs=3, seed=0)
    assert names['vae'].name == 'vae-predictor-off'
    assert (names['conditional'], names['constraints']) == ('trained VAE', 'trained constraints')
    assert set(names['seconds']) == {'vae-predictor-softmax', 'vae-predictor-off', 'classifier', 'judge',
                                     'vae-conditional', 'latent-constraints'} and set(names['seconds'].values()) == {4}
    assert names['num_labelled'] == len(digits.y_train) and names['trained_on'] == digits.name


class FakeModel:
    """Stands for a trained model, of which a cell may take a part."""

    def __init__(self, name):
        self.name = name

    def get_layer(self, name):
        return f'{name} of {self.name}'


@pytest.mark.slow
def test_laboratory_skips_experiments_that_have_a_result(tmp_path):
    from digits.objectives import create_decode_classify, create_nll
    from vae_opt_util import load_pretrained

    journal, results = tmp_path / 'journal.csv', tmp_path / 'results.csv'
    search = create_optimizer(None, [(-4, 4)] * 2, journal=journal)
    search.ask(3)
    results.write_text('number,value,failure\n2,1.5,\n')

    laboratory = subprocess.Popen([sys.executable, ROOT / 'notebooks' / 'laboratory.py', journal, results,
                                   '--target', '4', '--seconds', '0.01', '--failing', '0', '--noise', '0'])
    try:
        while len(results.read_text().splitlines()) < 4 and laboratory.poll() is None:
            time.sleep(0.1)
        time.sleep(0.5)
    finally:
        laboratory.kill()
        laboratory.wait()

    rows = list(csv.DictReader(results.read_text().splitlines()))
    assert sorted(int(row['number']) for row in rows) == [1, 2, 3]
    decoder = load_pretrained('vae-predictor-softmax').get_layer('decoder')
    nll = create_nll(create_decode_classify(decoder, load_pretrained('classifier')), 4)
    for row in rows[1:]:
        np.testing.assert_allclose(float(row['value']), nll(search.pending[int(row['number']) - 1].t)[0, 0], rtol=1e-4)


@pytest.mark.slow
def test_laboratory_ends_with_the_process_that_started_it(tmp_path):
    code = ('import subprocess, sys, time\n'
            'print(subprocess.Popen([sys.executable, *sys.argv[1:]]).pid, flush=True)\ntime.sleep(600)\n')
    parent = subprocess.Popen(
        [sys.executable, '-c', code, ROOT / 'notebooks' / 'laboratory.py', tmp_path / 'journal.csv',
         tmp_path / 'results.csv', '--target', '4'], stdout=subprocess.PIPE, text=True)
    laboratory = int(parent.stdout.readline())
    while not (tmp_path / 'results.csv').exists():
        time.sleep(0.1)

    parent.kill()
    parent.wait()

    for _ in range(600):  # A minute, since other tests may take the cores.
        if not runs(laboratory):
            break
        time.sleep(0.1)
    else:
        os.kill(laboratory, signal.SIGKILL)
        pytest.fail('the laboratory goes on')


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = f'/proc/{pid}/stat'  # A process that has ended and that nobody has asked for is a zombie.
    return not os.path.exists(status) or open(status).read().rpartition(')')[2].split()[0] != 'Z'
