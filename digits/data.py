"""MNIST, the digits that come with scikit-learn, and checks of images and labels.

Images are float32 in [0, 1] with shape (n, 28, 28, 1); labels are integers with shape (n,).
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

image_shape = (28, 28, 1)
num_labels = 10

# sha256 of the bytes of MNIST's arrays, uint8 in the canonical order. The hash of a file would depend on its container.
MNIST_SHA256 = {
    'x_train': '741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757',
    'y_train': '1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13',
    'x_test': '6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161',
    'y_test': 'ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5',
}


class Data(NamedTuple):
    """A dataset of digits.

    Attributes:
        name: its name in figures.
        x_train: training images.
        y_train: their labels.
        x_test: test images.
        y_test: their labels.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


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
                             f'(n,), got {x.dtype} with shape {x.shape} and {y.dtype} with shape {y.shape}. Delete '
                             'the file and get a new copy.')
    for key, sha256 in MNIST_SHA256.items():
        if hashlib.sha256(np.ascontiguousarray(arrays[key])).hexdigest() != sha256:
            raise ValueError(f'Array {key!r} of {source} is not that of MNIST: its sha256 differs from the recorded '
                             f'{sha256[:12]}…. Delete the file and get a new copy.')

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
                         f'({error}). Delete the file and get a new copy.') from error


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


def load_data(dataset='auto'):
    """Loads the dataset of the notebook.

    Args:
        dataset: 'mnist' (see `load_mnist`), 'digits' (see `load_digits`), or 'auto': MNIST where it is available, and
            otherwise the digits. The logger of this module then warns, and names the cause and the remedy.

    Returns:
        A `Data` tuple.

    Raises:
        ValueError: `dataset` is none of the three, or an MNIST file is damaged.
        FileNotFoundError: the environment variable MNIST_NPZ names a file that does not exist.
        DataUnavailableError: `dataset` is 'mnist' and MNIST is not available.
    """
    if dataset not in ('auto', 'mnist', 'digits'):
        raise ValueError(f"dataset must be 'auto', 'mnist' or 'digits', got {dataset!r}.")
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


def check_images(x):
    """Returns images as an array.

    Raises:
        ValueError: they are not float32 in [0, 1] with shape (n, 28, 28, 1).
    """
    x = np.asarray(x)
    if x.ndim != 4 or x.shape[1:] != image_shape or x.dtype != np.float32:
        raise ValueError(f'Images must be float32 with shape (n, 28, 28, 1), got {x.dtype} with shape {x.shape}.')
    low, high = x.min(initial=0.0), x.max(initial=0.0)
    if not np.isfinite((low, high)).all():
        raise ValueError('Pixels must lie in [0, 1], got NaN or infinity. Leave such images out, or mend what makes '
                         'them.')
    if low < 0.0 or high > 1.0:
        raise ValueError(f'Pixels must lie in [0, 1], got values from {low} to {high}. Divide bytes by 255, and scale '
                         'other values to [0, 1].')
    return x


def check_labels(y, n):
    """Returns the labels of `n` images as an array.

    Raises:
        ValueError: they are not integers from 0 to 9 with shape (n,).
    """
    y = np.asarray(y)
    if y.shape != (n,) or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f'Labels must be integers with shape ({n},), one an image, got {y.dtype} with shape '
                         f'{y.shape}.')
    if n and not (y.min() >= 0 and y.max() < num_labels):
        raise ValueError(f'Labels must lie in 0 to 9, got values from {y.min()} to {y.max()}.')
    return y


def check_data(data):
    """Returns the images and labels of a `Data` tuple as arrays: `(x_train, y_train), (x_test, y_test)`.

    Raises:
        ValueError: there are no training or no test images, or images or labels have another form.
    """
    sets = []
    for part, x, y in (('training', data.x_train, data.y_train), ('test', data.x_test, data.y_test)):
        x = check_images(x)
        if len(x) == 0:
            raise ValueError(f'There are no {part} images. A training needs both training and test images: set some '
                             'apart.')
        sets.append((x, check_labels(y, len(x))))
    return tuple(sets)


def check_target(target):
    """Checks the label that a search is for.

    Raises:
        ValueError: `target` is not an integer from 0 to 9.
    """
    if not isinstance(target, (int, np.integer)) or not 0 <= target < num_labels:
        raise ValueError(f'target must be a label, an integer from 0 to 9, got {target!r}.')


def one_hot(y):
    """Encodes labels (n,) for a conditional model: float32 (n, 10), 1 in the column of the label and 0 elsewhere."""
    return np.eye(num_labels, dtype='float32')[check_labels(y, len(y))]


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
