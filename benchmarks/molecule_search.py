"""Compares searches for molecules with a large dipole moment, a low hydration energy, or both a gap and a dipole.

    MOLECULES=qm9.csv.gz python benchmarks/molecule_search.py

It needs QM9. Five methods invent molecules; the others choose from a library of 30,000 molecules of QM9 that the
model was trained on, another one for each seed. All start with the same ten molecules, and every experiment counts,
also those that fail. Experiments are computed by `molecules.experiments`. Settings were chosen on seeds from 100, which
share a library of other molecules. Searches that an interrupted run has finished, in build/bench, are read back. The
tables are printed, written to benchmarks/results/molecules*.csv, and from there into the pages.
"""

import argparse
import heapq
import json
import sys
import time
from functools import cache, partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from kept import hash_of, kept, search_name
from molecule_peers import Library, inventing, screening
from tables import read_csv, results_dir, update_pages, with_those_of_before, write, write_file
from threadpoolctl import threadpool_limits

import molecules
from digits.tables import table
from molecules.data import encode_molecules, read_smiles, split
from molecules.experiments import ExperimentError, dipole, gap, hydration_energy
from molecules.joint_model import load_pretrained, qm9_dir
from molecules.latent_space import LatentSpace
from molecules.processes import map_molecules
from molecules.properties import is_plausible
from molecules.vocabulary import QM9

budget, num_start, library_size = 200, 10, 30_000
at = 50, 100, 200


def distance_to_target(smiles):
    """From a gap of 6 eV and a dipole of 6 D, in these units."""
    return -float(np.hypot(gap(smiles) - 6, dipole(smiles) - 6))


# Larger is better.
tasks = {'dipole': dipole, 'hydration': lambda smiles: -hydration_energy(smiles), 'gap and dipole': distance_to_target}
methods = {**inventing, **screening}


class BudgetSpentError(Exception):
    """All experiments were made."""


@cache
def prepared():
    """The latent space; 30,000 molecules of its training data for choosing settings; and the rest for comparisons."""
    smiles = np.random.default_rng(0).permutation(read_smiles())
    found = encode_molecules([str(text) for text in smiles], QM9).smiles
    trained_on = split(found)['train']
    usable = [text for text, use in zip(found, trained_on, strict=True) if use and is_plausible(text)]
    return LatentSpace(load_pretrained('vae-predictor-linear'), QM9), usable[:library_size], usable[library_size:]


@cache
def start_and_library(seed):
    """The ten molecules that all methods start with, and the library, which holds them."""
    space, for_settings, others = prepared()
    start = np.random.default_rng(seed).choice(for_settings, num_start, replace=False).tolist()
    if seed >= 100:
        return start, Library(for_settings, space)
    drawn = np.random.default_rng(seed).choice(others, library_size - num_start, replace=False).tolist()
    return start, Library(start + drawn, space)


def value_of(task, smiles):
    """The value of a molecule, NaN where the experiment fails."""
    try:
        return tasks[task](smiles)
    except ExperimentError:
        return np.nan


def run_one(method, task, seed):
    """One search: values (budget,), NaN where an experiment failed, and the molecules, as JSON."""
    space = prepared()[0]
    start, library = start_and_library(seed)
    values, smiles = [], []

    def measure(text):
        if len(values) == budget:
            raise BudgetSpentError
        smiles.append(text)
        values.append(value_of(task, text))
        return None if np.isnan(values[-1]) else values[-1]

    with threadpool_limits(1):
        try:
            methods[method](start, measure, seed, space, library)
        except BudgetSpentError:
            pass
    return {'values': np.array(values), 'smiles': np.frombuffer(json.dumps(smiles).encode(), dtype='uint8')}


@cache
def molecules_version():
    """A hash of the code of molecules and peers, and of the manifest of the models."""
    return hash_of([*sorted(Path(molecules.__file__).parent.glob('*.py')),
                    Path(__file__).with_name('molecule_peers.py'), qm9_dir / 'manifest.json'])


def run_kept(method, task, seed):
    return kept(search_name(f'molecules-{task}-{molecules_version()}', method, seed),
                lambda: run_one(method, task, seed))


@cache
def values_of_all(task):
    """The values of all molecules that libraries are drawn from: a dict."""
    _, for_settings, others = prepared()
    found = kept(f'molecules-{task}-{molecules_version()}-all', lambda: {
        'values': np.array(map_molecules(partial(value_of, task), for_settings + others, 'measure molecules'))})
    return dict(zip(for_settings + others, found['values'], strict=True))


def best_of_library(task, seed):
    """The highest value in the library of a seed."""
    values = values_of_all(task)
    return np.nanmax([values[smiles] for smiles in start_and_library(seed)[1].smiles])


def best_so_far(values):
    """The highest value up to each experiment; the worst of all that succeeded where there is none yet."""
    return np.maximum.accumulate(np.where(np.isnan(values), np.nanmin(values), values))


def against(ours, other):
    """Seeds in which ours is ahead and behind, and the p-value of the sign test."""
    from scipy.stats import binomtest

    wins, losses = int((ours > other).sum()), int((ours < other).sum())
    p = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    return f'{wins} : {losses} (p = {p:.1g})'


def measure_task(task, names, seeds, n_jobs):
    """Rows of four tables for one task: best values, how often the best of the library was found, curves of the best
    values, and the ten best molecules of the first seed."""
    jobs = [(method, seed) for method in names for seed in seeds]
    found = {}
    for (method, seed), result in zip(jobs, Parallel(n_jobs, return_as='generator')(
            delayed(run_kept)(method, task, seed) for method, seed in jobs), strict=True):
        found.setdefault(method, []).append(best_so_far(result['values']))
        print(f'... {task}, {method}, seed {seed}: {found[method][-1][[num - 1 for num in at]].round(2)}, '
              f'{time.strftime("%X")}', file=sys.stderr, flush=True)
    rows, of_library, curves, ten_best = [], [], [], []
    best_of = np.array([best_of_library(task, seed) for seed in seeds]) if set(names) & set(screening) else None
    for method in names:
        best = np.array(found[method])[:, [num - 1 for num in at]]
        ours = 'ours, inventing' if method in inventing else 'ours, screening'
        cells = [median_and_quartiles(best[:, i]) for i in range(len(at))]
        wins = [against(np.array(found[ours])[:, num - 1], best[:, i]) if ours in found and method != ours else ''
                for i, num in enumerate(at)]
        rows.append([f'{method}, {task}', len(seeds), *cells, *wins])
        if method in screening:
            of_library.append([f'{method}, {task}', median_and_quartiles(best_of),
                               *(f'{(best[:, i] == best_of).sum()} of {len(seeds)}' for i in range(len(at)))])
        curves += [[method, num, *(f'{value:.3f}' for value in np.quantile(
            [of_seed[num - 1] for of_seed in found[method]], (0.25, 0.5, 0.75))), task]
            for num in range(num_start, budget + 1, 5)]
        ten_best += [[f'{method}, {task}', smiles, f'{value:.2f}'] for smiles, value in best_molecules(
            run_kept(method, task, seeds[0]))]
    return rows, of_library, curves, ten_best


def median_and_quartiles(values):
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f'{median:.2f} ({low:.2f}–{high:.2f})'


def best_molecules(result, num=10):
    """The best molecules of a search, each once, with their values, best first."""
    values = dict(zip(json.loads(result['smiles'].tobytes()), result['values'], strict=True))
    return heapq.nlargest(num, ((smiles, value) for smiles, value in values.items() if not np.isnan(value)),
                          key=lambda pair: pair[1])


def all_curves(curves):
    """These curves, and those of other methods and tasks as they were measured before, in the order of both."""
    path, measured = results_dir / 'molecules_curves.csv', {(row[0], row[-1]) for row in curves}
    before = read_csv(path).rows if path.exists() else []
    others = [row for row in before if (row[0], row[-1]) not in measured]
    return sorted(others + curves, key=lambda row: (list(tasks).index(row[-1]), list(methods).index(row[0])))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--tasks', nargs='+', default=list(tasks), choices=tasks)
    parser.add_argument('--methods', nargs='+', default=list(methods), choices=methods)
    parser.add_argument('--seeds', type=int, default=20)
    parser.add_argument('--first-seed', type=int, default=0, help='from 100 on to choose settings; writes no table')
    parser.add_argument('--jobs', type=int, default=2, help='searches at once')
    arguments = parser.parse_args()

    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    tables = [measure_task(task, arguments.methods, seeds, arguments.jobs) for task in arguments.tasks]
    rows, of_library, curves, ten_best = (sum(of_tasks, []) for of_tasks in zip(*tables, strict=True))
    header = ['method', 'searches', *(f'best after {num}' for num in at), *(f'ours wins : loses, {num}' for num in at)]
    if arguments.first_seed:
        print(table(header, rows))
        return
    write('molecules', header, with_those_of_before('molecules', rows))
    write('molecules_found', ['method', 'best of the library', *(f'found after {num}' for num in at)],
          with_those_of_before('molecules_found', of_library))
    write_file('molecules_curves', [['method', 'evaluations', 'low', 'median', 'high', 'knowledge'],
                                    *all_curves(curves)])
    write_file('molecules_ten_best', [['method', 'smiles', 'value'],
                                      *with_those_of_before('molecules_ten_best', ten_best)])
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too.
    import molecule_search

    molecule_search.main()
