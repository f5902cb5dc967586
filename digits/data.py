"""MNIST, the digits that come with scikit-learn, images of your own, and checks of images and labels.

Images are float32 in [0, 1] with shape (n, height, width, channels), MNIST's with (n, 28, 28, 1); labels are integers
with shape (n,), and numbers of your own are floats.
"""

import hashlib
import logging
import os
import socket
from typing import NamedTuple

import numpy as np

from latent_search.points import check_integer
from networks.files import check_path, read_arrays

logger = logging.getLogger(__name__)

# MNIST's.
image_shape = (28, 28, 1)
num_labels = 10

# The classifier's convolutions without padding leave nothing of a smaller image.
smallest_side = 18

# sha256 of the bytes of MNIST's arrays, uint8 in the canonical order. The hash of a file would depend on its container.
MNIST_SHA256 = {
    'x_train': '741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757',
    'y_train': '1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13',
    'x_test': '6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161',
    'y_test': 'ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5',
}

_remedy = ('Delete the file and get a new copy. If it holds images of your own, set '
           "dataset = 'path/to/file.npz' instead of MNIST_NPZ.")


class Data(NamedTuple):
    """A dataset of images.

    Attributes:
        name: its name in figures.
        x_train: training images.
        y_train: their labels, or a number for each, or None.
        x_test: test images.
        y_test: their labels, numbers, or None, as `y_train`.
        num_labels: how many labels there are; 0 where each image has a number, or nothing.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray | None
    x_test: np.ndarray
    y_test: np.ndarray | None
    num_labels: int = num_labels

    @property
    def image_shape(self):
        """Height, width and channels of an image."""
        return self.x_train.shape[1:]


class DataUnavailableError(OSError):
    """MNIST was not found in any of the places that were searched."""


# ---------------------------------------------------------------------------------------------------------------------
# Datasets
# ---------------------------------------------------------------------------------------------------------------------


def load_mnist(path=None):
    """Loads MNIST from a file, or through Keras from its cache or the network.

    Args:
        path: an `mnist.npz` file; without it the environment variable `MNIST_NPZ` names one, and without that
            `keras.datasets.mnist` looks in its cache and downloads.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images float32 in [0, 1] with shapes (60000, 28, 28, 1) and
        (10000, 28, 28, 1), labels int64 with shapes (60000,) and (10000,).

    Raises:
        FileNotFoundError: the named file does not exist.
        DataUnavailableError: no file is named, and Keras has no copy and cannot download one.
        ValueError: the file is not an npz archive of MNIST's arrays, whose form and sha256 are checked.
    """
    if path is not None:
        source, arrays = _read_mnist_npz(path, 'path')
    elif os.environ.get('MNIST_NPZ'):
        source, arrays = _read_mnist_npz(os.environ['MNIST_NPZ'], 'environment variable MNIST_NPZ')
    else:
        source, arrays = 'keras.datasets.mnist', _download_mnist()

    for part in ('train', 'test'):
        x, y = arrays[f'x_{part}'], arrays[f'y_{part}']
        if {x.dtype, y.dtype} != {np.dtype('uint8')} or x.shape != (*y.shape, 28, 28) or y.ndim != 1:
            raise ValueError(f'Arrays x_{part} and y_{part} of {source} must be uint8 with shapes (n, 28, 28) and '
                             f'(n,), got {x.dtype} with shape {x.shape} and {y.dtype} with shape {y.shape}. '
                             + _remedy)
    for key, sha256 in MNIST_SHA256.items():
        if hashlib.sha256(np.ascontiguousarray(arrays[key])).hexdigest() != sha256:
            raise ValueError(f'Array {key!r} of {source} is not that of MNIST: its sha256 differs from the recorded '
                             f'{sha256[:12]}…. {_remedy}')

    def images(x):
        return (x.astype('float32') / 255.0)[..., np.newaxis]

    return ((images(arrays['x_train']), arrays['y_train'].astype('int64')),
            (images(arrays['x_test']), arrays['y_test'].astype('int64')))


def _read_mnist_npz(path, named_by):
    path = check_path(named_by, path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'There is no file {path} (named by the {named_by}). Give the path of an mnist.npz, or '
                                'name none to let keras.datasets.mnist download it.')
    try:
        return path, read_arrays(path, MNIST_SHA256)
    except ValueError as error:
        raise ValueError(f'{path} cannot be read as an npz archive with the arrays {", ".join(MNIST_SHA256)} '
                         f'({error}). {_remedy}') from error


def _download_mnist():
    from networks.backend import keras  # Only this needs Keras, which takes seconds to start.

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # Seconds. Without it a network that swallows packets hangs for minutes.
    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises a bare Exception where the download fails.
        raise DataUnavailableError(
            'MNIST is not available: no path was given, the environment variable MNIST_NPZ is not set, and '
            f'keras.datasets.mnist has no copy in its cache and cannot download one ({error}). Connect to the network, '
            'or set MNIST_NPZ to the path of an mnist.npz.') from error
    finally:
        socket.setdefaulttimeout(timeout)
    return {'x_train': x_train, 'y_train': y_train, 'x_test': x_test, 'y_test': y_test}


def load_digits():
    """Loads scikit-learn's bundled handwritten digits in MNIST's form, for use where MNIST itself is not available.

    The 1,797 images of 8×8 pixels are enlarged to 18×18 with cubic interpolation and centred by mass in 28×28. MNIST
    was made from larger scans in this way. A fixed, stratified fifth of the images is the test set.

    Returns:
        `(x_train, y_train), (x_test, y_test)` with the dtypes and ranges of `load_mnist`, 1,437 and 360 images.
    """
    from scipy.ndimage import center_of_mass, shift, zoom
    from sklearn.datasets import load_digits as load_bundled_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_bundled_digits(return_X_y=True)
    x = np.zeros((len(images), *image_shape), dtype='float32')
    for canvas, image in zip(x[..., 0], images.reshape(-1, 8, 8) / 16.0, strict=True):
        canvas[5:23, 5:23] = np.clip(zoom(image, 18 / 8, order=3), 0, 1)
        offset = 13.5 - np.array(center_of_mass(canvas))
        canvas[...] = np.clip(shift(canvas, offset, order=1), 0, 1)
    x_train, x_test, y_train, y_test = train_test_split(
        x, labels.astype('int64'), test_size=0.2, random_state=0, stratify=labels)
    return (x_train, y_train), (x_test, y_test)


def load_own(path):
    """Loads images of your own from an npz archive with the arrays of Keras's datasets.

        np.savez('mine.npz', x_train=x[100:], y_train=y[100:], x_test=x[:100], y_test=y[:100])
        data = load_own('mine.npz')

    Args:
        path: of the archive. `x_train` and `x_test` are images: bytes, or floats in [0, 1], with shape
            (n, height, width) or (n, height, width, channels); see `check_image_shape`. `y_train` and `y_test` are
            labels: integers from 0 up with shape (n,) or (n, 1), five images or more of each; or a number for each
            image: floats from −10 to 10. Without these two arrays there are no labels.

    Returns:
        A `Data` tuple, whose name is that of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no archive of arrays, or an array has another form. The message names both.
    """
    path = check_path('dataset', path).absolute()
    if not path.is_file():
        raise FileNotFoundError(f'There is no file {path}. Give the whole path of an npz file as dataset.')
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise ValueError(f'{path} cannot be read as an npz archive of arrays ({error}). Write it by '
                         'np.savez.') from error
    if arrays.keys() not in (MNIST_SHA256.keys(), {'x_train', 'x_test'}):
        raise ValueError(f'{path} must hold the arrays x_train and x_test, with labels also y_train and y_test, and no '
                         f'others, got {", ".join(arrays)}. Name them in np.savez(path, x_train=…).')

    def checked(key, check, *arguments):
        try:
            return check(arrays[key], *arguments)
        except ValueError as error:
            raise ValueError(f'{key} in {path}: {error}') from error

    x_train = checked('x_train', _own_images)
    x_test = checked('x_test', _own_images, x_train.shape[1:])
    if 'y_train' not in arrays:
        return Data(path.name, x_train, None, x_test, None, 0)
    y_train = arrays['y_train']
    num = int(y_train.max(initial=0)) + 1 if np.issubdtype(y_train.dtype, np.integer) else 0
    y_train, y_test = (checked(key, _own_labels, len(x), num) for key, x in (('y_train', x_train), ('y_test', x_test)))
    return Data(path.name, x_train, y_train, x_test, y_test, num)


def _own_images(x, shape=None):
    x = x[..., np.newaxis] if x.ndim == 3 else x
    if x.ndim != 4 or x.dtype != np.uint8 and x.dtype.kind != 'f':
        raise ValueError('Images must be bytes (uint8), or floats in [0, 1], with shape (n, height, width) or '
                         f'(n, height, width, channels), got {x.dtype} with shape {x.shape}.')
    check_image_shape(x.shape[1:])
    if len(x) < 20:
        raise ValueError(f'Training and measures need 20 images or more, got {len(x)}.')
    return check_images(x.astype('float32') / (255 if x.dtype == np.uint8 else 1), shape or x.shape[1:])


def _own_labels(y, n, num):
    y = check_labels(y[:, 0] if y.shape == (n, 1) else y, n, num)
    if num:
        present, counts = np.unique(y, return_counts=True)
        if num < 2 or len(present) < num or counts.min() < 5:
            raise ValueError(f'Labels must be all integers from 0 to {max(num, 2) - 1}, with five images or more each, '
                             f'got {len(present)} labels, {counts.min()} images of label {present[counts.argmin()]}. '
                             'Number them by np.unique(labels, return_inverse=True)[1], or save numbers as floats.')
        return y.astype('int64')
    if np.abs(y).max() > 10 or np.std(y) < 0.1:
        raise ValueError('Numbers must lie in −10 to 10, with a standard deviation of 0.1 or more, as the loss of the '
                         f'predictor is their squared error, got {y.min():.3g} to {y.max():.3g}, deviation '
                         f'{np.std(y):.3g}. Scale them, for example (y − mean) / deviation.')
    return y.astype('float32')


def load_data(dataset='auto'):
    """Loads the dataset of the notebook.

    Args:
        dataset: 'mnist' (see `load_mnist`), 'digits' (see `load_digits`), the path of an npz file (see `load_own`), or
            'auto': MNIST where it is available, and otherwise the digits. The logger of this module then warns, and
            names the cause and the remedy.

    Returns:
        A `Data` tuple.

    Raises:
        ValueError: `dataset` is none of these, or a file is damaged or has another form.
        FileNotFoundError: there is no such file, or the environment variable MNIST_NPZ names one that does not exist.
        DataUnavailableError: `dataset` is 'mnist' and MNIST is not available.
    """
    if str(dataset).endswith('.npz'):
        return load_own(dataset)
    if dataset not in ('auto', 'mnist', 'digits'):
        raise ValueError("dataset must be 'auto', 'mnist' or 'digits', or the path of an npz file with images of your "
                         f'own, got {dataset!r}.')
    if dataset != 'digits':
        try:
            train_set, test_set = load_mnist()
            return Data('MNIST', *train_set, *test_set)
        except DataUnavailableError as error:
            if dataset == 'mnist':
                raise
            logger.warning("NOT MNIST. %s\n\nUntil then this runs on scikit-learn's bundled digits, brought to MNIST's "
                           'form. Figures name the data that they show; numbers quoted in the text are those of MNIST.',
                           error)
    train_set, test_set = load_digits()
    return Data('scikit-learn digits', *train_set, *test_set)


# ---------------------------------------------------------------------------------------------------------------------
# Images and labels
# ---------------------------------------------------------------------------------------------------------------------


def check_image_shape(shape):
    """Checks the height, width and channels of images.

    Raises:
        ValueError: our networks cannot be built for them: the decoder doubles half a side, the classifier leaves
            nothing of an image below 18 pixels, and figures show grey or red, green and blue.
    """
    if len(shape) != 3 or shape[2] not in (1, 3) or any(side < smallest_side or side % 2 for side in shape[:2]):
        raise ValueError('Each image must have the shape (height, width, channels), with an even height and width of '
                         f'{smallest_side} pixels or more and 1 or 3 channels, got {tuple(shape)}. Cut, pad or scale '
                         'them.')


def check_images(x, shape=image_shape):
    """Returns images as an array.

    Args:
        x: the images.
        shape: height, width and channels that each must have.

    Raises:
        ValueError: they are not float32 in [0, 1] with shape (n, height, width, channels).
    """
    x = np.asarray(x)
    if x.ndim != 4 or x.shape[1:] != tuple(shape) or x.dtype != np.float32:
        raise ValueError(f'Images must be float32 with shape (n, {", ".join(map(str, shape))}), got {x.dtype} with '
                         f'shape {x.shape}.')
    low, high = x.min(initial=0.0), x.max(initial=0.0)
    if not np.isfinite((low, high)).all():
        raise ValueError('Pixels must lie in [0, 1], got NaN or infinity. Leave such images out, or mend what makes '
                         'them.')
    if low < 0.0 or high > 1.0:
        raise ValueError(f'Pixels must lie in [0, 1], got values from {low} to {high}. Divide bytes by 255, and scale '
                         'other values to [0, 1].')
    return x


def check_labels(y, n, num_labels=num_labels):
    """Returns the labels of `n` images as an array.

    Args:
        y: the labels.
        n: how many images there are.
        num_labels: how many labels there are; 0 where each image has a number instead.

    Raises:
        ValueError: they are not integers from 0 to `num_labels` − 1 with shape (n,), or not finite numbers.
    """
    y, kinds = np.asarray(y), 'iu' if num_labels else 'iuf'
    if y.shape != (n,) or y.dtype.kind not in kinds:
        raise ValueError(f'Labels must be {"integers" if num_labels else "integers, or numbers as floats,"} with shape '
                         f'({n},), one an image, got {y.dtype} with shape {y.shape}.')
    if n and num_labels and not (y.min() >= 0 and y.max() < num_labels):
        raise ValueError(f'Labels must lie in 0 to {num_labels - 1}, got values from {y.min()} to {y.max()}.')
    if not np.isfinite(y).all():
        raise ValueError('Numbers must be finite, got NaN or infinity. Leave such images out.')
    return y


def check_data(data):
    """Returns the images and labels of a `Data` tuple as arrays: `(x_train, y_train), (x_test, y_test)`.

    Labels are None where the data have none.

    Raises:
        ValueError: there are no training or no test images, or images or labels have another form.
    """
    check_image_shape(data.image_shape)
    sets = []
    for part, x, y in (('training', data.x_train, data.y_train), ('test', data.x_test, data.y_test)):
        x = check_images(x, data.image_shape)
        if len(x) == 0:
            raise ValueError(f'There are no {part} images. A training needs both training and test images: set some '
                             'apart.')
        sets.append((x, None if y is None else check_labels(y, len(x), data.num_labels)))
    return tuple(sets)


def check_target(target, num_labels=num_labels):
    """Checks the label that a search is for.

    Raises:
        ValueError: `target` is not an integer from 0 to `num_labels` − 1.
    """
    if not isinstance(target, (int, np.integer)) or not 0 <= target < num_labels:
        raise ValueError(f'target must be a label, an integer from 0 to {num_labels - 1}, got {target!r}.')


def one_hot(y):
    """Encodes labels (n,) for a conditional model: float32 (n, 10), 1 in the column of the label and 0 elsewhere."""
    return np.eye(num_labels, dtype='float32')[check_labels(y, len(y))]


def choose_examples(data, num=10):
    """Chooses test images to show.

    Returns:
        Their indices, and a caption of each. With labels: the first image of each of the first `num` labels. With
        numbers: `num` images from the lowest to the highest. Without labels: the first `num`.
    """
    if data.y_test is None:
        return np.arange(num), [''] * num
    if data.num_labels:
        shown = [np.flatnonzero(data.y_test == label)[0] for label in range(min(num, data.num_labels))]
        return np.array(shown), [str(label) for label in data.y_test[shown]]
    shown = np.argsort(data.y_test)[np.linspace(0, len(data.y_test) - 1, num).astype(int)]
    return shown, [f'{value:.2g}' for value in data.y_test[shown]]


def choose_per_label(y, num, seed=0):
    """Draws `num` of the images of each label: their indices in `y` (n,), label by label.

    Raises:
        ValueError: a label has fewer images than that, or `y` are not labels.
    """
    num, seed = check_integer('num', num, at_least=1), check_integer('seed', seed, at_least=0)
    y = check_labels(y, len(y))
    counts = np.bincount(y, minlength=num_labels)
    if counts.min() < num:
        raise ValueError(f'There are {counts.min()} images of label {counts.argmin()}, fewer than {num}.')
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.choice(np.flatnonzero(y == label), num, replace=False) for label in range(num_labels)])
