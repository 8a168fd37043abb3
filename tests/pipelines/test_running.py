"""What is said of a run that failed."""

from __future__ import annotations

from pathlib import Path

from apache_beam.runners.worker import data_plane

from pipelines import running
from transforms.steps import CannotGoOn


def test_a_lost_worker_process_is_named_as_such() -> None:
    assert repr(running._LOST_WORKER) in Path(data_plane.__file__).read_text()  # it is still what Beam says
    said = running._cause(RuntimeError(running._LOST_WORKER))
    assert said == "a worker process has ended, killed perhaps for its memory; the same command goes on"


def test_other_errors_are_said_as_they_are_without_what_beam_wraps_around_them() -> None:
    error = RuntimeError("wrapped")
    error.__cause__ = CannotGoOn("gs://x cannot be written: no")
    assert running._cause(error) == "gs://x cannot be written: no"
    assert running._cause(OSError("first line\nthe disk is gone")) == "the disk is gone"
