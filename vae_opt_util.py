"""Conditional generation via Bayesian optimization in latent space.

The parts that `notebooks/variational_autoencoder_opt.ipynb` is told with, in the order of its story: data, models,
losses, training, pretrained models, objectives, search, figures.

Conventions: images are float32 in [0, 1] with shape (n, 28, 28, 1); labels are integers with shape (n,); points `t` of
the latent space have shape (n, latent_dim); losses and objectives are in nats, and objectives are minimised.
"""

import hashlib
import json
import math
import os
import platform
import socket
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
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


with _without_start_up_chatter():
    import keras
    from keras import layers, ops

    ops.zeros(())  # Starts the backend's devices, which is when it reports a missing GPU.

image_shape = (28, 28, 1)
num_labels = 10
models_dir = Path(__file__).resolve().parent / 'models'

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


def _checked_images(x):
    x = np.asarray(x)
    if x.ndim != 4 or x.shape[1:] != image_shape or x.dtype != np.float32:
        raise ValueError(f'Images must be float32 with shape (n, 28, 28, 1), got {x.dtype} with shape {x.shape}.')
    if not (x.min(initial=0.0) >= 0.0 and x.max(initial=0.0) <= 1.0):
        raise ValueError(f'Pixels must lie in [0, 1], got values from {x.min()} to {x.max()}. Divide bytes by 255.')
    return x


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


def create_encoder(latent_dim):
    """Creates the CNN that maps images (n, 28, 28, 1) to `t_mean` and `t_log_var`, each (n, latent_dim)."""
    image = layers.Input(shape=image_shape, name='image')

    x = layers.Conv2D(32, 3, padding='same', activation='relu', name='conv_1')(image)
    x = layers.Conv2D(64, 3, strides=2, padding='same', activation='relu', name='conv_2')(x)
    x = layers.Conv2D(64, 3, padding='same', activation='relu', name='conv_3')(x)
    x = layers.Conv2D(64, 3, padding='same', activation='relu', name='conv_4')(x)
    x = layers.Flatten(name='flatten')(x)
    x = layers.Dense(32, activation='relu', name='dense')(x)
    t_mean = layers.Dense(_checked_latent_dim(latent_dim), name='t_mean')(x)
    t_log_var = layers.Dense(latent_dim, name='t_log_var')(x)

    return keras.Model(image, [t_mean, t_log_var], name='encoder')


def create_decoder(latent_dim):
    """Creates the CNN that maps latent vectors (n, latent_dim) to images (n, 28, 28, 1) with pixels in (0, 1)."""
    t = layers.Input(shape=(_checked_latent_dim(latent_dim),), name='t')

    x = layers.Dense(14 * 14 * 64, activation='relu', name='dense')(t)
    x = layers.Reshape((14, 14, 64), name='reshape')(x)
    x = layers.Conv2DTranspose(32, 3, strides=2, padding='same', activation='relu', name='conv_transpose')(x)
    x = layers.Conv2D(1, 3, padding='same', activation='sigmoid', name='pixels')(x)

    return keras.Model(t, x, name='decoder')


def create_sampler(seed=None):
    """Creates the layer that draws `t` from `[t_mean, t_log_var]`; `seed` fixes its stream of random numbers."""
    return Sampler(seed, name='sampler')


def create_predictor(latent_dim):
    """Creates the network that predicts label probabilities (n, 10) from `t_mean` (n, latent_dim)."""
    t_mean = layers.Input(shape=(_checked_latent_dim(latent_dim),), name='t_mean')

    x = layers.Dense(128, activation='relu', name='dense_1')(t_mean)
    x = layers.Dense(128, activation='relu', name='dense_2')(x)
    x = layers.Dense(num_labels, activation='softmax', name='label_probs')(x)

    return keras.Model(t_mean, x, name='predictor')


def create_predictor_linear(latent_dim):
    """Creates the network that predicts digit values (n, 1), any real number, from `t_mean` (n, latent_dim)."""
    t_mean = layers.Input(shape=(_checked_latent_dim(latent_dim),), name='t_mean')

    x = layers.Dense(128, activation='relu', name='dense_1')(t_mean)
    x = layers.Dense(128, activation='relu', name='dense_2')(x)
    x = layers.Dense(1, name='value')(x)

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
    x = layers.Dense(num_labels, activation='softmax', name='label_probs')(x)

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
    x = layers.Dense(num_labels, activation='softmax', name='label_probs')(x)

    return keras.Model(image, x, name='judge')


def create_joint_model(encoder, decoder, sampler, predictor=None):
    """Composes the joint VAE-predictor model, or the VAE alone where `predictor` is None.

    The model maps images (n, 28, 28, 1) to decoded samples of their posterior, and with a predictor to the list of
    these and of what the predictor reads from `t_mean`, never from a sample. It adds the KL divergence to its loss by
    itself; `train` adds the other parts. `get_layer` gives back 'encoder', 'decoder' and 'predictor'.
    """
    image = layers.Input(shape=image_shape, name='image')
    t_mean, t_log_var = KLDivergence(name='kl_divergence')(encoder(image))
    t_decoded = decoder(sampler([t_mean, t_log_var]))
    if predictor is None:
        return keras.Model(image, t_decoded, name='vae')
    return keras.Model(image, [t_decoded, predictor(t_mean)], name='vae_predictor')


def _checked_latent_dim(latent_dim):
    if not isinstance(latent_dim, (int, np.integer)) or latent_dim < 1:
        raise ValueError(f'latent_dim must be a positive integer, got {latent_dim!r}. The article uses 2.')
    return int(latent_dim)


# ---------------------------------------------------------------------------------------------------------------------
# Losses
# ---------------------------------------------------------------------------------------------------------------------


def reconstruction_loss(x, x_decoded):
    """Binary cross-entropy of images (n, 28, 28, 1) summed over their pixels: (n,), nats.

    With `kl_divergence` it is the negative variational lower bound (−ELBO) of Kingma and Welling, arXiv 1312.6114.
    """
    return ops.sum(keras.losses.binary_crossentropy(x, x_decoded), axis=(1, 2))


def kl_divergence(t_mean, t_log_var):
    """KL divergence of N(t_mean, exp(t_log_var)) from N(0, I), summed over latent dimensions: (n,), nats.

    −1/2 Σ (1 + t_log_var − t_mean² − exp(t_log_var)), appendix B of arXiv 1312.6114.
    """
    return -0.5 * ops.sum(1 + t_log_var - ops.square(t_mean) - ops.exp(t_log_var), axis=-1)


# ---------------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------------

predictor_weight = 20.0


class Recipe(NamedTuple):
    """How one of the models is trained: epochs, and the factor on RMSprop's learning rate after each of them."""

    epochs: int
    learning_rate_decay: float = 1.0


RECIPES = {
    'vae-predictor-off': Recipe(epochs=15),
    'vae-predictor-softmax': Recipe(epochs=15),
    'vae-predictor-linear': Recipe(epochs=15),
    'classifier': Recipe(epochs=5),
    'judge': Recipe(epochs=12, learning_rate_decay=0.7),
}


def create_model(name, latent_dim=2, seed=0):
    """Creates one of the models named in `RECIPES`, untrained; `seed` fixes its initial weights and its sampler.

    It sets the global random seeds of Python, NumPy and Keras. The judge draws from a seed of its own.

    Raises:
        ValueError: there is no model of that name.
    """
    _checked_model_name(name)
    keras.utils.set_random_seed(seed + 1000 if name == 'judge' else seed)
    if name == 'classifier':
        return create_classifier()
    if name == 'judge':
        return create_judge()
    predictor = {'vae-predictor-off': None,
                 'vae-predictor-softmax': create_predictor,
                 'vae-predictor-linear': create_predictor_linear}[name]
    return create_joint_model(create_encoder(latent_dim), create_decoder(latent_dim), create_sampler(seed),
                              predictor and predictor(latent_dim))


def train(name, data, latent_dim=2, epochs=None, batch_size=64, seed=0, checkpoint_dir=None):
    """Trains one of the models named in `RECIPES`, with RMSprop as the article does.

    VAEs minimise the batch mean of `reconstruction_loss` + `kl_divergence`, plus 20 times the predictor's loss where
    they have one: cross-entropy for labels, mean squared error for values. Classifiers minimise cross-entropy.

    With `checkpoint_dir`, weights and learning curve are written there after each epoch, and a training that was
    interrupted goes on after its last finished epoch as if nothing had happened. A finished one is read back.

    Args:
        name: a key of `RECIPES`.
        data: a `Data` tuple.
        latent_dim: dimensions of the latent space; classifiers have none.
        epochs: passes over the training images; without it those of the recipe.
        batch_size: images a step.
        seed: governs initial weights, order of images, sampler and dropout.
        checkpoint_dir: folder of this training's checkpoint, made where it is missing.

    Returns:
        `(model, history)`: the uncompiled model and a list with a dict an epoch. Its keys are 'seconds' and, for the
        training images as a running mean and with the prefix 'val_' for the test images, the parts of the loss in
        nats: 'reconstruction', 'kl' and 'predictor' (squared digits for values), or 'loss' for classifiers;
        'accuracy' where labels are predicted.

    Raises:
        ValueError: unknown name, bad images or labels, or a checkpoint made with other settings.
        FloatingPointError: the loss is no longer finite; the checkpoint keeps the epochs before.
    """
    x_train, x_test = _checked_images(data.x_train), _checked_images(data.x_test)
    y_train, y_test = _checked_labels(data.y_train, len(x_train)), _checked_labels(data.y_test, len(x_test))
    model = create_model(name, latent_dim, seed)
    epochs = RECIPES[name].epochs if epochs is None else epochs
    is_vae = name.startswith('vae')

    def targets(x, y):
        if not is_vae:
            return y
        return [x, y] if len(model.outputs) == 2 else x

    settings = {'name': name, 'data': data.name, 'images': len(x_train), 'batch_size': batch_size, 'seed': seed,
                'architecture': hashlib.sha256(model.to_json().encode()).hexdigest()}
    _compile(model)
    learning_rate = float(model.optimizer.learning_rate)
    checkpoint = _Checkpoint(checkpoint_dir, settings)
    history = checkpoint.restore(model, epochs)

    with _Progress(name, epochs, math.ceil(len(x_train) / batch_size), len(history)) as progress:
        for epoch in range(len(history), epochs):
            _reseed(model, seed, epoch)
            model.optimizer.learning_rate = learning_rate * RECIPES[name].learning_rate_decay ** epoch
            order = np.random.default_rng((seed, epoch)).permutation(len(x_train))
            x, y = x_train[order], y_train[order]
            started = time.perf_counter()
            logs = model.fit(x, targets(x, y), batch_size=batch_size, shuffle=False, verbose=0,
                             validation_data=(x_test, targets(x_test, y_test)), callbacks=[progress]).history
            parts = _loss_parts({key: values[0] for key, values in logs.items()}, is_vae)
            if not all(np.isfinite(value) for value in parts.values()):
                raise FloatingPointError(f'Training of {name!r} diverged in epoch {epoch + 1}: {parts}. Epochs before '
                                         'it are in the checkpoint, if there is one; try another seed.')
            history.append({**parts, 'seconds': round(time.perf_counter() - started, 2)})
            checkpoint.write(model, history)

    return keras.Model(model.inputs, model.outputs if len(model.outputs) > 1 else model.output,
                       name=model.name), history


def _compile(model):
    if 'decoder' not in (layer.name for layer in model.layers):
        return model.compile('rmsprop', 'sparse_categorical_crossentropy', metrics=['accuracy'])
    if len(model.outputs) == 1:
        return model.compile('rmsprop', reconstruction_loss, metrics=[reconstruction_loss])
    predicts_labels = model.get_layer('predictor').output.shape[-1] == num_labels
    return model.compile('rmsprop',
                         [reconstruction_loss,
                          'sparse_categorical_crossentropy' if predicts_labels else 'mean_squared_error'],
                         loss_weights=[1.0, predictor_weight],
                         metrics=[[], ['accuracy'] if predicts_labels else []])


def _loss_parts(logs, is_vae):
    """Names the parts of the loss in Keras's logs; the KL divergence is what the other parts leave of the whole."""
    parts = {}
    for prefix in ('', 'val_') if any(key.startswith('val_') for key in logs) else ('',):
        if not is_vae:
            parts |= {prefix + key: logs[prefix + key] for key in ('loss', 'accuracy')}
            continue
        loss, predictor = logs[f'{prefix}loss'], logs.get(f'{prefix}predictor_loss')
        reconstruction = logs[f'{prefix}reconstruction_loss' if predictor is None else f'{prefix}decoder_loss']
        parts[f'{prefix}reconstruction'] = reconstruction
        parts[f'{prefix}kl'] = loss - reconstruction - (0.0 if predictor is None else predictor_weight * predictor)
        if predictor is not None:
            parts[f'{prefix}predictor'] = predictor
        if f'{prefix}predictor_accuracy' in logs:
            parts[f'{prefix}accuracy'] = logs[f'{prefix}predictor_accuracy']
    return parts


def _reseed(model, seed, epoch):
    """Gives each random layer a state that depends on seed and epoch alone: Keras does not save it with the weights."""
    for index, layer in enumerate(model.layers):
        if hasattr(layer, 'seed_generator'):
            state = np.random.SeedSequence((seed, epoch, index)).generate_state(2)
            layer.seed_generator.state.assign(state.astype(layer.seed_generator.state.dtype))


class _Progress(keras.callbacks.Callback):
    """A bar over all steps of a training, with the running means of its losses and the epoch they belong to."""

    def __init__(self, name, epochs, steps, finished):
        super().__init__()
        self.is_vae, self.epochs, self.finished = name.startswith('vae'), epochs, finished
        self.bar = tqdm(total=epochs * steps, initial=finished * steps, desc=name, unit='step', file=sys.stdout,
                        mininterval=1.0)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.bar.close()

    def on_train_batch_end(self, batch, logs=None):
        # Reading a loss waits for the device, so it is read no more often than it is shown.
        if time.time() - self.bar.last_print_t > self.bar.mininterval:
            self._show(logs)
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.finished += 1
        self._show(logs)

    def _show(self, logs):
        parts = _loss_parts(logs, self.is_vae)
        self.bar.set_postfix({'epoch': f'{self.finished}/{self.epochs}'}
                             | {key: f'{value:.4g}' for key, value in parts.items()}, refresh=False)


class _Checkpoint:
    """The state of a training after its last finished epoch: weights with optimizer, settings and learning curve."""

    def __init__(self, folder, settings):
        self.folder = None if folder is None else Path(folder)
        self.settings = settings

    def restore(self, model, epochs):
        """Loads the newest weights into the compiled model and returns the learning curve up to them."""
        if self.folder is None or not (self.folder / 'history.json').exists():
            return []
        state = json.loads((self.folder / 'history.json').read_text())
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


def _write_text(path, text):
    """Writes a text file in one step: whoever reads it sees the old text or the new one, never a part."""
    unfinished = path.with_name(path.name + '.unfinished')
    unfinished.write_text(text)
    os.replace(unfinished, path)


def evaluate(model, x, y, batch_size=500, seed=0):
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
    t_mean, t_log_var = encoder.predict(x, batch_size=batch_size, verbose=0)
    epsilon = np.random.default_rng(seed).standard_normal(t_mean.shape, dtype='float32')
    x_decoded = decoder.predict(t_mean + np.exp(0.5 * t_log_var) * epsilon, batch_size=batch_size, verbose=0)

    reconstruction = float(np.mean(ops.convert_to_numpy(reconstruction_loss(x, x_decoded))))
    kl = float(np.mean(ops.convert_to_numpy(kl_divergence(t_mean, t_log_var))))
    metrics = {'reconstruction': reconstruction, 'kl': kl, 'neg_elbo': reconstruction + kl}
    if len(model.outputs) == 2:
        predicted = model.get_layer('predictor').predict(t_mean, batch_size=batch_size, verbose=0)
        if predicted.shape[1] == num_labels:
            metrics['accuracy'] = float(np.mean(predicted.argmax(axis=1) == y))
        else:
            metrics['rmse'] = float(np.sqrt(np.mean((predicted[:, 0] - y) ** 2)))
    return metrics


def evaluate_classifier(model, x, y, batch_size=500):
    """Measures the share of images that a classifier reads as their label: {'accuracy': float}."""
    x, y = _checked_images(x), _checked_labels(y, len(x))
    return {'accuracy': float(np.mean(model.predict(x, batch_size=batch_size, verbose=0).argmax(axis=1) == y))}


# ---------------------------------------------------------------------------------------------------------------------
# Pretrained models
# ---------------------------------------------------------------------------------------------------------------------


def save_pretrained(model, name, description, folder=models_dir):
    """Writes `model` to `<folder>/<name>.keras`, and its sha256 with `description` into the folder's manifest.json.

    Args:
        model: uncompiled, so that no optimizer state is saved.
        name: a key of `RECIPES`.
        description: a dict that can be written as JSON: how, on what and with what result the model was made.
    """
    folder = Path(folder)
    path = folder / f'{_checked_model_name(name)}.keras'
    model.save(path)
    manifest_path = folder / 'manifest.json'
    manifest = json.loads(manifest_path.read_text()) if manifest_path.exists() else {}
    manifest[name] = {'file': path.name, 'sha256': hashlib.sha256(path.read_bytes()).hexdigest(), **description}
    _write_text(manifest_path, json.dumps({key: manifest[key] for key in RECIPES if key in manifest}, indent=1) + '\n')


def load_manifest(folder=models_dir):
    """Loads what manifest.json records of the pretrained models: a dict of dicts, one a model."""
    path = Path(folder) / 'manifest.json'
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise FileNotFoundError(f'There is no {path}, which records the pretrained models. Run from a complete clone '
                                'installed with `pip install -e .`, or train with `make train`.') from error
    except json.JSONDecodeError as error:
        raise ValueError(f'{path} is damaged ({error}). Restore it with `git checkout`.') from error


def load_pretrained(name, folder=models_dir):
    """Loads a pretrained model, checked against the sha256 in manifest.json, without executing code from its file.

    Args:
        name: 'vae-predictor-softmax', 'vae-predictor-linear', 'vae-predictor-off', 'classifier' or 'judge'.
        folder: where the models and their manifest lie.

    Returns:
        An uncompiled Keras model.

    Raises:
        ValueError: there is no model of that name, or its file is damaged.
        FileNotFoundError: the model's file or the manifest is not there.
    """
    recorded = load_manifest(folder).get(_checked_model_name(name))
    path = Path(folder) / f'{name}.keras'
    if recorded is None or not path.exists():
        raise FileNotFoundError(f'The pretrained model {name!r} is not in {folder}. Restore it with `git checkout`, '
                                'train it with `make train`, or set use_pretrained = False.')
    if hashlib.sha256(path.read_bytes()).hexdigest() != recorded['sha256']:
        raise ValueError(f'{path} is not the file recorded in manifest.json: its sha256 differs. Restore it with '
                         '`git checkout`, or train it with `make train`.')
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _checked_model_name(name):
    if name not in RECIPES:
        raise ValueError(f'There is no model named {name!r}. The models are {", ".join(map(repr, RECIPES))}.')
    return name


def versions(*packages):
    """The versions of Python and of installed packages: a dict of strings."""
    return {'python': platform.python_version(), **{package: metadata.version(package) for package in packages}}
