"""Notes whether a run was interrupted, whatever an engine does with the exception."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def noted_interrupts() -> Iterator[threading.Event]:
    """An event that is set by an interrupt, which still raises `KeyboardInterrupt`.

    It is never set where another handler is installed (a watch) or outside the main thread.
    """
    told = threading.Event()
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield told
        return

    def note(number: int, frame: FrameType | None) -> None:
        told.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield told
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
