"""Compresses ten thousand small photos on a bad day, and checks that every one is accounted for.

    python -m benchmarks.soak [--photos 10000] [--bad 0.05] [--refused 0.03] [--output soak]

Photos are generated, one in twenty of them bad, and put into a bucket of a server on this machine that
refuses requests at random (503, 429); the archive is in one too (or both are folders: --local). `foveate
compress` is started and killed (SIGKILL) after one of its decoders was; started with two worker processes,
one of which is killed; started again until it completes, and once more. Some photos also go through the
networks. The memory of each run with its children is sampled throughout. In the end, every photo must have
exactly one outcome, every failed one must be bad, every good one must have a file, and `foveate verify` must
find nothing; no file or process of any run may be left; memory must have stayed flat; exit statuses must be
as documented. Otherwise the exit status is 1. A run that stores nothing for --patience seconds is killed, so
that the benchmark always ends.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import altair as alt
import vl_convert

from benchmarks.moody_store import ARCHIVE, moody_store, told
from benchmarks.soak_checks import JUDGED, check_archive, growth_of, last_run, problems_of_runs, slope_of
from benchmarks.soak_photos import SoakPhoto, soak_photos
from benchmarks.soak_runs import Kill, Place, Run, Supervisor
from foveate.pipelines.running.runner import set_up_filesystems
from tests import servers

_PLAIN = ("--roi=none", "--reccnn=off")
_TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
_NETWORKED = "000"  # the folder of a hundred photos that go through the networks


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


def all_runs(place: Place, supervisor: Supervisor, photos: int, networks: bool) -> list[Run]:
    """All runs, in order."""
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


def first_hundred(photos: Sequence[SoakPhoto]) -> list[SoakPhoto]:
    """Those that go through the networks, by their names below their folder."""
    return [
        dataclasses.replace(photo, name=photo.name.removeprefix(f"{_NETWORKED}/"))
        for photo in photos
        if photo.name.startswith(f"{_NETWORKED}/")
    ]


# What is said ---------------------------------------------------------------------------------------


def table(runs: Sequence[Run]) -> Iterator[str]:
    """The figures of all runs, as lines, with the growth of memory where that is judged."""
    yield f"{'run':18} status  minutes  CPU s  highest MiB  growth  MiB/1000  outcomes"
    for run in runs:
        highest = max(sample.mib for sample in run.samples)
        grew = f"{growth_of(run):6.1%}  {slope_of(run):8.1f}" if run.name in JUDGED else f"{'':16}"
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
    """Runs everything; returns the exit status."""
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
