"""Compares trainings: float32 with bfloat16, the article's recipe with a faster one and with larger batches.

`make bench` runs this after the searches. It trains on MNIST, which takes about two hours on two cores; trainings
that an interrupted run has finished, in build/bench-training, are read back. Seconds are measured first and by
themselves, in rounds in which each way of training has its turn: nothing else should run then.
The tables are printed, written to benchmarks/results/, and from there into the pages, and docs/training.png is drawn.
"""

import argparse
import time
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from search import write
from tables import update_pages

from mnist_vae.backend import ops
from mnist_vae.data import Data, load_data
from mnist_vae.figures import label_colors
from mnist_vae.measures import median_and_spread
from mnist_vae.training import Recipe
from vae_opt_util import (
    FAST_RECIPE,
    RECIPES,
    checkpoints_dir,
    create_model,
    evaluate,
    evaluate_classifier,
    load_manifest,
    models_dir,
    reconstruction_loss,
    train,
)

vae = 'vae-predictor-off'
good = 150.0


class Way(NamedTuple):
    recipe: Recipe
    precision: str
    seeds: int


def with_batches_of(batch_size):
    factor = batch_size // FAST_RECIPE.batch_size
    return FAST_RECIPE._replace(batch_size=batch_size, learning_rate=factor ** 0.5 * FAST_RECIPE.learning_rate,
                                warm_up_steps=FAST_RECIPE.warm_up_steps // factor,
                                ema_momentum=FAST_RECIPE.ema_momentum ** factor)


ways = {"article's recipe, float32": Way(RECIPES[vae], 'float32', 3),
        "article's recipe, bfloat16": Way(RECIPES[vae], 'mixed_bfloat16', 3),
        'fast recipe, bfloat16': Way(FAST_RECIPE, 'mixed_bfloat16', 3),
        'fast recipe, bfloat16, batches of 128': Way(with_batches_of(128), 'mixed_bfloat16', 3),
        'fast recipe, bfloat16, batches of 256': Way(with_batches_of(256), 'mixed_bfloat16', 1)}
article, mixed, *_ = ways


def measure_seconds(data, rounds):
    """Returns seconds an epoch of each way, four times those of a quarter of the images: lists of one a round."""
    quarter = Data(data.name, data.x_train[::4], data.y_train[::4], data.x_test[::4], data.y_test[::4])
    seconds = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            # The first epoch holds the compilation.
            _, (_, epoch) = train(vae, quarter, precision=way.precision, recipe=way.recipe._replace(epochs=2))
            seconds[name].append(4 * epoch['seconds'])
    write('training_seconds', ['training', 'seconds an epoch', 'faster by'],
          [[name, median_and_spread(values, 1), median_and_spread(np.divide(seconds[article], values), 2)]
           for name, values in seconds.items()])
    return seconds


def measure_step(data, steps=200):
    """Where the time of a step goes: the network's arithmetic, Keras around it, a batch's way to the device."""
    pixels = np.round(255 * data.x_train).astype('uint8')
    batches = np.random.default_rng(0).permutation(len(data.x_train))[:64 * steps].reshape(steps, 64)
    x = data.x_train[batches[0]]
    parts = {'a batch in float32 to the device': lambda batch: ops.convert_to_tensor(data.x_train[batch]),
             'a batch in uint8 to the device, scaled there': lambda batch: ops.cast(
                 ops.convert_to_tensor(pixels[batch]), 'float32') / 255}
    for precision in ('float32', 'mixed_bfloat16'):
        model = create_model(vae, precision=precision)
        model.compile('rmsprop', reconstruction_loss, metrics=[reconstruction_loss])
        model.train_on_batch(x, x)
        endless = iter(lambda: (x, x), None)
        parts |= {f'{precision}: the compiled step': lambda _, model=model, data=endless: model.train_function(data),
                  f'{precision}: train_on_batch': lambda _, model=model: model.train_on_batch(x, x, return_dict=True)}
    times = {part: [] for part in parts}
    for batch in batches:
        for part, call in parts.items():
            started = time.perf_counter()
            call(batch)
            times[part].append(1000 * (time.perf_counter() - started))
    write('training_step', ['part', 'ms'], [[part, f'{np.median(values):.2f}'] for part, values in times.items()])


def measure_curves(data, seconds):
    """−ELBO of the VAE without predictor against time: epochs times the median of `seconds`, a dict of each way's."""
    rows, curves, of_first = [], {}, None
    for name, way in ways.items():
        trainings = [trained(vae, data, seed, way.precision, way.recipe) for seed in range(way.seeds)]
        curves[name] = np.array([[epoch['val_reconstruction'] + epoch['val_kl'] for epoch in history]
                                 for _, history in trainings])
        at_the_end = median_and_spread([metrics['neg_elbo'] for metrics, _ in trainings], 2)
        row = [name, way.recipe.epochs, way.seeds, at_the_end]
        if (curves[name].min(axis=1) <= good).all():
            epochs = (curves[name] <= good).argmax(axis=1) + 1
            needed = np.median(epochs) * np.median(seconds[name])
            of_first = of_first or needed
            row += [median_and_spread(epochs, 0), f'{needed:.0f}', f'{of_first / needed:.1f}']
        rows.append(row + ['never', '', ''] * (len(row) == 4))
    write('training_curves', ['training', 'epochs', 'seeds', '−ELBO at the end', f'epochs to {good:.0f}',
                              f'seconds to {good:.0f}', 'faster by'], rows)
    draw(curves, seconds).savefig(models_dir.parent / 'docs' / 'training.png', dpi=110)


def draw(curves, seconds):
    figure, axis = plt.subplots(figsize=(9, 5), layout='constrained')
    for color, (name, values) in zip(label_colors, curves.items(), strict=False):
        minutes = np.arange(1, values.shape[1] + 1) * np.median(seconds[name]) / 60
        axis.plot(minutes, np.median(values, axis=0), '.-', color=color, label=name)
        axis.fill_between(minutes, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0)
    axis.axhline(good, color='0.5', linestyle=':')
    axis.set(title='VAE without predictor: −ELBO after each epoch', xlabel='Minutes of training',
             ylabel='−ELBO on the test images (nats)', ylim=(146, 172))
    axis.legend(title='median of the seeds; band: lowest and highest')
    return figure


def measure_figures(data):
    """What was asked of the models, and what they reach in either precision."""
    asked = {('vae-predictor-off', 'neg_elbo'): ('≤ 149.0', 1, 3),
             ('vae-predictor-softmax', 'accuracy'): ('≥ 96.5%', 100, 3),
             ('vae-predictor-softmax', 'neg_elbo'): ('', 1, 3),
             ('classifier', 'accuracy'): ('≥ 99.15%', 100, 1),
             ('judge', 'accuracy'): ('≥ 99.4%', 100, 1)}
    rows = []
    for (name, figure), (bound, unit, seeds) in asked.items():
        trainings = [('its own', RECIPES[name], 'float32'), ('its own', RECIPES[name], 'mixed_bfloat16')]
        if name == 'vae-predictor-softmax':
            trainings += [('fast', FAST_RECIPE, 'mixed_bfloat16'),
                          ('fast, 15 epochs', FAST_RECIPE._replace(epochs=15), 'mixed_bfloat16')]
        for label, recipe, precision in trainings:
            reached = [f'{unit * trained(name, data, seed, precision, recipe)[0][figure]:.2f}' for seed in range(seeds)]
            rows.append([name, figure, bound, label, precision, *reached, *[''] * (3 - seeds)])
    write('training_figures', ['model', 'figure', 'asked for', 'recipe', 'precision', 'seed 0', 'seed 1', 'seed 2'],
          rows)


def trained(name, data, seed, precision, recipe):
    """Test metrics and history of a training; of the pretrained model's where that was trained just so."""
    recorded = load_manifest()[name]
    if recipe == RECIPES[name] and (recorded['seed'], recorded['precision']) == (seed, precision):
        return recorded['test_metrics'], recorded['history']
    model, history = train(name, data, seed=seed, precision=precision, recipe=recipe,
                           checkpoint_dir=checkpoints_dir.parent / 'bench-training')
    measure = evaluate if name.startswith('vae') else evaluate_classifier
    return measure(model, data.x_test, data.y_test), history


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=3, help='of the measurement of seconds')
    arguments = parser.parse_args()
    data = load_data('mnist')
    seconds = measure_seconds(data, arguments.rounds)
    measure_step(data)
    measure_curves(data, seconds)
    measure_figures(data)
    update_pages()


if __name__ == '__main__':
    main()
