"""Compares searches for digits: ours, GPyOpt, BoTorch, Optuna, scikit-optimize, SMAC, CMA-ES, random.

`make bench` installs what is compared into an environment of its own and runs this, with TQDM_DISABLE=1 for no progress
bars. Everything searches the article's second objective on the pretrained models, with 52 evaluations, for the same
targets and seeds; `peers.py` says what a search is told. MNIST's training images are needed for warm starts and for the
box in ten dimensions.
The tables are printed, written to benchmarks/results/, and from there into the pages; the notebook's figure of regret
against evaluations comes from there, too. Times are measured first, one search at a time; then two processes run the
searches that regret is measured on. Searches that an interrupted run has finished, in build/bench, are read back.
"""

import argparse
import sys
import time

import numpy as np
from assess import curve, of_best_header, regrets_of, summary, summary_header, write_curves
from claims import measure_claims
from growth import measure_growth
from landscapes import budget, domain, in_ten, in_two, minima_of, objective_for, of_regressor
from noise import measure_noise, with_botorch
from noise import methods as of_noise
from peers import gpyopt_all_threads
from runs import batches, fresh, knowledge, methods, run_seeds, shared, warm_starts
from tables import fixed, update_pages, with_those_of_before, write

# What each part does, and about how many minutes it takes on two cores, estimated from the seconds of single searches.
parts = {'times': 'seconds of a search, one after the other',
         'growth': 'seconds and regret of long searches, one after the other',
         'searches': 'regret in two dimensions',
         'ten': 'regret in ten dimensions',
         'regressor': "regret in the regressor's latent space, on which nothing was chosen",
         'noise': 'regret of noisy searches',
         'claims': "the article's claims, with its settings and ours"}
minutes = {'times': 5, 'growth': 6, 'searches': 22, 'ten': 18, 'regressor': 9,
           'noise': 8, 'claims': 1}

in_the_regressors_space = ('random', 'ours', 'BoTorch with the prior', "GPyOpt, article's settings",
                           'ours, no lower bound', 'BoTorch LogEI', 'scikit-optimize EI')
# Some seconds a search.
slow = "GPyOpt, article's settings", 'BoTorch with the prior', 'BoTorch LogEI', 'Optuna GP', 'scikit-optimize EI'
# Ten seconds a search, or more.
slowest = shared, 'SMAC', "GPyOpt, article's settings, batches of 4", *with_botorch
slowest_in_ten = "GPyOpt, article's settings", 'BoTorch LogEI', 'BoTorch with the prior', 'TuRBO'


def measure_times(repeats=3):
    """Seconds a search, the methods in turn, on targets 4, 2 and 7; the first search of each is not counted."""
    timed = {"GPyOpt, article's settings, its BLAS threads": gpyopt_all_threads, **methods}
    seconds = {name: [] for name in timed}
    for repeat in range(-1, repeats):
        for name, search in timed.items():
            objective = objective_for((4, 2, 7)[max(repeat, 0) % 3])
            if repeat < 0:
                search(objective, domain, 0, 12)
                continue
            started = time.perf_counter()
            search(objective, domain, repeat, budget)
            seconds[name].append(time.perf_counter() - started)
    evaluations = np.median(seconds['random'])
    fastest = np.median(seconds['ours'])
    write('times', ['search of 52 evaluations', 'seconds', 'its own part of each evaluation, ms', 'ours is faster by'],
          [[name, f'{np.median(s):.2f} ({min(s):.2f}–{max(s):.2f})',
            fixed(1000 * (np.median(s) - evaluations) / budget, 0),
            '' if name in ('random', 'ours') else f'{np.median(s) / fastest:.1f} ×'] for name, s in seconds.items()])


def measure_searches(seeds, n_jobs):
    """Runs ten targets × seeds with each method.

    Args:
        seeds: a dict from names of methods to their number of seeds.
        n_jobs: number of processes.
    """
    minima = minima_of(in_two)
    results = run_seeds(seeds, n_jobs)
    rows, curves = [], []
    for name, of_seeds in results.items():
        regrets, of_best = regrets_of(of_seeds, minima)
        targets, last = np.tile(range(10), seeds[name]), regrets[:, -1]
        rows.append([name, *summary(regrets, of_best)])
        if name in methods:
            curves += curve(name, regrets, knowledge(name))
        if name == 'ours':
            write('targets', ['target', 'minimum', 'regret, median', 'regret, largest', *of_best_header,
                              'tenth distinct − best'],
                  [[t, f'{minima[t]:.2f}', fixed(np.median(last[of]), 4), fixed(last[of].max(), 4),
                    *(f'{value:.1%}' for value in of_best[of][:, [0, 3]].mean(axis=0)),
                    *(f'{value:.2f}' for value in np.median(of_best[of][:, [1, 4, 5]], axis=0))]
                   for t in range(10) for of in [targets == t]])
    write('regret', ['method', *summary_header], with_those_of_before('regret', rows))
    write_curves('curves', curves)


def measure_ten(seeds, n_jobs):
    """Searches in ten dimensions."""
    rows, curves = [], []
    for name, of_seeds in run_seeds(seeds, n_jobs, in_ten).items():
        regrets, of_best = regrets_of(of_seeds, minima_of(in_ten))
        curves += curve(name, regrets, knowledge(name))
        rows.append([name, *summary(regrets, of_best)])
    write_curves('curves_ten_dimensions', curves)
    write('ten_dimensions', ['ten dimensions, method', *summary_header],
          with_those_of_before('ten_dimensions', rows))


def measure_regressor(seeds, n_jobs):
    """The second landscape in two dimensions."""
    minima = minima_of(of_regressor)
    write('regressor', ['method', *summary_header], with_those_of_before('regressor', [
        [name, *summary(*regrets_of(of_seeds, minima))]
        for name, of_seeds in run_seeds(seeds, n_jobs, of_regressor).items()]))


def seeds_of(arguments, names, slowest=slowest):
    """A dict from names of methods, those that the arguments ask for, to their number of seeds."""
    return {name: arguments.seeds_of_slowest if name in slowest else
            arguments.seeds_of_slow if name in slow else arguments.seeds
            for name in names if name in (arguments.methods or names)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=20)
    parser.add_argument('--parts', nargs='+', default=list(parts), choices=parts)
    parser.add_argument('--methods', nargs='+', help='of the searches (default: all); rows of others stay as they are')
    parser.add_argument('--seeds-of-slow', type=int, default=4, help='of other libraries')
    parser.add_argument('--seeds-of-slowest', type=int, default=1, help='of what takes longest: ' + ', '.join(slowest)
                        + ', and other libraries in ten dimensions')
    arguments = parser.parse_args()

    measures = {
        'times': measure_times,
        'growth': measure_growth,
        'searches': lambda: measure_searches(
            seeds_of(arguments, (*methods, fresh, shared, *warm_starts, *batches)), n_jobs=2),
        'ten': lambda: measure_ten(seeds_of(arguments, (
            'random', 'ours', 'ours, no lower bound', *warm_starts, 'CMA-ES', *slowest_in_ten), slowest_in_ten), 2),
        'regressor': lambda: measure_regressor(seeds_of(arguments, in_the_regressors_space), n_jobs=2),
        'noise': lambda: measure_noise(seeds_of(arguments, of_noise), n_jobs=2),
        'claims': lambda: measure_claims(arguments.seeds, n_jobs=2)}
    for part in arguments.parts:
        print(f'{part}: {parts[part]}; about {minutes[part]} minutes on two cores', file=sys.stderr, flush=True)
    for part in arguments.parts:
        print(f'{part} ...', file=sys.stderr, flush=True)
        measures[part]()
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too, instead of being sent to them with its models.
    import search

    search.main()
