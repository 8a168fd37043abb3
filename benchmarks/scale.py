"""Measures the overhead of runs: Beam's own share, workers, memory over many photos, growth, planning.

    python -m benchmarks.scale [overhead] [workers] [memory] [growth] [planning] [serving] [--share 1.0]

Photos are generated. Every run is a separate process, and times are processor seconds of it and all its
children, which depend little on other load. `--share 0.1` takes a tenth of the photos.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import altair as alt
import numpy as np
import vl_convert
from PIL import Image

ROOT = Path(__file__).parents[1]
PLAIN = ("--bpp=1", "--roi=none", "--reccnn=off")
TWO_MEGAPIXELS = (1200, 1680)
_SAMPLE_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of a process and all its children."""

    cpu_seconds: float
    wall_seconds: float
    memory: tuple[tuple[float, float], ...]  # seconds since its start, MiB of the whole tree


def make_photos(folder: Path, count: int, size: tuple[int, int], first: int = 0) -> None:
    """Photos of (height, width): the same dozen again and again, under names of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(first)
    height, width = size
    for number in range(count):
        place = folder / f"{first + number:05}.jpg"
        if number >= 12:
            os.link(folder / f"{first + number % 12:05}.jpg", place)
            continue
        coarse = generator.integers(0, 255, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
        smooth = np.asarray(
            Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.int16
        )
        noisy = smooth + generator.normal(0, 6, (height, width, 1)).astype(np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(place, quality=95)


def compress(photos: Path, archive: Path, *flags: str) -> list[str]:
    """The command line of a run."""
    start = [sys.executable, "-m", "foveate", "compress", str(photos), "--output", str(archive)]
    return [*start, *flags]


def cost_of(command: Sequence[str]) -> Cost:
    """Runs a command to its end.

    Raises:
      RuntimeError: it failed.
    """
    start = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        samples: list[tuple[float, float]] = []
        ended = threading.Event()
        sampler = threading.Thread(target=_sample, args=(process.pid, start, samples, ended), daemon=True)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        ended.set()
        sampler.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            raise RuntimeError(
                f"{' '.join(command)} ended with {process.returncode}: {said.read()[-2000:]!r}"
            )
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - start, tuple(samples))


def _sample(pid: int, start: float, samples: list[tuple[float, float]], ended: threading.Event) -> None:
    while not ended.wait(_SAMPLE_SECONDS):
        samples.append((time.monotonic() - start, sum(map(resident_mib, tree(pid)))))


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))
    except OSError:  # it has ended
        return


def resident_mib(pid: int) -> float:
    """Resident MiB of a process, what it shares with others divided among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    except OSError:
        return 0.0


# ---------------------------------------------------------------- Beam's own share, workers


def loop(photos: str, archive: str) -> None:
    """The work of `PLAIN` without Beam: the same functions, called for one photo after the other."""
    from apache_beam.pvalue import TaggedOutput

    from foveate.archive.rows import MetricsRow, RunLabels
    from foveate.archive.settings import CompressSettings, Target
    from foveate.archive.tables import write_metrics
    from foveate.pipelines.shared_flags import add_limits, limits_of
    from foveate.storage.listing import find_files
    from foveate.transforms import encode, encode_options, map_saliency, measure, read, run_reccnn, write
    from foveate.transforms.keep_journal import JournalWriter
    from foveate.transforms.progress import Progress

    parser = argparse.ArgumentParser()
    add_limits(parser)
    limits = limits_of(parser.parse_args([]))
    settings = CompressSettings(Target("bpp", 1.0), "none", comcnn="off")
    labels = RunLabels(archive, settings.target, settings.digest().hex(), "00" * 8, "0", "r1")
    encoder = encode_options.EncodeOptions(settings, bytes(8), archive, True)
    journal, progress = JournalWriter(labels), Progress(f"{archive}.progress")
    rows: list[MetricsRow] = []
    for source in find_files(photos, frozenset({".jpg"}), archive):
        for photo in read.read_photo(source, limits):
            for salient in map_saliency.without_saliency(photo):
                for coded in encode.encode_plain(salient, encoder):
                    if isinstance(coded, TaggedOutput):
                        raise AssertionError(f"{source.url} would be kept")
                    for restored in run_reccnn.without_reccnn(coded):
                        for archived in measure.measure_photo(restored, labels):
                            for row in write.write_archived(archived, labels, progress):
                                rows += journal.process(row)
    write_metrics(rows, f"{archive}/_foveate/metrics/run=r1/0.parquet")


def overhead(folder: Path, share: float) -> dict[str, float]:
    """Processor time of a run compared with that of a plain loop, both including the start."""
    count = max(2, round(200 * share))
    make_photos(folder / "in", count, TWO_MEGAPIXELS)
    code = f"from benchmarks.scale import loop; loop({str(folder / 'in')!r}, {str(folder / 'loop')!r})"
    plain = cost_of([sys.executable, "-c", code])
    beam = cost_of(compress(folder / "in", folder / "beam", *PLAIN, "--direct_num_workers=1"))
    return {
        "photos": count,
        "plain loop, CPU s": plain.cpu_seconds,
        "run, CPU s": beam.cpu_seconds,
        "more, %": 100 * (beam.cpu_seconds / plain.cpu_seconds - 1),
    }


def workers(folder: Path, share: float) -> dict[str, float]:
    """Time of two workers compared with one, in turns, and how much of two cores was available meanwhile."""
    count = max(4, round(60 * share))
    make_photos(folder / "in", count, TWO_MEGAPIXELS)
    runs: dict[int, list[Cost]] = {1: [], 2: []}
    for turn in range(2):
        for number in (1, 2) if turn % 2 == 0 else (2, 1):
            archive = folder / f"out-{turn}-{number}"
            flag = f"--direct_num_workers={number}"
            runs[number].append(cost_of(compress(folder / "in", archive, *PLAIN, flag)))
    one, two = (min(cost.wall_seconds for cost in runs[number]) for number in (1, 2))
    shares = {n: max(cost.cpu_seconds / cost.wall_seconds for cost in runs[n]) for n in (1, 2)}
    return {
        "photos": count,
        "one worker, s": one,
        "two workers, s": two,
        "ratio": two / one,
        "cores that one had": shares[1],
        "cores that two had": shares[2],
        "two workers' CPU / one's": runs[2][0].cpu_seconds / runs[1][0].cpu_seconds,
    }


# ---------------------------------------------------------------- many photos


def memory(folder: Path, share: float) -> dict[str, float]:
    """Memory of one worker over a thousand photos, some of them of 24 megapixels; a plot of it."""
    count = max(20, round(1000 * share))
    large = max(2, count // 100)
    make_photos(folder / "small", count - large, (400, 560))
    make_photos(folder / "large", large, (4000, 6000), first=50_000)
    (folder / "in").mkdir()
    small = sorted((folder / "small").iterdir())
    for number, path in enumerate(sorted((folder / "large").iterdir())):  # spread among the small ones
        small.insert((number + 1) * (count - large) // (large + 1) + number, path)
    for number, path in enumerate(small):
        os.link(path, folder / "in" / f"{number:05}.jpg")
    cost = cost_of(compress(folder / "in", folder / "out", *PLAIN, "--direct_num_workers=1"))
    _plot(cost.memory, ROOT / "docs/images/memory-of-a-run.svg")
    half = [size for seconds, size in cost.memory if seconds > cost.wall_seconds * 0.3]
    first, second = half[: len(half) // 2], half[len(half) // 2 :]
    return {
        "photos": count,
        "of 24 megapixels": large,
        "highest, MiB": max(size for _, size in cost.memory),
        "highest of the first half, MiB": max(first),
        "highest of the second half, MiB": max(second),
        "median of the first half, MiB": float(np.median(first)),
        "median of the second half, MiB": float(np.median(second)),
        "CPU s": cost.cpu_seconds,
    }


def _plot(samples: Sequence[tuple[float, float]], place: Path) -> None:
    step = max(1, len(samples) // 400)
    points = [{"s": seconds, "MiB": size} for seconds, size in samples[::step]]
    chart = (
        alt.Chart(alt.Data(values=points))
        .mark_line(strokeWidth=1.2, color="#1971c2")
        .encode(
            x=alt.X("s:Q", title="seconds since the start"),
            y=alt.Y("MiB:Q", title="memory of the run and its decoders, MiB"),
        )
        .properties(width=640, height=240)
        .configure(background="white")
    )
    place.write_text(str(vl_convert.vegalite_to_svg(chart.to_dict())))


def growth(folder: Path, share: float) -> dict[str, float]:
    """Processor time per photo for 100, 300 and 1000 photos, without the start."""
    sizes = [max(3, round(count * share)) for count in (100, 300, 1000)]
    found: dict[str, float] = {}
    make_photos(folder / "one", 1, (400, 560))
    start = cost_of(compress(folder / "one", folder / "out-one", *PLAIN)).cpu_seconds
    for count in sizes:
        make_photos(folder / str(count), count, (400, 560))
        cost = cost_of(compress(folder / str(count), folder / f"out-{count}", *PLAIN))
        found[f"{count} photos, CPU ms a photo"] = 1000 * (cost.cpu_seconds - start) / (count - 1)
    values = list(found.values())
    found["largest / smallest"] = max(values) / min(values)
    return found | {"start and one photo, CPU s": start}


# ---------------------------------------------------------------- planning, serving


def planning(folder: Path, share: float) -> dict[str, float]:
    """Plans with a million listed sources of which a thousandth is new, including the store's listing."""
    count = round(1_000_000 * share)
    cost = cost_of([sys.executable, "-m", "benchmarks.planning", str(count), str(folder)])
    highest = max(size for _, size in cost.memory)
    return {
        "sources": count,
        "CPU s": cost.cpu_seconds,
        "s": cost.wall_seconds,
        "highest, MiB": highest,
    }


def serving(folder: Path, share: float) -> dict[str, float]:
    """RecCNN in two processes, with a network each or a shared one."""
    found: dict[str, float] = {}
    for how in ("each", "shared"):
        count = max(2, round(8 * share))
        cost = cost_of([sys.executable, "-m", "benchmarks.shared_network", how, str(count)])
        found |= {f"{how}: CPU s": cost.cpu_seconds, f"{how}: s": cost.wall_seconds}
        found[f"{how}: highest, MiB"] = max(size for _, size in cost.memory)
    return found


SECTIONS: dict[str, Callable[[Path, float], dict[str, float]]] = {
    "growth": growth,
    "memory": memory,
    "overhead": overhead,
    "planning": planning,
    "workers": workers,
    "serving": serving,
}


def main() -> int:
    """Runs the sections that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], default=list(SECTIONS))
    parser.add_argument("--share", type=float, default=1.0, help="of the photos (default: %(default)g)")
    args = parser.parse_args()
    for name in args.sections:
        with tempfile.TemporaryDirectory(prefix="foveate-scale-") as folder:
            figures = SECTIONS[name](Path(folder), args.share)
        print(json.dumps({name: {key: round(value, 3) for key, value in figures.items()}}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
