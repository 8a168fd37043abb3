"""What the tables say last of every photo."""

import datetime
import pathlib

import numpy as np
import pyarrow as pa
import pytest

from tests.transforms.test_tables import NOON, a_row
from transforms import tables
from transforms.latest import LatestRows


def test_an_archive_without_tables_has_no_rows(tmp_path: pathlib.Path) -> None:
    rows = LatestRows.read(str(tmp_path))
    assert len(rows) == 0 and rows.find("a.jpg") is None


def test_the_newest_run_wins(tmp_path: pathlib.Path) -> None:
    later = NOON + datetime.timedelta(hours=1)
    old, new = a_row(settings_digest="old"), a_row(settings_digest="new", run_id="r2", finished=later)
    tables.write_metrics([new, a_row("b.jpg")], f"{tmp_path}/_foveate/metrics/run=r2/0.parquet")
    tables.write_metrics([old], f"{tmp_path}/_foveate/metrics/run=r1/0.parquet")
    rows = LatestRows.read(str(tmp_path))
    assert len(rows) == 2 and rows.find("c.jpg") is None and rows.find("b.jpg") is not None
    number = rows.find("trip/a.jpg")
    assert number is not None
    row = rows[number]
    assert (row.settings_digest, row.finished, row.archive_version) == ("new", later, None)


def test_paths_of_one_hash_are_told_apart(tmp_path: pathlib.Path) -> None:
    table = pa.table({"relative_path": ["a", "b", "c"]})
    hashes = np.sort(np.array([hash("b"), hash("b"), hash("b")]))
    rows = LatestRows(table, hashes, np.array([2, 0, 1]))
    assert rows.find("b") == 1 and rows.find("z") is None


def test_what_is_no_table_is_told(tmp_path: pathlib.Path) -> None:
    place = tmp_path / "_foveate/metrics/run=r1/0.parquet"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"no parquet")
    with pytest.raises(tables.BadTable):
        LatestRows.read(str(tmp_path))
