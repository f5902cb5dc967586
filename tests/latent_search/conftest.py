import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import BOX, SQUARE, bound, sample, wavy
from journal_helpers import EXPERIMENTS, rows, state, steps
from model_helpers import of_logarithms, of_squares, of_values
from threadpoolctl import threadpool_limits

from latent_search import create_optimizer


@pytest.fixture
def one_thread():
    """Limits BLAS to one thread, as a search does: matrices this small make several threads wait for each other."""
    with threadpool_limits(1, user_api='blas'):
        yield


@pytest.fixture
def gp(rng):
    x = sample(rng, 15)
    return of_values(BOX[:2]).fit(x, wavy(x))


@pytest.fixture
def logarithmic(rng):
    x = sample(rng, 15)
    return of_logarithms(BOX[:2]).fit(x, wavy(x))


@pytest.fixture
def squared(rng):
    x = sample(rng, 15)
    return of_squares(BOX[:2], bound).fit(x, wavy(x))


@pytest.fixture
def noisy(rng):
    """A model of noisy values, where some points are evaluated three times."""
    x = sample(rng, 15)
    x = np.vstack((x, x[:5], x[:5]))
    return of_values(BOX[:2], noisy=True).fit(x, wavy(x) + 0.3 * rng.normal(size=(len(x), 1)))


@pytest.fixture
def noisy_squared(rng):
    """A model of noisy values, some of which are below the bound."""
    x = sample(rng, 25)
    y = wavy(x) + 0.3 * rng.normal(size=(len(x), 1))
    y[:3] = bound(x[:3]) - 0.1
    return of_squares(BOX[:2], bound, noisy=True).fit(x, y)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'journal.csv'


@pytest.fixture(scope='session')
def processes():
    """Starts processes in milliseconds."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['journal_helpers'])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', os.pathsep.join(sys.path))
        process = context.Process(target=int)
        process.start()
    process.join()
    return context


@pytest.fixture
def elsewhere(processes):
    """Calls a function in a process of its own, and raises what it raises."""
    def call(function, *arguments):
        with ProcessPoolExecutor(1, mp_context=processes) as pool:
            return pool.submit(function, *arguments).result()

    return call


@pytest.fixture(scope='session')
def reference():
    """What a search without a journal knows after each event, and what one with a journal has written after all."""
    search = create_optimizer(None, SQUARE, seed=1)
    states = [state(search), *(state(search) for _ in steps(search))]
    assert len(states) == 1 + 2 * EXPERIMENTS and 2 <= len(search.failed) <= 10
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'journal.csv'
        written = create_optimizer(None, SQUARE, seed=1, journal=path)
        for _ in steps(written):
            pass
        written.close()
        return states, path.read_bytes(), rows(path)
