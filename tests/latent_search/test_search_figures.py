"""What a search looks like."""

import matplotlib
import numpy as np
import pytest
from color_helpers import DEFICIENCIES, ciede2000, least_distance
from helpers import SQUARE, prior

from latent_search import create_grid, create_optimizer, slices_of
from latent_search.figures import colors, plot_experiments, plot_slices, plot_trajectory, styled


@pytest.fixture(scope='module')
def search():
    search = create_optimizer(prior, SQUARE)
    search.run_optimization(9)
    return search


@pytest.mark.parametrize('shift', [0.0, -5.0, -100.0])
def test_trajectory_of_values_that_have_no_logarithm(shift, search):
    gx, gy, t = create_grid(SQUARE, points=31)
    squares = (t ** 2).sum(axis=1) + shift

    figure = plot_trajectory(gx, gy, squares, search.X, search.Y + shift, 'squares')
    figure.canvas.draw()

    curve = next(axis for axis in figure.axes if axis.get_title() == 'Value of each evaluation')
    assert curve.get_yscale() == 'linear'
    np.testing.assert_array_equal(curve.lines[0].get_ydata(), search.Y[:, 0] + shift)


@pytest.mark.parametrize('constant', [0.0, 7.0, -1e300])
def test_trajectory_of_a_constant(constant, search):
    gx, gy, t = create_grid(SQUARE, points=5)

    plot_trajectory(gx, gy, np.full(len(t), constant), search.X, np.full_like(search.Y, constant), '').canvas.draw()


@pytest.mark.parametrize('d', [1, 3, 5])
def test_slices(d):
    def objective(t):
        return t[0, 0] ** 2 + 10 * t[0, -1] ** 2

    search = create_optimizer(objective, [(-1, 1)] * d)
    search.run_optimization(20)

    figure = plot_slices(slices_of(search, points=21), 'a bowl', 'mm')

    axes = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_xlabel() for axis in axes] == [f'$t_{{{i}}}$' for i in range(1, d + 1)]
    for i, axis in enumerate(axes):
        line = np.repeat(search.x_opt[np.newaxis], 21, axis=0)
        line[:, i] = np.linspace(-1, 1, 21)
        mean, best = (drawn.get_xydata() for drawn in axis.lines)
        np.testing.assert_allclose(mean, np.c_[line[:, i], search.posterior(line)[0]])
        np.testing.assert_array_equal(best, [[search.x_opt[i], search.fx_opt]])
    figure.canvas.draw()
    (left, _), (right, _) = figure.legends[0].get_window_extent().get_points()
    assert 0 <= left < right <= figure.bbox.width
    assert axes[0].get_ylabel() == 'Objective (mm)' and f'It changes most along coordinate {d}, by' in figure.alt


@pytest.mark.parametrize('unit, in_unit, in_brackets', [('', '', ''), ('nats', ' nats', ' (nats)')])
def test_trajectory(search, unit, in_unit, in_brackets):
    gx, gy, t = create_grid(SQUARE, points=30)

    figure = plot_trajectory(gx, gy, prior(t)[:, 0], search.X, search.Y, 'prior', unit)

    plane, curve = (axis for axis in figure.axes if axis.get_title())
    np.testing.assert_array_equal(plane.collections[-1].get_offsets(), search.X)
    np.testing.assert_array_equal(plane.lines[-1].get_xydata()[0], search.X[search.Y.argmin()])
    np.testing.assert_array_equal(curve.lines[0].get_ydata(), search.Y[:, 0])
    np.testing.assert_array_equal(curve.lines[1].get_ydata(), np.minimum.accumulate(search.Y[:, 0]))
    assert plane.get_xlabel() == '$t_1$' and curve.get_ylabel() == f'Objective{in_brackets}'
    assert plane.get_title() == f'Evaluations; star: the best, {search.Y.min():.3f}{in_unit}'
    assert f'the best is {search.Y.min():.3f}{in_unit}, the minimum' in figure.alt
    assert f'Objective{in_brackets}' in [axis.get_ylabel() for axis in figure.axes if not axis.get_title()]


def test_trajectory_of_what_does_not_fit(search):
    gx, gy, t = create_grid(SQUARE, points=4)
    with pytest.raises(ValueError, match=r'values must have shape \(16,\)'):
        plot_trajectory(gx, gy, prior(t), search.X, search.Y, 'prior')
    with pytest.raises(ValueError, match='this search has 0 in 2'):
        plot_trajectory(gx, gy, prior(t)[:, 0], search.X[:0], search.Y[:0], 'prior')


def test_style_holds_while_a_figure_is_drawn():
    @styled
    def draw():
        matplotlib.interactive(True)  # As the backend of a notebook does, loaded by the first figure.
        return matplotlib.rcParams['figure.constrained_layout.use']

    before = {**matplotlib.rcParams, 'interactive': True}
    try:
        assert draw() and not matplotlib.rcParams['figure.constrained_layout.use']
        assert dict(matplotlib.rcParams) == before
    finally:
        matplotlib.interactive(False)


@pytest.mark.parametrize('deficiency', DEFICIENCIES)
def test_colors_can_be_told_apart(deficiency):
    """With each deficiency clearly better than the ten colours of Petroff."""
    assert len(set(colors)) == 10
    assert (least_distance(colors, DEFICIENCIES[deficiency])
            > 1.3 * least_distance(matplotlib.color_sequences['petroff10'], DEFICIENCIES[deficiency]))


def test_distance_of_colors():
    """Against pairs 1, 7 and 19 of the paper's table."""
    of_pairs = np.array([[[50, 2.6772, -79.7751], [50, 0, -82.7485]], [[50, 0, 0], [50, -1, 2]],
                         [[50, 2.5, 0], [50, 3.2592, 0.335]]])

    np.testing.assert_allclose(ciede2000(*of_pairs.transpose(1, 2, 0)), [2.0425, 2.3669, 1.0], atol=1e-4)



def test_experiments():
    search = create_optimizer(None, SQUARE)
    search.add_known([[0.0, 1.0], [2.0, 0.0]], [[7.0], [5.0]])
    first, second, third, fourth, _ = search.ask(5)
    search.tell(third.number, 6)
    search.tell_failed(first.number, 'broken')
    search.tell(second.number, 2)
    search.tell_failed(fourth.number)

    figure = plot_experiments(search.events, 'experiments', expected=prior)
    axis, = figure.axes

    lines = {line.get_label(): line for line in axis.lines}
    assert set(lines) == {'experiment', 'known before', 'best value so far', '… without noise', 'failed: 2'}
    np.testing.assert_array_equal(lines['known before'].get_xydata(), [[1, 7], [2, 5]])
    np.testing.assert_array_equal(lines['experiment'].get_xydata(), [[3, 6], [5, 2]])
    np.testing.assert_array_equal(lines['failed: 2'].get_xdata(), [4, 6])
    assert lines['failed: 2'].get_transform() == axis.get_xaxis_transform()
    np.testing.assert_array_equal(lines['best value so far'].get_xydata(), [[1, 7], [2, 5], [3, 5], [5, 2]])
    best_points = np.vstack([[0, 1], [2, 0], [2, 0], second.t])
    np.testing.assert_allclose(lines['… without noise'].get_ydata(), prior(best_points)[:, 0])
    assert figure.get_suptitle() == 'experiments' and axis.get_ylabel() == 'Value (smaller is better)'
    assert '… without noise' not in {line.get_label() for line in plot_experiments(search.events, '').axes[0].lines}


def test_experiments_without_results():
    search = create_optimizer(None, SQUARE)
    for _ in range(2):
        with pytest.raises(ValueError, match='There are no results yet'):
            plot_experiments(search.events, '')
        search.tell_failed(search.ask()[0].number)
