"""Tests two simultaneous runs on one archive in a bucket, in independent processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from foveate.archive.claims import CLAIMS_FOLDER, NOTICED_FOLDER
from foveate.archive.tables import read_failures, read_metrics
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.storage.listing import list_folder, list_private
from tests import servers
from tests.picture_files import cmyk_jpeg, jpeg
from tests.streams import texture

ROOT = Path(__file__).parents[2]
ARCHIVE = "s3://archives/of-two"
NO_NETWORKS = ("--roi=none", "--comcnn=off", "--reccnn=off")
FLAGS = (f"--output={ARCHIVE}", "--bpp=1", *NO_NETWORKS, "--direct_num_workers=1")
PHOTOS = 40
_started: list[subprocess.Popen[str]] = []
# A command whose leases are renewed sooner, and run out when a run that was killed should. Having taken its
# first photo, it waits until the other run has taken one: however busy the machine, neither does all of them.
QUICK = """
import os, sys, time
from foveate.archive import leases
from foveate.archive.claims import Claims
from foveate.pipelines import compress
from foveate.pipelines.cli import main
leases.RENEW_SECONDS, leases.ALIVE_SECONDS, here = 2.0, float(sys.argv[1]), sys.argv[2]
take = Claims.take
def take_and_meet(claims, source):
    if taken := take(claims, source):
        open(os.path.join(here, str(os.getpid())), "w").close()
        end = time.monotonic() + 300
        while len(os.listdir(here)) < 2 and time.monotonic() < end:
            time.sleep(0.05)
    return taken
Claims.take = take_and_meet
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """The flags for an empty bucket."""
    with servers.s3_server("archives") as listener:
        flags = (f"--s3_endpoint_url={listener.url}", *servers.S3_FLAGS)
        set_up_filesystems(flags)
        yield flags


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(PHOTOS):
        place = tmp_path / "photos" / f"{number % 3}" / f"{number:03}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(jpeg(texture(200 + number, 300, 3), 96))
    (tmp_path / "photos" / "kept.jpg").write_bytes(cmyk_jpeg())
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def no_run_outlives_its_test() -> Iterator[None]:
    yield
    for run in _started:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
    _started.clear()


def start(photos: Path, flags: tuple[str, ...], alive: float = 120.0) -> subprocess.Popen[str]:
    here = photos.parent / "here"
    here.mkdir(exist_ok=True)
    command = [sys.executable, "-c", QUICK, str(alive), str(here), "compress", str(photos), *FLAGS, *flags]
    run = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    _started.append(run)
    return run


def rows_with_figures() -> list[dict[str, object]]:
    return [row for row in read_metrics(ARCHIVE).to_pylist() if row["outcome"] != "skipped"]


def check_archive() -> None:
    files = [file.path for file in list_folder(ARCHIVE)]
    assert len(files) == PHOTOS + 1
    assert read_failures(ARCHIVE).num_rows == 0
    assert not list_private(f"{ARCHIVE}/_foveate/plans")
    assert not list_private(f"{ARCHIVE}/{CLAIMS_FOLDER}")
    assert not list_private(f"{ARCHIVE}/{NOTICED_FOLDER}")
    assert not list_private(f"{ARCHIVE}/_foveate/leases")


@pytest.mark.slow
def test_two_runs_share_the_photos_and_code_none_twice(bucket: tuple[str, ...], photos: Path) -> None:
    runs = [start(photos, bucket) for _ in range(2)]
    said = [run.communicate(timeout=900)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    rows = rows_with_figures()
    times = Counter(row["relative_path"] for row in rows)
    assert (len(times), len(rows)) == (PHOTOS + 1, PHOTOS + 1)
    shares = Counter(row["run_id"] for row in rows)
    assert len(shares) == 2, f"one run did everything: {shares}, {said}"
    check_archive()


@pytest.mark.slow
def test_a_run_completes_even_if_a_concurrent_one_is_killed(bucket: tuple[str, ...], photos: Path) -> None:
    killed = start(photos, bucket, alive=20.0)
    other = start(photos, bucket, alive=20.0)
    end = time.monotonic() + 600
    while len(list(list_folder(ARCHIVE))) < 5 and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    said = other.communicate(timeout=900)[1]
    assert other.returncode == 0, said
    paths = {str(row["relative_path"]) for row in rows_with_figures()}
    files = {file.path.removesuffix(".jp2") for file in list_folder(ARCHIVE)}
    assert paths == files
    assert len(files) == PHOTOS + 1
    assert read_failures(ARCHIVE).num_rows == 0
