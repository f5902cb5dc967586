import hashlib
import io
import logging
import os
import pickle
import socket
import zipfile

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from digits.data import (
    MNIST_SHA256,
    DataUnavailableError,
    check_data,
    check_images,
    check_target,
    choose_per_label,
    load_data,
    load_digits,
    load_mnist,
    one_hot,
)
from networks.backend import keras


@pytest.fixture
def arrays(rng):
    return {'x_train': rng.integers(0, 256, (20, 28, 28), dtype='uint8'), 'y_train': np.arange(20, dtype='uint8') % 10,
            'x_test': rng.integers(0, 256, (10, 28, 28), dtype='uint8'), 'y_test': np.arange(10, dtype='uint8')}


@pytest.fixture
def npz(arrays, tmp_path, monkeypatch):
    """A small file in MNIST's form, whose hashes are taken for those of MNIST."""
    monkeypatch.delenv('MNIST_NPZ', raising=False)
    for key, array in arrays.items():
        monkeypatch.setitem(MNIST_SHA256, key, hashlib.sha256(array.tobytes()).hexdigest())
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
    with pytest.raises(FileNotFoundError, match=r'missing\.npz.*environment variable MNIST_NPZ'):
        load_mnist()
    with pytest.raises(FileNotFoundError, match=r'other\.npz.*path'):
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


def with_header(shape):
    """An array's file that claims more rows than it has."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {'descr': '|u1', 'fortran_order': False, 'shape': shape})
    return content.getvalue() + bytes(1000)


def rewritten(npz, compression=zipfile.ZIP_STORED, change=lambda content: content):
    """The file's arrays, changed, in a new archive."""
    with zipfile.ZipFile(npz) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(npz, 'w', compression) as archive:
        for name, content in contents.items():
            archive.writestr(name, change(content))
    return npz.read_bytes()


def flipped(content, index, bits=255):
    return content[:index] + bytes([content[index] ^ bits]) + content[index + 1:]


def encrypted(content):
    entry = content.index(b'PK\x01\x02')
    return flipped(flipped(content, entry + 8, 1), 6, 1)


@pytest.mark.parametrize('damage', [
    lambda npz: flipped(rewritten(npz, zipfile.ZIP_DEFLATED), 200), lambda npz: flipped(rewritten(npz), 5000),
    lambda npz: flipped(rewritten(npz, zipfile.ZIP_LZMA), 200),
    lambda npz: flipped(rewritten(npz, zipfile.ZIP_BZIP2), 200), lambda npz: encrypted(rewritten(npz)),
    lambda npz: rewritten(npz, change=lambda content: with_header((10 ** 12, 28, 28))),
    lambda npz: rewritten(npz, change=lambda content: with_header((10 ** 12, 10 ** 12))),
    lambda npz: rewritten(npz, change=lambda content: content[:100]),
    lambda npz: rewritten(npz, change=lambda content: b''),
    lambda npz: np.save(npz.with_suffix('.npy'), np.zeros(3)) or npz.with_suffix('.npy').read_bytes(),
    lambda npz: pickle.dumps(np.zeros(3))],
    ids=['zlib', 'stored', 'lzma', 'bzip2', 'encrypted', 'claims rows', 'overflow', 'short', 'empty', 'npy', 'pickle'])
def test_damage_of_any_kind(damage, npz):
    npz.write_bytes(damage(npz))

    with pytest.raises(ValueError, match=r'mnist\.npz cannot be read.*new copy'):
        load_mnist(npz)


@pytest.mark.parametrize('compression', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_flipped_bytes(npz, arrays, rng, compression):
    content, harmless = rewritten(npz, compression), 0
    for _ in range(150):
        damaged = bytearray(content)
        for index in rng.integers(len(content), size=rng.integers(1, 4)):
            damaged[index] ^= rng.integers(1, 256)
        npz.write_bytes(damaged)
        try:
            (x, _), _ = load_mnist(npz)
        except ValueError as error:
            assert str(npz) in str(error) and 'new copy' in str(error)
        else:
            np.testing.assert_allclose(x[..., 0] * 255, arrays['x_train'], atol=1e-4)
            harmless += 1
    assert harmless < 75


@pytest.mark.parametrize('change', [
    lambda array: array.view('int8'), lambda array: array.reshape(len(array), -1), lambda array: array[..., np.newaxis],
    lambda array: array.view('V1'), lambda array: array.astype('U3'), lambda array: array.astype('datetime64[s]'),
    lambda array: array[0], lambda array: np.uint8(3), lambda array: array.reshape(-1, 5).view('S5')],
    ids=['int8', 'flat', 'channel', 'void', 'text', 'dates', 'one', 'number', 'bytes'])
def test_arrays_of_another_form(npz, arrays, change):
    np.savez(npz, **{key: change(array) for key, array in arrays.items()})

    with pytest.raises(ValueError, match=r'Arrays x_train and y_train of .*mnist\.npz must be uint8 with shapes '
                                         r'.n, 28, 28. and .n,., got .*Delete the file and get a new copy'):
        load_mnist(npz)


def test_what_is_no_file(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / 'fifo.npz')
    for path in (tmp_path, tmp_path / 'fifo.npz', tmp_path / ('x' * 300), 'http://127.0.0.1:9/mnist.npz', ''):
        with pytest.raises(FileNotFoundError, match='There is no file .*named by the path.*Give the path of an mnist'):
            load_mnist(path)
    for path in (7, 0, [], b'mnist.npz', 'a\0b', '~nobody-has-this-name/mnist.npz'):
        with pytest.raises(ValueError, match='path must be the path of a file or folder, as text or `Path`, got '):
            load_mnist(path)
    monkeypatch.setenv('MNIST_NPZ', '~nobody-has-this-name/mnist.npz')
    with pytest.raises(ValueError, match='environment variable MNIST_NPZ must be the path'):
        load_mnist()


def test_home_folder(npz, monkeypatch):
    monkeypatch.setenv('HOME', str(npz.parent))
    check_form(load_mnist('~/mnist.npz'))
    monkeypatch.setenv('MNIST_NPZ', '~/mnist.npz')
    check_form(load_mnist())


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


def test_auto_falls_back_to_digits_with_a_warning(no_network, capfd, caplog):
    data = load_data('auto')

    assert data.name == 'scikit-learn digits'
    check_form([(data.x_train, data.y_train), (data.x_test, data.y_test)])
    (logger, level, message), = caplog.record_tuples
    assert (logger, level) == ('digits.data', logging.WARNING) and message.startswith('NOT MNIST. ')
    assert 'URL fetch failure' in message and 'MNIST_NPZ' in message and 'digits' in message
    assert capfd.readouterr().out == ''


def test_auto_takes_mnist_if_it_is_available(npz, monkeypatch, caplog):
    monkeypatch.setenv('MNIST_NPZ', str(npz))

    assert load_data('auto').name == load_data('mnist').name == 'MNIST'
    assert caplog.records == []


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


def test_real_mnist(mnist):
    check_form([(mnist.x_train, mnist.y_train), (mnist.x_test, mnist.y_test)])
    assert (mnist.name, len(mnist.x_train), len(mnist.x_test)) == ('MNIST', 60000, 10000)
    assert mnist.y_test[:5].tolist() == [7, 2, 1, 0, 4]


def test_one_hot():
    np.testing.assert_array_equal(one_hot(np.array([2, 0])), np.eye(10)[[2, 0]])
    assert one_hot(np.array([9])).dtype == np.float32
    with pytest.raises(ValueError, match='Labels must lie in 0 to 9'):
        one_hot(np.array([10]))


def test_pixels_out_of_range():
    x = np.zeros((2, 28, 28, 1), dtype='float32')
    for value in (np.nan, np.inf, -np.inf):
        x[1, 3] = value
        with pytest.raises(ValueError, match=r'Pixels must lie in \[0, 1\], got NaN or infinity. Leave such images'):
            check_images(x)
    for value in (-1, 1.5, 255):
        x[1, 3] = value
        with pytest.raises(ValueError, match=r'got values from .* to .*Divide bytes by 255, and scale other values'):
            check_images(x)


def test_a_training_needs_images_of_both_kinds(few_digits):
    (x_train, _), (_, y_test) = check_data(few_digits)
    assert x_train is few_digits.x_train and y_test is few_digits.y_test
    x, y = x_train[:0], y_test[:0]
    for data, part in ((few_digits._replace(x_train=x, y_train=y), 'training'),
                       (few_digits._replace(x_test=x, y_test=y), 'test')):
        with pytest.raises(ValueError, match=f'There are no {part} images. A training needs both training and test'):
            check_data(data)


@pytest.mark.parametrize('target', [-1, 10, 2.0, '4', None])
def test_bad_target(target):
    with pytest.raises(ValueError, match='target must be a label, an integer from 0 to 9'):
        check_target(target)


def test_choose_per_label(digits):
    chosen, same, other = (choose_per_label(digits.y_train, 7, seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(digits.y_train[chosen], np.repeat(np.arange(10), 7))
    assert len(set(chosen)) == 70
    np.testing.assert_array_equal(chosen, same)
    assert set(chosen) != set(other)


def test_choose_all_of_a_label_and_no_more():
    y = np.append(np.tile(np.arange(10), 3), [0, 1, 2, 3, 4, 5, 6, 8, 9])

    assert set(np.flatnonzero(y == 7)) == set(choose_per_label(y, 3)[21:24])
    with pytest.raises(ValueError, match='3 images of label 7, fewer than 4'):
        choose_per_label(y, 4)
    with pytest.raises(ValueError, match='0 images of label 9'):
        choose_per_label(np.arange(9), 1)
    with pytest.raises(ValueError, match='num must be an integer of at least 1'):
        choose_per_label(y, 0)
    for bad in (y + 1, y - 1, y / 2, y[:, np.newaxis]):
        with pytest.raises(ValueError, match='Labels must'):
            choose_per_label(bad, 1)


def test_a_file_that_is_named_is_used_or_is_an_error(tmp_path, monkeypatch):
    """No other digits in its place."""
    monkeypatch.setenv('MNIST_NPZ', str(tmp_path / 'mnits.npz'))

    with pytest.raises(FileNotFoundError, match=r'There is no file .*mnits\.npz \(named by the environment variable'):
        load_data('auto')
