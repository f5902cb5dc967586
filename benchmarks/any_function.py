"""Compares searches on any function: the 24 of COCO's bbob, without a bound, in 2 to 20 dimensions, or in more.

`make bench` runs this after the others. A method wins where its best value is lower than the other's, on the same
function, instance and seed; bbob's functions are exact. Beyond 40 dimensions they are those of bbob-largescale. What
was chosen for our search was chosen on instances 2 to 5; the tables are of instance 1. Searches that an interrupted run
has finished, in build/bench-any-function, are read back. The table is printed, written to benchmarks/results/bbob.csv,
and from there into the pages.
"""

import argparse
import json
import sys
import time

import numpy as np
from joblib import Parallel, delayed
from kept import search_version
from peers import botorch, cma_es, optuna_gp, scikit_optimize, uniform, without_bound
from tables import update_pages, with_those_of_before, write
from threadpoolctl import threadpool_limits

from latent_search.files import replace_file
from vae_opt_util import build_dir

slow = {'BoTorch LogEI': botorch, 'scikit-optimize EI': scikit_optimize, 'Optuna GP': optuna_gp}
others = {'random': uniform, 'CMA-ES': cma_es, **slow}
methods = {'ours': without_bound, **others}
functions = range(1, 25)


def bbob_domain(dimensions):
    return np.array([(-5.0, 5.0)] * dimensions)


def bbob_problem(function, dimensions, instance):
    """A function of points (1, d) that returns values (1, 1)."""
    import cocoex

    problem = cocoex.Suite('bbob' if dimensions <= 40 else 'bbob-largescale', f'instances: {instance}',
                           f'dimensions: {dimensions} function_indices: {function}')[0]
    return lambda t: np.array([[problem(np.ravel(t))]])


def best_value(method, function, dimensions, instance, seed, budget):
    """The lowest value that a method finds on one function; kept in a file."""
    of_code = f'-{search_version()}' if method == 'ours' else ''
    name = f'{method}-f{function}-{dimensions}d-{instance}-{seed}-{budget}{of_code}'
    path = build_dir / 'bench-any-function' / f'{name}.json'
    if not path.exists():
        problem = bbob_problem(function, dimensions, instance)
        with threadpool_limits(1):
            _, values = methods[method](problem, bbob_domain(dimensions), seed, budget)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps([float(np.min(values))]))
    return json.loads(path.read_text())[0]


def run(method, dimensions, instances, seeds, budget, n_jobs):
    """Lowest values, (instances × seeds × functions,)."""
    found = []
    for instance in instances:
        for seed in range(seeds):
            found += Parallel(n_jobs=n_jobs)(delayed(best_value)(method, function, dimensions, instance, seed, budget)
                                             for function in functions)
            print(f'... {method}, {dimensions} dimensions, instance {instance}, seed {seed}, {time.strftime("%X")}',
                  file=sys.stderr, flush=True)
    return np.array(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--dimensions', type=int, nargs='+', default=[2, 5, 10, 20])
    parser.add_argument('--instances', type=int, nargs='+', default=[1])
    parser.add_argument('--seeds', type=int, default=10)
    parser.add_argument('--seeds-of-slow', type=int, default=1, help='of ' + ' and '.join(slow) + '; 0 for none')
    parser.add_argument('--budget', type=int, default=60)
    parser.add_argument('--methods', nargs='+', default=list(others), choices=others)
    arguments = parser.parse_args()

    rows = []
    for dimensions in arguments.dimensions:
        for method in arguments.methods:
            seeds = arguments.seeds_of_slow if method in slow else arguments.seeds
            if not seeds:
                continue
            of_run = dimensions, arguments.instances, seeds, arguments.budget
            ours, values = (run(name, *of_run, n_jobs=2) for name in ('ours', method))
            wins, losses = int((ours < values).sum()), int((ours > values).sum())
            rows.append([f'{method}, {dimensions} dimensions, {arguments.budget} evaluations',
                         len(arguments.instances) * seeds, f'{wins} : {losses}',
                         f'{wins / max(wins + losses, 1):.1%}'])
        write('bbob', ['other method', 'runs of each function', 'ours wins : loses', 'ours wins'],
              with_those_of_before('bbob', rows))
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too.
    import any_function

    any_function.main()
