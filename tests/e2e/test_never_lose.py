"""Tests that no command loses a photo, wherever its output goes and whatever runs out."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from foveate.archive.tables import read_failures, read_metrics
from foveate.codec import integrity
from foveate.pipelines.cli import main
from tests import picture_files
from tests.e2e.test_compress_restore import hashes
from tests.streams import texture

QUICK = ("--roi", "none", "--reccnn", "off", "--bpp", "6")
PHOTOS = {
    "2019/a.png": picture_files.png(picture_files.sample(64, 97, 3)),
    "2019/moves.gif": picture_files.animated("GIF"),
    "2019/deeper/b.png": picture_files.png(picture_files.sample(97, 64, 1)),
}
OTHERS = {  # in the way of what is made of photos/2019 if the archive is photos
    "a.png": picture_files.png(picture_files.sample(31, 33, 3)),
    "a.png.jp2": b"somebody's own file",
    "moves.gif": picture_files.animated("GIF") + b" ",
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, data in (PHOTOS | OTHERS).items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "photos"


def assert_all_there(photos: Path) -> None:
    now = hashes(photos)
    originals = {name: (photos / name).read_bytes() for name in PHOTOS | OTHERS}
    assert originals == PHOTOS | OTHERS, now


@pytest.mark.parametrize(
    "output", ["photos/2019", "photos", "photos/2019/deeper"], ids=["same", "above", "inside"]
)
def test_sources_outlive_archives_among_them(photos: Path, output: str) -> None:
    archive = photos.parent / output
    command = ["compress", str(photos / "2019"), "--output", str(archive)]
    for settings in (QUICK, (*QUICK, "--force"), (*QUICK, "--min-saving", "0.99"), QUICK):
        assert main([*command, *settings]) in (0, 3)
        assert_all_there(photos)
    if output == "photos":  # what is somebody's own is in the way
        reasons = {row["url"]: row["message"] for row in read_failures(str(archive)).to_pylist()}
        assert set(reasons) == {str(photos / "2019" / name) for name in ("a.png", "moves.gif")}
        assert all("another file" in reason for reason in reasons.values())


def test_sources_outlive_restoring_among_them(photos: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    assert main(["compress", str(photos / "2019"), "--output", str(archive), *QUICK]) == 0
    before = hashes(photos)
    restore = ["restore", str(archive), "--output", str(photos / "2019"), "--reccnn", "off"]
    for options in ([], ["--overwrite"]):
        assert main([*restore, *options]) == 3
        assert_all_there(photos)
        shutil.rmtree(photos / "2019" / "_foveate")
        assert hashes(photos) == before


def test_sources_outlive_links_from_the_archive_to_them(photos: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "deeper").symlink_to(photos / "2019" / "deeper")
    (archive / "a.png.jp2").hardlink_to(photos / "2019" / "a.png")
    (archive / "moves.gif").symlink_to(photos / "2019" / "moves.gif")
    for settings in (QUICK, (*QUICK, "--force")):
        assert main(["compress", str(photos / "2019"), "--output", str(archive), *settings]) == 3
        assert_all_there(photos)
    (reason,) = {row["message"].partition(" at ")[0] for row in read_failures(str(archive)).to_pylist()}
    assert reason == "another file already exists"


# What runs out


def sources(folder: Path) -> list[Path]:
    folder.mkdir()
    sizes = {"a.png": (60, 80), "b.png": (300, 400), "c.png": (320, 400), "d.png": (340, 400)}
    for name, size in sizes.items():
        (folder / name).write_bytes(picture_files.png(texture(*size, 3)))
    return sorted(folder.iterdir())


def assert_whole(archive: Path) -> None:
    """Asserts that every file in an archive is complete, and nothing is half-written."""
    for path in archive.rglob("*.jp2"):
        assert integrity.check(path.read_bytes()).whole
    assert not list(archive.rglob("unfinished/*"))
    assert not list(archive.rglob("*.partial-*"))


def test_a_full_disk_ends_the_run_with_a_sentence_and_whole_files(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here")
    photos = sources(tmp_path / "photos")
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    script = f"""
        mount -t tmpfs -o size=200k tmpfs {disk} || exit 77
        {sys.executable} -m foveate compress {tmp_path}/photos --output {disk}/archive {" ".join(QUICK)}
        status=$?
        cp -r {disk}/archive {kept}
        exit $status
    """
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no filesystem may be mounted here")
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert_whole(kept)
    assert 1 <= len(list(kept.rglob("*.jp2"))) < len(photos)


LIMITED = """
import resource, sys
from foveate.pipelines import compress
from foveate.pipelines.cli import main
from foveate.transforms import encode
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="addresses are held to a limit on Linux only")
def test_a_photo_for_which_memory_does_not_suffice_is_a_failure_and_the_others_are_archived(
    tmp_path: Path,
) -> None:
    assert resource.getrlimit(resource.RLIMIT_AS)[1] == resource.RLIM_INFINITY
    folder = tmp_path / "photos"
    sources(folder)
    (folder / "large.png").write_bytes(picture_files.png(np.tile(texture(500, 500, 3), (15, 15, 1))))
    command = [
        "compress",
        str(folder),
        "--output",
        str(tmp_path / "archive"),
        *QUICK,
        "--direct_num_workers=1",
    ]
    # An arena takes 64 MB of addresses, and there would be up to eight for each core.
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(10**9), *command],
        env=os.environ | {"MALLOC_ARENA_MAX": "2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 3, done.stderr
    (failure,) = read_failures(str(tmp_path / "archive")).to_pylist()
    assert failure["url"].endswith("large.png")
    assert "memory" in failure["message"] or "allocat" in failure["message"]
    assert len(read_metrics(str(tmp_path / "archive"))) == 4
    assert_whole(tmp_path / "archive")
