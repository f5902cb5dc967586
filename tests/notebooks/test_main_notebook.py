"""The main notebook: with pretrained models on small digits, and what its cells say."""

import pytest
from notebook_helpers import MAIN, ROOT, check_page, code_cells, parameters, printed, read, run_main_notebook


def test_with_pretrained_models_without_mnist(tmp_path, monkeypatch, capfd):
    """Without a copy of MNIST and without a network it says so, and continues with the small digits."""
    for name in ('MNIST_NPZ', 'no_proxy', 'NO_PROXY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('KERAS_HOME', str(tmp_path / 'keras'))
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')

    notebook = run_main_notebook({'use_pretrained': True}, ROOT, tmp_path)

    check_page(notebook, tmp_path / 'page')
    assert 'NOT MNIST. MNIST is not available' in printed(notebook, 'stdout')
    assert 'Bayesian optimization' in capfd.readouterr().out


def test_interrupted_training_leaves_no_models_of_before():
    """The cell that trains, with a training that is interrupted at its second model."""
    cell, = (cell for cell in code_cells(read(MAIN)) if 'def model_and_history' in cell.source)
    trained = []

    def train(name, *_, **__):
        trained.append(name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return object(), []

    names = {'use_pretrained': False, 'train': train, 'recipe_for': lambda *_, **__: None, 'checkpoints_dir': None,
             **dict.fromkeys(('data', 'latent_dim', 'epochs', 'batch_size', 'seed', 'checkpoint_dir')),
             'vaes': 'of before', 'classifier': 'of before', 'judge': 'of before'}
    with pytest.raises(KeyboardInterrupt):
        exec(cell.source, names)

    assert len(trained) == 2 and 'made' not in names
    assert names['vaes'] is names['classifier'] is names['judge'] is None


def test_parameters_of_the_main_notebook():
    """The first three are the article's."""
    assert list(parameters(read(MAIN)).items()) == [
        ('use_pretrained', True), ('dataset', 'auto'), ('latent_dim', 2), ('batch_size', 64), ('epochs', None),
        ('checkpoint_dir', None), ('max_iter', 46), ('seed', 0)]


def test_named_figures_of_the_main_notebook():
    named = [cell.metadata['figure'] for cell in code_cells(read(MAIN)) if 'figure' in cell.metadata]

    assert named == ['regret', 'search', 'ten-best']
