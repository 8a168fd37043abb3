"""Tests what commands print on standard error: sentences, JSON lines, or only errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveate.pipelines import cli, logs
from tests.streams import texture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(texture(64, 80, 3)).save(folder / "good.png")
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


def compress(photos: Path, *flags: str) -> list[str]:
    """The arguments of a quick run."""
    output = str(photos.parent / "archive")
    return ["compress", str(photos), "--output", output, "--roi", "none", "--reccnn", "off", *flags]


def test_json_logs_are_a_json_object_a_line_and_end_with_the_counts(
    photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(compress(photos, "--log-format", "json")) == 3
    logs.set_up_logging()
    entries: list[dict[str, Any]] = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert all({"severity", "time", "message", "logger"} <= set(entry) for entry in entries)
    (end,) = (entry for entry in entries if "counts" in entry)
    assert end["severity"] == "INFO" and end["counts"]["compressed"] == 1 and end["counts"]["failed"] == 1
    assert any(entry["severity"] == "ERROR" and "failures" in entry["message"] for entry in entries)


def test_quiet_says_only_what_goes_wrong(photos: Path) -> None:
    (photos / "bad.png").unlink()
    command = [sys.executable, "-m", "foveate", *compress(photos, "--quiet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_errors_are_reported_however_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path / "nowhere"), "--quiet", "--log-format", "json"]) == 2
    entry = json.loads(capsys.readouterr().err)
    assert entry["severity"] == "ERROR" and "nowhere" in entry["message"]
    logs.set_up_logging()


def test_importing_every_module_leaves_the_host_programs_logging_alone() -> None:
    code = """
import importlib, logging, pkgutil, warnings
import foveate.pipelines
handler, shown = logging.StreamHandler(), warnings.showwarning
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.DEBUG)
for module in pkgutil.walk_packages(foveate.pipelines.__path__, "foveate.pipelines."):
    importlib.import_module(module.name)
assert logging.getLogger().handlers == [handler]
assert logging.getLogger().level == logging.DEBUG and warnings.showwarning is shown
assert not logging.getLogger("foveate.user").handlers
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_exception_is_within_its_entry(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging("json")
    try:
        raise ValueError("of no value")
    except ValueError:
        logs.user_log.exception("it went wrong")
    finally:
        entry = json.loads(capsys.readouterr().err)
        logs.set_up_logging()
    assert entry["message"] == "it went wrong" and "of no value" in entry["exception"]
