"""Training of a compiled Keras model, with checkpoints from which an interrupted training goes on.

It uses Keras's `train_on_batch` rather than `fit`: the data pipelines that `fit` sets up for TensorFlow, one for
training and one for test examples, can take 20 seconds to shut down, and an epoch takes 40.
"""

import hashlib
import json
import logging
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from digits.backend import keras, set_random_seed
from digits.pretrained import read_json, write_text
from latent_search.interrupts import interruptible
from latent_search.points import check_integer

logger = logging.getLogger(__name__)


class Recipe(NamedTuple):
    """How a model is trained.

    Attributes:
        epochs: passes over the training examples.
        learning_rate_decay: factor on the learning rate after each epoch.
        warm_up_steps: number of first steps over which the learning rate rises to its highest value.
        batch_size: examples a step.
        learning_rate: its highest value.
        ema_momentum: momentum of the weights' exponential moving average over the steps (Polyak averaging). If it is
            not 0, these averages are measured and returned instead of the last weights.
    """

    epochs: int
    learning_rate_decay: float = 1.0
    warm_up_steps: int = 0
    batch_size: int = 64
    learning_rate: float = 0.001
    ema_momentum: float = 0.0

    def learning_rate_at(self, step, steps_per_epoch):
        """The learning rate of a step, counted from 0 over all epochs."""
        warm_up = min(1.0, (step + 1) / (self.warm_up_steps + 1))
        return self.learning_rate * self.learning_rate_decay ** (step // steps_per_epoch) * warm_up

    def for_examples(self, num):
        """The recipe for a training on `num` examples, in which few steps have a short warm-up and short averages.

        The warm-up takes a tenth of all steps at most, and the averages' momentum is at most 1 − 5 / steps. Otherwise
        the weights at the beginning would dominate what a short training returns.
        """
        steps = self.epochs * -(-num // self.batch_size)
        return self._replace(warm_up_steps=min(self.warm_up_steps, steps // 10),
                             ema_momentum=min(self.ema_momentum, max(0.0, 1 - 5 / steps)))


def check_recipe(recipe):
    """Returns a recipe whose counts are ints.

    Raises:
        ValueError: epochs or batch size are not integers of at least 1, or warm-up steps not one of at least 0.
    """
    return recipe._replace(epochs=check_integer('epochs', recipe.epochs, at_least=1),
                           batch_size=check_integer('batch_size', recipe.batch_size, at_least=1),
                           warm_up_steps=check_integer('warm_up_steps', recipe.warm_up_steps, at_least=0))


class Examples(NamedTuple):
    """What a model is given, and what it is to make of it.

    Attributes:
        inputs: an array with a row for each example, or a list of arrays if the model has several inputs.
        targets: an array with a row for each example, or a list of arrays if the model has several outputs.
    """

    inputs: np.ndarray | list
    targets: np.ndarray | list

    def __len__(self):
        return len(self.inputs[0] if isinstance(self.inputs, list) else self.inputs)

    def rows(self, indices):
        """The inputs and targets of some examples, as Keras takes a batch of them."""
        return tuple([part[indices] for part in parts] if isinstance(parts, list) else parts[indices]
                     for parts in (self.inputs, self.targets))


class Checkpoint:
    """The state of a training after its last finished epoch: weights with optimizer, settings and learning curve.

    Args:
        parent: the folder that holds the folders of all checkpoints, created if it does not exist. If it is None,
            nothing is written.
        settings: all that the result of the training depends on: a dict that can be written as JSON. Trainings with
            different settings have different folders.
    """

    def __init__(self, parent, settings):
        name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = None if parent is None else Path(parent) / name
        self.settings = settings

    def restore(self, model):
        """Loads the newest weights into the compiled model.

        Returns:
            The learning curve of the finished epochs, a list of dicts.

        Raises:
            ValueError: the checkpoint is damaged.
        """
        if self.folder is None or not (self.folder / 'history.json').exists():
            return []
        state = read_json(self.folder / 'history.json', 'Delete its folder to train anew.')
        # The learning curve is written before the weights, so a crash between the two leaves it one epoch longer.
        finished = max((int(path.name[6:9]) for path in self.folder.glob('epoch-???.weights.h5')), default=0)
        if finished:
            model.optimizer.build(model.trainable_variables)
            try:
                model.load_weights(self._weights(finished))
            except (OSError, ValueError, KeyError) as error:
                raise ValueError(f'{self._weights(finished)} cannot be read as weights of this model ({error}). '
                                 'Delete its folder to train anew.') from error
        return state['history'][:finished]

    def write(self, model, history):
        """Writes model and learning curve so that a crash at any moment leaves the previous epoch in place."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / 'history.json', json.dumps({'settings': self.settings, 'history': history}, indent=1))
        unfinished = self.folder / 'unfinished.weights.h5'
        model.save_weights(unfinished, overwrite=True)
        os.replace(unfinished, self._weights(len(history)))
        for path in self.folder.glob('epoch-???.weights.h5'):
            if path != self._weights(len(history)):
                path.unlink()

    def _weights(self, epoch):
        return self.folder / f'epoch-{epoch:03d}.weights.h5'


def fit(model, recipe, train_set, test_set, *, loss_parts=dict, seed=0, checkpoint=None, name='model'):
    """Trains a compiled model.

    Args:
        model: compiled. If its optimizer keeps moving averages of the weights, these are measured; see
            `averaged_weights`.
        recipe: a `Recipe`.
        train_set: `Examples` to learn from.
        test_set: `Examples` to measure after each epoch.
        loss_parts: a function from the dict of floats that Keras reports of a batch to the dict of floats that is
            averaged over the examples.
        seed: of the order of examples and of random layers.
        checkpoint: a `Checkpoint`. A training that was interrupted goes on after its last finished epoch with the
            result of an uninterrupted one.
        name: what the progress bar and errors call the model.

    Returns:
        A list with a dict for each epoch: 'seconds', and the parts of the loss, running means for training examples
        and with the prefix 'val_' for test examples.

    Raises:
        ValueError: a number of the recipe is not as it should be, or the checkpoint is damaged.
        FloatingPointError: the loss is no longer finite. The checkpoint keeps the epochs before.
        Interrupted: a KeyboardInterrupt that says what is kept and how to continue.
    """
    recipe = check_recipe(recipe)
    checkpoint = checkpoint or Checkpoint(None, {})
    history = checkpoint.restore(model)
    if history:
        logger.info('%s: epochs 1 to %d of %d read back from %s', name, len(history), recipe.epochs, checkpoint.folder)
    steps = -(-len(train_set) // recipe.batch_size)

    def what_is_kept():
        if checkpoint.folder is None:
            kept = 'Nothing of it is kept, as it has no checkpoint folder. Running it again starts it again.'
        else:
            kept = (f'Finished epochs are kept in {checkpoint.folder}. Running it again continues with epoch '
                    f'{len(history) + 1}.')
        return f'Training of {name} stopped in epoch {len(history) + 1} of {recipe.epochs}. {kept}'

    with interruptible(what_is_kept), tqdm(total=recipe.epochs * steps, initial=len(history) * steps, desc=name,
                                           unit='step', file=sys.stdout, mininterval=1.0) as bar:
        for epoch in range(len(history), recipe.epochs):
            reseed(model, seed, epoch)
            order = np.random.default_rng((seed, epoch)).permutation(len(train_set))
            started = time.perf_counter()
            model.optimizer.learning_rate = recipe.learning_rate_at(epoch * steps, steps)
            for step, parts in enumerate(
                    _running_means(model.train_on_batch, train_set, order, recipe.batch_size, loss_parts),
                    start=epoch * steps + 1):
                model.optimizer.learning_rate = recipe.learning_rate_at(step, steps)
                bar.set_postfix({'epoch': f'{epoch + 1}/{recipe.epochs}'}
                                | {key: f'{value:.4g}' for key, value in parts.items()}, refresh=False)
                bar.update()
            with averaged_weights(model):
                *_, test_parts = _running_means(model.test_on_batch, test_set, np.arange(len(test_set)), 400,
                                                loss_parts)
            parts |= {f'val_{key}': value for key, value in test_parts.items()}
            if not all(np.isfinite(value) for value in parts.values()):
                raise FloatingPointError(f'Training of {name!r} diverged in epoch {epoch + 1}: {parts}. The epochs '
                                         'before it are in the checkpoint, if there is one; try another seed.')
            history.append({**parts, 'seconds': round(time.perf_counter() - started, 2)})
            checkpoint.write(model, history)
    return history


def _running_means(on_batch, examples, order, batch_size, loss_parts):
    seen, sums = 0, {}
    for start in range(0, len(order), batch_size):
        batch = order[start:start + batch_size]
        logs = on_batch(*examples.rows(batch), return_dict=True)
        seen += len(batch)
        for key, value in loss_parts({key: float(value) for key, value in logs.items()}).items():
            sums[key] = sums.get(key, 0.0) + len(batch) * value
        yield {key: value / seen for key, value in sums.items()}


@contextmanager
def averaged_weights(model):
    """Puts the moving averages of its weights into a compiled model, if its optimizer keeps them."""
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


def reseed(model, seed, epoch):
    """Gives each random layer a state that depends on seed and epoch only: Keras does not save it with the weights.

    It sets the global random seeds too: with PyTorch, dropout draws from the global generator.
    """
    set_random_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))
    for index, layer in enumerate(model.layers):
        if hasattr(layer, 'seed_generator'):
            state = np.random.SeedSequence((seed, epoch, index)).generate_state(2)
            layer.seed_generator.state.assign(state.astype(layer.seed_generator.state.dtype))
