"""What a search looks like. Each function is handed arrays and returns the figure."""

import csv
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from latent_search.points import Array

# Ten colours that people with colour vision deficiency can tell apart: chosen by an optimizer for the largest least
# distance, CIEDE2000, as seen with normal vision and with each of the three deficiencies.
colors = ('#0c2bff', '#e9307f', '#006e54', '#9c7e11', '#710058', '#7489fd', '#443d05', '#ffaeab', '#a6d001', '#06d7e4')

# Each method has one colour in all figures.
_methods = {'random': 0, 'random search': 0, 'GPyOpt as published': 1, 'ours': 2, 'Bayesian optimization': 2,
            'ours, no lower bound': 3, 'BoTorch LogEI': 4, 'Optuna GP': 5, 'scikit-optimize EI': 6}


def method_colors(names: Iterable[str]) -> dict[str, str]:
    """Returns a colour for each method, the same in all figures; methods that are not known here get those left over.

    Raises:
        ValueError: there are more methods than colours.
    """
    names = list(names)
    if len(names) > len(colors):
        raise ValueError(f'There are colours for {len(colors)} methods, got {len(names)}. Draw them in two figures.')
    taken = [_methods[name] for name in names if name in _methods]
    left = iter([color for i, color in [*enumerate(colors)][::-1] if i not in taken])
    return {name: colors[_methods[name]] if name in _methods else next(left) for name in names}


def describe(figure: Figure, alt: str) -> Figure:
    """Gives a figure its alternative text, for those who do not see it, and returns the figure.

    The text is `figure.alt`. IPython stores it in the metadata of a notebook's output, as `alt` of `image/png`.
    """
    figure.alt = alt  # type: ignore[attr-defined]
    figure._repr_mimebundle_ = partial(_alt_in_metadata, alt)  # type: ignore[attr-defined]
    return figure


def _alt_in_metadata(alt: str, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What IPython asks an object for before it draws it: representations, here none, and metadata of each."""
    return {}, {'image/png': {'alt': alt}}


def plot_acquisition(gx: Array, gy: Array, mean: Array, std: Array, ei: Array, X: Array,  # noqa: N803 (GPyOpt's name)
                     next_location: Array, unit: str = 'nats') -> Figure:
    """Draws posterior mean, posterior standard deviation and expected improvement over a box of two dimensions.

    Picture: docs/figures.md#plot_acquisition.

    Args:
        gx: first coordinates of a grid, (m, k).
        gy: second coordinates, (m, k).
        mean: posterior mean at the grid's points, (m * k, 1).
        std: posterior standard deviation there, (m * k, 1).
        ei: expected improvement there, (m * k, 1).
        X: the evaluated points, (n, 2).
        next_location: the next proposal, (1, 2).
        unit: of the objective.
    """
    panels = {'Posterior mean': mean, 'Posterior standard deviation': std, 'Expected improvement': ei}
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.4), layout='constrained', sharex=True, sharey=True)
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        norm = None
        if values is ei:
            # It spans many orders of magnitude, and may underflow to 0 everywhere.
            highest = max(values.max(), 1e-30)
            norm = matplotlib.colors.LogNorm(1e-8 * highest, highest, clip=True)
        mesh = axis.pcolormesh(gx, gy, values.reshape(gx.shape), cmap='viridis', norm=norm, rasterized=True)
        figure.colorbar(mesh, ax=axis, label=unit)
        axis.plot(*X.T, 'o', markersize=5, color='white', markeredgecolor='black', clip_on=False, label='evaluated')
        axis.plot(*next_location.T, 'X', markersize=10, color='red', markeredgecolor='white', clip_on=False,
                  label='next proposal')
        axis.set(title=title, xlabel='$t_1$', ylabel='$t_2$')
    axes[0].legend(loc='lower left', framealpha=0.9)
    return describe(figure, 'Three maps of the box: posterior mean, posterior standard deviation and expected '
                    f'improvement after {len(X)} evaluations, which are dots. The next proposal, a cross, is at '
                    f'{np.array2string(next_location[0], precision=2)}.')


def plot_trajectory(gx: Array, gy: Array, values: Array, X: Array, Y: Array, title: str) -> Figure:  # noqa: N803
    """Draws where a search in two dimensions went, over the contours of its objective, and the best value so far.

    Picture: docs/figures.md#plot_trajectory.

    Args:
        gx: first coordinates of a grid, (m, k).
        gy: second coordinates, (m, k).
        values: the objective at the grid's points, (m * k,), nats.
        X: the evaluated points in their order, (n, 2).
        Y: their values, (n, 1), nats.
        title: of the figure.

    Raises:
        ValueError: there are no evaluations in two dimensions, or `values` are not the grid's.
    """
    if X.shape[1] != 2 or len(X) == 0:
        raise ValueError(f'plot_trajectory draws evaluations in two dimensions, this search has {len(X)} in '
                         f'{X.shape[1]}.')
    if np.shape(values) != (gx.size,):
        raise ValueError(f'values must have shape ({gx.size},), one a point of the grid, got {np.shape(values)}.')
    figure, (plane, curve) = plt.subplots(1, 2, figsize=(13, 5.2), layout='constrained', width_ratios=(1.15, 1))
    levels = np.geomspace(values.min(), values.max(), 12)
    contours = plane.contourf(gx, gy, values.reshape(gx.shape), levels=levels, cmap='Greys_r',
                              norm=matplotlib.colors.LogNorm(levels[0], levels[-1]))
    figure.colorbar(contours, ax=plane, label='Objective (nats)', format='%.3g')
    order = np.arange(1, len(X) + 1)
    plane.plot(*X.T, '-', color='black', linewidth=1.2, path_effects=[withStroke(linewidth=3, foreground='white')])
    points = plane.scatter(*X.T, c=order, cmap='plasma', s=40, edgecolors='white', linewidths=0.8, zorder=3,
                           clip_on=False)
    figure.colorbar(points, ax=plane, label='Evaluation', ticks=MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    best = Y.argmin()
    plane.plot(*X[best], '*', markersize=17, color='red', markeredgecolor='white', zorder=4, clip_on=False)
    plane.set(title=f'Evaluations; star: the best, {Y[best, 0]:.3f} nats', xlabel='$t_1$', ylabel='$t_2$',
              aspect='equal')

    curve.plot(order, Y[:, 0], 'o', markersize=5, color=colors[0], label='evaluation')
    curve.plot(order, np.minimum.accumulate(Y[:, 0]), '-', color=colors[1], label='best so far')
    curve.axhline(values.min(), linestyle=':', color='black', label='minimum on the grid')
    curve.set(title='Value of each evaluation', xlabel='Evaluation', ylabel='Objective (nats)', yscale='log')
    curve.yaxis.set_major_formatter('{x:g}')
    curve.yaxis.set_minor_formatter('{x:g}')
    curve.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    curve.legend(loc='upper right')
    figure.suptitle(title)
    return describe(figure, f'{title}. Left: the way of {len(X)} evaluations over the contours; the best is at '
                    f'{np.array2string(X[best], precision=2)}. Right: their values; the best is {Y[best, 0]:.3f} nats, '
                    f'the minimum on the grid {values.min():.3f}.')


def plot_convergence(X: Array, Y: Array) -> Figure:  # noqa: N803 (GPyOpt's names)
    """Draws the distance between consecutive evaluations, and the best value so far, as GPyOpt does.

    Picture: docs/figures.md#plot_convergence.

    Args:
        X: the evaluated points in their order, (n, d).
        Y: their values, (n, 1).

    Raises:
        ValueError: there are fewer than two evaluations.
    """
    if len(X) < 2:
        raise ValueError(f'plot_convergence draws two evaluations or more, this search has {len(X)}. Call '
                         'run_optimization first.')
    figure, (steps, best) = plt.subplots(1, 2, figsize=(11, 4), layout='constrained')
    steps.plot(np.arange(2, len(X) + 1), np.linalg.norm(np.diff(X, axis=0), axis=1), '.-', color=colors[0])
    steps.set(title='Distance between consecutive evaluations', xlabel='Evaluation', ylabel='Distance')
    best.plot(np.arange(1, len(X) + 1), np.minimum.accumulate(Y[:, 0]), '.-', color=colors[1])
    best.set(title='Best value so far', xlabel='Evaluation', ylabel='Value (smaller is better)')
    for axis in (steps, best):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return describe(figure, f'Two curves over {len(X)} evaluations: the distance between consecutive ones, and the '
                    f'best value so far, which ends at {Y.min():.3g}.')


def plot_experiments(statuses: np.ndarray, values: Array, title: str, without_noise: Array | None = None) -> Figure:
    """Draws the value of each experiment in the order of results, and the best so far; failed ones at the top.

    Picture: docs/figures.md#plot_experiments.

    Args:
        statuses: of each result 'done', 'known' or 'failed', (n,).
        values: of each result, (n,), NaN where it failed.
        title: of the figure.
        without_noise: for each result that did not fail, what the best so far would be without noise, (m,). It is drawn
            as a second line.

    Raises:
        ValueError: there are no results with a value.
    """
    order, done = np.arange(1, len(statuses) + 1), statuses != 'failed'
    if not done.any():
        raise ValueError('There are no results yet. Tell some first.')
    figure, axis = plt.subplots(figsize=(10.5, 4.6), layout='constrained')
    for status, marker, color, label in (('done', 'o', colors[0], 'experiment'),
                                         ('known', 's', colors[4], 'known before')):
        of_status = statuses == status
        if of_status.any():
            axis.plot(order[of_status], values[of_status], marker, markersize=5, color=color, label=label)
    axis.plot(order[done], np.minimum.accumulate(values[done]), drawstyle='steps-post', color=colors[1],
              label='best value so far')
    if without_noise is not None:
        axis.plot(order[done], without_noise, drawstyle='steps-post', linestyle='--', color='black',
                  label='… without noise')
    if not done.all():
        axis.plot(order[~done], np.full((~done).sum(), 0.97), 'x', color=colors[2], markersize=7,
                  transform=axis.get_xaxis_transform(), label=f'failed: {(~done).sum()}')
    axis.set(title=title, xlabel='Results, in the order in which they came', ylabel='Value (smaller is better)')
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    figure.legend(loc='outside right upper')
    return describe(figure, f'{title}. The values of {done.sum()} experiments as dots, the best so far as a line, '
                    f'which ends at {values[done].min():.3g}, and {(~done).sum()} failed experiments as crosses '
                    'at the top.')


def plot_regret(curves: dict[str, Array], title: str, floor: float = 1e-5) -> Figure:
    """Draws regret against evaluations: the median over searches as a line, the middle half of them as a band.

    The first four methods have bands. The legend is in the order of the lines' ends. Where something lies below
    `floor`, the axis ends there.

    Picture: docs/figures.md#plot_regret.

    Args:
        curves: a dict from names of methods to arrays (n, 3): lower quartile, median, upper quartile after each of n
            evaluations, nats.
        title: of the figure.
        floor: how small a regret was still computed, nats.

    Raises:
        ValueError: there are more methods than colours.
    """
    figure, axis = plt.subplots(figsize=(11, 5), layout='constrained')
    of_methods, last = method_colors(curves), {}
    for name, quartiles in sorted(curves.items(), key=lambda curve: -curve[1][-1, 1]):
        # A logarithmic axis has no place for 0. The axis cuts what is below its end.
        lower, median, upper = np.maximum(quartiles, floor / 10).T
        evaluations = np.arange(1, len(median) + 1)
        last[name] = f'{median[-1]:.1g}' if median[-1] > floor else f'≤ {floor:g}'
        axis.plot(evaluations, median, color=of_methods[name], linewidth=2, label=f'{name}: {last[name]}')
        if name in list(curves)[:4]:
            axis.fill_between(evaluations, lower, upper, color=of_methods[name], alpha=0.2, linewidth=0)
    axis.set(title=title, xlabel='Evaluations', ylabel='Best value − minimum (nats)', yscale='log')
    axis.yaxis.set_major_formatter('{x:g}')
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if min(quartiles.min() for quartiles in curves.values()) <= floor:
        axis.set_ylim(bottom=floor)
        axis.text(0.01, 0.02, f'lower edge: ≤ {floor:g}, smaller values were not computed', fontsize=9,
                  transform=axis.transAxes)
    figure.legend(loc='outside right center', title='median after the last evaluation')
    return describe(figure, f'{title}. Lines that fall with the number of evaluations. Median regret after the last '
                    'one, in nats: ' + '; '.join(f'{name} {value}' for name, value in last.items()) + '.')


def load_regret_curves(name: str, folder: os.PathLike[str] | str) -> dict[str, Array]:
    """Loads regret against evaluations from a CSV file, in the form that `plot_regret` draws.

    Args:
        name: of the file, without its ending. Its columns are method, evaluations, lower quartile, median and upper
            quartile.
        folder: where it is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged.
    """
    path = Path(folder) / f'{name}.csv'
    if not path.exists():
        raise FileNotFoundError(f'There is no {path}. Restore it with `git checkout`, or measure it with `make bench`.')
    curves: dict[str, list[list[float]]] = {}
    with open(path, newline='', encoding='utf-8') as file:
        for row in csv.reader(file):
            if row[1:] == ['evaluations', 'lower quartile', 'median', 'upper quartile']:
                continue
            try:
                method, _, *quartiles = row
                curves.setdefault(method, []).append([float(quartile) for quartile in quartiles])
            except ValueError as error:
                raise ValueError(f'{path} is damaged: {row}. Restore it with `git checkout`.') from error
    return {method: np.array(quartiles) for method, quartiles in curves.items()}
