"""The regret of searches: its median, tables and figure."""

import numpy as np
import pytest

from comparison import (
    evaluations_table,
    evaluations_within,
    load_regret_curves,
    median_regret,
    plot_regret,
)
from latent_search.figures import line_styles, method_colors


def test_median_regret_covers_the_true_median():
    """In about 95 of a hundred samples of a known distribution."""
    covered = []
    for seed in range(100):
        regrets = np.random.default_rng(seed).exponential(size=(60, 3)) * [1, 2, 4]

        low, median, high = median_regret(regrets).T

        np.testing.assert_array_equal(median, np.median(regrets, axis=0))
        covered.append((low <= np.log(2) * np.array([1, 2, 4])) & (np.log(2) * np.array([1, 2, 4]) <= high))
    assert 0.88 < np.mean(covered) < 0.99


def test_evaluations_within():
    regrets = [[0.5, 0.09, 0.09], [0.05, 0.05, 0.0], [0.5, 0.5, 0.1], [0.4, 0.3, 0.02]]

    np.testing.assert_array_equal(evaluations_within(regrets, 0.1), [2, 1, 4, 3])


def test_evaluations_table():
    quick, slow = [[0.5, 0.09], [0.05, 0.05]], [[1.0, 1.0], [1.0, 1.0]]

    header, rows = evaluations_table('ways', {'quick': quick, 'slow': slow}, 0.1)

    assert header == ['ways', 'evaluations to within 0.1 nats of the minimum (median)']
    assert rows == [['quick', '1.5'], ['slow', '> 2']]


def test_regret():
    quartiles = np.array([[1.0, 2.0, 3.0], [0.0, 0.5, 0.6]])

    figure = plot_regret({'black box': {'random': quartiles, 'ours': quartiles / 10}}, 'regret')

    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines['random: 0.5'], [2, 0.5])
    np.testing.assert_allclose(lines['ours: 0.05'], [0.2, 0.05])
    assert figure.axes[0].get_yscale() == 'log' and figure.axes[0].get_xlabel() == 'Evaluations'
    texts = figure.axes[0].get_legend().texts
    assert [text.get_text() for text in texts] == ['random: 0.5', 'ours: 0.05']


def test_regret_below_what_was_computed():
    quartiles = np.array([[1.0, 2.0, 3.0], [-0.1, 0.0, 0.5]])

    figure = plot_regret({'black box': {'ours': quartiles}}, 'regret', floor=0.01)

    axis, = figure.axes
    line, = axis.lines
    assert line.get_label() == 'ours: ≤ 0.01' and axis.get_ylim()[0] == 0.01 > line.get_ydata()[-1] > 0
    assert 'lower edge: ≤ 0.01' in axis.texts[0].get_text()
    assert plot_regret({'black box': {'ours': quartiles + 1}}, 'regret').axes[0].get_ylim()[0] > 0.1


def test_regret_has_a_color_for_each_method_and_four_bands():
    quartiles = np.array([[1.0, 2.0, 3.0], [0.1, 0.5, 0.6]])
    names = ['random', 'a', 'ours', 'b', 'c', "GPyOpt, article's settings"]

    def drawn(names):
        axis, = plot_regret({'black box': dict.fromkeys(names, quartiles)}, 'regret').axes
        return {line.get_label().partition(':')[0]: line.get_color() for line in axis.lines}, len(axis.collections)

    of_lines, bands = drawn(names)
    assert bands == 4 and len(set(of_lines.values())) == 6
    reversed_lines, _ = drawn(names[::-1])
    assert all(of_lines[name] == reversed_lines[name] for name in ('random', 'ours', "GPyOpt, article's settings"))
    assert method_colors(['Bayesian optimization'])['Bayesian optimization'] == of_lines['ours']
    with pytest.raises(ValueError, match='There are colours for 10 methods, got 11'):
        method_colors(map(str, range(11)))


@pytest.mark.parametrize('name', ['curves', 'curves_ten_dimensions', 'molecules_curves'])
def test_methods_have_one_color_everywhere(name):
    panels = load_regret_curves(name)
    names = list(dict.fromkeys(method for curves in panels.values() for method in curves))

    colors = method_colors(names)
    everywhere = method_colors(['ours', 'random', "GPyOpt, article's settings", 'BoTorch with the prior'])

    for method in names:
        begin = method.partition(',')[0].partition(' ')[0]
        assert all(colors[method] == color for other, color in everywhere.items() if other.startswith(begin))
    for curves in panels.values():
        of_panel = {method: colors[method] for method in curves}
        drawn = list(zip(of_panel.values(), line_styles(of_panel).values(), strict=True))
        assert len(set(drawn)) == len(drawn)


def test_regret_in_two_panels():
    interval = np.array([[1.0, 2.0, 3.0], [0.1, 0.5, 0.6]])

    figure = plot_regret({'prior known': {'ours': interval, 'BoTorch': interval},
                          'black box': {'random': 2 * interval, 'BoTorch': interval}}, 'regret')

    known, black_box = figure.axes
    assert (known.get_title(), black_box.get_title()) == ('prior known', 'black box')
    of_panels = [{line.get_label().partition(':')[0]: line.get_color() for line in axis.lines} for axis in figure.axes]
    assert of_panels[0]['BoTorch'] == of_panels[1]['BoTorch'] != of_panels[1]['random']
    assert known.get_ylim() == black_box.get_ylim()
    assert 'prior known: ours 0.5; BoTorch 0.5. black box: random 1; BoTorch 0.5.' in figure.alt


@pytest.mark.parametrize('names', [(), ('curves_ten_dimensions',)])
def test_regret_curves_that_were_measured(names):
    panels = load_regret_curves(*names)

    assert 'ours' in panels['prior known'] and {'random', "GPyOpt, article's settings"} <= set(panels['black box'])
    for interval in (interval for curves in panels.values() for interval in curves.values()):
        assert interval.shape == (52, 3) and (np.diff(interval, axis=1) >= 0).all()
        assert (np.diff(interval[:, 1]) <= 0).all()


def test_regret_curves_that_are_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match='make bench'):
        load_regret_curves('curves', tmp_path)
    header = 'method,evaluations,low,median,high,knowledge\n'
    (tmp_path / 'curves.csv').write_text(header + 'ours,1,low,2,3,black box\n')
    with pytest.raises(ValueError, match='curves.csv is damaged'):
        load_regret_curves('curves', tmp_path)
    (tmp_path / 'other.csv').write_text(header + 'ours,1,1,2,3,black box\n')
    np.testing.assert_array_equal(load_regret_curves('other', tmp_path)['black box']['ours'], [[1, 2, 3]])
