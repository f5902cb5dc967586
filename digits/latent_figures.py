"""Figures of what is decoded across latent spaces. Functions are handed arrays and return the figure."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from digits.figures import label_latent_axes, write_apart
from latent_search.figures import colors as label_colors
from latent_search.figures import describe, styled
from latent_search.points import check_points

# Half of the prior's mass in two dimensions lies within √(2 log 2) of the origin, 95% within √(2 log 20).
_prior_radius = np.sqrt(2 * np.log(20))


@styled
def plot_manifolds(images, read, domain, title):
    """Draws the images that several decoders make of the points of a grid, each in its place in latent space.

    Picture: docs/figures.md#plot_manifolds.

    The colour of an image is that of the label which the judge reads. 95% of the prior's mass lies within the circle.

    Args:
        images: a dict from names of models to images at the points of `create_grid`, (n², 28, 28, 1).
        read: a dict from the same names to the labels that the judge reads in them, (n²,).
        domain: the box of the grid, two pairs `(low, high)`.
        title: of the figure.
    """
    figure, axes = plt.subplots(1, len(images), figsize=(10, 9.3 / len(images) + 1.1), dpi=160,
                             layout='compressed', sharey=True, squeeze=False)
    (left, right), (low, high) = domain
    for axis, (name, of_model) in zip(axes[0], images.items(), strict=True):
        n = round(len(of_model) ** 0.5)
        dx, dy = (right - left) / (n - 1) / 2, (high - low) / (n - 1) / 2
        ink = of_model.reshape(n, n, 28, 28, 1)[::-1]  # The grid begins at the bottom, a picture at the top.
        colors = np.array([matplotlib.colors.to_rgb(label_colors[label]) for label in read[name]]).reshape(n, n, 3)
        tiles = 1 - ink * (1 - colors[::-1, :, np.newaxis, np.newaxis])
        axis.imshow(tiles.transpose(0, 2, 1, 3, 4).reshape(n * 28, n * 28, 3).clip(0, 1),
                    extent=(left - dx, right + dx, low - dy, high + dy), interpolation='antialiased')
        axis.add_patch(plt.Circle((0, 0), _prior_radius, fill=False, color='black', linestyle='--', linewidth=1.2))
        axis.set(title=name, xlabel='$t_1$')
    axes[0, 0].set_ylabel('$t_2$')
    handles = [plt.Line2D([], [], marker='s', linestyle='', markersize=9, color=color, label=str(label))
               for label, color in enumerate(label_colors)]
    figure.legend(handles=handles, loc='outside lower center', ncols=10, title='Label that the judge reads',
                  columnspacing=1.2, handletextpad=0.1)
    figure.suptitle(title)
    return describe(figure, f'{title}. A panel for each model ({", ".join(images)}): the images decoded at the points '
                    'of a grid over the box, coloured by the label that the judge reads, and a circle that holds '
                    "95% of the prior's mass.")


@styled
def plot_value_walk(t, y, walk, title, end=9):
    """Draws a walk along the gradient of the predicted value: its way among encoded images, and what it decodes to.

    Picture: docs/figures.md#plot_value_walk.

    Args:
        t: encoded images, (n, 2).
        y: their labels, (n,).
        walk: what `walk_along_value` returns: `values`, (m,); `points`, (m, 2); `images`, (m, 28, 28, 1); `read`, (m,);
            `distance`, (m,).
        title: of the figure.
        end: the largest value that occurs among the labels; larger predicted values are orange.
    """
    beyond = walk['values'] > end
    figure = plt.figure(figsize=(10, 7.4))
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.35, 1))
    # Squares around the walk up to `end`, and around all of it and all images.
    near, far = upper.subplots(1, 2)
    for axis, shown, where in ((near, walk['points'][~beyond], ~beyond), (far, np.vstack([t, walk['points']]), beyond)):
        points = axis.scatter(*check_points(t, 2).T, c=y, cmap=plt.get_cmap('viridis', 10), vmin=-0.5, vmax=9.5,
                              s=9 if axis is near else 3, linewidths=0, alpha=0.6, rasterized=True)
        axis.plot(*walk['points'].T, '-', color='black', linewidth=1)
        for part, color in ((~beyond, 'white'), (beyond, 'orange')):
            axis.plot(*walk['points'][part].T, 'o', color=color, markeredgecolor='black', markersize=4,
                      zorder=6)
        low, high = shown.min(axis=0), shown.max(axis=0)
        half = 0.55 * max(high - low) or 1
        xlim, ylim = ((middle - half, middle + half) for middle in (low + high) / 2)
        axis.set(xlim=xlim, ylim=ylim)
        label_latent_axes(axis, f'predicted values up to {end}' if axis is near else
                          f'all of the walk; orange: beyond {end}')
        whole = np.flatnonzero((walk['values'] % 1 == 0) & where)
        write_apart(axis, walk['points'][whole], [f'{value:g}' for value in walk['values'][whole]], shift=0.25)
    upper.colorbar(matplotlib.cm.ScalarMappable(points.norm, points.cmap), ax=(near, far), ticks=range(10),
                   label='Digit value')
    _draw_strips(lower.subplots(), walk, beyond)
    figure.suptitle(title)
    reads = ', '.join(f'{label} at {value:g}' for value, label in zip(walk['values'], walk['read'], strict=True))
    return describe(figure, f'{title}. Above, the way among the encoded images. Below, the decoded images, with what '
                    f'the judge reads at each predicted value: {reads}.')


def _draw_strips(axis, walk, beyond):
    width, height, num = 36, 80, len(beyond)
    rows = np.array_split(np.arange(num), -(-num // 13))
    for top, row in zip(range(0, height * len(rows), height), rows, strict=True):
        for y, name, values in ((-6, 'predicted value', [f'{value:g}' for value in walk['values']]),
                                (35, 'judge reads', walk['read']),
                                (50, 'distance to the nearest\nencoded image', [f'{d:.2f}' for d in walk['distance']])):
            axis.text(-5, top + y, name, ha='right', va='center')
            for column, i in enumerate(row):
                axis.text(column * width + 14, top + y, values[i], ha='center', va='center', bbox={
                    'boxstyle': 'square,pad=0.1', 'edgecolor': 'none',
                    'facecolor': 'orange' if beyond[i] and y < 0 else 'none'})
        for column, i in enumerate(row):
            _show(axis, walk['images'][i], column * width, top)
    axis.set(xlim=(-90, len(rows[0]) * width), ylim=(height * len(rows) - 18, -14), aspect='equal')
    axis.set_axis_off()


@styled
def plot_interpolations(x, labels, strips, title):
    """Draws interpolations between two images: the images themselves at the ends, and what is decoded between them.

    Picture: docs/figures.md#plot_interpolations.

    Above an image is its distance from the first point in latent space, below it the label that the judge reads, and
    how probable that is. Where it reads neither end's label, this is orange.

    Args:
        x: the two images, (2, 28, 28, 1).
        labels: their labels, (2,).
        strips: a dict from names of models to what `interpolate` returns, with an element for each point: `distance`,
            `images`, `read` and `certainty`.
        title: of the figure.
    """
    num = max(len(strip['images']) for strip in strips.values())
    width, height = 36, 62
    figure, axis = plt.subplots(figsize=(10, 10 * height * len(strips) / ((num + 2) * width + 90) + 0.5))
    for top, (name, strip) in zip(range(0, height * len(strips), height), strips.items(), strict=True):
        axis.text(-8, top + 14, name, ha='right', va='center')
        places = [0, *(np.arange(1, num + 1) * width + 8), (num + 1) * width + 16]
        for place, image in zip(places, (x[0], *strip['images'], x[1]), strict=True):
            _show(axis, image, place, top)
        for place, label in zip((places[0], places[-1]), labels, strict=True):
            axis.text(place + 14, top + 32, f'image\nof a {label}', ha='center', va='top')
        for i, place in enumerate(places[1:-1]):
            axis.text(place + 14, top - 3, f"{strip['distance'][i]:.2f}", ha='center', va='bottom')
            other = strip['read'][i] not in labels
            axis.text(place + 14, top + 32, f"{strip['read'][i]} ({strip['certainty'][i]:.0%})",
                      ha='center', va='top', bbox={'boxstyle': 'square,pad=0.15', 'edgecolor': 'none',
                                                   'facecolor': 'orange' if other else 'none'})
    axis.set(xlim=(-60, places[-1] + 30), ylim=(height * (len(strips) - 1) + 44, -14), aspect='equal')
    axis.set_axis_off()
    figure.suptitle(title)
    reads = '; '.join(f'{name}: {", ".join(map(str, strip["read"]))}' for name, strip in strips.items())
    return describe(figure, f'{title}. A row of decoded images for each model, between the two images. The judge reads '
                    f'{reads}.')


def _show(axis, image, left, top):
    axis.imshow(np.squeeze(image), cmap='gray', vmin=0, vmax=1, extent=(left, left + 28, top + 28, top))
