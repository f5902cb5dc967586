"""Our search in other circumstances: seeds that chose nothing, several experiments at once, knowledge to start from."""

from types import SimpleNamespace

import numpy as np
from GPyOpt.core.evaluators import batch_local_penalization
from GPyOpt.methods import BayesianOptimization
from peers import articles_settings, as_gpyopt, ours
from scipy.optimize import minimize

import gpyopt_support
from digits.data import choose_per_label
from digits.objectives import nll_all_targets, nll_of_probs, nll_prior
from latent_search import create_optimizer


def on_fresh_seeds(objective, domain, seed, budget):
    """Seeds that took no part when the settings of our search were chosen; some below 240 did."""
    return ours(objective, domain, 1000 + seed, budget)


def in_batches(objective, domain, seed, budget, q=4):
    """Four experiments at a time: the next four are proposed when all results are there."""
    search = create_optimizer(None, domain, seed, lower_bound=nll_prior)
    while len(search.X) < budget:
        for experiment in search.ask(q):
            search.tell(experiment.number, objective(experiment.t))
    return search.X, search.Y[:, 0]


def with_workers(objective, domain, seed, budget, q=4):
    """Four workers: whichever is ready gets the next proposal, while those of the others are pending."""
    search, rng = create_optimizer(None, domain, seed, lower_bound=nll_prior), np.random.default_rng(seed)
    while len(search.X) < budget:
        search.ask(q - len(search.pending))
        experiment = search.pending[rng.integers(q)]
        search.tell(experiment.number, objective(experiment.t))
    return search.X, search.Y[:, 0]


def local_penalization(objective, domain, seed, budget, q=4):
    """GPyOpt's own batches, with the article's settings.

    They fail with SciPy 1.17, whose minimum is a number and no longer an array (`res.fun[0][0]`); patched here.
    """
    def with_an_array(*args, **kwargs):
        found = minimize(*args, **kwargs)
        found.fun = np.reshape(found.fun, (1, 1))
        return found

    batch_local_penalization.scipy = SimpleNamespace(
        optimize=SimpleNamespace(minimize=with_an_array))
    x = np.random.default_rng(seed).uniform(*domain.T, (q, len(domain)))
    y = np.array([objective(row[np.newaxis])[0] for row in x])
    while len(x) < budget:
        with gpyopt_support.settings(np.random.SeedSequence((seed, len(x))).generate_state(4)):
            new = BayesianOptimization(f=None, domain=as_gpyopt(domain), X=x, Y=y, **articles_settings,
                                       evaluator_type='local_penalization', batch_size=q).suggest_next_locations()
        x, y = np.vstack((x, new)), np.vstack((y, [objective(row[np.newaxis])[0] for row in new]))
    return x, y[:, 0]


def warm(objective, domain, seed, budget, per_label, target, encodings):
    """Starts with encoded training images, drawn anew for each seed, and what the classifier reads in them."""
    search = create_optimizer(None, domain, seed, lower_bound=nll_prior)
    inside = ((encodings['t'] >= domain[:, 0]) & (encodings['t'] <= domain[:, 1])).all(axis=1)
    t, y, probs = (encodings[key][inside] for key in ('t', 'y', 'probs'))
    chosen = choose_per_label(y, per_label, seed)
    search.add_known(t[chosen], nll_of_probs(probs[chosen], t[chosen])[:, [target]])
    num_known = len(search.X)
    while len(search.X) < num_known + budget:
        experiment, = search.ask()
        search.tell(experiment.number, objective(experiment.t))
    return search.X[num_known:], search.Y[num_known:, 0]


def ours_shared(reader, domain, seed, budget):
    """Searches for ten targets in turn, each of which sees the evaluations of all.

    Each evaluation gives the probabilities of all labels, and so the objectives of all targets. A search is given the
    300 of the evaluations that are lowest for it, so that its Gaussian process stays small.

    Returns:
        Points (10 * budget, d) and the objectives of all targets there, (10 * budget, 10).
    """
    points, values = np.empty((0, len(domain))), np.empty((0, 10))
    for step in range(10 * budget):
        target = step % 10
        search = create_optimizer(None, domain, 10 * seed + target, lower_bound=nll_prior)
        if step >= 10:
            lowest = np.argsort(values[:, target], kind='stable')[:300]
            search.add_known(points[lowest], values[lowest, target:target + 1])
        x = search.suggest_next_locations()
        points, values = np.vstack((points, x)), np.vstack((values, nll_all_targets(reader, x)))
    return points, values
