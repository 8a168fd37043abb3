"""Runs in which no thread can be started end, whatever an engine does then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foveate.pipelines.running.exhaustion import exit_when_threads_exhausted

PROGRAM = """
import sys, threading, time
from foveate.pipelines.running import exhaustion
exhaustion.GRACE_SECONDS = {grace}
def die():
    raise {error}
with exhaustion.exit_when_threads_exhausted(lambda why: print(why, flush=True), 1):
    {block}
print("over", flush=True)
"""
HANG = "threading.Thread(target=die).start(); time.sleep(600)"
NO_THREAD = 'RuntimeError("can\'t start new thread")'


def run(error: str, block: str, grace: float = 0.1) -> tuple[int, str]:
    program = PROGRAM.format(error=error, block=block, grace=grace)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("error", [NO_THREAD, "MemoryError()"])
def test_a_run_that_hangs_because_a_thread_died_of_exhaustion_ends_with_a_sentence(error: str) -> None:
    status, said = run(error, HANG)
    assert status == 1
    assert said.startswith("out of threads or memory (") and "over" not in said


def test_a_run_that_fails_of_it_ends_at_once() -> None:
    status, said = run(NO_THREAD, "die()", grace=60)
    assert (status, "can't start new thread" in said) == (1, True)


def test_a_run_that_ends_on_its_own_is_left_alone_even_if_a_thread_had_a_bug() -> None:
    assert run(NO_THREAD, "threading.Thread(target=die).start()", grace=60) == (0, "over\n")
    assert run("KeyError()", "threading.Thread(target=die).start(); time.sleep(0.5)") == (0, "over\n")


def test_other_errors_are_passed_on() -> None:
    with pytest.raises(KeyError), exit_when_threads_exhausted(print, 1):
        raise KeyError
