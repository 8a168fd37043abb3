"""Tests the message of a run that failed."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

import pytest

from foveate.pipelines.running import runner
from foveate.pipelines.running.status import INTERRUPTED, RUN_FAILED
from foveate.storage.errors import CannotGoOn


def test_a_lost_worker_process_is_named_as_such() -> None:
    said = runner._cause(RuntimeError(runner._LOST_WORKER))
    assert said.startswith("a worker process was killed, perhaps for lack of memory")


def test_other_errors_are_reported_without_what_beam_wraps_around_them() -> None:
    error = RuntimeError("wrapped")
    error.__cause__ = CannotGoOn("gs://x cannot be written: no")
    assert runner._cause(error) == "gs://x cannot be written: no"
    assert runner._cause(OSError("first line\nthe disk is gone")) == "the disk is gone"
    assert runner._cause(OSError("status = GONE\n>\n")) == "status = GONE"


def test_an_interrupt_is_one_whatever_the_engine_makes_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: Any) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("Stream removed")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a new process
    try:
        assert runner.run_pipeline(interrupted, [], 0, "Trying") == (INTERRUPTED, {})
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert "run the same command again" in capfd.readouterr().err


def test_an_error_is_no_interrupt(capfd: pytest.CaptureFixture[str]) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("Stream removed")

    assert runner.run_pipeline(broken, [], 0, "Trying") == (RUN_FAILED, {})
    assert "Stream removed" in capfd.readouterr().err
