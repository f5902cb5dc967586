"""Tables, of models and of the images that searches find: header and rows for `table`."""

from typing import NamedTuple

import numpy as np

from digits.measures import widest_radius

# Tables count how many of ten images the judge reads as wanted. A judge that errs in more than one of ten real images
# changes these counts by more than the searches differ.
trusted_accuracy = 0.9


class Table(NamedTuple):
    """A header and rows of as many cells, all of them texts. As a text it is a Markdown table, in which HTML is shown.

    IPython displays the Markdown, and stores header and rows in the metadata of the output, as `text/markdown`.
    """

    header: list[str]
    rows: list[list[str]]

    def __repr__(self):
        cells = [[cell.replace('&', '&amp;').replace('<', '&lt;').replace('|', r'\|') for cell in line]
                 for line in (self.header, ['---'] * len(self.header), *self.rows)]
        return '\n'.join('| ' + ' | '.join(line) + ' |' for line in cells)

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {'text/markdown': str(self)}, {'text/markdown': self._asdict()}


def table(header, rows):
    """Makes a table, which a notebook displays and which prints as Markdown.

        table(['digit', 'minimum (nats)'], [[0, '2.19'], [1, '2.49']])

    Args:
        header: names of the columns.
        rows: lists of cells, one for each column. They can be anything that has a text.

    Raises:
        ValueError: a row has more or fewer cells than the header.
    """
    made = Table([str(cell) for cell in header], [[str(cell) for cell in row] for row in rows])
    for row in made.rows:
        if len(row) != len(made.header):
            raise ValueError(f'Each row needs {len(made.header)} cells, as many as the header, got {row}.')
    return made


def judge_warning(accuracy, header):
    """The last rows of a table that rests on what the judge reads: a warning, or none if the judge can be trusted.

    Args:
        accuracy: the share of real test images that the judge reads correctly; see `trusted_accuracy`.
        header: of the table.
    """
    if accuracy >= trusted_accuracy:
        return []
    return [[f'**Do not trust the judge: it reads only {accuracy:.0%} of the real test images correctly. Train it '
             'longer, or on more images.**', *[''] * (len(header) - 1)]]


def losses_table(title, metrics, accuracy):
    """Losses of VAEs on test images, and the share of images that classifiers read correctly.

    Args:
        title: of the first column.
        metrics: a dict from names of VAEs to their losses in nats, `reconstruction`, `kl` and `neg_elbo`; and
            `accuracy` of a predictor of labels, or `rmse` of a predictor of values.
        accuracy: a dict from names of classifiers to their accuracy.
    """
    def predictor(of_vae):
        if 'accuracy' in of_vae:
            return f"{of_vae['accuracy']:.2%} correct"
        return f"RMSE {of_vae['rmse']:.2f}" if 'rmse' in of_vae else '—'

    return ([title, 'reconstruction (nats)', 'KL (nats)', '−ELBO (nats)', 'predictor'],
            [[name, f"{of_vae['reconstruction']:.1f}", f"{of_vae['kl']:.2f}", f"{of_vae['neg_elbo']:.1f}",
              predictor(of_vae)] for name, of_vae in metrics.items()]
            + [[name, '', '', '', f'{share:.2%} correct'] for name, share in accuracy.items()])


def objectives_table(assessed):
    """Where objectives are low, in shares of the box.

    Args:
        assessed: a dict from names of objectives to what `objectives.assess_objective` returns.
    """
    return (['objective', 'minima inside their region', 'part of the box that is low, but outside the region',
             '… moderately low', 'part of the box that is low, but sparse', '… moderately low'],
            [[name, f"{of_name['inside']} of {len(of_name['minima'])}", *(f'{of_name[key]:.1%}' for key in (
                'low_outside', 'moderately_low_outside', 'low_sparse', 'moderately_low_sparse'))]
             for name, of_name in assessed.items()])


def searches_table(searches, minima, judge_accuracy):
    """How good searches for each target are, and how long they took.

    Args:
        searches: a dict from names of searches to pairs of dicts from targets: what `measures.assess_top` returns, and
            seconds.
        minima: the minimum of each label's objective, (k,), nats.
        judge_accuracy: see `judge_warning`.
    """
    rows = [[target, f'{minimum:.3f}'] for target, minimum in enumerate(minima)] + [['all', '']]
    for found, seconds in searches.values():
        right = {target: of_target['read'] == target for target, of_target in found.items()}
        for target, of_target in found.items():
            rows[target] += [f"{of_target['values'][0]:.3f}", f'{right[target].sum()} of {len(right[target])}',
                             f'{seconds[target]:.1f}']
        above = np.median([of_target['values'][0] - minima[target] for target, of_target in found.items()])
        rows[-1] += [f"{above:+.3f} from the grid's minimum (median)",
                     f'{np.concatenate(list(right.values())).mean():.0%}', f'{sum(seconds.values()):.1f} in all']
    header = ['target', 'minimum on the grid (nats)'] + [f'{name}: {column}' for name in searches for column in (
        'best (nats)', 'ten best distinct read as the target', 'seconds')]
    return header, rows + judge_warning(judge_accuracy, header)


def variations_table(around, found, judge_accuracy):
    """How far variations of the best points may go: the widest radius at which the judge still agrees.

    Args:
        around: a dict from targets to what `measures.assess_around` returns.
        found: a dict from the same targets to what `measures.assess_top` returns.
        judge_accuracy: see `judge_warning`.
    """
    rows = []
    for target, of_target in around.items():
        widest = widest_radius(of_target)
        radius, share = (f"{of_target[key][widest or 0]:{form}}" for key, form in (('radii', '.2g'), ('share', '.0%')))
        rows.append([target, *(('none', f'{share} at {radius}', '—') if widest is None else
                               (radius, share, f"{of_target['diversity'][widest]:.2f}")),
                     f"{found[target]['diversity']:.2f}"])
    header = ['target', 'widest radius', 'read as target by the judge', 'mean distance of two variations (pixels)',
              '… of two of the ten best distinct']
    return header, rows + judge_warning(judge_accuracy, header)


def typical_table(found, points, real, judge_accuracy):
    """Whether the best points of an objective are typical: the judge's labels, the distance of the points from the
    origin, and the variety of their images.

    Args:
        found: a dict from names of objectives to dicts from targets to what `measures.assess_top` returns.
        points: a dict from the same names to the best distinct points of each target, (m, d) each.
        real: the last row: its name, the distance from the origin of encoded real images, and the distance of two real
            images of one label.
        judge_accuracy: see `judge_warning`.
    """
    rows = []
    for name, of_targets in found.items():
        right = np.mean([of_target['read'] == target for target, of_target in of_targets.items()])
        norms = [np.linalg.norm(of_target, axis=1).mean() for of_target in points[name]]
        diversity = np.median([of_target['diversity'] for of_target in of_targets.values()])
        rows.append([name, f'{right:.0%}', f'{np.median(norms):.2f}', f'{diversity:.2f}'])
    name, norm, distance = real
    header = ['ten best distinct, ten targets', 'read as target by the judge', 'distance from the origin',
              'mean distance of two images (pixels)']
    return header, [*rows, [name, '', f'{norm:.2f}', f'{distance:.2f}'], *judge_warning(judge_accuracy, header)]
