"""Tables of what the notebooks measure, and the article's statements."""

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from digits.article import shares_near, statements, statements_table
from digits.image_figures import plot_methods
from digits.measures import mean_distance_of_labels, mean_pixel_distance
from digits.objectives import assess_objective, nll_prior
from digits.tables import losses_table, objectives_table, searches_table, table, typical_table, variations_table
from latent_search import create_grid


def test_table_is_markdown():
    assert str(table(['a', 'b'], [[1, 'x'], [2, 'y']])) == '| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |'
    assert str(table(['a|b'], [['<script>alert(1)</script>'], ['**no** & > 3']])) == (
        '| a\\|b |\n| --- |\n| &lt;script>alert(1)&lt;/script> |\n| **no** &amp; > 3 |')


def test_notebook_displays_a_table_and_keeps_its_cells():
    made = table(['a|b', 'c'], [[1, '<x>']])

    data, metadata = DisplayFormatter().format(made)

    assert data == {'text/markdown': str(made), 'text/plain': str(made)}
    assert metadata == {'text/markdown': {'header': ['a|b', 'c'], 'rows': [['1', '<x>']]}}


def test_table_with_a_row_that_is_too_short():
    with pytest.raises(ValueError, match=r"Each row needs 2 cells, as many as the header, got \['2'\]"):
        table(['a', 'b'], [[1, 'x'], [2]])


def assessed(target, values, read, diversity=1.0):
    return {'values': np.array(values), 'classifier': np.array([0.9, 0.4]), 'read': np.array(read),
            'diversity': diversity, 'judge': np.array([0.9, 0.9])}


def test_losses_table():
    header, rows = losses_table('VAE', {
        'off': {'reconstruction': 141.44, 'kl': 6.279, 'neg_elbo': 147.72},
        'labels': {'reconstruction': 1, 'kl': 2, 'neg_elbo': 3, 'accuracy': 0.96594},
        'values': {'reconstruction': 1, 'kl': 2, 'neg_elbo': 3, 'rmse': 0.431}}, {'judge': 0.9957})

    assert header == ['VAE', 'reconstruction (nats)', 'KL (nats)', '−ELBO (nats)', 'predictor']
    assert rows == [['off', '141.4', '6.28', '147.7', '—'], ['labels', '1.0', '2.00', '3.0', '96.59% correct'],
                    ['values', '1.0', '2.00', '3.0', 'RMSE 0.43'], ['judge', '', '', '', '99.57% correct']]


@pytest.fixture
def four_places():
    """Points of a grid in the regions of 0, 1 and 2 (twice); the last is sparse."""
    return (np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]), np.array([0, 1, 2, 2]),
            np.array([0, 0.1, 0.2, 3]))


def test_assess_objective(four_places):
    t, regions, distance = four_places
    of_label = np.full((4, 10), 18.0)
    of_label[0, 0] = 1  # Low in the region of its label.
    of_label[1, 0] = 2  # Low outside of it.
    of_label[2, 0] = 8  # Moderately low outside.
    of_label[3, 2] = 0  # Low in the region, but sparse.
    of_label[3, 3] = 5  # Moderately low outside, and sparse.

    measured = assess_objective(of_label + nll_prior(t), t, regions, distance)

    assert measured['low_outside'] == 1 / 40 and measured['moderately_low_outside'] == 3 / 40
    assert measured['low_sparse'] == 1 / 40 and measured['moderately_low_sparse'] == 2 / 40
    # Of the targets whose term is the same everywhere, the prior decides, and the origin is in the region of 0.
    np.testing.assert_array_equal(measured['minima'], t[[0, 0, 3, 3, *[0] * 6]])
    assert measured['inside'] == 2


def test_assess_objective_of_what_does_not_fit(four_places):
    t, regions, distance = four_places
    with pytest.raises(ValueError, match=r'shapes \(4, k\), \(4,\) and \(4,\).* got \(4, 10\), \(3,\) and \(4,\)'):
        assess_objective(np.zeros((4, 10)), t, regions[1:], distance)
    with pytest.raises(ValueError, match=r'got \(4,\)'):
        assess_objective(np.zeros(4), t, regions, distance)


def test_objectives_table():
    header, rows = objectives_table({'predictor': {
        'inside': 9, 'low_outside': 0.0191, 'moderately_low_outside': 0.185, 'low_sparse': 0.04,
        'minima': np.zeros((10, 2)),
        'moderately_low_sparse': 0.12}})

    assert rows == [['predictor', '9 of 10', '1.9%', '18.5%', '4.0%', '12.0%']]
    assert len(header) == 6 and header[2].endswith('outside the region') and header[4].endswith('sparse')


def test_a_judge_that_cannot_judge_says_so(measured):
    """Below 90%, the last row of each table that rests on it."""
    around = {0: {'radii': np.array([0.1]), 'diversity': np.array([1.0]), 'share': np.array([1.0])}}
    found = {0: assessed(0, [1, 2], [0, 0])}
    tables = {accuracy: [searches_table({'a': (found, {0: 1.0})}, np.zeros(1), accuracy),
                         variations_table(around, found, accuracy),
                         typical_table({'a': found}, {'a': [np.ones((2, 2))]}, ('real', 1.0, 2.0), accuracy),
                         statements_table(**measured | {'accuracy': {'classifier': 0.99, 'judge': accuracy}})]
              for accuracy in (0.9, 0.28)}

    for (_, trusted), (header, rows) in zip(*tables.values(), strict=True):
        assert 'judge: it reads' not in str(trusted) and rows[:-1] == trusted
        assert rows[-1] == ['**Do not trust the judge: it reads only 28% of the real test images correctly. Train it '
                            'longer, or on more images.**', *[''] * (len(header) - 1)]


def test_variations_table():
    radii, diversity = np.array([0.02, 0.04, 0.08]), np.array([1.0, 2.0, 3.0])
    around = {target: {'radii': radii, 'diversity': diversity, 'share': np.array(share)} for target, share in (
        (0, [1, 0.97, 0.5]), (1, [0.97, 0.5, 1]), (2, [0.91, 1, 1]))}

    _, rows = variations_table(around, {target: {'diversity': 3.456} for target in range(3)}, 0.99)

    assert rows == [[0, '0.04', '97%', '2.00', '3.46'], [1, '0.02', '97%', '1.00', '3.46'],
                    [2, 'none', '91% at 0.02', '—', '3.46']]


def test_typical_table():
    found = {4: assessed(4, [1, 2], [4, 4], 1.0), 5: assessed(5, [1, 2], [5, 3], 2.0)}
    points = [np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([[0.0, 2.0]])]

    header, rows = typical_table({'a': found}, {'a': points}, ('real', 3.086, 8.734), 0.99)

    assert rows == [['a', '75%', '2.50', '1.50'], ['real', '', '3.09', '8.73']]
    assert len(header) == 4


def test_mean_distance_of_labels(rng):
    images, y = rng.random((40, 28, 28, 1)), np.arange(40) % 10

    expected = [mean_pixel_distance(images[y == label][:3]) for label in range(10)]
    assert mean_distance_of_labels(images, y, num=3) == pytest.approx(np.mean(expected))


@pytest.fixture
def measured():
    """Numbers for which each statement holds."""
    spaces = ('without predictor', 'with classifier', 'with regressor')
    objective = {'minima': np.zeros((10, 2)), 'inside': 10, 'moderately_low_outside': 0.1, 'moderately_low_sparse': 0.1}
    return {
        'knn': dict(zip(spaces, (0.757, 0.964, 0.959), strict=True)),
        'r2': dict(zip(spaces, (0.27, 0.26, 0.83), strict=True)),
        'accuracy': {'classifier': 0.992, 'judge': 0.99}, 'first': objective,
        'second': {'minima': np.tile([0.3, 0.4], (10, 1)) * np.r_[np.full(9, 0.2), 2][:, np.newaxis], 'inside': 10,
                   'moderately_low_outside': 0.2, 'moderately_low_sparse': 0.3},
        'near': type('Near', (), {'evaluations': 0.6, 'highest_ei': 0.7, 'box': 0.05}),
        'found': {target: {'values': np.array([1.0, 3.0 if target in (3, 5) else 1.25]),
                           'classifier': np.array([0.9, 0.8]), 'read': np.array([target, target])}
                  for target in range(10)}}


def test_statements_that_hold(measured):
    header, rows = statements_table(**measured)

    assert header == ['the article', 'here', 'borne out']
    assert [sentence for sentence, *_ in rows] == [statement.sentence for statement in statements]
    assert [text for _, text, _ in rows] == [
        '75.7% → 96.4% (classifier), 95.9% (regressor) 10-nearest-neighbour accuracy',
        'R² 0.83, against 0.27 without predictor and 0.26 with classifier',
        '75.7% 10-nearest-neighbour accuracy (chance: 10%)', '99.20%', '10 of 10',
        '0.10 apart in the median, 1.00 at most; the box is 8 wide', '20.0% of the box, against 10.0% for the first',
        '30.0% of the box, against 10.0% for the first', "60% within 1 of it, with the article's settings",
        '70% of the hundredth of the box with the highest EI is within 1 of it (of the box: 5%)',
        '100% by the classifier, 100% by the judge, over ten targets',
        '2.00 and 2.00 nats, others 0.25 in the median and 0.25 at most']
    assert [borne_out for *_, borne_out in rows] == ['yes'] * 12


@pytest.mark.parametrize('name, value, failing', [
    ('knn', {'without predictor': 0.4, 'with classifier': 0.9, 'with regressor': 0.3}, [0, 2]),
    ('r2', {'without predictor': 0.3, 'with classifier': 0.9, 'with regressor': 0.8}, [1]),
    ('accuracy', {'classifier': 0.991, 'judge': 0.99}, [3]),
    ('first', {'minima': np.full((10, 2), 3.0), 'inside': 9, 'moderately_low_outside': 0.2,
               'moderately_low_sparse': 0.3}, [4, 5, 6, 7]),
    ('near', type('Near', (), {'evaluations': 0.5, 'highest_ei': 0.04, 'box': 0.05}), [8, 9]),
    ('near', type('Near', (), {'evaluations': 0.9, 'highest_ei': 1.0, 'box': 0.05}), [9]),
    ('found', {target: {'values': np.array([1.0, 2.0 + (target == 8)]), 'classifier': np.array([0.9, 0.1]),
                        'read': np.array([target, target])} for target in range(10)}, [10, 11])])
def test_statements_that_do_not_hold(measured, name, value, failing):
    _, rows = statements_table(**{**measured, name: value})

    assert [i for i, (*_, borne_out) in enumerate(rows) if borne_out == '**no**'] == failing


def test_methods(rng):
    images = {'a method': rng.random((3, 28, 28, 1)), 'another': rng.random((2, 28, 28, 1))}

    figure = plot_methods(images, {'a method': [4, 9, 4], 'another': [4, 4]}, 4, 'fours')

    axis, = figure.axes
    assert [text.get_text() for text in axis.texts] == ['a method', '9', 'another']
    montage = np.ma.getdata(axis.images[0].get_array())
    np.testing.assert_array_equal(montage[:28, 32:60], images['a method'][1, ..., 0])
    np.testing.assert_array_equal(montage[38:66, 32:60], images['another'][1, ..., 0])
    assert np.isnan(montage[38:66, 64:]).all()
    corner, image = axis.texts[1].get_position(), (32, 0)  # In the image that it is about, at its centre.
    assert np.abs(np.subtract(corner, image)).max() <= 14
    assert figure.get_suptitle() == 'fours'


def test_shares_near():
    _, _, grid = create_grid([(-4, 4)] * 2, points=81)
    ei = -np.linalg.norm(grid - [3.0, 3.0], axis=1)  # Highest around (3, 3).
    evaluated = np.array([[3.0, 3.0], [3.0, 3.9], [3.0, 1.9], [0.0, 0.0]])

    near = shares_near([3.0, 3.0], evaluated, grid, ei[:, np.newaxis])
    elsewhere = shares_near([-3.0, 0.0], evaluated, grid, ei)
    wider = shares_near([3.0, 3.0], evaluated, grid, ei, radius=1.2)

    assert near.evaluations == 0.5 and near.highest_ei == 1
    assert near.box == (np.linalg.norm(grid - [3.0, 3.0], axis=1) < 1).sum() / 81 ** 2
    assert elsewhere[:2] == (0, 0) and elsewhere.box == pytest.approx(near.box, rel=0.02)
    assert wider.evaluations == 0.75 and wider.box > near.box


def test_shares_near_half_of_the_highest():
    grid = np.linspace(0, 10, 1000)[:, np.newaxis]
    ei = np.zeros(1000)
    ei[[0, 100, 200, 300, 900]] = 1
    ei[500:505] = 2

    assert shares_near(grid[502], grid[:2], grid, ei).highest_ei == 0.5


def test_shares_near_of_what_does_not_fit():
    grid = np.zeros((100, 2))
    with pytest.raises(ValueError, match='100 points or more and one value for each, got 100 points and 99 values'):
        shares_near([0, 0], grid, grid, np.zeros(99))
    with pytest.raises(ValueError, match='got 99 points'):
        shares_near([0, 0], grid, grid[1:], np.zeros(99))
    with pytest.raises(ValueError, match=r'shape \(n, 2\)'):
        shares_near([0, 0], np.zeros((5, 3)), grid, np.zeros(100))


def test_searches_table():
    found = {target: assessed(target, [2.5 + target, 4], [target, 0], 3.4) for target in (1, 3)}

    header, rows = searches_table({'a': (found, {1: 2.25, 3: 1.0}), 'b': (found, {1: 0.5, 3: 0.5})},
                                  np.array([0.0, 3.0, 0.0, 5.0]), 0.99)

    assert len(header) == 8 and header[2].startswith('a: ') and header[5].startswith('b: ')
    assert rows[1][:6] == [1, '3.000', '3.500', '1 of 2', '2.2', '3.500'] and rows[3][:5] == [3, '5.000', '5.500',
                                                                                            '1 of 2', '1.0']
    assert rows[-1] == ['all', '', "+0.500 from the grid's minimum (median)", '50%', '3.2 in all',
                        "+0.500 from the grid's minimum (median)", '50%', '1.0 in all']
