"""Lets only one run at a time write into a local folder, since each run removes unfinished files there."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines
from foveate.pipelines.running.status import RUN_FAILED
from foveate.storage.local_disk import clear_unfinished


def run_alone(folder: str, beam_flags: Sequence[str], work: Callable[[], int]) -> int:
    """Runs `work`; reports and returns `RUN_FAILED` if another process on this machine writes into `folder`.

    The folder itself is locked (flock), so nothing is left behind however a run ends. Where there are no
    locks, on a URL, and where other machines do the work (`beam_flags`), nobody is kept out.
    """
    if "://" in folder or not engines.is_local(beam_flags):
        return work()
    with contextlib.ExitStack() as stack:
        place = _opened(folder)
        if place is not None:
            stack.callback(_leave, place, folder)
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                user_log.error(
                    f"foveate: another run is writing into {folder}: wait for it to end, or choose another "
                    "--output"
                )
                return RUN_FAILED
            except OSError:  # a filesystem without locks
                pass
        try:
            return work()
        finally:
            clear_unfinished(folder)  # what planning leaves when it fails


def _opened(folder: str) -> int | None:
    """The folder, made if need be; None where that cannot be, which the run will find out by itself."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None


def _leave(place: int, folder: str) -> None:
    os.close(place)
    with contextlib.suppress(OSError):  # a run that wrote nothing leaves no folder
        Path(folder).rmdir()
