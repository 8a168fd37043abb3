"""Two runs do not write into one place at once."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foveate.pipelines.cli import main
from foveate.pipelines.running.lock import run_alone
from foveate.pipelines.running.status import RUN_FAILED

HOLD = """
import sys
from foveate.pipelines.running.lock import run_alone
for folder in map(str.strip, sys.stdin):
    run_alone(folder, [], lambda: print("holds", flush=True) or int(sys.stdin.readline()))
    print("held", flush=True)
"""


class Other:
    """A process of another run, which holds one place after another."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD], stdin=pipe, stdout=pipe, text=True, bufsize=1
        )

    def tell(self, line: str) -> str:
        """Its answer to a line."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(line, file=self.process.stdin)
        return self.process.stdout.readline()

    @contextlib.contextmanager
    def holding(self, folder: Path) -> Iterator[None]:
        """Has a folder for itself meanwhile."""
        assert self.tell(str(folder)) == "holds\n"
        yield
        assert self.tell("0") == "held\n"


@pytest.fixture(scope="module")
def other() -> Iterator[Other]:
    started = Other()
    with started.process as process:
        yield started
        process.kill()


def test_a_second_run_is_kept_out_until_the_first_has_ended(
    other: Other, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "archive"
    with other.holding(folder):
        assert run_alone(str(folder), [], lambda: 0) == RUN_FAILED
        assert f"another run is writing into {folder}" in capfd.readouterr().err
    assert run_alone(str(folder), [], lambda: 7) == 7
    assert not folder.exists()  # nothing was written


def test_a_killed_run_keeps_nobody_out(tmp_path: Path) -> None:
    doomed = Other()
    with doomed.process as process:
        assert doomed.tell(str(tmp_path)) == "holds\n"
        process.kill()
    assert run_alone(str(tmp_path), [], lambda: 7) == 7


def test_other_places_are_free(other: Other, tmp_path: Path) -> None:
    with other.holding(tmp_path / "one"):
        assert run_alone(str(tmp_path / "two"), [], lambda: 7) == 7
        assert run_alone("gs://bucket/archive", [], lambda: 8) == 8


def test_nobody_is_kept_out_where_other_machines_do_the_work(other: Other, tmp_path: Path) -> None:
    flags = ["--runner=PortableRunner", "--job_endpoint=flink:8099", "--environment_type=PROCESS"]
    with other.holding(tmp_path / "one"):
        assert run_alone(str(tmp_path / "one"), flags, lambda: 7) == 7
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
    command: tuple[str, ...], status: int, other: Other, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a.jp2", "b.jpg"):
        (tmp_path / "photos" / name).touch()
    with other.holding(tmp_path / "place"):
        assert main([*command, "--output", "place"]) == status
    assert not (tmp_path / "place").exists()


def test_a_place_that_cannot_be_made_is_the_runs_own_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert run_alone(str(tmp_path / "file" / "below"), [], lambda: 7) == 7
