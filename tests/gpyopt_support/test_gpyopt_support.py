"""GPyOpt's faults, and how each is worked around."""

import subprocess
import sys

import numpy as np
import pytest
from GPyOpt.methods import BayesianOptimization
from helpers import quadratic
from paramz import Model
from threadpoolctl import threadpool_info, threadpool_limits

import gpyopt_support
from latent_search import Interrupted

BOUNDS = [{'name': f't{i}', 'type': 'continuous', 'domain': (-4.0, 4.0)} for i in (1, 2)]


def create(objective=quadratic):
    """The article's own call."""
    return BayesianOptimization(f=objective, domain=BOUNDS, model_type='GP', acquisition_type='EI',
                                acquisition_jitter=0.01, initial_design_numdata=2, exact_feval=False)


def search(seed=0, max_iter=2, objective=quadratic):
    with gpyopt_support.settings(seed):
        optimizer = create(objective)
        gpyopt_support.run_optimization(optimizer, max_iter)
    return optimizer


def failing(error, function=quadratic, after=4):
    """A function that raises an error after some calls."""
    calls = []

    def fails(*arguments, **options):
        calls.append(arguments)
        if len(calls) > after:
            raise error
        return function(*arguments, **options)

    return fails


IMPORT = """
import warnings
import scipy.sparse, scipy.stats  # Each has a filter for a warning of its own.
import matplotlib.pyplot, tqdm
warnings.simplefilter('default')
before = list(warnings.filters), warnings.formatwarning
import gpyopt_support
from GPyOpt.methods import BayesianOptimization
assert (list(warnings.filters), warnings.formatwarning) == before
warnings.warn('still heard', DeprecationWarning)
"""


def test_importing_leaves_warnings_alone_and_shows_none_of_the_packages(tmp_path):
    """The packages are read from their source."""
    done = subprocess.run([sys.executable, '-X', f'pycache_prefix={tmp_path}', '-c', IMPORT], capture_output=True,
                          text=True)

    assert (done.returncode, done.stdout) == (0, ''), done.stderr
    assert 'SyntaxWarning' not in done.stderr and 'DeprecationWarning: still heard' in done.stderr


def test_same_seed_same_search_whatever_ran_before():
    first = search(seed=3)
    other = search(seed=4)
    np.random.random(100)

    np.testing.assert_array_equal(search(seed=3).X, first.X)
    assert first.X.shape == (4, 2) and not np.allclose(other.X, first.X)


@pytest.mark.parametrize('error', [None, ZeroDivisionError()])
def test_the_process_is_as_before_after_settings(error):
    np.random.seed(0)
    before = str(np.random.get_state(legacy=False)), np.geterr()

    with threadpool_limits(2):
        threads = [pool['num_threads'] for pool in threadpool_info()]
        try:
            with gpyopt_support.settings(1):
                np.random.random(3)
                assert {pool['num_threads'] for pool in threadpool_info()} == {1}
                if error is not None:
                    raise error
        except ZeroDivisionError:
            pass
        assert [pool['num_threads'] for pool in threadpool_info()] == threads

    assert (str(np.random.get_state(legacy=False)), np.geterr()) == before


def test_drawing_is_seeded_too():
    """GPyOpt fits the model again where it draws it."""
    optimizer = search()
    np.random.seed(0)
    before = str(np.random.get_state(legacy=False))

    suggested = []
    for _ in range(2):
        with gpyopt_support.settings(5):
            optimizer.plot_acquisition()
            suggested.append(np.random.random())

    assert suggested[0] == suggested[1] and str(np.random.get_state(legacy=False)) == before


def test_a_search_is_quiet(recwarn, capfd):
    """Where a start of a fit overflows, as GPy's do."""
    with gpyopt_support.settings(0):
        np.exp(np.array(1e4))
    search()

    assert [str(warning.message) for warning in recwarn] == [] and capfd.readouterr().err == ''


def test_progress_shows_the_best_value(capsys):
    optimizer = search()

    said = capsys.readouterr().out
    assert '2/2' in said and f'best={optimizer.Y.min():.4g}' in said
    assert 'evaluate_objective' not in vars(optimizer)


def test_a_search_goes_on_where_points_coincide(monkeypatch):
    monkeypatch.setattr(BayesianOptimization, '_compute_next_evaluations', lambda _: np.ones((1, 2)))

    assert search(max_iter=5).X[2:].tolist() == [[1, 1]] * 5


def test_the_figure_of_the_acquisition_has_a_title_and_a_text():
    optimizer = search()
    with gpyopt_support.settings(0):
        figure = gpyopt_support.plot_acquisition(optimizer, 'After 4 evaluations')

    assert figure.get_suptitle() == 'After 4 evaluations' and figure.alt.startswith('After 4 evaluations. Three maps')
    assert [axis.get_title() for axis in figure.axes if axis.get_title()] == [
        'Posterior mean', 'Posterior sd.', 'Acquisition function']


@pytest.mark.parametrize('names', ['those of this NumPy', 'those of NumPy 1'])
def test_an_end_where_a_fit_fails_is_an_error(names, monkeypatch):
    with gpyopt_support.settings(0):
        optimizer = create()
        update = optimizer.model.updateModel
        optimizer.model.updateModel = failing(np.linalg.LinAlgError('not positive definite'), update, after=2)
        if names == 'those of NumPy 1':
            monkeypatch.setattr(np.linalg, 'linalg', np.linalg, raising=False)
        with pytest.raises(RuntimeError, match='after 4 of 7 evaluations, as no Gaussian process can be fitted'):
            gpyopt_support.run_optimization(optimizer, 5)

    assert optimizer.X.shape == (4, 2) and optimizer.Y.shape == (4, 1)


@pytest.mark.parametrize('error', [ValueError('the oven is out'), AttributeError('the oven has no door')])
def test_errors_of_an_objective_are_its_own_and_lose_nothing(error):
    with gpyopt_support.settings(0):
        optimizer = create(failing(error))
        with pytest.raises(type(error), match='the oven'):
            gpyopt_support.run_optimization(optimizer, 5)

    assert optimizer.X.shape == (4, 2) and optimizer.Y.shape == (4, 1)


def test_errors_of_a_fit_are_its_own(monkeypatch):
    monkeypatch.setattr(Model, 'optimize', failing(ValueError('not finite'), Model.optimize))

    with pytest.raises(ValueError, match='not finite'):
        search()


@pytest.mark.parametrize('where', ['evaluation', 'fit'])
def test_an_interrupt_says_what_is_kept(where, monkeypatch, capsys):
    objective = failing(KeyboardInterrupt()) if where == 'evaluation' else quadratic
    with gpyopt_support.settings(0):
        optimizer = create(objective)
        if where == 'fit':
            # A fit has five starts.
            optimize = failing(KeyboardInterrupt(), Model.optimize, after=12)
            monkeypatch.setattr(Model, 'optimize', lambda *arguments: optimize(*arguments))
        with pytest.raises(Interrupted, match=r'The 4 evaluations of this search are kept in optimizer.X and '
                                              r'.Y. run_optimization\(optimizer, 3\) continues it'):
            gpyopt_support.run_optimization(optimizer, 5)

        assert optimizer.X.shape == (4, 2) and 'caught' not in capsys.readouterr().out
        monkeypatch.undo()
        optimizer.f = optimizer.objective.func = quadratic
        gpyopt_support.run_optimization(optimizer, 3)
    assert optimizer.X.shape == (7, 2)
