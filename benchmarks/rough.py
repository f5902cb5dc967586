"""Measures searches of exact values that are no smooth function, and of noisy ones of which one is wrong.

`make bench` runs this after the others. The rough functions are made for this, and nothing was chosen on these seeds: a
smooth function of the middle of the cell that a point lies in, where each cell adds an amount of its own (steps), and a
table of 30,000 points, of which the nearest gives the value (table). With the wrong measurement, one of 40 noisy values
of a smooth function is 100 or 10,000. Searches that an interrupted run has finished, in build/bench, are read back. The
tables are printed, written to benchmarks/results/, and from there into the pages.
"""

import argparse

import numpy as np
from ablation import search_with, variants, whole
from joblib import Parallel, delayed
from kept import kept, search_name
from scipy.spatial import cKDTree
from tables import update_pages, write
from threadpoolctl import threadpool_limits

from latent_search import create_optimizer

budget, reported = 100, (60, 100)


def smooth(u):
    """A valley with waves: points (n, d) to values (n,), about 0 to 3."""
    return 4 * ((u - 0.4) ** 2).mean(axis=1) + 0.3 * np.cos(6 * u).mean(axis=1)


def steps(dimensions, seed, share=0.3, cells=6):
    """Each cell of a lattice adds a normal amount, `share` of the smooth part's standard deviation."""
    size = share * smooth(np.random.default_rng(seed).uniform(size=(2000, dimensions))).std()

    def function(u):
        cell = np.minimum((cells * u[0]).astype(int), cells - 1)
        return (smooth((cell[np.newaxis] + 0.5) / cells)[0]
                + size * np.random.default_rng((seed, *cell.tolist())).normal())

    return function


def table(dimensions, seed, share=0.7):
    """The nearest of 30,000 points gives the value: a smooth part, and an amount of its own."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(size=(30_000, dimensions))
    values = smooth(points)
    values = values + share * values.std() * rng.normal(size=len(values))
    tree = cKDTree(points)
    return lambda u: values[tree.query(u[0])[1]]


problems = {'steps': steps, 'table': table}
all_dimensions = 2, 5, 16
methods = {'ours': whole, 'ours, never rough': 'ours, never rough', 'ours, told that values are noisy': None,
           'random': None}


def lowest(method, problem, dimensions, seed):
    """The lowest values after so many evaluations as are reported."""
    function, box = problems[problem](dimensions, seed), np.array([(0.0, 1.0)] * dimensions)
    with threadpool_limits(1):
        if methods[method] is not None:
            _, values = search_with(variants[methods[method]], lambda u: np.array([[function(u)]]), box, seed, budget)
        elif method == 'random':
            values = np.array([function(u[np.newaxis]) for u in np.random.default_rng(seed).uniform(
                size=(budget, dimensions))])
        else:
            search = create_optimizer(function, box, seed, noisy=True)
            search.run(budget)
            values = search.Y[:, 0]
    return [values[:num].min() for num in reported]


def lowest_of(method, problem, dimensions, seeds, n_jobs):
    """Of all seeds, (seeds, 2)."""
    return kept(search_name(f'rough-{problem}-{dimensions}d', method, seeds), lambda: {'lowest': Parallel(n_jobs)(
        delayed(lowest)(method, problem, dimensions, seed) for seed in range(seeds))})['lowest']


def measure_rough(seeds, n_jobs):
    rows = []
    for problem in problems:
        for dimensions in all_dimensions:
            found = {method: lowest_of(method, problem, dimensions, seeds, n_jobs) for method in methods}
            for method, of_method in found.items():
                wins, losses = ((found['ours'] < of_method).sum(axis=0), (found['ours'] > of_method).sum(axis=0))
                rows.append([f'{method}, {problem}, {dimensions} dimensions', len(of_method),
                             *(f'{value:.3f}' for value in np.median(of_method, axis=0)),
                             *('' if method == 'ours' else f'{won} : {lost}'
                               for won, lost in zip(wins, losses, strict=True))])
    write('rough', ['method', 'searches', *(f'lowest value after {num}, median' for num in reported),
                    *(f'ours wins : loses after {num}' for num in reported)], rows)


def regret_with(wrong, dimensions, seed):
    """How far the smooth function is above its minimum where a search recommends, with one wrong of 40 values."""
    rng = np.random.default_rng((seed, dimensions))
    at, search = int(rng.integers(40)), create_optimizer(None, [(0, 1)] * dimensions, seed, noisy=True)
    for i in range(40):
        (number, u), = search.ask()
        search.tell(number, wrong if wrong and i == at else smooth(u)[0] + 0.02 * rng.normal())
    # All coordinates of the minimum are the same.
    minimum = smooth(np.linspace(0, 1, 10_001)[:, np.newaxis]).min()
    return smooth(search.recommend().t[np.newaxis])[0] - minimum


def measure_wrong(seeds, n_jobs):
    rows = []
    for wrong in (0, 100, 10_000, -100):
        for dimensions in (2, 3):
            regrets = kept(search_name(f'wrong-{wrong}-{dimensions}d', 'ours', seeds),
                           lambda wrong=wrong, dimensions=dimensions: {'regrets': Parallel(n_jobs)(
                               delayed(regret_with)(wrong, dimensions, seed) for seed in range(seeds))})['regrets']
            rows.append([f'{f"one value of {wrong}" if wrong else "none"}, {dimensions} dimensions', len(regrets),
                         *(f'{value:.4f}' for value in (np.median(regrets), np.quantile(regrets, 0.9)))])
    write('wrong', ['wrong measurement among 40', 'searches', 'regret of what is recommended, median',
                    '90th percentile'], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=20)
    parser.add_argument('--jobs', type=int, default=2, help='searches at once')
    arguments = parser.parse_args()

    measure_rough(arguments.seeds, arguments.jobs)
    measure_wrong(arguments.seeds, arguments.jobs)
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too.
    import rough

    rough.main()
