"""Tests files of other kinds beside photos: left out and counted, or copied into the archive and back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foveate.archive import tables
from foveate.pipelines.cli import main
from tests.picture_files import jpeg
from tests.streams import texture

PLAIN = ("--roi", "none", "--comcnn", "off", "--reccnn", "off", "--bpp", "1")
OLD = 1_400_000_000
SIDECARS = {
    "album/IMG_1.xmp": b"<x:xmpmeta/>",
    "album/IMG_1.MOV": b"\0\0\0\x18ftypqt  " + bytes(200),
    "album/empty.aae": b"",
    "notes": b"no ending",
}


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with a photo, sidecars, and system files."""
    (tmp_path / "in/album").mkdir(parents=True)
    (tmp_path / "in/album/IMG_1.jpg").write_bytes(jpeg(texture(120, 160, 3), 95))
    for name in ("album/.DS_Store", "album/._IMG_1.xmp", "Thumbs.db"):
        (tmp_path / "in" / name).write_bytes(b"of the system")
    for name, content in SIDECARS.items():
        path = tmp_path / "in" / name
        path.write_bytes(content)
        path.chmod(0o600)
        os.utime(path, (OLD, OLD))
    return tmp_path


def names(folder: Path) -> set[str]:
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in files if not name.startswith("_foveate")}


def compress(album: Path, *flags: str) -> int:
    return main(["compress", str(album / "in"), "--output", str(album / "archive"), *PLAIN, *flags])


def test_sidecars_go_into_the_archive_and_come_back(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compress(album, "--sidecars", "copy") == 0
    assert "left out" not in capsys.readouterr().err
    assert names(album / "archive") == {"album/IMG_1.jpg.jp2", *SIDECARS}
    for name, content in SIDECARS.items():
        path = album / "archive" / name
        assert (path.read_bytes(), path.stat().st_mtime, path.stat().st_mode & 0o777) == (content, OLD, 0o600)
    rows = tables.read_metrics(str(album / "archive")).to_pylist()
    assert {row["relative_path"] for row in rows if row["reason_code"] == "other_kind"} == set(SIDECARS)

    assert main(["verify", str(album / "archive")]) == 0
    assert compress(album, "--sidecars", "copy") == 0
    assert "5 skipped" in capsys.readouterr().err

    restored = album / "restored"
    restore = ["restore", str(album / "archive"), "--output", str(restored), "--reccnn", "off"]
    assert main(restore) == 0
    assert names(restored) == {"album/IMG_1.png", *SIDECARS}
    assert (restored / "album/IMG_1.xmp").read_bytes() == SIDECARS["album/IMG_1.xmp"]
    assert (restored / "album/IMG_1.xmp").stat().st_mtime == OLD
    part = ["restore", str(album / "archive/album"), "--output", str(album / "part"), "--reccnn", "off"]
    assert main(part) == 0
    assert names(album / "part") == {"IMG_1.png", "IMG_1.xmp", "IMG_1.MOV", "empty.aae"}


def test_other_files_are_counted_where_they_are_not_asked_for(
    album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compress(album) == 0
    said = "Skipped 4 files of other kinds: 1 without extension, 1 aae, 1 mov, 1 xmp"
    assert said in capsys.readouterr().err
    assert names(album / "archive") == {"album/IMG_1.jpg.jp2"}
    foreign = album / "foreign"
    foreign.mkdir()
    (album / "archive/album/IMG_1.jpg.jp2").rename(foreign / "a.jp2")
    (foreign / "a.xmp").write_bytes(b"<x:xmpmeta/>")
    assert main(["restore", str(foreign), "--output", str(album / "out"), "--reccnn", "off"]) == 0
    assert "Skipped 1 file of other kinds: 1 xmp" in capsys.readouterr().err
    assert names(album / "out") == {"a.png"}


def test_encrypted_sidecars_come_back_too(album: Path) -> None:
    key = str(album / "key")
    assert main(["keygen", key]) == 0
    assert compress(album, "--sidecars", "copy", "--encrypt-key", key) == 0
    assert (album / "archive/album/IMG_1.xmp.enc").is_file()
    restore = ["restore", str(album / "archive"), "--output", str(album / "out"), "--reccnn", "off"]
    assert main([*restore, "--encrypt-key", key]) == 0
    assert names(album / "out") == {"album/IMG_1.png", *SIDECARS}
