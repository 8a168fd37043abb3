"""Ten thousand small photos on a bad day, and whether every one is accounted for in the end.

    python -m benchmarks.soak [--photos 10000] [--bad 0.05] [--refused 0.03] [--output soak]

Photos are generated, one in twenty of them bad, and put into a bucket of a server on this machine that
refuses requests at random (503, 429); the archive is in one too (or both are folders: --local).
`foveate compress` is started and killed (SIGKILL), after one of its decoders was; started with two worker
processes, one of which is killed; started again until it is through, and once more. Some photos go through
the networks as well. All the while the memory of each run with its children is sampled. In the end every
photo must have one outcome, by name; every failed one must be a bad one, every good one must have a file, and
`foveate verify` nothing to say; nothing may be left of any run: no file, no process; memory must have been
flat; exit statuses must be as documented. The exit status is 1 if anything is otherwise. A run that stores
nothing for --patience seconds is killed, so that this ends by itself.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from benchmarks.kill import ROOT
from benchmarks.moody_store import ARCHIVE, moody_store, told
from benchmarks.scale import resident_mib, tree
from benchmarks.soak_photos import SoakPhoto, soak_photos
from foveate.archive.tables import read_failures, read_metrics
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.storage.listing import list_private
from tests import servers

_FOVEATE = (sys.executable, "-m", "foveate")
_PLAIN = ("--roi=none", "--reccnn=off")
_TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
_VICTIMS = {"decoder": "foveate.sandbox.server", "worker": "sdk_worker_main"}
_NETWORKED = "000"  # the folder of a hundred photos that go through the networks
_SECONDS = 0.5  # between looks at a run
_PARTING_SECONDS = 20.0  # within which a run's children have to be gone after it
_WARM_UP = 0.2  # of a run's time
_GROWTH = 0.10  # of its memory, from the first third after that to the last
_ENOUGH = 1000  # photos, for memory to be judged
_JUDGED = ("completed", "verified")  # by their memory: the others end early, or are short


@dataclasses.dataclass(frozen=True)
class Kill:
    """A decoder, a worker process, or the run itself is killed once the archive holds so many files."""

    stored: int
    victim: str


@dataclasses.dataclass(frozen=True)
class Sample:
    """A run's memory, with that of its children, and the files in the archive by then."""

    seconds: float
    mib: float
    stored: int


@dataclasses.dataclass(frozen=True)
class Run:
    """How a command went.

    status: negative for a signal; None if nothing was stored for too long.
    said: the fields of the last line that accounts for photos, none if it did not come to that.
    kills: seconds after its start.
    """

    name: str
    status: int | None
    wanted: int
    cpu_seconds: float
    samples: tuple[Sample, ...]
    kills: tuple[float, ...]
    spared: tuple[str, ...]  # what was to be killed, and was not
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
    """Where photos and archives are, the flags that lead there, and how many files are stored by now."""

    photos: str
    archive: str
    networked: str
    flags: tuple[str, ...]
    stored: Callable[[], int]
    counted: Callable[[], dict[str, int]]


# Places ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def local_place(folder: Path, photos: Iterable[SoakPhoto]) -> Iterator[Place]:
    """Folders."""
    for photo in photos:
        path = folder / "photos" / photo.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo.data)
    archive = folder / ARCHIVE

    def stored() -> int:
        return sum(len(names) for at, _, names in os.walk(archive) if "_foveate" not in at)

    yield Place(str(folder / "photos"), str(archive), str(folder / "networked"), (), stored, dict)


@contextlib.contextmanager
def moody_place(photos: Iterable[SoakPhoto], refused: float, seed: int) -> Iterator[Place]:
    """Buckets of a server that refuses a share of requests once the photos are there."""
    with moody_store(seed, "photos", ARCHIVE, "networked") as url:
        client = servers.s3_client(url)
        for photo in photos:
            client.put_object(Bucket="photos", Key=photo.name, Body=photo.data)
        told(url, f"refused={refused}")
        flags = (f"--s3_endpoint_url={url}", *servers.S3_FLAGS)
        yield Place(
            "s3://photos", f"s3://{ARCHIVE}", "s3://networked", flags,
            lambda: told(url)["stored"], lambda: told(url),
        )  # fmt: skip
        told(url, "refused=0")


# Runs -----------------------------------------------------------------------------------------------


class Supervisor:
    """Starts commands, samples their memory, kills what is to be killed, and sees what is left of them."""

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
        """Kills one process of a run; whether there was one."""
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
    """When a process was started, which tells it from a later one of its number; "" if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _left(seen: Mapping[tuple[int, str], str]) -> list[str]:
    """The command lines of processes that do not go."""
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


def all_runs(place: Place, supervisor: Supervisor, photos: int, networks: bool) -> list[Run]:
    """All that is run, in order."""
    compress = ("compress", place.photos, "--output", place.archive, "--log-format=json", *_PLAIN)
    run_failed, some_failed, killed = 1, 3, -signal.SIGKILL
    early = (Kill(photos // 20, "decoder"), Kill(photos // 8, "run"))
    worker, decoder = Kill(photos // 4, "worker"), Kill(photos // 2, "decoder")
    runs = [
        supervisor.run("killed", killed, *compress, kills=early),
        supervisor.run("worker killed", run_failed, *compress, *_TWO_PROCESSES, kills=(worker,)),
        supervisor.run("completed", some_failed, *compress, kills=(decoder,)),
        supervisor.run("again", some_failed, *compress),
        supervisor.run("verified", 0, "verify", place.archive),
    ]
    if networks:
        networked = ("compress", f"{place.photos}/{_NETWORKED}", "--output", place.networked)
        runs += [
            supervisor.run("networks", some_failed, *networked, "--log-format=json"),
            supervisor.run("networks verified", 0, "verify", place.networked),
        ]
    return runs


# Checks ---------------------------------------------------------------------------------------------


def problems_of_runs(runs: Sequence[Run], photos: int) -> Iterator[str]:
    """What is wrong with how runs went, in sentences."""
    for run in runs:
        if run.status != run.wanted:
            yield f"{run.name}: ended with {run.status}, not {run.wanted}"
        if run.spared:
            yield f"{run.name}: ended before anybody killed {', '.join(run.spared)}"
        if run.left:
            yield f"{run.name}: left {len(run.left)} processes: {run.left[0][:200]}"
        if run.litter and run.wanted >= 0:
            yield f"{run.name}: left temporary files: {run.litter}"
        if run.name in ("completed", "again") and sum(run.counts.values()) != photos:
            yield f"{run.name}: {photos} photos became {run.counts}"
        if photos >= _ENOUGH and run.name in _JUDGED and (growth := growth_of(run)) > _GROWTH:
            yield f"{run.name}: memory grew by {growth:.0%}"


def growth_of(run: Run) -> float:
    """The growth of a run's median memory from the first third after its warm-up to the last, as a share."""
    sizes = _warm(run)[1]
    third = max(1, len(sizes) // 3)
    return float(np.median(sizes[-third:]) / np.median(sizes[:third]) - 1)


def slope_of(run: Run) -> float:
    """MiB that a run's memory grows by in a thousand photos, by least squares, after its warm-up."""
    stored, sizes = _warm(run)
    return float(1000 * np.polyfit(stored, sizes, 1)[0]) if np.ptp(stored) else 0.0


def _warm(run: Run) -> tuple[list[int], list[float]]:
    samples = [s for s in run.samples if s.seconds >= _WARM_UP * run.samples[-1].seconds]
    return [s.stored for s in samples], [s.mib for s in samples]


def problems_of_photos(
    photos: Sequence[SoakPhoto],
    rows: Sequence[Mapping[str, Any]],
    failures: Sequence[Mapping[str, Any]],
    stored: Sequence[str],
    last_run: str,
) -> Iterator[str]:
    """What is not accounted for, in sentences.

    Args:
      photos: what was to be compressed.
      rows: of the metrics table, of all runs.
      failures: likewise; urls are relative to the photos' place.
      stored: the files of the archive, but Foveate's own; relative to its place.
      last_run: the run that was left with the failures that count.
    """
    archived = collections.Counter(row["relative_path"] for row in rows if row["outcome"] != "skipped")
    failed = collections.Counter(row["url"] for row in failures if row["run_id"] == last_run)
    good = {photo.name for photo in photos if not photo.damage}
    every = {photo.name for photo in photos}
    compressed = {row["relative_path"] for row in rows if row["outcome"] == "compressed"}
    places = {f"{name}.jp2" if name in compressed else name for name in archived}
    yield from _named("photos without an outcome", every - archived.keys() - failed.keys())
    yield from _named("outcomes of no photo", (archived.keys() | failed.keys()) - every)
    yield from _named("photos both archived and failed", archived.keys() & failed.keys())
    yield from _named("photos with several rows", (name for name, count in archived.items() if count > 1))
    yield from _named("photos that failed twice", (name for name, count in failed.items() if count > 1))
    yield from _named("good photos that failed", (row["url"] for row in failures if row["url"] in good))
    hopeless = {photo.name for photo in photos if photo.hopeless}
    yield from _named("bad photos that were compressed", compressed & hopeless)
    yield from _named("rows without a file", places - set(stored))
    yield from _named("files without a row", set(stored) - places)
    internal = {f"{row['url']}: {row['message'][-200:]}" for row in failures if "internal" in row["step"]}
    yield from _named("internal errors", internal)


def _named(what: str, names: Iterable[str]) -> Iterator[str]:
    found = sorted(set(names))
    if found:
        yield f"{len(found)} {what}: {', '.join(found[:5])}"


def check_archive(archive: str, source: str, photos: Sequence[SoakPhoto], last: str) -> list[str]:
    """What is wrong with an archive of photos, in sentences; `last`: see `problems_of_photos`."""
    urls = [url.removeprefix(f"{archive}/") for url in list_private(archive)]
    failures = [
        row | {"url": row["url"].removeprefix(f"{source}/")} for row in read_failures(archive).to_pylist()
    ]
    stored = [url for url in urls if not url.startswith("_foveate/")]
    unfinished = [url for url in urls if "/unfinished/" in url or ".partial-" in url]
    rows = read_metrics(archive).to_pylist()
    return [
        *problems_of_photos(photos, rows, failures, stored, last),
        *_named("unfinished files", unfinished),
    ]


def last_run(runs: Sequence[Run], name: str) -> str:
    """Foveate's id of a run, "" where it did not come to its end."""
    return next((str(run.said["run"]) for run in runs if run.name == name and run.said), "")


def first_hundred(photos: Sequence[SoakPhoto]) -> list[SoakPhoto]:
    """Those that go through the networks, by their names below their folder."""
    return [
        dataclasses.replace(photo, name=photo.name.removeprefix(f"{_NETWORKED}/"))
        for photo in photos
        if photo.name.startswith(f"{_NETWORKED}/")
    ]


# What is said ---------------------------------------------------------------------------------------


def table(runs: Sequence[Run]) -> Iterator[str]:
    """The figures of all runs, as lines; how memory grew where that is judged."""
    yield f"{'run':18} status  minutes  CPU s  highest MiB  growth  MiB/1000  outcomes"
    for run in runs:
        highest = max(sample.mib for sample in run.samples)
        grew = f"{growth_of(run):6.1%}  {slope_of(run):8.1f}" if run.name in _JUDGED else f"{'':16}"
        outcomes = ", ".join(f"{count} {name}" for name, count in run.counts.items())
        minutes = run.samples[-1].seconds / 60
        yield (
            f"{run.name:18} {run.status!s:>6}  {minutes:7.1f}  {run.cpu_seconds:5.0f}  {highest:11.0f}  "
            f"{grew}  {outcomes}"
        )


def plot(runs: Sequence[Run], place: Path) -> None:
    """Draws the memory of all runs, one after the other, and when something was killed."""
    points, kills, start = [], [], 0.0
    for run in runs:
        step = max(1, len(run.samples) // 300)
        points += [
            {"run": run.name, "minutes": (start + s.seconds) / 60, "MiB": s.mib} for s in run.samples[::step]
        ]
        kills += [{"minutes": (start + seconds) / 60} for seconds in run.kills]
        start += run.samples[-1].seconds
    lines = (
        alt.Chart(alt.Data(values=points))
        .mark_line(strokeWidth=1.2)
        .encode(
            x=alt.X("minutes:Q", title="minutes"),
            y=alt.Y("MiB:Q", title="memory of a run and its children, MiB"),
            color=alt.Color("run:N", sort=[run.name for run in runs], title=None),
        )
    )
    marks = (
        alt.Chart(alt.Data(values=kills)).mark_rule(strokeDash=[3, 3], color="#c92a2a").encode(x="minutes:Q")
    )
    chart = (marks + lines).properties(width=720, height=260).configure(background="white")
    place.write_text(str(vl_convert.vegalite_to_svg(chart.to_dict())))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all of it; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--bad", type=float, default=0.05, help="share of bad photos (default: %(default)g)")
    parser.add_argument("--refused", type=float, default=0.03, help="of requests (default: %(default)g)")
    parser.add_argument("--no-networks", action="store_true", help="no photo goes through them")
    parser.add_argument("--local", action="store_true", help="photos and archive are in folders")
    parser.add_argument("--patience", type=float, default=3600.0, help="seconds (default: %(default)g)")
    parser.add_argument("--output", type=Path, default=Path("soak"), help="for logs, figures and the plot")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    photos = list(soak_photos(args.photos, args.bad, args.seed))
    with tempfile.TemporaryDirectory(prefix="foveate-soak-") as folder, contextlib.ExitStack() as stack:
        where = (
            local_place(Path(folder), photos) if args.local else moody_place(photos, args.refused, args.seed)
        )
        place = stack.enter_context(where)
        set_up_filesystems(place.flags)
        bad = collections.Counter(photo.damage.partition(" ")[0] for photo in photos if photo.damage)
        print(f"{len(photos)} photos, {bad.total()} of them bad: {dict(bad)}", flush=True)
        temporary = Path(folder, "temporary")
        temporary.mkdir()
        supervisor = Supervisor(place, args.output, temporary, args.patience, args.seed)
        runs = all_runs(place, supervisor, args.photos, not args.no_networks)
        counted = place.counted()
        problems = [*problems_of_runs(runs, args.photos)]
        problems += check_archive(place.archive, place.photos, photos, last_run(runs, "again"))
        if not args.no_networks:
            folder_of = f"{place.photos}/{_NETWORKED}"
            problems += check_archive(
                place.networked, folder_of, first_hundred(photos), last_run(runs, "networks")
            )
    plot(runs, args.output / "memory.svg")
    figures = {"runs": [dataclasses.asdict(run) for run in runs], "store": counted, "problems": problems}
    (args.output / "figures.json").write_text(json.dumps(figures, indent=1))
    for line in [*table(runs), *problems]:
        print(line)
    print(f"the store: {counted}; {(time.monotonic() - begun) / 60:.1f} minutes; {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
