"""Which sources are worked on: each name once, and only what is not archived as it would be again."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import pickle
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive import tables, up_to_date
from foveate.archive.names import archive_url, kept_url
from foveate.archive.rows import Failure, MetricsRow, make_row
from foveate.archive.up_to_date import ArchiveIndex
from foveate.codec import jp2
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord
from foveate.storage.files import stored_version
from foveate.storage.source import SourceFile
from foveate.transforms.match import MatchSources, one_of_each_name
from foveate.transforms.skip_archived import ROWS, SIZES, SkipArchived
from foveate.transforms.steps import FAILURES
from tests.archive.test_tables import a_row
from tests.photos import labels, outputs, source
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
        return ArchiveIndex.read(str(self.root)).up_to_date(self.source, settings, weights) is not None


def a_jp2(
    settings: str = SETTINGS, weights: str = NETWORKS, source: bytes = b"a photo", xmp: int = 1
) -> bytes:
    """An archived file whose record says so."""
    sha256 = hashlib.sha256(source).digest()
    record = ArchiveRecord(sha256, bytes.fromhex(settings), bytes.fromhex(weights))
    codestream = coded(texture(9, 13, 3))
    return jp2.wrap(codestream, metadata=PhotoMetadata(xmp=b"x" * xmp), record=record)


def put(archive: Archive, data: bytes) -> None:
    """Puts another file in the archived one's place, and gives the row its size."""
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


def test_what_is_archived_alike_is_up_to_date(archive: Archive) -> None:
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
def test_a_file_whose_record_stands_behind_much_metadata_is_up_to_date(archive: Archive) -> None:
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
        monkeypatch.setattr(up_to_date, name, lambda *arguments: pytest.fail(f"{arguments} was read"))
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
    index = ArchiveIndex.read(str(archive.root))
    read: list[SourceFile] = []

    def source_bytes(source: SourceFile) -> bytes:
        read.append(source)
        return b"A photo"

    monkeypatch.setattr(up_to_date, "read_source", source_bytes)
    same, other = (dataclasses.replace(elsewhere, checksum=f"md5:{name}") for name in ("one", "two"))
    assert index.up_to_date(same, SETTINGS, NETWORKS) and not read
    assert not index.up_to_date(other, SETTINGS, NETWORKS) and read == [other]


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
    index = ArchiveIndex.read(str(tmp_path / "nowhere"))
    assert len(index.rows) == 0
    assert index.up_to_date(SourceFile("/in/a.jpg", "a.jpg", 7, 1.0), SETTINGS, NETWORKS) is None


def test_a_source_is_passed_on_or_becomes_a_skipped_row(archive: Archive) -> None:
    skip = SkipArchived(labels(str(archive.root), "r2", SETTINGS, NETWORKS))
    skip.setup()
    known = archive.source
    other = dataclasses.replace(known, relative_path="other.jpg")
    assert outputs(skip.process(other)) == {"": [other]}
    ((tag, [row]),) = outputs(skip.process(known)).items()
    assert (tag, row.outcome, row.run_id) == (ROWS, "skipped", "r2")
    assert row.source_bytes == 7 and row.archive_bytes in (7, len(a_jp2()))
    assert row.reason == "archived already with the same settings" and row.width is None


def test_the_archive_is_read_once_a_process_and_run(archive: Archive) -> None:
    skip = SkipArchived(labels(str(archive.root), "r2", SETTINGS, NETWORKS))
    threads = [pickle.loads(pickle.dumps(skip)) for _ in range(3)]
    for thread in threads:
        thread.setup()
    assert all(thread.index is threads[0].index for thread in threads)
    assert threads[0].index is not None and len(threads[0].index.rows) == 1
    later = SkipArchived(labels(str(archive.root), "r3", SETTINGS, NETWORKS))
    later.setup()
    assert later.index is not threads[0].index


def test_a_source_that_vanished_is_passed_on_to_be_reported(archive: Archive) -> None:
    skip = SkipArchived(labels(str(archive.root), "r2", SETTINGS, NETWORKS))
    skip.setup()
    gone = dataclasses.replace(archive.source, modified=7.0, url=f"{archive.file}.gone")
    assert outputs(skip.process(gone)) == {"": [gone]}


def test_places_in_the_archive_depend_on_the_path_alone() -> None:
    file = SourceFile("/in/trip/a.jpg", "trip/a.jpg", 7, 1.0)
    assert archive_url("gs://bucket/archive/", file) == "gs://bucket/archive/trip/a.jpg.jp2"
    assert kept_url("/archive", file) == "/archive/trip/a.jpg"


def test_one_name_has_one_source_and_the_others_fail_by_name() -> None:
    files = [SourceFile(f"/{root}/a.jpg", "a.jpg", 7, 1.0) for root in ("y", "x", "x", "z")]
    results = outputs(one_of_each_name((b"a.jpg", files), "/nowhere"))
    assert [file.url for file in results[""]] == ["/x/a.jpg"]
    assert [failure.url for failure in results[FAILURES]] == ["/y/a.jpg", "/z/a.jpg"]
    assert all("/x/a.jpg" in failure.message for failure in results[FAILURES])


def test_a_jp2_may_not_take_the_place_of_a_photos_own(tmp_path: Path) -> None:
    for name in ("p.png", "p.png.jp2", "q.jp2", "r.png"):
        (tmp_path / name).write_bytes(b"")
    sources = tuple(str(tmp_path / name) for name in ("p.png.jp2", "q.jp2", "p.png", "r.png"))
    with TestPipeline(runner="FnApiRunner") as pipeline:
        matched = pipeline | MatchSources(sources, frozenset({".png"}), "/nowhere")
        names = matched.sources | "Names" >> beam.Map(lambda file: file.relative_path)
        told = matched[FAILURES] | "Told" >> beam.Map(lambda failure: (failure.url, failure.message))
        sentence = (
            f"its place in the output, p.png.jp2, is taken by {tmp_path}/p.png: give it another destination"
        )
        assert_that(names, equal_to(["p.png", "q.jp2", "r.png"]), label="names")
        assert_that(told, equal_to([(f"{tmp_path}/p.png.jp2", sentence)]), label="told")


def test_a_row_without_measures_has_every_field() -> None:
    row = make_row(SourceFile("/in/a.jpg", "a.jpg", 7, 1.0), labels("/out"), "kept", reason="because")
    assert (row.source_url, row.outcome, row.reason, row.psnr_db) == ("/in/a.jpg", "kept", "because", None)


def test_sources_named_twice_are_matched_once(tmp_path: Path) -> None:
    for name in ("x/a.jpg", "x/b.jpg", "y/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    sources = (str(tmp_path / "x"), str(tmp_path / "x" / "a.jpg"), str(tmp_path / "y"))
    with TestPipeline(runner="FnApiRunner") as pipeline:
        matched = pipeline | MatchSources(sources, frozenset({".jpg"}), "/nowhere")
        urls = matched.sources | "Urls" >> beam.Map(lambda file: file.url)
        failed = matched[FAILURES] | "Failed" >> beam.Map(lambda failure: failure.url)
        assert_that(urls, equal_to([f"{tmp_path}/x/a.jpg", f"{tmp_path}/x/b.jpg"]), label="urls")
        assert_that(failed, equal_to([f"{tmp_path}/y/a.jpg"]), label="failed")


def test_a_file_under_several_spellings_is_matched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.jpg").write_bytes(b"")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    files = [
        SourceFile(url, "a.jpg", 0, 1.0) for url in ("x/a.jpg", f"{tmp_path}/x/a.jpg", "y/a.jpg", "./x/a.jpg")
    ]
    assert [file.url for file in outputs(one_of_each_name((b"a.jpg", files), "/nowhere"))[""]] == [
        "./x/a.jpg"
    ]
    assert list(outputs(one_of_each_name((b"a.jpg", files), "/nowhere"))) == [""]
    others = [SourceFile(f"s3://{bucket}/a.jpg", "a.jpg", 0, 1.0) for bucket in "ab"]
    assert len(outputs(one_of_each_name((b"a.jpg", others), "/nowhere"))[FAILURES]) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_utf8_are_matched_like_others(tmp_path: Path) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), "plain.png"]
    for name in ("x", os.fsdecode(b"\xff")):
        (tmp_path / name).mkdir()
        for photo in names:
            (tmp_path / name / photo).write_bytes(b"")
    sources = (str(tmp_path / "x"), str(tmp_path / os.fsdecode(b"\xff") / names[0]))
    with TestPipeline(runner="FnApiRunner") as pipeline:
        matched = pipeline | MatchSources(sources, frozenset({".png"}), "/nowhere")
        spread = matched.sources | "Spread" >> beam.Reshuffle()
        skip = SkipArchived(labels(str(tmp_path / "nothing"), "r2", SETTINGS, NETWORKS))
        fresh = spread | "Skip" >> beam.ParDo(skip).with_outputs(ROWS, SIZES, main="sources")
        urls = fresh.sources | "Urls" >> beam.Map(lambda file: os.fsencode(file.url))
        failed = matched[FAILURES] | "Failed" >> beam.Map(lambda failure: os.fsencode(failure.url))
        root = os.fsencode(tmp_path)
        assert_that(urls, equal_to([root + b"/x/caf\xe9.png", root + b"/x/plain.png"]), label="urls")
        assert_that(failed, equal_to([root + b"/\xff/caf\xe9.png"]), label="failed")


def test_a_source_whose_row_says_all_is_a_number_only(archive: Archive) -> None:
    run_once = SkipArchived(labels(str(archive.root), "r2", SETTINGS, NETWORKS))
    run_once.setup()
    (row,) = outputs(run_once.process(archive.source))[ROWS]  # the table did not know the file's version
    assert row.archive_version == stored_version(row.archive_url) != ""
    table = f"{archive.root}/_foveate/metrics/run=r2/0.parquet"
    tables.write_metrics([dataclasses.replace(row, source_url=str(archive.file))], table)
    skip = SkipArchived(labels(str(archive.root), "r3", SETTINGS, NETWORKS))
    skip.setup()
    assert outputs(skip.process(archive.source)) == {SIZES: [(7, row.archive_bytes)]}
    # A touched source gets a row, which saves the next run from reading it.
    os.utime(archive.file, (2000, 2000))
    (touched,) = outputs(skip.process(archive.source))[ROWS]
    assert touched.source_modified == 2000


def test_a_source_that_failed_after_its_row_gets_one_that_says_it_is_well(archive: Archive) -> None:
    (values,) = tables.read_metrics(str(archive.root)).to_pylist()
    (path,) = archive.root.glob("trip*/*")
    row = MetricsRow(**(values | {"archive_version": stored_version(str(path))}))
    tables.write_metrics([row], f"{archive.root}/_foveate/metrics/run=r1/0.parquet")
    late = (row.finished + datetime.timedelta(hours=1)).isoformat()
    failure = Failure(str(archive.file), "read", "PermissionError", "not now", late)
    tables.write_failures([failure], f"{archive.root}/_foveate/failures/run=r2/0.jsonl")
    skip = SkipArchived(labels(str(archive.root), "r3", SETTINGS, NETWORKS))
    skip.setup()
    assert list(outputs(skip.process(archive.source))) == [ROWS]
