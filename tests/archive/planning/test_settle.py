"""Tests whether a source is up to date: by tables and listings, and in doubtful cases by reading."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest

from foveate.archive import tables
from foveate.archive.planning import settle
from foveate.archive.planning.planner import judge
from foveate.archive.planning.settle import is_up_to_date
from foveate.archive.planning.tasks import Asked
from foveate.archive.rows import MetricsRow
from foveate.codec import jp2
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord
from foveate.storage.files import stored_version
from foveate.storage.source import SourceFile
from tests.archive.test_tables import a_row
from tests.photos import source
from tests.streams import coded, texture

SETTINGS, NETWORKS = "5e7715" + 5 * "00", "3e16" + 6 * "00"


@dataclasses.dataclass(frozen=True)
class Archive:
    """A source and its archive, of one file and one row."""

    root: Path
    file: Path

    @property
    def source(self) -> SourceFile:
        return source(self.file, self.file.parents[1])

    def up_to_date(self, settings: str = SETTINGS, weights: str = NETWORKS) -> bool:
        return decided(str(self.root), self.source, settings, weights)


def decided(archive: str, source: SourceFile, settings: str = SETTINGS, weights: str = NETWORKS) -> bool:
    """Whether a source is up to date according to a plan and, in doubtful cases, to reading."""
    asked = Asked((source.url,), frozenset({".jpg"}), archive, settings, weights)
    rows = list(judge([source], asked))
    return all(is_up_to_date(row, archive, settings, weights) for row in rows)


def a_jp2(
    settings: str = SETTINGS, weights: str = NETWORKS, source: bytes = b"a photo", xmp: int = 1
) -> bytes:
    """An archived file whose record says so."""
    sha256 = hashlib.sha256(source).digest()
    record = ArchiveRecord(sha256, bytes.fromhex(settings), bytes.fromhex(weights))
    codestream = coded(texture(9, 13, 3))
    return jp2.wrap(codestream, metadata=PhotoMetadata(xmp=b"x" * xmp), record=record)


def put(archive: Archive, data: bytes) -> None:
    """Replaces the archived file, and sets its size in the row."""
    (path,) = archive.root.glob("trip*/*")
    path.write_bytes(data)
    table = f"{archive.root}/_foveate/metrics/run=r1/0.parquet"
    (values,) = tables.read_metrics(str(archive.root)).to_pylist()
    tables.write_metrics([MetricsRow(**(values | {"archive_bytes": len(data)}))], table)


@pytest.fixture(params=[".jp2", ""], ids=["compressed", "kept"])
def archive(tmp_path: Path, request: pytest.FixtureRequest) -> Archive:
    name = "trip [1]/ä.jpg"
    file = tmp_path / "photos" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a photo")
    os.utime(file, (1000, 1000.25))
    root = tmp_path / "archive"
    target = root / (name + request.param)
    target.parent.mkdir(parents=True)
    data = a_jp2() if request.param else b"a photo"
    target.write_bytes(data)
    row = a_row(
        name,
        source_url=str(file),
        archive_url=str(target),
        outcome="compressed" if request.param else "kept",
        source_bytes=7,
        source_modified=1000.25,
        source_sha256=hashlib.sha256(b"a photo").hexdigest(),
        archive_bytes=len(data),
        settings_digest=SETTINGS,
        weights_digest=NETWORKS,
    )
    tables.write_metrics([row], f"{root}/_foveate/metrics/run=r1/0.parquet")
    return Archive(root, file)


def test_a_photo_archived_with_the_same_settings_is_up_to_date(archive: Archive) -> None:
    assert archive.up_to_date()


def test_a_touched_source_with_the_same_bytes_is_up_to_date(archive: Archive) -> None:
    os.utime(archive.file, (2000, 2000))
    assert archive.up_to_date()


def test_a_source_of_other_bytes_is_not(archive: Archive) -> None:
    archive.file.write_bytes(b"A photo")
    assert not archive.up_to_date()


def test_a_source_of_another_size_is_not(archive: Archive) -> None:
    archive.file.write_bytes(b"a photo, longer")
    os.utime(archive.file, (1000, 1000.25))
    assert not archive.up_to_date()


def test_other_settings_or_weights_are_not(archive: Archive) -> None:
    assert not archive.up_to_date(settings="0000")
    assert not archive.up_to_date(weights="0000")


@pytest.mark.parametrize("archive", [".jp2"], indirect=True)
@pytest.mark.parametrize(
    "data",
    [
        a_jp2(settings="07" * 8),
        a_jp2(weights="07" * 8),
        a_jp2(source=b"A photo"),
        jp2.wrap(coded(texture(9, 13, 3)), metadata=PhotoMetadata()),
        b"no picture",
    ],
    ids=["settings", "weights", "source", "no record", "no picture"],
)
def test_a_file_that_a_killed_run_made_otherwise_is_not_whatever_the_rows_say(
    archive: Archive, data: bytes
) -> None:
    put(archive, data)
    assert not archive.up_to_date()


@pytest.mark.parametrize("archive", [".jp2"], indirect=True)
def test_a_file_whose_record_comes_after_much_metadata_is_up_to_date(archive: Archive) -> None:
    put(archive, a_jp2(xmp=100_000))
    assert archive.up_to_date()


def row_says(archive: Archive, **changes: str) -> None:
    """Changes the only row."""
    (values,) = tables.read_metrics(str(archive.root)).to_pylist()
    table = f"{archive.root}/_foveate/metrics/run=r1/0.parquet"
    tables.write_metrics([MetricsRow(**(values | changes))], table)


def test_files_that_are_as_their_rows_say_are_not_opened(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = archive.root.glob("trip*/*")
    row_says(archive, archive_version=stored_version(str(path)))
    for name in ("read_head", "read_whole", "read_source"):
        monkeypatch.setattr(settle, name, lambda *arguments: pytest.fail(f"{arguments} was read"))
    assert archive.up_to_date()


@pytest.mark.parametrize("archive", [".jp2"], indirect=True)
def test_a_file_that_was_written_later_than_its_row_says_is_opened(archive: Archive) -> None:
    put(archive, a_jp2(settings="07" * 8))
    row_says(archive, archive_version="changed:1000.5")
    assert not archive.up_to_date()
    put(archive, a_jp2())
    assert archive.up_to_date()


def test_where_stores_give_checksums_these_decide(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    row_says(archive, source_checksum="md5:one")
    elsewhere = dataclasses.replace(archive.source, url="gs://b/a.jpg", modified=7.0)
    read: list[SourceFile] = []

    def source_bytes(source: SourceFile) -> bytes:
        read.append(source)
        return b"A photo"

    monkeypatch.setattr(settle, "read_source", source_bytes)
    same, other = (dataclasses.replace(elsewhere, checksum=f"md5:{name}") for name in ("one", "two"))
    assert decided(str(archive.root), same) and not read
    assert not decided(str(archive.root), other) and read == [other]


def test_a_missing_archive_file_is_not(archive: Archive) -> None:
    for path in archive.root.glob("trip*/*"):
        path.unlink()
    assert not archive.up_to_date()


def test_a_truncated_archive_file_is_not(archive: Archive) -> None:
    for path in archive.root.glob("trip*/*"):
        path.write_bytes(path.read_bytes()[:-1])
    assert not archive.up_to_date()


def test_an_archive_that_was_moved_is_still_known(archive: Archive, tmp_path: Path) -> None:
    moved = archive.root.rename(tmp_path / "elsewhere")
    assert Archive(moved, archive.file).up_to_date()


def test_a_moved_folder_of_sources_is_still_known(archive: Archive, tmp_path: Path) -> None:
    moved = archive.file.parents[1].rename(tmp_path / "moved")
    assert Archive(archive.root, moved / archive.file.relative_to(tmp_path / "photos")).up_to_date()


def test_without_tables_nothing_is_up_to_date(tmp_path: Path) -> None:
    assert not decided(str(tmp_path / "nowhere"), SourceFile("/in/a.jpg", "a.jpg", 7, 1.0))
