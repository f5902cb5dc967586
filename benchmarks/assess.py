"""What searches have found, in numbers: regret, the judge's reading of the best images, and curves of regret."""

import numpy as np
from landscapes import box, budget, models
from tables import fixed, with_those_of_before, write_file

from comparison import median_regret
from digits.measures import mean_pixel_distance
from latent_search import distinct_distance, top
from networks.prediction import predict

of_best_header = ['judge: ten best', 'judge: ten best distinct', 'pixel distance: ten best',
                  'pixel distance: ten best distinct']
summary_header = ['searches', 'regret, median', 'regret, 90th percentile', 'regret, worst', 'regret above 0.6',
                  'evaluations to 0.1 nats, median', 'evaluations to 0.1 nats, 90th percentile', *of_best_header]


class Evaluations:
    """What `top` needs to know of a search."""

    spacing = distinct_distance

    def __init__(self, points, values, domain):
        self.domain, self.X, self.Y = domain, points, values[:, np.newaxis]


def assess(points, values, target, space):
    """Of the ten best and the ten best distinct: judge's share, mean pairwise distance, tenth − best; (6,)."""
    numbers = []
    for distance in (0, distinct_distance):
        best, best_values = top(Evaluations(points, values, box(space)), 10, distance)
        images = predict(models()[space]['decoder'], best, '')
        read = predict(models()['judge'], images, '').argmax(axis=1)
        numbers += [(read == target).mean(), mean_pixel_distance(images), best_values[-1, 0] - best_values[0, 0]]
    return numbers


def regrets_of(of_seeds, minima):
    """Regret after each evaluation, (searches, evaluations), and what `assess` says of the best, (searches, 6)."""
    return (np.concatenate([np.minimum.accumulate(found['values'], axis=1) - minima[:, np.newaxis]
                            for found in of_seeds]),
            np.concatenate([found['of_best'] for found in of_seeds]))


def spread_of(last):
    """Cells of a table: how many regrets (n,) there are, their median, 90th percentile and worst."""
    return [len(last), fixed(np.median(last), 4), fixed(np.quantile(last, 0.9), 4), fixed(last.max(), 3)]


def summary(regrets, of_best):
    """The cells of `summary_header`."""
    # A search that does not come so near counts as one evaluation more than it had.
    needed = (np.c_[regrets, np.zeros(len(regrets))] < 0.1).argmax(axis=1) + 1
    # Searches that share their evaluations have made ten times as many.
    needed = ['', ''] if regrets.shape[1] > budget else [
        f'{n:.0f}' if n <= budget else f'> {budget}' for n in np.quantile(needed, (0.5, 0.9), method='higher')]
    return [*spread_of(regrets[:, -1]), f'{(regrets[:, -1] > 0.6).mean():.1%}', *needed,
            *(f'{share:.1%}' for share in of_best[:, [0, 3]].mean(axis=0)),
            *(f'{value:.2f}' for value in np.median(of_best[:, [1, 4]], axis=0))]


def curve(name, regrets, knowledge):
    """Rows for `write_curves`, one for each evaluation of a method's searches."""
    return [[name, n, *(fixed(value, 5) for value in row), knowledge]
            for n, row in enumerate(median_regret(regrets), start=1)]


def write_curves(name, curves):
    """Writes curves, and keeps those of other methods; methods that know the prior come first, as in the figure."""
    rows = sorted(with_those_of_before(name, curves), key=lambda row: row[-1] != 'prior known')
    write_file(name, [['method', 'evaluations', 'low', 'median', 'high', 'knowledge'], *rows])
