"""Interrupts that say what is kept and how to continue."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupted(KeyboardInterrupt):
    """An interrupt, by Ctrl-C or by the Stop button of a notebook, whose text says what is kept and how to continue."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of the traceback."""
        return [f'Interrupted. {self}']


@contextmanager
def interruptible(what_is_kept: Callable[[], str]) -> Iterator[None]:
    """Turns an interrupt of a long computation into one that says what is kept and how to continue.

    A notebook shows only that text, and not the lines of code that were interrupted. As with any error, it does not
    run the cells below.

    Args:
        what_is_kept: returns the text; called after the interrupt.

    Raises:
        Interrupted: an interrupt came that does not say this already.
    """
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(what_is_kept()) from None


@contextmanager
def postponed() -> Iterator[None]:
    """Delays the KeyboardInterrupt of a Ctrl-C until the end of a block: for steps that take no time."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield  # Python interrupts the main thread only.
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
