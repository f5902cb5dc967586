"""The number of threads that compute a proposal."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController

# The number belongs to the whole process, and only the thread that has changed it can restore it.
_lock = threading.RLock()


@lru_cache(maxsize=1)
def _libraries(num_modules: int) -> ThreadpoolController:
    """The libraries that have been loaded. They come with modules, and finding them takes longer than a proposal."""
    return ThreadpoolController()


@contextmanager
def limit_threads(num: int) -> Iterator[None]:
    """Limits BLAS and OpenMP to `num` threads in this process, and restores the numbers that they had.

    The covariance matrices of a search are so small that several threads spend their time waiting for each other.
    Blocks of other Python threads wait until this one ends.
    """
    with _lock, _libraries(len(sys.modules)).limit(limits=num):
        yield
