"""The file in which a training is kept: what it restores, and what becomes of it on a full disk or if it is damaged."""

import os
import resource
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from networks.backend import keras, layers
from networks.training import Checkpoint, Recipe


def trained_model(seed, units=4):
    """A model after three steps, with averaged weights."""
    keras.utils.set_random_seed(seed)
    x = layers.Input((3,))
    model = keras.Model(x, layers.Dense(1)(layers.Dense(units)(x)))
    model.compile(Recipe(4, ema_momentum=0.5).optimizer(400), 'mse')
    for _ in range(3):
        model.train_on_batch(np.ones((2, 3)), np.ones((2, 1)))
    return model


@pytest.fixture(scope='module')
def model():
    return trained_model(0)


@pytest.fixture(scope='module')
def another():
    return trained_model(1)


@pytest.fixture
def other(another):
    """A second model, which each test gets as it was."""
    before = state(another)
    yield another
    put_back(another, before)


def variables(model):
    return *model.weights, *model.optimizer.variables


def state(model):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables(model)]


def put_back(model, state):
    for variable, value in zip(variables(model), state, strict=True):
        variable.assign(value)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def written(folder, model, epochs=1):
    """A checkpoint of a training of so many epochs."""
    checkpoint = Checkpoint(folder)
    checkpoint.history = [{'loss': 1.0}] * (epochs - 1)
    checkpoint.restore(model)
    checkpoint.write(model, {'loss': 0.1})
    return checkpoint


def file_in(folder):
    path, = folder.iterdir()
    return path


@pytest.mark.backends
@pytest.mark.parametrize('epochs', [1, 999, 1001])
def test_weights_optimizer_and_learning_curve_are_in_one_file(epochs, model, other, tmp_path):
    written(tmp_path / 'some' / 'training', model, epochs).write(model, {'loss': 0.01})
    assert not same(state(other), state(model))

    checkpoint = Checkpoint(tmp_path / 'some' / 'training')
    checkpoint.restore(other)

    assert checkpoint.history == [{'loss': 1.0}] * (epochs - 1) + [{'loss': 0.1}, {'loss': 0.01}]
    assert same(state(other), state(model))
    file_in(tmp_path / 'some' / 'training')


def test_home_folder(model, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))

    written('~/training', model)

    assert file_in(tmp_path / 'training').name == 'checkpoint.npz'


@pytest.mark.skipif(sys.platform == 'win32', reason='has no such limits')
def test_full_disk_keeps_the_epochs_before(model, other, tmp_path):
    """The limit on the size of a file stands for a full disk."""
    checkpoint, before = written(tmp_path, model), state(model)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError) as raised:
            checkpoint.write(other, {'loss': 0.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert f'checkpoint {tmp_path}/checkpoint.npz cannot be written: ' in str(raised.value)
    assert 'Epochs before are kept. Make sure that its folder is writable and has space' in str(raised.value)
    assert checkpoint.history == [{'loss': 0.1}]
    again = Checkpoint(tmp_path)
    again.restore(model)
    assert again.history == [{'loss': 0.1}] and same(state(model), before)
    file_in(tmp_path)


def test_folder_that_cannot_be_created_is_found_before_training(model, tmp_path):
    (tmp_path / 'file').touch()

    for folder in (tmp_path / 'file', tmp_path / 'file' / 'training'):
        with pytest.raises(OSError, match=f'The checkpoint {folder}/checkpoint.npz cannot be written: '):
            Checkpoint(folder).restore(model)
    with pytest.raises(ValueError, match='folder must be the path of a file or folder, as text or `Path`, got 7'):
        Checkpoint(7)


def test_flipped_bytes_are_found(model, other, tmp_path, rng):
    """Where they change nothing that is read, such as the time of a file in the archive, nothing is lost."""
    written(tmp_path, model)
    path, before, harmless = file_in(tmp_path), state(other), 0
    content = path.read_bytes()
    for _ in range(200):
        damaged = bytearray(content)
        for index in rng.integers(len(content), size=rng.integers(1, 20)):
            damaged[index] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        checkpoint = Checkpoint(tmp_path)
        try:
            checkpoint.restore(other)
        except ValueError as error:
            assert str(error).startswith(f'The checkpoint {path} is damaged (')
            assert str(error).endswith('). Delete it to train anew.')
            assert checkpoint.history == [] and same(state(other), before)
        else:
            assert checkpoint.history == [{'loss': 0.1}] and same(state(other), state(model))
            harmless += 1
            put_back(other, before)
    assert harmless < 100


def without(name):
    return lambda arrays: arrays.pop(name)


@pytest.mark.parametrize('change', [
    without('history'), without('weight-0'), without('optimizer-2'),
    lambda arrays: arrays.update(history=np.frombuffer(b'{}', dtype='uint8')),
    lambda arrays: arrays.update(history=np.frombuffer(b'[1', dtype='uint8')),
    lambda arrays: arrays.update(history=np.frombuffer(b'[1]', dtype='uint8')),
    lambda arrays: arrays.update({'weight-0': arrays['weight-0'].T}),
    lambda arrays: arrays.update({'weight-0': arrays['weight-0'].astype('S')}),
    lambda arrays: arrays.update({'weight-0': arrays['weight-0'].astype(object)})])
def test_file_of_another_form(change, model, tmp_path):
    written(tmp_path, model)
    path, before = file_in(tmp_path), state(model)
    with np.load(path) as npz:
        arrays = dict(npz)
    change(arrays)
    np.savez(path, **arrays)

    with pytest.raises(ValueError, match=f'The checkpoint {path} is damaged .*Delete it to train anew'):
        Checkpoint(tmp_path).restore(model)
    assert same(state(model), before)


@pytest.mark.parametrize('make', [os.mkdir, os.mkfifo, lambda path: os.symlink('nowhere', path)])
def test_what_is_no_file(make, model, tmp_path):
    make(tmp_path / 'checkpoint.npz')

    with pytest.raises(ValueError, match='checkpoint.npz is damaged .it is no file.. Delete it'):
        Checkpoint(tmp_path).restore(model)


def test_two_trainings_in_one_folder_do_no_harm(model, other, tmp_path):
    def train(model):
        checkpoint = Checkpoint(tmp_path)
        for number in range(20):
            checkpoint.write(model, {'loss': float(number)})

    states = state(model), state(other)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(train, (model, other)))

    checkpoint, third = Checkpoint(tmp_path), trained_model(2)
    checkpoint.restore(third)
    assert len(checkpoint.history) == 20
    assert any(same(state(third), expected) for expected in states)
    file_in(tmp_path)
