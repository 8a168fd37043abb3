"""Places in an archive depend on a source's path alone."""

from __future__ import annotations

from foveate.archive.names import archive_url, kept_url
from foveate.storage.source import SourceFile


def test_places_in_the_archive_depend_on_the_path_alone() -> None:
    file = SourceFile("/in/trip/a.jpg", "trip/a.jpg", 7, 1.0)
    assert archive_url("gs://bucket/archive/", file) == "gs://bucket/archive/trip/a.jpg.jp2"
    assert kept_url("/archive", file) == "/archive/trip/a.jpg"
