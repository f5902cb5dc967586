"""Figures of generated images. Functions are handed arrays and return the figure."""

from itertools import zip_longest

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullLocator, PercentFormatter

from digits.data import num_labels
from digits.measures import least_agreement, widest_radius
from latent_search.figures import colors, describe, styled

# How high or wide an image is drawn among others, in units of their axis: those are pixels of MNIST.
_image_size = 28


@styled
def plot_top(assessed, title):
    """Draws the best distinct evaluations of searches, decoded.

    Above each image is its objective in nats, below it the probability of the target in percent, by classifier and by
    judge. Where the judge reads another label, that is orange and followed by the label that it reads. Without a judge,
    the measured property stands there.

    Picture: docs/figures.md#plot_top.

    Args:
        assessed: a dict from targets to what `measures.assess_top` returns, with a row of images each.
        title: of the figure.
    """
    figure = _draw_top({'': assessed}, max(len(row['values']) for row in assessed.values()))
    figure.suptitle(title)
    return describe(figure, f'{title}. {_read_as_wanted(assessed)}')


@styled
def plot_top_beside(panels, title, num=3):
    """Draws the best distinct evaluations of several sets of searches beside each other, as `plot_top` draws one.

    Picture: docs/figures.md#plot_top_beside.

    Args:
        panels: a dict from titles of panels to what `plot_top` draws.
        title: of the figure.
        num: how many images of each target are drawn, from the best.
    """
    figure = _draw_top(panels, num)
    figure.suptitle(title)
    return describe(figure, f'{title}. The best {num} of each target. ' + ' '.join(
        f'{name}: {_read_as_wanted(assessed, num)}' for name, assessed in panels.items()))


def _read_as_wanted(assessed, num=None):
    said = (f'{len(assessed)} rows of decoded images, one for each target ({", ".join(map(str, assessed))}), best '
            'first. ')
    if any('property' in row for row in assessed.values()):
        best = [f"{row['property'][0]:.2f}" for row in assessed.values()]
        return f'{said}The property of the best: {", ".join(best)}.'
    read = [label == target for target, row in assessed.items() for label in row['read'][:num]]
    return f'{said}The judge reads {sum(read)} of {len(read)} as their target.'


def _draw_top(panels, num):
    width, height = 36, 47  # Of an image with what is written above and below it, in pixels of the image.
    rows = max(map(len, panels.values()))
    figure, axes = plt.subplots(1, len(panels), figsize=((0.95 * num + 0.5) * len(panels),
                                                         0.95 * height / width * rows + 0.6), squeeze=False)
    for axis, (name, assessed) in zip(axes[0], panels.items(), strict=True):
        images = {}
        for top, (target, row) in zip(range(0, height * len(assessed), height), assessed.items(), strict=True):
            axis.text(-20, top, f'{target}', fontsize=14, weight='bold', ha='right', va='center')
            for i, image in enumerate(row['images'][:num]):
                images[i * width, top] = image
                axis.text(i * width, top - 15, f"{row['values'][i]:.2f}", ha='center', va='bottom')
                wrong = 'property' not in row and row['read'][i] != target
                note = (f"{row['property'][i]:.2f}" if 'property' in row else
                        f"{100 * row['classifier'][i]:.0f} | {100 * row['judge'][i]:.0f}"
                        + (f" ({row['read'][i]})" if wrong else ''))
                axis.text(i * width, top + 16, note, ha='center', va='top',
                          bbox={'boxstyle': 'square,pad=0.1', 'facecolor': 'orange' if wrong else 'none',
                                'edgecolor': 'none'})
        _show_montage(axis, images)
        axis.set_title(name)
        axis.set(xlim=(-32, (num - 0.5) * width), ylim=((rows - 0.5) * height + 1, -height / 2 - 1))
    return figure


@styled
def plot_methods(images, read, target, title):
    """Draws a row of images of one label for each method.

    Picture: docs/figures.md#plot_methods.

    Args:
        images: a dict from names of methods to their images, (m, 28, 28, 1).
        read: a dict from the same names to the labels that the judge reads, (m,). Where it reads another label than the
            target, that label stands in the image's lower corner, in orange.
        target: the label.
        title: of the figure.
    """
    num, width, height = max(map(len, images.values())), 32, 38
    figure, axis = plt.subplots(figsize=(10, 10 * height * len(images) / (num * width + 78) + 0.4))
    places = {}
    for top, (name, of_method) in zip(range(0, height * len(images), height), images.items(), strict=True):
        axis.text(-20, top, name, ha='right', va='center')
        for i, image in enumerate(of_method):
            places[i * width, top] = image
            if read[name][i] != target:
                _write_wrong(axis, i * width, top, read[name][i])
    _show_montage(axis, places)
    axis.set(xlim=(-94, (num - 0.5) * width), ylim=((len(images) - 0.5) * height + 2, -height / 2 + 2))
    figure.suptitle(title)
    return describe(figure, f'{title}. A row of images for each method. The judge reads as {target}: ' + '; '.join(
        f'{name} {np.mean(np.asarray(read[name]) == target):.0%}' for name in images) + '.')


@styled
def plot_variations(assessed, target, title):
    """Draws variations of the best points: judge's agreement and diversity against radius, and 30 of the images.

    Dotted lines are the least share of images that the judge must read as the target, and the widest radius with it.

    The images are those at the widest radius (see `measures.widest_radius`), or at the smallest if there is none.

    Picture: docs/figures.md#plot_variations.

    Args:
        assessed: a dict of arrays with an element for each of r increasing radii: `radii`; `share` of the variations
            that the judge reads as the target; `diversity`, their mean pixel distance; `images`,
            (r, num, 28, 28, 1); `read`, the labels that the judge reads, (r, num).
        target: the label.
        title: of the figure.
    """
    widest = widest_radius(assessed)
    shown = widest or 0
    figure = plt.figure(figsize=(10, 3.4))
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.5))
    share = left.subplots()
    share.plot(assessed['radii'], assessed['share'], 'o-', color=colors[0])
    share.set(xlabel='Radius in latent space', xscale='log', ylim=(0, 1.03))
    share.set_xticks(assessed['radii'], [f'{radius:.2g}' for radius in assessed['radii']])
    share.xaxis.set_minor_locator(NullLocator())
    share.set_ylabel(f'Share read as {target} by the judge (line)', color=colors[0])
    share.yaxis.set_major_formatter(PercentFormatter(1))
    share.axhline(least_agreement, linestyle=':', color='black')
    share.text(0.02, least_agreement - 0.02, f'{least_agreement:.0%}', va='top', transform=share.get_yaxis_transform())
    if widest is not None:
        share.axvline(assessed['radii'][widest], linestyle=':', color='black')
    diversity = share.twinx()
    diversity.plot(assessed['radii'], assessed['diversity'], 's--', color=colors[2])
    diversity.set_ylabel('Mean distance, pixels (dashed)', color=colors[2])
    diversity.set_ylim(bottom=0)
    share.set_title(f'no radius has {least_agreement:.0%}' if widest is None else
                    f"widest radius with {least_agreement:.0%}: {assessed['radii'][widest]:.2g}")
    axis, size = right.subplots(), 34
    places = [(size * column, size * row) for row in range(5) for column in range(6)]
    of_places = dict(zip(places, assessed['images'][shown], strict=False))
    _show_montage(axis, of_places)
    for (x, y), read in zip(of_places, assessed['read'][shown], strict=False):
        if read != target:
            _write_wrong(axis, x, y, read)
    axis.set_title(f"variations within {assessed['radii'][shown]:.2g}; orange: what the judge reads instead")
    figure.suptitle(title)
    return describe(figure, f'{title}. Left: the share that the judge reads as {target}, and the mean distance of two '
                    'images, at ' + '; '.join(f'radius {radius:.2g}: {agreed:.0%}, {apart:.2f} pixels'
                                              for radius, agreed, apart in zip(
                                                  assessed['radii'], assessed['share'], assessed['diversity'],
                                                  strict=True))
                    + f". Right: variations within {assessed['radii'][shown]:.2g}.")


@styled
def plot_generated(generated, read, title, num=4):
    """Draws images of several methods side by side: a panel for each, in it a column for each label.

    Picture: docs/figures.md#plot_generated.

    Args:
        generated: a dict from names of methods to the images of each label, (m, 28, 28, 1).
        read: a dict from names of methods to what the judge reads in the images of each label, (m,). Where it reads
            another label than the column's, the image has an orange frame.
        title: of the figure.
        num: how many images of each label are drawn at most, from the first to the last.
    """
    shown = {name: [np.linspace(0, len(images) - 1, min(num, len(images))).round().astype(int) for images in of_labels]
             for name, of_labels in generated.items()}
    heights = {name: max(map(len, indices)) for name, indices in shown.items()}
    of_rows = [max(row) for row in zip_longest(*[iter(heights.values())] * 2, fillvalue=0)]
    figure, axes = plt.subplots(len(of_rows), 2, figsize=(10, 0.49 * sum(of_rows) + 0.6 * len(of_rows)),
                                height_ratios=of_rows, squeeze=False)
    for axis in axes.flat[len(generated):]:
        axis.set_axis_off()
    for axis, (name, of_labels) in zip(axes.flat, generated.items(), strict=False):
        montage = np.full((heights[name] * 30, num_labels * 30), np.nan)
        for label, images in enumerate(of_labels):
            for row, index in enumerate(shown[name][label]):
                montage[row * 30 + 1:row * 30 + 29, label * 30 + 1:label * 30 + 29] = images[index][..., 0]
                if read[name][label][index] != label:
                    axis.add_patch(plt.Rectangle((label * 30, row * 30), 29, 29, fill=False, edgecolor='orange',
                                                 linewidth=2.5))
        axis.imshow(montage, cmap='gray', vmin=0, vmax=1)
        axis.set(title=name, xticks=np.arange(num_labels) * 30 + 14.5, yticks=[])
        axis.set_xticklabels(range(num_labels))
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    figure.suptitle(title)
    right = {name: np.mean(np.concatenate([np.equal(of_label, label) for label, of_label in enumerate(read[name])]))
             for name in generated}
    return describe(figure, f'{title}. A panel for each method, with a column of images for each digit. Read as '
                    'wanted: ' + '; '.join(f'{name} {share:.0%}' for name, share in right.items()) + '.')


def _write_wrong(axis, x, y, read):
    """Writes what the judge reads instead into the lower left corner of an image around x, y."""
    axis.text(x - 14, y + 14, read, weight='bold', ha='left', va='bottom',
              bbox={'boxstyle': 'square,pad=0.15', 'facecolor': 'orange', 'edgecolor': 'none'})


def _show_montage(axis, images):
    """Draws images at places on one axis, which is many times faster than an axis for each.

    Args:
        axis: to draw on. Its limits are to be set afterwards.
        images: a dict from the centres of images, (x, y), to images (height, width, channels), all of one shape. The
            longer side of an image is 28 units of the axis.
    """
    height, width, channels = next(iter(images.values())).shape
    scale = max(height, width) / _image_size  # Pixels in a unit.
    half = _image_size // 2
    (left, top), (right, bottom) = np.min(list(images), axis=0) - half, np.max(list(images), axis=0) + half
    # NaN is transparent, but only in grey.
    montage = np.full((round((bottom - top) * scale), round((right - left) * scale), channels),
                      np.nan if channels == 1 else 1.0)
    for (x, y), image in images.items():
        row, column = round((y - top) * scale - height / 2), round((x - left) * scale - width / 2)
        montage[row:row + height, column:column + width] = image
    axis.imshow(np.squeeze(montage, axis=2) if channels == 1 else montage, cmap='gray', vmin=0, vmax=1,
                extent=(left, right, bottom, top))
    axis.set_axis_off()
