"""Compares choices among 10,000 given points, whose values are those of bbob's functions there, without a bound.

`make bench` runs this after the others. All methods choose among the same points, and ours and BoTorch start with the
same six. Regret is the best value found minus the lowest of all points, as a share of the median of all points minus
the lowest. One function of each of bbob's five groups, instance 1, on which nothing was chosen. Searches that an
interrupted run has finished, in build/bench, are read back. The table is printed, written to
benchmarks/results/candidates.csv, and from there into the pages.
"""

import argparse
import sys
import time

import numpy as np
import torch
from any_function import bbob_domain, bbob_problem
from botorch.acquisition import LogExpectedImprovement
from botorch.optim import optimize_acqf_discrete
from joblib import Parallel, delayed
from kept import kept, search_name
from peers import fitted
from tables import update_pages, with_those_of_before, write
from threadpoolctl import threadpool_limits

from latent_search import create_optimizer

functions = {'sphere': 1, 'Rosenbrock': 8, 'Bent Cigar': 12, 'Rastrigin': 15, 'Gallagher': 21}
num_points, budget = 10_000, 40


def ours(points, values, domain, seed):
    search = create_optimizer(None, domain, seed)
    while len(search.X) < budget:
        experiment, = search.ask(candidates=points)
        search.tell(experiment.number, values[experiment.candidate])
    return search.Y[:, 0]


def uniform(points, values, domain, seed):
    return values[np.random.default_rng(seed).permutation(len(points))[:budget]]


def botorch(points, values, domain, seed):
    """BoTorch's default Gaussian process, and its LogEI maximised among the points that are left."""
    torch.manual_seed(seed)
    start = create_optimizer(None, domain, seed).ask(6, candidates=points)
    chosen = [experiment.candidate for experiment in start]
    while len(chosen) < budget:
        left = np.setdiff1d(np.arange(len(points)), chosen)
        y = -torch.tensor(values[chosen]).unsqueeze(-1)
        acquisition = LogExpectedImprovement(fitted(torch.tensor(points[chosen]), y, domain), y.max())
        point, _ = optimize_acqf_discrete(acquisition, 1, torch.tensor(points[left]), max_batch_size=2048)
        chosen.append(int(left[(points[left] == point.numpy()).all(axis=1)][0]))
    return values[chosen]


methods = {'ours': ours, 'BoTorch LogEI': botorch, 'random': uniform}


def regret(method, function, dimensions, seed):
    domain = bbob_domain(dimensions)
    points = np.random.default_rng((seed, dimensions)).uniform(*domain.T, (num_points, dimensions))
    problem = bbob_problem(functions[function], dimensions, instance=1)
    values = np.array([problem(point).item() for point in points])
    with threadpool_limits(1):
        found = methods[method](points, values, domain, seed).min()
    return (found - values.min()) / (np.median(values) - values.min())


def regrets(method, dimensions, seed, n_jobs):
    """Of all functions, (5,)."""
    return kept(search_name(f'candidates-{dimensions}d', method, seed), lambda: {'regrets': Parallel(n_jobs)(
        delayed(regret)(method, function, dimensions, seed) for function in functions)})['regrets']


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--dimensions', type=int, nargs='+', default=[2, 5, 10, 20])
    parser.add_argument('--seeds', type=int, default=20)
    parser.add_argument('--jobs', type=int, default=2, help='searches at once')
    arguments = parser.parse_args()

    rows = []
    for dimensions in arguments.dimensions:
        found = {}
        for method in methods:
            found[method] = np.array([regrets(method, dimensions, seed, arguments.jobs)
                                      for seed in range(arguments.seeds)])
            print(f'... {method}, {dimensions} dimensions, {time.strftime("%X")}', file=sys.stderr, flush=True)
        for method, of_method in found.items():
            wins = '' if method == 'ours' else (f'{(found["ours"] < of_method).sum()} : '
                                                f'{(found["ours"] > of_method).sum()}')
            rows.append([f'{method}, {dimensions} dimensions', of_method.size, f'{np.median(of_method):.1%}',
                         f'{np.quantile(of_method, 0.9):.1%}', wins])
    write('candidates', ['method', 'searches', 'regret, median', 'regret, 90th percentile', 'ours wins : loses'],
          with_those_of_before('candidates', rows))
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too.
    import candidates

    candidates.main()
