"""Tests `--watch` as a person uses it: photos are dropped into a folder, and the archive follows."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveate.archive import tables
from foveate.pipelines.cli import main
from tests.held import foveate_held_at, let_go
from tests.picture_files import jpeg, png
from tests.streams import texture

ROOT = Path(__file__).parents[2]
FLAGS = ("--bpp", "2", "--roi", "none", "--reccnn", "off", "--watch-interval", "1")


@contextlib.contextmanager
def watching(
    folder: Path,
    *flags: str,
    name: str = "compress",
    foveate: Sequence[str] = (sys.executable, "-m", "foveate"),
) -> Iterator[subprocess.Popen[bytes]]:
    command = [*foveate, name, "in", "--output", "out", "--watch"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *FLAGS, *flags], cwd=folder, env=environment, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def drop(folder: Path, name: str, data: bytes) -> None:
    """Puts a file into the watched folder, all of it at once."""
    (folder / "coming").write_bytes(data)
    (folder / "coming").rename(folder / "in" / name)


def wait(
    folder: Path, true: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 240
) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.1)


def rows(folder: Path) -> list[dict[str, Any]]:
    found = tables.read_metrics(str(folder / "out"))
    return sorted(found.to_pylist(), key=lambda row: (row["relative_path"], row["finished"]))


def names(folder: Path) -> list[str]:
    return [row["relative_path"] for row in rows(folder)]


def told(folder: Path, word: str) -> Callable[[], bool]:
    return lambda: word in (folder / "log").read_text()


@pytest.mark.slow
def test_photos_that_arrive_are_archived_and_a_new_start_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "in"
    photos.mkdir()
    with watching(tmp_path) as process:  # an empty folder is no error
        wait(tmp_path, told(tmp_path, "Watching in"), process)
        drop(tmp_path, "a.jpg", jpeg(texture(90, 120, 3), 98))
        wait(tmp_path, lambda: names(tmp_path) == ["a.jpg"], process)
        assert (tmp_path / "out/a.jpg.jp2").exists()
        (photos / "trip").mkdir()
        drop(tmp_path, "trip/b.png", png(texture(97, 131, 3)))
        drop(tmp_path, "broken.jpg", b"no photo at all")
        wait(tmp_path, lambda: names(tmp_path) == ["a.jpg", "trip/b.png"], process)
        wait(tmp_path, lambda: len(tables.read_failures(str(tmp_path / "out"))) == 1, process)
        drop(tmp_path, "a.jpg", jpeg(texture(120, 90, 3), 98))  # another photo of the same name
        wait(tmp_path, lambda: names(tmp_path) == ["a.jpg", "a.jpg", "trip/b.png"], process)
        wait(tmp_path, lambda: (tmp_path / "log").read_text().count("became") >= 3, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 3  # one photo failed
    assert [row["width"] for row in rows(tmp_path)] == [120, 90, 131]
    assert len({row["run_id"] for row in rows(tmp_path)}) == 1
    written = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert not [name for name in written if "partial" in name or "journal" in name]
    # Again: only what failed is tried again, and what is new done.
    before = (tmp_path / "out/a.jpg.jp2").stat().st_mtime_ns
    (photos / "c.jpg").write_bytes(jpeg(texture(60, 70, 3), 98))
    with watching(tmp_path) as process:
        wait(tmp_path, lambda: "c.jpg" in names(tmp_path), process)
        wait(tmp_path, told(tmp_path, "1 compressed, 1 failed"), process)
        process.send_signal(signal.SIGINT)
        assert process.wait(240) == 3
    assert names(tmp_path) == ["a.jpg", "a.jpg", "c.jpg", "trip/b.png"]
    assert (tmp_path / "out/a.jpg.jp2").stat().st_mtime_ns == before
    # A run that ends by itself agrees.
    monkeypatch.chdir(tmp_path)
    assert main(["compress", "in", "--output", "out", *FLAGS]) == 3
    assert names(tmp_path) == ["a.jpg", "a.jpg", "c.jpg", "trip/b.png"]


@pytest.mark.slow
def test_a_signal_leaves_what_has_not_begun_and_a_kill_loses_no_rows(tmp_path: Path) -> None:
    photos = tmp_path / "in"
    photos.mkdir()
    data = jpeg(texture(400, 600, 3), 95)
    for number in range(40):
        (photos / f"{number:02}.jpg").write_bytes(data)
    with watching(tmp_path, foveate=foveate_held_at(tmp_path / "out", 10)) as process:
        wait(tmp_path, lambda: len(list((tmp_path / "out").glob("*.jp2"))) > 3, process)
        process.send_signal(signal.SIGTERM)
        wait(tmp_path, told(tmp_path, "stopping after"), process)
        let_go(tmp_path / "out")
        assert process.wait(240) == 0
    done = names(tmp_path)
    assert 3 < len(done) < 40, (tmp_path / "log").read_text()
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jp2")) == [f"{name}.jp2" for name in done]
    with watching(tmp_path) as process:
        wait(tmp_path, lambda: len(names(tmp_path)) > len(done) + 3, process)
        process.kill()
    first = rows(tmp_path)
    with watching(tmp_path) as process:
        wait(tmp_path, lambda: len(names(tmp_path)) == 40, process)
    assert len(set(names(tmp_path))) == 40
    assert [row for row in rows(tmp_path) if row in first] == first


@pytest.mark.slow
def test_masters_that_arrive_are_transcoded(tmp_path: Path) -> None:
    masters = tmp_path / "in"
    masters.mkdir()
    with watching(tmp_path, "--metrics", "csv", name="transcode") as process:
        wait(tmp_path, told(tmp_path, "Watching in"), process)
        Image.fromarray(texture(140, 170, 3)).save(tmp_path / "coming.jp2", irreversible=False)
        (tmp_path / "coming.jp2").rename(masters / "a.jp2")
        drop(tmp_path, "photo.png", png(texture(97, 131, 3)))
        wait(tmp_path, lambda: names(tmp_path) == ["a.jp2"], process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 0
    (row,) = rows(tmp_path)
    assert row["source_format"] == "jpeg2000" and row["bits_per_pixel"] <= 2
    assert list((tmp_path / "out/_foveate/metrics").rglob("*.csv"))


@pytest.mark.parametrize("command", ["compress", "transcode"])
@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--watch", "--force"), "cannot be combined with --force"),
        (("--watch", "--dry-run"), "or --dry-run"),
        (("--watch-subscription", "projects/project/subscriptions/photos"), "--runner=DataflowRunner"),
        (("--watch", "--watch-interval", "0"), "from 1 to 86400 seconds"),
        (("--watch-subscription", "photos"), "projects/PROJECT/subscriptions/NAME"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(
    tmp_path: Path, command: str, flags: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.suppress(SystemExit):
        assert main([command, str(tmp_path), "--output", str(tmp_path / "out"), "--bpp=1", *flags]) == 2
    assert sentence in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, output = str(tmp_path / "gone"), str(tmp_path / "out")
    assert main(["compress", gone, "--output", output, "--watch"]) == 2
    assert gone in capsys.readouterr().err
