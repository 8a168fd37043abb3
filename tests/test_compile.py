"""Once `python -m foveate.compile` has run, no command compiles anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.picture_files import png
from tests.streams import texture

COMMANDS = (
    "compress photos --output even --roi none --reccnn off --ssim 0.9 --layers 2",
    "compress photos --output archive --bpp 1 --measure ssimulacra2 --tune psnr",
    "compress photos --output best --roi none --reccnn off --bpp 1 --effort best",
    "restore archive --output back",
    "verify archive",
    "report archive --output report.html",
    "inspect archive --picture pictures",
)


def run(folder: Path, *arguments: str) -> str:
    """Output of a module of Foveate that keeps compiled loops in a folder of its own."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_commands_find_everything_compiled(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for channels in (1, 3, 4):
        data = png(texture(120, 150, channels))
        (tmp_path / "photos" / f"{channels}.png").write_bytes(data)
    assert "Compiled" in run(tmp_path, "foveate.compile")
    assert "Everything is compiled" in run(tmp_path, "foveate.compile")
    cached = {path.name for path in (tmp_path / "cache").rglob("*.nbc")}
    assert len(cached) > 100
    for command in COMMANDS:
        run(tmp_path, "foveate", *command.split())
        assert {path.name for path in (tmp_path / "cache").rglob("*.nbc")} == cached, command
