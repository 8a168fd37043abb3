"""Which sources are worked on: each name once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive.names import archive_url, kept_url
from foveate.archive.rows import make_row
from foveate.storage.source import SourceFile
from foveate.transforms.match import MatchSources, one_of_each_name
from foveate.transforms.steps import FAILURES
from tests.photos import labels, outputs


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
        urls = spread | "Urls" >> beam.Map(lambda file: os.fsencode(file.url))
        failed = matched[FAILURES] | "Failed" >> beam.Map(lambda failure: os.fsencode(failure.url))
        root = os.fsencode(tmp_path)
        assert_that(urls, equal_to([root + b"/x/caf\xe9.png", root + b"/x/plain.png"]), label="urls")
        assert_that(failed, equal_to([root + b"/\xff/caf\xe9.png"]), label="failed")
