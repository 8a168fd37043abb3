"""Ends runs that would hang forever because no thread can be started and the engine's own threads died.

The local engine waits for its server threads to report that they have ended, and a dead one never does. They
die when the system refuses a thread or memory: limits of a container or user, or an overloaded machine.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

GRACE_SECONDS = 30.0  # in which a run that can still end by itself does so


@contextlib.contextmanager
def exit_when_threads_exhausted(say: Callable[[str], None], status: int) -> Iterator[None]:
    """Exits the process with `status` when no thread can be started, since the engine would hang forever.

    If a thread dies of it and the block hangs, this waits a while first; if the block itself fails, it exits
    at once, because the engine's half-started servers cannot be shut down. Files are whole at any moment, so
    such an exit loses only the work on the photos in flight.

    Args:
      say: called with the reason before the exit.
      status: the exit status.
    """
    over = threading.Event()
    former = threading.excepthook

    def end(error: BaseException | None) -> None:
        say(f"out of threads or memory ({_last_line(error)}); run the same command again to resume")
        os._exit(status)

    def watch(died: threading.ExceptHookArgs) -> None:
        former(died)
        # The dying thread itself stays to watch: another could not be started.
        if _is_exhaustion(died.exc_value) and not over.wait(GRACE_SECONDS):
            end(died.exc_value)

    threading.excepthook = watch
    try:
        yield
    except Exception as error:  # raised again, but for what the process cannot survive
        if _is_exhaustion(error):
            end(error)
        raise
    finally:
        over.set()
        threading.excepthook = former


def _last_line(error: BaseException | None) -> str:
    return (str(error).strip() or repr(error)).splitlines()[-1]


def _is_exhaustion(error: BaseException | None) -> bool:
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)
