"""How the time of a search grows: with its evaluations, and with results that are known before."""

import multiprocessing
import resource
import time

import matplotlib.pyplot as plt
import numpy as np
from kept import kept, search_name
from landscapes import box, in_ten, in_two, minima_of, objective_for
from peers import gpyopt, ours, without_bound
from tables import fixed, write
from threadpoolctl import threadpool_limits

from digits.figures import label_colors
from digits.pretrained import models_dir
from latent_search import create_optimizer

# For each search: the function, the latent space, and the number of evaluations.
searches = {'ours': (ours, in_two, 2000), 'ours, ten dimensions': (ours, in_ten, 2000),
            'ours, no lower bound': (without_bound, in_two, 1000),
            'ours, no lower bound, ten dimensions': (without_bound, in_ten, 1000),
            "GPyOpt, article's settings": (gpyopt, in_two, 200)}
numbers = 50, 100, 200, 500, 1000, 2000


def timed(name, target):
    """One search: `times` after each evaluation, in seconds, and `values`; a short one before it is not counted."""
    search, space, limit = searches[name]
    objective, stamps = objective_for(target, space), []
    search(objective, box(space), 0, 12)

    def stamped(t):
        stamps.append(time.perf_counter())
        return objective(t)

    started = time.perf_counter()
    with threadpool_limits(1):
        _, values = search(stamped, box(space), 0, limit)
    return {'times': np.array([*stamps[1:], time.perf_counter()]) - started, 'values': values}


def measure_growth(targets=(4, 9)):
    """Time and regret of long searches, one at a time, and a figure of the time."""
    rows, curves = [], {}
    for name, (_, space, limit) in searches.items():
        runs = [kept(search_name(f'growth-{target}', name, 0), lambda name=name, target=target: timed(name, target))
                for target in targets]
        curves[name] = times = np.median([run['times'] for run in runs], axis=0)
        regrets = [np.minimum.accumulate(run['values']) - minima_of(space)[target]
                   for run, target in zip(runs, targets, strict=True)]
        rows += [[name, n, f'{times[n - 1]:.1f}', f'{100 * (times[n - 1] - times[n - 11]):.0f}',
                  fixed(np.median([regret[n - 1] for regret in regrets]), 5)] for n in numbers if n <= limit]
    write('growth', ['search', 'evaluations', 'seconds', 'ms an evaluation, last ten', 'regret'], rows)
    draw(curves).savefig(models_dir.parent / 'docs' / 'growth.png', dpi=110)


def draw(curves):
    """Seconds against evaluations."""
    figure, axis = plt.subplots(figsize=(9, 5), layout='constrained')
    for color, (name, times) in zip(label_colors, curves.items(), strict=False):
        axis.plot(np.arange(1, len(times) + 1), times, color=color, label=name)
    axis.set(title='What a search takes, with the evaluations of the objective', xlabel='Evaluations',
             ylabel='Seconds, one thread', ylim=(0, 60))
    axis.legend()
    return figure


def add_many(dimensions, num, seed=0):
    """Seconds and GiB that a search needs which is given many results: (to take them, to propose, again, memory)."""
    rng, before = np.random.default_rng(seed), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    t = rng.uniform(-4, 4, (num, dimensions))
    stamps = [time.perf_counter()]
    with threadpool_limits(1):
        search = create_optimizer(None, [(-4, 4)] * dimensions, seed)
        search.add_known(t, (t ** 2).sum(axis=1, keepdims=True) + rng.normal(size=(num, 1)))
        stamps.append(time.perf_counter())
        for _ in range(2):
            search.ask()
            stamps.append(time.perf_counter())
    return *np.diff(stamps), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2 ** 20


def measure_known(num=5000):
    """The first proposals after many known results, each in a process of its own."""
    rows = []
    for dimensions in (2, 10, 196):
        # What is imported first would count otherwise.
        with multiprocessing.get_context('spawn').Pool(1, initializer=add_many, initargs=(2, 20)) as pool:
            taken, *proposed, memory = pool.apply(add_many, (dimensions, num))
        rows.append([f'{num} known results, {dimensions} dimensions', f'{taken:.1f}',
                     *(f'{seconds:.1f}' for seconds in proposed), f'{memory:.2f}'])
    write('known', ['search', 'seconds to take them', 'first proposal, seconds', 'second proposal', 'memory, GiB'],
          rows)
