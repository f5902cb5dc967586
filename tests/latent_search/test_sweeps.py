"""Many searches, in this process and in others."""

import numpy as np
import pytest
from helpers import SQUARE, numbers_of, quadratic

from latent_search import create_optimizer, run_searches
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
