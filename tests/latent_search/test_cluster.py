"""Searches on the workers of a Dask cluster: the extra `dask`, which `make test-all` installs."""

import os

import joblib
import numpy as np
import pytest
from helpers import SQUARE

from latent_search import create_optimizer, run_searches

pytestmark = pytest.mark.slow
distributed = pytest.importorskip('distributed', reason="needs pip install -e '.[dask]'")


def square(t):
    return (t ** 2).sum(axis=1, keepdims=True)


def where_it_runs(target, seed):
    def objective(t):
        if target == 1:
            raise RuntimeError(f'process {os.getpid()}')
        return square(t)

    return create_optimizer(objective, SQUARE, seed)


def test_searches_on_a_local_cluster(pretrained):
    from digits.objectives import create_decode_classify, create_nll, nll_prior

    decoder, classifier = pretrained['vae-predictor-softmax'].get_layer('decoder'), pretrained['classifier']
    reader = create_decode_classify(decoder, classifier)

    def optimizer_for(target, seed):
        return create_optimizer(create_nll(reader, target), SQUARE, seed, lower_bound=nll_prior)

    # Joblib does not hand searches to a cluster of one worker.
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, \
            distributed.Client(cluster), joblib.parallel_config('dask'):
        searches = run_searches(optimizer_for, targets=[4], seeds=[0, 1], max_iter=4)
        others = run_searches(where_it_runs, targets=[0, 1], seeds=[0], max_iter=2)

    for (target, seed), search in searches.items():
        here = optimizer_for(target, seed)
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
