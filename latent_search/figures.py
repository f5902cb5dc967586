"""Figures of a search. Each function takes arrays and returns the figure."""

import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from PIL import Image

from latent_search.events import Event
from latent_search.hindsight import Slice, Stage
from latent_search.points import Array

# Ten colours that people with colour vision deficiency can tell apart: chosen by an optimizer for the largest least
# distance, CIEDE2000, as seen with normal vision and with each of the three deficiencies.
colors = ('#0c2bff', '#e9307f', '#006e54', '#9c7e11', '#710058', '#7489fd', '#443d05', '#ffaeab', '#a6d001', '#06d7e4')

# The colours of methods, by how their names begin. Methods that share one are never in one figure, or are variants.
_of_methods = {'ours': 0, 'Bayesian optimization': 0, 'random': 5, 'samples of the prior': 5, 'GPyOpt': 1, 'BoTorch': 2,
               'scikit-optimize': 3, 'TuRBO': 4, 'SMAC': 7, 'CMA-ES': 8, 'Optuna': 9, 'gradient search': 1,
               'conditional VAE': 2, 'latent constraints': 3, 'real images': 6, 'Gaussian process': 2,
               'graph genetic algorithm': 3, 'ridge': 4, 'genetic algorithm': 8, 'perturbation': 9}

_look = matplotlib.rc_params_from_file(Path(__file__).with_name('figures.mplstyle'), use_default_template=False)


@contextmanager
def _in_style() -> Iterator[None]:
    """Sets what figures.mplstyle sets, and afterwards sets it back.

    `matplotlib.style.context` would set everything back, also what a notebook's backend sets as the first figure loads
    it: then no figure is shown.
    """
    before = {name: matplotlib.rcParams[name] for name in _look}
    matplotlib.rcParams.update(_look)
    try:
        yield
    finally:
        matplotlib.rcParams.update(before)


# Decorates functions that draw.
styled = _in_style()


def method_colors(names: Iterable[str]) -> dict[str, str]:
    """Returns a colour for each method, the same in all figures; methods that are not known here get those left over.

    Raises:
        ValueError: there are more methods than colours.
    """
    known = {name: next((of for begin, of in _of_methods.items() if name.startswith(begin)), None) for name in names}
    left = [i for i in range(len(colors))[::-1] if i not in known.values()]
    unknown = [name for name, color in known.items() if color is None]
    if len(unknown) > len(left):
        raise ValueError(f'There are colours for {len(colors)} methods, got {len(known)}. Draw them in two figures.')
    return {name: colors[i] for name, i in {**known, **dict(zip(unknown, left, strict=False))}.items() if i is not None}


def line_styles(of_lines: dict[str, str]) -> dict[str, str]:
    """Returns a line style for each name, another one for those whose colours are equal: variants of a method."""
    of_color = list(of_lines.values())
    return {name: ('-', '--', ':', '-.')[of_color[:i].count(color) % 4]
            for i, (name, color) in enumerate(of_lines.items())}


def round_ticks(axis: Any) -> None:
    """Gives a logarithmic axis the ticks 1, 2, 5, 10 and so on, written as they are."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter('{x:g}')
    axis.set_minor_locator(NullLocator())


def describe(figure: Figure, alt: str) -> Figure:
    """Gives a figure its alternative text, for readers who cannot see it, and returns the figure.

    The text is `figure.alt`. IPython stores it in the metadata of a notebook's output, as `alt` of `image/png`.
    """
    figure.alt = alt  # type: ignore[attr-defined]
    figure._repr_mimebundle_ = partial(_alt_in_metadata, alt)  # type: ignore[attr-defined]
    return figure


def _in_unit(value: str, unit: str) -> str:
    return f'{value} {unit}' if unit else value


def _alt_in_metadata(alt: str, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What IPython asks an object for before it draws it: representations, here none, and metadata of each."""
    return {}, {'image/png': {'alt': alt}}


class _Panels:
    """Three axes with posterior mean, posterior standard deviation and expected improvement of a stage of a search.

    Args:
        axes: the three.
        domain: the bounds of the box, (2, 2).
        stages: all that will be shown; they share their scales.
        unit: of the objective, such as 'nats'.
    """

    # Each with the colour of what is below the scale.
    color_maps = ('viridis', None), ('cividis', None), ('magma', '0.8')
    # Orders of magnitude of the expected improvement, below its highest value, that are told apart.
    decades = 6

    def __init__(self, axes: Sequence[Axes], domain: Array, stages: Sequence[Stage], unit: str) -> None:
        norms = (PowerNorm(0.5, min(stage.mean.min() for stage in stages), max(stage.mean.max() for stage in stages)),
                 PowerNorm(0.5, 0, max(stage.std.max() for stage in stages)), Normalize(-self.decades, 0))
        self.domain, self.unit = domain, unit
        self.images, self.lines = [], []
        for axis, (name, under), norm in zip(axes, self.color_maps, norms, strict=True):
            # Few colours: their borders are contours, and the files of animations are small.
            color_map = matplotlib.colormaps[name].resampled(12).with_extremes(under=under)
            self.images.append(axis.imshow(np.zeros((2, 2)), color_map, norm, origin='lower', aspect='auto',
                                           interpolation='bilinear', interpolation_stage='data'))
            self.lines.append([
                axis.plot([], [], marker, markersize=size, color=color, markeredgecolor=edge, label=label,
                          markeredgewidth=0.8, clip_on=False, zorder=3)[0]
                for marker, size, color, edge, label in (('o', 3.5, 'white', 'black', 'evaluated'),
                                                         ('*', 15, 'red', 'white', 'best so far'),
                                                         ('X', 9, 'white', 'black', 'next proposal'))])
            axis.set(xlim=domain[0], ylim=domain[1], box_aspect=1)
        self.highest = axis.text(0.03, 0.03, '', transform=axis.transAxes,
                                 bbox={'boxstyle': 'round', 'facecolor': 'white', 'alpha': 0.8, 'linewidth': 0})

    def show(self, stage: Stage) -> None:
        highest = max(stage.ei.max(), 1e-300)
        # One order of magnitude below the scale is enough, and edges stay smooth.
        share = np.log10(np.maximum(stage.ei / highest, 10.0 ** (-self.decades - 1)))
        half = np.ptp(self.domain, axis=1, keepdims=True) / (len(share) - 1) / 2
        for image, values in zip(self.images, (stage.mean, stage.std, share), strict=True):
            image.set_data(values)
            image.set_extent((self.domain + half * (-1, 1)).ravel())
        for evaluated, best, proposed in self.lines:
            evaluated.set_data(*stage.X.T)
            best.set_data(*stage.best_location[:, np.newaxis])
            proposed.set_data(*stage.next_location[:, np.newaxis])
        self.highest.set_text(_in_unit(f'highest: {stage.ei.max():.2g}', self.unit))

    def label(self, figure: Figure, axes: Array) -> None:
        """Gives columns of axes their names and colour bars, and the figure a legend of the markers."""
        labels = (('Posterior mean', self.unit), ('Posterior standard deviation', self.unit),
                  ('Expected improvement', 'share of its highest value'))
        for column, image, (name, label) in zip(axes.T, self.images, labels, strict=True):
            column[0].set_title(name)
            column[-1].set_xlabel('$t_1$')
            bar = figure.colorbar(image, ax=list(column), location='bottom', label=label, aspect=30, pad=0.02,
                                  ticks=MaxNLocator(3, steps=[1, 2, 5, 10]),
                                  extend='min' if name == 'Expected improvement' else 'neither')
        bar.set_ticks(ticks := range(-self.decades, 1, 2), labels=[f'$10^{{{tick}}}$' for tick in ticks])
        figure.legend(handles=self.lines[0], loc='outside lower center', ncols=3)


class _FigureOfFrames(Figure):
    """A figure that is saved quickly, as PNG files with a palette of 256 colours.

    An animation of it is less than half as large as one with all colours. Matplotlib itself would draw each frame
    twice, the first time for the layout that it no longer computes.
    """

    def savefig(self, fname: Any, **settings: Any) -> None:
        if settings.get('format') != 'png' or settings.get('dpi') != self.dpi:
            return super().savefig(fname, **settings)
        renderer = RendererAgg(*self.bbox.size, self.dpi)
        self.draw(renderer)
        Image.fromarray(np.asarray(renderer.buffer_rgba())).convert('RGB').quantize(256).save(fname, 'PNG')


@styled
def plot_stages(domain: Array, stages: Sequence[Stage], title: str, unit: str = '') -> Figure:
    """Draws what a search in two dimensions knew after some of its evaluations: a row for each stage.

    Picture: docs/figures.md#plot_stages.

    The columns are posterior mean, posterior standard deviation and expected improvement, each with the evaluated
    points, the best so far and the next proposal. Mean and standard deviation have a square-root scale that all stages
    share. Expected improvement is drawn as a share of its highest value at that stage, which stands in the panel.

    Args:
        domain: the bounds of the box, (2, 2).
        stages: see `hindsight.stages_of`.
        title: of the figure.
        unit: of the objective, such as 'nats'.
    """
    figure, axes = plt.subplots(len(stages), 3, figsize=(10, 1.7 + 2.75 * len(stages)),
                                sharex=True, sharey=True, squeeze=False)
    for row, stage in zip(axes, stages, strict=True):
        panels = _Panels(row, domain, stages, unit)
        panels.show(stage)
        row[0].set_ylabel(_in_unit(f'{len(stage.X)} evaluations, best {stage.Y.min():.4g}', unit) + '\n$t_2$')
    panels.label(figure, axes)
    figure.suptitle(title)
    numbers = ', '.join(str(len(stage.X)) for stage in stages)
    return describe(figure, f'{title}. Maps of posterior mean, posterior standard deviation and expected improvement '
                    f'after {numbers} evaluations, a row each, with the evaluated points, the best so far and the next '
                    'proposal.')


@styled
def animate_stages(domain: Array, stages: Sequence[Stage], title: str, pictures: Array | None = None,
                   unit: str = '') -> FuncAnimation:
    """Draws a search in two dimensions as it goes on: a frame for each stage, with the panels of `plot_stages`.

    Args:
        domain: the bounds of the box, (2, 2).
        stages: see `hindsight.stages_of`.
        title: of the figure.
        pictures: of the next proposal and of the best so far at each stage, (n, 2, h, w), in [0, 1]. They are drawn
            beside the panels.
        unit: of the objective, such as 'nats'.

    Returns:
        The animation; see `create_player`.
    """
    # It is not a figure of pyplot, which a notebook would also show as a picture.
    figure = _FigureOfFrames(figsize=(10, 4.5))
    axes = (figure.subplot_mosaic('mse') if pictures is None else
            figure.subplot_mosaic('msen;mseb', width_ratios=(1, 1, 1, 0.55)))
    row = [axes[name] for name in 'mse']
    panels = _Panels(row, domain, stages, unit)
    panels.label(figure, np.array([row]))
    row[0].set_ylabel('$t_2$')
    # Numbers at the axes take much of a frame's time.
    xticks, yticks = np.linspace(domain[:, 0], domain[:, 1], 3).T
    for axis in row:
        axis.set(xticks=xticks, yticks=yticks if axis is row[0] else [])
    if pictures is not None:
        shown = [axes[name].imshow(pictures[0, 0], cmap='gray', vmin=0, vmax=1) for name in 'nb']
        for image in shown:
            image.axes.set(xticks=[], yticks=[])
        axes['n'].set_title('Next proposal')
        axes['b'].set_title('Best so far')
    heading = figure.suptitle(' ')

    def show(index: int) -> None:
        stage = stages[index]
        panels.show(stage)
        heading.set_text(_in_unit(f'{title}: {len(stage.X)} evaluations, best {stage.Y.min():.3f}', unit))
        if pictures is not None:
            for image, picture in zip(shown, pictures[index], strict=True):
                image.set_data(picture)

    show(0)
    # A layout takes longer than a frame, and would move the panels.
    figure.draw_without_rendering()
    figure.set_layout_engine('none')
    return FuncAnimation(figure, show, frames=len(stages), interval=500)


# What stands on the buttons of a player, by the names of the icons that Matplotlib's loads from the network.
_symbols = {'minus': '−', 'fast-backward': '⇤', 'step-backward': '←', 'play fa-flip-horizontal': '◀\ufe0e',
            'pause': '‖', 'play': '▶\ufe0e', 'step-forward': '→', 'fast-forward': '⇥', 'plus': '+'}


def create_player(animation: FuncAnimation, alt: str) -> str:
    """Renders an animation as a player with buttons and a slider: Matplotlib's own player without network access.

    Args:
        animation: such as that of `animate_stages`.
        alt: text for readers who cannot see the pictures.

    Returns:
        HTML that stands alone. A notebook shows it with `IPython.display.HTML`.
    """
    player = animation.to_jshtml(default_mode='once')
    player = re.sub(r'<link\s[^>]*>', '<style>.animation, .animation img, .anim-slider { max-width: 100%; }'
                    '.anim-buttons button { max-width: 9.5%; }</style>', player)
    player = re.sub(r'<i class="fa fa-([^"]+)"></i>', lambda icon: _symbols[icon[1]], player)
    player = player.replace('type="range" ', 'type="range" aria-label="Frame" title="Frame" ')
    return player.replace('<img ', f'<img alt="{html.escape(alt)}" ')


@styled
def plot_trajectory(gx: Array, gy: Array, values: Array, X: Array, Y: Array, title: str,  # noqa: N803
                    unit: str = '') -> Figure:
    """Draws where a search in two dimensions evaluated its objective, over its contours, and the best value so far.

    Picture: docs/figures.md#plot_trajectory.

    Args:
        gx: first coordinates of a grid, (m, k).
        gy: second coordinates, (m, k).
        values: the objective at the grid's points, (m * k,).
        X: the evaluated points in their order, (n, 2).
        Y: their values, (n, 1).
        title: of the figure.
        unit: of the objective, such as 'nats'.

    Raises:
        ValueError: there are no evaluations in two dimensions, or `values` are not the grid's.

    Colours and values have a logarithmic scale where all of them are positive and they span more than a factor of ten.
    """
    if X.shape[1] != 2 or len(X) == 0:
        raise ValueError(f'plot_trajectory draws evaluations in two dimensions, this search has {len(X)} in '
                         f'{X.shape[1]}.')
    if np.shape(values) != (gx.size,):
        raise ValueError(f'values must have shape ({gx.size},), one a point of the grid, got {np.shape(values)}.')
    objective, best = f'Objective ({unit})' if unit else 'Objective', Y.argmin()
    figure, (plane, curve) = plt.subplots(1, 2, figsize=(10, 4.2), width_ratios=(1.3, 1))
    low, high = values.min(), values.max()
    if high <= low:  # A constant has no contours.
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    logarithmic = min(low, Y.min()) > 0 and high > 10 * low
    levels = np.geomspace(low, high, 12) if logarithmic else np.linspace(low, high, 12)
    norm = matplotlib.colors.LogNorm(low, high) if logarithmic else Normalize(low, high)
    contours = plane.contourf(gx, gy, values.reshape(gx.shape), levels=levels, cmap='Greys_r', norm=norm)
    figure.colorbar(contours, ax=plane, label=objective, format='%g',
                    ticks=LogLocator(subs=(1, 2, 5)) if logarithmic else MaxNLocator(6, steps=[1, 2, 5, 10]))
    order = np.arange(1, len(X) + 1)
    points = plane.scatter(*X.T, c=order, cmap='plasma', s=40, edgecolors='white', linewidths=0.8, zorder=3,
                           clip_on=False)
    figure.colorbar(points, ax=plane, label='Evaluation', ticks=MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    plane.plot(*X[best], '*', markersize=17, color='red', markeredgecolor='white', zorder=4, clip_on=False)
    plane.set(title=_in_unit(f'Evaluations; star: the best, {Y[best, 0]:.3f}', unit), xlabel='$t_1$', ylabel='$t_2$',
              aspect='equal')

    curve.plot(order, Y[:, 0], 'o', markersize=5, color=colors[0], label='evaluation')
    curve.plot(order, np.minimum.accumulate(Y[:, 0]), drawstyle='steps-post', color=colors[1], label='best so far')
    curve.axhline(values.min(), linestyle=':', color='black', label='minimum on the grid')
    curve.set(title='Value of each evaluation', xlabel='Evaluation', ylabel=objective)
    if logarithmic:
        curve.set_yscale('log')
        round_ticks(curve.yaxis)
    curve.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    figure.legend(loc='outside lower center', ncols=3)
    figure.suptitle(title)
    return describe(figure, f'{title}. Left: {len(X)} evaluations over the contours; the best is at '
                    f'{np.array2string(X[best], precision=2)}. Right: their values; the best is '
                    f'{_in_unit(f"{Y[best, 0]:.3f}", unit)}, the minimum on the grid {values.min():.3f}.')


@styled
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
    figure, (steps, best) = plt.subplots(1, 2)
    steps.plot(np.arange(2, len(X) + 1), np.linalg.norm(np.diff(X, axis=0), axis=1), '.-', color=colors[0])
    steps.set(title='Distance between consecutive evaluations', xlabel='Evaluation', ylabel='Distance')
    best.plot(np.arange(1, len(X) + 1), np.minimum.accumulate(Y[:, 0]), '.-', color=colors[1])
    best.set(title='Best value so far', xlabel='Evaluation', ylabel='Value (smaller is better)')
    for axis in (steps, best):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return describe(figure, f'Two curves over {len(X)} evaluations: the distance between consecutive ones, and the '
                    f'best value so far, which ends at {Y.min():.3g}.')


@styled
def plot_slices(slices: Sequence[Slice], title: str, unit: str = '') -> Figure:
    """Draws what a search in any number of dimensions has learnt about each of them: a panel for each coordinate.

    Picture: docs/figures.md#plot_slices.

    Each panel shows the posterior mean along one coordinate through the best point, where all others stay, with two
    standard deviations to both sides. A flat line is a coordinate that hardly matters there.

    Args:
        slices: see `hindsight.slices_of`.
        title: of the figure.
        unit: of the objective, such as 'nats'.
    """
    columns = min(len(slices), 4)
    rows = -(-len(slices) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(max(6, 2.5 * columns), 1.2 + 2.3 * rows),
                                sharey=True, squeeze=False)
    for axis in axes.flat[len(slices):]:
        axis.set_visible(False)
    for i, (axis, line) in enumerate(zip(axes.flat, slices, strict=False), start=1):
        axis.fill_between(line.x, line.mean - 2 * line.std, line.mean + 2 * line.std, color=colors[0], alpha=0.2,
                          linewidth=0, label='± 2 standard deviations')
        axis.plot(line.x, line.mean, color=colors[0], label='posterior mean')
        axis.plot(line.best, line.best_mean, '*', markersize=14, color='red', markeredgecolor='white',
                  label='best point', clip_on=False, zorder=3)
        axis.set(xlabel=f'$t_{{{i}}}$', xlim=(line.x[0], line.x[-1]))
        axis.xaxis.set_major_locator(MaxNLocator(4))
    lowest, highest = (extreme([extreme(line.mean) for line in slices]) for extreme in (min, max))
    room = 0.25 * (highest - lowest) or 1.0
    for row in axes:
        # Far from all evaluations the deviations may be many times the means.
        row[0].set(ylabel=f'Objective ({unit})' if unit else 'Objective', ylim=(lowest - room, highest + room))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc='outside lower center', ncols=3)
    figure.suptitle(title)
    ranges = [np.ptp(line.mean) for line in slices]
    most, least = (f'coordinate {index(ranges) + 1}, by {_in_unit(f"{ranges[index(ranges)]:.3g}", unit)}'
                   for index in (np.argmax, np.argmin))
    return describe(figure, f'{title}. The posterior mean along each of {len(slices)} coordinates through the best '
                    f'point. It changes most along {most}, and least along {least}.')


@styled
def plot_experiments(events: Sequence[Event], title: str,
                     expected: Callable[[Array], Array] | None = None) -> Figure:
    """Draws the value of each experiment in the order of results, and the best so far; failed ones at the top.

    Picture: docs/figures.md#plot_experiments.

    Args:
        events: of a search.
        title: of the figure.
        expected: for a noisy search, a function of points (n, d) that returns values (n, 1) without noise, if there is
            one. The best so far is then also drawn without its noise.

    Raises:
        ValueError: there are no results with a value.
    """
    results = [event for event in events if event.status not in ('proposed', 'withdrawn')]
    values = np.array([np.nan if event.value is None else event.value for event in results])
    order, done = np.arange(1, len(values) + 1), np.isfinite(values)
    if not done.any():
        raise ValueError('There are no results yet. Tell some first.')
    statuses = np.array([event.status for event in results])
    figure, axis = plt.subplots()
    for status, marker, color, label in (('done', 'o', colors[0], 'experiment'),
                                         ('known', 's', colors[4], 'known before')):
        of_status = statuses == status
        if of_status.any():
            axis.plot(order[of_status], values[of_status], marker, markersize=5, color=color, label=label)
    axis.plot(order[done], np.minimum.accumulate(values[done]), drawstyle='steps-post', color=colors[1],
              label='best value so far')
    if expected is not None:
        points = np.vstack([event.t for event in results])[done]
        best = [values[done][:n].argmin() for n in range(1, done.sum() + 1)]
        axis.plot(order[done], expected(points[best])[:, 0], drawstyle='steps-post', linestyle='--', color='black',
                  label='… without noise')
    if not done.all():
        axis.plot(order[~done], np.full((~done).sum(), 0.97), 'x', color=colors[2], markersize=7,
                  transform=axis.get_xaxis_transform(), label=f'failed: {(~done).sum()}')
    axis.set(xlabel='Results, in the order in which they came', ylabel='Value (smaller is better)')
    figure.suptitle(title)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axis.margins(y=0.1)  # Failed ones stand above all values.
    figure.legend(loc='outside lower center', ncols=5)
    return describe(figure, f'{title}. The values of {done.sum()} experiments as dots, the best so far as a line, '
                    f'which ends at {values[done].min():.3g}, and {(~done).sum()} failed experiments as crosses '
                    'at the top.')
