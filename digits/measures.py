"""Measures of latent spaces and of images: accuracy, overlap of labels, diversity, realism."""

from functools import lru_cache

import numpy as np

from digits.data import check_images, choose_per_label, num_labels
from latent_search.points import check_integer, check_points, sample_around, top
from networks.prediction import predict


def encode(x, model):
    """Encodes images, of the model's shape, with a joint model's encoder: `t_mean`, float32 (n, latent_dim)."""
    encoder = model.get_layer('encoder')
    return predict(encoder, check_images(x, encoder.input.shape[1:]), 'encode')[0]


def accuracy(classifier, data):
    """Share of a dataset's test images that a classifier reads correctly."""
    return float(np.mean(predict(classifier, data.x_test, classifier.name).argmax(axis=1) == data.y_test))


# ---------------------------------------------------------------------------------------------------------------------
# Latent spaces
# ---------------------------------------------------------------------------------------------------------------------


def knn_label_accuracy(t, y, k=10):
    """Share of points whose `k` nearest neighbours mostly have the same label. The higher, the less labels overlap.

    Five-fold cross-validation: the neighbours come from the other four fifths.

    Args:
        t: points, (n, latent_dim).
        y: their labels, integers, (n,).
    """
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    return float(cross_val_score(KNeighborsClassifier(k), t, y, cv=5).mean())


def linear_value_r2(t, y):
    """R² of the linear fit of values `y` (n,) on points `t` (n, latent_dim): how much one gradient explains."""
    from sklearn.linear_model import LinearRegression

    return float(LinearRegression().fit(t, y).score(t, y))


def latent_bounds(t):
    """The box that holds the central 99.8% of each coordinate of encoded images (n, latent_dim): (latent_dim, 2).

    The decoder is hardly trained on points outside this box, so a search should stay inside it.
    """
    return np.quantile(check_points(t), (0.001, 0.999), axis=0).T


def label_regions(t_grid, t, y, k=10):
    """Divides latent space into the regions of the labels, as encoded images show them.

    Args:
        t_grid: the points to divide, (m, latent_dim).
        t: encoded images, (n, latent_dim).
        y: their labels, integers, (n,).
        k: how many of the nearest images decide a point's label.

    Returns:
        For each point of `t_grid` the label of its region, (m,), and its distance to the nearest image, (m,).
    """
    from sklearn.neighbors import KNeighborsClassifier

    neighbors = KNeighborsClassifier(k).fit(t, y)
    return neighbors.predict(t_grid), neighbors.kneighbors(t_grid, 1)[0][:, 0]


# ---------------------------------------------------------------------------------------------------------------------
# Images
# ---------------------------------------------------------------------------------------------------------------------


def mean_pixel_distance(images):
    """Mean Euclidean distance between two of the images (n, …), in pixels from 0 to 1; 0 for a single one."""
    from scipy.spatial.distance import pdist

    return float(pdist(images.reshape(len(images), -1)).mean()) if len(images) > 1 else 0.0


def assess_top(search, target, decoder, classifier, judge=None, num=10, distance=None):
    """Decodes the best distinct evaluations of a search and reads the images.

        assess_top(search, 4, decoder, classifier, judge)
        assess_top(search, 0.5, decoder, slant)

    Args:
        search: of latent_search, or anything else that `top` takes.
        target: the label, or the value of a property, that it searched for.
        decoder: a Keras model, or a function, from points (m, d) to images (m, height, width, channels).
        classifier: the classifier of the objective; or, without a judge, a function from images to a property, (m,).
        judge: another classifier, for checks.
        num: see `top`.
        distance: see `top`: 0 gives the best evaluations as in the article, distinct or not.

    Returns:
        A dict: `values` of the objective, (m,); `images`, (m, height, width, channels); `diversity`, see
        `mean_pixel_distance`. With a judge also `classifier` and `judge`, their probabilities of the target, (m,), and
        `read`, the labels that the judge reads, (m,); without, `property`, (m,).
    """
    points, values = top(search, num, distance)
    images = predict(decoder, points, 'decode')
    assessed = {'values': values[:, 0], 'images': images, 'diversity': mean_pixel_distance(images)}
    by_classifier = predict(classifier, images, 'classify')
    if judge is None:
        return assessed | {'property': by_classifier}
    by_judge = predict(judge, images, 'judge')
    return assessed | {'classifier': by_classifier[:, target], 'judge': by_judge[:, target],
                       'read': by_judge.argmax(axis=1)}


def mean_distance_of_labels(images, y, num=30):
    """Mean over labels y (n,) of the `mean_pixel_distance` of the first `num` images (n, 28, 28, 1) of each."""
    return float(np.mean([mean_pixel_distance(images[y == label][:num]) for label in range(num_labels)]))


def assess_around(points, target, decoder, judge, radii, num=100, seed=0):
    """Decodes variations of points at several radii (see `sample_around`) and lets the judge read them.

    Args:
        points: the best points of a search, (m, d).
        target: the label that they were searched for.
        radii: the radii to try, in units of latent space.
        num: variations at each radius.

    Returns:
        A dict of arrays, an element for each radius: `radii`; `share` of the variations that the judge reads as
        the target; `diversity`, see `mean_pixel_distance`; `images`, (num, 28, 28, 1) each; `read`, the labels that the
        judge reads, (num,) each.
    """
    images = np.array([predict(decoder, sample_around(points, radius, num, seed), 'decode')
                       for radius in radii])
    read = np.array([predict(judge, of_radius, 'judge').argmax(axis=1) for of_radius in images])
    return {'radii': np.asarray(radii, dtype='float64'), 'share': (read == target).mean(axis=1),
            'diversity': np.array([mean_pixel_distance(of_radius) for of_radius in images]), 'images': images,
            'read': read}


# The share of variations that the judge must read as their target.
least_agreement = 0.95


def widest_radius(assessed, agreement=least_agreement):
    """The index of the largest radius up to which the judge reads that share of the variations as the target.

    Args:
        assessed: what `assess_around` returns, with increasing radii.
        agreement: the share.

    Returns:
        An index into `radii`, or None if the share is lower even at the smallest radius.
    """
    disagreeing = np.append(assessed['share'] < agreement, True)
    return int(disagreeing.argmax()) - 1 if disagreeing.argmax() else None


@lru_cache(maxsize=4)
def create_features(judge):
    """Composes a model from images to the judge's penultimate features (n, 128) and its label probabilities (n, 10)."""
    from networks.backend import keras

    return keras.Model(judge.input, [judge.get_layer('features').output, judge.output], name='features')


def frechet_distance(features, others):
    """Fréchet distance of two sets of features, (n, d) and (m, d), as if they were normally distributed.

    |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½), arXiv 1706.08500, with the judge's features instead of Inception's. Few
    samples make it larger: compare sets of the same size.

    Raises:
        ValueError: the sets are not finite, have other than the same d columns, or fewer than two rows.
    """
    features, others = check_points(features), check_points(others, np.shape(features)[1])
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

    "Coverage" of arXiv 2002.09797. For as many samples of the same distribution it is about 1 − 2⁻ᵏ.

    Raises:
        ValueError: there are not more than k real samples, or samples are not finite numbers with the same d columns.
    """
    from sklearn.neighbors import NearestNeighbors

    real = check_points(real)
    generated = check_points(generated, real.shape[1])
    if len(real) <= check_integer('k', k, at_least=1):
        raise ValueError(f'The {k}-th nearest of {len(real)} real samples is not defined. Give more than {k}.')
    radii = NearestNeighbors(n_neighbors=k).fit(real).kneighbors()[0][:, -1]
    nearest = NearestNeighbors(n_neighbors=1).fit(generated).kneighbors(real)[0][:, 0]
    return float(np.mean(nearest <= radii))


def assess_generated(generated, judge, real, y, num, seed=0):
    """Measures images that were generated for each label.

    Args:
        generated: for each label its images, (m, 28, 28, 1).
        judge: the independent classifier that reads them.
        real: the judge's features of real images, (n, 128); see `create_features`.
        y: the labels of the real images, (n,).
        num: number of real images of each label that are drawn for the coverage, 6 or more.
        seed: of that draw.

    Returns:
        A dict of floats: 'correct', the share of images that the judge reads as their label; 'distance', the mean over
        labels of `mean_pixel_distance`, NaN where a label has only one image; 'coverage', the mean over labels; and
        'frechet', the distance of all images from all real ones, NaN where a label has fewer than `num` images, as it
        depends on their number. And 'read', for each label what the judge reads, (m,).
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
        'frechet': (frechet_distance(np.concatenate([features for features, _ in assessed]), real)
                    if min(map(len, generated)) >= num else np.nan),
        'read': read}


def median_and_spread(values, decimals):
    """Median of values, with the lowest and the highest in parentheses if there are several; a dash if one is NaN."""
    if np.isnan(values).any():
        return '–'
    spread = f' ({min(values):.{decimals}f}–{max(values):.{decimals}f})' if len(values) > 1 else ''
    return f'{np.median(values):.{decimals}f}{spread}'
