"""Evaluations that a Gaussian process can hardly be fitted to, or not at all."""

import numpy as np
import pytest
from helpers import points_of, quadratic, run, search_with, told


def test_duplicate_points():
    x = np.repeat([[1.0, 1.0], [-2.0, 3.0], [0.0, -1.0]], 3, axis=0)
    search = search_with(x, quadratic(x), objective=quadratic)

    search.run_optimization(12)

    assert len(search.X) == 21 and np.isfinite(search.Y).all()
    assert search.Y.min() < 0.1


@pytest.mark.parametrize('value', [1.0, *(pytest.param(value, marks=pytest.mark.slow) for value in (0.0, -1e6))])
def test_budget_is_spent_where_the_objective_is_constant(value):
    search = run(lambda t: np.full((1, 1), value), max_iter=4)

    assert len(np.unique(search.X, axis=0)) == 10
    assert all(np.isfinite(values).all() for values in search.posterior(np.zeros((1, 2))))


def test_failed_fits_are_logged_and_random_points_differ(monkeypatch, caplog):
    """After failed experiments and beside pending ones too."""
    def no_fit(*_):
        raise np.linalg.LinAlgError('not positive definite')

    search = told(6)
    monkeypatch.setattr('latent_search.proposals.Model', no_fit)
    search.ask(3)
    search.tell_failed(8)
    search.ask(2)

    assert len(np.unique(points_of(search.pending), axis=0)) == 4
    assert {record.name for record in caplog.records} == {'latent_search.proposals'}
    assert caplog.text.count('No Gaussian process can be fitted to these 6 evaluations') == 5
