"""Rules for a whole test run: nothing is timed, and no process outlives it."""

from __future__ import annotations

import os
import sys
import time
import uuid
from pathlib import Path

import hypothesis
import pytest

# Hypothesis would fail an example that takes 200 ms, which on a busy machine any may.
hypothesis.settings.register_profile("foveate", deadline=None)
hypothesis.settings.load_profile("foveate")

# In the environment of every process that the tests start, and of those that these start.
_MARK = "FOVEATE_TEST_RUN"
_PYTHONS_OWN = "from multiprocessing.resource_tracker import main"  # ends when it does that started it
_WORKER_BYTES = 5 << 29  # networks and all
_MOST_WORKERS = 6
_GRACE_SECONDS = 120  # for processes that end by themselves when their parent has


@pytest.fixture(scope="session", autouse=True)
def logging_as_in_a_command() -> None:
    """Sets up logging as commands do, so that all tests see the same messages in any order."""
    from foveate.pipelines.logs import set_up_logging

    set_up_logging()


@pytest.fixture(scope="session", autouse=True)
def beam_remembers() -> None:
    """Makes building pipelines faster, if Beam is loaded."""
    if "apache_beam" in sys.modules:
        from tests.beam_memory import remember

        remember()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """More workers than cores, since tests wait a third of their time: for processes, servers, browsers."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(cores + (cores + 1) // 2, _MOST_WORKERS, memory // _WORKER_BYTES))


def pytest_configure(config: pytest.Config) -> None:
    """Marks all processes started from here on; the workers of pytest-xdist inherit the mark."""
    if not is_worker(config):
        os.environ[_MARK] = uuid.uuid4().hex


@pytest.hookimpl(trylast=True)  # the workers of pytest-xdist end in another plugin's hook of this name
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a run that leaves processes behind."""
    if is_worker(session.config):
        return
    if "foveate.sandbox.client" in sys.modules:  # tests ran in this process: its decoders end when it does
        sys.modules["foveate.sandbox.client"]._children.close()
    end = time.monotonic() + _GRACE_SECONDS
    while (left := processes_left()) and time.monotonic() < end:
        time.sleep(0.1)
    if left:
        print("\nProcesses that tests started and did not end:", *left, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def is_worker(config: pytest.Config) -> bool:
    """Whether this process runs tests for another one."""
    return hasattr(config, "workerinput")


def processes_left() -> list[str]:
    """Id and command of every process that this run started, except this one."""
    mark = f"{_MARK}={os.environ[_MARK]}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):  # on other systems there are none
        try:
            started_here = mark in (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended, or is another user's
            continue
        if started_here and int(folder.name) != os.getpid() and _PYTHONS_OWN not in command:
            found.append(f"{folder.name}: {command.strip()}")
    return found
