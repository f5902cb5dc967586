"""Training of Keras models that continues after an interruption, and whose result depends on its seed only."""

import hashlib
import io
import json
import os
import re
import sys
import time
from contextlib import ExitStack
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from latent_search.files import replace_file
from latent_search.interrupts import interruptible
from latent_search.points import check_integer
from networks.backend import (
    compiling_is_expected,
    computing_in,
    keras,
    native_precision,
    set_random_seed,
    without_greetings,
)
from networks.files import check_path, read_arrays


class Recipe(NamedTuple):
    """How a model is trained with RMSprop.

    Attributes:
        epochs: passes over the training examples.
        batch_size: examples a step.
        learning_rate: its highest value.
        warm_up_steps: number of first steps over which the learning rate rises to its highest value.
        learning_rate_decay: factor on the learning rate after each epoch, where there is no warm-up.
        ema_momentum: momentum of the weights' exponential moving average over the steps (Polyak averaging). If it is
            not 0, these averages are measured and returned instead of the last weights.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 0.001
    warm_up_steps: int = 0
    learning_rate_decay: float = 1.0
    ema_momentum: float = 0.0

    def optimizer(self, num):
        """Creates the optimizer for a training on `num` examples.

        With few examples, the warm-up takes a tenth of all steps at most, and the averages' momentum is at most
        1 − 5 / steps: the weights at the beginning would otherwise dominate the result of a short training.

        Raises:
            ValueError: a value of the recipe is not a number, or not in its range; or there are no examples.
        """
        num = check_integer('num', num, at_least=1)
        for name, in_range, expected in (('learning_rate', lambda value: 0 < value < np.inf, 'a positive number'),
                                         ('learning_rate_decay', lambda value: 0 < value < np.inf, 'a positive number'),
                                         ('ema_momentum', lambda value: 0 <= value < 1, 'a number from 0 to below 1')):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not in_range(value):
                raise ValueError(f'{name} must be {expected}, got {value!r}.')
        epochs, batch_size = (check_integer(name, getattr(self, name), at_least=1) for name in ('epochs', 'batch_size'))
        steps_per_epoch = -(-num // batch_size)
        steps = epochs * steps_per_epoch
        warm_up_steps = min(check_integer('warm_up_steps', self.warm_up_steps, at_least=0), steps // 10)
        momentum = min(self.ema_momentum, max(0.0, 1 - 5 / steps))
        schedules = keras.optimizers.schedules
        if warm_up_steps:
            rate = schedules.PolynomialDecay(self.learning_rate / (warm_up_steps + 1), warm_up_steps,
                                             self.learning_rate)  # It is linear, and rises.
        else:
            rate = schedules.ExponentialDecay(self.learning_rate, steps_per_epoch, self.learning_rate_decay,
                                              staircase=True)
        return keras.optimizers.RMSprop(rate, use_ema=momentum > 0, ema_momentum=momentum)


def batches(inputs, targets, batch_size, orders):
    """A pipeline that gives examples in batches, in the order of one epoch after the other.

    It is TensorFlow's, with each backend: with TensorFlow, `fit` takes a tenth longer for a `PyDataset`.

    Args:
        inputs: an array with a row for each example, or a structure of such arrays, as the model takes them.
        targets: likewise.
        batch_size: examples a batch; the last batch of an epoch may have fewer.
        orders: the indices of the examples in their order, an array (epochs, n).
    """
    import tensorflow as tf

    if keras.backend.backend() != 'tensorflow':
        tf.config.set_visible_devices([], 'GPU')  # Or it would take all memory of the GPU from the other backend.
    with tf.device('CPU'):
        examples = tf.nest.map_structure(tf.constant, (inputs, targets))
        rows = tf.data.Dataset.from_tensor_slices(orders).flat_map(
            lambda order: tf.data.Dataset.from_tensor_slices(order).batch(batch_size))
        return rows.map(lambda of_batch: tf.nest.map_structure(lambda array: tf.gather(array, of_batch), examples)
                        ).prefetch(tf.data.AUTOTUNE)


def fit(model, train_set, test_set, recipe, name, *, seed=0, folder=None, precision='auto'):
    """Trains a compiled model by Keras's `fit`, or continues an interrupted training.

    With `folder`, weights and learning curve are written after each epoch, into a folder whose name depends on the
    model, its losses, the recipe, the data, the seed and the precision. An interrupted training continues after its
    last finished epoch, with the same result as without the interruption. A finished training is read back.

        model.compile(recipe.optimizer(len(x)), 'sparse_categorical_crossentropy', metrics=['accuracy'])
        history = fit(model, (x, y), (x_test, y_test), recipe, 'mine', folder='build/checkpoints')

    Args:
        model: a compiled Keras model. Afterwards it has the averaged weights, if the recipe averages them.
        train_set: inputs and targets to learn from: arrays with a row for each example, or structures of arrays.
        test_set: inputs and targets to measure after each epoch.
        recipe: a `Recipe`, whose optimizer the model was compiled with.
        name: of the model in the folder, the progress bar and messages.
        seed: of the order of examples and of random layers.
        folder: of all trainings, created if it does not exist.
        precision: in which convolutions compute: 'float32', 'mixed_bfloat16', or 'auto': see `native_precision`.

    Returns:
        The learning curve: a list with a dict for each epoch. Its keys are those of Keras, such as 'loss' and
        'val_loss', and 'seconds'. A single output that has a name is named there too, as where there are several.

    Raises:
        ValueError: unknown precision, or the checkpoint is damaged.
        FloatingPointError: the loss is no longer finite; the checkpoint keeps the earlier epochs.
        Interrupted: a KeyboardInterrupt that says what is kept and how to continue.
    """
    if precision not in ('auto', 'float32', 'mixed_bfloat16'):
        raise ValueError(f"precision must be 'auto', 'float32' or 'mixed_bfloat16', got {precision!r}.")
    precision = native_precision() if precision == 'auto' else precision
    num = len(keras.tree.flatten(train_set)[0])
    steps = -(-num // recipe.batch_size)
    checkpoint = Checkpoint(folder if folder is None else Path(folder) / (
        f'{name}-{_hash(model, train_set, recipe, seed, precision)}'))
    run = _Run(name, steps, checkpoint, recipe.epochs, seed)
    with computing_in(precision, model), compiling_is_expected(), interruptible(run.what_is_kept):
        checkpoint.restore(model)
        first = len(checkpoint.history)
        orders = np.array([np.random.default_rng((seed, epoch)).permutation(num)
                           for epoch in range(first, max(recipe.epochs, first + 1))])
        try:
            model.fit(batches(*train_set, recipe.batch_size, orders), steps_per_epoch=steps, shuffle=False,
                      epochs=recipe.epochs, initial_epoch=first, validation_data=test_set, validation_batch_size=400,
                      verbose=0, callbacks=[*([keras.callbacks.SwapEMAWeights()] * model.optimizer.use_ema), run])
        finally:
            run.close()
    return checkpoint.history


def _hash(model, train_set, recipe, seed, precision):
    """What the result of a training depends on, as 16 hexadecimal digits."""
    # Keras numbers operations without a name, from the start of the process.
    architecture = re.sub(r'_\d+"', '"', model.to_json())
    text = json.dumps([architecture, recipe, seed, precision], default=np.generic.item)
    arrays = b''.join(hashlib.sha256(np.ascontiguousarray(array)).digest() for array in keras.tree.flatten(train_set))
    return hashlib.sha256(text.encode() + arrays).hexdigest()[:16]


class Checkpoint:
    """The state of a training after its last finished epoch: weights with optimizer, and learning curve, in one file.

    Two trainings with the same settings do not disturb each other, in one process or in two: each writes its own state
    as a whole, and both compute the same.

    Args:
        folder: of this training alone. If it is None, nothing is written.

    Attributes:
        folder: with the home folder in the place of `~`.
        history: the learning curve so far, a list with a dict for each epoch.
    """

    def __init__(self, folder):
        self.folder, self.history = None if folder is None else check_path('folder', folder), []

    def restore(self, model):
        """Loads the weights into the compiled model, and the learning curve; creates the folder.

        Raises:
            ValueError: the checkpoint is damaged. The weights are then unchanged.
            OSError: the folder cannot be created.
        """
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._cannot_be_written(error) from error
        if not os.path.lexists(self._path):
            return
        model.optimizer.build(model.trainable_variables)
        variables = _variables(model)
        try:
            if not os.path.isfile(self._path):
                raise ValueError('it is no file')
            arrays = read_arrays(self._path, ['history', *variables])
            history = json.loads(arrays['history'].tobytes())
            if not isinstance(history, list) or not all(isinstance(epoch, dict) for epoch in history):
                raise ValueError('its learning curve is no list of dicts')
            for name, variable in variables.items():
                if (arrays[name].shape, arrays[name].dtype.name) != (tuple(variable.shape), variable.dtype):
                    raise ValueError(f'{name} is {arrays[name].dtype} with shape {arrays[name].shape}')
        except ValueError as error:
            raise ValueError(f'The checkpoint {self._path} is damaged ({error}). Delete it to train anew.') from error
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self.history = history

    def write(self, model, epoch):
        """Adds an epoch, so that a crash at any moment leaves the previous one in place.

        Raises:
            OSError: the file cannot be written.
        """
        history = [*self.history, epoch]
        if self.folder is not None:
            content = io.BytesIO()
            np.savez(content, history=np.frombuffer(json.dumps(history).encode(), dtype='uint8'), **{
                name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(model).items()})
            try:
                replace_file(self._path, content.getvalue())
            except OSError as error:
                raise self._cannot_be_written(error) from error
        self.history = history

    @property
    def _path(self):
        return self.folder / 'checkpoint.npz'

    def _cannot_be_written(self, error):
        return OSError(error.errno, f'The checkpoint {self._path} cannot be written: {error.strerror or error}. Epochs '
                                    'before are kept. Make sure that its folder is writable and has space, and run the '
                                    'training again, which goes on after them')


def _variables(model):
    """The weights of a compiled model and the variables of its optimizer, each with a name that says its place only.

    Keras numbers layers without a name, from the start of the process.
    """
    return {f'{part}-{index}': variable for part, of_part in (('weight', model.weights),
                                                              ('optimizer', model.optimizer.variables))
            for index, variable in enumerate(of_part)}


class _Run(keras.callbacks.Callback):
    """Seeds each epoch, shows the progress, and keeps finished epochs in a checkpoint."""

    def __init__(self, name, steps, checkpoint, epochs, seed):
        super().__init__()
        self.name, self.steps, self.checkpoint, self.epochs, self.seed = name, steps, checkpoint, epochs, seed
        self.bar, self.start = None, ExitStack()

    def on_train_begin(self, logs=None):
        self.start.enter_context(without_greetings())  # TensorFlow's data pipelines have one too.
        self.bar = tqdm(total=self.epochs * self.steps, initial=len(self.checkpoint.history) * self.steps,
                        desc=self.name, unit='step', file=sys.stdout, mininterval=1.0)

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()
        reseed(self.model, self.seed, epoch)

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            self.start.close()
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        logs = {key: float(value) for key, value in logs.items()}
        if not all(np.isfinite(value) for value in logs.values()):
            raise FloatingPointError(f'Training of {self.name} diverged in epoch {epoch + 1}: {logs}. The '
                                     'epochs before it are in the checkpoint, if there is one; try another seed.')
        names = list(self.model.output) if isinstance(self.model.output, dict) else []
        if len(names) == 1:
            logs |= {f'{names[0]}_loss': logs['loss'], f'val_{names[0]}_loss': logs['val_loss']}
        self.checkpoint.write(self.model, logs | {'seconds': round(time.perf_counter() - self.started, 2)})
        lowest = min(finished['val_loss'] for finished in self.checkpoint.history)
        self.bar.set_postfix(epoch=f'{epoch + 1}/{self.epochs}', lowest_test_loss=f'{lowest:.4g}')

    def close(self):
        self.start.close()
        if self.bar is not None:
            self.bar.close()

    def what_is_kept(self):
        epoch = len(self.checkpoint.history) + 1
        kept = ('Nothing of it is kept, as it has no checkpoint folder. Running it again starts it again.'
                if self.checkpoint.folder is None else
                f'Finished epochs are kept in {self.checkpoint.folder}. Running it again continues with epoch {epoch}.')
        return f'Training of {self.name} stopped in epoch {epoch} of {self.epochs}. {kept}'


def reseed(model, seed, epoch):
    """Gives each random layer a state that depends on seed and epoch only: Keras does not save it with the weights.

    It sets the global random seeds too: with PyTorch, dropout draws from the global generator.
    """
    set_random_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))
    for index, layer in enumerate(model.layers):
        if hasattr(layer, 'seed_generator'):
            state = np.random.SeedSequence((seed, epoch, index)).generate_state(2)
            layer.seed_generator.state.assign(state.astype(layer.seed_generator.state.dtype))
