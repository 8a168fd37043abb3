"""Measures the cost per photo of syncing files and folders to disk before they count as written.

    python -m benchmarks.durability FOLDER [--files 200] [--bytes 300000]

Writes files as an archive does, with and without fsync in turn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

from foveate.storage.files import write_whole


def main() -> None:
    """Prints milliseconds per file, with and without."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--bytes", type=int, default=300_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        archive, data = Path(folder) / "archive", os.urandom(args.bytes)
        taken: dict[bool, list[float]] = {False: [], True: []}
        for number in range(args.files):
            for durable in (False, True):
                taken[durable].append(_milliseconds(archive, f"{number}-{durable}.jp2", data, durable))
        shutil.rmtree(archive)
    without, with_it = statistics.median(taken[False]), statistics.median(taken[True])
    print(
        f"{args.bytes:,} bytes a file: {without:.2f} ms, and {with_it:.2f} ms with fsync of file and folder"
    )


def _milliseconds(archive: Path, name: str, data: bytes, durable: bool) -> float:
    start = time.perf_counter()
    if durable:
        write_whole(f"{archive}/trip/{name}", data, str(archive))
    else:
        with mock.patch("os.fsync"):
            write_whole(f"{archive}/trip/{name}", data, str(archive))
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
