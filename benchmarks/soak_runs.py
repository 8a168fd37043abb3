"""Runs a command, samples its memory, kills processes as planned, and finds what is left behind."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.kill import ROOT
from benchmarks.scale import resident_mib, tree

_FOVEATE = (sys.executable, "-m", "foveate")
_VICTIMS = {"decoder": "foveate.sandbox.server", "worker": "sdk_worker_main"}
_SECONDS = 0.5  # between looks at a run
_PARTING_SECONDS = 20.0  # within which a run's children have to be gone after it


@dataclasses.dataclass(frozen=True)
class Kill:
    """A decoder, a worker process, or the run itself is killed once the archive holds so many files."""

    stored: int
    victim: str


@dataclasses.dataclass(frozen=True)
class Sample:
    """A run's memory including its children's, and the number of files in the archive by then."""

    seconds: float
    mib: float
    stored: int


@dataclasses.dataclass(frozen=True)
class Run:
    """How a command went.

    status: negative for a signal; None if nothing was stored for too long.
    said: the fields of the last line that accounts for photos, or none if there was no such line.
    kills: seconds after its start.
    """

    name: str
    status: int | None
    wanted: int
    cpu_seconds: float
    samples: tuple[Sample, ...]
    kills: tuple[float, ...]
    spared: tuple[str, ...]  # kills that were planned and did not happen
    left: tuple[str, ...]  # command lines of processes that outlived it
    litter: tuple[str, ...]  # what it left in the folder for temporary files
    said: Mapping[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """Photos by outcome."""
        counts = self.said.get("counts", {})
        return {name: counts[name] for name in ("compressed", "kept", "skipped", "failed") if name in counts}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where photos and archives are, the flags for that, and how many files are stored so far."""

    photos: str
    archive: str
    networked: str
    flags: tuple[str, ...]
    stored: Callable[[], int]
    counted: Callable[[], dict[str, int]]


class Supervisor:
    """Starts commands, samples their memory, kills processes as planned, and finds what they leave behind."""

    def __init__(self, place: Place, logs: Path, temporary: Path, patience: float, seed: int) -> None:
        self.place, self.logs, self.temporary, self.patience = place, logs, temporary, patience
        self.dice = random.Random(seed)

    def run(self, name: str, wanted: int, *arguments: str, kills: Sequence[Kill] = ()) -> Run:
        """One command from its start to its end."""
        command = [*_FOVEATE, *arguments, *self.place.flags]
        log = self.logs / f"{name.replace(' ', '-')}.log"
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        before = set(self.temporary.iterdir())
        start, due, done = time.monotonic(), list(kills), []
        samples: list[Sample] = []
        seen: dict[tuple[int, str], str] = {}
        changed, ended, usage = start, 0, None
        with log.open("wb") as said:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True
            )
        try:
            while ended == 0:
                family = list(tree(process.pid))
                seen |= {(pid, _began(pid)): _line(pid) for pid in family}
                now = time.monotonic()
                samples.append(Sample(now - start, sum(map(resident_mib, family)), self.place.stored()))
                if len(samples) > 1 and samples[-1].stored != samples[-2].stored:
                    changed = now
                if due and samples[-1].stored >= due[0].stored and self._kill(due[0].victim, family):
                    done.append(now - start)
                    due.pop(0)
                if now - changed > self.patience:
                    os.killpg(process.pid, signal.SIGKILL)
                time.sleep(_SECONDS)
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        except BaseException:  # whatever ends this ends the run with it
            os.killpg(process.pid, signal.SIGKILL)
            raise
        process.returncode = code = os.waitstatus_to_exitcode(status)
        hung = time.monotonic() - changed > self.patience
        return Run(
            name=name,
            status=None if hung else code,
            wanted=wanted,
            cpu_seconds=usage.ru_utime + usage.ru_stime if usage else 0.0,
            samples=tuple(samples),
            kills=tuple(done),
            spared=tuple(kill.victim for kill in due),
            left=tuple(_left(seen)),
            litter=tuple(path.name for path in set(self.temporary.iterdir()) - before),
            said=_last_account(log.read_text(errors="replace")),
        )

    def _kill(self, victim: str, family: Sequence[int]) -> bool:
        """Kills one process of a run; returns whether there was one."""
        mark = _VICTIMS.get(victim)
        found = [pid for pid in family if _is_python(pid, mark)] if mark else [family[0]]
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.dice.choice(found), signal.SIGKILL)
        return bool(found)


def _line(pid: int) -> str:
    """A process's command line, "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _is_python(pid: int, module: str) -> bool:
    """Whether a process runs a module, and is no shell that has started one."""
    line = _line(pid)
    return line.startswith(sys.executable) and module in line


def _began(pid: int) -> str:
    """When a process was started, which tells it from a later one with the same id; "" if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _left(seen: Mapping[tuple[int, str], str]) -> list[str]:
    """The command lines of processes that do not end."""
    deadline = time.monotonic() + _PARTING_SECONDS
    while left := [what for (pid, began), what in seen.items() if began and _began(pid) == began]:
        if time.monotonic() > deadline:
            return left
        time.sleep(_SECONDS)
    return []


def _last_account(log: str) -> dict[str, Any]:
    """The fields of the last line that counts photos by outcome, from a log in JSON lines."""
    for line in reversed(log.splitlines()):
        with contextlib.suppress(ValueError):
            fields = json.loads(line)
            if isinstance(fields, dict) and "counts" in fields and "run" in fields:
                return fields
    return {}
