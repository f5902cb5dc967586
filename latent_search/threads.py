"""How many BLAS threads compute, for as long as any search in this process needs it."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_limit = ExitStack()
_users: set[object] = set()


@contextmanager
def blas_threads(num: int) -> Iterator[None]:
    """Limits BLAS to `num` threads in this process, and restores the number that it had.

    The covariance matrices of a search are so small that several threads spend their time waiting for each other. The
    limit belongs to the whole process. So where blocks overlap, in one thread or in several, the first to enter sets
    it and the last to leave restores it.
    """
    user = object()
    try:
        with _lock:
            if not _users:
                _limit.enter_context(threadpool_limits(num, user_api='blas'))
            _users.add(user)
        yield
    finally:
        with _lock:
            _users.discard(user)
            if not _users:
                _limit.close()
