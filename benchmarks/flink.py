"""Kills the task manager of a Flink cluster while it compresses: python -m benchmarks.flink FOLDER...

The photos of some folders, at most 300, are compressed by the local runner, and on a cluster of two slots
whose task manager is killed twice with all its workers: when a third and when two thirds of the files are
written. Each time, a new one is started. Every file has to equal the local run's byte for byte, and every
photo must have one row. The exit status is 1 if anything differs. Flink is fetched as for `make
test-engines`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.kill import FIGURES, ROOT, command, hashes, rows_of
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.storage.local_disk import PRIVATE_FOLDER
from tests.engines.engines import Engine, flink_cluster

FLAGS = ("--bpp=1", "--roi=none", "--comcnn=off", "--reccnn=off")
_SECONDS = 3600  # for all photos


def main() -> int:
    """Compresses and compares; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--flag", action="append", help="of `foveate compress`, instead of the usual ones")
    args = parser.parse_args()
    flags = tuple(args.flag or FLAGS)
    with tempfile.TemporaryDirectory(prefix="foveate-flink-bench-") as scratch:
        photos, local, there = (Path(scratch, name) for name in ("photos", "local", "flink"))
        count = link_photos(args.folders, photos, args.photos)
        start = time.monotonic()
        subprocess.run(command(photos, str(local), flags), cwd=ROOT, check=True)
        found: dict[str, Any] = {"photos": count, "local, s": round(time.monotonic() - start)}
        Path(scratch, "engine").mkdir()
        start = time.monotonic()
        with flink_cluster(Path(scratch, "engine")) as engine:
            found["files at kills"], status = run_and_lose(photos, there, flags, engine, args.kills)
        found |= {"Flink, s": round(time.monotonic() - start), "status": status}
        found["problems"] = differences(local, there)
    print(json.dumps(found))
    return 1 if found["problems"] or status or len(found["files at kills"]) < args.kills else 0


def link_photos(folders: list[Path], into: Path, most: int) -> int:
    """Links at most so many photos of some folders; returns how many."""
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    taken = [path for path in paths if path.suffix.lower() in PICTURE_EXTENSIONS][:most]
    into.mkdir()
    for number, path in enumerate(taken):
        (into / f"{number:04}{path.suffix.lower()}").symlink_to(path.resolve())
    return len(taken)


def run_and_lose(
    photos: Path, archive: Path, flags: tuple[str, ...], engine: Engine, kills: int
) -> tuple[list[int], int]:
    """Compresses on a cluster that loses its task manager; gives the number of files then, and the status."""
    if engine.lose_tasks is None:
        raise AssertionError("only a cluster has a task manager")
    count = len(list(photos.iterdir()))
    lost: list[int] = []
    with subprocess.Popen(command(photos, str(archive), (*flags, *engine.flags)), cwd=ROOT) as run:
        end = time.monotonic() + _SECONDS
        while run.poll() is None and time.monotonic() < end:
            files = sum(1 for path in archive.glob("*.*") if path.name != PRIVATE_FOLDER)
            if len(lost) < kills and files >= count * (len(lost) + 1) // (kills + 1):
                lost.append(files)
                print(f"killed with {files} of {count} files", flush=True)
                engine.lose_tasks()
            time.sleep(0.2)
        if run.poll() is None:
            run.kill()
    return lost, run.returncode


def differences(local: Path, there: Path) -> list[str]:
    """The differences between an archive and the local run's."""
    wanted, found = rows_of(str(local)), rows_of(str(there))
    problems = [] if hashes(str(there)) == hashes(str(local)) else ["other files than the local run's"]
    problems += [
        f"{name} has {len(found.get(name, []))} rows"
        for name in wanted.keys() | found.keys()
        if len(found.get(name, [])) != 1
    ]
    problems += [
        f"{name} has other figures"
        for name, (row, *_) in wanted.items()
        if name in found and any(found[name][0][figure] != row[figure] for figure in FIGURES)
    ]
    return problems


if __name__ == "__main__":
    sys.exit(main())
