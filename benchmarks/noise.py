"""Searches of noisy values: how far the point that each recommends is from the minimum, without noise."""

import sys
import time

import numpy as np
from assess import spread_of
from joblib import Parallel, delayed
from kept import kept, search_name
from landscapes import budget, domain, in_two, minima_of, models, objective_for
from peers import botorch_noisy, botorch_noisy_with_prior, ours_noisy, ours_noisy_with_prior, uniform
from tables import with_those_of_before, write
from threadpoolctl import threadpool_limits

from digits.objectives import nll_all_targets


def uniform_noisy(objective, domain, seed, budget):
    points, values = uniform(objective, domain, seed, budget)
    return points, values, points[values.argmin()]


with_botorch = {'BoTorch with the prior, inferred noise': botorch_noisy_with_prior,
                'BoTorch, inferred noise': botorch_noisy}
methods = {'ours, noisy': ours_noisy_with_prior, 'random': uniform_noisy,
           'ours, noisy, no lower bound': ours_noisy, **with_botorch}
# Standard deviations, nats.
sizes = 0.1, 0.5


def recommended(method, target, seed, size):
    """The point that a search recommends, (2,)."""
    objective, rng = objective_for(target), np.random.default_rng((seed, target))
    with threadpool_limits(1):
        *_, point = methods[method](lambda t: objective(t) + size * rng.normal(size=(1, 1)), domain, seed, budget)
    return point


def recommended_points(method, seed, size, n_jobs):
    """The points that searches for all ten targets recommend, (10, 2)."""
    return kept(search_name(f'noise-{size}', method, seed), lambda: {'points': Parallel(n_jobs)(
        delayed(recommended)(method, target, seed, size) for target in range(10))})['points']


def measure_noise(seeds, n_jobs):
    """Ten targets × seeds with each size of the noise.

    Args:
        seeds: a dict from names of methods to their number of seeds.
        n_jobs: number of processes.
    """
    reader, minima, rows = models()[in_two]['reader'], minima_of(in_two), []
    for size in sizes:
        for method, num_seeds in seeds.items():
            regrets = []
            for seed in range(num_seeds):
                points = recommended_points(method, seed, size, n_jobs)
                regrets += list(np.diag(nll_all_targets(reader, points)) - minima)
                print(f'... noise {size}, {method}, seed {seed}, {time.strftime("%X")}', file=sys.stderr, flush=True)
            rows.append([f'{method}, noise of {size} nats', *spread_of(np.array(regrets))])
    write('noise', ['method', 'searches', 'regret, median', 'regret, 90th percentile', 'regret, worst'],
          with_those_of_before('noise', rows))
