"""Ends runs that would hang forever because no thread can be started and the engine's own threads died.

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
def exit_when_threads_exhausted(say: Callable[[str], None], status: int) -> Iterator[None]:
    """Ends the process with `status` where no thread can be started: what is left of an engine never ends.

    If a thread dies of it and the block hangs, after a while; if the block itself fails, at once, since the
    engine's half-started servers cannot be taken down. What is written is whole at any moment, so ending like
    that costs the photos in flight.

    Args:
      say: told the reason before the end.
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
