"""How many threads compute a proposal."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

# The number belongs to the whole process, and only the thread that has changed it can restore it.
_lock = threading.RLock()

# The libraries that have been loaded so far. Finding them takes longer than many a proposal.
_libraries = cache(ThreadpoolController)


def find_libraries_again() -> None:
    """Has `limit_threads` look for libraries anew. To be called where one has been loaded that computes proposals."""
    _libraries.cache_clear()


@contextmanager
def limit_threads(num: int) -> Iterator[None]:
    """Limits BLAS and OpenMP to `num` threads in this process, and restores the numbers that they had.

    The covariance matrices of a search are so small that several threads spend their time waiting for each other.
    Blocks of other Python threads wait until this one ends.
    """
    with _lock, _libraries().limit(limits=num):
        yield
