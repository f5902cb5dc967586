"""Images of a user's own: files, their errors, and networks and figures for other images and labels than MNIST's."""

import os
import subprocess
import sys

import numpy as np
import pytest

from digits.data import check_target, choose_examples, load_data, load_mnist
from digits.figures import plot_images, plot_latent_spaces, plot_nll
from digits.image_figures import plot_top
from latent_search import create_grid


def arrays_of(rng, shape=(32, 20, 3), kind='labels', num=60):
    """Bytes with labels, numbers or neither."""
    images = {f'x_{part}': rng.integers(0, 256, (num, *shape), dtype='uint8') for part in ('train', 'test')}
    labels = {'labels': np.arange(num) % 3, 'numbers': np.linspace(-1, 2, num)}
    return images | ({f'y_{part}': labels[kind] for part in ('train', 'test')} if kind in labels else {})


@pytest.fixture
def load(tmp_path):
    """Writes arrays to mine.npz and loads that."""
    def load(arrays):
        np.savez(tmp_path / 'mine.npz', **arrays)
        return load_data(str(tmp_path / 'mine.npz'))

    return load


@pytest.mark.parametrize('shape, image_shape', [((32, 20, 3), (32, 20, 3)), ((18, 18), (18, 18, 1)),
                                                ((40, 40, 1), (40, 40, 1))])
def test_own_images_and_labels(shape, image_shape, load, rng):
    arrays = arrays_of(rng, shape)
    data = load(arrays | {'y_train': arrays['y_train'].astype('uint8')[:, np.newaxis]})  # As in CIFAR-10.

    assert (data.name, data.num_labels, data.image_shape) == ('mine.npz', 3, image_shape)
    assert data.x_train.dtype == data.x_test.dtype == np.float32 and data.y_train.dtype == np.int64
    np.testing.assert_allclose(255 * data.x_test, arrays['x_test'].reshape(60, *image_shape), atol=1e-4)
    np.testing.assert_array_equal(data.y_train, arrays['y_train'])
    shown, captions = choose_examples(data)
    assert list(shown) == [0, 1, 2] and captions == ['0', '1', '2']


def test_own_images_with_numbers_or_without_labels(load, rng):
    numbers = load(arrays_of(rng, kind='numbers'))
    nothing = load(arrays_of(rng, kind='nothing'))

    assert numbers.num_labels == nothing.num_labels == 0 and numbers.y_train.dtype == np.float32
    assert nothing.y_train is None and nothing.y_test is None
    shown, captions = choose_examples(numbers)
    assert (np.diff(numbers.y_test[shown]) > 0).all() and (captions[0], captions[-1]) == ('-1', '2')
    assert choose_examples(nothing)[1] == [''] * 10


def test_floats_are_taken_as_they_are(load, rng):
    arrays = arrays_of(rng, kind='nothing')
    x = arrays['x_train'] / 255

    np.testing.assert_allclose(load(arrays | {'x_train': x}).x_train, x, atol=1e-6)


@pytest.mark.parametrize('changes, message', [
    ({'x_train': np.zeros((60, 31, 20, 3), dtype='uint8')}, r'x_train in .*mine\.npz: .*even height.*\(31, 20, 3\)'),
    ({'x_train': np.zeros((60, 32, 16, 3), dtype='uint8')}, r'x_train .* 18 pixels or more .*got \(32, 16, 3\)'),
    ({'x_train': np.zeros((60, 32, 20, 2), dtype='uint8')}, r'x_train .* 1 or 3 channels, .*Cut, pad or scale'),
    ({'x_test': np.zeros((60, 32, 32, 3), dtype='uint8')}, r'x_test in .*shape \(n, 32, 20, 3\), got'),
    ({'x_test': np.zeros((9, 32, 20, 3), dtype='uint8')}, 'x_test in .*20 images or more, got 9'),
    ({'x_train': np.zeros((60, 32, 20, 3), dtype='int64')}, r'x_train .*bytes \(uint8\), or floats .*got int64'),
    ({'x_train': np.full((60, 32, 20, 3), 200.0)}, 'x_train .*Pixels must lie in .*Divide bytes by 255'),
    ({'y_train': np.arange(60) % 3 + 1}, r'y_train .*all integers from 0 to 3.*got 3 labels.*np\.unique'),
    ({'y_train': np.arange(60) * 10 ** 15}, 'y_train .*five images or more each, got 60 labels'),
    ({'y_train': np.zeros(60, dtype='uint8')}, 'y_train .*integers from 0 to 1.*got 1 labels'),
    ({'y_test': np.arange(60) % 4}, 'y_test in .*Labels must lie in 0 to 2, got values from 0 to 3'),
    ({'y_test': np.arange(60) % 2}, 'y_test in .*got 2 labels'),
    ({'y_test': np.repeat([0, 1, 2], [30, 26, 4])}, 'y_test in .*got 3 labels, 4 images of label 2'),
    ({'y_test': np.linspace(0, 1, 60)}, 'y_test in .*Labels must be integers with shape .60,.*got float64'),
    ({'y_train': np.array(['cat', 'dog'] * 30)}, 'y_train in .*Labels must be integers, or numbers.*got <U3'),
    ({'y_train': np.linspace(300, 310, 60)}, 'y_train in .*Numbers must lie in −10 to 10.*got 300 to 310.*Scale them'),
    ({'y_train': np.linspace(0, 0.01, 60)}, 'y_train in .*deviation of 0.1 or more.*deviation 0.0'),
    ({'y_train': np.full(60, np.nan)}, 'y_train in .*Numbers must be finite'),
    ({'y_train': np.zeros(59, dtype='int64')}, r'y_train in .*shape \(60,\)')])
def test_wrong_arrays_are_named_with_their_file(changes, message, load, rng):
    with pytest.raises(ValueError, match=message):
        load(arrays_of(rng) | changes)


def test_wrong_files(load, rng, tmp_path):
    arrays = arrays_of(rng)
    with pytest.raises(ValueError, match=r'mine\.npz must hold the arrays x_train and .*got x_train, x_test, y_trn'):
        load({'x_train': arrays['x_train'], 'x_test': arrays['x_test'], 'y_trn': arrays['y_train']})
    with pytest.raises(FileNotFoundError, match=r'There is no file /.*nothing\.npz\. Give the whole path'):
        load_data('nothing.npz')
    (tmp_path / 'text.npz').write_text('nothing')
    with pytest.raises(ValueError, match=r'text\.npz cannot be read as an npz archive'):
        load_data(tmp_path / 'text.npz')
    with pytest.raises(ValueError, match=r"or the path of an npz file with images of your own, got 'mine.png'"):
        load_data('mine.png')


def test_own_file_does_not_execute_code(load, rng, tmp_path):
    class Exploit:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'executed'),)

    with pytest.raises(ValueError, match='cannot be read as an npz archive'):
        load(arrays_of(rng) | {'y_train': np.array([Exploit()] * 60, dtype=object)})
    assert not (tmp_path / 'executed').exists()


def test_mnist_says_where_other_images_belong(tmp_path, rng):
    np.savez(tmp_path / 'mine.npz', **arrays_of(rng, (28, 28)) | {
        f'y_{part}': np.arange(60, dtype='uint8') % 10 for part in ('train', 'test')})

    with pytest.raises(ValueError, match="sha256 differs.*set dataset = 'path/to/file.npz' instead of MNIST_NPZ"):
        load_mnist(tmp_path / 'mine.npz')


def test_target_is_one_of_the_labels():
    check_target(10, 11)
    with pytest.raises(ValueError, match='an integer from 0 to 2, got 3'):
        check_target(3, 3)


def test_figures_of_own_images(rng):
    images = rng.random((4, 32, 20, 3))
    top = {target: {'values': np.arange(4.0), 'images': images, 'property': np.array([0.5, 0.25, 1, 2])}
           for target in (0.5, 1)}

    figure = plot_top(top, 'slants')

    axis, = figure.axes
    assert [text.get_text() for text in axis.texts][:3] == ['0.5', '0.00', '0.50']
    assert figure.alt.endswith('The property of the best: 0.50, 0.50.')
    montage, (left, right, bottom, top_edge) = axis.images[0].get_array(), axis.images[0].get_extent()
    assert montage.shape[2] == 3 and (right - left, bottom - top_edge) == (3 * 36 + 28, 47 + 28)
    for i, image in enumerate(images):
        column = round((36 * i + 14) * 32 / 28 - 10)
        np.testing.assert_array_equal(montage[:32, column:column + 20], image)
    assert plot_images(images, list('abcd'), 'own').axes[3].images[0].get_array().shape == (32, 20, 3)


@pytest.mark.parametrize('y, rows, bars', [(np.arange(33) % 3, 2, ['Label', 'Value']), (None, 1, []),
                                           (np.arange(33) % 11, 2, ['Label', 'Value']),
                                           (np.linspace(0, 1, 33), 1, ['Number'])])
def test_latent_spaces_of_own_images(y, rows, bars, rng):
    figure = plot_latent_spaces([rng.normal(size=(33, 2))] * 2, y, ['a', 'b'], 'own')

    panels = [axis for axis in figure.axes if axis.get_title()]
    assert len(panels) == 2 * rows
    assert [axis.get_ylabel() for axis in figure.axes if axis not in panels] == bars
    assert len(panels[0].texts) == (0 if rows == 1 else y.max() + 1)


@pytest.mark.parametrize('num', [2, 7])
def test_objectives_of_own_labels(num, rng):
    gx, gy, t = create_grid([(-4, 4)] * 2, points=4)

    figure = plot_nll(gx, gy, rng.uniform(2, 9, (16, num)), 'own')

    assert [axis.get_title().split(':')[0] for axis in figure.axes if axis.get_title()] == [
        str(target) for target in range(num)]


def test_objectives_measures_and_figures_are_imported_without_keras():
    code = """
import sys
import digits.figures, digits.image_figures, digits.measures, digits.objectives, digits.tables, latent_search
import networks.prediction
print({'keras', 'tensorflow', 'GPyOpt'} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)

    assert done.stdout == 'set()\n'
