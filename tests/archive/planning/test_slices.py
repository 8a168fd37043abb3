"""Tests that slices cover a part, with few rows each."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from foveate.archive.planning.slices import Slice, cut_part, rows_of
from foveate.archive.planning.spool import put_parquet
from foveate.archive.tables import BadTable


@pytest.mark.parametrize(("count", "largest"), [(0, 0), (1, 1), (70, 1), (1000, 15), (5000, 32)])
def test_slices_are_all_of_a_part_in_order(tmp_path: Path, count: int, largest: int) -> None:
    url = str(tmp_path / "any-00000.parquet")
    put_parquet(pa.table({"number": list(range(count))}), url)
    found = list(cut_part(url))
    assert [row["number"] for part in found for row in rows_of(part)] == list(range(count))
    assert max((part.end - part.start for part in found), default=0) == largest


def test_a_broken_part_is_reported(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"no table")
    with pytest.raises(BadTable, match="broken"):
        rows_of(Slice(str(tmp_path / "broken.parquet"), 0, 1))
