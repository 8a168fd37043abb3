"""Tests the cost of whole runs: the photos that are measured, and the resulting table."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from benchmarks import runs
from benchmarks.kept import Kept
from foveate.archive.in_sample import is_in_sample


def test_of_the_photos_by_which_runs_differ_one_is_measured_in_full(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i:02}.jpg" for i in range(64)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes([i]))
    found = runs.chosen(paths)
    full = [is_in_sample(hashlib.sha256(path.read_bytes()).hexdigest()) for path in found]
    assert full == [False] * 8 + [True]


def test_a_rate_leaves_out_the_start() -> None:
    section = runs.runs_section([runs.Cost("compress", 75.0, 60.0, 12.34), runs.Cost("restore", 75, 7.5, 5)])
    assert section.tables[0].rows == (("`compress`", "4,500", "12.3"), ("`restore`", "36,000", "5.0"))


def test_runs_need_photos_and_a_folder(tmp_path: Path) -> None:
    for kept in (Kept(None), Kept(tmp_path)):
        with pytest.raises(ValueError, match="--cameras"):
            runs.costs(tmp_path, kept)
