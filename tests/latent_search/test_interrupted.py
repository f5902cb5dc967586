"""An interrupt says what is kept and how to continue, and what it says is true."""

import subprocess
import sys

import numpy as np
import pytest
from helpers import SQUARE, assert_same, quadratic, run, snapshot

from latent_search import Interrupted, create_optimizer, interruptible, run_searches


class Interrupting:
    """An objective that is interrupted once, at its evaluation `at`."""

    def __init__(self, at):
        self.left = at

    def __call__(self, t):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return quadratic(t)


@pytest.mark.parametrize('at', [3, 6, 7, 9])
def test_rest_of_an_interrupted_optimization(at):
    search = create_optimizer(Interrupting(at), SQUARE)

    with pytest.raises(Interrupted) as interrupted:
        search.run_optimization(4)
    assert str(interrupted.value).startswith(f'The {at - 1} evaluations of this search are kept in X and Y. ')
    call, rest = str(interrupted.value).split('. ')[1].split(' ', 1)
    assert rest == 'continues it.'

    eval(f'search.{call}', {'search': search})
    assert_same(snapshot(search), snapshot(run(max_iter=4)))


@pytest.mark.parametrize('failures, call', [((), 'run(9)'), (RuntimeError, 'run(9, ...)')])
def test_rest_of_an_interrupted_run(failures, call, path):
    search = create_optimizer(Interrupting(5), SQUARE, journal=path)

    with pytest.raises(Interrupted) as interrupted:
        search.run(9, failures)
    assert str(interrupted.value) == (f'The 4 evaluations of this search are kept in X and Y and in {path}. '
                                      f'{call} continues it.')
    search.run(9, failures)
    assert_same(snapshot(search), snapshot(run(max_iter=3)))


def test_interrupted_searches_with_journals_continue(tmp_path):
    objectives = {0: quadratic, 1: Interrupting(4)}
    evaluated = []

    def optimizer_for(target, seed):
        def objective(t):
            evaluated.append(target)
            return objectives[target](t)

        return create_optimizer(objective, SQUARE, seed, journal=tmp_path / f'{target}.csv')

    with pytest.raises(Interrupted, match='1 of 2 searches had finished. The same call continues searches that have'):
        run_searches(optimizer_for, targets=[0, 1], seeds=[0], max_iter=1)
    assert evaluated == [0] * 7 + [1] * 4
    searches = run_searches(optimizer_for, targets=[0, 1], seeds=[0], max_iter=1)

    assert evaluated == [0] * 7 + [1] * 4 + [1] * 4
    for search in searches.values():
        assert_same(snapshot(search), snapshot(run(max_iter=1)))


def test_innermost_sentence_is_kept():
    with pytest.raises(Interrupted, match='inner'), interruptible(lambda: 'outer'), interruptible(lambda: 'inner'):
        raise KeyboardInterrupt


def test_other_exceptions_pass():
    with pytest.raises(ZeroDivisionError), interruptible(lambda: 'kept'):
        1 / 0  # noqa: B018


def test_an_interrupt_at_the_terminal_ends_a_script():
    code = ('from latent_search import interruptible\n'
            'with interruptible(lambda: "All is kept."):\n    raise KeyboardInterrupt\n')

    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)

    assert done.returncode != 0 and done.stderr.splitlines()[-1].endswith('Interrupted: All is kept.')


def test_ipython_shows_the_sentence_only(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    def interrupted():
        with interruptible(lambda: 'All is kept.'):
            raise KeyboardInterrupt

    shell = InteractiveShell.instance()
    shell.user_ns['interrupted'] = interrupted
    result = shell.run_cell('interrupted()')

    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    printed, _ = capsys.readouterr()
    assert printed.strip() == 'Interrupted. All is kept.'


def test_warnings_of_an_objective_are_shown_once(recwarn):
    """At each place in the code, as Python does; a search leaves the filters and their registry alone."""
    import warnings

    def objective(t):
        warnings.warn('The lamp is old.', UserWarning, stacklevel=1)
        return quadratic(t)

    warnings.simplefilter('default')
    search = create_optimizer(objective, SQUARE)
    search.run_optimization(2)
    assert [str(warning.message) for warning in recwarn] == ['The lamp is old.']
    assert np.isfinite(search.Y).all()
