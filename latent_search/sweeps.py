"""Many searches, in processes or on a cluster."""

import logging
import os
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from latent_search.events import Event, text_of
from latent_search.interrupts import interruptible
from latent_search.points import Array, check_integer
from latent_search.search import LatentOptimizer

logger = logging.getLogger(__name__)

OptimizerFor = Callable[..., LatentOptimizer]
Key = tuple[Hashable, int]


class NotCreated(NamedTuple):
    """Takes the place of a search that could not be created.

    Attributes:
        error: the text of the exception.
        X, Y, events, fx_opt: those of a search without evaluations.
    """

    error: str
    X: Array = np.empty((0, 0))
    Y: Array = np.empty((0, 1))
    events: tuple[Event, ...] = ()
    fx_opt: None = None


def run_searches(optimizer_for: OptimizerFor, targets: Iterable[Hashable], seeds: Iterable[int], max_iter: int,
                 n_jobs: int | None = None) -> dict[Key, LatentOptimizer | NotCreated]:
    """Runs a search for each target and each seed, in the workers of joblib.

    `n_jobs=2` uses two processes; inside `joblib.parallel_config('dask')` the searches go to the workers of a Dask
    cluster. Each worker has to start first, which takes longer than a few searches with a cheap objective.

    If each search has a journal of its own, an interruption loses nothing: the next call with the same arguments
    continues unfinished searches, and reads back finished ones. Afterwards the journals are closed.

    Args:
        optimizer_for: a function of target and seed that creates a search. It and what it uses are sent to the workers.
        targets: what to search for, each once.
        seeds: of the searches for each target, each once.
        max_iter: number of proposals that each search evaluates after its starting points.
        n_jobs: number of processes; None is one, and inside `joblib.parallel_config` the number set there.

    Returns:
        A dict from `(target, seed)` to the search with all its events. A search that failed keeps its evaluations; its
        attribute `error` is the text of the exception, which is None for the others. The failure is logged as a
        warning, and the other searches continue. If the process of a search was killed, for example because memory ran
        out, its current experiment counts as failed if there is a journal, and the next call continues after it.

    Raises:
        ValueError: `max_iter` is not an integer of at least 0, or `targets` or `seeds` are not collections of different
            values that can be keys of a dict.
        Interrupted: a KeyboardInterrupt that says what is kept.
    """
    max_iter = check_integer('max_iter', max_iter, at_least=0)
    targets, seeds = _check_keys('targets', targets), _check_keys('seeds', seeds)
    keys = [(target, seed) for target in targets for seed in seeds]
    searches: dict[Key, LatentOptimizer | NotCreated] = {}

    def what_is_kept() -> str:
        return (f'{len(searches)} of {len(keys)} searches had finished. The same call continues searches that have a '
                'journal, and starts the others again.')

    with interruptible(what_is_kept), tqdm(total=len(keys), desc='searches', unit='search', file=sys.stdout) as bar:
        for key, (events, error) in _outcomes(optimizer_for, keys, max_iter, n_jobs):
            search = searches[key] = _search_of(optimizer_for, key, events, error)
            if search.error is not None:
                logger.warning('The search for %s with seed %s failed after %d evaluations: %s', *key, len(search.Y),
                               search.error)
            elif len(search.Y):
                bar.set_postfix(best=f'{search.Y.min():.4g}', target=key[0], refresh=False)
            bar.update()
    return {key: searches[key] for key in keys}


def _check_keys(name: str, given: Iterable[Any]) -> list[Any]:
    if not isinstance(given, Iterable):
        raise ValueError(f'{name} must be a list, such as [{given!r}], got {given!r}.')
    values = list(given)
    try:
        repeated = len(set(values)) < len(values)
    except TypeError as error:
        raise ValueError(f'{name} must be values that can be keys of a dict, such as numbers, texts and tuples, got '
                         f'{values[0]!r}. Rows of an array become tuples with map(tuple, rows.tolist()).') from error
    if repeated:
        raise ValueError(f'{name} must be different from each other, got {values!r}.')
    return values


class _Outcome(NamedTuple):
    """Of a search in a worker: its events, and the text of the exception that ended it, or None."""

    events: tuple[Event, ...]
    error: str | None


def _outcomes(optimizer_for: OptimizerFor, keys: Sequence[Key], max_iter: int,
              n_jobs: int | None) -> Iterator[tuple[Key, _Outcome]]:
    """What became of each search, as they finish."""
    from joblib import Parallel, delayed, effective_n_jobs

    def run(some: Sequence[Key]) -> Iterator[tuple[Key, _Outcome]]:
        return Parallel(n_jobs=n_jobs, return_as='generator_unordered')(
            delayed(_search)(optimizer_for, key, max_iter, os.getpid()) for key in some)

    left = list(keys)
    while left:
        try:
            for key, outcome in run(tuple(left)):
                left.remove(key)
                yield key, outcome
        except BrokenProcessPool:
            # One of those that were under way has killed its process, and joblib has ended the others: each alone.
            for key in left[:2 * effective_n_jobs(n_jobs)]:
                left.remove(key)
                try:
                    yield from run([key])
                except BrokenProcessPool:
                    yield key, _killed(optimizer_for, key)


def _killed(optimizer_for: OptimizerFor, key: Key) -> _Outcome:
    """What is left of a search whose process was killed: what its journal says."""
    error = 'its process was killed, as happens where memory runs out'
    try:
        search = optimizer_for(*key)
    except Exception as raised:
        return _Outcome((), f'{error} ({text_of(raised)})')
    try:
        if search.pending:
            number = search.pending[0].number
            search.tell_failed(number, error)
            error += f'. Experiment {number}, which was under way, counts as failed, and the same call continues'
        return _Outcome(search.events, error)
    finally:
        search.close()


def _search_of(optimizer_for: OptimizerFor, key: Key, events: tuple[Event, ...],
               error: str | None) -> LatentOptimizer | NotCreated:
    """The search in this process, with the events of that in the worker, and with its journal closed."""
    try:
        search = optimizer_for(*key)
        try:
            search.restore(events[len(search.events):])
        finally:
            search.close()
    except Exception as raised:
        return NotCreated(error or text_of(raised))
    search.error = error
    return search


def _search(optimizer_for: OptimizerFor, key: Key, max_iter: int, caller: int) -> tuple[Key, _Outcome]:
    search = None
    try:
        search = optimizer_for(*key)
        if not isinstance(search, LatentOptimizer):
            raise TypeError(f'optimizer_for must return a search, got {search!r}')
        while len(search.X) < search.num_starting_points + max_iter:
            search.step()
        error = None
    except BaseException as raised:  # Whatever is raised here must not take the other searches down.
        if isinstance(raised, KeyboardInterrupt) and os.getpid() == caller:
            raise
        error = text_of(raised)
    finally:
        if isinstance(search, LatentOptimizer):
            search.close()
    return key, _Outcome(search.events if isinstance(search, LatentOptimizer) else (), error)
