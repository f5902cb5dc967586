"""Many searches: in this process, in others, and on the workers of a Dask cluster."""

import os

import joblib
import numpy as np
import pytest
from helpers import SQUARE, quadratic

from latent_search import create_optimizer, run_searches


def fragile_search(target, seed):
    def objective(t):
        if target == 1 and seed == 1 and t[0, 0] > 0:
            raise RuntimeError('the oven is out')
        return quadratic(t) + target

    return create_optimizer(objective, SQUARE, seed)


@pytest.mark.parametrize('n_jobs', [1, 2])
def test_many_searches(n_jobs, capsys):
    searches = run_searches(fragile_search, targets=[0, 1], seeds=[0, 1], max_iter=4, n_jobs=n_jobs)

    said = capsys.readouterr().out
    assert list(searches) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for (target, seed), search in searches.items():
        if (target, seed) == (1, 1):
            assert search.error == 'RuntimeError: the oven is out' and len(search.X) < 10
            assert f'The search for 1 with seed 1 failed after {len(search.X)} evaluations: RuntimeError' in said
            np.testing.assert_allclose(search.Y, quadratic(search.X) + 1)
        else:
            assert search.error is None and len(search.X) == 10
            alone = fragile_search(target, seed)
            alone.run_optimization(4)
            np.testing.assert_allclose(search.X, alone.X)


def test_many_searches_have_no_journal(tmp_path):
    def search_for(target, seed):
        return create_optimizer(quadratic, SQUARE, seed, journal=tmp_path / f'{target}-{seed}.csv')

    with pytest.raises(ValueError, match='A journal belongs to one process'):
        run_searches(search_for, [0], [0, 1], max_iter=1)


def square(t):
    return (t ** 2).sum(axis=1, keepdims=True)


def where_it_runs(target, seed):
    def objective(t):
        if target == 1:
            raise RuntimeError(f'process {os.getpid()}')
        return square(t)

    return create_optimizer(objective, SQUARE, seed)


def test_searches_on_a_local_cluster(pretrained):
    decoder, classifier = pretrained['vae-predictor-softmax'].get_layer('decoder'), pretrained['classifier']

    def search_for(target, seed):
        return create_optimizer(create_nll(decoder, classifier, target), SQUARE, seed, prior)

    # Joblib does not hand searches to a cluster of one worker.
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, \
            distributed.Client(cluster), joblib.parallel_config('dask'):
        searches = run_searches(search_for, targets=[4], seeds=[0, 1], max_iter=4)
        others = run_searches(where_it_runs, targets=[0, 1], seeds=[0], max_iter=2)

    for (target, seed), search in searches.items():
        here = search_for(target, seed)
        here.run_optimization(4)
        assert search.error is None
        np.testing.assert_allclose(search.X, here.X, atol=1e-3)
    assert others[0, 0].error is None and len(others[0, 0].X) == 8
    assert others[1, 0].error.startswith('RuntimeError: process ')
    assert others[1, 0].error != f'RuntimeError: process {os.getpid()}'


def experiment(number, t):
    return number, square(t)[0, 0], os.getpid()


def test_evaluations_of_one_search_on_a_local_cluster():
    """As the notebook on results from outside does it: the search stays here."""
    search, processes = create_optimizer(None, SQUARE), set()

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, \
            distributed.Client(cluster), joblib.parallel_config('dask'):
        while len(search.Y) < 24:
            tasks = [joblib.delayed(experiment)(*proposal) for proposal in search.ask(4)]
            for number, value, process in joblib.Parallel(n_jobs=2, return_as='generator_unordered')(tasks):
                search.tell(number, value)
                processes.add(process)

    assert len(search.X) == 24 and search.pending == [] and search.Y.min() < 0.01
    assert processes and os.getpid() not in processes
