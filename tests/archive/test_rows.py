"""Rows are made in one place, with a value for every field."""

from __future__ import annotations

from foveate.archive.rows import make_row
from foveate.storage.source import SourceFile
from tests.photos import labels


def test_a_row_without_measures_has_every_field() -> None:
    row = make_row(SourceFile("/in/a.jpg", "a.jpg", 7, 1.0), labels("/out"), "kept", reason="because")
    assert (row.source_url, row.outcome, row.reason, row.psnr_db) == ("/in/a.jpg", "kept", "because", None)
