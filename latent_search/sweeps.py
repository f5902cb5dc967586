"""Many searches, in processes or on a cluster."""

import logging
import sys
from collections.abc import Callable, Hashable, Iterable

from tqdm import tqdm

from latent_search.events import Event
from latent_search.interrupts import interruptible
from latent_search.points import check_integer
from latent_search.search import LatentOptimizer

logger = logging.getLogger(__name__)

OptimizerFor = Callable[..., LatentOptimizer]


def run_searches(optimizer_for: OptimizerFor, targets: Iterable[Hashable], seeds: Iterable[int], max_iter: int,
                 n_jobs: int | None = None) -> dict[tuple[Hashable, int], LatentOptimizer]:
    """Runs a search for each target and each seed, in the workers of joblib.

    `n_jobs=2` uses two processes; inside of `joblib.parallel_config('dask')` the searches go to the workers of a Dask
    cluster. Each worker starts up first, which takes longer than a few searches with a cheap objective do.

    If each search has a journal of its own, an interruption loses nothing: the next call with the same arguments
    continues the searches that were under way, and reads back those that had finished.

    Args:
        optimizer_for: a function of target and seed that creates a search. It and what it uses are sent to the workers.
        targets: what to search for.
        seeds: of the searches for each target.
        max_iter: number of proposals that each search evaluates after its starting points.
        n_jobs: number of processes; None is one, and inside of `joblib.parallel_config` what is set there.

    Returns:
        A dict from `(target, seed)` to the search with all its events. A search that failed keeps its evaluations; its
        attribute `error` is the text of the exception, which is None for the others. The failure is logged as a
        warning, and the other searches continue.

    Raises:
        ValueError: `max_iter` is not an integer of at least 0, or `targets` or `seeds` are not collections.
        Interrupted: a KeyboardInterrupt that says what is kept.
    """
    from joblib import Parallel, delayed

    max_iter = check_integer('max_iter', max_iter, at_least=0)
    for name, given in (('targets', targets), ('seeds', seeds)):
        if not isinstance(given, Iterable):
            raise ValueError(f'{name} must be a list, such as [{given!r}], got {given!r}.')
    seeds = list(seeds)
    keys = [(target, seed) for target in targets for seed in seeds]
    results = Parallel(n_jobs=n_jobs, return_as='generator')(
        delayed(_search)(optimizer_for, target, seed, max_iter) for target, seed in keys)
    searches: dict[tuple[Hashable, int], LatentOptimizer] = {}

    def what_is_kept() -> str:
        return (f'{len(searches)} of {len(keys)} searches had finished. The same call continues searches that have a '
                'journal, and starts the others again.')

    with interruptible(what_is_kept), tqdm(total=len(keys), desc='searches', unit='search', file=sys.stdout) as bar:
        for (target, seed), (events, error) in zip(keys, results, strict=True):
            search = searches[target, seed] = optimizer_for(target, seed)
            search.restore(events[len(search.events):])
            search.error = error
            if error is not None:
                logger.warning('The search for %s with seed %s failed after %d evaluations: %s', target, seed,
                               len(search.Y), error)
            elif search.fx_opt is not None:
                bar.set_postfix(best=f'{search.fx_opt:.4g}', target=target, refresh=False)
            bar.update()
    return searches


def _search(optimizer_for: OptimizerFor, target: Hashable, seed: int,
            max_iter: int) -> tuple[tuple[Event, ...], str | None]:
    search = optimizer_for(target, seed)
    error = None
    try:
        while len(search.X) < search.num_starting_points + max_iter:
            search.step()
    except Exception as raised:  # Whatever the objective raises must not take the other searches down.
        error = f'{type(raised).__name__}: {raised}'
    finally:
        search.close()
    return search.events, error
