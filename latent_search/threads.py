"""How many BLAS threads compute a proposal."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

# The number belongs to the whole process, and only the thread that has changed it can restore it.
_lock = threading.RLock()


@contextmanager
def blas_threads(num: int) -> Iterator[None]:
    """Limits BLAS to `num` threads in this process, and restores the number that it had.

    The covariance matrices of a search are so small that several threads spend their time waiting for each other.
    Blocks of other Python threads wait until this one ends.
    """
    with _lock, threadpool_limits(num, user_api='blas'):
        yield
