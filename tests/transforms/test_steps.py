"""Tests how steps treat photos: bad input becomes a row, bugs are seen, and a full disk ends the run."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive.rows import Failure, KeptSource, RunLabels
from foveate.archive.settings import Target
from foveate.codec.errors import BadCodestream
from foveate.pictures.picture import BadPicture
from foveate.pictures.reasons import Reason
from foveate.storage.errors import BadInput, CannotGoOn
from foveate.storage.files import stored_version
from foveate.transforms import write
from foveate.transforms.elements import Archived
from foveate.transforms.progress import Progress
from foveate.transforms.steps import FAILURES, PhotoStage, PhotoStep, attempt, split_failures
from tests.archive.test_tables import a_row
from tests.photos import Number, one, outputs, source

LABELS = RunLabels("/archive", Target("bpp", 1.0), "5e77", "3e16", "1.0", "r1")


def doubled(element: Number) -> Iterator[Any]:
    number = element.value
    if number == 13:
        raise BadInput("thirteen is not taken")
    if number == 0:
        yield 1 / number
    yield 2 * number
    if number > 100:
        raise BadPicture("too large after all")
    if number % 2:
        yield beam.pvalue.TaggedOutput("odd", number)


@pytest.mark.parametrize("error", [BadInput, BadPicture, BadCodestream, FileNotFoundError])
def test_bad_input_becomes_a_row_with_its_message(error: type[Exception]) -> None:
    def work() -> None:
        raise error("it ends after 12 bytes")

    result, failure = attempt("/in/a.jpg", "read", work)
    assert result is None and failure is not None
    assert (failure.url, failure.step, failure.error_type) == ("/in/a.jpg", "read", error.__name__)
    assert failure.message == "it ends after 12 bytes"
    assert failure.time.endswith("+00:00")


def test_a_bug_becomes_a_row_that_says_so_and_is_logged_with_its_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, "foveate"):
        _, failure = attempt("/in/a.jpg", "encode", lambda: 1 / 0)
    assert failure is not None
    assert (failure.step, failure.error_type) == ("encode (internal error)", "ZeroDivisionError")
    assert "/in/a.jpg" in caplog.text and "Traceback" in caplog.text


def test_an_error_without_a_message_is_named() -> None:
    def work() -> None:
        raise KeyError

    _, failure = attempt("/in/a.jpg", "read", work)
    assert failure is not None and failure.message == "KeyError()"


@pytest.mark.parametrize("said", ["", "Allocation failed (probably too large)."])
def test_too_little_memory_is_told_in_our_words_and_is_no_bug(said: str) -> None:
    def work() -> None:
        raise MemoryError(said)

    _, failure = attempt("/in/a.jpg", "encode", work)
    assert failure is not None and failure.step == "encode"
    assert failure.message.startswith("not enough memory;") and said in failure.message


def test_that_no_photo_can_be_written_is_not_a_photos_failure() -> None:
    def work() -> None:
        raise CannotGoOn("the disk is full")

    with pytest.raises(CannotGoOn, match="full"):
        attempt("/in/a.jpg", "write", work)


def test_a_photo_that_fails_half_way_leaves_nothing_but_its_failure() -> None:
    results = outputs(PhotoStep("double", doubled).process(Number(102)))
    assert list(results) == [FAILURES] and len(results[FAILURES]) == 1


class Double(PhotoStage):
    step = "double"
    tags = ("odd",)

    def work(self) -> Callable[[Number], Iterator[Any]]:
        return doubled


def test_a_step_on_the_runner_separates_results_tags_and_failures() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        results = pipeline | beam.Create([Number(value) for value in (0, 2, 3, 13)]) | Double()
        failed = results[FAILURES] | "Types" >> beam.Map(lambda failure: (failure.url, failure.error_type))
        assert_that(results.good, equal_to([4, 6]), label="good")
        assert_that(results["odd"], equal_to([3]), label="odd")
        assert_that(failed, equal_to([("0", "ZeroDivisionError"), ("13", "BadInput")]), label="failed")


class Pixels(Number):
    """A value that must not be copied."""

    def __reduce__(self) -> str:
        raise AssertionError("pickled")


class MakePixels(PhotoStage):
    step = "read"

    def work(self) -> Callable[[Number], Iterator[Pixels]]:
        return lambda number: iter([Pixels(number.value)])


class CountPixels(PhotoStage):
    step = "count"

    def work(self) -> Callable[[Pixels], Iterator[int]]:
        return lambda _: iter([1])


def test_what_flows_from_step_to_step_is_never_pickled() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        good = (pipeline | beam.Create([Number(1), Number(2)]) | MakePixels()).good
        apart = split_failures(good, "test").good
        results = apart | CountPixels()
        assert_that(results.good, equal_to([1, 1]))


def test_failures_among_results_are_set_apart() -> None:
    failure = Failure("/in/a.jpg", "read", "BadImage", "bad", "now")
    with TestPipeline(runner="FnApiRunner") as pipeline:
        mixed = pipeline | beam.Create(["good", failure]) | beam.Map(lambda x: x).with_output_types(Any)
        results = split_failures(mixed, "test")
        assert_that(results.good, equal_to(["good"]), label="good")
        assert_that(results[FAILURES], equal_to([failure]), label="failures")


# Writing: what is a photo's fault, and what ends the run


def labels(tmp_path: Path) -> RunLabels:
    return dataclasses.replace(LABELS, archive=str(tmp_path / "archive"))


def archived(tmp_path: Path, url: str = "", write: bool = True) -> Archived:
    (tmp_path / "a.jpg").write_bytes(b"a photo")
    url = url or f"{tmp_path}/archive/a.jpg.jp2"
    return Archived(source(tmp_path / "a.jpg"), url, b"a jp2", a_row(), write)


def test_an_archived_photo_is_written_and_its_row_passed_on(tmp_path: Path) -> None:
    element = archived(tmp_path)
    row = one(write.write_archived, element, labels(tmp_path), Progress())
    version = stored_version(element.url)
    assert version and row == dataclasses.replace(
        element.row, archive_version=version, archive_sha256=hashlib.sha256(b"a jp2").hexdigest()
    )
    assert (tmp_path / "archive" / "a.jpg.jp2").read_bytes() == b"a jp2"
    assert element.source.url == str(tmp_path / "a.jpg")


def test_existing_files_are_left_alone(tmp_path: Path) -> None:
    one(write.write_archived, archived(tmp_path, write=False), labels(tmp_path), Progress())
    assert not (tmp_path / "archive").exists()


def test_a_name_that_the_filesystem_refuses_is_a_photos_failure(tmp_path: Path) -> None:
    url = f"{tmp_path}/archive/{'x' * 300}.jp2"
    with pytest.raises(BadInput, match="too long"):
        list(write.write_archived(archived(tmp_path, url), labels(tmp_path), Progress()))


def test_a_destination_that_takes_nothing_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():  # a device that is always full
        pytest.skip("there is no /dev/full here")
    open_file = os.open

    def open_full(path: Any, flags: int, *mode: int, **at: int) -> int:
        is_part = Path(path).parent.name == "unfinished"
        return open_file("/dev/full", os.O_WRONLY) if is_part else open_file(path, flags, *mode, **at)

    monkeypatch.setattr(os, "open", open_full)
    with pytest.raises(CannotGoOn, match="No space left"):
        list(write.write_archived(archived(tmp_path), labels(tmp_path), Progress()))
    assert not (tmp_path / "archive" / "a.jpg.jp2").exists()


def kept(tmp_path: Path, sha256: str = "") -> KeptSource:
    (tmp_path / "a.gif").write_bytes(b"an animation")
    digest = sha256 or hashlib.sha256(b"an animation").hexdigest()
    return KeptSource(source(tmp_path / "a.gif"), "gif", digest, Reason.ANIMATED, "it moves")


def test_a_kept_source_is_copied_once(tmp_path: Path) -> None:
    row = one(write.write_kept, kept(tmp_path), labels(tmp_path), Progress())
    copy = tmp_path / "archive" / "a.gif"
    assert (row.outcome, copy.read_bytes()) == ("kept", b"an animation")
    before = copy.stat()
    one(write.write_kept, kept(tmp_path), labels(tmp_path), Progress())
    assert (copy.stat().st_ino, copy.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_source_that_changed_meanwhile_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="changed"):
        list(write.write_kept(kept(tmp_path, "ab" * 32), LABELS, Progress()))
