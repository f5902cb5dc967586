"""Experiments are proposed only where a function says that they are feasible."""

import numpy as np
import pytest
from helpers import SQUARE, quadratic

from latent_search import create_optimizer
from latent_search.feasible import feasible_points

PARTS = {'simplex': (20, lambda u: u.sum(axis=1) <= 1),
         'ball': (8, lambda u: ((u - 0.5) ** 2).sum(axis=1) <= 0.09),
         'ring': (2, lambda u: np.abs(np.linalg.norm(u - 0.5, axis=1) - 0.4) <= 0.01),
         'thin shell': (5, lambda u: np.abs(np.linalg.norm(u - 0.5, axis=1) - 0.4) <= 5e-4),
         'two corners': (3, lambda u: (u < 0.1).all(axis=1) | (u > 0.9).all(axis=1))}


@pytest.mark.parametrize('part', PARTS)
@pytest.mark.parametrize('settings', [{}, *(pytest.param(settings, marks=pytest.mark.slow) for settings in (
    {'noisy': True}, {'lower_bound': lambda t: np.full((len(t), 1), -9.0)}))], ids=' '.join)
def test_no_experiment_is_wasted(part, settings):
    d, feasible = PARTS[part]
    search = create_optimizer(lambda t: -t[0, 0] + t[0, 1:].sum() / 10, [(0, 1)] * d, **settings, feasible=feasible)

    search.run(14)
    search.ask(3)

    assert len(search.X) == 14 and feasible(np.vstack((search.X, *(t for _, t in search.pending)))).all()
    assert len(np.unique(search.X, axis=0)) == 14


@pytest.mark.parametrize('part', PARTS)
def test_points_are_all_over_the_part(part):
    d, feasible = PARTS[part]

    points = feasible_points(feasible, np.empty((0, d)), 200, np.random.RandomState(1))

    assert points.shape == (200, d) and feasible(points).all()
    if part == 'two corners':
        assert 0.05 < (points < 0.1).all(axis=1).mean() < 0.95
    elif part == 'simplex':
        assert points.sum(axis=1).max() > 0.9
    else:
        assert (np.ptp(points, axis=0) > 0.35).all()


def test_an_optimum_at_the_border_of_the_part_is_found():
    """Of −x − y where x + y ≤ 1: any point of the line."""
    for seed in range(2):
        search = create_optimizer(lambda t: -t.sum() + (t[0, 0] - 0.3) ** 2, [(0, 1)] * 2, seed,
                                  feasible=lambda t: t.sum(axis=1) <= 1)
        search.run(25)

        assert search.fx_opt < -0.995


def test_where_no_feasible_point_is_found_one_is_asked_for(path):
    center = np.full(8, 0.123)

    def feasible(t):
        return np.abs(t - center).max(axis=1) < 1e-3

    search = create_optimizer(lambda t: ((t - center) ** 2).sum(), [(0, 1)] * 8, feasible=feasible, journal=path)
    with pytest.raises(ValueError, match='No feasible point was found.*Add one with add_known'):
        search.run(10)
    search.add_known([center + 5e-4], [[8 * 5e-4 ** 2]])
    search.run(10)

    assert feasible(search.X).all() and len(search.X) == 10


def test_after_failures_too():
    search = create_optimizer(None, SQUARE, feasible=lambda t: t[:, 0] > 1)
    for i in range(12):
        (number, t), = search.ask()
        if i % 3 == 1:
            search.tell_failed(number)
        else:
            search.tell(number, quadratic(t))

    assert (np.vstack((search.X, search.failed))[:, 0] > 1).all()


@pytest.mark.parametrize('feasible', [lambda t: t > 0, lambda t: t[:, :1] > 0, lambda t: t[:, 0],
                                      lambda t: True, lambda t: None])
def test_another_form_is_refused_at_once(feasible):
    with pytest.raises(ValueError, match=r'feasible must return booleans with shape \(n,\)'):
        create_optimizer(None, SQUARE, feasible=feasible)


@pytest.mark.parametrize('name', ['feasible', 'lower_bound', 'prediction'])
def test_what_is_no_function_is_refused_at_once(name):
    with pytest.raises(ValueError, match=f'{name} must be a function of points'):
        create_optimizer(None, SQUARE, **{name: 1})


def test_known_results_elsewhere_are_taken():
    search = create_optimizer(None, SQUARE, feasible=lambda t: t[:, 0] > 1)
    search.add_known([[-1.0, 1.0]] + [[x, 1.0] for x in np.linspace(0, 4, 7)], np.arange(8.0)[:, np.newaxis])

    assert search.ask()[0].t[0, 0] > 1 and len(search.X) == 8
