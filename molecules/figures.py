"""Figures of molecules. Functions are handed SMILES strings and arrays, and return the figure."""

import io

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

from latent_search.figures import colors, describe, line_styles, method_colors, styled


@styled
def plot_molecules(rows, title):
    """Draws rows of molecules, each with a line of text under it.

    Picture: docs/figures.md#plot_molecules.

    Args:
        rows: a dict from the name of each row to its molecules: pairs of a SMILES string and a text.
        title: of the figure.
    """
    columns = max(map(len, rows.values()))
    width = min(max(4, columns), 10)
    figure = plt.figure(figsize=(width, (0.85 * width / columns + 0.55) * len(rows) + 0.3))
    parts = np.ravel(figure.subfigures(len(rows), 1))
    for part, (name, molecules) in zip(parts, rows.items(), strict=True):
        part.suptitle(name, x=0.01, ha='left', fontsize=10, weight='bold')
        for axis in (axes := part.subplots(1, columns, squeeze=False)[0]):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        for axis, (smiles, text) in zip(axes, molecules, strict=False):
            axis.imshow(_drawn(smiles))
            axis.set_xlabel(text)
    figure.suptitle(title)
    return describe(figure, f'{title}. ' + ' '.join(
        f'{name or "Molecules"}: {"; ".join(f"{smiles} ({text})" if text else smiles for smiles, text in molecules)}.'
        for name, molecules in rows.items()))


def _drawn(smiles):
    """A picture of a molecule, (height, width, 4)."""
    drawing = rdMolDraw2D.MolDraw2DCairo(220, 190)
    options = drawing.drawOptions()
    options.clearBackground, options.bondLineWidth, options.minFontSize = False, 2, 26
    options.fixedBondLength = 42
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, Chem.MolFromSmiles(smiles))
    drawing.FinishDrawing()
    return plt.imread(io.BytesIO(drawing.GetDrawingText()))


@styled
def plot_properties(spaces, values, title):
    """Draws molecules in the plane of two principal components of each latent space, coloured by each property.

    Picture: docs/figures.md#plot_properties.

    Args:
        spaces: a dict from the name of each latent space to the codes in it, (n, latent_dim).
        values: a dict from the name of each property to its values, (n,).
        title: of the figure.
    """
    figure, axes = plt.subplots(len(spaces), len(values), figsize=(10, 2.1 * len(spaces) + 1.2),
                             squeeze=False)
    for of_space, (space, t) in zip(axes, spaces.items(), strict=True):
        plane = principal_plane(t)(t)
        for axis, y in zip(of_space, values.values(), strict=True):
            low, high = np.nanquantile(y, (0.02, 0.98))
            axis.scatter(*plane.T, c=y, s=6, linewidths=0, cmap='viridis', vmin=low, vmax=high)
            axis.set(xticks=[], yticks=[])
        of_space[0].set_ylabel(space)
    for axis, name in zip(axes[0], values, strict=True):
        axis.set_title(name)
    for column in axes.T:
        figure.colorbar(column[0].collections[0], ax=column, location='bottom', shrink=0.9, pad=0.02,
                        ticks=MaxNLocator(3, steps=[1, 2, 5, 10]))
    figure.supxlabel('first principal component of each space')
    figure.supylabel('second principal component')
    figure.suptitle(title)
    return describe(figure, f'{title}. A row of scatter plots for each of {", ".join(spaces)}; the colours of its '
                    f'panels are {", ".join(values)}.')


def principal_plane(t):
    """A function that maps points (m, d) to their first two principal components (m, 2) among points t (n, d)."""
    mean = t.mean(axis=0)
    _, _, directions = np.linalg.svd(t - mean, full_matrices=False)
    return lambda points: (points - mean) @ directions[:2].T


@styled
def plot_best_so_far(x, panels, title, ylabels):
    """Draws the best value so far against the number of experiments: medians over searches, and quartiles.

    Picture: docs/figures.md#plot_best_so_far.

    Args:
        x: numbers of experiments, (n,).
        panels: a dict from the name of each panel to a dict from names of methods to their quartiles, (n, 3).
        title: of the figure.
        ylabels: the name of each panel's axis.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(10, 5), squeeze=False)
    of_methods = method_colors(dict.fromkeys(name for of_panel in panels.values() for name in of_panel))
    styles = line_styles(of_methods)
    for axis, (panel, of_panel), ylabel in zip(axes[0], panels.items(), ylabels, strict=True):
        for name, quartiles in of_panel.items():
            low, median, high = quartiles.T
            is_ours = name.startswith('ours')
            if is_ours:
                axis.fill_between(x, low, high, color=of_methods[name], alpha=0.15, linewidth=0)
            axis.plot(x, median, styles[name], color=of_methods[name], linewidth=3 if is_ours else 1.5, label=name)
        axis.set(title=panel, xlabel='Experiments', ylabel=ylabel)
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    handles = {name: handle for axis in axes[0]
               for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc='outside lower center', ncols=3)
    figure.suptitle(title)
    last = '; '.join(f'{panel}: ' + ', '.join(f'{name} {quartiles[-1, 1]:.3g}' for name, quartiles in of_panel.items())
                     for panel, of_panel in panels.items())
    return describe(figure, f'{title}. Medians at the end: {last}.')


@styled
def plot_visited(t, visited, values, title, label):
    """Draws where a search went in the plane of two principal components of the latent space.

    Picture: docs/figures.md#plot_visited.

    Args:
        t: codes of many molecules, (n, d), which define the plane.
        visited: the codes of the experiments in their order, (m, d).
        values: their values, (m,).
        title: of the figure.
        label: of the colours.
    """
    to_plane = principal_plane(t)
    figure, (plane, course) = plt.subplots(1, 2, figsize=(10, 5.4), width_ratios=(1.2, 1))
    plane.scatter(*to_plane(t).T, s=2, color='0.8', linewidths=0, label='molecule of the library')
    points = plane.scatter(*to_plane(visited).T, c=values, s=26, cmap='plasma', edgecolors='black', linewidths=0.4,
                           label='its experiments')
    figure.colorbar(points, ax=plane, location='bottom', label=label, aspect=40)
    plane.set(title='Where the experiments are', xlabel='first principal component',
              ylabel='second principal component')
    order = np.arange(1, len(values) + 1)
    course.scatter(order, values, s=16, color=colors[0], label='value of an experiment')
    course.plot(order, np.maximum.accumulate(values), color=colors[1], drawstyle='steps-post', label='best so far')
    course.set(title='Values in their order', xlabel='Experiment', ylabel=label)
    handles = [handle for axis in (plane, course) for handle in axis.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc='outside lower center', ncols=4, markerscale=1.5)
    figure.suptitle(title)
    return describe(figure, f'{title}. Left: {len(visited)} experiments among {len(t)} molecules. Right: their values, '
                    f'from {values.min():.3g} to {values.max():.3g}.')
