"""Finds what is wrong after runs of the soak benchmark: every photo must be accounted for, memory flat."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.soak_photos import SoakPhoto
from benchmarks.soak_runs import Run
from foveate.archive.tables import read_failures, read_metrics
from foveate.storage.listing import list_private

_WARM_UP = 0.2  # of a run's time
_GROWTH = 0.10  # of its memory, from the first third after that to the last
_ENOUGH = 1000  # photos, for memory to be judged
JUDGED = ("completed", "verified")  # by their memory: the others end early, or are short


def problems_of_runs(runs: Sequence[Run], photos: int) -> Iterator[str]:
    """Problems of the runs, in sentences."""
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
        if photos >= _ENOUGH and run.name in JUDGED and (growth := growth_of(run)) > _GROWTH:
            yield f"{run.name}: memory grew by {growth:.0%}"


def growth_of(run: Run) -> float:
    """The growth of a run's median memory from the first third after its warm-up to the last, as a share."""
    sizes = _warm(run)[1]
    third = max(1, len(sizes) // 3)
    return float(np.median(sizes[-third:]) / np.median(sizes[:third]) - 1)


def slope_of(run: Run) -> float:
    """Growth of a run's memory in MiB per thousand photos, by least squares, after its warm-up."""
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
    """Photos that are not accounted for, in sentences.

    Args:
      photos: what was to be compressed.
      rows: of the metrics table, of all runs.
      failures: likewise; urls are relative to the photos' place.
      stored: the files of the archive except Foveate's own, relative to its place.
      last_run: the run whose failures count.
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
    """Problems of an archive of photos, in sentences; `last`: see `problems_of_photos`."""
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
    """Foveate's id of a run, "" if it did not complete."""
    return next((str(run.said["run"]) for run in runs if run.name == name and run.said), "")
