"""Two runs do not write into one place at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foveate.pipelines.cli import main
from foveate.pipelines.running.lock import run_alone
from foveate.pipelines.running.status import RUN_FAILED

HOLD = """
import sys
from foveate.pipelines.running.lock import run_alone
print(run_alone(sys.argv[1], [], lambda: print("holds", flush=True) or int(sys.stdin.readline())))
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """A process that has the folder for itself until it reads a number."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    return process


def test_a_second_run_is_kept_out_until_the_first_has_ended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "archive"
    with hold(folder) as first:
        assert run_alone(str(folder), [], lambda: 0) == RUN_FAILED
        assert f"another run writes into {folder}" in capfd.readouterr().err
        first.communicate("0\n")
    assert run_alone(str(folder), [], lambda: 7) == 7
    assert not folder.exists()  # nothing was written


def test_a_killed_run_keeps_nobody_out(tmp_path: Path) -> None:
    with hold(tmp_path) as first:
        first.kill()
    assert run_alone(str(tmp_path), [], lambda: 7) == 7


def test_other_places_are_free(tmp_path: Path) -> None:
    with hold(tmp_path / "one") as first:
        assert run_alone(str(tmp_path / "two"), [], lambda: 7) == 7
        assert run_alone("gs://bucket/archive", [], lambda: 8) == 8
        first.communicate("0\n")


def test_nobody_is_kept_out_where_other_machines_do_the_work(tmp_path: Path) -> None:
    flags = ["--runner=PortableRunner", "--job_endpoint=flink:8099", "--environment_type=PROCESS"]
    with hold(tmp_path / "one") as first:
        assert run_alone(str(tmp_path / "one"), flags, lambda: 7) == 7
        first.communicate("0\n")
    assert run_alone(str(tmp_path / "two"), flags, lambda: len(list(tmp_path.glob("two")))) == 0


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("compress", "photos", "--roi=none", "--reccnn=off"), RUN_FAILED),
        (("compress", "photos", "--roi=none", "--reccnn=off", "--watch"), RUN_FAILED),
        (("compress", "photos", "--roi=none", "--reccnn=off", "--dry-run"), 0),
        (("restore", "photos"), RUN_FAILED),
    ],
)
def test_commands_write_alone(
    command: tuple[str, ...], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a.jp2", "b.jpg"):
        (tmp_path / "photos" / name).touch()
    with hold(tmp_path / "place") as first:
        assert main([*command, "--output", "place"]) == status
        first.communicate("0\n")
    assert not (tmp_path / "place").exists()


def test_a_place_that_cannot_be_made_is_the_runs_own_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert run_alone(str(tmp_path / "file" / "below"), [], lambda: 7) == 7
