"""GPyOpt's faults, which are worked around, and the article's settings."""


import numpy as np
import pytest
from helpers import SQUARE, points_of, quadratic, run, told
from scipy.stats import norm

from latent_search import create_grid, create_optimizer
from latent_search.gpyopt_engine import import_gpyopt


def test_budget_is_spent_where_proposals_coincide(monkeypatch, published):
    """GPyOpt's own loop stops without a word where two consecutive proposals lie within 1e-8."""
    same = np.array([[1.0, 1.0]])
    gpyopt = import_gpyopt()
    method = 'BayesianOptimization' if published else 'ModularBayesianOptimization'
    monkeypatch.setattr(getattr(gpyopt.methods, method), 'suggest_next_locations', lambda _: same)

    search = run(max_iter=6, published=published)

    np.testing.assert_array_equal(search.X[-6:], np.tile(same, (6, 1)))


def test_duplicate_points(published):
    search = create_optimizer(quadratic, SQUARE, published=published)
    search.X = np.repeat([[1.0, 1.0], [-2.0, 3.0], [0.0, -1.0]], 3, axis=0)
    search.Y = quadratic(search.X)

    search.run_optimization(15)

    assert len(search.X) == 24 and search.Y.min() < 0.1


@pytest.mark.parametrize('value', [0.0, 1.0, -1e6])
def test_budget_is_spent_where_the_objective_is_constant(value, published):
    search = run(lambda t: np.full((1, 1), value), max_iter=4, published=published)

    assert len(np.unique(search.X, axis=0)) == search.num_starting_points + 4
    assert all(np.isfinite(values).all() for values in search.posterior(np.zeros((1, 2))))


def test_failed_fit_is_said_and_the_budget_is_spent(monkeypatch, capsys):
    """GPyOpt's own loop ends in silence where a fit fails, or with AttributeError under NumPy 2."""
    gpyopt = import_gpyopt()
    update = gpyopt.models.GPModel.updateModel

    def failing_update(model, x, *settings):
        if len(x) == 4:
            raise np.linalg.LinAlgError('not positive definite, even with jitter.')
        update(model, x, *settings)

    monkeypatch.setattr(gpyopt.models.GPModel, 'updateModel', failing_update)

    search = run(max_iter=4, published=True)

    assert search.X.shape == (6, 2)
    assert capsys.readouterr().out.count('No Gaussian process can be fitted to these 4 evaluations') == 1


def test_published_posterior_is_in_units_of_the_objective():
    search = run(lambda t: 1000 + 50 * quadratic(t), max_iter=10, published=True)
    gx, _, t = create_grid(SQUARE, points=9)

    mean, std, ei = search.posterior(t)
    at_data, std_at_data, _ = search.posterior(search.X)

    assert mean.shape == std.shape == ei.shape == (81, 1)
    np.testing.assert_allclose(at_data, search.Y, rtol=0.01)
    assert std_at_data.max() < std.max()
    # Expected improvement on the lowest posterior mean, with jitter 0.01 stds of Y, from its closed form.
    improvement = at_data.min() - mean - 0.01 * search.Y.std()
    u = improvement / std
    expected = improvement * norm.cdf(u) + std * norm.pdf(u)
    np.testing.assert_allclose(ei, expected, rtol=0.05, atol=1e-3 * expected.max())


def test_random_points_differ_after_failures_and_beside_pending_ones(monkeypatch, capsys):
    """Those of the article's start, and those where no Gaussian process can be fitted."""
    published = create_optimizer(None, SQUARE, published=True)
    for _ in range(3):
        published.tell_failed(published.ask()[0].number)
    assert len(np.unique(published.failed, axis=0)) == 3

    def no_fit(*_):
        raise np.linalg.LinAlgError('not positive definite')

    search = told(6)
    monkeypatch.setattr(GaussianProcess, 'updateModel', no_fit)
    search.ask(3)
    search.tell_failed(8)
    search.ask(2)
    assert len(np.unique(points_of(search.pending), axis=0)) == 4
    assert capsys.readouterr().out.count('No Gaussian process can be fitted to these 6 evaluations') == 5


@pytest.mark.parametrize('q', [1, 2])
def test_the_articles_settings_know_no_pending_experiments(q):
    search = create_optimizer(None, SQUARE, published=True)
    (number, t), = search.ask()

    for step in (lambda: search.ask(q), search.suggest_next_locations):
        with pytest.raises(ValueError, match="The article's settings propose one experiment at a time"):
            step()
    assert len(search.pending) == 1
    search.tell(number, quadratic(t))
    assert search.ask()[0].number == 2


def test_the_articles_settings_refuse_a_batch_as_a_whole():
    search = create_optimizer(None, SQUARE, published=True)

    with pytest.raises(ValueError, match='one experiment at a time'):
        search.ask(2)
    assert search.pending == []
