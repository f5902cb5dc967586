"""Comparison of methods: runs of each for all labels, the regret of searches, and tables and figures of both.

Conventions are those of `vae_opt_util`.
"""

import csv
import sys
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from tqdm import tqdm

from digits.data import num_labels
from digits.measures import median_and_spread
from digits.tables import judge_warning
from latent_search.figures import describe, line_styles, method_colors, styled
from latent_search.interrupts import interruptible
from latent_search.points import check_integer
from networks.prediction import predict
from networks.pretrained import models_dir

_checkout = Path(__file__).resolve().parent / 'benchmarks' / 'results'

# A wheel has the measurements beside the weights, a clone of the repository where the benchmarks write them.
results_dir = _checkout if _checkout.is_dir() else models_dir.parent / 'results'

# ---------------------------------------------------------------------------------------------------------------------
# Runs
# ---------------------------------------------------------------------------------------------------------------------


class Run(NamedTuple):
    """The result of a method for one label in one run: images (m, 28, 28, 1), their cost, and a search's best value.

    Attributes:
        images: float32 in [0, 1].
        evaluations: of the objective, or of loss and gradient, for all images together.
        value: the lowest of a search, nats; None for methods that do not search.
        seconds: for all images together.
    """

    images: np.ndarray
    evaluations: int
    value: float | None
    seconds: float


def run_methods(methods, num_runs):
    """Runs methods for each label, with a seed for each run, one after another.

    Args:
        methods: a dict from names to functions of label and seed that return images (m, 28, 28, 1), the number of
            evaluations, and the lowest value found, or None.
        num_runs: how many seeds, from 0.

    Returns:
        A dict from names to lists with an element a run: a list of `Run`, one a label.
    """
    check_integer('num_runs', num_runs, at_least=1)
    runs = {name: [] for name in methods}
    with interruptible(lambda: 'The images made so far are not kept. The same call starts again.'), \
            tqdm(total=len(methods) * num_runs * num_labels, desc='methods', unit='digit', file=sys.stdout) as bar:
        for name, method in methods.items():
            for seed in range(num_runs):
                runs[name].append([])
                for label in range(num_labels):
                    started = time.perf_counter()
                    made = method(label, seed)
                    runs[name][-1].append(Run(*made, time.perf_counter() - started))
                    bar.update()
                    value = {} if made[2] is None else {'best': f'{made[2]:.4g}'}
                    bar.set_postfix({'method': name, 'digit': label, **value}, refresh=False)
    return runs


def images_of_searches(search, seeds, decoder):
    """Repeats a search with several seeds, and decodes the best points of each.

    Args:
        search: a function of a seed that returns the best points, (n, latent_dim), and the values of all evaluations,
            nats.
        seeds: of the searches.
        decoder: a Keras model from points to images.

    Returns:
        What `run_methods` takes: images, float32 (m, 28, 28, 1); the number of evaluations; the lowest value, nats.
    """
    best, lowest, evaluations = [], [], 0
    for seed in seeds:
        points, values = search(seed)
        best.append(points)
        lowest.append(values.min())
        evaluations += len(values)
    return predict(decoder, np.concatenate(best).astype('float32'), 'decode'), evaluations, min(lowest)


# ---------------------------------------------------------------------------------------------------------------------
# Regret
# ---------------------------------------------------------------------------------------------------------------------


def median_regret(regrets, seed=0):
    """The median of searches' regret after each evaluation, and its 95% interval, as `plot_regret` draws them.

    The interval is a bootstrap interval, from the medians of 1,000 sets of as many searches, drawn with replacement.

    Args:
        regrets: for each search the best value so far minus the minimum, (m, n).
        seed: of the draws.

    Returns:
        Lower end, median and upper end, float64 (n, 3).
    """
    regrets = np.asarray(regrets, dtype='float64')
    drawn = np.random.default_rng(seed).integers(len(regrets), size=(1000, len(regrets)))
    medians = np.array([np.median(regrets[of_set], axis=0) for of_set in drawn])
    low, high = np.quantile(medians, (0.025, 0.975), axis=0)
    return np.array([low, np.median(regrets, axis=0), high]).T


def evaluations_within(regrets, tolerance):
    """How many evaluations each search takes until its regret is below a tolerance.

    Args:
        regrets: for each search the best value so far minus the minimum, (m, n).
        tolerance: in units of the objective.

    Returns:
        Integers (m,) from 1 to n, or n + 1 where the regret is never below.
    """
    regrets = np.asarray(regrets, dtype='float64')
    return (np.c_[regrets, np.full(len(regrets), -np.inf)] < tolerance).argmax(axis=1) + 1


def evaluations_table(title, regrets, tolerance, unit='nats'):
    """Header and rows of a table: how many evaluations search methods need to come close to the minimum.

    Args:
        title: of the first column.
        regrets: a dict from names of methods to the regrets of their searches, (m, n).
        tolerance: what counts as close.
        unit: of the objective.
    """
    rows = []
    for name, of_name in regrets.items():
        needed, budget = np.median(evaluations_within(of_name, tolerance)), np.shape(of_name)[1]
        rows.append([name, f'{needed:g}' if needed <= budget else f'> {budget}'])
    return [title, f'evaluations to within {tolerance:g} {unit} of the minimum (median)'], rows


def load_regret_curves(name='curves', folder=results_dir):
    """Loads regret against evaluations that `make bench` has measured, in the form that `plot_regret` draws.

    Args:
        name: of the CSV file, without its ending. Its columns are method, evaluations, low, median, high, and
            knowledge, which all methods of a panel share.
        folder: where it is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged.
    """
    path = Path(folder) / f'{name}.csv'
    if not path.exists():
        raise FileNotFoundError(f'There is no {path}. Restore it with `git checkout`, or measure it with `make bench`.')
    panels = {}
    with open(path, newline='', encoding='utf-8') as file:
        for row in csv.reader(file):
            if row[1:5] == ['evaluations', 'low', 'median', 'high']:
                continue
            try:
                method, _, *interval, knowledge = row
                panels.setdefault(knowledge, {}).setdefault(method, []).append([float(number) for number in interval])
            except ValueError as error:
                raise ValueError(f'{path} is damaged: {row}. Restore it with `git checkout`.') from error
    return {knowledge: {method: np.array(intervals) for method, intervals in curves.items()}
            for knowledge, curves in panels.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------------------------------


class Requirements(NamedTuple):
    """What a method needs.

    Attributes:
        models: names of the models that have to be trained first.
        gradient: whether it needs gradients of the objective.
        labels: whether the VAE must be trained with labels; 'help' where the method also works without them.
        outside: whether results can come from an experiment outside.
    """

    models: tuple[str, ...]
    gradient: str
    labels: str
    outside: str


_joint = 'vae-predictor-softmax', 'classifier'
_constrained = 'vae-predictor-off', 'latent-constraints'

REQUIREMENTS = {
    'random search': Requirements(_joint, 'no', 'help', 'yes'),
    'Bayesian optimization': Requirements(_joint, 'no', 'help', 'yes'),
    'gradient search, predictor': Requirements(_joint[:1], 'yes', 'yes', 'no'),
    'gradient search, classifier': Requirements(_joint, 'yes', 'help', 'no'),
    'conditional VAE': Requirements(('vae-conditional',), 'no', 'yes', 'no'),
    'latent constraints, actor': Requirements(_constrained, 'to train', 'no', 'no'),
    'latent constraints, gradient steps': Requirements(_constrained, 'yes', 'no', 'no'),
}


def training_seconds(history):
    """Seconds of a training: the number of its epochs times the median epoch, from a list with a dict an epoch."""
    return len(history) * float(np.median([epoch['seconds'] for epoch in history]))


def methods_table(runs, assessed, seconds, num_labelled, num_images, judge_accuracy):
    """Header and rows of a table: how good the images of each method are, what they cost, and what the method needs.

    Args:
        runs: what `run_methods` returns, with methods of `REQUIREMENTS`.
        assessed: a dict from the same names, and names of other sets of images, to a list of the results of
            `assess_generated`, one for each run. Sets without a run have no costs.
        seconds: a dict from names of models to the seconds of their training.
        num_labelled: number of labelled training images.
        num_images: images of each label in the sets without a run.
        judge_accuracy: see `digits.tables.judge_warning`.
    """
    def per_image(name, attribute):
        return np.median([sum(getattr(run, attribute) for run in of_run) / sum(len(run.images) for run in of_run)
                          for of_run in runs[name]])

    rows = []
    for name, of_runs in assessed.items():
        row = [name, *(median_and_spread([scale * of_run[key] for of_run in of_runs], decimals)
                       for key, decimals, scale in (('correct', 1, 100), ('distance', 2, 1), ('coverage', 1, 100),
                                                    ('frechet', 1, 1)))]
        if name in runs:
            models, *needs = REQUIREMENTS[name]
            row += [np.median([len(run.images) for of_run in runs[name] for run in of_run]).astype(int),
                    f'{sum(seconds[model] for model in models):.0f}', f'{num_labelled:,}',
                    f"{per_image(name, 'evaluations'):.1f}", f"{1000 * per_image(name, 'seconds'):.1f}", *needs]
        else:
            row += [num_images, *['–'] * 7]
        rows.append(row)
    header = ['method', 'read as wanted, %', 'distance', 'coverage, %', 'Fréchet distance', 'images a digit',
              'training, s', 'labels', 'evaluations an image', 'ms an image', 'gradient?',
              "labels at the VAE's training?", 'outside experiment?']
    return header, rows + judge_warning(judge_accuracy, header)


def minima_table(runs, minima):
    """Header and rows of a table: how far the lowest value of each search is above the minimum of its objective.

    Args:
        runs: what `run_methods` returns.
        minima: a dict from names of its search methods to the minimum of their objective for each label, (10,), nats.
    """
    rows = []
    for name, of_minima in minima.items():
        above = np.array([[run.value for run in of_run] for of_run in runs[name]]) - of_minima
        evaluations = np.median([run.evaluations for of_run in runs[name] for run in of_run])
        # Adding 0 makes 0 of −0.
        above = np.array([np.median(above), above.max(), *np.median(above, axis=0)]).round(4) + 0.0
        rows.append([name, f'{evaluations:.0f}', *(f'{value:.4f}' for value in above)])
    return ['search', 'evaluations a run', 'median', 'highest',
            *(f'median, {label}' for label in range(num_labels))], rows


# ---------------------------------------------------------------------------------------------------------------------
# Figures
# ---------------------------------------------------------------------------------------------------------------------

@styled
def plot_regret(panels, title, floor=1e-5):
    """Draws regret against evaluations: the median over searches as a line, its interval as a band.

    The first four methods of a panel have bands. Its legend is in the order of the lines' ends. Where something lies
    below `floor`, the axis ends there.

    Picture: docs/figures.md#plot_regret.

    Args:
        panels: a dict from what the methods of a panel have in common to dicts from their names to arrays (n, 3), nats:
            lower end of the interval, median, and upper end after each of n evaluations; see `median_regret`.
        title: of the figure.
        floor: how small a regret was still computed, nats.

    Raises:
        ValueError: there are more methods than colours.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(10, 4.2 + 0.2 * max(map(len, panels.values()))),
                                sharey=True, squeeze=False)
    of_methods = method_colors(dict.fromkeys(name for curves in panels.values() for name in curves))
    ends = []
    for axis, (panel, curves) in zip(axes[0], panels.items(), strict=True):
        last = _draw_regret(axis, curves, of_methods, floor)
        axis.set(title=panel, xlabel='Evaluations', yscale='log')
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axis.legend(loc='upper center', bbox_to_anchor=(0.5, -0.16), title='median after the last evaluation')
        ends.append(f'{panel}: ' + '; '.join(f'{name} {value}' for name, value in last.items()))
    axes[0, 0].set_ylabel('Best value − minimum (nats)')
    axes[0, 0].yaxis.set_major_formatter('{x:g}')
    if min(interval.min() for curves in panels.values() for interval in curves.values()) <= floor:
        axes[0, 0].set_ylim(bottom=floor)
        axes[0, 0].text(0.01, 0.02, f'lower edge: ≤ {floor:g}, smaller values were not computed',
                        transform=axes[0, 0].transAxes)
    figure.suptitle(title)
    return describe(figure, f'{title}. Lines that fall with the number of evaluations. Median regret after the last '
                    f'one, in nats. {". ".join(ends)}.')


def _draw_regret(axis, curves, of_methods, floor):
    """Draws lines and bands of a panel, and returns the median regret of each method after the last evaluation."""
    last, styles = {}, line_styles({name: of_methods[name] for name in curves})
    for name, interval in sorted(curves.items(), key=lambda curve: -curve[1][-1, 1]):
        # A logarithmic axis has no place for 0. The axis cuts what is below its end.
        low, median, high = np.maximum(interval, floor / 10).T
        evaluations = np.arange(1, len(median) + 1)
        last[name] = f'{median[-1]:.1g}' if median[-1] > floor else f'≤ {floor:g}'
        axis.plot(evaluations, median, styles[name], color=of_methods[name], linewidth=2, label=f'{name}: {last[name]}')
        if name in list(curves)[:4]:
            axis.fill_between(evaluations, low, high, color=of_methods[name], alpha=0.2, linewidth=0)
    return last


@styled
def plot_trade_off(correct, distance, title):
    """Draws share judged correct against diversity, each method's median over runs with its lowest and highest.

    Picture: docs/figures.md#plot_trade_off.

    Args:
        correct: a dict from names of methods to the shares of each run, (r,).
        distance: a dict from the same names to mean pixel distances, (r,). Methods without distances, NaN, stand in a
            panel of their own.
        title: of the figure.

    Raises:
        ValueError: there are more methods than colours.
    """
    alone = [name for name in correct if np.isnan(distance[name]).any()]
    figure, axes = plt.subplots(1, 2, figsize=(10, 5), sharey=True, width_ratios=(1, 5))
    for (name, shares), color, marker in zip(correct.items(), method_colors(correct).values(), 'os^Dv*PX<>',
                                             strict=False):
        x = np.full(len(shares), alone.index(name)) if name in alone else np.asarray(distance[name])
        y = np.asarray(shares)
        spread = [[[np.median(values) - values.min()], [values.max() - np.median(values)]] for values in (x, y)]
        axes[int(name not in alone)].errorbar(np.median(x), np.median(y), xerr=spread[0], yerr=spread[1], fmt=marker,
                                              markersize=9, color=color, capsize=3, label=name)
    axes[0].set(xlabel='One image\na digit:\nno distance', xlim=(-1, max(len(alone), 1)), xticks=[],
                ylabel='Share read as wanted by the judge')
    axes[0].set_visible(bool(alone))
    axes[1].set_xlabel('Mean distance of two images of a digit (pixels)')
    axes[1].update_datalim([(0, 0)], updatey=False)
    axes[1].autoscale_view()
    axes[1].set_xlim(left=0)
    axes[1].yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
    axes[1].tick_params(labelleft=not alone)
    figure.suptitle(title)
    figure.legend(loc='outside lower center', ncols=3)
    return describe(figure, f'{title}. Medians: ' + '; '.join(
        f'{name} {np.median(correct[name]):.0%} correct, '
        + ('no distance' if name in alone else f'distance {np.median(distance[name]):.2f}') for name in correct) + '.')
