"""The alternatives to Bayesian optimization in latent space that the article names, and measures that compare them.

The parts that `notebooks/alternatives.ipynb` is told with, in its order: conditional VAE, latent constraints, measures,
figures. Conventions are those of `vae_opt_util`.
"""

import sys
import time
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

# Keras comes from there because it is started quietly there.
from vae_opt_util import (
    _check_target,
    _checked_images,
    _checked_integer,
    _checked_labels,
    _checked_points,
    _with_gradient,
    choose_per_label,
    create_predictor,
    keras,
    label_colors,
    layers,
    mean_pixel_distance,
    num_labels,
    one_hot,
    ops,
    predict,
)

# ---------------------------------------------------------------------------------------------------------------------
# Conditional VAE
# ---------------------------------------------------------------------------------------------------------------------


def sample_prior(num, latent_dim, seed=0):
    """Draws points of latent space from the prior N(0, I): float64 (num, latent_dim)."""
    shape = _checked_integer('num', num, at_least=1), _checked_integer('latent_dim', latent_dim, at_least=1)
    return np.random.default_rng(_checked_integer('seed', seed, at_least=0)).standard_normal(shape)


def generate(vae, target, num, seed=0):
    """Generates images of a digit with a conditional VAE: points of the prior, decoded under the label.

    Args:
        vae: a conditional VAE, such as the pretrained 'vae-conditional'.
        target: the wanted label.
        num: how many images.
        seed: of the points.

    Returns:
        float32 (num, 28, 28, 1) in (0, 1).

    Raises:
        ValueError: the VAE is not conditional, `target` is not a label, or `num` is not a positive integer.
    """
    _check_target(target)
    decoder = vae.get_layer('decoder')
    if len(decoder.inputs) != 2:
        raise ValueError("generate needs a conditional VAE, whose decoder takes a label, such as the pretrained "
                         "'vae-conditional'.")
    t = sample_prior(num, decoder.inputs[0].shape[1], seed)
    return predict(decoder, [t.astype('float32'), one_hot(np.full(num, target))], 'decode')


# ---------------------------------------------------------------------------------------------------------------------
# Latent constraints
# ---------------------------------------------------------------------------------------------------------------------

# How dear it is to move a point: a weight on `move_loss`.
move_weight = 0.3


def create_realism_critic(latent_dim):
    """Creates the network that tells, of points (n, latent_dim), encoded images from samples of the prior.

    Its output is the probability that a point encodes an image, (n, 1).
    """
    t = layers.Input(shape=(_checked_integer('latent_dim', latent_dim, at_least=1),), name='t')

    x = layers.Dense(128, activation='relu', name='dense_1')(t)
    x = layers.Dense(128, activation='relu', name='dense_2')(x)
    x = layers.Dense(1, activation='sigmoid', name='realism')(x)

    return keras.Model(t, x, name='realism_critic')


def create_attribute_critic(latent_dim):
    """Creates the network that tells the labels of encoded images from points (n, latent_dim): (n, 10).

    It is the joint model's predictor, but learns from a latent space that is as it is.
    """
    predictor = create_predictor(latent_dim)
    return keras.Model(predictor.input, predictor.output, name='attribute_critic')


def create_actor(latent_dim):
    """Creates the network that moves points (n, latent_dim) to where a label, one-hot (n, 10), is to be found."""
    t = layers.Input(shape=(_checked_integer('latent_dim', latent_dim, at_least=1),), name='t')
    label = layers.Input(shape=(num_labels,), name='label')

    x = layers.Concatenate(name='with_label')([t, label])
    x = layers.Dense(128, activation='relu', name='move_1')(x)
    x = layers.Dense(128, activation='relu', name='move_2')(x)
    x = layers.Dense(latent_dim, name='move')(x)

    return keras.Model([t, label], layers.Add(name='moved')([t, x]), name='actor')


def create_latent_constraints(realism_critic, attribute_critic, actor):
    """Composes critics and actor: points and labels, one-hot, to moved points and what the critics say of these.

    `get_layer` gives back 'realism_critic', 'attribute_critic' and 'actor'.
    """
    t, label = (layers.Input(shape=part.shape[1:], name=part.name) for part in actor.inputs)
    moved = actor([t, label])
    return keras.Model([t, label], [moved, realism_critic(moved), attribute_critic(moved)], name='latent_constraints')


def move_loss(t, moved):
    """How far points (n, latent_dim) were moved: Σ log(1 + (moved − t)²) over their coordinates, (n,)."""
    return ops.sum(ops.log1p(ops.square(moved - t)), axis=-1)


def constraint_loss(t, label, moved, realism, label_probs):
    """What the actor is trained to minimise, and what gradient steps minimise instead of it.

    −log realism − log p(label) + `move_weight` · `move_loss`, after arXiv 1711.05772.

    Args:
        t: points, (n, latent_dim).
        label: wanted labels, one-hot (n, 10).
        moved: the points that were moved, (n, latent_dim).
        realism: what the realism critic says of these, (n, 1).
        label_probs: what the attribute critic says of these, (n, 10).

    Returns:
        (n,), nats.
    """
    unlikely = -ops.log(realism[:, 0] + 1e-7) - ops.log(ops.sum(label * label_probs, axis=-1) + 1e-7)
    return unlikely + move_weight * move_loss(t, moved)


def train_latent_constraints(vae, data, epochs=10, batch_size=500, seed=0):
    """Trains critics and actor in the latent space of a VAE, which stays as it is.

    First the critics: the realism critic on a sample of each training image's posterior against as many of the prior,
    the attribute critic on the same samples with their images' labels; both minimise cross-entropy. Then the actor, on
    samples of the prior and random labels, minimises `constraint_loss`.

    Args:
        vae: made by `create_joint_model`, not conditional.
        data: a `Data` tuple.
        epochs: passes over the samples, for each of the three.
        batch_size: samples a step.
        seed: governs samples, initial weights and order.

    Returns:
        `(model, history)`: what `create_latent_constraints` composes, and a list with a dict an epoch: 'seconds', and
        for training and (with the prefix 'val_') test images 'realism', 'attribute' and 'actor', the three losses as
        means in nats, and 'accuracy' of the attribute critic.

    Raises:
        ValueError: bad images, labels or numbers.
        FloatingPointError: a loss is no longer finite.
    """
    epochs = _checked_integer('epochs', epochs, at_least=1)
    batch_size = _checked_integer('batch_size', batch_size, at_least=1)
    keras.utils.set_random_seed(_checked_integer('seed', seed, at_least=0))
    rng = np.random.default_rng(seed)
    latent_dim = vae.get_layer('decoder').input.shape[1]
    realism_critic, attribute_critic = create_realism_critic(latent_dim), create_attribute_critic(latent_dim)
    actor = create_actor(latent_dim)
    model = create_latent_constraints(realism_critic, attribute_critic, actor)

    def samples(x, y):
        t, of_prior = _sample_posterior_and_prior(vae, x, rng)
        origin = np.repeat([[1.0], [0.0]], len(t), axis=0).astype('float32')
        wanted = one_hot(rng.integers(num_labels, size=len(t)))
        return ((np.concatenate((t, of_prior)), origin), (t, _checked_labels(y, len(x))),
                ([of_prior, wanted], np.zeros(len(t), dtype='float32')))

    # Models of their own are compiled, so that none of those that are saved has an optimizer.
    stages = (('realism', keras.Model(realism_critic.input, realism_critic.output), 'binary_crossentropy', []),
              ('attribute', keras.Model(attribute_critic.input, attribute_critic.output),
               'sparse_categorical_crossentropy', ['accuracy']),
              ('actor', keras.Model(model.inputs, constraint_loss(*model.inputs, *model.outputs)),
               lambda _, loss: loss, []))
    history = [{'seconds': 0.0} for _ in range(epochs)]
    with tqdm(total=len(stages) * epochs, desc='latent-constraints', unit='epoch', file=sys.stdout) as bar:
        for (name, stage, loss, metrics), train_set, test_set in zip(
                stages, samples(data.x_train, data.y_train), samples(data.x_test, data.y_test), strict=True):
            realism_critic.trainable = attribute_critic.trainable = name != 'actor'
            stage.compile('adam', loss, metrics=metrics)
            for epoch in history:
                started = time.perf_counter()
                logs = stage.fit(*train_set, batch_size, verbose=0, validation_data=test_set).history
                values = {key.replace('loss', name): value for key, (value,) in logs.items()}
                if not all(np.isfinite(value) for value in values.values()):
                    raise FloatingPointError(f'Training of the latent constraints diverged: {values}. Try another '
                                             'seed.')
                epoch |= values
                epoch['seconds'] += time.perf_counter() - started
                bar.update()
                bar.set_postfix({name: f'{values[f"val_{name}"]:.4g}'}, refresh=False)
    realism_critic.trainable = attribute_critic.trainable = True
    return model, history


def _sample_posterior_and_prior(vae, x, rng):
    t_mean, t_log_var = predict(vae.get_layer('encoder'), _checked_images(x), 'encode')
    t = t_mean + np.exp(0.5 * t_log_var) * rng.standard_normal(t_mean.shape, dtype='float32')
    return t, rng.standard_normal(t.shape, dtype='float32')


def constrain(constraints, t, target):
    """Moves points by the actor: one call of a small network.

    Args:
        constraints: what `create_latent_constraints` composes, such as the pretrained 'latent-constraints'.
        t: points, such as `sample_prior` draws, (n, latent_dim).
        target: the wanted label.

    Returns:
        float32 (n, latent_dim).
    """
    t, label = _checked_start(constraints, t, target)
    return predict(constraints.get_layer('actor'), [t, label], 'constrain')


def constrain_with_gradients(constraints, t, target, num, max_iter=30):
    """Moves points by gradient steps on `constraint_loss`, without the actor, and keeps those with the least loss.

    The steps are those of L-BFGS, on all points at once. Many points end in a local minimum, where the critics are not
    content, and nothing but the loss tells: so there have to be more points than are wanted.

    Args:
        constraints, t, target: as for `constrain`.
        num: how many points are wanted.
        max_iter: how many steps at most.

    Returns:
        The moved points, float64 (num, latent_dim), those with the least loss first, and how often loss and gradient
        were computed for each of `t`.

    Raises:
        ValueError: there are fewer than `num` points, or they or the target are not what they should be.
    """
    from scipy.optimize import minimize

    t, label = _checked_start(constraints, t, target)
    if len(t) < _checked_integer('num', num, at_least=1):
        raise ValueError(f'{num} points cannot be chosen from {len(t)}. Give more points to start from.')
    with_gradient = _constraint_loss_with_gradient(constraints)

    def of_all(moved):
        losses, gradient = with_gradient(moved.reshape(t.shape).astype('float32'), t, label)
        return float(losses.sum(dtype='float64')), gradient.astype('float64').ravel()

    found = minimize(of_all, t.ravel().astype('float64'), jac=True, method='L-BFGS-B', options={'maxiter': max_iter})
    moved = found.x.reshape(t.shape)
    losses, _ = with_gradient(moved.astype('float32'), t, label)
    return moved[np.argsort(losses, kind='stable')[:num]], found.nfev + 1


def _checked_start(constraints, t, target):
    _check_target(target)
    t = _checked_points(t, constraints.inputs[0].shape[1]).astype('float32')
    return t, one_hot(np.full(len(t), target))


@lru_cache(maxsize=4)
def _constraint_loss_with_gradient(constraints):
    realism_critic = constraints.get_layer('realism_critic')
    attribute_critic = constraints.get_layer('attribute_critic')

    def losses(moved, t, label):
        return constraint_loss(t, label, moved, realism_critic(moved), attribute_critic(moved))

    return _with_gradient(losses)


def evaluate_latent_constraints(constraints, vae, x, y, seed=0):
    """Measures critics and actor on images and labels, with one sample of each image's posterior and one of the prior.

    Returns:
        A dict of floats: 'accuracy', the share of images whose label the attribute critic reads; 'realism', the share
        of samples of whose origin, image or prior, the realism critic is right; 'moved', the share of samples of the
        prior, each with a random label, of which the attribute critic reads that label once the actor has moved them.
    """
    y = _checked_labels(y, len(x))
    rng = np.random.default_rng(seed)
    t, of_prior = _sample_posterior_and_prior(vae, x, rng)
    wanted = rng.integers(num_labels, size=len(t))
    critics = [constraints.get_layer(name) for name in ('attribute_critic', 'realism_critic')]
    labels, of_images = (predict(critic, t, 'criticise') for critic in critics)
    _, _, moved = predict(constraints, [of_prior, one_hot(wanted)], 'constrain')
    not_of_images = predict(critics[1], of_prior, 'criticise')
    return {'accuracy': float(np.mean(labels.argmax(axis=1) == y)),
            'realism': float(np.mean([np.mean(of_images > 0.5), np.mean(not_of_images <= 0.5)])),
            'moved': float(np.mean(moved.argmax(axis=1) == wanted))}


# ---------------------------------------------------------------------------------------------------------------------
# Measures
# ---------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def create_features(judge):
    """Composes a model from images to the judge's penultimate features (n, 128) and its label probabilities (n, 10)."""
    return keras.Model(judge.input, [judge.get_layer('features').output, judge.output], name='features')


def frechet_distance(features, others):
    """Fréchet distance of two sets of features, (n, d) and (m, d), as if they were normally distributed.

    |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½), arXiv 1706.08500, with the judge's features instead of Inception's. Few
    samples make it larger: compare sets of the same size.

    Raises:
        ValueError: the sets are not finite, have other than the same d columns, or fewer than two rows.
    """
    features, others = _checked_points(features), _checked_points(others, np.shape(features)[1])
    if min(len(features), len(others)) < 2:
        raise ValueError('A Fréchet distance needs two rows or more in each set.')
    covariance, other = (np.atleast_2d(np.cov(of_set, rowvar=False)) for of_set in (features, others))
    # (Σ₁Σ₂)^½ has the trace of (Σ₁^½ Σ₂ Σ₁^½)^½, which is symmetric.
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    trace = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()
    distance = np.square(features.mean(axis=0) - others.mean(axis=0)).sum()
    return float(distance + np.trace(covariance) + np.trace(other) - 2 * trace)


def coverage(real, generated, k=5):
    """Share of real samples (n, d) that have a generated one (m, d) no farther away than their k-th nearest real one.

    "Coverage" of arXiv 2002.09797. For samples of the same distribution and as many it is about 1 − 2⁻ᵏ.

    Raises:
        ValueError: there are not more than k real samples, or samples are not finite numbers with the same d columns.
    """
    from sklearn.neighbors import NearestNeighbors

    real = _checked_points(real)
    generated = _checked_points(generated, real.shape[1])
    if len(real) <= _checked_integer('k', k, at_least=1):
        raise ValueError(f'The {k}-th nearest of {len(real)} real samples is not defined. Give more than {k}.')
    radii = NearestNeighbors(n_neighbors=k).fit(real).kneighbors()[0][:, -1]
    nearest = NearestNeighbors(n_neighbors=1).fit(generated).kneighbors(real)[0][:, 0]
    return float(np.mean(nearest <= radii))


def assess_generated(generated, judge, real, y, num, seed=0):
    """Measures images that were generated for each label.

    Args:
        generated: for each label its images, (m, 28, 28, 1).
        judge: reads them.
        real: the judge's features of real images, (n, 128); see `create_features`.
        y: the labels of these, (n,).
        num: as many real images of each label are drawn for the coverage, 6 or more.
        seed: of that draw.

    Returns:
        A dict of floats: 'correct', the share of images that the judge reads as their label; 'distance', the mean over
        labels of `mean_pixel_distance`, NaN where a label has only one image; 'coverage', the mean over labels; and
        'frechet', the distance of all images from all real ones. And 'read', for each label what the judge reads, (m,).
    """
    assessed = [predict(create_features(judge), images, 'judge') for images in generated]
    read = [probs.argmax(axis=1) for _, probs in assessed]
    drawn = choose_per_label(y, num, seed).reshape(num_labels, num)
    single = min(map(len, generated)) == 1
    return {
        'correct': float(np.mean(np.concatenate([of_label == label for label, of_label in enumerate(read)]))),
        'distance': np.nan if single else float(np.mean([mean_pixel_distance(images) for images in generated])),
        'coverage': float(np.mean([coverage(real[chosen], features)
                                   for chosen, (features, _) in zip(drawn, assessed, strict=True)])),
        'frechet': frechet_distance(np.concatenate([features for features, _ in assessed]), real),
        'read': read}


class Run(NamedTuple):
    """What a method made for one label in one run: images (m, 28, 28, 1), what they cost, and a search's best value.

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
    _checked_integer('num_runs', num_runs, at_least=1)
    runs = {name: [] for name in methods}
    with tqdm(total=len(methods) * num_runs * num_labels, desc='methods', unit='digit', file=sys.stdout) as bar:
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


def median_and_spread(values, decimals):
    """Median of values, with the lowest and the highest in brackets, as text; a dash where there are none."""
    if np.isnan(values).any():
        return '–'
    return f'{np.median(values):.{decimals}f} ({min(values):.{decimals}f}–{max(values):.{decimals}f})'


# ---------------------------------------------------------------------------------------------------------------------
# Figures
# ---------------------------------------------------------------------------------------------------------------------


def plot_generated(generated, read, title, num=4):
    """Draws images of several methods side by side: a panel for each, in it a column for each label.

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
    return figure


def plot_constrained(t, y, moved, title):
    """Draws where points of a latent space of two dimensions are moved to, among encoded images.

    Args:
        t: encoded images, (n, 2).
        y: their labels, (n,).
        moved: a dict from names of panels to the points of each label, (m, 2).
        title: of the figure.
    """
    figure, axes = plt.subplots(1, len(moved), figsize=(5.2 * len(moved), 5.2), layout='constrained', sharex=True,
                                sharey=True, squeeze=False)
    cmap = plt.matplotlib.colors.ListedColormap(label_colors)
    for axis, (name, points) in zip(axes[0], moved.items(), strict=True):
        axis.scatter(*_checked_points(t, 2).T, c=y, cmap=cmap, vmin=-0.5, vmax=9.5, s=3, linewidths=0, alpha=0.25,
                     rasterized=True)
        for label, of_label in enumerate(points):
            scatter = axis.scatter(*of_label.T, c=np.full(len(of_label), label), cmap=cmap, vmin=-0.5, vmax=9.5, s=30,
                                   edgecolors='black', linewidths=0.7, zorder=3)
        axis.set(title=name, xlabel='$t_1$', ylabel='$t_2$', xlim=(-4, 4), ylim=(-4, 4), aspect='equal')
        axis.label_outer()
    figure.colorbar(scatter, ax=axes[0, -1], ticks=range(num_labels), label='Digit')
    figure.suptitle(title)
    return figure


def plot_trade_off(correct, distance, title):
    """Draws share judged correct against diversity, each method's median over runs with its lowest and highest.

    Args:
        correct: a dict from names of methods to the shares of each run, (r,).
        distance: a dict from the same names to mean pixel distances, (r,); a method with NaN is drawn at 0.
        title: of the figure.
    """
    figure, axis = plt.subplots(figsize=(11, 4.8), layout='constrained')
    for (name, shares), color, marker in zip(correct.items(), label_colors, 'os^Dv*PX<>', strict=False):
        x, y = np.nan_to_num(distance[name]), np.asarray(shares)
        spread = [[[np.median(values) - values.min()], [values.max() - np.median(values)]] for values in (x, y)]
        axis.errorbar(np.median(x), np.median(y), xerr=spread[0], yerr=spread[1], fmt=marker, markersize=9,
                      color=color, capsize=3, label=name)
    axis.set(title=title, xlabel='Mean distance of two images of a digit (pixels)',
             ylabel='Share read as wanted by the judge')
    axis.yaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1))
    figure.legend(loc='outside right center')
    return figure
