"""Searches on the workers of a Dask cluster: the extra `dask`, which `make test` installs."""

import joblib
import numpy as np
import pytest
from test_search import SQUARE, quadratic

from vae_opt_util import create_nll, create_optimizer, nll_prior, run_searches

distributed = pytest.importorskip('distributed', reason="needs pip install -e '.[dask]'")


def without_numbers(target, seed):
    def objective(t):
        if target == 1 and t[0, 0] > 0:
            raise RuntimeError('the oven is out')
        return quadratic(t)

    return create_optimizer(objective, SQUARE, seed)


def test_searches_on_a_local_cluster(pretrained):
    decoder, classifier = pretrained['vae-predictor-softmax'].get_layer('decoder'), pretrained['classifier']

    def optimizer_for(target, seed):
        return create_optimizer(create_nll(decoder, classifier, target), SQUARE, seed, nll_prior)

    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster, \
            distributed.Client(cluster), joblib.parallel_config('dask'):
        searches = run_searches(optimizer_for, targets=[4], seeds=[0, 1], max_iter=4)
        fragile = run_searches(without_numbers, targets=[0, 1], seeds=[0], max_iter=2)

    for (target, seed), search in searches.items():
        here = optimizer_for(target, seed)
        here.run_optimization(4)
        assert search.error is None
        np.testing.assert_allclose(search.X, here.X, atol=1e-3)
    assert fragile[0, 0].error is None and len(fragile[0, 0].X) == 8
    assert fragile[1, 0].error == 'RuntimeError: the oven is out' and len(fragile[1, 0].X) < 8
