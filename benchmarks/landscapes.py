"""What is searched: the article's second objective in the latent spaces of the pretrained models, and its minima."""

import sys
from functools import cache

import numpy as np
from kept import kept, models_version
from scipy.optimize import minimize

from digits.data import load_data
from digits.measures import encode, latent_bounds
from digits.objectives import (
    create_decode_classify,
    create_nll,
    create_nll_with_gradient,
    nll_all_targets,
    nll_minima,
)
from latent_search import create_grid
from networks.prediction import predict
from vae_opt_util import load_pretrained

domain = np.array([(-4.0, 4.0)] * 2)
# Evaluations of a search.
budget = 52
# The article's latent space; that of the regressor, on which nothing of our search was chosen; ten dimensions.
in_two, of_regressor, in_ten = 'vae-predictor-softmax', 'vae-predictor-linear', 'vae-predictor-softmax-10d'


@cache
def models():
    """The pretrained models, loaded once in each process."""
    classifier = load_pretrained('classifier')
    loaded = {'classifier': classifier, 'judge': load_pretrained('judge')}
    for name in (in_two, of_regressor, in_ten):
        decoder = load_pretrained(name).get_layer('decoder')
        loaded[name] = {'decoder': decoder, 'reader': create_decode_classify(decoder, classifier)}
    return loaded


def objective_for(target, space=in_two):
    return create_nll(models()[space]['reader'], target)


@cache
def encodings(space):
    """MNIST's training images in a latent space: points `t`, labels `y`, and `probs`, what the classifier reads."""
    def encoded():
        data = load_data('mnist')
        return {'t': encode(data.x_train, load_pretrained(space)), 'y': data.y_train,
                'probs': predict(models()['classifier'], data.x_train, '')}

    return kept(f'encodings-{space}-{models_version()}', encoded)


@cache
def box(space):
    """The bounds of the box that is searched, (d, 2)."""
    return latent_bounds(encodings(space)['t']) if space == in_ten else domain


def grid_minima(space):
    """The minimum for each target, from a grid of 0.02: values (10,)."""
    return nll_minima(models()[space]['reader'], create_grid(domain, points=401)[2])


def minima_of(space):
    """The minimum for each target in one of the latent spaces: values (10,)."""
    if space != in_ten:
        return grid_minima(space)
    return kept(f'minima-10d-{models_version()}', lambda: {'minima': local_minima(
        models()[in_ten]['reader'], encodings(in_ten), box(in_ten))})['minima']


def local_minima(reader, images, bounds, num_starts=60):
    """The lowest of many local minima for each target: values (10,).

    L-BFGS with the models' gradients, from the best and from random ones among encoded images of the target and points
    halfway between them and the origin.

    Args:
        reader: a Keras model from points to label probabilities.
        images: a dict of encoded images: points `t`, (n, d), and labels `y`, (n,).
        bounds: the box, (d, 2).
        num_starts: number of local minima for each target.
    """
    lowest = []
    for target in range(10):
        rng = np.random.default_rng(target)
        of_target = rng.permutation(images['t'][images['y'] == target].astype('float64'))[:3000]
        starts = np.clip(np.vstack((of_target, of_target / 2)), *bounds.T)
        order = np.argsort(nll_all_targets(reader, starts)[:, target])
        chosen = np.r_[order[:num_starts // 2], rng.choice(len(starts), num_starts - num_starts // 2, replace=False)]
        objective = create_nll_with_gradient(reader, target)
        found = [minimize(objective, start, jac=True, method='L-BFGS-B', bounds=bounds).fun
                 for start in starts[chosen]]
        lowest.append(min(found))
        print(f'... minimum for {target}: {lowest[-1]:.4f}, found by {np.mean(np.array(found) < lowest[-1] + 1e-3):.0%}'
              f' of {num_starts} starts within 0.001', file=sys.stderr, flush=True)
    return np.array(lowest)
