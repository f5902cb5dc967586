"""The main notebook: with pretrained models on small digits, and what its cells say."""

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


def test_parameters_of_the_main_notebook():
    """The first three are the article's."""
    assert list(parameters(read(MAIN)).items()) == [
        ('use_pretrained', True), ('dataset', 'auto'), ('latent_dim', 2), ('batch_size', 64), ('epochs', None),
        ('checkpoint_dir', None), ('max_iter', 46), ('seed', 0)]


def test_named_figures_of_the_main_notebook():
    named = [cell.metadata['figure'] for cell in code_cells(read(MAIN)) if 'figure' in cell.metadata]

    assert named == ['regret', 'ten-best']
