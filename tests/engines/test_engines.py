"""Tests pipelines on other engines, through the command line: same bytes, same outcomes.

Engines are fetched and started, which takes minutes, so only if FOVEATE_ENGINES=1 (`make test-engines`).
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.archive import tables
from tests.engines import engines, fetch
from tests.engines.engines import Engine

pytestmark = [
    pytest.mark.skipif(os.environ.get("FOVEATE_ENGINES") != "1", reason="make test-engines runs these"),
    pytest.mark.timeout(1800),
]

PHOTOS = fetch.ROOT / "examples" / "photos"
PLAIN = ("--bpp", "1", "--roi", "none", "--reccnn", "off")
NETWORKS = ("--bpp", "0.4")
STARTS = {"prism": engines.prism, "flink": engines.flink, "flink-cluster": engines.flink_cluster}


@pytest.fixture(scope="module", params=list(STARTS))
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Each engine, running; skips unavailable ones."""
    try:
        with STARTS[request.param](tmp_path_factory.mktemp(request.param)) as running:
            yield running
    except fetch.NotToBeHad as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with real photos scaled down, in two folders and formats, one broken; commands run in it."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "photos" / "more").mkdir(parents=True)
    for number, path in enumerate(sorted(PHOTOS.glob("*.jpg"))):
        with Image.open(path) as photo:
            width = 321 + 32 * number
            small = photo.resize((width, round(width * photo.height / photo.width)), Image.Resampling.LANCZOS)
            small.save(folder / "photos" / f"{path.stem}.jpg", quality=95)
            small.resize((200, 131)).save(folder / "photos" / "more" / f"{path.stem}.png")
    whole = (folder / "photos" / "portrait.jpg").read_bytes()
    (folder / "photos" / "broken.jpg").write_bytes(whole[:300])
    return folder


def foveate(work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command in the folder of the photos, as a person would give it."""
    command = [sys.executable, "-m", "foveate", *arguments]
    return subprocess.run(command, cwd=work, env=_environment(), capture_output=True, text=True, check=False)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(fetch.ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}


def files_below(folder: Path) -> dict[str, bytes]:
    """The content of every file of an archive except the tables, whose rows contain times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "_foveate" not in path.parts
    }


@pytest.fixture(scope="module")
def local(work: Path) -> Callable[[str, tuple[str, ...]], dict[str, bytes]]:
    """Output of the local runner for a command, each run once: `local(command, (name, *arguments))`."""
    made: dict[str, dict[str, bytes]] = {}

    def run(name: str, arguments: tuple[str, ...]) -> dict[str, bytes]:
        if name not in made:
            done = foveate(work, *arguments, "--output", f"local-{name}")
            assert done.returncode in (0, 3), done.stderr
            made[name] = files_below(work / f"local-{name}")
        return made[name]

    return run


@pytest.mark.parametrize("name", ["plain", "networks"])
def test_an_archive_is_byte_for_byte_the_local_runners(
    engine: Engine, work: Path, local: Callable[[str, tuple[str, ...]], dict[str, bytes]], name: str
) -> None:
    arguments = ("compress", "photos", *(PLAIN if name == "plain" else NETWORKS))
    expected = local(name, arguments)
    output = f"{engine.name}-{name}"
    done = foveate(work, *arguments, "--output", output, *engine.flags)
    assert done.returncode == 3, done.stderr  # one photo is broken
    assert "8 compressed, 1 failed" in done.stderr, done.stderr
    assert len(expected) == 8
    assert files_below(work / output) == expected
    (failures,) = (work / output / "_foveate" / "failures").rglob("*.jsonl")
    assert "truncated JPEG" in failures.read_text()


def test_restored_photos_are_byte_for_byte_the_local_runners(
    engine: Engine, work: Path, local: Callable[[str, tuple[str, ...]], dict[str, bytes]]
) -> None:
    local("networks", ("compress", "photos", *NETWORKS))
    arguments = ("restore", "local-networks")
    expected = local("restored", arguments)
    output = f"{engine.name}-restored"
    done = foveate(work, *arguments, "--output", output, *engine.flags)
    assert done.returncode == 0, done.stderr
    assert len(expected) == 8
    assert files_below(work / output) == expected


def test_a_second_run_finds_all_done(engine: Engine, work: Path) -> None:
    arguments = ("compress", "photos/more", *PLAIN, "--output", f"{engine.name}-again", *engine.flags)
    assert foveate(work, *arguments).returncode == 0
    before = written(work / f"{engine.name}-again")
    second = foveate(work, *arguments)
    assert second.returncode == 0
    assert "4 skipped" in second.stderr
    assert len(before) == 4
    assert written(work / f"{engine.name}-again") == before


def written(archive: Path) -> dict[Path, int]:
    """When each file of an archive was written."""
    return {path: path.stat().st_mtime_ns for path in archive.rglob("*.jp2")}


def test_a_source_that_is_not_there_ends_the_run_with_one_sentence(engine: Engine, work: Path) -> None:
    done = foveate(work, "compress", "nowhere", *PLAIN, "--output", f"{engine.name}-none", *engine.flags)
    assert done.returncode in (1, 2)
    last = [line for line in done.stderr.splitlines() if line.startswith("foveate")][-1]
    assert "no such file, or no photos in it" in last
    assert "nowhere" in last


def test_pixels_do_not_leave_their_worker(engine: Engine, work: Path) -> None:
    if not engine.rest:
        pytest.skip("only a cluster tells what its steps pass on")
    done = foveate(work, "compress", "photos", *NETWORKS, "--output", "flow", *engine.flags)
    assert done.returncode == 3, done.stderr
    job = engines.get(f"{engine.rest}/jobs/{engine.jobs()[0]['jid']}")
    most = max(vertex["metrics"]["write-bytes"] for vertex in job["vertices"])
    with Image.open(work / "photos" / "portrait.jpg") as photo:
        one_photo = np.asarray(photo).nbytes
    assert 0 < most < one_photo / 4


def test_a_job_that_loses_its_task_manager_ends_complete(
    engine: Engine, work: Path, local: Callable[[str, tuple[str, ...]], dict[str, bytes]]
) -> None:
    if engine.lose_tasks is None:
        pytest.skip("only a cluster has task managers")
    arguments = ("compress", "photos", *PLAIN)
    expected = local("plain", arguments)
    archive = work / "lost"
    command = [sys.executable, "-m", "foveate", *arguments, "--output", "lost", *engine.flags]
    with (work / "lost.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=work, env=_environment(), stdout=log, stderr=log)
        try:
            while process.poll() is None and len(list(archive.rglob("*.jp2"))) < 2:
                time.sleep(0.2)
            assert process.poll() is None
            engine.lose_tasks()
            assert process.wait() == 3, (work / "lost.log").read_text()
        finally:
            process.kill()
    assert files_below(archive) == expected
    rows = tables.read_metrics(str(archive), columns=["relative_path"])
    assert sorted(rows.column("relative_path").to_pylist()) == sorted(
        name.removesuffix(".jp2") for name in expected
    )


def test_an_interrupt_ends_the_job_too(engine: Engine, work: Path) -> None:
    arguments = ("compress", str(PHOTOS), *NETWORKS, "--output", f"{engine.name}-stopped", *engine.flags)
    command = [sys.executable, "-m", "foveate", *arguments]
    known = {job["jid"] for job in engine.jobs()} if engine.rest else set()
    log = work / f"{engine.name}-stopped.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=_environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
            # Whoever started the tests may ignore interrupts (`nohup`, `&`): that would be inherited.
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        try:
            _wait_for_work(engine, known, process, log)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to all that it started
            status = process.wait(120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    said = log.read_text()
    assert status == 130, said
    assert "run the same command again to resume" in said, said
    if engine.rest:  # Beam's job server leaves it to a batch job whether it ends now or when it is done
        assert "asked the engine to end the job" in said
        assert _states_in_the_end(engine, known) <= {"CANCELED", "FINISHED"}


def _states_in_the_end(engine: Engine, known: set[str]) -> set[str]:
    """The states of new jobs, once they have had time to end."""
    states = {"RUNNING"}
    end = time.monotonic() + 300
    while states & {"RUNNING", "CANCELLING"} and time.monotonic() < end:
        time.sleep(1)
        states = {job["state"] for job in engine.jobs() if job["jid"] not in known}
    return states


def _wait_for_work(engine: Engine, known: set[str], process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until the job runs, according to the cluster or, without one, the display of progress."""
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        jobs = [job for job in engine.jobs() if job["jid"] not in known] if engine.rest else []
        if any(job["state"] == "RUNNING" for job in jobs) or "/4 photos" in log.read_text():
            return
        time.sleep(0.3)
    raise AssertionError(f"the run ended before it could be interrupted: {log.read_text()}")
