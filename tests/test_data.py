import hashlib
import os
import pickle
import socket

import keras
import numpy as np
import pytest
from scipy.ndimage import center_of_mass

import vae_opt_util
from vae_opt_util import DataUnavailableError, load_data, load_digits, load_mnist


@pytest.fixture
def arrays(rng):
    return {'x_train': rng.integers(0, 256, (20, 28, 28), dtype='uint8'), 'y_train': np.arange(20, dtype='uint8') % 10,
            'x_test': rng.integers(0, 256, (10, 28, 28), dtype='uint8'), 'y_test': np.arange(10, dtype='uint8')}


@pytest.fixture
def npz(arrays, tmp_path, monkeypatch):
    """A small file in MNIST's form, taken for MNIST by its hashes."""
    monkeypatch.delenv('MNIST_NPZ', raising=False)
    monkeypatch.setattr(vae_opt_util, 'MNIST_SHA256',
                        {key: hashlib.sha256(array.tobytes()).hexdigest() for key, array in arrays.items()})
    path = tmp_path / 'mnist.npz'
    np.savez(path, **arrays)
    return path


@pytest.fixture
def no_network(monkeypatch):
    def fail():
        fail.timeout = socket.getdefaulttimeout()
        raise Exception('URL fetch failure')

    monkeypatch.delenv('MNIST_NPZ', raising=False)
    monkeypatch.setattr(keras.datasets.mnist, 'load_data', fail)
    timeout = socket.getdefaulttimeout()
    yield fail
    socket.setdefaulttimeout(timeout)


def check_form(data):
    for x, y in data:
        assert x.dtype == np.float32 and x.shape == (len(x), 28, 28, 1)
        assert 0 <= x.min() and x.max() <= 1
        assert np.issubdtype(y.dtype, np.integer) and y.shape == (len(x),)
        assert set(y) == set(range(10))


def test_mnist_from_path(npz, arrays):
    (x_train, y_train), (x_test, y_test) = data = load_mnist(npz)

    check_form(data)
    np.testing.assert_allclose(x_train[..., 0] * 255, arrays['x_train'], atol=1e-4)
    np.testing.assert_allclose(x_test[..., 0] * 255, arrays['x_test'], atol=1e-4)
    np.testing.assert_array_equal(y_train, arrays['y_train'])
    np.testing.assert_array_equal(y_test, arrays['y_test'])


def test_order_of_places(npz, arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.datasets.mnist, 'load_data', lambda: (
        (arrays['x_train'], arrays['y_train']), (arrays['x_test'], arrays['y_test'])))
    check_form(load_mnist())

    monkeypatch.setenv('MNIST_NPZ', str(tmp_path / 'missing.npz'))
    check_form(load_mnist(npz))
    with pytest.raises(DataUnavailableError, match=r'missing\.npz.*environment variable MNIST_NPZ'):
        load_mnist()
    with pytest.raises(DataUnavailableError, match=r'other\.npz.*path'):
        load_mnist(tmp_path / 'other.npz')


def test_other_data_is_not_taken_for_mnist(npz, arrays):
    np.savez(npz, **{**arrays, 'y_test': arrays['y_test'][::-1]})

    with pytest.raises(ValueError, match="'y_test'.*sha256"):
        load_mnist(npz)


@pytest.mark.parametrize('damage', ['bytes', 'truncated', 'empty', 'key'])
def test_damaged_file(npz, arrays, damage):
    if damage == 'key':
        np.savez(npz, x_train=arrays['x_train'])
    else:
        npz.write_bytes({'bytes': b'not an archive', 'truncated': npz.read_bytes()[:-3000], 'empty': b''}[damage])

    with pytest.raises(ValueError, match=r'mnist\.npz cannot be read.*new copy'):
        load_mnist(npz)


def test_file_does_not_execute_code(npz, arrays, tmp_path):
    class Exploit:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'executed'),)

    np.savez(npz, **{**arrays, 'y_test': np.array([Exploit()], dtype=object)})

    with pytest.raises(ValueError, match='cannot be read'):
        load_mnist(npz)
    assert not (tmp_path / 'executed').exists()
    pickle.loads(pickle.dumps(Exploit()))
    assert (tmp_path / 'executed').exists()


def test_mnist_without_network(no_network):
    socket.setdefaulttimeout(7)

    with pytest.raises(DataUnavailableError, match='(?s)path.*MNIST_NPZ.*keras.datasets.mnist.*Connect'):
        load_mnist()
    assert no_network.timeout == 20
    assert socket.getdefaulttimeout() == 7


def test_auto_goes_on_with_digits_and_says_so(no_network, capsys):
    data = load_data('auto')

    assert data.name == 'scikit-learn digits'
    check_form([(data.x_train, data.y_train), (data.x_test, data.y_test)])
    said = capsys.readouterr().out
    assert 'URL fetch failure' in said and 'MNIST_NPZ' in said and 'digits' in said


def test_auto_takes_mnist_where_it_is(npz, monkeypatch, capsys):
    monkeypatch.setenv('MNIST_NPZ', str(npz))

    assert load_data('auto').name == load_data('mnist').name == 'MNIST'
    assert capsys.readouterr().out == ''


def test_mnist_and_damage_are_never_substituted(no_network, tmp_path, monkeypatch):
    with pytest.raises(DataUnavailableError):
        load_data('mnist')
    (tmp_path / 'damaged.npz').write_bytes(b'damaged')
    monkeypatch.setenv('MNIST_NPZ', str(tmp_path / 'damaged.npz'))
    with pytest.raises(ValueError, match='cannot be read'):
        load_data('auto')
    with pytest.raises(ValueError, match="'auto', 'mnist' or 'digits'"):
        load_data('fashion')


def test_digits():
    (x_train, y_train), (x_test, y_test) = data = load_digits()

    check_form(data)
    assert (len(x_train), len(x_test)) == (1437, 360)
    assert np.bincount(y_test).min() >= 34
    centers = np.array([center_of_mass(image[..., 0]) for image in x_test])
    np.testing.assert_allclose(centers, 13.5, atol=0.2)
    assert not {image.tobytes() for image in x_train} & {image.tobytes() for image in x_test}
    np.testing.assert_array_equal(load_digits()[1][0], x_test)


def test_digits_are_read_by_the_mnist_classifier(digits, pretrained):
    for name in ('classifier', 'judge'):
        assert vae_opt_util.evaluate_classifier(pretrained[name], digits.x_test, digits.y_test)['accuracy'] > 0.9


def test_real_mnist(mnist):
    check_form([(mnist.x_train, mnist.y_train), (mnist.x_test, mnist.y_test)])
    assert (mnist.name, len(mnist.x_train), len(mnist.x_test)) == ('MNIST', 60000, 10000)
    assert mnist.y_test[:5].tolist() == [7, 2, 1, 0, 4]
