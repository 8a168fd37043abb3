"""Tests bucket notifications: new objects of watched places, each version once."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to

from foveate.storage.source import SourceFile
from foveate.transforms.arrivals import Watched
from foveate.transforms.notifications import ReadNotifications, TakeNotified, parse_notification

WATCHED = Watched(
    ("gs://photos/in", "gs://photos/more/*/raw/*", "gs://photos/one.bin"),
    frozenset({".jpg", ".png"}),
    "gs://photos/in/archive",
    "keep",
    "5e",
    "3e",
    60.0,
)


def notice(name: str = "in/trip/ü #1.jpg", **changes: Any) -> tuple[dict[str, str], bytes]:
    """A message as in Cloud Storage's documentation."""
    attributes = {
        "notificationConfig": "projects/_/buckets/photos/notificationConfigs/3",
        "eventType": "OBJECT_FINALIZE",
        "payloadFormat": "JSON_API_V1",
        "bucketId": "photos",
        "objectId": name,
        "objectGeneration": "1771234567890123",
        "eventTime": "2026-02-16T09:36:07.890123Z",
    }
    payload = {
        "kind": "storage#object",
        "name": name,
        "bucket": "photos",
        "generation": "1771234567890123",
        "contentType": "image/jpeg",
        "updated": "2026-02-16T09:36:07.890Z",
        "size": "123456",
        "md5Hash": "X0KPtkFHHDg8lmJF8dpzSA==",
        "crc32c": "rTVTeQ==",
    }
    return attributes | changes, json.dumps(payload).encode()


def test_an_object_that_is_excluded_is_no_source() -> None:
    watched = dataclasses.replace(WATCHED, exclude=("drafts", "trip/*"))
    for name in ("in/trip/a.jpg", "in/drafts/a.jpg", "in/x/drafts/a.jpg"):
        assert parse_notification(*notice(name), watched) is None
        assert parse_notification(*notice(name), WATCHED) is not None
    assert parse_notification(*notice("in/a.jpg"), watched) is not None


def test_a_new_object_is_a_source_as_a_listing_would_show_it() -> None:
    assert parse_notification(*notice(), WATCHED) == SourceFile(
        "gs://photos/in/trip/ü #1.jpg",
        "trip/ü #1.jpg",
        123456,
        1771234567.89,
        generation="1771234567890123",
        checksum="md5:X0KPtkFHHDg8lmJF8dpzSA==",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"eventType": "OBJECT_DELETE"},
        {"eventType": "OBJECT_METADATA_UPDATE"},
        {"bucketId": "others"},
        {"objectId": "in/notes.txt"},
        {"objectId": "inside/a.jpg"},
        {"objectId": "in/archive/a.jpg"},
        {"objectId": "in/_foveate/a.jpg"},
        {"objectId": "in/folder.jpg/"},
        {"objectId": "more/a/b/raw/a.jpg"},
        {"objectId": ""},
    ],
)
def test_other_events_places_and_files_are_none(changes: dict[str, str]) -> None:
    assert parse_notification(*notice(**changes), WATCHED) is None


@pytest.mark.parametrize(("name", "relative"), [("more/a/raw/b.png", "a/raw/b.png"), ("one.bin", "one.bin")])
def test_globs_and_single_objects_are_known(name: str, relative: str) -> None:
    source = parse_notification(*notice(name), WATCHED)
    assert source is not None and source.relative_path == relative


@pytest.mark.parametrize("data", [b"", b"no JSON", b"[]", b'{"size": null, "updated": 7}'])
def test_attributes_say_enough_without_a_payload(data: bytes) -> None:
    attributes, _ = notice()
    source = parse_notification(attributes, data, WATCHED)
    assert source is not None
    assert (source.size_bytes, source.modified, source.checksum) == (0, 0.0, "")
    assert source.generation == "1771234567890123"


def test_messages_that_come_twice_give_one_source_a_version() -> None:
    attributes, data = notice()
    message = PubsubMessage(data, attributes)
    newer = PubsubMessage(data, attributes | {"objectGeneration": "1771234567890124"})
    other = PubsubMessage(data, attributes | {"eventType": "OBJECT_ARCHIVE"})
    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    with TestPipeline(options=options, runner="BundleBasedDirectRunner") as pipeline:
        stream = TestStream().add_elements([message, other]).add_elements([message, newer])
        taken = pipeline | stream.advance_watermark_to_infinity() | TakeNotified(WATCHED)
        generations = taken.sources | beam.Map(lambda source: source.generation)
        assert_that(generations, equal_to(["1771234567890123", "1771234567890124"]))


def test_the_subscription_is_read_with_its_attributes() -> None:
    pipeline = beam.Pipeline()
    found = pipeline | ReadNotifications(WATCHED, "projects/project/subscriptions/photos")
    assert not found.sources.is_bounded
    text = str(pipeline.to_runner_api())
    assert "projects/project/subscriptions/photos" in text
