"""Searches in several threads of one process, and what they share: BLAS, random numbers, warning filters."""

import os
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import SQUARE, assert_same, points_of, quadratic, run, snapshot, told
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from latent_search import create_grid, create_optimizer
from latent_search.threads import limit_threads


def num_blas_threads():
    return {pool['num_threads'] for pool in threadpool_info() if pool['user_api'] == 'blas'}


def set_blas_threads(num):
    threadpool_limits(num, user_api='blas')
    # For as long as a thread has a block of threadpoolctl open, other threads cannot change the number.
    with threadpool_limits():
        pass


def process_state():
    """What belongs to the whole process."""
    return str(np.random.get_state(legacy=False)), list(warnings.filters), warnings.formatwarning, num_blas_threads()


@pytest.fixture(autouse=True)
def two_blas_threads():
    """So that a search changes the number, and one that does not restore it is seen."""
    before, = num_blas_threads()
    set_blas_threads(2)
    yield
    set_blas_threads(before)


class Looking:
    """Calls functions again and again in a thread for as long as the block runs, and raises what they raise."""

    def __init__(self, *functions):
        self.functions, self.stopped, self.rounds, self.error = functions, threading.Event(), 0, None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.stopped.is_set() or not self.rounds:
                for function in self.functions:
                    function()
                self.rounds += 1
        except BaseException as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        if self.error is not None:
            raise self.error


def looks(search):
    def posterior():
        if len(search.X) >= search.num_starting_points:
            mean, std, ei = search.posterior(grid)
            assert np.isfinite(np.hstack((mean, std, ei))).all()

    def consistent():
        # Evaluations may be added between the two, but each is whole, and none is taken back.
        values, points, pending = search.Y, search.X, search.pending
        np.testing.assert_array_equal(values, quadratic(points)[:len(values)])
        assert len(values) <= len(points) and len({number for number, _ in pending}) == len(pending) <= 2

    _, _, grid = create_grid(SQUARE, points=5)
    return posterior, search.suggest_next_locations, consistent


def experiments(search, num=30):
    """Asks for pairs of experiments and tells their results in reverse."""
    proposed = []
    while len(proposed) < num:
        pair = search.ask(2)
        proposed += pair
        for number, t in reversed(pair):
            search.tell(number, quadratic(t))
    return points_of(proposed)


@pytest.mark.parametrize('rounds', [3, pytest.param(6, marks=pytest.mark.slow)])
def test_looking_in_other_threads_changes_nothing(rounds):
    undisturbed = experiments(create_optimizer(None, SQUARE))
    before = process_state()
    for _ in range(rounds):
        search = create_optimizer(None, SQUARE)
        with Looking(*looks(search)) as first, Looking(*reversed(looks(search))) as second:
            proposed = experiments(search)

        assert first.rounds and second.rounds
        np.testing.assert_array_equal(proposed, undisturbed)
        assert process_state() == before


def test_two_searches_in_two_threads_are_those_alone():
    def search(seed):
        return run(seed=seed, max_iter=2, noisy=seed == 1)

    alone = [snapshot(search(seed)) for seed in (0, 1)]
    before = process_state()

    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(search, (0, 1)))

    assert process_state() == before
    for found, expected in zip(together, alone, strict=True):
        assert_same(snapshot(found), expected)


def test_telling_from_several_threads_loses_nothing(tmp_path):
    search = create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv')
    asked = search.ask(40)

    with ThreadPoolExecutor(4) as threads, Looking(lambda: search.pending, lambda: search.X, lambda: search.Y):
        list(threads.map(lambda experiment: search.tell(experiment.number, quadratic(experiment.t)), asked))

    assert len(search.X) == len(search.Y) == 40 and search.pending == []
    np.testing.assert_array_equal(search.Y, quadratic(search.X))
    assert len(create_optimizer(None, SQUARE, journal=tmp_path / 'journal.csv').X) == 40


def test_asking_from_several_threads_gives_different_experiments():
    search = told(6)

    with ThreadPoolExecutor(4) as threads:
        asked = [experiment for experiments in threads.map(search.ask, [2] * 6) for experiment in experiments]

    assert sorted(experiment.number for experiment in asked) == list(range(7, 19))
    assert len(np.unique(points_of(asked), axis=0)) == 12


# NumPy's global random state


@pytest.mark.parametrize('seconds', [0.0, 0.003])
def test_threads_that_run_one_search_share_its_experiments(seconds):
    calls = []

    def objective(t):
        calls.append(t.tobytes())
        time.sleep(seconds)
        return quadratic(t)

    search = create_optimizer(objective, SQUARE)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: search.run(40), range(4)))

    assert len(search.X) == len(calls) == len(set(calls)) == 40 and search.pending == []


def test_an_experiment_that_ends_without_a_result_is_made_by_another_thread():
    calls = []

    def objective(t):
        calls.append(t.tobytes())
        if len(calls) == 3:
            raise RuntimeError('the oven is out')
        time.sleep(0.01)
        return quadratic(t)

    search = create_optimizer(objective, SQUARE)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(search.run, 12) for _ in range(2)]

    errors = [run.exception() for run in runs]
    assert [str(error) for error in errors if error] == ['the oven is out']
    assert len(search.X) == 12 and len(calls) == 13 and len(set(calls)) == 12


def test_steps_of_several_threads_are_experiments_of_their_own():
    search = create_optimizer(quadratic, SQUARE)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: search.step(), range(30)))

    assert len(search.X) == len(np.unique(search.X, axis=0)) == 30



@pytest.mark.parametrize('settings', [{}, {'noisy': True}, {'lower_bound': lambda t: np.zeros((len(t), 1))}])
def test_a_search_does_not_touch_the_global_random_state(settings, monkeypatch):
    """Not even to put it back, which would take away what another thread has drawn in between."""
    undisturbed = told(10, **settings).X
    for name in ('seed', 'set_state', 'get_state', 'uniform', 'normal', 'randint', 'random', 'rand', 'randn', 'choice',
                 'permutation', 'shuffle'):
        monkeypatch.setattr(np.random, name, lambda *_, name=name, **__: pytest.fail(f'np.random.{name} was called'))

    np.testing.assert_array_equal(told(10, **settings).X, undisturbed)


def test_random_numbers_drawn_in_another_thread_make_no_difference():
    undisturbed = experiments(create_optimizer(None, SQUARE), num=12)
    np.random.seed(5)
    expected, drawn = np.random.random(10 ** 6), []
    np.random.seed(5)

    with Looking(lambda: drawn.append(np.random.random(7))):
        proposed = experiments(create_optimizer(None, SQUARE), num=12)

    np.testing.assert_array_equal(proposed, undisturbed)
    drawn = np.concatenate(drawn)[:len(expected)]
    np.testing.assert_array_equal(drawn, expected[:len(drawn)])


# Threads of BLAS


def test_a_search_computes_with_one_thread():
    seen = []

    def lower_bound(t):
        seen.append(num_blas_threads())
        return np.zeros((len(t), 1))

    with threadpool_limits(2, user_api='blas'):
        search = told(6, lower_bound=lower_bound)
        for look in (search.suggest_next_locations, search.ask, lambda: search.posterior(np.zeros((1, 2)))):
            seen.clear()
            look()
            assert seen and all(threads == {1} for threads in seen)
            assert num_blas_threads() == {2}


def test_nested_blocks_restore_the_number_of_threads():
    with limit_threads(1):
        assert num_blas_threads() == {1}
        with limit_threads(1):
            assert num_blas_threads() == {1}
        assert num_blas_threads() == {1}
    assert num_blas_threads() == {2}
    with pytest.raises(RuntimeError, match='the oven is out'), limit_threads(1):
        raise RuntimeError('the oven is out')
    assert num_blas_threads() == {2}


def test_blocks_of_two_threads_do_not_overlap():
    entered, leave, done = threading.Event(), threading.Event(), []

    def hold():
        with limit_threads(1):
            entered.set()
            leave.wait(10)
            done.append('first')

    with ThreadPoolExecutor(1) as threads:
        threads.submit(hold)
        assert entered.wait(10)
        threading.Timer(0.2, leave.set).start()
        with limit_threads(2):
            done.append('second')
            assert num_blas_threads() == {2}

    assert done == ['first', 'second'] and num_blas_threads() == {2}


def test_blocks_of_many_threads_restore_the_number_of_threads():
    def enter_and_leave(_):
        for _ in range(20):
            with limit_threads(1):
                assert num_blas_threads() == {1}

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(enter_and_leave, range(4)))

    assert num_blas_threads() == {2}


ALL_LIBRARIES = """
from threadpoolctl import threadpool_info
from latent_search.threads import limit_threads

with limit_threads(1):
    pass
import sklearn.cluster  # It loads a library with OpenMP's threads.
before = {pool['filepath']: pool['num_threads'] for pool in threadpool_info()}
assert {pool['user_api'] for pool in threadpool_info()} == {'blas', 'openmp'}
with limit_threads(1):
    assert {pool['num_threads'] for pool in threadpool_info()} == {1}
assert {pool['filepath']: pool['num_threads'] for pool in threadpool_info()} == before
"""


def test_all_libraries_are_limited_and_restored():
    environment = {name: value for name, value in os.environ.items() if not name.endswith('_NUM_THREADS')}
    done = subprocess.run([sys.executable, '-c', ALL_LIBRARIES], env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_libraries_are_looked_for_once(monkeypatch):
    search = told(6)
    search.suggest_next_locations()
    monkeypatch.setattr(ThreadpoolController, '__init__', lambda self: pytest.fail('looked for again'))

    search.suggest_next_locations()
