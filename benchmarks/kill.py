"""Kills runs at random moments, completes them, and compares the result with an undisturbed run.

    python -m benchmarks.kill [--kills 20] [--photos 16] [--networks | --flag=--roi=none ...] [--bucket]
        [--nights]

With --bucket, archives are in a bucket of an S3 server on this machine (moto's). With --nights, archives hold
the tables of so many earlier runs that each run compacts them, and a fifth of the runs is killed doing so.

Photos are generated. Every trial has an archive and a process group of its own: `foveate compress`, SIGKILL
to the whole group at a random moment, and the same command again. Moments are drawn by progress: after so
many files, and up to a photo's time later; a fifth of them while the run is still starting. Afterwards every
file of the archive has to equal the undisturbed run's byte for byte, every photo must have one row with its
own figures, and nothing unfinished may be left (plans and claims in a bucket may remain until the killed
run's lease is over and another run has looked). The exit status is 1 if any trial ends otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from foveate.archive.leases import ALIVE_SECONDS
from foveate.archive.rows import RunLabels, make_row
from foveate.archive.settings import Target
from foveate.archive.skipped import read_skipped, write_skipped
from foveate.archive.tables import METRICS_FOLDER, read_metrics, run_folder, write_metrics
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.storage.files import read_whole
from foveate.storage.listing import list_folder, list_private
from foveate.storage.source import SourceFile
from tests import servers

ROOT = Path(__file__).parents[1]
FLAGS = ("--bpp=1", "--roi=none", "--comcnn=off", "--reccnn=off")
# The columns that must be the same whenever a row was made.
FIGURES = ("outcome", "archive_bytes", "psnr_db", "ssim", "source_sha256")
NIGHTS = 410  # earlier runs: more than `foveate compress` leaves as they are
_COMPACTING = 1.0  # seconds, about
_SECONDS = 300  # for a run to get as far as where it is killed


@dataclasses.dataclass(frozen=True)
class Moment:
    """When a run is killed: so many seconds after its archive holds so many files, or after it compacts."""

    files: int
    delay: float
    compacts: bool = False

    def has_come(self, archive: str) -> bool:
        """Whether everything but the delay is over."""
        if self.compacts:
            return any("/run=compacted-" in url for url in list_private(f"{archive}/_foveate/leases"))
        return _finished(archive) >= self.files

    def __str__(self) -> str:
        what = "compaction began" if self.compacts else f"{self.files:2} files"
        return f"{self.delay:4.1f} s after {what}"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One killed run and its completion."""

    files: int  # whole files in the archive after it
    rows: int  # rows with figures after it
    problems: tuple[str, ...]


def make_photos(folder: Path, count: int) -> None:
    """Photos of several sizes, and a file that is kept."""
    generator = np.random.default_rng(7)
    folder.mkdir(parents=True)
    for number in range(count):
        height, width = 500 + 40 * (number % 5), 800 + 30 * (number % 7)
        coarse = generator.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        smooth.save(folder / f"{number:03}.jpg", quality=95)
    Image.new("CMYK", (64, 48), (10, 20, 30, 40)).save(folder / "kept.jpg")


def command(photos: Path, archive: str, flags: tuple[str, ...]) -> list[str]:
    """The command line of a run."""
    start = [sys.executable, "-m", "foveate", "compress", str(photos), "--output", archive]
    return [*start, *flags]


def files_of(archive: str) -> Iterator[str]:
    """The paths of all files of an archive."""
    yield from (url[len(archive) + 1 :] for url in list_private(archive))


def hashes(archive: str) -> dict[str, str]:
    """SHA-256 of all files of an archive except Foveate's own."""
    return {
        path: hashlib.sha256(read_whole(f"{archive}/{path}")).hexdigest()
        for path in files_of(archive)
        if not path.startswith("_foveate/")
    }


def rows_of(archive: str) -> dict[str, list[dict[str, object]]]:
    """The rows with figures of every photo; rows of skipped ones repeat earlier figures."""
    rows: dict[str, list[dict[str, object]]] = {}
    for row in read_metrics(archive).to_pylist():
        if row["outcome"] != "skipped":
            rows.setdefault(row["relative_path"], []).append(row)
    return rows


def write_nights(archive: str) -> None:
    """The tables of many earlier runs: of other photos, each a row, and of what they skipped."""
    for night in range(NIGHTS // 2):
        row = make_row(
            SourceFile(f"/old/{night}.jpg", f"old/{night}.jpg", 1000, 1.5),
            RunLabels(archive, Target("bpp", 1.0), "00" * 8, "00" * 8, "0.1.0", f"night-{night:04}"),
            "kept",
            archive_url=f"{archive}/old/{night}.jpg",
            archive_bytes=1000,
            source_sha256="ab" * 32,
        )
        write_metrics([row], f"{run_folder(archive, METRICS_FOLDER, row.run_id)}/00000.parquet")
        write_skipped((3, 30, 3), archive, row.run_id, row.foveate_version)


def run_and_kill(arguments: list[str], archive: str, moment: Moment) -> None:
    """Starts a process group, and kills all of it at a moment, or when it has ended."""
    process = subprocess.Popen(
        arguments, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + _SECONDS
    while process.poll() is None and not moment.has_come(archive) and time.monotonic() < end:
        time.sleep(0.002 if "://" not in archive else 0.05)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment.delay)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _finished(archive: str) -> int:
    """How many photos an archive holds."""
    if "://" in archive:
        return sum(1 for _ in list_folder(archive))
    return len(list(Path(archive).glob("*.*")))


def left_to_later_runs(archive: str) -> list[str]:
    """The files of an archive by which runs plan and share work; the last run removes them."""
    passing = ("_foveate/claims/", "_foveate/noticed/", "_foveate/plans/")
    return [path for path in files_of(archive) if path.startswith(passing)]


def try_once(photos: Path, archive: str, undisturbed: str, flags: tuple[str, ...], moment: Moment) -> Trial:
    """One trial: killed at a moment, then completed."""
    run_and_kill(command(photos, archive, flags), archive, moment)
    whole, survived = hashes(archive), rows_of(archive)
    complete = functools.partial(
        subprocess.run, command(photos, archive, flags), cwd=ROOT, capture_output=True, text=True, check=False
    )
    done = complete()
    wanted, found = rows_of(undisturbed), rows_of(archive)
    problems = []
    if done.returncode != 0:
        problems.append(f"the second run ended with {done.returncode}: {done.stderr.splitlines()[-1:]}")
    if hashes(archive) != hashes(undisturbed):
        problems.append("other files than the undisturbed run's")
    if any(whole[name] != hashes(undisturbed).get(name) for name in whole):
        problems.append("a file was there after the kill that is not whole")
    if any("/unfinished/" in path or ".partial-" in path for path in files_of(archive)):
        problems.append("something unfinished was left")
    if read_skipped(archive).num_rows < read_skipped(undisturbed).num_rows:
        problems.append("what earlier runs skipped is lost")
    if "://" in archive and left_to_later_runs(archive):  # there the killed run may count as alive
        time.sleep(ALIVE_SECONDS)
        complete()
    if left_to_later_runs(archive):
        problems.append("a plan or a claim was left")
    problems += [
        f"{name} has {len(found.get(name, []))} rows" for name in wanted if len(found.get(name, [])) != 1
    ]
    problems += [
        f"{name} has other figures"
        for name, (row, *_) in wanted.items()
        if name in found and any(found[name][0][figure] != row[figure] for figure in FIGURES)
    ]
    return Trial(len(whole), len(survived), tuple(problems))


@contextlib.contextmanager
def place_of_archives(folder: str, bucket: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where archives are, and the flags for that; a bucket is on a server in a separate process."""
    if not bucket:
        yield folder, ()
        return
    port = servers.free_port()
    code = f"from moto.server import main; main(['-H', {servers.HOST!r}, '-p', '{port}'])"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as server:
        try:
            servers.wait_for(port)
            url = f"http://{servers.HOST}:{port}"
            servers.s3_client(url).create_bucket(Bucket="archives")
            yield "s3://archives", (f"--s3_endpoint_url={url}", *servers.S3_FLAGS)
        finally:
            server.kill()


def main() -> int:
    """Runs all trials; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flag", action="append", help="of `foveate compress`, instead of the usual ones")
    parser.add_argument("--networks", action="store_true", help="MS-ROI and RecCNN are on")
    parser.add_argument("--bucket", action="store_true", help="archives are in a bucket")
    parser.add_argument("--nights", action="store_true", help="archives hold the tables of many runs")
    args = parser.parse_args()
    flags = tuple(args.flag or (("--bpp=1",) if args.networks else FLAGS))
    generator = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as scratch, place_of_archives(scratch, args.bucket) as (root, more):
        flags += more
        set_up_filesystems(more)
        photos, undisturbed = Path(scratch, "photos"), f"{root}/undisturbed"
        make_photos(photos, args.photos)
        if args.nights:
            write_nights(undisturbed)
        start = time.monotonic()
        subprocess.run(command(photos, undisturbed, flags), cwd=ROOT, capture_output=True, check=True)
        whole = time.monotonic() - start
        print(f"undisturbed: {whole:.1f} s, {len(hashes(undisturbed))} files")
        bad = 0
        for number in range(args.kills):
            archive = f"{root}/archive-{number}"
            if args.nights:
                write_nights(archive)
            files = 0 if number % 5 == 4 else generator.randint(1, args.photos)
            delay = generator.uniform(0, whole / (2 if files == 0 else args.photos))
            moment = Moment(files, delay)
            if args.nights and number % 5 == 3:
                moment = Moment(0, generator.uniform(0, _COMPACTING), compacts=True)
            trial = try_once(photos, archive, undisturbed, flags, moment)
            bad += bool(trial.problems)
            told = "; ".join(trial.problems) or "complete"
            print(
                f"{number + 1:3}. killed {moment}: {trial.files:3} files and {trial.rows:3} rows were there; "
                f"{told}",
                flush=True,
            )
    print(f"{args.kills - bad} of {args.kills} killed runs ended complete after one more")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
