"""GPyOpt's faults, which are worked around, and the article's settings."""

import subprocess
import sys

import numpy as np
import pytest
from helpers import SQUARE, points_of, quadratic, run, search_with, told

from latent_search import create_optimizer
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
    x = np.repeat([[1.0, 1.0], [-2.0, 3.0], [0.0, -1.0]], 3, axis=0)
    search = search_with(x, quadratic(x), objective=quadratic, published=published)

    search.run_optimization(1 if published else 12)

    assert len(search.X) == (10 if published else 21) and np.isfinite(search.Y).all()
    assert published or search.Y.min() < 0.1


@pytest.mark.parametrize('value', [1.0, *(pytest.param(value, marks=pytest.mark.slow) for value in (0.0, -1e6))])
def test_budget_is_spent_where_the_objective_is_constant(value, published):
    max_iter = 1 if published else 4
    search = run(lambda t: np.full((1, 1), value), max_iter=max_iter, published=published)

    assert len(np.unique(search.X, axis=0)) == search.num_starting_points + max_iter
    assert all(np.isfinite(values).all() for values in search.posterior(np.zeros((1, 2))))


def test_failed_fit_is_logged_and_the_budget_is_spent(monkeypatch, caplog):
    """GPyOpt's own loop ends in silence where a fit fails, or with AttributeError under NumPy 2."""
    gpyopt = import_gpyopt()
    update = gpyopt.models.GPModel.updateModel

    def failing_update(model, x, *arguments):
        if len(x) == 3:
            raise np.linalg.LinAlgError('not positive definite, even with jitter.')
        update(model, x, *arguments)

    monkeypatch.setattr(gpyopt.models.GPModel, 'updateModel', failing_update)

    search = run(max_iter=2, published=True)

    assert search.X.shape == (4, 2)
    assert [record.name for record in caplog.records] == ['latent_search.search']
    assert 'No Gaussian process can be fitted to these 3 evaluations' in caplog.text


def test_random_points_differ_after_failures_and_beside_pending_ones(monkeypatch, caplog):
    """Those of the article's start, and those where no Gaussian process can be fitted."""
    published = create_optimizer(None, SQUARE, published=True)
    for _ in range(3):
        published.tell_failed(published.ask()[0].number)
    assert len(np.unique(published.failed, axis=0)) == 3

    def no_fit(*_):
        raise np.linalg.LinAlgError('not positive definite')

    search = told(6)
    monkeypatch.setattr(import_gpyopt().methods.ModularBayesianOptimization, 'suggest_next_locations', no_fit)
    search.ask(3)
    search.tell_failed(8)
    search.ask(2)
    assert len(np.unique(points_of(search.pending), axis=0)) == 4
    assert caplog.text.count('No Gaussian process can be fitted to these 6 evaluations') == 5


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


@pytest.mark.slow
def test_first_import_is_quiet_where_packages_were_not_compiled(tmp_path):
    done = subprocess.run([sys.executable, '-X', f'pycache_prefix={tmp_path}', '-c',
                           'from latent_search.gpyopt_engine import import_gpyopt; import_gpyopt()'],
                          capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, '')
