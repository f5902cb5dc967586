"""Conditional generation via Bayesian optimization in latent space.

The parts that `notebooks/variational_autoencoder_opt.ipynb` is told with, in the order of its story: data, models,
losses, training, pretrained models, objectives, search, figures.

Conventions: images are float32 in [0, 1] with shape (n, 28, 28, 1); labels are integers with shape (n,); points `t` of
the latent space have shape (n, latent_dim); losses and objectives are in nats, and objectives are minimised.
"""

import csv
import hashlib
import json
import logging
import os
import platform
import socket
import sys
import tempfile
import threading
import time
import warnings
import zipfile
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullLocator
from threadpoolctl import threadpool_limits
from tqdm import tqdm


@contextmanager
def _without_start_up_chatter():
    """Holds back what TensorFlow's C++ code says of itself while it loads; everything else on stderr passes.

    TensorFlow 2.19 and later ignore TF_CPP_MIN_LOG_LEVEL for these lines (tensorflow issue 100442), so they have to be
    caught where they are written, at the file descriptor.
    """
    chatter = ('I0000', 'WARNING: All log messages before absl', 'To enable the following instructions')
    no_gpu = 'failed call to cuInit'
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held_back.seek(0)
            for line in held_back.read().decode(errors='replace').splitlines():
                if not line.startswith(chatter) and no_gpu not in line:
                    print(line, file=sys.stderr)


# TensorFlow and JAX take all memory of a GPU unless told otherwise, and several searches at once share one.
os.environ.setdefault('TF_FORCE_GPU_ALLOW_GROWTH', 'true')
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')

with _without_start_up_chatter():
    import keras
    from keras import layers, ops

    ops.zeros(())  # Starts the backend's devices, which is when it reports a missing GPU.

# Each of our models is compiled once or twice, for one batch size or any. TensorFlow counts them together and warns.
logging.getLogger('tensorflow').addFilter(lambda record: 'triggered tf.function retracing' not in record.getMessage())

image_shape = (28, 28, 1)
num_labels = 10
models_dir = Path(__file__).resolve().parent / 'models'
checkpoints_dir = models_dir.parent / 'build' / 'checkpoints'
benchmark_results_dir = models_dir.parent / 'benchmarks' / 'results'

# ---------------------------------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------------------------------

# sha256 of the bytes of MNIST's arrays, uint8 in the canonical order. The hash of a file would depend on its container.
MNIST_SHA256 = {
    'x_train': '741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757',
    'y_train': '1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13',
    'x_test': '6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161',
    'y_test': 'ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5',
}


class Data(NamedTuple):
    """A dataset of digits: its name, which every figure drawn from it shows, images and labels."""

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class DataUnavailableError(OSError):
    """MNIST could not be had from any of the places where it was looked for."""


def load_mnist(path=None):
    """Loads MNIST from a file, or through Keras from its cache or the network.

    Args:
        path: an `mnist.npz` file; without it the environment variable `MNIST_NPZ` names one, and without that
            `keras.datasets.mnist` looks in its cache and downloads.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images float32 in [0, 1] with shapes (60000, 28, 28, 1) and
        (10000, 28, 28, 1), labels int64 with shapes (60000,) and (10000,).

    Raises:
        DataUnavailableError: a file that is named is not there, or Keras has no copy and cannot download one.
        ValueError: a file is not an npz archive of MNIST's arrays, checked against their sha256.
    """
    source = path or os.environ.get('MNIST_NPZ')
    if source:
        arrays = _read_mnist_npz(Path(source).expanduser(), 'path' if path else 'environment variable MNIST_NPZ')
    else:
        source = 'keras.datasets.mnist'
        arrays = _download_mnist()

    for key, sha256 in MNIST_SHA256.items():
        if hashlib.sha256(np.ascontiguousarray(arrays[key])).hexdigest() != sha256:
            raise ValueError(f'Array {key!r} of {source} is not that of MNIST: its sha256 differs from the recorded '
                             f'{sha256[:12]}…. Delete the file and get a new copy.')

    def images(x):
        return (x.astype('float32') / 255.0)[..., np.newaxis]

    return ((images(arrays['x_train']), arrays['y_train'].astype('int64')),
            (images(arrays['x_test']), arrays['y_test'].astype('int64')))


def _read_mnist_npz(path, named_by):
    if not path.is_file():
        raise DataUnavailableError(f'There is no file {path} (named by the {named_by}). Give the path of an mnist.npz, '
                                   'or name none to let keras.datasets.mnist download it.')
    try:
        with np.load(path, allow_pickle=False) as npz:
            arrays = {key: npz[key] for key in MNIST_SHA256}
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path} cannot be read as an npz archive with the arrays {", ".join(MNIST_SHA256)} '
                         f'({error}). Delete the file and get a new copy.') from error
    return arrays


def _download_mnist():
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # Seconds. Without it a network that swallows packets hangs for minutes.
    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises a bare Exception where the download fails.
        raise DataUnavailableError(
            'MNIST cannot be had: no path was given, the environment variable MNIST_NPZ is not set, and '
            f'keras.datasets.mnist has no copy in its cache and cannot download one ({error}). Connect to the network, '
            'or set MNIST_NPZ to the path of an mnist.npz.') from error
    finally:
        socket.setdefaulttimeout(timeout)
    return {'x_train': x_train, 'y_train': y_train, 'x_test': x_test, 'y_test': y_test}


def load_digits():
    """Loads scikit-learn's bundled handwritten digits in MNIST's form, for where MNIST itself cannot be had.

    The 1,797 images of 8×8 pixels are enlarged to 18×18 with cubic interpolation and centred by mass in 28×28, which
    is how MNIST was made from larger scans. A fixed, stratified fifth of them is the test set.

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
        dataset: 'mnist' (see `load_mnist`), 'digits' (see `load_digits`), or 'auto': MNIST, and where it cannot be
            had the digits, after a printed message that names the cause and the remedy.

    Returns:
        A `Data` tuple.

    Raises:
        ValueError: `dataset` is none of the three, or an MNIST file is damaged.
        DataUnavailableError: `dataset` is 'mnist' and MNIST cannot be had.
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
            print(f"NOT MNIST. {error}\n\nUntil then this runs on scikit-learn's bundled digits, brought to MNIST's "
                  'form. Figures say which data they show; figures quoted in the text are those of MNIST.')
    train_set, test_set = load_digits()
    return Data('scikit-learn digits', *train_set, *test_set)


def _checked_integer(name, value, at_least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < at_least:
        raise ValueError(f'{name} must be an integer of at least {at_least}, got {value!r}.')
    return int(value)


def _checked_images(x):
    x = np.asarray(x)
    if x.ndim != 4 or x.shape[1:] != image_shape or x.dtype != np.float32:
        raise ValueError(f'Images must be float32 with shape (n, 28, 28, 1), got {x.dtype} with shape {x.shape}.')
    if not (x.min(initial=0.0) >= 0.0 and x.max(initial=0.0) <= 1.0):
        raise ValueError(f'Pixels must lie in [0, 1], got values from {x.min()} to {x.max()}. Divide bytes by 255.')
    return x


def one_hot(y):
    """Labels (n,) as a conditional model takes them: float32 (n, 10), 1 in the column of the label and 0 elsewhere."""
    return np.eye(num_labels, dtype='float32')[_checked_labels(y, len(y))]


def _checked_labels(y, n):
    y = np.asarray(y)
    if y.shape != (n,) or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f'Labels must be integers with shape ({n},), one an image, got {y.dtype} with shape '
                         f'{y.shape}.')
    if n and not (y.min() >= 0 and y.max() < num_labels):
        raise ValueError(f'Labels must lie in 0 to 9, got values from {y.min()} to {y.max()}.')
    return y


# ---------------------------------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------------------------------

# Outputs, sampler and KL divergence are float32 whatever the precision: losses are computed from them. So is the
# predictor: neighbours in latent space are nearer to each other than bfloat16 can tell apart. Layers of one model have
# names of their own: with PyTorch, Keras takes weights of the same name for the same.


@keras.saving.register_keras_serializable(package='vae_opt_util')
class Conv2DTranspose(layers.Conv2DTranspose):
    """Keras's layer with a bias gradient that is right in bfloat16.

    TensorFlow's gradient of `bias_add`, which `ops.add(x, bias)` becomes, adds up in bfloat16 on CPUs: of 50,000
    summands of 0.01 it makes 32. With the arguments swapped it is a sum like any other, in float32. `Conv2D` has a
    gradient of its own, which is right.
    """

    def call(self, inputs):
        return self.activation(ops.add(self.bias, ops.conv_transpose(inputs, self.kernel, self.strides, self.padding)))


@keras.saving.register_keras_serializable(package='vae_opt_util')
class KLDivergence(layers.Layer):
    """Passes `[t_mean, t_log_var]` through and adds the batch mean of their KL divergence to the model's loss.

    The divergence is that of N(t_mean, exp(t_log_var)) from N(0, I), see `kl_divergence`. The outputs have to be used
    downstream: Keras drops a layer whose output nothing reads, and its loss with it.
    """

    def call(self, inputs):
        t_mean, t_log_var = inputs
        self.add_loss(ops.mean(kl_divergence(t_mean, t_log_var)))
        return t_mean, t_log_var


@keras.saving.register_keras_serializable(package='vae_opt_util')
class Sampler(layers.Layer):
    """Draws t ~ N(t_mean, exp(t_log_var)) as t_mean + exp(t_log_var / 2) * epsilon, epsilon ~ N(0, I)."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        t_mean, t_log_var = inputs
        epsilon = keras.random.normal(ops.shape(t_mean), dtype=t_mean.dtype, seed=self.seed_generator)
        return t_mean + ops.exp(0.5 * t_log_var) * epsilon

    def get_config(self):
        return {**super().get_config(), 'seed': self.seed}


def create_encoder(latent_dim, conditional=False):
    """Creates the CNN that maps images (n, 28, 28, 1) to `t_mean` and `t_log_var`, each (n, latent_dim).

    A conditional one takes a list of images and of their labels, one-hot (n, 10); see `create_decoder`.
    """
    latent_dim = _checked_integer('latent_dim', latent_dim, at_least=1)
    image = layers.Input(shape=image_shape, name='image')
    inputs = [image, layers.Input(shape=(num_labels,), name='label')] if conditional else image

    x = layers.Conv2D(32, 3, padding='same', activation='relu', name='conv_1')(image)
    x = layers.Conv2D(64, 3, strides=2, padding='same', activation='relu', name='conv_2')(x)
    x = layers.Conv2D(64, 3, padding='same', activation='relu', name='conv_3')(x)
    x = layers.Conv2D(64, 3, padding='same', activation='relu', name='conv_4')(x)
    x = layers.Flatten(name='flatten')(x)
    if conditional:
        x = layers.Concatenate(name='with_label')([x, inputs[1]])
    x = layers.Dense(32, activation='relu', name='dense')(x)
    t_mean = layers.Dense(latent_dim, dtype='float32', name='t_mean')(x)
    t_log_var = layers.Dense(latent_dim, dtype='float32', name='t_log_var')(x)

    return keras.Model(inputs, [t_mean, t_log_var], name='encoder')


def create_decoder(latent_dim, conditional=False):
    """Creates the CNN that maps latent vectors (n, latent_dim) to images (n, 28, 28, 1) with pixels in (0, 1).

    A conditional one takes a list of latent vectors and of labels, one-hot (n, 10), so that what the label says need
    not be in the latent vector (arXiv 1606.05908).
    """
    t = layers.Input(shape=(_checked_integer('latent_dim', latent_dim, at_least=1),), name='t')
    inputs = [t, layers.Input(shape=(num_labels,), name='label')] if conditional else t

    x = layers.Concatenate(name='with_label')(inputs) if conditional else t
    x = layers.Dense(14 * 14 * 64, activation='relu', name='expand')(x)
    x = layers.Reshape((14, 14, 64), name='reshape')(x)
    x = Conv2DTranspose(32, 3, strides=2, padding='same', activation='relu', name='conv_transpose')(x)
    x = layers.Conv2D(1, 3, padding='same', name='logits')(x)
    x = layers.Activation('sigmoid', dtype='float32', name='pixels')(x)

    return keras.Model(inputs, x, name='decoder')


def create_sampler(seed=None):
    """Creates the layer that draws `t` from `[t_mean, t_log_var]`; `seed` fixes its stream of random numbers."""
    return Sampler(seed, dtype='float32', name='sampler')


def create_predictor(latent_dim):
    """Creates the network that predicts label probabilities (n, 10) from `t_mean` (n, latent_dim)."""
    t_mean = layers.Input(shape=(_checked_integer('latent_dim', latent_dim, at_least=1),), name='t_mean')

    x = layers.Dense(128, activation='relu', dtype='float32', name='dense_1')(t_mean)
    x = layers.Dense(128, activation='relu', dtype='float32', name='dense_2')(x)
    x = layers.Dense(num_labels, activation='softmax', dtype='float32', name='label_probs')(x)

    return keras.Model(t_mean, x, name='predictor')


def create_predictor_linear(latent_dim):
    """Creates the network that predicts digit values (n, 1), any real number, from `t_mean` (n, latent_dim)."""
    t_mean = layers.Input(shape=(_checked_integer('latent_dim', latent_dim, at_least=1),), name='t_mean')

    x = layers.Dense(128, activation='relu', dtype='float32', name='dense_1')(t_mean)
    x = layers.Dense(128, activation='relu', dtype='float32', name='dense_2')(x)
    x = layers.Dense(1, dtype='float32', name='value')(x)

    return keras.Model(t_mean, x, name='predictor')


def create_classifier():
    """Creates the CNN that predicts label probabilities (n, 10) from images; the objective searches with it."""
    image = layers.Input(shape=image_shape, name='image')

    x = layers.Conv2D(32, 3, activation='relu', name='conv_1')(image)
    x = layers.MaxPooling2D(name='pool_1')(x)
    x = layers.Conv2D(64, 3, activation='relu', name='conv_2')(x)
    x = layers.MaxPooling2D(name='pool_2')(x)
    x = layers.Conv2D(64, 3, activation='relu', name='conv_3')(x)
    x = layers.Flatten(name='flatten')(x)
    x = layers.Dense(64, activation='relu', name='dense')(x)
    x = layers.Dense(num_labels, activation='softmax', dtype='float32', name='label_probs')(x)

    return keras.Model(image, x, name='classifier')


def create_judge():
    """Creates a second CNN that predicts label probabilities (n, 10) from images.

    It shares neither architecture nor seed with the classifier and never enters an objective, so that what a search
    found can be checked by somebody who did not help to find it. Its layer `features` has 128 units.
    """
    image = layers.Input(shape=image_shape, name='image')

    x = image
    for block, filters in enumerate((32, 64), start=1):
        for step, (kernel_size, strides) in enumerate(((3, 1), (3, 1), (5, 2)), start=1):
            x = layers.Conv2D(filters, kernel_size, strides=strides, padding='same' if strides == 2 else 'valid',
                              activation='relu', name=f'conv_{block}_{step}')(x)
            x = layers.BatchNormalization(name=f'norm_{block}_{step}')(x)
        x = layers.Dropout(0.4, name=f'dropout_{block}')(x)
    x = layers.Flatten(name='flatten')(x)
    x = layers.Dense(128, activation='relu', name='features')(x)
    x = layers.Dropout(0.4, name='dropout')(x)
    x = layers.Dense(num_labels, activation='softmax', dtype='float32', name='label_probs')(x)

    return keras.Model(image, x, name='judge')


def create_joint_model(encoder, decoder, sampler, predictor=None):
    """Composes the joint VAE-predictor model, or the VAE alone where `predictor` is None.

    The model maps images (n, 28, 28, 1) to decoded samples of their posterior, and with a predictor to the list of
    these and of what the predictor reads from `t_mean`, never from a sample. It adds the KL divergence to its loss by
    itself; `train` adds the other parts. `get_layer` gives back 'encoder', 'decoder' and 'predictor'. Of conditional
    encoders and decoders it makes a conditional VAE, a function of a list of images and of their labels, one-hot.
    """
    image = layers.Input(shape=image_shape, name='image')
    label = [layers.Input(shape=(num_labels,), name='label')] if len(encoder.inputs) == 2 else []
    inputs = [image, *label] if label else image
    t_mean, t_log_var = KLDivergence(dtype='float32', name='kl_divergence')(encoder(inputs))
    t = sampler([t_mean, t_log_var])
    t_decoded = decoder([t, *label] if label else t)
    if predictor is None:
        return keras.Model(inputs, t_decoded, name='vae')
    return keras.Model(inputs, [t_decoded, predictor(t_mean)], name='vae_predictor')


# ---------------------------------------------------------------------------------------------------------------------
# Losses
# ---------------------------------------------------------------------------------------------------------------------


def reconstruction_loss(x, x_decoded):
    """Binary cross-entropy of images (n, 28, 28, 1) summed over their pixels: (n,), nats.

    −Σ x log p + (1 − x) log(1 − p), where p is `x_decoded`, kept 1e-7 from 0 and 1.
    With `kl_divergence` it is the negative variational lower bound (−ELBO) of Kingma and Welling, arXiv 1312.6114.
    """
    x, p = ops.convert_to_tensor(x), ops.clip(x_decoded, 1e-7, 1 - 1e-7)
    return -ops.sum(x * ops.log(p) + (1 - x) * ops.log(1 - p), axis=(1, 2, 3))


def kl_divergence(t_mean, t_log_var):
    """KL divergence of N(t_mean, exp(t_log_var)) from N(0, I), summed over latent dimensions: (n,), nats.

    1/2 Σ (t_mean² + exp(t_log_var) − t_log_var − 1), appendix B of arXiv 1312.6114.
    """
    return 0.5 * ops.sum(ops.square(t_mean) + ops.exp(t_log_var) - ops.add(t_log_var, 1), axis=-1)


# ---------------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------------

predictor_weight = 20.0


class Recipe(NamedTuple):
    """How one of the models is trained.

    Attributes:
        epochs: passes over the training images.
        learning_rate_decay: factor on the learning rate after each epoch.
        warm_up_steps: steps over which the learning rate rises to its highest value in the beginning.
        batch_size: images a step.
        learning_rate: that of RMSprop, at its highest.
        ema_momentum: where it is not 0, the weights that are measured and returned are their exponential moving average
            over the steps (Polyak averaging), of which this is the momentum.
    """

    epochs: int
    learning_rate_decay: float = 1.0
    warm_up_steps: int = 0
    batch_size: int = 64
    learning_rate: float = 0.001
    ema_momentum: float = 0.0


# The article has no decay and no warm-up; models/README.md says why some of the models do.
RECIPES = {
    'vae-predictor-off': Recipe(epochs=15),
    'vae-predictor-softmax': Recipe(epochs=15, learning_rate_decay=0.85, warm_up_steps=100),
    'vae-predictor-linear': Recipe(epochs=15),
    'vae-predictor-softmax-10d': Recipe(epochs=15, learning_rate_decay=0.85, warm_up_steps=100),
    'vae-conditional': Recipe(epochs=15, learning_rate_decay=0.85, warm_up_steps=100),
    'classifier': Recipe(epochs=5, learning_rate_decay=0.8, warm_up_steps=100),
    'judge': Recipe(epochs=12, learning_rate_decay=0.7),
}

# Comes near what the article's recipe reaches in less than half of the epochs; README.md compares.
FAST_RECIPE = Recipe(epochs=6, warm_up_steps=300, learning_rate=0.002, ema_momentum=0.998)


# All that `save_pretrained` writes and `load_pretrained` reads. The last are trained by `train_latent_constraints`.
PRETRAINED = (*RECIPES, 'latent-constraints')


def create_model(name, latent_dim=None, seed=0, precision='float32'):
    """Creates one of the models named in `RECIPES`, untrained; `seed` fixes its initial weights and its sampler.

    Without `latent_dim` its latent space has two dimensions, or ten where the name ends in '-10d'. With
    `precision='mixed_bfloat16'` its layers compute in bfloat16, but for those that losses are computed from; all its
    weights are float32.
    It sets the global random seeds of Python, NumPy and Keras. The judge draws from a seed of its own.

    Raises:
        ValueError: there is no model of that name, or a number is not one that it can be made with.
    """
    _checked_model_name(name, RECIPES)
    seed = _checked_integer('seed', seed, at_least=0)
    with _without_start_up_chatter():  # Keras loads TensorFlow here where it is installed, whatever the backend.
        keras.utils.set_random_seed(seed + 1000 if name == 'judge' else seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return _create_model(name, latent_dim, seed)
    finally:
        keras.config.set_dtype_policy(policy)


def _create_model(name, latent_dim, seed):
    if latent_dim is None:
        latent_dim = 10 if name.endswith('-10d') else 2
    if name == 'classifier':
        return create_classifier()
    if name == 'judge':
        return create_judge()
    conditional = name == 'vae-conditional'
    predictor = {'vae-predictor-off': None,
                 'vae-conditional': None,
                 'vae-predictor-softmax': create_predictor,
                 'vae-predictor-softmax-10d': create_predictor,
                 'vae-predictor-linear': create_predictor_linear}[name]
    return create_joint_model(create_encoder(latent_dim, conditional), create_decoder(latent_dim, conditional),
                              create_sampler(seed), predictor and predictor(latent_dim))


def native_precision():
    """'mixed_bfloat16' where this machine computes with it natively, 'float32' elsewhere.

    Native are CPUs with AMX and NVIDIA GPUs from Ampere (compute capability 8.0) on. JAX does not use AMX, and adds up
    the gradients of biases in bfloat16 on CPUs, which leaves little of them.
    """
    native = {'tensorflow': _tensorflow_bfloat16, 'jax': _jax_bfloat16, 'torch': _torch_bfloat16}
    return 'mixed_bfloat16' if native[keras.backend.backend()]() else 'float32'


def _cpu_bfloat16():
    cpuinfo = Path('/proc/cpuinfo')
    return cpuinfo.exists() and 'amx_bf16' in cpuinfo.read_text()


def _tensorflow_bfloat16():
    import tensorflow as tf

    gpus = tf.config.list_physical_devices('GPU')
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get('compute_capability', (0, 0)) >= (8, 0)
    return _cpu_bfloat16()


def _jax_bfloat16():
    import jax

    capability = getattr(jax.devices()[0], 'compute_capability', '')  # Only that of NVIDIA's GPUs is a number.
    return capability[:1].isdigit() and float(capability) >= 8


def _torch_bfloat16():
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False) if torch.cuda.is_available() else _cpu_bfloat16()


def train(name, data, latent_dim=None, epochs=None, batch_size=None, seed=0, checkpoint_dir=None, precision='auto',
          recipe=None):
    """Trains one of the models named in `RECIPES`, with RMSprop.

    VAEs minimise the batch mean of `reconstruction_loss` + `kl_divergence`, plus 20 times the predictor's loss where
    they have one: cross-entropy for labels, mean squared error for values. Classifiers minimise cross-entropy.

    With `checkpoint_dir`, weights and learning curve are written there after each epoch, and a training that was
    interrupted goes on after its last finished epoch as if nothing had happened. A finished one is read back.

    With JAX as Keras's backend, `keras.distribution.set_distribution(keras.distribution.DataParallel())` before it
    shares each batch out among all devices. Their number has to divide the size of every batch: the first, the last,
    which may be smaller, and 400, in which test images are measured.

    Args:
        name: a key of `RECIPES`.
        data: a `Data` tuple.
        latent_dim: dimensions of the latent space, see `create_model`; classifiers have none.
        epochs: passes over the training images; without it those of the recipe.
        batch_size: images a step; without it that of the recipe.
        seed: governs initial weights, order of images, sampler and dropout.
        checkpoint_dir: folder of this training's checkpoint, made where it is missing.
        precision: 'float32', 'mixed_bfloat16' or 'auto', which is what `native_precision` returns.
        recipe: a `Recipe`; without it that of `RECIPES`.

    Returns:
        `(model, history)`: the uncompiled model and a list with a dict an epoch. Its keys are 'seconds' and, for the
        training images as a running mean and with the prefix 'val_' for the test images, the parts of the loss in
        nats: 'reconstruction', 'kl' and 'predictor' (squared digits for values), or 'loss' for classifiers;
        'accuracy' where labels are predicted.

    Raises:
        ValueError: unknown name, bad images, labels or numbers, or a checkpoint that is damaged or was made with other
            settings.
        FloatingPointError: the loss is no longer finite; the checkpoint keeps the epochs before.
    """
    x_train, x_test = _checked_images(data.x_train), _checked_images(data.x_test)
    y_train, y_test = _checked_labels(data.y_train, len(x_train)), _checked_labels(data.y_test, len(x_test))
    if precision not in ('auto', 'float32', 'mixed_bfloat16'):
        raise ValueError(f"precision must be 'auto', 'float32' or 'mixed_bfloat16', got {precision!r}.")
    precision = native_precision() if precision == 'auto' else precision
    model = create_model(name, latent_dim, seed, precision)
    recipe = RECIPES[name] if recipe is None else recipe
    epochs = _checked_integer('epochs', recipe.epochs if epochs is None else epochs, at_least=1)
    batch_size = _checked_integer('batch_size', recipe.batch_size if batch_size is None else batch_size, at_least=1)
    is_vae = name.startswith('vae')

    def inputs(x, y):
        return [x, one_hot(y)] if len(model.inputs) == 2 else x

    def targets(x, y):
        if not is_vae:
            return y
        return [x, y] if len(model.outputs) == 2 else x

    settings = {'name': name, 'recipe': list(recipe), 'data': data.name, 'images': len(x_train),
                'batch_size': batch_size, 'seed': seed, 'precision': precision,
                'architecture': hashlib.sha256(model.to_json().encode()).hexdigest()}
    _compile(model, recipe.ema_momentum)
    steps = -(-len(x_train) // batch_size)
    checkpoint = _Checkpoint(checkpoint_dir, settings)
    history = checkpoint.restore(model, epochs)
    if history:
        print(f'{name}: epochs 1 to {len(history)} of {epochs} read back from {checkpoint.folder}')

    def running_means(on_batch, x, y, order, size):
        # Keras's `fit` would do all this, but the data pipelines that it sets up for TensorFlow can take 20 seconds to
        # come down, one for training and one for test images, and an epoch takes 40.
        seen, sums = 0, {}
        for start in range(0, len(order), size):
            batch = order[start:start + size]
            logs = on_batch(inputs(x[batch], y[batch]), targets(x[batch], y[batch]), return_dict=True)
            seen += len(batch)
            for key, value in _loss_parts(logs, is_vae).items():
                sums[key] = sums.get(key, 0.0) + len(batch) * value
            yield {key: value / seen for key, value in sums.items()}

    def learning_rate(step):
        warm_up = min(1.0, (step + 1) / (recipe.warm_up_steps + 1))
        return recipe.learning_rate * recipe.learning_rate_decay ** (step // steps) * warm_up

    with tqdm(total=epochs * steps, initial=len(history) * steps, desc=f'{name}, {precision}', unit='step',
              file=sys.stdout, mininterval=1.0) as bar:
        for epoch in range(len(history), epochs):
            _reseed(model, seed, epoch)
            order = np.random.default_rng((seed, epoch)).permutation(len(x_train))
            started = time.perf_counter()
            model.optimizer.learning_rate = learning_rate(epoch * steps)
            for step, parts in enumerate(running_means(model.train_on_batch, x_train, y_train, order, batch_size),
                                         start=epoch * steps + 1):
                model.optimizer.learning_rate = learning_rate(step)
                bar.set_postfix({'epoch': f'{epoch + 1}/{epochs}'}
                                | {key: f'{value:.4g}' for key, value in parts.items()}, refresh=False)
                bar.update()
            with _averages_in(model):
                *_, test_parts = running_means(model.test_on_batch, x_test, y_test, np.arange(len(x_test)), 400)
            parts |= {f'val_{key}': value for key, value in test_parts.items()}
            if not all(np.isfinite(value) for value in parts.values()):
                raise FloatingPointError(f'Training of {name!r} diverged in epoch {epoch + 1}: {parts}. Epochs before '
                                         'it are in the checkpoint, if there is one; try another seed.')
            history.append({**parts, 'seconds': round(time.perf_counter() - started, 2)})
            checkpoint.write(model, history)

    trained = create_model(name, latent_dim, seed)
    with _averages_in(model):
        trained.set_weights(model.get_weights())
    return trained, history


def _compile(model, ema_momentum=0.0):
    optimizer = keras.optimizers.RMSprop(use_ema=ema_momentum != 0, ema_momentum=ema_momentum)
    if 'decoder' not in (layer.name for layer in model.layers):
        return model.compile(optimizer, 'sparse_categorical_crossentropy', metrics=['accuracy'])
    if len(model.outputs) == 1:
        return model.compile(optimizer, reconstruction_loss, metrics=[reconstruction_loss])
    predicts_labels = model.get_layer('predictor').output.shape[-1] == num_labels
    return model.compile(optimizer,
                         [reconstruction_loss,
                          'sparse_categorical_crossentropy' if predicts_labels else 'mean_squared_error'],
                         loss_weights=[1.0, predictor_weight],
                         metrics=[[], ['accuracy'] if predicts_labels else []])


@contextmanager
def _averages_in(model):
    """Puts the moving averages of its weights into a compiled model, where its optimizer keeps them."""
    if not model.optimizer.use_ema:
        yield
        return
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    swap.on_test_begin()
    try:
        yield
    finally:
        swap.on_test_end()


def _loss_parts(logs, is_vae):
    """Names the parts of the loss in Keras's logs; the KL divergence is what the other parts leave of the whole."""
    logs = {key: float(value) for key, value in logs.items()}
    if not is_vae:
        return {'loss': logs['loss'], 'accuracy': logs['accuracy']}
    if 'predictor_loss' not in logs:
        return {'reconstruction': logs['reconstruction_loss'], 'kl': logs['loss'] - logs['reconstruction_loss']}
    parts = {'reconstruction': logs['decoder_loss'],
             'kl': logs['loss'] - logs['decoder_loss'] - predictor_weight * logs['predictor_loss'],
             'predictor': logs['predictor_loss']}
    if 'predictor_accuracy' in logs:
        parts['accuracy'] = logs['predictor_accuracy']
    return parts


def _reseed(model, seed, epoch):
    """Gives each random layer a state that depends on seed and epoch alone: Keras does not save it with the weights."""
    # Dropout on PyTorch has no state of its own; it draws from the global one.
    keras.utils.set_random_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))
    for index, layer in enumerate(model.layers):
        if hasattr(layer, 'seed_generator'):
            state = np.random.SeedSequence((seed, epoch, index)).generate_state(2)
            layer.seed_generator.state.assign(state.astype(layer.seed_generator.state.dtype))


class _Checkpoint:
    """The state of a training after its last finished epoch: weights with optimizer, settings and learning curve."""

    def __init__(self, folder, settings):
        self.folder = None if folder is None else Path(folder)
        self.settings = settings

    def restore(self, model, epochs):
        """Loads the newest weights into the compiled model and returns the learning curve up to them."""
        if self.folder is None or not (self.folder / 'history.json').exists():
            return []
        state = _read_json(self.folder / 'history.json', 'Delete its folder to train anew.')
        if state['settings'] != self.settings:
            differing = [key for key in self.settings if state['settings'].get(key) != self.settings[key]]
            raise ValueError(f'The checkpoint in {self.folder} was made with other settings ({", ".join(differing)}). '
                             'Give this training a checkpoint_dir of its own, or delete that folder.')
        # The learning curve is written before the weights, so a crash between the two leaves it one epoch longer.
        finished = max((int(path.name[6:9]) for path in self.folder.glob('epoch-???.weights.h5')), default=0)
        if finished > epochs:
            raise ValueError(f'The checkpoint in {self.folder} has {finished} epochs, more than the {epochs} asked '
                             'for. Give this training a checkpoint_dir of its own, or delete that folder.')
        if finished:
            model.optimizer.build(model.trainable_variables)
            try:
                model.load_weights(self._weights(finished))
            except (OSError, ValueError, KeyError) as error:
                raise ValueError(f'{self._weights(finished)} cannot be read as weights of this model ({error}). '
                                 'Delete its folder to train anew.') from error
        return state['history'][:finished]

    def write(self, model, history):
        """Writes model and learning curve so that a crash at any moment leaves the epoch before in place."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_text(self.folder / 'history.json', json.dumps({'settings': self.settings, 'history': history}, indent=1))
        unfinished = self.folder / 'unfinished.weights.h5'
        model.save_weights(unfinished, overwrite=True)
        os.replace(unfinished, self._weights(len(history)))
        for path in self.folder.glob('epoch-???.weights.h5'):
            if path != self._weights(len(history)):
                path.unlink()

    def _weights(self, epoch):
        return self.folder / f'epoch-{epoch:03d}.weights.h5'


def _read_json(path, remedy):
    try:
        return json.loads(path.read_text())
    except ValueError as error:  # Not JSON, or not even text.
        raise ValueError(f'{path} is damaged ({error}). {remedy}') from error


def _write_text(path, text):
    """Writes a text file in one step: whoever reads it sees the old text or the new one, never a part."""
    unfinished = path.with_name(path.name + '.unfinished')
    unfinished.write_text(text)
    os.replace(unfinished, path)


def evaluate(model, x, y, seed=0):
    """Measures a joint model on images and labels, with one sample of each image's posterior.

    Args:
        model: made by `create_joint_model`.
        x: images, float32 in [0, 1], (n, 28, 28, 1).
        y: labels, integers, (n,).

    Returns:
        A dict of floats: 'reconstruction', 'kl' and their sum 'neg_elbo', means in nats; with a predictor of labels
        also 'accuracy', with one of values 'rmse' in units of a digit.
    """
    x, y = _checked_images(x), _checked_labels(y, len(x))
    encoder, decoder = model.get_layer('encoder'), model.get_layer('decoder')
    label = [one_hot(y)] if len(model.inputs) == 2 else []
    t_mean, t_log_var = predict(encoder, [x, *label] if label else x, 'encode')
    epsilon = np.random.default_rng(seed).standard_normal(t_mean.shape, dtype='float32')
    t = t_mean + np.exp(0.5 * t_log_var) * epsilon
    x_decoded = predict(decoder, [t, *label] if label else t, 'decode')

    reconstruction = float(np.mean(ops.convert_to_numpy(reconstruction_loss(x, x_decoded))))
    kl = float(np.mean(ops.convert_to_numpy(kl_divergence(t_mean, t_log_var))))
    metrics = {'reconstruction': reconstruction, 'kl': kl, 'neg_elbo': reconstruction + kl}
    if len(model.outputs) == 2:
        predicted = predict(model.get_layer('predictor'), t_mean, 'predict')
        if predicted.shape[1] == num_labels:
            metrics['accuracy'] = float(np.mean(predicted.argmax(axis=1) == y))
        else:
            metrics['rmse'] = float(np.sqrt(np.mean((predicted[:, 0] - y) ** 2)))
    return metrics


def evaluate_classifier(model, x, y):
    """Measures the share of images that a classifier reads as their label: {'accuracy': float}."""
    x, y = _checked_images(x), _checked_labels(y, len(x))
    return {'accuracy': float(np.mean(predict(model, x, model.name).argmax(axis=1) == y))}


# ---------------------------------------------------------------------------------------------------------------------
# Pretrained models
# ---------------------------------------------------------------------------------------------------------------------


def save_pretrained(model, name, description, folder=models_dir):
    """Writes `model` to `<folder>/<name>.keras`, and its sha256 with `description` into the folder's manifest.json.

    Args:
        model: uncompiled, so that no optimizer state is saved.
        name: one of `PRETRAINED`.
        description: a dict that can be written as JSON: how, on what and with what result the model was made.
    """
    folder = Path(folder)
    path = folder / f'{_checked_model_name(name, PRETRAINED)}.keras'
    model.save(path)
    manifest_path = folder / 'manifest.json'
    manifest = load_manifest(folder) if manifest_path.exists() else {}
    manifest[name] = {'file': path.name, 'sha256': hashlib.sha256(path.read_bytes()).hexdigest(), **description}
    manifest = {key: manifest[key] for key in PRETRAINED if key in manifest}
    _write_text(manifest_path, json.dumps(manifest, indent=1) + '\n')


def load_manifest(folder=models_dir):
    """Loads what manifest.json records of the pretrained models: a dict of dicts, one a model.

    Raises:
        FileNotFoundError: there is no manifest.json in `folder`.
        ValueError: it is damaged.
    """
    path = Path(folder) / 'manifest.json'
    if not path.exists():
        raise FileNotFoundError(f'There is no {path}, which records the pretrained models. Run from a complete clone '
                                'installed with `pip install -e .`, or train with `make train`.')
    return _read_json(path, 'Restore it with `git checkout`.')


def load_pretrained(name, folder=models_dir):
    """Loads a pretrained model, checked against the sha256 in manifest.json, without executing code from its file.

    Args:
        name: one of `PRETRAINED`.
        folder: where the models and their manifest lie.

    Returns:
        An uncompiled Keras model.

    Raises:
        ValueError: there is no model of that name, or its file is damaged.
        FileNotFoundError: the model's file or the manifest is not there.
    """
    recorded = load_manifest(folder).get(_checked_model_name(name, PRETRAINED))
    path = Path(folder) / f'{name}.keras'
    if recorded is None or not path.exists():
        raise FileNotFoundError(f'The pretrained model {name!r} is not in {folder}. Restore it with `git checkout`, '
                                'train it with `make train`, or set use_pretrained = False.')
    if hashlib.sha256(path.read_bytes()).hexdigest() != recorded['sha256']:
        raise ValueError(f'{path} is not the file recorded in manifest.json: its sha256 differs. Restore it with '
                         '`git checkout`, or train it with `make train`.')
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _checked_model_name(name, names):
    if name not in names:
        raise ValueError(f'There is no model named {name!r}. The models are {", ".join(map(repr, names))}.')
    return name


def versions(*packages):
    """The versions of Python and of installed packages: a dict of strings."""
    return {'python': platform.python_version(), **{package: metadata.version(package) for package in packages}}


# ---------------------------------------------------------------------------------------------------------------------
# Latent spaces
# ---------------------------------------------------------------------------------------------------------------------


def encode(x, model):
    """Encodes images (n, 28, 28, 1) with a joint model's encoder: `t_mean`, float32 (n, latent_dim)."""
    return predict(model.get_layer('encoder'), _checked_images(x), 'encode')[0]


def predict(model, x, description, batch_size=500):
    """Calls a Keras model on all of `x`, a batch at a time; shows a bar where that takes more than a second.

    Args:
        model: a Keras model.
        x: array (n, …) of its inputs, or a list of arrays where the model has several.
        description: what the bar says.

    Returns:
        An array (n, …), or a list of arrays where the model has several outputs.

    Raises:
        ValueError: `x` has no rows.
    """
    inputs = x if isinstance(x, list) else [x]
    if len(inputs[0]) == 0:
        raise ValueError(f'There is nothing to {description}: got an array with shape {np.shape(inputs[0])}.')
    batches = []
    with tqdm(total=len(inputs[0]), desc=description, unit='row', file=sys.stdout, delay=1, leave=False) as bar:
        for start in range(0, len(inputs[0]), batch_size):
            batch = [of_input[start:start + batch_size] for of_input in inputs]
            # Keras's `predict` would set up a data pipeline at each call, at dozens of times the cost for one point.
            batches.append(model.predict_on_batch(batch if isinstance(model.input, list) else batch[0]))
            bar.update(len(batch[0]))
    if isinstance(batches[0], list):
        return [np.concatenate(outputs) for outputs in zip(*batches, strict=True)]
    return np.concatenate(batches)


def knn_label_accuracy(t, y, k=10):
    """Share of points whose label the majority of `k` nearest neighbours has: how little the labels overlap.

    Five-fold cross-validation: the neighbours come from the other four fifths.

    Args:
        t: points, (n, latent_dim).
        y: their labels, integers, (n,).
    """
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    return float(cross_val_score(KNeighborsClassifier(k), t, y, cv=5).mean())


def linear_value_r2(t, y):
    """R² of the linear fit of digit values `y` (n,) on points `t` (n, latent_dim): how much one gradient explains."""
    from sklearn.linear_model import LinearRegression

    return float(LinearRegression().fit(t, y).score(t, y))


def latent_bounds(t):
    """The box that holds the central 99.8% of each coordinate of encoded images (n, latent_dim): (latent_dim, 2).

    A search beyond it would be where the decoder has hardly been trained.
    """
    return np.quantile(_checked_points(t), (0.001, 0.999), axis=0).T


def choose_per_label(y, num, seed=0):
    """Draws `num` of the images of each label: their indices in `y` (n,), label by label.

    Raises:
        ValueError: a label has fewer images than that.
    """
    num, seed = _checked_integer('num', num, at_least=1), _checked_integer('seed', seed, at_least=0)
    y = _checked_labels(y, len(y))
    counts = np.bincount(y, minlength=num_labels)
    if counts.min() < num:
        raise ValueError(f'There are {counts.min()} images of label {counts.argmin()}, fewer than {num}.')
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.choice(np.flatnonzero(y == label), num, replace=False) for label in range(num_labels)])


def label_regions(t_grid, t, y, k=10):
    """Divides latent space into the regions of the labels, as encoded images show them.

    Args:
        t_grid: the points to divide, (m, latent_dim).
        t: encoded images, (n, latent_dim).
        y: their labels, integers, (n,).
        k: how many of the nearest images decide a point's label.

    Returns:
        For each point of `t_grid` the label of its region, (m,), and its distance to the nearest image, (m,).
    """
    from sklearn.neighbors import KNeighborsClassifier

    neighbors = KNeighborsClassifier(k).fit(t, y)
    return neighbors.predict(t_grid), neighbors.kneighbors(t_grid, 1)[0][:, 0]


# ---------------------------------------------------------------------------------------------------------------------
# Objectives
# ---------------------------------------------------------------------------------------------------------------------

# The article's floor under a probability. It caps the label's term at −log 1e-8 = 18.4 nats.
probability_floor = 1e-8


def nll_prior(t):
    """−log N(t | 0, I) of points (n, latent_dim): float64 (n, 1), nats."""
    t = np.asarray(t, dtype='float64')
    return 0.5 * (np.square(t).sum(axis=1, keepdims=True) + t.shape[1] * np.log(2 * np.pi))


def nll_all_targets(label_probs, t):
    """The objective of equation (1) for all ten targets at once, in one batched call.

    f(t, target) = −log(p(y = target | t) + 1e-8) − log N(t | 0, I).

    Args:
        label_probs: a Keras model from points to label probabilities (n, 10): a predictor, or what
            `create_decode_classify` returns.
        t: points, (n, latent_dim).

    Returns:
        float64 (n, 10), nats.

    Raises:
        ValueError: `t` has another shape, or numbers that are not finite.
    """
    t = _checked_points(t, label_probs.input.shape[1])
    return nll_of_probs(predict(label_probs, t.astype('float32'), label_probs.name), t)


def nll_of_probs(probs, t):
    """The objective of equation (1) where the probabilities of the labels are known already.

    Such as those that a classifier gives to training images, with which a search can start; see
    `LatentOptimizer.add_known`.

    Args:
        probs: probabilities of the labels, (n, 10).
        t: points, (n, latent_dim).

    Returns:
        float64 (n, 10), nats.

    Raises:
        ValueError: the probabilities are not numbers in [0, 1] with that shape, or points are not finite.
    """
    t, probs = _checked_points(t), np.asarray(probs, dtype='float64')
    if probs.shape != (len(t), num_labels) or not ((probs >= 0) & (probs <= 1 + 1e-6)).all():
        raise ValueError(f'probs must be probabilities with shape ({len(t)}, 10), a row for each point, got shape '
                         f'{probs.shape} with values from {probs.min(initial=1):.3g} to {probs.max(initial=0):.3g}.')
    return nll_prior(t) - np.log(probs + probability_floor)


@lru_cache(maxsize=4)
def create_decode_classify(decoder, classifier):
    """Composes decoder and classifier: points (n, latent_dim) to label probabilities (n, 10) in one compiled call.

    The same two give the same model again, so that the objectives of all targets share one compilation.
    """
    return keras.Model(decoder.input, classifier(decoder.output), name='decode_classify')


def create_nll_predict(predictor, target):
    """Creates the article's first objective for `target`: prior and predictor.

    Returns:
        A pure function of points (n, latent_dim) that returns float64 (n, 1), nats; see `nll_all_targets`.

    Raises:
        ValueError: `target` is not a label.
    """
    return _create_nll(predictor, target)


def create_nll(decoder, classifier, target):
    """Creates the article's second objective for `target`: prior and classifier of the decoded image.

    Decoding and classifying is one compiled call.

    Returns:
        A pure function of points (n, latent_dim) that returns float64 (n, 1), nats; see `nll_all_targets`.

    Raises:
        ValueError: `target` is not a label.
    """
    return _create_nll(create_decode_classify(decoder, classifier), target)


def _create_nll(label_probs, target):
    _check_target(target)

    def nll(t):
        return nll_all_targets(label_probs, t)[:, [target]]

    nll.__name__ = f'nll_target_{target}'
    return nll


def create_nll_with_gradient(label_probs, target):
    """Creates the objective for `target` together with its exact gradient, through the model on Keras's backend.

    Args:
        label_probs: a Keras model from points to label probabilities (n, 10), as for `nll_all_targets`.
        target: the wanted label.

    Returns:
        A function of one point, float64 (latent_dim,), that returns the value, a float in nats, and the gradient,
        float64 (latent_dim,): what `scipy.optimize.minimize` takes with `jac=True`.

    Raises:
        ValueError: `target` is not a label.
    """
    _check_target(target)

    def of_label(t):
        return -ops.log(label_probs(t, training=False)[:, target] + probability_floor)

    with_gradient = _with_gradient(of_label)

    def nll_with_gradient(t):
        t = _checked_points(np.asarray(t)[np.newaxis], label_probs.input.shape[1])
        (value,), (gradient,) = with_gradient(t.astype('float32'))
        return float(value) + nll_prior(t)[0, 0], gradient.astype('float64') + t[0]

    return nll_with_gradient


def _with_gradient(function):
    """Compiles a function of float32 tensors, the first (n, d), whose n values each depend on one row of that.

    Returns:
        A function of arrays that returns the values, (n,), and their gradients by the first tensor, (n, d).
    """
    if keras.backend.backend() == 'tensorflow':
        import tensorflow as tf

        @tf.function
        def compiled(t, *others):
            with tf.GradientTape() as tape:
                tape.watch(t)
                values = function(t, *others)
            return values, tape.gradient(values, t)

        return lambda *arrays: [tensor.numpy() for tensor in compiled(*map(tf.convert_to_tensor, arrays))]
    if keras.backend.backend() == 'jax':
        import jax

        @jax.jit
        def compiled(t, *others):
            values, pullback = jax.vjp(lambda t: function(t, *others), t)
            return values, *pullback(jax.numpy.ones_like(values))

        return lambda *arrays: [np.asarray(array) for array in compiled(*arrays)]
    import torch

    def differentiated(t, *others):
        t, *others = map(ops.convert_to_tensor, (t, *others))
        values = function(t.requires_grad_(), *others)
        gradient, = torch.autograd.grad(values.sum(), t)
        return ops.convert_to_numpy(values), ops.convert_to_numpy(gradient)

    return differentiated


def _check_target(target):
    if not isinstance(target, (int, np.integer)) or not 0 <= target < num_labels:
        raise ValueError(f'target must be a label, an integer from 0 to 9, got {target!r}.')


def _checked_points(t, latent_dim=None):
    t = np.asarray(t)
    if t.ndim != 2 or len(t) == 0 or t.shape[1] != (latent_dim or t.shape[1]) or t.dtype.kind not in 'iuf':
        raise ValueError(f"Points must be numbers with shape (n, {latent_dim or 'd'}), n ≥ 1, got {t.dtype} with shape "
                         f'{t.shape}.')
    if not np.isfinite(t).all():
        raise ValueError('Points must be finite, got NaN or infinity.')
    return t.astype('float64')


# ---------------------------------------------------------------------------------------------------------------------
# Search
# ---------------------------------------------------------------------------------------------------------------------


def _import_gpyopt():
    """Imports GPyOpt when the first search needs it, without its side effects on the process.

    GPyOpt calls `warnings.filterwarnings('ignore')` while it is imported, which would silence every warning of the
    user's own code from then on; GPy replaces the function that formats them.
    """
    formatwarning = warnings.formatwarning
    with warnings.catch_warnings():
        import GPyOpt
        import GPyOpt.methods
    warnings.formatwarning = formatwarning
    return GPyOpt


@contextmanager
def _gpyopt_call(seed, num_evaluations):
    """Surrounds each use of GPyOpt, which is archived, with what it needs from its caller.

    - It draws from NumPy's global random state and has no seed argument: the state is set from the search's seed and
      the number of evaluations so far, and put back afterwards. What ran before in the process makes no difference.
    - Its covariance matrices are so small that a BLAS with several threads spends its time waiting: one thread makes
      a search several times faster.
    - Its hyperparameter restarts run into infinities that they discard, and warn of them.
    """
    state = np.random.get_state()
    np.random.seed(np.random.SeedSequence((seed, num_evaluations)).generate_state(4))
    try:
        with threadpool_limits(1, user_api='blas'), warnings.catch_warnings():
            warnings.filterwarnings('ignore', module='GPyOpt|GPy|paramz')
            yield
    finally:
        np.random.set_state(state)


def create_optimizer(objective, domain, seed=0, lower_bound=None, published=False, noisy=False, journal=None):
    """Creates a search for the minimum of a function in a box: Bayesian optimization by GPyOpt.

    A Gaussian process (Matérn-5/2, a length scale for each dimension) models the evaluations so far, and the next one
    is where the expected improvement is highest, at a distance from those that are there; see `gpyopt_extensions`. It
    starts with six points that fill the box evenly (Sobol).

    Where values come from outside, `ask` says where experiments are to be made and `tell` takes their results.

    Args:
        objective: a function of points, float64 (n, d), that returns their values, (n, 1). Smaller is better. None if
            values come from outside.
        domain: the bounds of the box, a sequence of d pairs `(low, high)`.
        seed: governs the search, whatever else ran in the process: the same seed proposes the same points.
        lower_bound: what is known of the objective: a function like it, cheap, that it is nowhere below, such as
            `nll_prior` for the article's objectives. Only the rest is modelled. Without it, the whole objective is.
        published: whether to search with the article's settings instead, for comparison: GPyOpt's own Gaussian process
            of the whole objective (no `lower_bound`, one length scale, learned noise), expected improvement with
            jitter 0.01, two random starting points.
        noisy: whether an experiment that is repeated gives another value. The size of the noise is learned.
        journal: path of a CSV file in which each proposal and each result is written down at once, made where there is
            none. Where there is one, the search goes on from it; see `experiment_journal`.

    Returns:
        A `LatentOptimizer`.

    Raises:
        ValueError: the box is not d ≥ 1 pairs of finite numbers low < high, the seed is not an integer ≥ 0, a lower
            bound is given for noisy values, which may be below any, or the journal is damaged.
        JournalInUseError: another process writes to the journal.
        OSError: the journal cannot be read or written.
    """
    return LatentOptimizer(objective, domain, seed, lower_bound, published, noisy, journal)


class Experiment(NamedTuple):
    """A proposal: the number under which its result is told, and the point, float64 (1, d)."""

    number: int
    t: np.ndarray


class LatentOptimizer:
    """A search by GPyOpt with its attributes' names; made by `create_optimizer`.

    A proposal depends on the seed and on the experiments so far, evaluated, pending and failed, and on nothing else:
    the Gaussian process is fitted anew for each. So looking at a search does not change what it does next, and one that
    was interrupted goes on as if it had not been.

    Attributes:
        X: the points evaluated so far, float64 (n, d), in the order of their results.
        Y: their values, float64 (n, 1). Smaller is better.
        failed: the points of experiments that failed, float64 (m, d).
        events: proposals and results in their order, a list of `experiment_journal.Event`.
    """

    # Results may be told by several threads. It is one lock for all searches as GPyOpt has one random state for all.
    _lock = threading.RLock()

    def __init__(self, objective, domain, seed, lower_bound, published, noisy, journal):
        self.objective = objective
        self.domain = _checked_domain(domain)
        self.seed = _checked_integer('seed', seed, at_least=0)
        if noisy and lower_bound is not None:
            raise ValueError('lower_bound is for exact values: noisy ones may be below any bound. Leave out one of '
                             'lower_bound and noisy.')
        self.lower_bound = lower_bound
        self.published = published
        self.noisy = noisy
        self.num_starting_points = 2 if published else 6
        self.X, self.failed = np.empty((2, 0, len(self.domain)))
        self.Y = np.empty((0, 1))
        self.events = []
        self._pending = {}
        self._evaluated = {}
        self._last_number = 0
        self._journal = None
        if journal is not None:
            from experiment_journal import Journal

            self._journal = Journal(journal, self.domain)
            for event in self._journal.events:
                self._take(event)

    @property
    def pending(self):
        """The experiments that were proposed and have no result yet, oldest first: a list of `Experiment`."""
        return [Experiment(number, t.copy()) for number, t in self._pending.items()]

    def ask(self, q=1):
        """Proposes `q` new experiments, which are then pending. Each keeps its distance from those that are already.

        Args:
            q: how many. After an interruption, ask only for those that are missing beside `pending`.

        Returns:
            A list of `Experiment`.

        Raises:
            ValueError: `q` is not a positive integer; or the search has the article's settings, which know of no
                pending experiments, and there is one.
            OSError: the journal cannot be written. What was proposed before it failed is in `pending`.
        """
        q = _checked_integer('q', q, at_least=1)
        if self.published and q + len(self._pending) > 1:
            raise ValueError('The article\'s settings propose one experiment at a time, and there would be '
                             f'{q + len(self._pending)}. Tell the results of those that are pending first.')
        return [self._ask() for _ in range(q)]

    def _ask(self):
        with self._lock:
            t = self.suggest_next_locations()
            self._write_down(self._last_number + 1, 'proposed', t)
            return Experiment(self._last_number, t.copy())

    def tell(self, number, value):
        """Takes the result of a pending experiment, in whatever order results come. Smaller is better.

        Args:
            number: that of the experiment.
            value: one finite number; an experiment that has none is told with `tell_failed`.

        Raises:
            ValueError: there is no pending experiment of that number, or the value is not one finite number, or below
                the lower bound. The experiment is then still pending.
            OSError: the journal cannot be written. The experiment is then still pending, and can be told again.
        """
        y = np.asarray(value)
        with self._lock:
            t = self._pending_point(number)
            self._write_down(int(number), 'done', t, self._checked_value(t, y.reshape(1, 1) if y.size == 1 else y))

    def tell_failed(self, number, reason=''):
        """Takes note that a pending experiment failed: it gets no value, and its surroundings are tried less.

        Args:
            number: that of the experiment.
            reason: written into the journal.

        Raises:
            ValueError: there is no pending experiment of that number.
            OSError: the journal cannot be written. The experiment is then still pending, and can be told again.
        """
        with self._lock:
            t = self._pending_point(number)
            self._write_down(int(number), 'failed', t, note=str(reason))

    def add_known(self, t, values):
        """Adds results that no proposal asked for, such as those of training images: a warm start.

        Args:
            t: points in the box, (n, d).
            values: their values, (n, 1). Smaller is better.

        Raises:
            ValueError: points or values have another shape or are not finite, a point is out of the box, or a value is
                below the lower bound. None is added then.
            OSError: the journal cannot be written. Those before the failure are in `X` and `Y`.
        """
        t = _checked_points(t, len(self.domain))
        values = np.asarray(values)
        if values.shape != (len(t), 1) or values.dtype.kind not in 'iuf' or not np.isfinite(values).all():
            raise ValueError(f'values must be finite numbers with shape ({len(t)}, 1), one a point, got {values.dtype} '
                             f'with shape {values.shape}.')
        outside = ~((t >= self.domain[:, 0]) & (t <= self.domain[:, 1])).all(axis=1)
        if outside.any():
            raise ValueError(f'{outside.sum()} of the {len(t)} points are not within the bounds, the first is '
                             f'{t[outside][0]}. Leave them out, or search a larger box.')
        values = [self._checked_value(point, value[np.newaxis])
                  for point, value in zip(t[:, np.newaxis], values, strict=True)]
        with self._lock:
            for point, value in zip(t[:, np.newaxis], values, strict=True):
                self._write_down(self._last_number + 1, 'known', point, value)

    def close(self):
        """Leaves the journal to others, who may edit it or go on with it; the end of the process does so too."""
        if self._journal is not None:
            self._journal.close()

    def _pending_point(self, number):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number not in self._pending:
            raise ValueError(f'There is no pending experiment {number!r}. The pending ones are '
                             f'{", ".join(map(str, self._pending)) or "none"}.')
        return self._pending[number]

    def _write_down(self, number, status, t, value=None, note=''):
        from experiment_journal import Event

        event = Event(number, status, t, value, note)
        if self._journal is not None:
            self._journal.append(event)
        self._take(event)

    def _take(self, event):
        self.events.append(event)
        self._last_number = max(self._last_number, event.number)
        if event.status == 'proposed':
            self._pending[event.number] = event.t
            return
        self._pending.pop(event.number, None)
        if event.status == 'failed':
            self.failed = np.vstack((self.failed, event.t))
        else:
            self.X, self.Y = np.vstack((self.X, event.t)), np.vstack((self.Y, [[event.value]]))

    @property
    def _num_experiments(self):
        return len(self.X) + len(self._pending) + len(self.failed)

    def run_optimization(self, max_iter):
        """Evaluates the starting points, if that is still to do, and then `max_iter` proposals.

        Experiments that are pending, because their evaluation was interrupted, are the first of them.

        GPyOpt's own loop is not used: it ends early and in silence where two proposals nearly coincide, where a fit
        fails (or with an AttributeError, as it names an exception that NumPy 2 no longer has), and where its
        `model_update_interval` is above 1.

        Args:
            max_iter: number of proposals to evaluate, 0 or more.

        Raises:
            ValueError: the objective returned something else than one finite number. Like any error that the
                objective raises itself it leaves all earlier evaluations in `X` and `Y`, and the search can go on.
        """
        max_iter = _checked_integer('max_iter', max_iter, at_least=0)
        missing = max(self.num_starting_points - len(self.X), 0)
        name = getattr(self.objective, '__name__', '')
        with tqdm(total=missing + max_iter, desc=name if name.isidentifier() else 'search', unit='evaluation',
                  file=sys.stdout) as bar:
            for _ in range(missing + max_iter):
                self._step()
                bar.update()
                bar.set_postfix(best=f'{self.Y.min():.4g}', refresh=False)

    def _step(self):
        experiment = self.pending[0] if self._pending else self._ask()
        if experiment.number not in self._evaluated:
            value = np.asarray(self.objective(experiment.t.copy()))
            self._evaluated = {experiment.number: self._checked_value(experiment.t, value)}
        # If the journal cannot be written, the value is there when the search goes on.
        self._write_down(experiment.number, 'done', experiment.t, self._evaluated[experiment.number])

    def suggest_next_locations(self):
        """Says where the objective would be evaluated next, float64 (1, d); `ask` proposes it."""
        if self.published and self._pending:
            raise ValueError('The article\'s settings propose one experiment at a time, and '
                             f'{len(self._pending)} are pending. Tell their results first.')
        with _gpyopt_call(self.seed, self._num_experiments):
            if len(self.X) < self.num_starting_points:
                return self._starting_point()
            try:
                # In floating point low + (high − low) can be above high.
                return np.clip(self._gpyopt().suggest_next_locations(), *self.domain.T)
            except np.linalg.LinAlgError as error:
                tqdm.write(f'No Gaussian process can be fitted to these {len(self.X)} evaluations ({error}); the next '
                           'point is a random one.', file=sys.stdout)
                return np.random.uniform(*self.domain.T)[np.newaxis]

    def _starting_point(self):
        if self.published:
            return np.random.uniform(*self.domain.T)[np.newaxis]
        from scipy.stats import qmc

        # Sobol's sequence is even from the start only in powers of two.
        index = self._num_experiments
        sobol = qmc.Sobol(len(self.domain), rng=self.seed).random_base2(max(3, index.bit_length()))
        return qmc.scale(sobol[[index]], *self.domain.T)

    def posterior(self, t):
        """Fits the Gaussian process to all evaluations and predicts at points `t` (n, d).

        Returns:
            Posterior mean, posterior standard deviation of the function without noise, and expected improvement on
            the lowest posterior mean among the evaluated and pending points, each (n, 1) in the units of the objective.

        Raises:
            ValueError: there are fewer evaluations than starting points, or `t` has another shape.
        """
        if len(self.X) < self.num_starting_points:
            raise ValueError(f'There are {len(self.X)} evaluations, and a posterior needs {self.num_starting_points}. '
                             'Call run_optimization first.')
        t = _checked_points(t, len(self.domain))
        with _gpyopt_call(self.seed, len(self.X)):
            optimizer = self._gpyopt()
            optimizer._update_model(optimizer.normalization_type)
            if not self.published:
                improvement = optimizer.model.log_improvement(t, optimizer.model.get_fmin())
                return *optimizer.model.predict(t), np.exp(improvement)
            # GPyOpt models (Y − mean) / deviation, or Y − mean where all values are equal.
            scale = self.Y.std() or 1.0
            mean, deviation = optimizer.model.predict(t, with_noise=False)
            expected_improvement = -optimizer.acquisition.acquisition_function(t)
        return self.Y.mean() + scale * mean, scale * deviation, scale * expected_improvement

    def plot_acquisition(self, unit='nats'):
        """Draws posterior mean, posterior deviation and expected improvement over a box of two dimensions.

        Returns:
            A figure with the evaluated points, and the next proposal where expected improvement is highest.

        Raises:
            ValueError: the box has other than two dimensions, or there are too few evaluations.
        """
        if len(self.domain) != 2:
            raise ValueError(f'plot_acquisition draws a box of two dimensions, this one has {len(self.domain)}.')
        gx, gy, t = create_grid(self.domain)
        panels = zip(('Posterior mean', 'Posterior standard deviation', 'Expected improvement'),
                     self.posterior(t), strict=True)
        next_location = self.suggest_next_locations()

        figure, axes = plt.subplots(1, 3, figsize=(15, 4.4), layout='constrained', sharex=True, sharey=True)
        for axis, (title, values) in zip(axes, panels, strict=True):
            norm = None
            if axis is axes[2]:
                # It spans many orders of magnitude, and may underflow to 0 everywhere.
                highest = max(values.max(), 1e-30)
                norm = matplotlib.colors.LogNorm(1e-8 * highest, highest, clip=True)
            mesh = axis.pcolormesh(gx, gy, values.reshape(gx.shape), cmap='viridis', norm=norm, rasterized=True)
            figure.colorbar(mesh, ax=axis, label=unit)
            axis.plot(*self.X.T, 'o', markersize=4, color='white', markeredgecolor='black', label='evaluated')
            axis.plot(*next_location.T, 'X', markersize=10, color='red', markeredgecolor='white', clip_on=False,
                      label='next proposal')
            _label_latent_axes(axis, title)
        axes[0].legend(loc='lower left', framealpha=0.9)
        return figure

    def plot_trajectory(self, gx, gy, values, title):
        """Draws where a search in two dimensions went, over the contours of its objective, and the best value so far.

        Args:
            gx: first coordinates of a grid, (m, k).
            gy: second coordinates, (m, k).
            values: the objective at the grid's points, (m * k,), nats.
            title: of the figure.

        Raises:
            ValueError: the box has other than two dimensions, there are no evaluations, or `values` are not the grid's.
        """
        if len(self.domain) != 2 or len(self.X) == 0:
            raise ValueError(f'plot_trajectory draws evaluations in two dimensions, this search has {len(self.X)} in '
                             f'{len(self.domain)}.')
        if np.shape(values) != (gx.size,):
            raise ValueError(f'values must have shape ({gx.size},), one a point of the grid, got {np.shape(values)}.')
        figure, (plane, curve) = plt.subplots(1, 2, figsize=(13, 5.2), layout='constrained', width_ratios=(1.15, 1))
        levels = np.geomspace(values.min(), values.max(), 12)
        contours = plane.contourf(gx, gy, values.reshape(gx.shape), levels=levels, cmap='Greys_r',
                                  norm=matplotlib.colors.LogNorm(levels[0], levels[-1]))
        figure.colorbar(contours, ax=plane, label='Objective (nats)', format='%.3g')
        order = np.arange(1, len(self.X) + 1)
        plane.plot(*self.X.T, '-', color='white', linewidth=0.8, alpha=0.6)
        points = plane.scatter(*self.X.T, c=order, cmap='plasma', s=28, edgecolors='black', linewidths=0.5, zorder=3)
        figure.colorbar(points, ax=plane, label='Evaluation')
        best = self.Y.argmin()
        plane.plot(*self.X[best], '*', markersize=17, color='red', markeredgecolor='white', zorder=4)
        _label_latent_axes(plane, f'Evaluations; star: the best, {self.Y[best, 0]:.3f} nats')
        plane.set_aspect('equal')

        curve.plot(order, self.Y[:, 0], 'o', markersize=5, color=label_colors[0], label='evaluation')
        curve.plot(order, np.minimum.accumulate(self.Y[:, 0]), '-', color=label_colors[1], label='best so far')
        curve.axhline(values.min(), linestyle=':', color='black', label='minimum on the grid')
        curve.set(title='Value of each evaluation', xlabel='Evaluation', ylabel='Objective (nats)', yscale='log')
        curve.yaxis.set_major_formatter('{x:g}')
        curve.yaxis.set_minor_formatter('{x:g}')
        curve.legend(loc='upper right')
        figure.suptitle(title)
        return figure

    def plot_experiments(self, title, expected=None):
        """Draws the value of each experiment in the order of results, and the best so far; failed ones at the top.

        Args:
            title: of the figure.
            expected: for a noisy search, a function of points (n, d) that returns values (n, 1) without noise, if there
                is one. The best so far is then also drawn as it really is.

        Raises:
            ValueError: there are no results.
        """
        results = [event for event in self.events if event.status != 'proposed']
        statuses = np.array([event.status for event in results])
        order, done = np.arange(1, len(results) + 1), statuses != 'failed'
        if not done.any():
            raise ValueError('There are no results yet. Tell some first.')
        values = np.array([event.value for event in results if event.value is not None])
        best = [values[:n].argmin() for n in range(1, len(values) + 1)]
        figure, axis = plt.subplots(figsize=(10.5, 4.6), layout='constrained')
        for status, marker, color, label in (('done', 'o', label_colors[0], 'experiment'),
                                             ('known', 's', label_colors[4], 'known before')):
            if (statuses == status).any():
                axis.plot(order[statuses == status], values[statuses[done] == status], marker, markersize=5,
                          color=color, label=label)
        axis.plot(order[done], values[best], drawstyle='steps-post', color=label_colors[1], label='best value so far')
        if expected is not None:
            t = np.vstack([event.t for event in results if event.value is not None])
            axis.plot(order[done], expected(t[best])[:, 0], drawstyle='steps-post', linestyle='--', color='black',
                      label='… without noise')
        if not done.all():
            axis.plot(order[~done], np.full((~done).sum(), 0.97), 'x', color=label_colors[2], markersize=7,
                      transform=axis.get_xaxis_transform(), label=f'failed: {(~done).sum()}')
        axis.set(title=title, xlabel='Results, in the order in which they came', ylabel='Value (smaller is better)')
        figure.legend(loc='outside right upper')
        return figure

    def _checked_value(self, x, y):
        if y.shape != (1, 1) or y.dtype.kind not in 'iuf' or not np.isfinite(float(y[0, 0])):
            raise ValueError(f'At {x} the value must be one finite number with shape (1, 1), got {y!r}. The '
                             f'{len(self.X)} evaluations before it are kept in X and Y. An experiment without a value '
                             'is told with tell_failed.')
        if self.lower_bound is not None and not self.published:
            bound = np.asarray(self.lower_bound(x.copy()))
            if bound.shape != (1, 1) or not y >= bound - 1e-6 * max(1.0, np.abs(bound).max()):
                raise ValueError(f'At {x} the lower bound must be one number with shape (1, 1), not above the '
                                 f'objective\'s {y[0, 0]:.6g}, got {bound!r}. The {len(self.X)} evaluations before it '
                                 'are kept in X and Y.')
        return float(y[0, 0])

    def _gpyopt(self):
        gpyopt = _import_gpyopt()
        domain = [{'name': f't{i}', 'type': 'continuous', 'domain': tuple(bounds)}
                  for i, bounds in enumerate(self.domain, start=1)]
        if self.published:
            return gpyopt.methods.BayesianOptimization(
                f=None, domain=domain, X=self.X, Y=self.Y, model_type='GP', acquisition_type='EI',
                acquisition_jitter=0.01, exact_feval=False)

        from gpyopt_extensions import GaussianProcess, SpacedExpectedImprovement, SquaredGaussianProcess

        pending = [t[0] for t in self._pending.values()]
        model = (GaussianProcess(self.domain, self.noisy, pending) if self.lower_bound is None
                 else SquaredGaussianProcess(self.domain, self.lower_bound, pending))
        space = gpyopt.Design_space(domain)
        acquisition = SpacedExpectedImprovement(model, space, gpyopt.optimization.AcquisitionOptimizer(space),
                                                self.failed)
        return gpyopt.methods.ModularBayesianOptimization(
            model, space, None, acquisition, gpyopt.core.evaluators.Sequential(acquisition), self.X, self.Y,
            normalize_Y=False)


def _checked_domain(domain):
    try:
        box = np.array(domain, dtype='float64')
    except (TypeError, ValueError):
        box = np.empty(0)
    if box.ndim != 2 or box.shape[1] != 2 or len(box) == 0 or not np.isfinite(box).all():
        raise ValueError(f'domain must be a sequence of pairs (low, high) of finite numbers, got {domain!r}.')
    if not (box[:, 0] < box[:, 1]).all():
        raise ValueError(f'Each pair of domain must have low < high, got {domain!r}. Leave out a coordinate that is '
                         'fixed, and put it back inside the objective.')
    return box


def create_grid(domain, points=80):
    """Creates a regular grid over a box of two dimensions.

    Args:
        domain: the bounds, two pairs `(low, high)`.
        points: how many there are along each side.

    Returns:
        `gx, gy, t`: the coordinates of the grid, each (points, points), and its points as rows, (points², 2).
    """
    gx, gy = np.meshgrid(*(np.linspace(low, high, points) for low, high in _checked_domain(domain)))
    return gx, gy, np.c_[gx.ravel(), gy.ravel()]


# How far points of a search have to be apart to be distinct, in units of the box's sides: 0.1 in the article's box.
distinct_distance = 0.0125


def top(optimizer, num=10, distance=distinct_distance):
    """The best evaluations of a search that are also distinct, best first.

    Args:
        optimizer: the search.
        num: how many at most.
        distance: how far they are from each other at least, in units of the box's sides. The default is that of a
            search's spaced proposals. 0 gives the best whether distinct or not.

    Returns:
        Points (num, d) and values (num, 1), fewer if there are fewer.

    Raises:
        ValueError: the search has no evaluations, or `num` is not a positive integer.
    """
    num = _checked_integer('num', num, at_least=1)
    if len(optimizer.Y) == 0:
        raise ValueError('The search has no evaluations. Call run_optimization first.')
    low, high = optimizer.domain.T
    best = spaced_best((optimizer.X - low) / (high - low), optimizer.Y[:, 0], num, distance)
    return optimizer.X[best], optimizer.Y[best]


def spaced_best(points, values, num, spacing):
    """Indices of the lowest values at points (n, d) that are at least `spacing` apart: at most `num`, lowest first."""
    chosen = []
    for index in np.argsort(values, kind='stable'):
        if len(chosen) == num:
            break
        if not chosen or np.linalg.norm(points[chosen] - points[index], axis=1).min() >= spacing:
            chosen.append(index)
    return np.array(chosen)


class GradientSearch(NamedTuple):
    """What `search_with_gradients` found.

    Attributes:
        X: the end of each local optimization, float64 (n, d), best first.
        Y: their values, float64 (n, 1), nats.
        evaluations: calls of the objective, each of which also gives its gradient.
        domain: the bounds of the box, (d, 2), for `top`.
    """

    X: np.ndarray
    Y: np.ndarray
    evaluations: int
    domain: np.ndarray


def search_with_gradients(objective, domain, seed=0, num_starts=16):
    """Looks for the minimum of a function with gradient in a box: L-BFGS-B from several points that fill it (Sobol).

    Args:
        objective: a function of one point (d,) that returns its value and gradient, such as `create_nll_with_gradient`
            makes.
        domain: the bounds of the box, a sequence of d pairs `(low, high)`.
        seed: of the starting points.
        num_starts: how many there are.

    Returns:
        A `GradientSearch`.
    """
    from scipy.optimize import minimize
    from scipy.stats import qmc

    domain = _checked_domain(domain)
    num_starts = _checked_integer('num_starts', num_starts, at_least=1)
    sobol = qmc.Sobol(len(domain), rng=_checked_integer('seed', seed, at_least=0))
    starts = qmc.scale(sobol.random_base2((num_starts - 1).bit_length())[:num_starts], *domain.T)
    # The default tolerance of 2e-9 is below what float32 can tell apart, and costs more than twice the evaluations.
    found = sorted((minimize(objective, start, jac=True, method='L-BFGS-B', bounds=domain, options={'ftol': 1e-6})
                    for start in starts), key=lambda local: local.fun)
    return GradientSearch(np.array([local.x for local in found]), np.array([[local.fun] for local in found]),
                          sum(local.nfev for local in found), domain)


def sample_around(points, radius, num, seed=0):
    """Draws points uniformly from the balls around some points: variations of them.

    Args:
        points: the centres, (m, d), each as likely as another.
        radius: of the balls, in units of latent space.
        num: how many are drawn.
        seed: governs the draw.

    Returns:
        float64 (num, d).

    Raises:
        ValueError: `points` are not finite numbers with shape (m, d), or `radius` or `num` is not positive.
    """
    points = _checked_points(points)
    if not 0 < radius < np.inf:
        raise ValueError(f'radius must be a positive number, got {radius!r}.')
    rng = np.random.default_rng(_checked_integer('seed', seed, at_least=0))
    num, d = _checked_integer('num', num, at_least=1), points.shape[1]
    directions = rng.normal(size=(num, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return points[rng.integers(len(points), size=num)] + radius * rng.uniform(size=(num, 1)) ** (1 / d) * directions


def assess_around(points, target, decoder, judge, radii, num=100, seed=0):
    """Decodes variations of points at several radii (see `sample_around`) and lets the judge read them.

    Args:
        points: the best points of a search, (m, d).
        target: the label that they were searched for.
        radii: the radii to try, in units of latent space.
        num: variations at each radius.

    Returns:
        A dict of arrays, an element for each radius: `radii`; `share` of the variations that the judge reads as
        the target; `diversity`, see `mean_pixel_distance`; `images`, (num, 28, 28, 1) each; `read`, the labels that the
        judge reads, (num,) each.
    """
    images = np.array([predict(decoder, sample_around(points, radius, num, seed).astype('float32'), 'decode')
                       for radius in radii])
    read = np.array([predict(judge, of_radius, 'judge').argmax(axis=1) for of_radius in images])
    return {'radii': np.asarray(radii, dtype='float64'), 'share': (read == target).mean(axis=1),
            'diversity': np.array([mean_pixel_distance(of_radius) for of_radius in images]), 'images': images,
            'read': read}


def widest_radius(assessed, agreement=0.95):
    """The index of the largest radius up to which the judge agrees with the target on that share of the variations.

    Args:
        assessed: what `assess_around` returns, with increasing radii.
        agreement: the share.

    Returns:
        An index into `radii`, or None where it agrees on fewer at the smallest radius already.
    """
    disagreeing = np.append(assessed['share'] < agreement, True)
    return int(disagreeing.argmax()) - 1 if disagreeing.argmax() else None


def run_searches(optimizer_for, targets, seeds, max_iter, n_jobs=None):
    """Runs a search for each target and each seed, in the workers of joblib.

    `n_jobs=2` uses two processes; inside of `joblib.parallel_config('dask')` the searches go to the workers of a Dask
    cluster. Each worker starts up first, which takes longer than a few searches with a cheap objective do.

    Args:
        optimizer_for: a function of target and seed that creates a search. It and what it uses are sent to the workers.
        targets: what to search for.
        seeds: of the searches for each target.
        max_iter: number of proposals that each search evaluates after its starting points.
        n_jobs: number of processes; None is one, and inside of `joblib.parallel_config` what is set there.

    Returns:
        A dict from `(target, seed)` to the search. One that failed is said so, keeps the evaluations it has made, and
        has the text of its exception as the attribute `error`, which is None for the others.

    Raises:
        ValueError: `max_iter` is not an integer of at least 0, or a search has a journal.
    """
    from joblib import Parallel, delayed

    max_iter = _checked_integer('max_iter', max_iter, at_least=0)
    searches = {(target, seed): optimizer_for(target, seed) for target in targets for seed in seeds}
    if any(search._journal is not None for search in searches.values()):
        raise ValueError('A journal belongs to one process, and these searches run in several. Leave the journal out, '
                         'or run them one after the other with run_optimization.')
    results = Parallel(n_jobs=n_jobs, return_as='generator')(
        delayed(_search)(optimizer_for, target, seed, max_iter) for target, seed in searches)
    with tqdm(total=len(searches), desc='searches', unit='search', file=sys.stdout) as bar:
        for (target, seed), (X, Y, error) in zip(searches, results, strict=True):  # noqa: N806
            search = searches[target, seed]
            search.X, search.Y, search.error = X, Y, error
            if error is not None:
                tqdm.write(f'The search for {target} with seed {seed} failed after {len(Y)} evaluations: {error}',
                           file=sys.stdout)
            elif len(Y):
                bar.set_postfix(best=f'{Y.min():.4g}', target=target, refresh=False)
            bar.update()
    return searches


def _search(optimizer_for, target, seed, max_iter):
    search = optimizer_for(target, seed)
    try:
        for _ in range(search.num_starting_points + max_iter):
            search._step()
    except Exception as error:  # Whatever the objective raises must not take the other searches down.
        return search.X, search.Y, f'{type(error).__name__}: {error}'
    return search.X, search.Y, None


# ---------------------------------------------------------------------------------------------------------------------
# Figures and tables
# ---------------------------------------------------------------------------------------------------------------------


def table(header, rows):
    """Shows rows of cells below a header as a Markdown table, where a notebook displays what this returns."""
    from IPython.display import Markdown

    lines = [header, ['---'] * len(header), *rows]
    return Markdown('\n'.join('| ' + ' | '.join(map(str, line)) + ' |' for line in lines))


# Ten colours that people with colour vision deficiency can tell apart (Petroff, arXiv 2107.02270).
label_colors = matplotlib.color_sequences['petroff10']


def _label_latent_axes(axis, title):
    axis.set(title=title, xlabel='$t_1$', ylabel='$t_2$')


def _show_image(axis, image, title):
    axis.imshow(np.squeeze(image), cmap='gray', vmin=0, vmax=1)
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()


def plot_architecture(latent_dim):
    """Draws the joint model: what is computed from what, and which part of the loss each output enters."""
    figure, axis = plt.subplots(figsize=(13, 4), layout='constrained')
    axis.set(xlim=(0, 13), ylim=(0.2, 4), title='The joint VAE-predictor model: networks (coloured), what passes '
             'between them (white), parts of the loss (red)')
    axis.set_axis_off()
    boxes = {name: axis.text(x, y, text, ha='center', va='center', fontsize=12,
                             bbox={'boxstyle': 'round,pad=0.5', 'facecolor': color, 'edgecolor': 'black'})
             for name, x, y, text, color in (
                 ('image', 0.8, 2.8, 'image\n28 × 28', 'white'),
                 ('encoder', 2.7, 2.8, 'encoder\nCNN', 'lightblue'),
                 ('moments', 5.1, 2.8, f't_mean, t_log_var\n{latent_dim} numbers each', 'white'),
                 ('sampler', 7.4, 2.8, 'sampler', 'lightblue'),
                 ('t', 8.8, 2.8, 't', 'white'),
                 ('decoder', 10.2, 2.8, 'decoder\nCNN', 'lightblue'),
                 ('decoded', 12.1, 2.8, 'decoded\nimage', 'white'),
                 ('predictor', 5.1, 1.1, 'predictor\ndense', 'orange'),
                 ('predicted', 7.8, 1.1, 'label probabilities\nor value', 'white'))}
    for start, end in (('image', 'encoder'), ('encoder', 'moments'), ('moments', 'sampler'), ('sampler', 't'),
                       ('t', 'decoder'), ('decoder', 'decoded'), ('moments', 'predictor'), ('predictor', 'predicted')):
        axis.annotate('', boxes[end].get_position(), boxes[start].get_position(), arrowprops={
            'arrowstyle': '->', 'lw': 1.5, 'shrinkA': 3, 'shrinkB': 3,
            'patchA': boxes[start].get_bbox_patch(), 'patchB': boxes[end].get_bbox_patch()})
    axis.text(5.25, 1.95, 't_mean, never a sample', fontsize=10, style='italic', va='center')
    for x, y, text in ((5.1, 3.6, 'KL divergence from N(0, I)'), (12.1, 2.0, 'reconstruction loss'),
                       (7.8, 0.4, f'{predictor_weight:g} × predictor loss')):
        axis.text(x, y, text, ha='center', va='center', fontsize=11, color='firebrick')
    return figure


def plot_images(images, labels, title):
    """Draws a row of images (n, 28, 28, 1) under their labels (n,)."""
    figure, axes = plt.subplots(1, len(images), figsize=(1.3 * len(images), 1.9), layout='constrained', squeeze=False)
    for axis, image, label in zip(axes[0], images, labels, strict=True):
        _show_image(axis, image, str(label))
    figure.suptitle(title)
    return figure


def plot_learning_curves(histories, title):
    """Draws the parts of the losses, for training and test images, against epochs.

    Args:
        histories: a dict from names of models to what `train` returns as their history.
        title: of the figure.
    """
    parts = {'reconstruction': 'Reconstruction (nats)', 'kl': 'KL divergence (nats)',
             'predictor': 'Predictor loss\n(nats; squared digits for the regressor)', 'loss': 'Cross-entropy (nats)'}
    figure, axes = plt.subplots(1, 4, figsize=(16, 3.8), layout='constrained')
    for axis, (part, label) in zip(axes, parts.items(), strict=True):
        for color, (name, history) in zip(label_colors, histories.items(), strict=False):
            if part in history[0]:
                epochs = range(1, len(history) + 1)
                axis.plot(epochs, [epoch[f'val_{part}'] for epoch in history], '.-', color=color, label=name)
                axis.plot(epochs, [epoch[part] for epoch in history], '.:', color=color)
        axis.set(title=label, xlabel='Epoch')
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if part in ('predictor', 'loss'):
            axis.set_yscale('log')
    axes[0].legend(loc='upper right')
    axes[3].legend(loc='upper right')
    figure.suptitle(f'{title}: test images (lines), training images (dotted)')
    return figure


def plot_latent_spaces(ts, y, titles, title):
    """Draws encoded images in several latent spaces of two dimensions, coloured by label and by value.

    Args:
        ts: for each latent space the points, (n, 2).
        y: labels of the images, (n,).
        titles: for each latent space its title.
        title: of the figure.

    Raises:
        ValueError: the points of a latent space are not (n, 2).
    """
    ts = [_checked_points(t, 2) for t in ts]
    figure, axes = plt.subplots(2, len(ts), figsize=(5 * len(ts), 9.2), layout='constrained', sharex=True, sharey=True,
                                squeeze=False)
    colorings = (matplotlib.colors.ListedColormap(label_colors), plt.get_cmap('viridis', num_labels))
    for row, (cmap, name) in enumerate(zip(colorings, ('label', 'value'), strict=True)):
        for axis, t, space in zip(axes[row], ts, titles, strict=True):
            points = axis.scatter(*t.T, c=y, cmap=cmap, vmin=-0.5, vmax=9.5, s=max(1.5, 4000 / len(y)), linewidths=0,
                                  rasterized=True)
            _label_latent_axes(axis, f'{space}, by {name}')
            axis.set(xlim=(-4, 4), ylim=(-4, 4), aspect='equal')
            for label in np.unique(y):
                axis.text(*np.median(t[y == label], axis=0), str(label), fontsize=13, weight='bold', ha='center',
                          va='center', clip_on=True, path_effects=[withStroke(linewidth=3, foreground='white')])
        figure.colorbar(points, ax=axes[row], ticks=range(num_labels), label=f'Digit {name}')
    figure.suptitle(title)
    return figure


def plot_nll(gx, gy, nll, title):
    """Draws an objective for all ten targets over a grid, with the minimum of each.

    Args:
        gx: first coordinates of the grid, (m, k).
        gy: second coordinates, (m, k).
        nll: the objective at the grid's points, (m * k, 10), nats; see `nll_all_targets`.
        title: of the figure.

    Raises:
        ValueError: `nll` does not belong to that grid.
    """
    if nll.shape != (gx.size, num_labels):
        raise ValueError(f'nll must have shape ({gx.size}, 10), a row for each point of the grid, got {nll.shape}.')
    figure, axes = plt.subplots(2, 5, figsize=(15, 6.6), layout='constrained', sharex=True, sharey=True)
    norm = matplotlib.colors.LogNorm(nll.min(), nll.max())
    for target, axis in enumerate(axes.flat):
        mesh = axis.pcolormesh(gx, gy, nll[:, target].reshape(gx.shape), cmap='viridis', norm=norm, rasterized=True)
        best = nll[:, target].argmin()
        axis.plot(gx.flat[best], gy.flat[best], '*', markersize=14, color='red', markeredgecolor='white')
        axis.set(title=f'target {target}: minimum {nll[best, target]:.2f} nats', aspect='equal')
        axis.xaxis.set_major_locator(MaxNLocator(4, prune='both'))
        axis.label_outer()
    for axis in axes[:, 0]:
        axis.set_ylabel('$t_2$')
    for axis in axes[-1]:
        axis.set_xlabel('$t_1$')
    colorbar = figure.colorbar(mesh, ax=axes, label='Negative log-likelihood (nats)', ticks=[2, 4, 8, 16, 32])
    colorbar.ax.yaxis.set_major_formatter('{x:g}')
    colorbar.ax.yaxis.set_minor_locator(NullLocator())
    figure.suptitle(title)
    return figure


def assess_top(optimizer, target, decoder, classifier, judge, num=10):
    """Decodes the best distinct evaluations of a search (see `top`) and reads the images.

    Returns:
        A dict: `values` of the objective, (m,), nats; `images`, (m, 28, 28, 1); `classifier` and `judge`, their
        probabilities of the target, (m,); `read`, the labels that the judge reads, (m,); `diversity`, see
        `mean_pixel_distance`.
    """
    points, values = top(optimizer, num)
    images = predict(decoder, points.astype('float32'), 'decode')
    by_judge = predict(judge, images, 'judge')
    return {'values': values[:, 0], 'images': images, 'classifier': predict(classifier, images, 'classify')[:, target],
            'judge': by_judge[:, target], 'read': by_judge.argmax(axis=1),
            'diversity': mean_pixel_distance(images)}


def mean_pixel_distance(images):
    """Mean Euclidean distance between two of the images (n, 28, 28, 1), in pixels from 0 to 1; 0 for a single one."""
    from scipy.spatial.distance import pdist

    return float(pdist(images.reshape(len(images), -1)).mean()) if len(images) > 1 else 0.0


def plot_top(assessed, title):
    """Draws the best distinct evaluations of searches, decoded.

    Above each image stands its objective in nats, below it the probability of the target by classifier and by judge; in
    orange, and with the label that it reads, where the judge reads another.

    Args:
        assessed: a dict from targets to what `assess_top` returns; each gets a row.
        title: of the figure.
    """
    num = max(len(row['values']) for row in assessed.values())
    figure, axes = plt.subplots(len(assessed), num, figsize=(1.3 * num, 1.95 * len(assessed) + 0.4),
                                layout='constrained', squeeze=False)
    for axes_row, (target, row) in zip(axes, assessed.items(), strict=True):
        for axis in axes_row:
            axis.set_axis_off()
        for i, axis in enumerate(axes_row[:len(row['values'])]):
            _show_image(axis, row['images'][i], f"{row['values'][i]:.2f}")
            wrong = row['read'][i] != target
            note = f"{row['classifier'][i]:.2f} | {row['judge'][i]:.2f}" + (f" ({row['read'][i]})" if wrong else '')
            axis.text(13.5, 30, note, fontsize=8, ha='center', va='top',
                      bbox={'boxstyle': 'square,pad=0.2', 'facecolor': 'orange' if wrong else 'none',
                            'edgecolor': 'none'})
        axes_row[0].text(-6, 14, f'{target}', fontsize=15, weight='bold', ha='right', va='center')
    figure.suptitle(title)
    return figure


def plot_variations(assessed, target, title):
    """Draws variations of the best points: judge's agreement and diversity against radius, and 30 of the images.

    The images are those at the widest radius (see `widest_radius`), or at the smallest if there is none.

    Args:
        assessed: what `assess_around` returns.
        target: the label.
        title: of the figure.
    """
    widest = widest_radius(assessed)
    shown = widest or 0
    figure = plt.figure(figsize=(15, 4.2), layout='constrained')
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.7))
    share = left.subplots()
    share.plot(assessed['radii'], assessed['share'], 'o-', color=label_colors[0])
    share.set(xlabel='Radius in latent space', xscale='log', ylim=(0, 1.03))
    share.set_xticks(assessed['radii'], [f'{radius:.2g}' for radius in assessed['radii']])
    share.xaxis.set_minor_locator(NullLocator())
    share.set_ylabel(f'Share read as {target} by the judge (line)', color=label_colors[0])
    share.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
    if widest is not None:
        share.axvline(assessed['radii'][widest], linestyle=':', color='black')
    diversity = share.twinx()
    diversity.plot(assessed['radii'], assessed['diversity'], 's--', color=label_colors[2])
    diversity.set_ylabel('Mean distance of two images, pixels (dashed)', color=label_colors[2])
    diversity.set_ylim(bottom=0)
    share.set_title('no radius is narrow enough' if widest is None else
                    f"the widest that the judge agrees with: {assessed['radii'][widest]:.2g}", fontsize=11)
    axes = right.subplots(3, 10)
    for axis, image, read in zip(axes.flat, assessed['images'][shown], assessed['read'][shown], strict=False):
        _show_image(axis, image, '')
        if read != target:
            axis.set_title(f'({read})', fontsize=9, backgroundcolor='orange', pad=2)
    right.suptitle(f"variations within {assessed['radii'][shown]:.2g}; orange: read as another digit", fontsize=11)
    figure.suptitle(title)
    return figure


def plot_reconstructions(x, models, title):
    """Draws images and what joint models make of them, with the reconstruction loss of each.

    Args:
        x: images, (n, 28, 28, 1).
        models: a dict from names to joint models. An image is decoded from its `t_mean`.
        title: of the figure.
    """
    figure, axes = plt.subplots(len(models) + 1, len(x), figsize=(1.3 * len(x), 1.65 * (len(models) + 1)),
                                layout='constrained', squeeze=False)
    for axis, image in zip(axes[0], x, strict=True):
        _show_image(axis, image, '')
    axes[0, 0].text(-4, 14, 'image', fontsize=11, ha='right', va='center')
    for row, (name, model) in zip(axes[1:], models.items(), strict=True):
        decoded = predict(model.get_layer('decoder'), encode(x, model), 'decode')
        losses = ops.convert_to_numpy(reconstruction_loss(x, decoded))
        for axis, image, loss in zip(row, decoded, losses, strict=True):
            _show_image(axis, image, f'{loss:.0f} nats')
        row[0].text(-4, 14, name, fontsize=11, ha='right', va='center')
    figure.suptitle(title)
    return figure


def plot_principal_components(t, y, optimizer, title):
    """Draws a search in more than two dimensions among encoded images, in the images' first four principal components.

    Args:
        t: encoded images, (n, d), d ≥ 4.
        y: their labels, (n,).
        optimizer: the search.
        title: of the figure.

    Raises:
        ValueError: there are fewer than four dimensions, or no evaluations.
    """
    from sklearn.decomposition import PCA

    if len(optimizer.domain) < 4 or len(optimizer.X) == 0:
        raise ValueError(f'plot_principal_components draws evaluations in four dimensions or more, this search has '
                         f'{len(optimizer.X)} in {len(optimizer.domain)}.')
    pca = PCA(4).fit(_checked_points(t, len(optimizer.domain)))
    encoded, searched = pca.transform(t), pca.transform(optimizer.X)
    best = optimizer.Y[:, 0].argmin()
    figure, axes = plt.subplots(1, 2, figsize=(14, 5.6), layout='constrained')
    for axis, (i, j) in zip(axes, ((0, 1), (2, 3)), strict=True):
        images = axis.scatter(*encoded[:, [i, j]].T, c=y, cmap=matplotlib.colors.ListedColormap(label_colors),
                              vmin=-0.5, vmax=9.5, s=3, linewidths=0, alpha=0.4, rasterized=True)
        axis.plot(*searched[:, [i, j]].T, '-', color='black', linewidth=0.6, alpha=0.5)
        points = axis.scatter(*searched[:, [i, j]].T, c=np.arange(1, len(searched) + 1), cmap='Greys', s=36,
                              edgecolors='black', linewidths=0.8, zorder=3)
        axis.plot(*searched[best, [i, j]], '*', markersize=18, color='red', markeredgecolor='white', zorder=4)
        axis.set(xlabel=f'Principal component {i + 1} ({pca.explained_variance_ratio_[i]:.0%} of the variance)',
                 ylabel=f'Principal component {j + 1} ({pca.explained_variance_ratio_[j]:.0%})')
    opaque = matplotlib.cm.ScalarMappable(images.norm, images.cmap)
    figure.colorbar(opaque, ax=axes[0], ticks=range(num_labels), label='Label of the image')
    figure.colorbar(points, ax=axes[1], label='Evaluation')
    figure.suptitle(title)
    return figure


def load_regret_curves(name='curves', folder=benchmark_results_dir):
    """Loads what `make bench` has measured of regret against evaluations, in the form that `plot_regret` draws.

    Args:
        name: 'curves', in the article's two dimensions, or 'curves_ten_dimensions'.
        folder: where the results of the benchmark are.

    Raises:
        FileNotFoundError: the benchmark has not written its curves to `folder`.
        ValueError: the file is damaged.
    """
    path = Path(folder) / f'{name}.csv'
    if not path.exists():
        raise FileNotFoundError(f'There is no {path}. Restore it with `git checkout`, or measure it with `make bench`.')
    curves = {}
    with open(path, newline='', encoding='utf-8') as file:
        for row in csv.reader(file):
            if row[1:] == ['evaluations', 'lower quartile', 'median', 'upper quartile']:
                continue
            try:
                name, _, *quartiles = row
                curves.setdefault(name, []).append([float(quartile) for quartile in quartiles])
            except ValueError as error:
                raise ValueError(f'{path} is damaged: {row}. Restore it with `git checkout`.') from error
    return {name: np.array(quartiles) for name, quartiles in curves.items()}


def plot_regret(curves, title):
    """Draws regret against evaluations: the median over searches as a line, the middle half of them as a band.

    Args:
        curves: a dict from names of methods to arrays (n, 3): lower quartile, median, upper quartile after each of n
            evaluations, nats.
        title: of the figure.
    """
    figure, axis = plt.subplots(figsize=(11, 5), layout='constrained')
    for color, (name, quartiles) in zip(label_colors, curves.items(), strict=False):
        lower, median, upper = np.maximum(quartiles, 1e-5).T
        evaluations = np.arange(1, len(median) + 1)
        axis.plot(evaluations, median, color=color, label=f'{name}: {median[-1]:.1g}')
        axis.fill_between(evaluations, lower, upper, color=color, alpha=0.15, linewidth=0)
    axis.set(title=title, xlabel='Evaluations', ylabel='Best value − minimum (nats)', yscale='log')
    figure.legend(loc='outside right center', title='median after the last evaluation')
    return figure
