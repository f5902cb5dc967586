import hashlib
import json
import os
import shutil

import numpy as np
import pytest

from alternatives import evaluate_conditional_vae, evaluate_latent_constraints
from networks.prediction import predict
from networks.pretrained import load_manifest, load_weights, models_dir, save_weights
from vae_opt_util import MODELS, create_model, evaluate, label_accuracy, load_pretrained, reconstruct

NAMES = [*MODELS, 'vae-conditional', 'latent-constraints']


@pytest.fixture
def copied_models(tmp_path):
    shutil.copytree(models_dir, tmp_path / 'models')
    return tmp_path / 'models'


def replace(folder, name, content):
    """Puts other content in the place of a file of weights, and its sha256 into the manifest."""
    (folder / f'{name}.npz').write_bytes(content)
    manifest = json.loads((folder / 'manifest.json').read_text())
    manifest[name]['sha256'] = hashlib.sha256(content).hexdigest()
    (folder / 'manifest.json').write_text(json.dumps(manifest))


def test_manifest_is_complete():
    manifest = load_manifest()

    assert set(manifest) == set(NAMES)
    for name, entry in manifest.items():
        assert {'sha256', 'seed', 'versions', 'epochs', 'precision', 'seconds', 'test_metrics', 'history'} <= set(entry)
        assert entry['epochs'] == len(entry['history'])
        assert name not in MODELS or entry['epochs'] == MODELS[name].recipe.epochs
        assert entry['data'] == 'MNIST, 60,000 training images'


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_weights_reproduce_the_manifest(name, mnist, pretrained):
    model, test_set = pretrained[name], (mnist.x_test, mnist.y_test)
    if name == 'latent-constraints':
        metrics = evaluate_latent_constraints(model, pretrained['vae-predictor-off'], *test_set)
    elif name == 'vae-conditional':
        metrics = evaluate_conditional_vae(model, *test_set)
    elif name.startswith('vae'):
        metrics = evaluate(model, *test_set, MODELS[name].score)
    else:
        metrics = MODELS[name].score(predict(model, mnist.x_test, ''), mnist.y_test)

    assert metrics == pytest.approx(load_manifest()[name]['test_metrics'], rel=1e-3)


def test_files_hold_nothing_but_arrays_of_numbers():
    for name in NAMES:
        with np.load(models_dir / f'{name}.npz', allow_pickle=False) as npz:
            assert {npz[key].dtype.str for key in npz} == {'<f4'}


def test_damaged_file(copied_models):
    path = copied_models / 'judge.npz'
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r'judge\.npz.*sha256.*git checkout.*install the package again'):
        load_pretrained('judge', copied_models)
    assert load_pretrained('classifier', copied_models).count_params() == 93322


@pytest.mark.parametrize('content', [b'no archive', b'', b'\x93NUMPY\x01\x00'])
def test_file_that_is_no_archive(content, copied_models):
    replace(copied_models, 'judge', content)
    with pytest.raises(ValueError, match=r'judge\.npz is damaged.*git checkout'):
        load_pretrained('judge', copied_models)


def test_pickled_objects_are_not_loaded(copied_models, tmp_path):
    np.savez(tmp_path / 'code.npz', **{'conv_1_1/kernel': np.array([print], dtype=object)})
    replace(copied_models, 'judge', (tmp_path / 'code.npz').read_bytes())

    with pytest.raises(ValueError, match='is damaged.*allow_pickle'):
        load_pretrained('judge', copied_models)


@pytest.mark.parametrize('create, message', [
    (lambda: create_model('vae-predictor-softmax', latent_dim=3),
     r'decoder/expand/kernel has shape \(2, 12544\) in the file and \(3, 12544\) in the model.*use_pretrained = False'),
    (lambda: create_model('vae-predictor-off'),
     r'predictor/dense_1/bias has shape \(128,\) in the file and none in the model'),
    (lambda: create_model('classifier'), 'do not fit this model')])
def test_other_architecture_is_left_as_it_was(create, message):
    model = create()
    before = model.get_weights()

    with pytest.raises(ValueError, match=message):
        load_weights(model, 'vae-predictor-softmax')
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_missing_file(copied_models, tmp_path):
    (copied_models / 'judge.npz').unlink()
    with pytest.raises(FileNotFoundError, match=r'no .*judge\.npz.*git checkout.*make train.*use_pretrained = False'):
        load_pretrained('judge', copied_models)
    with pytest.raises(FileNotFoundError, match=r'no .*manifest\.json.*`make train`.*use_pretrained'):
        load_pretrained('judge', tmp_path)
    with pytest.raises(ValueError, match="no model named 'judges'"):
        load_pretrained('judges')
    with pytest.raises(ValueError, match="no pretrained weights named 'judges'.*'judge'"):
        load_weights(create_model('judge'), 'judges')


@pytest.mark.parametrize('name', ['../x', '..', '', None, 3, ['classifier'], 'classifier\0', 'classifier.npz'])
def test_name_of_no_model(name, tmp_path):
    model = create_model('classifier')
    with pytest.raises(ValueError, match='There are no pretrained weights named .*There are .*judge'):
        load_weights(model, name)
    with pytest.raises(ValueError, match='There is no model named .*The models are .*judge'):
        load_pretrained(name)
    if name != 'classifier.npz':
        with pytest.raises(ValueError, match='name of a model is that of its file: letters, digits, .* Got '):
            save_weights(model, name, {}, tmp_path / 'models')
    assert list(tmp_path.iterdir()) == []


def test_manifest_that_leads_out_of_the_folder(copied_models):
    manifest = json.loads((copied_models / 'manifest.json').read_text())
    (copied_models / 'manifest.json').write_text(json.dumps(manifest | {'../judge': manifest['judge']}))

    with pytest.raises(ValueError, match=r'manifest\.json is damaged'):
        load_pretrained('judge', copied_models)


@pytest.mark.parametrize('make', [os.mkdir, os.mkfifo, lambda path: os.symlink('nowhere', path)])
@pytest.mark.parametrize('name', ['judge.npz', 'manifest.json'])
def test_what_is_no_file(name, make, copied_models):
    (copied_models / name).unlink()
    make(copied_models / name)

    with pytest.raises(FileNotFoundError, match=f'There is no .*{name}, which .*git checkout'):
        load_pretrained('judge', copied_models)


def test_arrays_of_texts(copied_models):
    with np.load(copied_models / 'judge.npz') as npz:
        texts = {key: array.astype('U8') for key, array in npz.items()}
    np.savez(copied_models / 'texts.npz', **texts)
    replace(copied_models, 'judge', (copied_models / 'texts.npz').read_bytes())

    with pytest.raises(ValueError, match=r'judge\.npz is damaged .it must hold arrays of floating-point numbers only'):
        load_pretrained('judge', copied_models)


def test_full_disk_leaves_weights_and_manifest(copied_models, monkeypatch):
    """There is space for the weights, and none for the manifest that records them."""
    fsync, calls = os.fsync, []
    before = {path: path.read_bytes() for path in copied_models.rglob('*') if path.is_file()}

    def fail_at_the_second(file):
        calls.append(file)
        if len(calls) == 2:
            raise OSError('No space left')
        fsync(file)

    monkeypatch.setattr(os, 'fsync', fail_at_the_second)
    with pytest.raises(OSError, match='No space left'):
        save_weights(create_model('judge'), 'judge', {}, copied_models)
    assert {path: path.read_bytes() for path in copied_models.rglob('*') if path.is_file()} == before


def test_home_folder(pretrained, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'models').mkdir()
    save_weights(pretrained['classifier'], 'classifier', {}, '~/models')

    assert load_pretrained('classifier', '~/models').count_params() == 93322
    assert sorted(path.name for path in (tmp_path / 'models').iterdir()) == ['classifier.npz', 'manifest.json']
    with pytest.raises(ValueError, match='folder must be the path of a file or folder, as text or `Path`, got 3'):
        load_pretrained('classifier', 3)


@pytest.mark.parametrize('content', ['{"judge": ', '[]', 'null', '{"judge": null}', '{"judge": {}}', '[' * 100_000,
                                     '{"judge": {"sha256": null}}', '{"judge": {"sha256": "x", "history": 3}}', '3',
                                     'NaN', '', '"judge"', '{"judge": 3}'])
def test_damaged_manifest(content, copied_models):
    (copied_models / 'manifest.json').write_text(content)
    with pytest.raises(ValueError, match=r'manifest\.json is damaged.*Restore it with `git checkout`'):
        load_pretrained('judge', copied_models)


def test_saving_and_loading(tmp_path, pretrained):
    """The judge has batch normalisations, whose moving averages are weights that are not trained."""
    for name in ('judge', 'classifier', 'judge'):
        save_weights(pretrained[name], name, {'note': name, 'history': [{'loss': 1.0}]}, tmp_path)

    assert {name: entry['note'] for name, entry in load_manifest(tmp_path).items()} == {
        'judge': 'judge', 'classifier': 'classifier'}
    model = create_model('judge')
    assert load_weights(model, 'judge', tmp_path) == [{'loss': 1.0}]
    expected = pretrained['judge'].get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), expected, strict=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['classifier.npz', 'judge.npz', 'manifest.json']


def test_digits_are_read_by_the_mnist_classifiers(digits, pretrained):
    for name in ('classifier', 'judge'):
        assert label_accuracy(predict(pretrained[name], digits.x_test, ''), digits.y_test)['accuracy'] > 0.85


def test_reconstruct(pretrained, digits):
    model, x = pretrained['vae-predictor-softmax-10d'], digits.x_test[:3]

    decoded, losses = reconstruct(x, model)

    expected = model.get_layer('decoder').predict_on_batch(model.get_layer('encoder').predict_on_batch(x)[0])
    np.testing.assert_allclose(decoded, expected, atol=1e-5)
    p = np.clip(expected.astype('float64'), 1e-7, 1 - 1e-7)
    np.testing.assert_allclose(losses, -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3)), rtol=1e-3)
