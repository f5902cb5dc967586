"""What a search looks like. Each function is handed arrays and returns the figure."""

import csv
import os
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from latent_search.points import Array

# Colours that people with colour vision deficiency can tell apart (Petroff, arXiv 2107.02270).
colors = matplotlib.color_sequences['petroff10']


def plot_acquisition(gx: Array, gy: Array, mean: Array, std: Array, ei: Array, X: Array,  # noqa: N803 (GPyOpt's name)
                     next_location: Array, unit: str = 'nats') -> Figure:
    """Draws posterior mean, posterior standard deviation and expected improvement over a box of two dimensions.

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
        axis.plot(*X.T, 'o', markersize=4, color='white', markeredgecolor='black', label='evaluated')
        axis.plot(*next_location.T, 'X', markersize=10, color='red', markeredgecolor='white', clip_on=False,
                  label='next proposal')
        axis.set(title=title, xlabel='$t_1$', ylabel='$t_2$')
    axes[0].legend(loc='lower left', framealpha=0.9)
    return figure


def plot_trajectory(gx: Array, gy: Array, values: Array, X: Array, Y: Array, title: str) -> Figure:  # noqa: N803
    """Draws where a search in two dimensions went, over the contours of its objective, and the best value so far.

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
    plane.plot(*X.T, '-', color='white', linewidth=0.8, alpha=0.6)
    points = plane.scatter(*X.T, c=order, cmap='plasma', s=28, edgecolors='black', linewidths=0.5, zorder=3)
    figure.colorbar(points, ax=plane, label='Evaluation')
    best = Y.argmin()
    plane.plot(*X[best], '*', markersize=17, color='red', markeredgecolor='white', zorder=4)
    plane.set(title=f'Evaluations; star: the best, {Y[best, 0]:.3f} nats', xlabel='$t_1$', ylabel='$t_2$',
              aspect='equal')

    curve.plot(order, Y[:, 0], 'o', markersize=5, color=colors[0], label='evaluation')
    curve.plot(order, np.minimum.accumulate(Y[:, 0]), '-', color=colors[1], label='best so far')
    curve.axhline(values.min(), linestyle=':', color='black', label='minimum on the grid')
    curve.set(title='Value of each evaluation', xlabel='Evaluation', ylabel='Objective (nats)', yscale='log')
    curve.yaxis.set_major_formatter('{x:g}')
    curve.yaxis.set_minor_formatter('{x:g}')
    curve.legend(loc='upper right')
    figure.suptitle(title)
    return figure


def plot_convergence(X: Array, Y: Array) -> Figure:  # noqa: N803 (GPyOpt's names)
    """Draws the distance between consecutive evaluations, and the best value so far, as GPyOpt does.

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
    return figure


def plot_experiments(statuses: np.ndarray, values: Array, title: str, without_noise: Array | None = None) -> Figure:
    """Draws the value of each experiment in the order of results, and the best so far; failed ones at the top.

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
    figure.legend(loc='outside right upper')
    return figure


def plot_regret(curves: dict[str, Array], title: str) -> Figure:
    """Draws regret against evaluations: the median over searches as a line, the middle half of them as a band.

    Args:
        curves: a dict from names of methods to arrays (n, 3): lower quartile, median, upper quartile after each of n
            evaluations, nats.
        title: of the figure.
    """
    figure, axis = plt.subplots(figsize=(11, 5), layout='constrained')
    for color, (name, quartiles) in zip(colors, curves.items(), strict=False):
        lower, median, upper = np.maximum(quartiles, 1e-5).T
        evaluations = np.arange(1, len(median) + 1)
        axis.plot(evaluations, median, color=color, label=f'{name}: {median[-1]:.1g}')
        axis.fill_between(evaluations, lower, upper, color=color, alpha=0.15, linewidth=0)
    axis.set(title=title, xlabel='Evaluations', ylabel='Best value − minimum (nats)', yscale='log')
    figure.legend(loc='outside right center', title='median after the last evaluation')
    return figure


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
