"""Figures of data, models, objectives and searches. Functions are handed arrays and return the figure."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from digits.data import image_shape, num_labels
from latent_search.figures import colors as label_colors
from latent_search.figures import describe, round_ticks, styled
from latent_search.points import check_points

_label_colormap = matplotlib.colors.ListedColormap(label_colors)


# ---------------------------------------------------------------------------------------------------------------------
# Data and models
# ---------------------------------------------------------------------------------------------------------------------


@styled
def plot_architecture(latent_dim, predictor_weight, image_shape=image_shape):
    """Draws the joint model: what is computed from what, and which part of the loss each output enters.

    Picture: docs/figures.md#plot_architecture.

    Args:
        latent_dim: number of dimensions of the latent space.
        predictor_weight: of the predictor's loss in the whole.
        image_shape: height, width and channels of an image.
    """
    size = ' × '.join(map(str, image_shape[:2] if image_shape[2] == 1 else image_shape))
    figure, axis = plt.subplots(figsize=(10, 4))
    axis.set(xlim=(0, 13), ylim=(0.1, 4.6))
    axis.set_axis_off()

    def write(x, y, text, color, edge='black'):
        return axis.text(x, y, text, ha='center', va='center', color=edge, bbox={
            'boxstyle': 'round,pad=0.5', 'facecolor': color, 'edgecolor': edge})

    def connect(start, end, **style):
        axis.annotate('', end.get_position(), start.get_position(), arrowprops={
            'lw': 1.5, 'shrinkA': 3, 'shrinkB': 3, 'patchA': start.get_bbox_patch(), 'patchB': end.get_bbox_patch(),
            **style})

    boxes = {name: write(x, y, text, color) for name, x, y, text, color in (
        ('image', 0.8, 2.8, f'image\n{size}', 'white'),
        ('encoder', 2.7, 2.8, 'encoder\nCNN', 'lightblue'),
        ('moments', 5.1, 2.8, f't_mean, t_log_var\n{latent_dim} numbers each', 'white'),
        ('sampler', 7.4, 2.8, 'sampler', 'lightblue'),
        ('t', 8.8, 2.8, 't', 'white'),
        ('decoder', 10.2, 2.8, 'decoder\nCNN', 'lightblue'),
        ('decoded', 12.1, 2.8, 'decoded\nimage', 'white'),
        ('predictor', 5.1, 1, 'predictor\ndense', 'orange'),
        ('predicted', 8, 1, 'label probabilities\nor value', 'white'))}
    for start, end in (('image', 'encoder'), ('encoder', 'moments'), ('moments', 'sampler'), ('sampler', 't'),
                       ('t', 'decoder'), ('decoder', 'decoded'), ('moments', 'predictor'), ('predictor', 'predicted')):
        connect(boxes[start], boxes[end], arrowstyle='->')
    axis.text(5.25, 1.85, 't_mean, never a sample', style='italic', va='center')
    for name, x, y, text in (('moments', 5.1, 4.1, 'KL divergence from N(0, I)'),
                             ('decoded', 11.6, 4.1, 'reconstruction loss'),
                             ('predicted', 11.3, 1, f'{predictor_weight:g} × predictor loss')):
        connect(boxes[name], write(x, y, text, 'white', 'firebrick'), arrowstyle='-', linestyle=':', color='firebrick')
    figure.suptitle('The joint model: networks (coloured), what passes between them (white), parts of the loss (red)')
    return describe(figure, 'A diagram of the joint model: an image passes through encoder, sampler and decoder and '
                    'becomes a decoded image; the predictor computes label probabilities or a value from t_mean, '
                    f'which has {latent_dim} numbers. The loss has three parts: reconstruction loss, KL divergence and '
                    f'{predictor_weight:g} times the predictor loss.')


@styled
def plot_images(images, labels, title):
    """Draws a row of images (n, height, width, channels) under their labels (n,).

    Picture: docs/figures.md#plot_images.
    """
    figure, axes = plt.subplots(1, len(images), figsize=(len(images), 1.6), squeeze=False)
    for axis, image, label in zip(axes[0], images, labels, strict=True):
        _show_image(axis, image, str(label))
    figure.suptitle(title)
    return describe(figure, f'{title}. A row of images: {", ".join(map(str, labels))}.')


@styled
def plot_learning_curves(histories, title, units):
    """Draws losses, for training and test images, against epochs.

    Picture: docs/figures.md#plot_learning_curves.

    Args:
        histories: a dict from names of models to their learning curves: lists with a dict for each epoch. VAEs have the
            keys 'vae_loss' and, with a predictor, 'predictor_loss'; classifiers have 'loss'. Each has another one with
            the prefix 'val_'.
        title: of the figure.
        units: a dict from names of VAEs with a predictor to the unit of its loss. Each unit has a panel.
    """
    panels = [('−ELBO (nats)', 'vae_loss', [name for name in histories if 'vae_loss' in histories[name][0]]),
              *((f'Predictor loss ({unit})', 'predictor_loss', [name for name in histories if units.get(name) == unit])
                for unit in dict.fromkeys(units.values())),
              ('Cross-entropy of classifiers (nats)', 'loss',
               [name for name in histories if 'vae_loss' not in histories[name][0]])]
    panels = [panel for panel in panels if panel[2]]
    columns = 2 if len(panels) == 4 else len(panels)
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(10, 3.2 * rows + 0.4), squeeze=False)
    colors, last = dict(zip(histories, label_colors, strict=False)), []
    for axis, (label, key, names) in zip(axes.flat, panels, strict=True):
        later = []
        for name in names:
            epochs = range(1, len(histories[name]) + 1)
            tested, trained = ([epoch[of] for epoch in histories[name]] for of in (f'val_{key}', key))
            axis.plot(epochs, tested, '.-', color=colors[name], label=name)
            axis.plot(epochs, trained, '.:', color=colors[name])
            later += tested[1:] + trained[1:]
            last.append(f'{name} {tested[-1]:.3g}')
        axis.set(title=label, xlabel='Epoch')
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if later:  # With the first epoch the later ones could not be told apart.
            margin = 0.05 * (max(later) - min(later)) or 0.1
            axis.set_ylim(axis.dataLim.ymin - margin, min(axis.dataLim.ymax, max(later)) + margin)
        axis.legend(loc='upper right')
    figure.suptitle(f'{title}: test images (lines), training images (dotted)')
    return describe(figure, f'{title}. {len(panels)} panels of curves that fall with the epochs: '
                    f'{", ".join(label for label, *_ in panels)}. On test images they end at: {"; ".join(last)}.')


@styled
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
    figure, axes = plt.subplots(len(colorings), len(ts), figsize=(10, 8.8 * len(colorings) / len(ts) + 1),
                                sharex=True, sharey=True, squeeze=False)
    for row, (name, (cmap, low, high)) in zip(axes, colorings.items(), strict=True):
        for axis, t, space in zip(row, ts, titles, strict=True):
            points = axis.scatter(*t.T, c=y, cmap=None if y is None else cmap, vmin=low, vmax=high,
                                  s=max(1.5, 4000 / len(t)), linewidths=0, rasterized=True)
            label_latent_axes(axis, space if y is None else f'{space}, by {name}')
            axis.set(xlim=(-4, 4), ylim=(-4, 4), aspect='equal')
            axis.label_outer()
            if labels:
                write_labels(axis, t, y)
        if y is not None:
            figure.colorbar(points, ax=row, ticks=range(num) if labels and num <= 20 else None,
                            label=name.capitalize())
    figure.suptitle(title)
    return describe(figure, f'{title}: {", ".join(titles)}. Each of {len(ts[0])} encoded images is a dot' + (
        ", coloured by label in the upper row and by value in the lower. Each label's number stands at the median of "
        'its dots or has a line to it.' if labels else '.' if y is None else ', coloured by its number.'))


@styled
def plot_reconstructions(x, decoded, title):
    """Draws images and what models make of them, with the reconstruction loss of each.

    Picture: docs/figures.md#plot_reconstructions.

    Args:
        x: images, (n, 28, 28, 1).
        decoded: a dict from names of models to decoded images, (n, 28, 28, 1), and their losses, (n,), nats.
        title: of the figure.
    """
    figure, axes = plt.subplots(len(decoded) + 1, len(x), figsize=(10, 1.12 * (len(decoded) + 1) + 0.3),
                             squeeze=False)
    for axis, image in zip(axes[0], x, strict=True):
        _show_image(axis, image, '')
    axes[0, 0].text(-4, 14, 'image', ha='right', va='center')
    for row, (name, (images, losses)) in zip(axes[1:], decoded.items(), strict=True):
        for axis, image, loss in zip(row, images, losses, strict=True):
            _show_image(axis, image, f'{loss:.0f} nats')
        row[0].text(-4, 14, name, ha='right', va='center')
    figure.suptitle(title)
    return describe(figure, f'{title}. A row of {len(x)} images; below it a row for each model with what it decodes: '
                    + '; '.join(f'{name}, mean loss {np.mean(losses):.0f} nats'
                                for name, (_, losses) in decoded.items()) + '.')


# ---------------------------------------------------------------------------------------------------------------------
# Objectives and searches
# ---------------------------------------------------------------------------------------------------------------------


@styled
def plot_nll(gx, gy, nll, title):
    """Draws an objective for several targets over a grid, with the minimum of each as a star and above its map.

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
    figure, axes = plt.subplots(rows, columns, figsize=(10, 0.4 + 10.5 * rows / columns), sharex=True, sharey=True,
                                squeeze=False)
    norm = matplotlib.colors.LogNorm(nll.min(), nll.max())
    for axis in axes.flat[num:]:
        axis.set_axis_off()
    for target, axis in enumerate(axes.flat[:num]):
        mesh = axis.pcolormesh(gx, gy, nll[:, target].reshape(gx.shape), cmap='viridis', norm=norm, rasterized=True)
        best = nll[:, target].argmin()
        axis.plot(gx.flat[best], gy.flat[best], '*', markersize=14, color='red', markeredgecolor='white')
        label_latent_axes(axis, f'{target}: {nll[best, target]:.2f} nats')
        axis.label_outer()
    round_ticks(figure.colorbar(mesh, ax=axes, label='Negative log-likelihood (nats)').ax.yaxis)
    figure.suptitle(title)
    return describe(figure, f'{title}. Maps of the box, one a target, with a star at the minimum: ' + '; '.join(
        f'{target}: {nll[:, target].min():.2f} nats' for target in range(num)) + '.')


@styled
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
    figure, axes = plt.subplots(len(searches), len(numbers), figsize=(10, 2.3 * len(searches) + 0.7), sharex=True,
                             sharey=True, squeeze=False)
    norm, ends = matplotlib.colors.LogNorm(nll.min(), nll.max()), []
    for row, (name, (X, Y)) in zip(axes, searches.items(), strict=True):  # noqa: N806 (GPyOpt's names)
        for axis, num in zip(row, numbers, strict=True):
            mesh = axis.pcolormesh(gx, gy, nll.reshape(gx.shape), cmap='viridis', norm=norm, rasterized=True)
            axis.plot(*X[:num].T, 'o', markersize=4.5, color='white', markeredgecolor='black', clip_on=False)
            best = Y[:num, 0].argmin()
            axis.plot(*X[best], '*', markersize=14, color='red', markeredgecolor='white', clip_on=False)
            label_latent_axes(axis, f'{num} evaluations\nbest: {Y[best, 0]:.3f} nats')
            axis.label_outer()
        row[0].set_ylabel(f'{name}\n$t_2$')
        ends.append(f'{name} {Y[:numbers[-1], 0].min():.3f}')
    round_ticks(figure.colorbar(mesh, ax=axes, label='Objective (nats)').ax.yaxis)
    figure.suptitle(title)
    return describe(figure, f'{title}. Maps of the objective with the evaluated points after '
                    f'{", ".join(map(str, numbers))} evaluations, a row for each search. Best values, nats: '
                    + '; '.join(ends) + '.')


@styled
def plot_principal_components(t, y, X, Y, title):  # noqa: N803 (GPyOpt's names)
    """Draws the evaluations of a search, white to black, among encoded images in their first four principal components.

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
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4))
    for axis, (i, j) in zip(axes, ((0, 1), (2, 3)), strict=True):
        images = axis.scatter(*encoded[:, [i, j]].T, c=y, cmap=_label_colormap, vmin=-0.5, vmax=9.5, s=3, linewidths=0,
                              alpha=0.4, rasterized=True)
        points = axis.scatter(*evaluated[:, [i, j]].T, c=np.arange(1, len(evaluated) + 1), cmap='Greys', s=30,
                              edgecolors='black', linewidths=0.8, zorder=3)
        axis.plot(*evaluated[best, [i, j]], '*', markersize=18, color='red', markeredgecolor='white', zorder=4)
        axis.set(xlabel=f'Principal component {i + 1} ({pca.explained_variance_ratio_[i]:.0%} of the variance)',
                 ylabel=f'Principal component {j + 1} ({pca.explained_variance_ratio_[j]:.0%})')
        write_labels(axis, encoded[:, [i, j]], np.asarray(y))
    opaque = matplotlib.cm.ScalarMappable(images.norm, images.cmap)
    figure.colorbar(opaque, ax=axes[0], ticks=range(num_labels), label='Label of the image')
    figure.colorbar(points, ax=axes[1], label='Evaluation', ticks=MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    figure.suptitle(title)
    return describe(figure, f'{title}. Two panels: principal components 1 and 2, and 3 and 4, of {len(t)} encoded '
                    f'images coloured by label, and {len(X)} evaluations among them; the best has {Y.min():.3f}.')


@styled
def plot_constrained(t, y, moved, title):
    """Draws where points of a latent space of two dimensions are moved to, among encoded images.

    Picture: docs/figures.md#plot_constrained.

    Args:
        t: encoded images, (n, 2).
        y: their labels, (n,).
        moved: a dict from names of panels to the points of each label, (m, 2).
        title: of the figure.
    """
    figure, axes = plt.subplots(1, len(moved), figsize=(10, 9 / len(moved) + 0.7), sharex=True, sharey=True,
                                squeeze=False)
    limit = max(4, *(1.05 * np.abs(of_label).max() for points in moved.values() for of_label in points))
    for axis, (name, points) in zip(axes[0], moved.items(), strict=True):
        axis.scatter(*check_points(t, 2).T, c=y, cmap=_label_colormap, vmin=-0.5, vmax=9.5, s=3, linewidths=0,
                     alpha=0.25, rasterized=True)
        for label, of_label in enumerate(points):
            scatter = axis.scatter(*of_label.T, c=np.full(len(of_label), label), cmap=_label_colormap, vmin=-0.5,
                                   vmax=9.5, s=20, edgecolors='black', linewidths=0.7, zorder=6)  # Above numbers.
        axis.set(title=name, xlabel='$t_1$', ylabel='$t_2$', xlim=(-limit, limit), ylim=(-limit, limit), aspect='equal')
        axis.label_outer()
        write_labels(axis, np.asarray(t), np.asarray(y))
    figure.colorbar(scatter, ax=axes[0, -1], ticks=range(num_labels), label='Digit')
    figure.suptitle(title)
    return describe(figure, f'{title}. Panels: {", ".join(moved)}. In each, encoded images are small dots in the '
                    'colour of their label, and circles in the colour of the wanted label are the points.')


# ---------------------------------------------------------------------------------------------------------------------
# Parts of figures
# ---------------------------------------------------------------------------------------------------------------------


def label_latent_axes(axis, title):
    """Gives axes of a latent space a title, their names, one scale and round ticks."""
    axis.set(title=title, xlabel='$t_1$', ylabel='$t_2$', aspect='equal')
    for coordinate in (axis.xaxis, axis.yaxis):
        coordinate.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def write_labels(axis, t, y):
    """Writes each label's number at the median of its points (n, 2), see `write_apart`."""
    labels = np.unique(y)
    write_apart(axis, [np.median(t[y == label], axis=0) for label in labels], labels)


def write_apart(axis, points, texts, gap=0.21, shift=0):
    """Writes short texts at points (n, 2), or as near as they do not cover each other; then lines lead to the points.

    Args:
        axis: to write on. Its limits are final.
        points: in its coordinates.
        texts: one for each point.
        gap: least distance of two texts, in inches.
        shift: how far to the right of their points texts would be written, in inches.
    """
    size = axis.bbox.size / axis.figure.dpi
    wanted = axis.transLimits.transform(points) * size
    places = wanted + (shift, 0) + 1e-3 * np.random.default_rng(0).normal(size=wanted.shape)  # No two at one point.
    for _ in range(1000):
        apart = places[:, np.newaxis] - places
        distance = np.linalg.norm(apart, axis=2) + np.diag(np.full(len(places), np.inf))
        if distance.min(initial=np.inf) > gap:
            break
        push = np.maximum(1.02 * gap - distance, 0) / distance
        places = np.clip(places + (push[..., np.newaxis] * apart).sum(axis=1) / 2, gap / 2, size - gap / 2)
    halo = [withStroke(linewidth=3, foreground='white')]
    for point, place, moved, text in zip(points, places, np.linalg.norm(places - wanted, axis=1), texts, strict=True):
        axis.annotate(str(text), point, place / size, textcoords='axes fraction', fontsize=12, weight='bold',
                      ha='center', va='center', path_effects=halo, annotation_clip=True, zorder=5,
                      arrowprops={'arrowstyle': '-', 'linewidth': 1, 'shrinkA': 5, 'shrinkB': 3, 'path_effects': halo}
                      if moved > 0.1 else None)


def _show_image(axis, image, title):
    axis.imshow(np.squeeze(image), cmap='gray', vmin=0, vmax=1)
    axis.set_title(title)
    axis.set_axis_off()
