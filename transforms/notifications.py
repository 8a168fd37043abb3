"""Receives Cloud Storage's notifications of new objects through Pub/Sub.

Nothing is listed, however many objects there are; what was there before is for a run that does not watch.
Format: https://cloud.google.com/storage/docs/pubsub-notifications
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import posixpath
import re
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import FileSystem

from foveate.storage.local_disk import PRIVATE_FOLDER
from foveate.storage.selection import is_excluded
from foveate.storage.source import SourceFile
from foveate.transforms.arrivals import TakeOnce, Watched
from foveate.transforms.frames import ExpandFrames

_FINISHED = "OBJECT_FINALIZE"  # a new object, or a new version of one, is there whole
_ARCHIVED_TYPE = "JSON_API_V1"  # of the payload: the object's metadata; the other one is none at all


@dataclasses.dataclass
class ReadNotifications(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Objects that a bucket announces → `SourceFile`s; outputs: "sources" (main) and "failures".

    Args:
      watched: which of them are taken.
      subscription: "projects/PROJECT/subscriptions/NAME".
    """

    watched: Watched
    subscription: str

    def expand(self, root: Any) -> Any:
        """Reads messages, with their attributes."""
        from apache_beam.io.gcp.pubsub import ReadFromPubSub

        read = ReadFromPubSub(subscription=self.subscription, with_attributes=True)
        return root | "Read messages" >> read | "Take sources" >> TakeNotified(self.watched)


@dataclasses.dataclass
class TakeNotified(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Pub/Sub messages → `SourceFile`s; a repeated message gives one. Outputs as above."""

    watched: Watched

    def expand(self, messages: Any) -> Any:
        """Parses the messages, and passes each version of an object on once."""
        return (
            messages
            | "Parse messages" >> beam.FlatMap(_sources, self.watched).with_output_types(SourceFile)
            | "Expand frames" >> ExpandFrames(self.watched.dicom_frames)
            | "Take each version once" >> TakeOnce()
        )


def _sources(message: Any, watched: Watched) -> Iterator[SourceFile]:
    source = parse_notification(message.attributes, message.data, watched)
    if source is not None:
        yield source


def parse_notification(attributes: dict[str, str], data: bytes, watched: Watched) -> SourceFile | None:
    """The source that a message announces, or None for other events, places and files.

    Args:
      attributes: eventType, bucketId, objectId, objectGeneration, payloadFormat, ...
      data: the object's metadata in JSON where the payload's format is JSON_API_V1, else anything.
      watched: places and extensions as of `find_files`.
    """
    bucket, name = attributes.get("bucketId"), attributes.get("objectId")
    if attributes.get("eventType") != _FINISHED or not bucket or not name:
        return None
    url = f"gs://{bucket}/{name}"
    relative = _relative_path(url, watched)
    if relative is None:
        return None
    known = _metadata(data) if attributes.get("payloadFormat") == _ARCHIVED_TYPE else {}
    checksum = next((f"{kind}:{known[key]}" for kind, key in _CHECKSUMS if known.get(key)), "")
    return SourceFile(
        url,
        relative,
        int(known.get("size") or 0),
        _seconds(known.get("updated")),
        generation=str(attributes.get("objectGeneration") or known.get("generation") or ""),
        checksum=checksum,
    )


_CHECKSUMS = (("md5", "md5Hash"), ("crc32c", "crc32c"))


def _metadata(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:  # a message that somebody made by hand; its attributes say enough
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(text: Any) -> float:
    try:
        return datetime.datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def _relative_path(url: str, watched: Watched) -> str | None:
    """A url's path in the archive, or None if it is not below a watched source; as for `find_files`."""
    private = url.endswith("/") or f"/{PRIVATE_FOLDER}/" in url
    if private or url.startswith(f"{watched.archive.rstrip('/')}/"):
        return None
    taken = watched.every_kind or posixpath.splitext(url)[1].lower() in watched.extensions
    for source in watched.sources:
        bare = source.rstrip("/")
        if url == bare:
            return posixpath.basename(url)
        relative = url[len(bare) + 1 :]
        if taken and url.startswith(f"{bare}/"):
            return None if is_excluded(relative, watched.exclude) else relative
        literal = re.split(r"[*?\[]", source, maxsplit=1)[0]
        if taken and literal != source and re.match(FileSystem.translate_pattern(source), url):
            relative = url[len(literal.rpartition("/")[0]) + 1 :]
            return None if is_excluded(relative, watched.exclude) else relative
    return None
