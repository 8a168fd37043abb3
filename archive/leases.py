"""Tells which runs are alive: each renews a file in the archive while it works.

    DEST/_foveate/leases/run=<id>.json, written every 15 seconds, worth nothing after a minute

The store's clock dates the files. They are held against this machine's clock, which may be some seconds off.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from foveate.storage.files import delete_file, write_whole
from foveate.storage.listing import list_private_files

LEASES_FOLDER = "_foveate/leases"
RENEW_SECONDS = 15.0
ALIVE_SECONDS = 60.0


def lease_url(archive: str, run_id: str) -> str:
    """The url of a run's lease."""
    return f"{archive.rstrip('/')}/{LEASES_FOLDER}/run={run_id}.json"


def renew(archive: str, run_id: str) -> None:
    """Renews a run's lease: the run is alive.

    Raises:
      CannotGoOn, BadInput: the archive takes no file.
    """
    write_whole(lease_url(archive, run_id), f'{{"alive": {time.time():.3f}}}\n'.encode(), archive)


def release(archive: str, run_id: str) -> None:
    """Removes a run's lease: the run has ended."""
    with contextlib.suppress(OSError):  # it runs out by itself
        delete_file(lease_url(archive, run_id))
    if "://" not in archive:
        with contextlib.suppress(OSError):  # others are alive, or there never was one
            Path(archive, LEASES_FOLDER).rmdir()


def living_runs(archive: str) -> set[str]:
    """The ids of the runs that are alive."""
    now = time.time()
    return {run_id for run_id, renewed in _renewed(archive).items() if now - renewed < ALIVE_SECONDS}


def wait_for_signs_of_life(archive: str, run_ids: set[str]) -> set[str]:
    """Waits until each run has renewed its lease or let it expire; returns the runs that are dead."""
    first, dead, waiting = _renewed(archive), set(), set(run_ids)
    while waiting:
        now = _renewed(archive)
        dead |= {run_id for run_id in waiting if time.time() - now.get(run_id, 0.0) >= ALIVE_SECONDS}
        waiting -= dead | {run_id for run_id in waiting if now.get(run_id, 0.0) > first.get(run_id, 0.0)}
        if waiting:
            time.sleep(RENEW_SECONDS / 5)
    return dead


def _renewed(archive: str) -> dict[str, float]:
    """When each run that has a lease last renewed it."""
    files = list_private_files(f"{archive.rstrip('/')}/{LEASES_FOLDER}")
    return {file.url.rpartition("/run=")[2].removesuffix(".json"): file.modified for file in files}


@contextlib.contextmanager
def held(archive: str, run_id: str) -> Iterator[float]:
    """Renews a run's lease on a thread during the block; yields when it began, by the store's clock."""
    ended = threading.Event()
    renew(archive, run_id)
    began = _renewed(archive).get(run_id, time.time())

    def keep() -> None:
        while not ended.wait(RENEW_SECONDS):
            with contextlib.suppress(Exception):  # the work itself will say what is wrong with the place
                renew(archive, run_id)

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield began
    finally:
        ended.set()
        thread.join()
        release(archive, run_id)
