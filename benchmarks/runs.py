"""Runs searches for ten targets and many seeds, two at a time, and keeps what they find in build/bench."""

import sys
import time

import numpy as np
from assess import assess
from joblib import Parallel, delayed
from kept import kept, search_name
from landscapes import box, budget, encodings, in_two, models, objective_for
from peers import (
    botorch,
    botorch_with_prior,
    cma_es,
    gpyopt,
    optuna_gp,
    ours,
    scikit_optimize,
    smac,
    turbo,
    uniform,
    without_bound,
)
from threadpoolctl import threadpool_limits
from variants import in_batches, local_penalization, on_fresh_seeds, ours_shared, warm, with_workers

# Two searches know the term of the objective that depends on the point alone, the others nothing but values.
prior_known = {'ours': ours, 'BoTorch with the prior': botorch_with_prior}
black_box = {'random': uniform, "GPyOpt, article's settings": gpyopt, 'ours, no lower bound': without_bound,
             'BoTorch LogEI': botorch, 'Optuna GP': optuna_gp, 'scikit-optimize EI': scikit_optimize, 'SMAC': smac,
             'CMA-ES': cma_es}
methods = prior_known | black_box
in_many_dimensions = {'TuRBO': turbo}
warm_starts = {'ours, warm start, 2 images a label': 2, 'ours, warm start, 10 images a label': 10}
batches = {'ours, batches of 4': in_batches, 'ours, 4 workers': with_workers,
           "GPyOpt, article's settings, batches of 4": local_penalization}
fresh = 'ours, seeds from 1000'
shared = 'ours, all ten probabilities'


def knowledge(method):
    """What a search knows of the objective beside values."""
    return 'prior known' if method in (*prior_known, *warm_starts) else 'black box'


def run_one(method, target, seed, space):
    """Points (budget, d) and values (budget,) of one search, and what `assess` says of them."""
    problem = objective_for(target, space), box(space), seed, budget
    with threadpool_limits(1):
        if method in warm_starts:
            points, values = warm(*problem, warm_starts[method], target, encodings(space))
        else:
            points, values = {**methods, **in_many_dimensions, **batches, fresh: on_fresh_seeds}[method](*problem)
    return points, values, assess(points, values, target, space)


def run_shared(seed, space):
    """As `run_one` for all ten targets; the evaluations of each are those of all."""
    points, values = ours_shared(models()[space]['reader'], box(space), seed, budget)
    return [(points, values[:, target], assess(points, values[:, target], target, space)) for target in range(10)]


def run_seed(method, seed, n_jobs, space=in_two):
    """Ten searches: a dict of `points`, (10, evaluations, d), `values`, (10, evaluations), and `of_best`, (10, 6)."""
    def run():
        found = run_shared(seed, space) if method == shared else Parallel(n_jobs=n_jobs)(
            delayed(run_one)(method, target, seed, space) for target in range(10))
        return dict(zip(('points', 'values', 'of_best'), map(np.array, zip(*found, strict=True)), strict=True))

    return kept(search_name(space, method, seed), run)


def run_seeds(seeds, n_jobs, space=in_two):
    """A dict from names of methods to what `run_seed` returns for each of their seeds.

    Args:
        seeds: a dict from names of methods to their number of seeds.
        n_jobs: number of processes.
        space: the latent space.
    """
    results = {name: [] for name in seeds}
    for name in seeds:
        for seed in range(seeds[name]):
            results[name].append(run_seed(name, seed, n_jobs, space))
            print(f'... {name}, seed {seed}, {time.strftime("%X")}', file=sys.stderr, flush=True)
    return results
