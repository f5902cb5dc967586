"""Figures of digits, models and generated images. Functions are handed arrays and return the figure."""

from itertools import zip_longest

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullLocator

from digits.data import image_shape, num_labels
from digits.measures import widest_radius
from latent_search.figures import colors as label_colors
from latent_search.figures import describe
from latent_search.points import check_points

_label_colormap = matplotlib.colors.ListedColormap(label_colors)

# How high or wide an image is drawn among others, in units of their axis: those are pixels of MNIST.
_image_size = 28


# ---------------------------------------------------------------------------------------------------------------------
# Data and models
# ---------------------------------------------------------------------------------------------------------------------


def plot_architecture(latent_dim, predictor_weight, image_shape=image_shape):
    """Draws the joint model: what is computed from what, and which part of the loss each output enters.

    Picture: docs/figures.md#plot_architecture.

    Args:
        latent_dim: number of dimensions of the latent space.
        predictor_weight: of the predictor's loss in the whole.
        image_shape: height, width and channels of an image.
    """
    size = ' × '.join(map(str, image_shape[:2] if image_shape[2] == 1 else image_shape))
    figure, axis = plt.subplots(figsize=(13, 4), layout='constrained')
    axis.set(xlim=(0, 13), ylim=(0.2, 4), title='The joint VAE-predictor model: networks (coloured), what passes '
             'between them (white), parts of the loss (red)')
    axis.set_axis_off()
    boxes = {name: axis.text(x, y, text, ha='center', va='center', fontsize=12,
                             bbox={'boxstyle': 'round,pad=0.5', 'facecolor': color, 'edgecolor': 'black'})
             for name, x, y, text, color in (
                 ('image', 0.8, 2.8, f'image\n{size}', 'white'),
                 ('encoder', 2.7, 2.8, 'encoder\nCNN', 'lightblue'),
                 ('moments', 5.1, 2.8, f't_mean, t_log_var\n{latent_dim} numbers each', 'white'),
                 ('sampler', 7.4, 2.8, 'sampler', 'lightblue'),
                 ('t', 8.8, 2.8, 't', 'white'),
                 ('decoder', 10.2, 2.8, 'decoder\nCNN', 'lightblue'),
                 ('decoded', 12.1, 2.8, 'decoded\nimage', 'white'),
                 ('predictor', 5.1, 1.1, 'predictor\ndense', 'orange'),
                 ('predicted', 7.8, 1.1, 'label probabilities\nor value', 'white'))}
    for start, end in (('image', 'encoder'), ('encoder', 'moments'), ('moments', 'sampler'), ('sampler', 't'),
                       ('t', 'decoder'), ('decoder', 'decoded'), ('moments', 'predictor'), ('predictor', 'predicted')):
        axis.annotate('', boxes[end].get_position(), boxes[start].get_position(), arrowprops={
            'arrowstyle': '->', 'lw': 1.5, 'shrinkA': 3, 'shrinkB': 3,
            'patchA': boxes[start].get_bbox_patch(), 'patchB': boxes[end].get_bbox_patch()})
    axis.text(5.25, 1.95, 't_mean, never a sample', fontsize=10, style='italic', va='center')
    for x, y, text in ((5.1, 3.6, 'KL divergence from N(0, I)'), (12.1, 2.0, 'reconstruction loss'),
                       (7.8, 0.4, f'{predictor_weight:g} × predictor loss')):
        axis.text(x, y, text, ha='center', va='center', fontsize=11, color='firebrick')
    return describe(figure, 'A diagram of the joint model: an image passes through encoder, sampler and decoder and '
                    'becomes a decoded image; the predictor computes label probabilities or a value from t_mean, '
                    f'which has {latent_dim} numbers. The loss has three parts: reconstruction loss, KL divergence and '
                    f'{predictor_weight:g} times the predictor loss.')


def plot_images(images, labels, title):
    """Draws a row of images (n, height, width, channels) under their labels (n,).

    Picture: docs/figures.md#plot_images.
    """
    figure, axes = plt.subplots(1, len(images), figsize=(1.3 * len(images), 1.9), layout='constrained', squeeze=False)
    for axis, image, label in zip(axes[0], images, labels, strict=True):
        _show_image(axis, image, str(label))
    figure.suptitle(title)
    return describe(figure, f'{title}. A row of images: {", ".join(map(str, labels))}.')


def plot_learning_curves(histories, title):
    """Draws losses, for training and test images, against epochs.

    Picture: docs/figures.md#plot_learning_curves.

    Args:
        histories: a dict from names of models to their learning curves: lists with a dict for each epoch. VAEs have the
            keys 'vae_loss' and, with a predictor, 'predictor_loss'; classifiers have 'loss'. Each has another one with
            the prefix 'val_'.
        title: of the figure.
    """
    panels = {'−ELBO (nats)': ('vae_loss', [history for history in histories.items() if 'vae_loss' in history[1][0]]),
              'Predictor loss\n(nats; squared digits for the regressor)':
                  ('predictor_loss', [history for history in histories.items() if 'predictor_loss' in history[1][0]]),
              'Cross-entropy of classifiers (nats)':
                  ('loss', [history for history in histories.items() if 'vae_loss' not in history[1][0]])}
    panels = {label: (key, of_panel) for label, (key, of_panel) in panels.items() if of_panel}
    figure, axes = plt.subplots(1, len(panels), figsize=(14 / 3 * len(panels), 4), layout='constrained', squeeze=False)
    colors, last = dict(zip(histories, label_colors, strict=False)), []
    for axis, (label, (key, of_panel)) in zip(axes[0], panels.items(), strict=True):
        later = []
        for name, history in of_panel:
            epochs = range(1, len(history) + 1)
            tested, trained = ([epoch[of] for epoch in history] for of in (f'val_{key}', key))
            axis.plot(epochs, tested, '.-', color=colors[name], label=name)
            axis.plot(epochs, trained, '.:', color=colors[name])
            later += tested[1:] + trained[1:]
            last.append(f'{name} {tested[-1]:.3g}')
        axis.set(title=label, xlabel='Epoch')
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if key != 'vae_loss':
            axis.set_yscale('log')
            axis.yaxis.set_major_formatter('{x:g}')
            axis.yaxis.set_minor_formatter('{x:g}')
        if later and axis.dataLim.ymax > 1.05 * max(later):
            axis.set_ylim(top=1.05 * max(later))  # The later epochs would not be told apart.
        axis.legend(loc='upper right')
    figure.suptitle(f'{title}: test images (lines), training images (dotted)')
    return describe(figure, f'{title}. Curves against the epochs, a panel for each kind of loss. On test images they '
                    f'end at: {"; ".join(last)}.')


def plot_latent_spaces(ts, y, titles, title):
    """Draws encoded images in several latent spaces of two dimensions, coloured by label and by value, or by number.

    Picture: docs/figures.md#plot_latent_spaces.

    Args:
        ts: for each latent space the points, (n, 2).
        y: labels of the images, integers, (n,); or a number for each, floats, (n,); or None.
        titles: for each latent space its title.
        title: of the figure.

    Raises:
        ValueError: the points of a latent space are not (n, 2).
    """
    ts = [check_points(t, 2) for t in ts]
    labels = y is not None and np.issubdtype(np.asarray(y).dtype, np.integer)
    if labels:
        num = np.max(y) + 1
        few = matplotlib.colors.ListedColormap(label_colors[:num])
        colorings = {'label': (few if num <= len(label_colors) else plt.get_cmap('turbo', num), -0.5, num - 0.5),
                     'value': (plt.get_cmap('viridis', num), -0.5, num - 0.5)}
    else:
        colorings = {'number': ('viridis', None, None)}
    figure, axes = plt.subplots(len(colorings), len(ts), figsize=(4.6 * len(ts), 4.25 * len(colorings)), dpi=72,
                                layout='constrained', sharex=True, sharey=True, squeeze=False)
    for row, (name, (cmap, low, high)) in zip(axes, colorings.items(), strict=True):
        for axis, t, space in zip(row, ts, titles, strict=True):
            points = axis.scatter(*t.T, c=y, cmap=None if y is None else cmap, vmin=low, vmax=high,
                                  s=max(1.5, 4000 / len(t)), linewidths=0, rasterized=True)
            _label_latent_axes(axis, space if y is None else f'{space}, by {name}')
            axis.set(xlim=(-4, 4), ylim=(-4, 4), aspect='equal')
            if labels:
                _write_labels(axis, t, y)
        if y is not None:
            figure.colorbar(points, ax=row, ticks=range(num) if labels and num <= 20 else None,
                            label=name.capitalize())
    figure.suptitle(title)
    return describe(figure, f'{title}: {", ".join(titles)}. Each of {len(ts[0])} encoded images is a dot' + (
        ", coloured by label in the upper row and by value in the lower. Each label's number stands at the median of "
        'its dots.' if labels else '.' if y is None else ', coloured by its number.'))


def plot_reconstructions(x, decoded, title):
    """Draws images and what models make of them, with the reconstruction loss of each.

    Picture: docs/figures.md#plot_reconstructions.

    Args:
        x: images, (n, 28, 28, 1).
        decoded: a dict from names of models to decoded images, (n, 28, 28, 1), and their losses, (n,), nats.
        title: of the figure.
    """
    figure, axes = plt.subplots(len(decoded) + 1, len(x), figsize=(1.3 * len(x), 1.65 * (len(decoded) + 1)),
                                layout='constrained', squeeze=False)
    for axis, image in zip(axes[0], x, strict=True):
        _show_image(axis, image, '')
    axes[0, 0].text(-4, 14, 'image', fontsize=11, ha='right', va='center')
    for row, (name, (images, losses)) in zip(axes[1:], decoded.items(), strict=True):
        for axis, image, loss in zip(row, images, losses, strict=True):
            _show_image(axis, image, f'{loss:.0f} nats')
        row[0].text(-4, 14, name, fontsize=11, ha='right', va='center')
    figure.suptitle(title)
    return describe(figure, f'{title}. A row of {len(x)} images; below it a row for each model with what it decodes: '
                    + '; '.join(f'{name}, mean loss {np.mean(losses):.0f} nats'
                                for name, (_, losses) in decoded.items()) + '.')


# ---------------------------------------------------------------------------------------------------------------------
# Objectives and searches
# ---------------------------------------------------------------------------------------------------------------------


def plot_nll(gx, gy, nll, title):
    """Draws an objective for several targets over a grid, with the minimum of each.

    Picture: docs/figures.md#plot_nll.

    Args:
        gx: first coordinates of the grid, (m, k).
        gy: second coordinates, (m, k).
        nll: the objective at the grid's points for the first labels, (m * k, targets), nats.
        title: of the figure.

    Raises:
        ValueError: `nll` does not belong to that grid.
    """
    if nll.ndim != 2 or len(nll) != gx.size:
        raise ValueError(f'nll must have shape ({gx.size}, targets), a row for each point of the grid, got '
                         f'{nll.shape}.')
    num = nll.shape[1]
    rows, columns = -(-num // 5), min(num, 5)
    figure, axes = plt.subplots(rows, columns, figsize=(3 * columns, 3.3 * rows), layout='constrained', sharex=True,
                                sharey=True, squeeze=False)
    norm = matplotlib.colors.LogNorm(nll.min(), nll.max())
    for axis in axes.flat[num:]:
        axis.set_axis_off()
    for target, axis in enumerate(axes.flat[:num]):
        mesh = axis.pcolormesh(gx, gy, nll[:, target].reshape(gx.shape), cmap='viridis', norm=norm, rasterized=True)
        best = nll[:, target].argmin()
        axis.plot(gx.flat[best], gy.flat[best], '*', markersize=14, color='red', markeredgecolor='white')
        axis.set(title=f'target {target}: minimum {nll[best, target]:.2f} nats', aspect='equal')
        axis.xaxis.set_major_locator(MaxNLocator(4, prune='both'))
        axis.label_outer()
    for axis in axes[:, 0]:
        axis.set_ylabel('$t_2$')
    for axis in axes[-1]:
        axis.set_xlabel('$t_1$')
    colorbar = figure.colorbar(mesh, ax=axes, label='Negative log-likelihood (nats)', ticks=[2, 4, 8, 16, 32])
    colorbar.ax.yaxis.set_major_formatter('{x:g}')
    colorbar.ax.yaxis.set_minor_locator(NullLocator())
    figure.suptitle(title)
    return describe(figure, f'{title}. Maps of the box, one a target, with a star at the minimum: ' + '; '.join(
        f'{target}: {nll[:, target].min():.2f} nats' for target in range(num)) + '.')


def plot_progress(gx, gy, nll, searches, numbers, title):
    """Draws where searches in two dimensions have evaluated an objective, stage by stage: a row for each search.

    Picture: docs/figures.md#plot_progress.

    Args:
        gx: first coordinates of a grid, (m, k).
        gy: second coordinates, (m, k).
        nll: the objective at the grid's points, (m * k,), nats.
        searches: a dict from names to pairs of evaluated points in their order, (n, 2), and their values, (n, 1), nats.
        numbers: after how many evaluations the stages are.
        title: of the figure.
    """
    figure, axes = plt.subplots(len(searches), len(numbers), figsize=(3.1 * len(numbers) + 1, 3.2 * len(searches)),
                                layout='constrained', sharex=True, sharey=True, squeeze=False)
    norm, ends = matplotlib.colors.LogNorm(nll.min(), nll.max()), []
    for row, (name, (X, Y)) in zip(axes, searches.items(), strict=True):  # noqa: N806 (GPyOpt's names)
        for axis, num in zip(row, numbers, strict=True):
            mesh = axis.pcolormesh(gx, gy, nll.reshape(gx.shape), cmap='viridis', norm=norm, rasterized=True)
            axis.plot(*X[:num].T, 'o', markersize=4.5, color='white', markeredgecolor='black', clip_on=False)
            best = Y[:num, 0].argmin()
            axis.plot(*X[best], '*', markersize=14, color='red', markeredgecolor='white', clip_on=False)
            axis.set(title=f'{num} evaluations, best {Y[best, 0]:.3f} nats', aspect='equal')
        row[0].set_ylabel(f'{name}\n$t_2$')
        ends.append(f'{name} {Y[:numbers[-1], 0].min():.3f}')
    for axis in axes[-1]:
        axis.set_xlabel('$t_1$')
    bar = figure.colorbar(mesh, ax=axes, label='Objective (nats)', ticks=[2, 4, 8, 16, 32])
    bar.ax.yaxis.set_major_formatter('{x:g}')
    bar.ax.yaxis.set_minor_locator(NullLocator())
    figure.suptitle(title)
    return describe(figure, f'{title}. Maps of the objective with the evaluated points after '
                    f'{", ".join(map(str, numbers))} evaluations, a row for each search. Best values, nats: '
                    + '; '.join(ends) + '.')


def plot_principal_components(t, y, X, Y, title):  # noqa: N803 (GPyOpt's names)
    """Draws the evaluations of a search among encoded images, in the images' first four principal components.

    Picture: docs/figures.md#plot_principal_components.

    Args:
        t: encoded images, (n, d), d ≥ 4.
        y: their labels, (n,).
        X: the points that the search evaluated, (m, d), in their order.
        Y: their values, (m, 1).
        title: of the figure.

    Raises:
        ValueError: there are fewer than four dimensions, or no evaluations.
    """
    from sklearn.decomposition import PCA

    if len(X) == 0 or np.shape(X)[1] < 4:
        raise ValueError('plot_principal_components draws evaluations in four dimensions or more, got X with shape '
                         f'{np.shape(X)}.')
    pca = PCA(4).fit(check_points(t, X.shape[1]))
    encoded, evaluated = pca.transform(t), pca.transform(X)
    best = Y[:, 0].argmin()
    figure, axes = plt.subplots(1, 2, figsize=(14, 5.6), layout='constrained')
    for axis, (i, j) in zip(axes, ((0, 1), (2, 3)), strict=True):
        images = axis.scatter(*encoded[:, [i, j]].T, c=y, cmap=_label_colormap, vmin=-0.5, vmax=9.5, s=3, linewidths=0,
                              alpha=0.4, rasterized=True)
        _write_labels(axis, encoded[:, [i, j]], np.asarray(y))
        axis.plot(*evaluated[:, [i, j]].T, '-', color='black', linewidth=1.2,
                  path_effects=[withStroke(linewidth=2.4, foreground='white')])
        points = axis.scatter(*evaluated[:, [i, j]].T, c=np.arange(1, len(evaluated) + 1), cmap='Greys', s=36,
                              edgecolors='black', linewidths=0.8, zorder=3)
        axis.plot(*evaluated[best, [i, j]], '*', markersize=18, color='red', markeredgecolor='white', zorder=4)
        axis.set(xlabel=f'Principal component {i + 1} ({pca.explained_variance_ratio_[i]:.0%} of the variance)',
                 ylabel=f'Principal component {j + 1} ({pca.explained_variance_ratio_[j]:.0%})')
    opaque = matplotlib.cm.ScalarMappable(images.norm, images.cmap)
    figure.colorbar(opaque, ax=axes[0], ticks=range(num_labels), label='Label of the image')
    figure.colorbar(points, ax=axes[1], label='Evaluation', ticks=MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    figure.suptitle(title)
    return describe(figure, f'{title}. Two panels: principal components 1 and 2, and 3 and 4, of {len(t)} encoded '
                    f'images coloured by label. The way of {len(X)} evaluations crosses them; the best has '
                    f'{Y.min():.3f}.')


# ---------------------------------------------------------------------------------------------------------------------
# Generated images
# ---------------------------------------------------------------------------------------------------------------------


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
    figure.suptitle(title, fontsize=15)
    return describe(figure, f'{title}. {_read_as_wanted(assessed)}')


def plot_top_beside(panels, title, num=3):
    """Draws the best distinct evaluations of several sets of searches beside each other, as `plot_top` draws one.

    Picture: docs/figures.md#plot_top_beside.

    Args:
        panels: a dict from titles of panels to what `plot_top` draws.
        title: of the figure.
        num: how many images of each target are drawn, from the best.
    """
    figure = _draw_top(panels, num)
    figure.suptitle(title, fontsize=15)
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
    figure, axes = plt.subplots(1, len(panels), figsize=((1.15 * num + 0.5) * len(panels),
                                                         1.15 * height / width * rows + 0.7),
                                layout='constrained', squeeze=False)
    for axis, (name, assessed) in zip(axes[0], panels.items(), strict=True):
        images = {}
        for top, (target, row) in zip(range(0, height * len(assessed), height), assessed.items(), strict=True):
            axis.text(-20, top, f'{target}', fontsize=18, weight='bold', ha='right', va='center')
            for i, image in enumerate(row['images'][:num]):
                images[i * width, top] = image
                axis.text(i * width, top - 15, f"{row['values'][i]:.2f}", fontsize=13, ha='center', va='bottom')
                wrong = 'property' not in row and row['read'][i] != target
                note = (f"{row['property'][i]:.2f}" if 'property' in row else
                        f"{100 * row['classifier'][i]:.0f} | {100 * row['judge'][i]:.0f}"
                        + (f" ({row['read'][i]})" if wrong else ''))
                axis.text(i * width, top + 16, note, fontsize=13, ha='center', va='top',
                          bbox={'boxstyle': 'square,pad=0.1', 'facecolor': 'orange' if wrong else 'none',
                                'edgecolor': 'none'})
        _show_montage(axis, images)
        axis.set_title(name, fontsize=14)
        axis.set(xlim=(-32, (num - 0.5) * width), ylim=((rows - 0.5) * height + 1, -height / 2 - 1))
    return figure


def plot_methods(images, read, target, title):
    """Draws a row of images of one label for each method.

    Picture: docs/figures.md#plot_methods.

    Args:
        images: a dict from names of methods to their images, (m, 28, 28, 1).
        read: a dict from the same names to the labels that the judge reads, (m,). Where it reads another label than the
            target, that label stands above the image, in orange.
        target: the label.
        title: of the figure.
    """
    num, width, height = max(map(len, images.values())), 32, 36
    figure, axis = plt.subplots(figsize=(0.95 * num + 2.6, 0.95 * height / width * len(images) + 0.5),
                                layout='constrained')
    places = {}
    for top, (name, of_method) in zip(range(0, height * len(images), height), images.items(), strict=True):
        axis.text(-22, top, name, fontsize=12, ha='right', va='center')
        for i, image in enumerate(of_method):
            places[i * width, top] = image
            if read[name][i] != target:
                axis.text(i * width, top - 15, f'({read[name][i]})', fontsize=10, ha='center', va='bottom',
                          bbox={'boxstyle': 'square,pad=0.1', 'facecolor': 'orange', 'edgecolor': 'none'})
    _show_montage(axis, places)
    axis.set(xlim=(-108, (num - 0.5) * width), ylim=((len(images) - 0.5) * height, -height / 2 - 2))
    figure.suptitle(title)
    return describe(figure, f'{title}. A row of images for each method. The judge reads as {target}: ' + '; '.join(
        f'{name} {np.mean(np.asarray(read[name]) == target):.0%}' for name in images) + '.')


def plot_variations(assessed, target, title):
    """Draws variations of the best points: judge's agreement and diversity against radius, and 30 of the images.

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
    figure = plt.figure(figsize=(15, 4.2), layout='constrained')
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.7))
    share = left.subplots()
    share.plot(assessed['radii'], assessed['share'], 'o-', color=label_colors[0])
    share.set(xlabel='Radius in latent space', xscale='log', ylim=(0, 1.03))
    share.set_xticks(assessed['radii'], [f'{radius:.2g}' for radius in assessed['radii']])
    share.xaxis.set_minor_locator(NullLocator())
    share.set_ylabel(f'Share read as {target} by the judge (line)', color=label_colors[0])
    share.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
    if widest is not None:
        share.axvline(assessed['radii'][widest], linestyle=':', color='black')
    diversity = share.twinx()
    diversity.plot(assessed['radii'], assessed['diversity'], 's--', color=label_colors[2])
    diversity.set_ylabel('Mean distance of two images, pixels (dashed)', color=label_colors[2])
    diversity.set_ylim(bottom=0)
    share.set_title('no radius is narrow enough' if widest is None else
                    f"the widest that the judge agrees with: {assessed['radii'][widest]:.2g}", fontsize=11)
    axis, size = right.subplots(), 38
    places = [(size * column, size * row) for row in range(3) for column in range(10)]
    of_places = dict(zip(places, assessed['images'][shown], strict=False))
    _show_montage(axis, of_places)
    for (x, y), read in zip(of_places, assessed['read'][shown], strict=False):
        if read != target:
            axis.text(x, y - 15, f'({read})', fontsize=9, ha='center', va='bottom',
                      bbox={'boxstyle': 'square,pad=0.1', 'facecolor': 'orange', 'edgecolor': 'none'})
    axis.set(xlim=(-size / 2, 9.5 * size), ylim=(2.5 * size, -size / 2 - 4))
    right.suptitle(f"variations within {assessed['radii'][shown]:.2g}; orange: read as another digit", fontsize=11)
    figure.suptitle(title)
    return describe(figure, f'{title}. Left: the share that the judge reads as {target}, and the mean distance of two '
                    'images, at ' + '; '.join(f'radius {radius:.2g}: {agreed:.0%}, {apart:.2f} pixels'
                                              for radius, agreed, apart in zip(
                                                  assessed['radii'], assessed['share'], assessed['diversity'],
                                                  strict=True))
                    + f". Right: variations within {assessed['radii'][shown]:.2g}.")


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
    figure, axes = plt.subplots(len(of_rows), 2, figsize=(15, 0.75 * sum(of_rows) + 0.5 * len(of_rows)),
                                layout='constrained', height_ratios=of_rows, squeeze=False)
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


def plot_constrained(t, y, moved, title):
    """Draws where points of a latent space of two dimensions are moved to, among encoded images.

    Picture: docs/figures.md#plot_constrained.

    Args:
        t: encoded images, (n, 2).
        y: their labels, (n,).
        moved: a dict from names of panels to the points of each label, (m, 2).
        title: of the figure.
    """
    figure, axes = plt.subplots(1, len(moved), figsize=(5.2 * len(moved), 5.2), layout='constrained', sharex=True,
                                sharey=True, squeeze=False)
    limit = max(4, *(1.05 * np.abs(of_label).max() for points in moved.values() for of_label in points))
    for axis, (name, points) in zip(axes[0], moved.items(), strict=True):
        axis.scatter(*check_points(t, 2).T, c=y, cmap=_label_colormap, vmin=-0.5, vmax=9.5, s=3, linewidths=0,
                     alpha=0.25, rasterized=True)
        for label, of_label in enumerate(points):
            scatter = axis.scatter(*of_label.T, c=np.full(len(of_label), label), cmap=_label_colormap, vmin=-0.5,
                                   vmax=9.5, s=30, edgecolors='black', linewidths=0.7, zorder=3)
        _write_labels(axis, np.asarray(t), np.asarray(y))
        axis.set(title=name, xlabel='$t_1$', ylabel='$t_2$', xlim=(-limit, limit), ylim=(-limit, limit), aspect='equal')
        axis.label_outer()
    figure.colorbar(scatter, ax=axes[0, -1], ticks=range(num_labels), label='Digit')
    figure.suptitle(title)
    return describe(figure, f'{title}. Panels: {", ".join(moved)}. In each, encoded images are small dots in the '
                    'colour of their label, and circles in the colour of the wanted label are the points.')


# ---------------------------------------------------------------------------------------------------------------------
# Parts of figures
# ---------------------------------------------------------------------------------------------------------------------


def _label_latent_axes(axis, title):
    axis.set(title=title, xlabel='$t_1$', ylabel='$t_2$')


def _write_labels(axis, t, y):
    """Writes each label's number at the median of its points (n, 2)."""
    for label in np.unique(y):
        axis.text(*np.median(t[y == label], axis=0), str(label), fontsize=13, weight='bold', ha='center', va='center',
                  clip_on=True, path_effects=[withStroke(linewidth=3, foreground='white')])


def _show_image(axis, image, title):
    axis.imshow(np.squeeze(image), cmap='gray', vmin=0, vmax=1)
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()


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
