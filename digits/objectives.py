"""Objectives: functions of points of latent space that are low where an image with a wanted label is decoded.

Points `t` have shape (n, latent_dim); objectives are in nats and are minimised.
"""

from functools import lru_cache

import numpy as np
from scipy.special import gammaln

from digits.data import check_target, num_labels
from latent_search.points import check_points
from networks.backend import keras, ops, value_and_gradient
from networks.prediction import predict

# The article's floor under a probability. It caps the label's term at −log 1e-8 = 18.4 nats.
probability_floor = 1e-8


def nll_prior(t):
    """−log N(t | 0, I) of points (n, latent_dim): float64 (n, 1), nats."""
    t = np.asarray(t, dtype='float64')
    return 0.5 * (np.square(t).sum(axis=1, keepdims=True) + t.shape[1] * np.log(2 * np.pi))


def nll_norm(t):
    """−log of the density of the norm |t| of a normally distributed point, t ~ N(0, I_d): float64 (n, 1), nats.

    The norm r has the chi distribution with d degrees of freedom: the density of N(0, I_d) at a distance r from the
    origin times the area of the sphere of that radius, so

        −log p(r) = r² / 2 − (d − 1) log r + (d / 2 − 1) log 2 + log Γ(d / 2).

    `nll_prior` is lowest at the origin, and in many dimensions hardly any encoded image is there. This is lowest at
    r = √(d − 1), where most of the mass lies. At the origin, where it is infinite if d > 1, r counts as 1e-8.
    """
    t = np.asarray(t, dtype='float64')
    r, d = np.maximum(np.linalg.norm(t, axis=1, keepdims=True), 1e-8), t.shape[1]
    return r ** 2 / 2 - (d - 1) * np.log(r) + (d / 2 - 1) * np.log(2) + gammaln(d / 2)


def nll_all_targets(reader, t, prior=nll_prior):
    """The objective of equation (1) for all ten targets at once, in one batched call.

    f(t, target) = −log(p(y = target | t) + 1e-8) + prior(t), where the article's prior(t) is −log N(t | 0, I).

    Args:
        reader: a Keras model from points to label probabilities (n, 10): a predictor, or what `create_decode_classify`
            returns.
        t: points, (n, latent_dim).
        prior: the term of the point alone, `nll_prior` or `nll_norm`. It is a lower bound of the objective.

    Returns:
        float64 (n, 10), nats.

    Raises:
        ValueError: `t` has another shape, or numbers that are not finite.
    """
    t = check_points(t, reader.input.shape[1])
    return nll_of_probs(predict(reader, t, reader.name), t, prior)


def nll_of_probs(probs, t, prior=nll_prior):
    """The objective of equation (1) for known probabilities of the labels.

    A classifier's probabilities for training images are an example: a search can start from them, see
    `LatentOptimizer.add_known`.

    Args:
        probs: probabilities of the labels, (n, 10).
        t: points, (n, latent_dim).
        prior: as for `nll_all_targets`.

    Returns:
        float64 (n, 10), nats.

    Raises:
        ValueError: the probabilities are not numbers in [0, 1] with that shape, or points are not finite.
    """
    t, probs = check_points(t), np.asarray(probs, dtype='float64')
    if probs.shape != (len(t), num_labels) or not ((probs >= 0) & (probs <= 1 + 1e-6)).all():
        raise ValueError(f'probs must be probabilities with shape ({len(t)}, 10), a row for each point, got shape '
                         f'{probs.shape} with values from {probs.min(initial=1):.3g} to {probs.max(initial=0):.3g}.')
    return prior(t) - np.log(probs + probability_floor)


def nll_minima(reader, t):
    """The minima of the objective for all ten targets, in the box of points (n, latent_dim): float64 (10,), nats.

    Each is refined by a local optimizer (Nelder-Mead) from the lowest point, so it is not above the values at the
    points. Points at which the prior's term alone is above the minima of a few points are left out. Arguments and
    errors are those of `nll_all_targets`.
    """
    from scipy.optimize import minimize

    highest = nll_all_targets(reader, t[::max(len(t) // 1000, 1)]).min(axis=0).max()
    near = t[nll_prior(t)[:, 0] <= highest]
    starts = near[nll_all_targets(reader, near).argmin(axis=0)]
    return np.array([minimize(lambda x, target=target: nll_all_targets(reader, x[np.newaxis])[0, target], start,
                              method='Nelder-Mead', bounds=np.c_[t.min(axis=0), t.max(axis=0)],
                              options={'xatol': 1e-6, 'fatol': 1e-9}).fun for target, start in enumerate(starts)])


def assess_objective(nll, t, regions, distance):
    """Measures where an objective is low: in the regions of the labels, and elsewhere.

    The label's term of the objective, −log p(y = target | t), is *low* below 3 nats (p > 5%) and *moderately low* below
    9 nats, half of its maximum. A point is in a *sparse* place if no encoded image lies within 0.2 of it.

    Args:
        nll: the objective for all ten targets, (n, 10), nats, whose prior is `nll_prior`.
        t: the points of a grid over the box, (n, latent_dim).
        regions: the label of each point's region, (n,), and
        distance: its distance to the nearest encoded image, (n,); see `measures.label_regions`.

    Returns:
        A dict: `minima`, the point of the lowest value for each target, (10, latent_dim); `inside`, how many of these
        lie in the region of their label; and shares of the box, as means over targets: `low_outside` and
        `moderately_low_outside`, low but outside the region of the target, and `low_sparse` and
        `moderately_low_sparse`, low but sparse.

    Raises:
        ValueError: points are not finite numbers, or the other arrays do not belong to them.
    """
    t = check_points(t)
    if (np.shape(nll), np.shape(regions), np.shape(distance)) != ((len(t), num_labels), (len(t),), (len(t),)):
        raise ValueError(f'nll, regions and distance must have shapes ({len(t)}, 10), ({len(t)},) and ({len(t)},), a '
                         f'row for each point, got {np.shape(nll)}, {np.shape(regions)} and {np.shape(distance)}.')
    of_label, lowest = nll - nll_prior(t), nll.argmin(axis=0)
    places = {'outside': regions[:, np.newaxis] != np.arange(num_labels), 'sparse': (distance > 0.2)[:, np.newaxis]}
    return {'minima': t[lowest], 'inside': int((regions[lowest] == np.arange(num_labels)).sum()),
            **{f'{low}_{place}': float(((of_label < nats) & there).mean()) for place, there in places.items()
               for low, nats in (('low', 3), ('moderately_low', 9))}}


@lru_cache(maxsize=4)
def create_decode_classify(decoder, classifier):
    """Composes decoder and classifier: points (n, latent_dim) to label probabilities (n, 10) in one compiled call.

    The result is cached, so that the objectives of all targets share one compilation.
    """
    return keras.Model(decoder.input, classifier(decoder.output), name='decode_classify')


def create_nll(reader, target, prior=nll_prior):
    """Creates the objective of equation (1) for `target`.

        nll = create_nll(create_decode_classify(decoder, classifier), target=4)
        nll(np.zeros((1, 2)))

    Args:
        reader: as for `nll_all_targets`. With a predictor it is the article's first objective, with
            `create_decode_classify` its second.
        target: the wanted label.
        prior: as for `nll_all_targets`.

    Returns:
        A pure function of points (n, latent_dim) that returns float64 (n, 1), nats.

    Raises:
        ValueError: `target` is not a label.
    """
    check_target(target)

    def nll(t):
        return nll_all_targets(reader, t, prior)[:, [target]]

    nll.__name__ = f'nll_target_{target}'
    return nll


def create_nll_with_gradient(reader, target):
    """Creates the objective for `target` together with its exact gradient, through the model on Keras's backend.

    Args:
        reader: as for `nll_all_targets`.
        target: the wanted label.

    Returns:
        A function of one point, float64 (latent_dim,), that returns the value, a float in nats, and the gradient,
        float64 (latent_dim,): what `scipy.optimize.minimize` takes with `jac=True`.

    Raises:
        ValueError: `target` is not a label.
    """
    check_target(target)

    def of_label(t):
        return -ops.log(reader(t, training=False)[:, target] + probability_floor)

    with_gradient = value_and_gradient(of_label)

    def nll_with_gradient(t):
        t = check_points(np.asarray(t)[np.newaxis], reader.input.shape[1])
        (value,), (gradient,) = with_gradient(t.astype('float32'))
        return float(value) + nll_prior(t)[0, 0], gradient.astype('float64') + t[0]

    return nll_with_gradient
