"""An end to runs that would wait for ever: where no thread can be started, an engine's own threads die.

The local engine waits for its servers' threads to say that they have ended, and a dead one says nothing. It
dies where the system refuses a thread or memory: limits of a container or of a user, a machine that is full.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

GRACE_SECONDS = 30.0  # in which a run that can still end by itself does so


@contextlib.contextmanager
def ended_where_threads_die(say: Callable[[str], None], status: int) -> Iterator[None]:
    """Ends the process with `status` where a thread dies for want of threads or memory, and the block hangs.

    What is written is whole at any moment, so ending like that costs the photos in flight.

    Args:
      say: told the reason before the end.
      status: the exit status.
    """
    over = threading.Event()
    former = threading.excepthook

    def watch(died: threading.ExceptHookArgs) -> None:
        former(died)
        # The dying thread itself stays to watch: another could not be started.
        if _is_exhaustion(died.exc_value) and not over.wait(GRACE_SECONDS):
            say(f"no more threads or memory can be had here ({died.exc_value}); the same command goes on")
            os._exit(status)

    threading.excepthook = watch
    try:
        yield
    finally:
        over.set()
        threading.excepthook = former


def _is_exhaustion(error: BaseException | None) -> bool:
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)
