"""Measures what each part of our search of any function is worth: one is left out or changed at a time.

`make bench` runs this after the others. Without a lower bound: bbob's 24 functions, instance 1, where what is whole
wins or loses against each variant, and the article's objective in two dimensions. Searches that an interrupted run has
finished, in build/bench, are read back. The table is printed, written to benchmarks/results/ablation.csv, and from
there into the pages.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from any_function import bbob_domain, bbob_problem, functions
from assess import spread_of
from joblib import Parallel, delayed
from kept import kept, search_name
from landscapes import budget, domain, in_two, minima_of, objective_for
from peers import starting_points
from tables import update_pages, with_those_of_before, write
from threadpoolctl import threadpool_limits

from latent_search import distinct_distance
from latent_search.acquisition import SpacedExpectedImprovement
from latent_search.gaussian_process import Model, length_scale_prior
from latent_search.hyperparameters import Hyperparameters
from latent_search.likelihood import LengthScalePrior
from latent_search.proposals import Proposals
from latent_search.settings import Settings


def kinds(box):
    """Those of a search without a bound, by their names."""
    return {kind.name: kind for kind in Proposals(Settings(box)).kinds()}


def only(*names):
    return lambda box: [kinds(box)[name] for name in names]


def whole_kinds(box):
    return list(kinds(box).values())


def doubled(kind):
    def outcome(y, unit):
        doubled = kind.outcome(y, unit)
        doubled.variance_factor = 2.0
        return doubled

    return kind._replace(outcome=outcome)


def with_prior(prior):
    return lambda box: [kind._replace(length_scales=prior) for kind in whole_kinds(box)]


class ManyCandidates(SpacedExpectedImprovement):
    num_uniform, num_around_best = 5000, 2000


class WithoutSpacing(SpacedExpectedImprovement):
    # With a thousandth of the spacing, as far around the best as in what is whole.
    radii_around_best = tuple(1000 * radius for radius in SpacedExpectedImprovement.radii_around_best)


class CandidatesAllOverTheBox(SpacedExpectedImprovement):
    num_around_best = 0


class Variant(NamedTuple):
    kinds: Callable = whole_kinds
    acquisition: type = SpacedExpectedImprovement
    spacing: float = distinct_distance


whole = 'ours, whole'
variants = {whole: Variant(),
            'ours, logarithms always': Variant(only('logarithms')),
            'ours, values always': Variant(only('nearly values')),
            'ours, never rough': Variant(only('logarithms', 'nearly values')),
            'ours, twice the likeliest variance': Variant(lambda box: [doubled(kind) for kind in whole_kinds(box)]),
            # As wide for each length scale as what is whole.
            'ours, prior of each length scale alone': Variant(with_prior(LengthScalePrior(0.0, own_std=2.0))),
            # In d dimensions as wide as in two.
            'ours, prior as wide in all dimensions': Variant(with_prior(length_scale_prior._replace(narrowest_in=2))),
            'ours, no spacing': Variant(acquisition=WithoutSpacing, spacing=distinct_distance / 1000),
            'ours, ten times the candidates': Variant(acquisition=ManyCandidates),
            'ours, no candidates around the best': Variant(acquisition=CandidatesAllOverTheBox)}
all_dimensions = 2, 5, 10, 20


def search_with(variant, objective, box, seed, num):
    """Points (num, d) and values (num,) of a search without a lower bound."""
    points = starting_points(box, seed)
    values = np.vstack([objective(t[np.newaxis]) for t in points])
    low, width, none = box[:, 0], np.ptp(box, axis=1), np.empty((0, len(box)))
    hyperparameters = Hyperparameters()
    while len(points) < num:
        model = Model((points - low) / width, values[:, 0], none, variant.kinds(box), hyperparameters)
        acquisition = variant.acquisition(model, none, spacing=variant.spacing)
        t = np.clip(low + width * acquisition.propose(np.random.RandomState([seed, len(points)])), *box.T)[np.newaxis]
        points, values = np.vstack((points, t)), np.vstack((values, objective(t)))
    return points, values[:, 0]


def lowest_on_bbob(variant, function, dimensions, seed, num):
    problem = bbob_problem(function, dimensions, instance=1)
    with threadpool_limits(1):
        return search_with(variant, problem, bbob_domain(dimensions), seed, num)[1].min()


def lowest_of_digit(variant, target, seed):
    with threadpool_limits(1):
        return search_with(variant, objective_for(target), domain, seed, budget)[1].min()


def on_bbob(name, variant, dimensions, seeds, num, n_jobs):
    """The lowest value on each function, (seeds, 24)."""
    return np.array([kept(search_name(f'bbob-{dimensions}d-{num}', name, seed), lambda seed=seed: {
        'lowest': Parallel(n_jobs)(delayed(lowest_on_bbob)(variant, function, dimensions, seed, num)
                                   for function in functions)})['lowest'] for seed in range(seeds)])


def on_digits(name, variant, seeds, n_jobs):
    """Regrets, (seeds × 10,)."""
    minima = minima_of(in_two)
    return np.concatenate([kept(search_name('ablation', name, seed), lambda seed=seed: {'lowest': Parallel(n_jobs)(
        delayed(lowest_of_digit)(variant, target, seed) for target in range(10))})['lowest'] - minima
        for seed in range(seeds)])


def against(lowest_of_whole, lowest):
    """Wins and losses of what is whole."""
    return f'{(lowest_of_whole < lowest).sum()} : {(lowest_of_whole > lowest).sum()}'


def measure_variants(names, seeds, seeds_of_digits, n_jobs):
    """What is whole against each variant, on short searches."""
    rows, of_whole = [], {}
    for name in (whole, *names):
        cells = []
        for dimensions in all_dimensions:
            lowest = on_bbob(name, variants[name], dimensions, seeds, 60, n_jobs)
            if name == whole:
                of_whole[dimensions] = lowest
            cells.append('' if name == whole else against(of_whole[dimensions], lowest))
        rows.append([name, *cells, *spread_of(on_digits(name, variants[name], seeds_of_digits, n_jobs))[1:]])
        print(f'... {name}, {time.strftime("%X")}', file=sys.stderr, flush=True)
    write('ablation', ['variant', *(f'{d}-D, whole wins : loses' for d in all_dimensions),
                       "the article's objective: regret, median", '90th percentile', 'worst'],
          with_those_of_before('ablation', rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=4, help='of each function')
    parser.add_argument('--seeds-of-digits', type=int, default=20)
    names = [name for name in variants if name != whole]
    parser.add_argument('--variants', nargs='+', default=names, choices=names,
                        help='default: all; rows of others stay as they are')
    parser.add_argument('--jobs', type=int, default=2, help='searches at once')
    arguments = parser.parse_args()

    measure_variants(arguments.variants, arguments.seeds, arguments.seeds_of_digits, arguments.jobs)
    update_pages()


if __name__ == '__main__':
    # Imported under its name, it is imported by the other processes too.
    import ablation

    ablation.main()
