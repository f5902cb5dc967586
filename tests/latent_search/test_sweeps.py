"""Many searches, in this process and in others."""

import os
import signal

import joblib
import numpy as np
import pytest
from helpers import SQUARE, numbers_of, quadratic

from latent_search import Interrupted, create_optimizer, run_searches
from latent_search.figures import plot_experiments


def fragile_search(target, seed):
    def objective(t):
        if target == 1 and seed == 1 and t[0, 0] > 0:
            raise RuntimeError('the oven is out')
        return quadratic(t) + target

    return create_optimizer(objective, SQUARE, seed)


@pytest.mark.parametrize('n_jobs', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_many_searches(n_jobs, capsys, caplog):
    searches = run_searches(fragile_search, targets=[0, 1], seeds=[0, 1], max_iter=4, n_jobs=n_jobs)

    assert list(searches) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for (target, seed), search in searches.items():
        if (target, seed) == (1, 1):
            assert search.error == 'RuntimeError: the oven is out' and len(search.X) < 10
            np.testing.assert_allclose(search.Y, quadratic(search.X) + 1)
        else:
            assert search.error is None and len(search.X) == 10
            alone = fragile_search(target, seed)
            alone.run_optimization(4)
            np.testing.assert_allclose(search.X, alone.X)
    message, = (record.getMessage() for record in caplog.records if record.name == 'latent_search.sweeps')
    assert message == (f'The search for 1 with seed 1 failed after {len(searches[1, 1].X)} evaluations: '
                       'RuntimeError: the oven is out')
    assert 'failed' not in capsys.readouterr().out


@pytest.mark.parametrize('n_jobs', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_searches_come_back_with_their_events(n_jobs):
    searches = run_searches(fragile_search, targets=[1], seeds=[0, 1], max_iter=1, n_jobs=n_jobs)

    whole, ended = searches.values()
    assert [event.status for event in whole.events] == ['proposed', 'done'] * 7 and whole.pending == []
    # The experiment that ended the search has no result.
    assert [event.status for event in ended.events] == ['proposed', 'done'] * len(ended.X) + ['proposed']
    assert numbers_of(ended.pending) == [len(ended.X) + 1] and ended.pending[0].t[0, 0] > 0
    assert len(ended.failed) == 0
    for search in (whole, ended):
        lines = {line.get_label(): line for line in plot_experiments(search.events, '').axes[0].lines}
        np.testing.assert_array_equal(lines['experiment'].get_ydata(), search.Y[:, 0])
    ended.tell_failed(len(ended.X) + 1)
    np.testing.assert_array_equal(ended.failed[:, 0] > 0, [True])
    alone = fragile_search(1, 0)
    alone.run_optimization(1)
    np.testing.assert_array_equal(whole.suggest_next_locations(), alone.suggest_next_locations())


def test_searches_with_journals_of_their_own_continue_where_they_were(tmp_path):
    evaluated = []

    def optimizer_for(target, seed):
        def objective(t):
            evaluated.append(seed)
            return quadratic(t)

        return create_optimizer(objective, SQUARE, seed, journal=tmp_path / f'{target}-{seed}.csv')

    first = run_searches(optimizer_for, [0], [0, 1], max_iter=0)
    for search in first.values():
        search.close()
    again = run_searches(optimizer_for, [0], [0, 1, 2], max_iter=1)

    # Six starting points each, and one proposal; of the first two searches the six are known.
    assert evaluated == [0] * 6 + [1] * 6 + [0, 1] + [2] * 7
    assert [len(search.X) for search in again.values()] == [7, 7, 7]
    for key, search in first.items():
        np.testing.assert_array_equal(again[key].X[:6], search.X)


@pytest.mark.parametrize('targets, seeds, name', [(4, [0], 'targets'), ([4], 0, 'seeds')])
def test_targets_and_seeds_are_lists(targets, seeds, name):
    with pytest.raises(ValueError, match=rf'{name} must be a list, such as \['):
        run_searches(fragile_search, targets, seeds, max_iter=1)


class UnreadableError(Exception):
    def __str__(self):
        raise ValueError


FAULTS = {'exit': (SystemExit(3), 'SystemExit: 3'), 'text': (UnreadableError(), 'UnreadableError'),
          'memory': (MemoryError('none left'), 'MemoryError: none left'),
          'generator': (GeneratorExit(), 'GeneratorExit: ')}


@pytest.mark.parametrize('fault', FAULTS)
def test_whatever_an_objective_raises_the_others_go_on(fault, tmp_path):
    raised, error = FAULTS[fault]

    def optimizer_for(target, seed):
        def objective(t):
            if target == 1:
                raise raised
            return quadratic(t)

        return create_optimizer(objective, SQUARE, seed, journal=tmp_path / f'{target}.csv')

    for _ in range(2):
        searches = run_searches(optimizer_for, range(3), [0], 1)
        assert [(len(search.X), search.error) for search in searches.values()] == [(7, None), (0, error), (7, None)]


def test_a_search_that_cannot_be_created_ends_no_other(tmp_path, caplog):
    (tmp_path / '1.csv').write_text('rubbish')

    def optimizer_for(target, seed):
        if target == 2:
            return None
        return create_optimizer(quadratic, SQUARE, seed, journal=tmp_path / f'{target}.csv')

    searches = run_searches(optimizer_for, range(4), [0], 1)

    assert [len(search.X) for search in searches.values()] == [7, 0, 0, 7]
    assert '1.csv, line 1: the columns must be' in searches[1, 0].error
    assert searches[2, 0].error == 'TypeError: optimizer_for must return a search, got None'
    assert searches[1, 0].fx_opt is None and searches[1, 0].events == () and searches[1, 0].Y.shape == (0, 1)
    assert caplog.text.count('failed after 0 evaluations') == 2


def test_an_interrupt_in_this_process_is_one_of_the_sweep():
    def optimizer_for(target, seed):
        def objective(t):
            if target == 1:
                raise KeyboardInterrupt
            return quadratic(t)

        return create_optimizer(objective, SQUARE, seed)

    with pytest.raises(Interrupted, match='1 of 3 searches had finished'):
        run_searches(optimizer_for, range(3), [0], 1)


@pytest.mark.parametrize('targets, message', [([0, 1, 0], 'targets must be different from each other'),
                                              (np.eye(2), r'values that can be keys of a dict.*map\(tuple'),
                                              ([[0, 1]], 'values that can be keys of a dict')])
def test_targets_that_cannot_be_told_apart_are_refused_at_once(targets, message):
    def optimizer_for(target, seed):
        raise AssertionError('No search is created.')

    with pytest.raises(ValueError, match=message):
        run_searches(optimizer_for, targets, [0], 1)


def optimizer_in(folder):
    def optimizer_for(target, seed):
        def objective(t):
            if target == 1 and t[0, 0] > 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return quadratic(t)

        return create_optimizer(objective, SQUARE, seed, journal=folder / f'{target}.csv')

    return optimizer_for


@pytest.mark.slow
def test_the_same_call_in_processes_goes_on(tmp_path):
    """Again and again in this process, which keeps no journal open."""
    def optimizer_for(target, seed):
        return create_optimizer(quadratic, SQUARE, seed, journal=tmp_path / f'{target}-{seed}.csv')

    descriptors = len(os.listdir('/proc/self/fd'))
    for max_iter in (0, 0, 2):
        searches = run_searches(optimizer_for, range(3), range(2), max_iter, n_jobs=2)
        assert [len(search.X) for search in searches.values()] == [6 + max_iter] * 6
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
    assert len(os.listdir('/proc/self/fd')) <= descriptors + 4
    create_optimizer(None, SQUARE, journal=tmp_path / '0-0.csv').ask()


@pytest.mark.slow
def test_a_killed_process_ends_no_other_search_and_the_same_call_goes_on(tmp_path):
    """Each point that kills counts as a failure, so that the search ends after a few calls."""
    for _ in range(12):
        searches = run_searches(optimizer_in(tmp_path), range(4), [0], 4, n_jobs=2)
        assert [len(searches[target, 0].X) for target in (0, 2, 3)] == [10] * 3
        if searches[1, 0].error is None:
            break
        assert 'its process was killed' in searches[1, 0].error and 'counts as failed' in searches[1, 0].error
        assert searches[1, 0].pending == []

    assert len(searches[1, 0].X) == 10 and (searches[1, 0].failed[:, 0] > 2).all() and len(searches[1, 0].failed)
