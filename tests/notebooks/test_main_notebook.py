"""The main notebook: with pretrained models on small digits, and what its cells define."""

from types import SimpleNamespace

import numpy as np
import pytest
from notebook_helpers import (
    MAIN,
    ROOT,
    check_page,
    code_cells,
    figures,
    notebook_runner,
    parameters,
    printed,
    read,
    run_main_notebook,
    tables,
)

from digits import objectives
from networks import prediction
from networks.backend import keras
from networks.pretrained import load_weights
from vae_opt_util import create_joint_model, create_predictor, vae_loss


@pytest.fixture
def defined(pretrained):
    """What cells of the committed notebook define, with the names that it imports; the rest of a cell is not run."""
    imports, = (cell.source for cell in code_cells(read(MAIN)) if cell.source.startswith('import logging'))
    vae = pretrained['vae-predictor-softmax']
    names = {'latent_dim': 2, 'seed': 0, 'vaes': {'with classifier': vae}, 'classifier': pretrained['classifier'],
             'data': SimpleNamespace(name='MNIST', image_shape=(28, 28, 1), num_labels=10)}
    exec(imports, names)
    for cell in code_cells(read(MAIN)):
        if any(f'def {name}(' in cell.source for name in ('vae_loss', 'create_joint_model', 'nll_predict', 'nll')):
            exec(cell.source.split('\n\n\nbounds')[0].split('\n\n\nif targets')[0], names)
    return names


def test_with_pretrained_models_without_mnist(tmp_path, monkeypatch, capfd):
    """Without a copy of MNIST and without a network it says so, and continues with the small digits."""
    for name in ('MNIST_NPZ', 'no_proxy', 'NO_PROXY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('KERAS_HOME', str(tmp_path / 'keras'))
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')

    notebook = run_main_notebook({'use_pretrained': True}, ROOT, tmp_path)

    check_page(notebook, tmp_path / 'page')
    assert 'NOT MNIST. MNIST is not available' in printed(notebook, 'stdout')
    assert printed(notebook, 'stdout').count('best=') >= 20  # Ten searches of GPyOpt, and ten of ours.
    assert 'Bayesian optimization' in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize('kind, shape, num_figures, said', [
    ('labels', (32, 32, 3), 13, ["The article's statements are about the ten digits of MNIST"]),
    ('numbers', (28, 28), 6, ['mine.npz has no labels, so there are no objectives']),
    ('nothing', (18, 24), 6, ['mine.npz has no labels, so there are no objectives'])])
def test_images_of_ones_own(kind, shape, num_figures, said, tmp_path, rng):
    labels = {'labels': np.arange(60) % 3, 'numbers': np.linspace(-1, 1, 60)}
    arrays = {f'x_{part}': rng.integers(0, 256, (60, *shape), dtype='uint8') for part in ('train', 'test')}
    if kind in labels:
        arrays |= {'y_train': labels[kind], 'y_test': labels[kind]}
    np.savez(tmp_path / 'mine.npz', **arrays)
    notebook = read(MAIN)
    notebook_runner.override_parameters(notebook, {
        'dataset': str(tmp_path / 'mine.npz'), 'epochs': 1, 'max_iter': 2,
        'checkpoint_dir': str(tmp_path / 'checkpoints')})

    notebook_runner.execute(notebook, MAIN.parent)

    assert printed(notebook, 'stderr') == ''
    assert len(figures(notebook)) == num_figures
    assert 'Pretrained weights are those of MNIST, so all models are trained on mine.npz' in printed(notebook, 'stdout')
    for sentence in said:
        assert sentence in printed(notebook, 'stdout')
    names = [[row[0] for row in table[1:]] for table in tables(notebook)]
    assert names[0] == names[1] + ['classifier', 'judge'] * (kind == 'labels')
    if kind == 'labels':
        *targets, total, warning = names[3]
        assert (targets, total) == (['0', '1', '2'], 'all')
        assert warning.startswith('**Do not trust the judge')  # The images are noise.


def test_loss_and_joint_model_are_the_helpers(defined, rng):
    """The helper's are those that other notebooks and programs use."""
    x, decoded = rng.random((2, 3, 28, 28, 1), dtype='float32')
    moments = rng.normal(size=(2, 3, 2)).astype('float32')
    model, expected = (create(create_predictor(2)) if create is defined['create_joint_model'] else
                       create(*(defined[f'create_{part}'](2) for part in ('encoder', 'decoder')),
                              defined['create_sampler'](0), create_predictor(2))
                       for create in (defined['create_joint_model'], create_joint_model))

    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(loss(x, decoded, *moments))
                                    for loss in (defined['vae_loss'], vae_loss)))
    for network in (model, expected):
        load_weights(network, 'vae-predictor-softmax')
    outputs, as_expected = (network.predict_on_batch(x) for network in (model, expected))
    assert outputs.keys() == as_expected.keys() == {'vae', 'predictor'}
    for name, output in outputs.items():
        np.testing.assert_allclose(output, as_expected[name], rtol=1e-4, atol=1e-6)


def test_objectives_are_those_of_the_package(defined, pretrained, rng, monkeypatch):
    t = rng.normal(size=(4, 2))
    vae, classifier = pretrained['vae-predictor-softmax'], pretrained['classifier']
    readers = {'nll_predict': vae.get_layer('predictor'),
               'nll': objectives.create_decode_classify(vae.get_layer('decoder'), classifier)}

    for name, reader in readers.items():
        np.testing.assert_allclose(defined[name](t, 4), objectives.create_nll(reader, 4)(t), rtol=1e-5)
        np.testing.assert_allclose(defined[name](t, range(10)), objectives.nll_all_targets(reader, t), rtol=1e-5)
    called = []
    predict_on_batch = keras.Model.predict_on_batch
    monkeypatch.setattr(keras.Model, 'predict_on_batch',
                        lambda model, x: called.append(len(x)) or predict_on_batch(model, x))
    defined['nll'](t[:1], 4)
    assert called == [1] and defined['predict'] is prediction.predict


def test_parameters_of_the_main_notebook():
    """The first three are the article's."""
    assert list(parameters(read(MAIN)).items()) == [
        ('use_pretrained', True), ('dataset', 'auto'), ('latent_dim', 2), ('batch_size', 64), ('epochs', None),
        ('checkpoint_dir', None), ('max_iter', 50), ('seed', 0)]


def test_named_figures_of_the_main_notebook():
    named = [cell.metadata['figure'] for cell in code_cells(read(MAIN)) if 'figure' in cell.metadata]

    assert named == ['ten-best', 'ten-best-distinct', 'regret']


def test_settings_of_gpyopt_are_the_articles():
    cell, = (cell.source for cell in code_cells(read(MAIN)) if 'BayesianOptimization(f=' in cell.source)

    for setting in ("model_type='GP'", "acquisition_type='EI'", 'acquisition_jitter=0.01', 'initial_design_numdata=2',
                    'exact_feval=False', 'f=partial(nll, target=target)'):
        assert setting in cell
