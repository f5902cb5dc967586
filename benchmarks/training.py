"""Measures trainings: seconds in float32 and bfloat16, what each model reaches with three seeds, the article's recipe.

`make bench-training` runs this. Part `seeds` trains each model with three seeds, and part `article` each of
the article's VAEs with its recipe and with ours: 30 trainings on MNIST in all, three hours on two cores, less with
`--jobs 12` on a GPU. Trainings that an interrupted run or `make train` has finished, in build/checkpoints, are read
back. Part `seconds` measures epochs one at a time, in rounds in which each model and precision has its turn: nothing
else should run then; it takes a quarter of an hour. Part `gap` compares training images with test images.
The tables are printed, written to benchmarks/results/, and from there into the pages, and docs/training.png is drawn.
"""

import argparse
import time
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from joblib import Parallel, delayed
from tables import read_csv, results_dir, update_pages, write, write_file

from digits.backend import ops
from digits.data import Data, load_data
from digits.figures import label_colors
from digits.measures import encode, knn_label_accuracy, median_and_spread
from digits.training import Recipe
from vae_opt_util import (
    ARTICLE_RECIPE,
    RECIPES,
    checkpoints_dir,
    create_model,
    evaluate,
    evaluate_classifier,
    load_pretrained,
    models_dir,
    reconstruction_loss,
    train,
)

seeds = 0, 1, 2
vaes = 'vae-predictor-off', 'vae-predictor-softmax', 'vae-predictor-linear'
precisions = {'float32': 'float32', 'bfloat16': 'mixed_bfloat16'}
good = 150.0

# What is required of the median of the seeds on the test images: a figure, its unit, whether it is to be high, a bound.
required = [('vae-predictor-off', 'neg_elbo', 1, False, 146.0),
            ('vae-predictor-softmax', 'neg_elbo', 1, False, 143.5),
            ('vae-predictor-softmax', 'accuracy', 100, True, 97.0),
            ('vae-predictor-linear', 'rmse', 1, False, 0.40),
            ('vae-predictor-softmax-10d', 'neg_elbo', 1, False, 100.0),
            ('vae-predictor-softmax-10d', 'accuracy', 100, True, 98.3),
            ('vae-conditional', 'neg_elbo', 1, False, 129.0),
            ('classifier', 'accuracy', 100, True, 99.3),
            ('judge', 'accuracy', 100, True, 99.6)]
figure_names = {'neg_elbo': '−ELBO (nats)', 'accuracy': 'accuracy (%)', 'rmse': 'RMSE (digits)'}


class Training(NamedTuple):
    name: str
    recipe: Recipe
    precision: str
    seed: int

    def measure(self):
        """Test metrics, with the overlap of labels in two latent dimensions, and the learning curve."""
        data = load_data('mnist')
        model, history = train(self.name, data, seed=self.seed, precision=precisions[self.precision],
                               recipe=self.recipe, checkpoint_dir=checkpoints_dir)
        if not self.name.startswith('vae'):
            return evaluate_classifier(model, data.x_test, data.y_test), history
        metrics = evaluate(model, data.x_test, data.y_test)
        if self.name in vaes:
            metrics['neighbours'] = knn_label_accuracy(encode(data.x_test, model), data.y_test)
        return metrics, history


def measure_all(trainings, jobs):
    """Trains or reads back: a dict from trainings to their test metrics and learning curves."""
    return dict(zip(trainings, Parallel(n_jobs=jobs)(delayed(Training.measure)(training) for training in trainings),
                    strict=True))


def figures(measured, name, recipe, precision, figure, unit=1):
    """A figure of each seed, from a dict from trainings to their test metrics and learning curves."""
    return [unit * measured[Training(name, recipe, precision, seed)][0][figure] for seed in seeds]


def measure_seeds(precision, jobs):
    """What each seed of our recipes reaches, beside what is required of the median."""
    measured = measure_all([Training(name, recipe, precision, seed) for name, recipe in RECIPES.items()
                            for seed in seeds], jobs)
    rows = []
    for name, figure, unit, high, bound in required:
        values = figures(measured, name, RECIPES[name], precision, figure, unit)
        rows.append([name, figure_names[figure], f'{"≥" if high else "≤"} {bound}',
                     *(f'{value:.2f}' for value in values), f'{np.median(values):.2f}',
                     'yes' if (np.median(values) >= bound if high else np.median(values) <= bound) else '**no**'])
    write('model_seeds', ['model', 'figure', 'required', *(f'seed {seed}' for seed in seeds), 'median', 'reached'],
          rows)


def measure_article(precision, jobs):
    """What the article's recipe reaches beside ours, and the learning curves of the VAE without predictor."""
    measured = measure_all([Training(name, recipe, precision, seed) for name in vaes
                            for recipe in (ARTICLE_RECIPE, RECIPES[name]) for seed in seeds], jobs)
    rows = []
    for name in vaes:
        for label, recipe in (("article's", ARTICLE_RECIPE), ('ours', RECIPES[name])):
            def spread(figure, unit, decimals, of=(measured, name, recipe, precision)):
                return median_and_spread(figures(*of, figure, unit), decimals)

            metrics, _ = measured[Training(name, recipe, precision, 0)]
            reached = (f'{spread("accuracy", 100, 2)}%' if 'accuracy' in metrics else
                       f'RMSE {spread("rmse", 1, 2)}' if 'rmse' in metrics else '')
            rows.append([name, label, spread('neg_elbo', 1, 2), reached, spread('neighbours', 100, 1)])
    write('article_recipe', ['VAE', 'recipe', '−ELBO', 'predictions', 'read from nearest neighbours, %'], rows)

    write_file('training_epochs', [['recipe', 'precision', 'seed', 'epoch', '−ELBO'],
                                   *([label, precision, seed, epoch,
                                      f"{of_epoch['val_reconstruction'] + of_epoch['val_kl']:.3f}"]
                                     for label, recipe in (("article's", ARTICLE_RECIPE), ('ours', RECIPES[vaes[0]]))
                                     for seed in seeds for epoch, of_epoch in enumerate(
                                         measured[Training(vaes[0], recipe, precision, seed)][1], start=1))])


def measure_gap(num=10_000):
    """−ELBO of the pretrained VAEs on as many training images as there are test images, and on these."""
    data = load_data('mnist')
    rows = []
    for name in RECIPES:
        if name.startswith('vae'):
            model = load_pretrained(name)
            of_train, of_test = (evaluate(model, x[:num], y[:num])['neg_elbo']
                                 for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)))
            rows.append([name, f'{of_train:.2f}', f'{of_test:.2f}', f'{of_test - of_train:.2f}'])
    write('training_gap', ['model', '−ELBO on training images', '−ELBO on test images', 'difference'], rows)


def measure_seconds(rounds):
    """Seconds an epoch of each model in each precision, four times those of a quarter of the images."""
    data = load_data('mnist')
    quarter = Data(data.name, data.x_train[::4], data.y_train[::4], data.x_test[::4], data.y_test[::4])
    seconds = {(name, precision): [] for name in RECIPES for precision in precisions}
    for _ in range(rounds):
        for name, precision in seconds:
            # The first epoch holds the compilation.
            _, (_, epoch) = train(name, quarter, precision=precisions[precision],
                                  recipe=RECIPES[name]._replace(epochs=2))
            seconds[name, precision].append(4 * epoch['seconds'])
    whole = {precision: sum(RECIPES[name].epochs * np.array(seconds[name, precision]) for name in RECIPES) / 60
             for precision in precisions}
    rows = [[name, recipe.epochs, *(median_and_spread(seconds[name, precision], 1) for precision in precisions),
             median_and_spread(np.divide(*(seconds[name, precision] for precision in precisions)), 2)]
            for name, recipe in RECIPES.items()]
    rows.append(['all, minutes', sum(recipe.epochs for recipe in RECIPES.values()),
                 *(median_and_spread(whole[precision], 0) for precision in precisions),
                 median_and_spread(np.divide(*whole.values()), 2)])
    write('training_seconds', ['model', 'epochs', *(f'{precision}, seconds an epoch' for precision in precisions),
                               'faster by'], rows)


def measure_step(steps=200):
    """Where the time of a step goes: the network's arithmetic, Keras around it, a batch's way to the device."""
    data = load_data('mnist')
    pixels = np.round(255 * data.x_train).astype('uint8')
    batches = np.random.default_rng(0).permutation(len(data.x_train))[:64 * steps].reshape(steps, 64)
    x = data.x_train[batches[0]]
    parts = {'a batch in float32 to the device': lambda batch: ops.convert_to_tensor(data.x_train[batch]),
             'a batch in uint8 to the device, scaled there': lambda batch: ops.cast(
                 ops.convert_to_tensor(pixels[batch]), 'float32') / 255}
    for name, precision in precisions.items():
        model = create_model(vaes[0], precision=precision)
        model.compile('rmsprop', reconstruction_loss, metrics=[reconstruction_loss])
        model.train_on_batch(x, x)
        endless = iter(lambda: (x, x), None)
        parts |= {f'{name}: the compiled step': lambda _, model=model, data=endless: model.train_function(data),
                  f'{name}: train_on_batch': lambda _, model=model: model.train_on_batch(x, x, return_dict=True)}
    times = {part: [] for part in parts}
    for batch in batches:
        for part, call in parts.items():
            started = time.perf_counter()
            call(batch)
            times[part].append(1000 * (time.perf_counter() - started))
    write('training_step', ['part', 'ms'], [[part, f'{np.median(values):.2f}'] for part, values in times.items()])


def compare_curves():
    """−ELBO of the VAE without predictor against time: epochs, times the seconds of one on this machine."""
    seconds = read_csv(results_dir / 'training_seconds.csv')
    epochs = read_csv(results_dir / 'training_epochs.csv').rows
    rows, curves, of_first = [], {}, None
    for label, precision in dict.fromkeys((row[0], row[1]) for row in epochs):
        curve = np.array([float(row[-1]) for row in epochs if row[0] == label]).reshape(len(seeds), -1)
        of_one = float(seconds.cell(vaes[0], f'{precision}, seconds an epoch').split()[0])
        curves[label] = of_one * np.arange(1, curve.shape[1] + 1) / 60, curve
        row = [label, len(seeds), median_and_spread(curve[:, -1], 2)]
        if (curve.min(axis=1) <= good).all():
            needed = (curve <= good).argmax(axis=1) + 1
            of_first = of_first or np.median(needed) * of_one
            row += [median_and_spread(needed, 0), f'{np.median(needed) * of_one:.0f}',
                    f'{of_first / (np.median(needed) * of_one):.1f}']
        rows.append(row + ['never', '', ''] * (len(row) == 3))
    write('training_curves', ['recipe', 'seeds', '−ELBO at the end', f'epochs to {good:.0f}',
                              f'seconds to {good:.0f}', 'faster by'], rows)
    draw(curves).savefig(models_dir.parent / 'docs' / 'training.png', dpi=110)


def draw(curves):
    figure, axis = plt.subplots(figsize=(9, 5), layout='constrained')
    for color, (label, (minutes, values)) in zip(label_colors, curves.items(), strict=False):
        axis.plot(minutes, np.median(values, axis=0), '.-', color=color, label=f'{label} recipe'.replace('ours', 'our'))
        axis.fill_between(minutes, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0)
    axis.axhline(good, color='0.5', linestyle=':')
    axis.set(title='VAE without predictor: −ELBO after each epoch', xlabel='Minutes of training on two cores',
             ylabel='−ELBO on the test images (nats)', ylim=(142, 168))
    axis.legend(title='median of three seeds; band: lowest and highest')
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ['seconds', 'seeds', 'article', 'gap']
    parser.add_argument('--parts', nargs='+', choices=parts, default=parts)
    parser.add_argument('--rounds', type=int, default=3, help='of the measurement of seconds')
    parser.add_argument('--precision', choices=precisions, default='bfloat16', help='of the trainings')
    parser.add_argument('--jobs', type=int, default=1, help='trainings at once')
    arguments = parser.parse_args()
    if 'seconds' in arguments.parts:
        measure_seconds(arguments.rounds)
        measure_step()
    if 'seeds' in arguments.parts:
        measure_seeds(arguments.precision, arguments.jobs)
    if 'article' in arguments.parts:
        measure_article(arguments.precision, arguments.jobs)
        compare_curves()
    if 'gap' in arguments.parts:
        measure_gap()
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too.
    import training

    training.main()
