"""Tests damage of all kinds from a fixed seed, and that the fuzzer itself notices failures."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz


def test_damaged_streams_end_in_a_result_or_a_typed_error() -> None:
    outcomes = [fuzz.read(fuzz.damaged(7, index)) for index in range(400)]
    assert not [outcome for outcome in outcomes if outcome.startswith("failed")]
    assert {"read", "BadCodestream in boxes", "BadCodestream in headers", "BadCodestream in packets"} <= set(
        outcomes
    )


def test_undamaged_parts_are_read() -> None:
    assert {fuzz.read(data) for data in fuzz.corpus()} == {"read"}


def test_the_same_seed_gives_the_same_inputs() -> None:
    assert [fuzz.damaged(3, i) for i in range(20)] == [fuzz.damaged(3, i) for i in range(20)]
    assert len({fuzz.damaged(3, i) for i in range(20)}) == 20


def test_hangs_crashes_and_gluttony_are_caught_one_by_one() -> None:
    inputs = [fuzz.damaged(5, index) for index in range(6)]

    def misbehaving(data: bytes) -> str:
        index = inputs.index(data) if data in inputs else -1
        if index == 1:
            time.sleep(600)
        if index == 2:
            os._exit(1)
        if index == 4:
            return f"read {np.ones(1 << 27).sum()}"
        return "read"

    found = fuzz.run(len(inputs), 5, misbehaving, seconds=15, memory_bytes=1 << 28)
    died = "failed: the process died"
    assert found.failures == [(1, "failed: not done in 15 seconds"), (2, died), (4, died)]
    assert found.outcomes["read"] == 3


def test_the_command_counts_outcomes_and_saves_what_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fuzz.main(["--inputs", "30", "--save", str(tmp_path / "none")]) == 0
    assert "30  inputs" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr(fuzz, "run", lambda *_: fuzz.Findings(failures=[(4, "failed: as an example")]))
    assert fuzz.main(["--inputs", "9", "--seed", "2", "--save", str(tmp_path)]) == 1
    assert (tmp_path / "seed2-input4.j2k").read_bytes() == fuzz.damaged(2, 4)
