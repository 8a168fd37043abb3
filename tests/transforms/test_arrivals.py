"""Tests that each version of a file arrives once, when it is complete, and in bounded memory."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive import tables
from foveate.archive.rows import Failure, make_row
from foveate.storage.files import stored_version
from foveate.storage.listing import NothingFound
from foveate.storage.source import SourceFile
from foveate.transforms import arrivals
from foveate.transforms.arrivals import Arrivals, FindArrivals, TakeOnce, Watched
from foveate.transforms.steps import FAILURES
from tests.photos import labels

NOW = 1_800_000_000.0


def watched(root: Path, **changes: Any) -> Watched:
    given = Watched((str(root / "in"),), frozenset({".jpg"}), str(root / "out"), "keep", "5e", "3e", 60.0)
    return dataclasses.replace(given, **changes)


def put(root: Path, name: str, data: bytes = b"a photo", modified: float = NOW - 1000) -> None:
    path = root / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (modified, modified))


def names(found: Any) -> list[str]:
    return [element.url if isinstance(element, Failure) else element.relative_path for element in found]


def test_a_file_is_passed_on_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, "trip/b.jpg")
    seen = Arrivals(watched(tmp_path))
    assert names(seen.look(NOW)) == ["a.jpg", "trip/b.jpg"]
    assert names(seen.look(NOW + 60)) == []
    put(tmp_path, "c.jpg")
    put(tmp_path, "a.jpg", modified=NOW - 900)
    assert names(seen.look(NOW + 120)) == ["a.jpg", "c.jpg"]


def test_a_file_that_is_excluded_never_arrives(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, "drafts/b.jpg")
    assert names(Arrivals(watched(tmp_path, exclude=("drafts",))).look(NOW)) == ["a.jpg"]


def test_a_local_file_that_may_still_be_written_waits_until_it_is_at_rest(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", b"a pho", modified=NOW - 1)
    seen = Arrivals(watched(tmp_path))
    assert names(seen.look(NOW)) == []
    put(tmp_path, "a.jpg", b"a photo", modified=NOW + 59)
    assert names(seen.look(NOW + 60)) == []
    assert names(seen.look(NOW + 120)) == ["a.jpg"]
    put(tmp_path, "clock.jpg", modified=NOW + 1e6)  # of a machine whose clock is wrong
    assert names(seen.look(NOW + 180)) == []
    assert names(seen.look(NOW + 240)) == ["clock.jpg"]


def test_a_change_while_a_file_is_written_is_not_lost(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    seen = Arrivals(watched(tmp_path))
    assert names(seen.look(NOW)) == ["a.jpg"]
    put(tmp_path, "a.jpg", b"half", modified=NOW + 50)
    assert names(seen.look(NOW + 60)) == []
    put(tmp_path, "a.jpg", b"another photo", modified=NOW + 65)
    assert names(seen.look(NOW + 120)) == []
    assert names(seen.look(NOW + 180)) == ["a.jpg"]


def test_archived_photos_are_not_new_to_a_run_that_starts_again(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, "b.jpg")
    (first,) = (file for file in Arrivals(watched(tmp_path)).look(NOW) if file.url.endswith("a.jpg"))
    assert isinstance(first, SourceFile)
    copy = tmp_path / "out" / "a.jpg"
    copy.parent.mkdir()
    copy.write_bytes(b"a photo")
    known = {"archive_url": str(copy), "archive_bytes": 7, "source_sha256": ""}
    run = labels(f"{tmp_path}/out", settings_digest="5e", weights_digest="3e")
    row = make_row(first, run, "kept", **known, archive_version=stored_version(str(copy)))
    tables.write_metrics([row], f"{tmp_path}/out/_foveate/metrics/run=r1/0.parquet")
    assert names(Arrivals(watched(tmp_path)).look(NOW)) == ["b.jpg"]
    assert names(Arrivals(watched(tmp_path, settings_digest="other")).look(NOW)) == ["a.jpg", "b.jpg"]
    assert names(Arrivals(watched(tmp_path, trust_tables=False)).look(NOW)) == ["a.jpg", "b.jpg"]
    # A folder that was gone for a while and is back: the tables are asked again where it is worth it.
    seen = Arrivals(watched(tmp_path))
    assert names(seen.look(NOW)) == ["b.jpg"]
    (tmp_path / "in").rename(tmp_path / "away")
    assert names(seen.look(NOW + 60)) == []
    (tmp_path / "away").rename(tmp_path / "in")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrivals, "_MANY", 1)
        assert names(seen.look(NOW + 120)) == ["b.jpg"]


def test_a_place_that_another_source_has_is_a_failure_once(tmp_path: Path) -> None:
    put(tmp_path, "x/a.jpg")
    put(tmp_path, "y/a.jpg")
    both = watched(tmp_path, sources=(str(tmp_path / "in/y"), str(tmp_path / "in/x")))
    seen = Arrivals(both)
    first, second = seen.look(NOW)
    assert isinstance(first, SourceFile) and first.url.endswith("x/a.jpg")
    assert isinstance(second, Failure) and second.url.endswith("y/a.jpg") and "taken" in second.message
    assert names(seen.look(NOW + 60)) == []


def test_one_look_passes_on_some_and_the_next_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MOST_AT_ONCE", 2)
    for number in range(5):
        put(tmp_path, f"{number}.jpg")
    seen = Arrivals(watched(tmp_path))
    assert names(seen.look(NOW)) == ["0.jpg", "1.jpg"] and seen.more
    assert names(seen.look(NOW)) == ["2.jpg", "3.jpg"] and seen.more
    assert names(seen.look(NOW)) == ["4.jpg"] and not seen.more


def test_files_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    seen = Arrivals(watched(tmp_path))
    assert names(seen.look(NOW)) == ["a.jpg"]
    (tmp_path / "in/a.jpg").unlink()
    assert names(seen.look(NOW)) == [] and not seen._state._seen


def test_a_place_that_cannot_be_listed_is_reported_and_nothing_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.jpg")
    seen = Arrivals(watched(tmp_path))
    assert names(seen.look(NOW)) == ["a.jpg"]

    def refuse(*_: Any, **__: Any) -> Any:
        raise NothingFound("cannot be listed") from ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(arrivals, "find_part", refuse)
        with pytest.raises(NothingFound):
            list(seen.look(NOW))
    assert names(seen.look(NOW)) == []


def test_the_memory_of_a_bundle_that_failed_is_dropped(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    listing = FindArrivals(watched(tmp_path), "r1", lambda: NOW)
    listing.setup()
    listing.start_bundle()
    assert names(listing.process(None)) == ["a.jpg"]  # and the bundle fails
    again = FindArrivals(watched(tmp_path), "r1", lambda: NOW)
    again.shared, again.memory = listing.shared, listing.memory
    again.start_bundle()
    assert names(again.process(None)) == ["a.jpg"]
    again.finish_bundle()
    again.start_bundle()
    assert names(again.process(None)) == []


def test_a_stream_passes_each_version_on_once() -> None:
    one = SourceFile("gs://b/in/a.jpg", "a.jpg", 7, 1.0, generation="1", checksum="md5:x")
    two = dataclasses.replace(one, generation="2")
    lost = Failure("gs://b/in/z.jpg", "match", "BadInput", "taken", "now")
    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    with TestPipeline(options=options, runner="BundleBasedDirectRunner") as pipeline:
        found = (
            TestStream()
            .add_elements([one, lost])
            .add_elements([one, two, lost])
            .advance_watermark_to_infinity()
        )
        once = pipeline | found | TakeOnce()
        versions = once.sources | "Versions" >> beam.Map(lambda source: source.generation)
        failed = once[FAILURES] | "Urls" >> beam.Map(lambda failure: failure.url)
        assert_that(versions, equal_to(["1", "2"]), label="versions")
        assert_that(failed, equal_to(["gs://b/in/z.jpg"]), label="failed")
