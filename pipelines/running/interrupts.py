"""Whether a run was interrupted, whatever an engine makes of the exception."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def noted_interrupts() -> Iterator[threading.Event]:
    """An event that an interrupt sets, beside raising `KeyboardInterrupt` as always.

    Never set where somebody else listens (a watch), or in another thread than the main one.
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
