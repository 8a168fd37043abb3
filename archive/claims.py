"""Divides photos among several runs that write into one archive, by claims.

    DEST/_foveate/claims/<hash of the photo's path>.json: {"run": ID}, created only if there is none

A run that is alone claims nothing, but knows what it began last. Once it sees another run's lease it claims
that, and from then on each photo before it begins, though the other may have ended: what that one did is not
in this one's plan. A run's claims are worth nothing to those that begin after its end.

    DEST/_foveate/noticed/run=A.process=P.sees=B.json: process P of run A knows of B, and claims its photos

Each process begins with such a file about its own run. A run that comes later waits, before its first photo,
until all processes that it finds have noticed it.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
import re
import threading
import time
import uuid
from collections.abc import Iterable

from foveate.archive import leases
from foveate.archive.compactions import COMPACTED
from foveate.archive.keys import ArchiveKey, stored_name, stored_overhead
from foveate.archive.names import archive_url, kept_url
from foveate.archive.planning.settle import archived_record
from foveate.archive.tables import table_text
from foveate.storage.errors import BadInput
from foveate.storage.files import (
    delete_file,
    read_if_there,
    stored_file,
    write_new,
    write_whole,
)
from foveate.storage.listing import list_private
from foveate.storage.source import SourceFile

CLAIMS_FOLDER = "_foveate/claims"
NOTICED_FOLDER = "_foveate/noticed"
_NOTICED_NAME = re.compile(r"run=(.+)\.process=([0-9a-f]+)\.sees=(.+)\.json")
_RECENT = 256  # photos of one process that may be in progress, or whose rows nobody can read yet


@dataclasses.dataclass(frozen=True)
class Claiming:
    """What a run needs for claiming photos.

    since: when it began, by the clock of the archive's store: what others wrote later, they wrote beside it.
    living: the runs that were alive then.
    renews: whether workers keep the run's lease alive, since whoever started the run may be gone.
    has_masks: whether files' records have digests that cover their masks, too.
    """

    archive: str
    run_id: str
    settings_digest: str
    weights_digest: str
    key: ArchiveKey | None = None
    since: float | None = None
    living: frozenset[str] = frozenset()
    renews: bool = False
    has_masks: bool = False


def others_alive(archive: str, run_id: str) -> set[str]:
    """The other live runs that write photos into an archive."""
    return _that_write_photos(leases.living_runs(archive)) - {run_id}


def _that_write_photos(run_ids: Iterable[str]) -> set[str]:
    compactions = COMPACTED.removeprefix("run=")
    return {run for run in run_ids if not run.startswith(compactions)}


def claim_url(archive: str, path: str) -> str:
    """The url of the claim on a photo, by its relative path."""
    digest = hashlib.sha256(table_text(path).encode()).hexdigest()[:32]
    return f"{archive.rstrip('/')}/{CLAIMS_FOLDER}/{digest}.json"


def clear_claims(archive: str, run_id: str) -> None:
    """Removes all claims if no other run is alive; otherwise a later run will."""
    with contextlib.suppress(OSError):
        folders = (f"{archive.rstrip('/')}/{name}" for name in (CLAIMS_FOLDER, NOTICED_FOLDER))
        urls = [url for folder in folders for url in list_private(folder)]
        if urls and not others_alive(archive, run_id):
            for url in urls:
                delete_file(url)


@dataclasses.dataclass(frozen=True)
class _Noticed:
    """A note that a process of a run knows of another run, or of its own: proof that it is working."""

    run_id: str
    process: str
    sees: str

    def url(self, archive: str) -> str:
        """The name of the file that says so."""
        name = f"run={self.run_id}.process={self.process}.sees={self.sees}.json"
        return f"{archive.rstrip('/')}/{NOTICED_FOLDER}/{name}"


def _all_noticed(archive: str) -> set[_Noticed]:
    urls = list_private(f"{archive.rstrip('/')}/{NOTICED_FOLDER}")
    found = (_NOTICED_NAME.fullmatch(url.rpartition("/")[2]) for url in urls)
    return {_Noticed(*match.groups()) for match in found if match}


def _unaware(archive: str, run_id: str) -> set[str]:
    """The processes of other live runs that do not know of a run."""
    noticed = _all_noticed(archive)
    others = others_alive(archive, run_id)
    aware = {one.process for one in noticed if one.sees == run_id}
    return {one.process for one in noticed if one.run_id in others} - aware


class Claims:
    """Claims photos for one run in one process, from any thread; `close` ends its own thread."""

    def __init__(self, claiming: Claiming) -> None:
        """Returns when every process of other runs knows of this run, or is not alive.

        Raises:
          OSError, CannotGoOn: the archive cannot be read or written.
        """
        self.run = claiming
        self._process = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._beside = _that_write_photos(claiming.living)  # ended meanwhile or not
        self._told: set[str] = set()  # the runs that can know that this process knows of them
        self._recent: collections.deque[SourceFile] = collections.deque(maxlen=_RECENT)
        self._ended = threading.Event()
        self._note(claiming.run_id)
        self._look()
        threading.Thread(target=self._keep_looking, daemon=True).start()
        self._wait_until_noticed()

    def close(self) -> None:
        """Stops looking for other runs."""
        self._ended.set()
        with contextlib.suppress(OSError):  # the last run removes it
            delete_file(self._noticed(self.run.run_id).url(self.run.archive))

    def take(self, source: SourceFile) -> bool:
        """Whether this run should process a photo; if not, another run is processing it or has done so.

        That one may have been killed before it noted its row: who leaves photos looks again in the end.

        Raises:
          OSError, CannotGoOn: the archive cannot be read or written.
        """
        with self._lock:
            if not self._beside:
                self._recent.append(source)
                return True
        owner = self._claim(source)
        return owner == self.run.run_id or (owner is None and not self._is_done(source))

    def _keep_looking(self) -> None:
        while not self._ended.wait(leases.RENEW_SECONDS):
            with contextlib.suppress(Exception):  # the work itself will say what is wrong with the place
                self._look()

    def _look(self) -> None:
        if self.run.renews:
            leases.renew(self.run.archive, self.run.run_id)
        others = others_alive(self.run.archive, self.run.run_id)
        with self._lock:
            self._beside |= others
            begun = [*reversed(self._recent)] if self._beside else []
        for source in begun:
            self._claim(source)
        if begun:  # else they are claimed at the next look; none are added any more
            self._recent.clear()
        for run_id in sorted(others - self._told):
            self._note(run_id)
            self._told.add(run_id)

    def _noticed(self, run_id: str) -> _Noticed:
        return _Noticed(self.run.run_id, self._process, run_id)

    def _note(self, run_id: str) -> None:
        """Notes for other runs that this process knows of a run and has claimed the photos in progress."""
        write_whole(self._noticed(run_id).url(self.run.archive), b"{}\n", self.run.archive)

    def _wait_until_noticed(self) -> None:
        """Waits until all current processes know of this run; later ones check when they start."""
        run, end = self.run, time.monotonic() + leases.ALIVE_SECONDS
        unaware = _unaware(run.archive, run.run_id)
        while unaware and time.monotonic() < end:  # a process that was killed may never answer
            time.sleep(leases.RENEW_SECONDS / 5)
            unaware &= _unaware(run.archive, run.run_id)

    def _claim(self, source: SourceFile) -> str | None:
        """Claims a photo; returns None if successful, else the run that has already claimed it."""
        run, url = self.run, claim_url(self.run.archive, source.relative_path)
        data = json.dumps({"run": run.run_id, "path": table_text(source.relative_path)}).encode()
        while not write_new(url, data, run.archive):
            there = read_if_there(url)
            if there is None:  # removed meanwhile
                continue
            owner = _owner(there)
            if owner == run.run_id or self._counts(owner, url):
                return owner
            try:
                write_whole(url, data, run.archive, may_replace=there.__eq__)
            except BadInput:  # another run was first
                continue
            return None
        return None

    def _counts(self, owner: str, url: str) -> bool:
        """Whether another run's claim counts: even after it has ended, if that was during this run."""
        run = self.run
        if owner in run.living or owner in others_alive(run.archive, run.run_id):
            return True
        claim = stored_file(url) if run.since is not None else None
        return claim is not None and run.since is not None and claim.modified >= run.since

    def _is_done(self, source: SourceFile) -> bool:
        """Whether another run with the same request has stored a photo's file since this run began."""
        run = self.run
        if run.since is None:
            return False
        url = stored_name(archive_url(run.archive, source), run.key)
        file = stored_file(url)
        if file is not None and file.modified >= run.since:
            return run.key is not None or _made_with(url, run)
        url = stored_name(kept_url(run.archive, source), run.key)
        file = None if url == source.url else stored_file(url)
        size = source.size_bytes + stored_overhead(source.relative_path, run.key)
        return file is not None and file.modified >= run.since and file.size_bytes == size


def _owner(claim: bytes) -> str:
    try:
        return str(json.loads(claim)["run"])
    except (ValueError, KeyError, TypeError):  # of nobody
        return ""


def _made_with(url: str, run: Claiming) -> bool:
    """Whether a file was made with a run's settings, as far as that shows without a photo's mask."""
    record = archived_record(url)
    if record is None:
        return False
    settings = record.settings_digest if run.has_masks else bytes.fromhex(run.settings_digest)
    return record.made_with(settings, bytes.fromhex(run.weights_digest))
