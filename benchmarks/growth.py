"""How the time of a search grows with its evaluations. As a script it draws again what was measured."""

import csv
import io
import time

import matplotlib.pyplot as plt
import numpy as np
from kept import kept, search_name
from landscapes import box, in_ten, in_two, minima_of, objective_for
from peers import gpyopt, ours, without_bound
from tables import fixed, write
from threadpoolctl import threadpool_limits

from comparison import results_dir
from latent_search.figures import line_styles, method_colors, round_ticks, styled
from latent_search.files import replace_file
from networks.pretrained import models_dir

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
    rows = []
    for name, (_, space, limit) in searches.items():
        runs = [kept(search_name(f'growth-{target}', name, 0), lambda name=name, target=target: timed(name, target))
                for target in targets]
        times = np.median([run['times'] for run in runs], axis=0)
        regrets = [np.minimum.accumulate(run['values']) - minima_of(space)[target]
                   for run, target in zip(runs, targets, strict=True)]
        rows += [[name, n, f'{times[n - 1]:.1f}', f'{100 * (times[n - 1] - times[n - 11]):.0f}',
                  fixed(np.median([regret[n - 1] for regret in regrets]), 5)] for n in numbers if n <= limit]
    write('growth', ['search', 'evaluations', 'seconds', 'ms an evaluation, last ten', 'regret'], rows)
    draw_growth()


def draw_growth():
    """Draws seconds against evaluations, from the file that holds them."""
    with open(results_dir / 'growth.csv', newline='', encoding='utf-8') as file:
        rows = [*csv.DictReader(file)]
    picture = io.BytesIO()
    draw(rows).savefig(picture, format='png')
    replace_file(models_dir.parent / 'docs' / 'growth.png', picture.getvalue())


@styled
def draw(rows):
    """Seconds against evaluations, from dicts with the columns of growth.csv."""
    figure, axis = plt.subplots()
    colors = method_colors(dict.fromkeys(row['search'] for row in rows))
    for name, style in line_styles(colors).items():
        points = [(int(row['evaluations']), float(row['seconds'])) for row in rows if row['search'] == name]
        axis.plot(*zip(*points, strict=True), style, marker='o', markersize=4, color=colors[name], label=name)
    axis.set(xlabel='Evaluations', ylabel='Seconds, one thread', xscale='log', yscale='log')
    figure.suptitle('What a search takes, with the evaluations of the objective')
    for numbers in (axis.xaxis, axis.yaxis):
        round_ticks(numbers)
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


if __name__ == '__main__':
    draw_growth()
