"""Parses S3's listings into columns.

botocore makes a dictionary of each object and takes each date for one in any notation, which is most of the
processor time of planning. This takes the objects out of an answer before botocore sees it.
"""

from __future__ import annotations

import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any

from foveate.storage.object_store import Page, seconds_of

_LISTED = "FoveateListed"  # beside the fields of botocore's answer


def parse_listings_quickly(client: Any) -> None:
    """Makes a client leave the answers to ListObjectsV2 to `listed_page`, which parses them faster."""
    # By this name it comes before botocore's own handler, which parses the whole answer to look for errors.
    client.meta.events.register("before-parse.*.ListObjectsV2", _take_objects)


def listed_page(answer: Mapping[str, Any], bucket: str) -> Page:
    """The objects of one answer; `bucket` is the prefix of their urls, ending in a slash."""
    listed = answer.get(_LISTED)
    if listed is None:  # as botocore has parsed it
        listed = [
            (entry["Key"], int(entry["Size"]), entry["LastModified"].timestamp(), entry.get("ETag", ""))
            for entry in answer.get("Contents", ())
        ]
    if not listed:
        return Page((), (), (), (), ())
    keys, sizes, modified, tags = zip(*listed, strict=True)
    checksums = [f"etag:{bare}" if (bare := tag.strip('"')) else "" for tag in tags]
    return Page([bucket + key for key in keys], sizes, modified, ("",) * len(keys), checksums)


def _take_objects(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Removes the objects from an answer's body; leaves answers that it does not understand to botocore."""
    if response_dict["status_code"] != 200:
        return
    try:
        root = ET.fromstring(response_dict["body"])
        customized_response_dict[_LISTED] = list(_objects(root))
    except (ET.ParseError, KeyError, ValueError, TypeError):
        return
    root[:] = [child for child in root if not child.tag.endswith("Contents")]
    response_dict["body"] = ET.tostring(root)


def _objects(root: ET.Element) -> Iterator[tuple[str, int, float, str]]:
    """Key, size, time of change and ETag of all objects.

    Raises:
      KeyError, ValueError, TypeError: one of them lacks what every object has.
    """
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    key_tag, size_tag, time_tag, etag_tag = (f"{space}{n}" for n in ("Key", "Size", "LastModified", "ETag"))
    is_quoted = root.findtext(f"{space}EncodingType") == "url"
    for entry in root.iterfind(f"{space}Contents"):
        fields: dict[str, Any] = {child.tag: child.text for child in entry}
        key = fields[key_tag] or ""
        yield (
            urllib.parse.unquote_plus(key) if is_quoted else key,
            int(fields[size_tag]),
            seconds_of(fields[time_tag]),
            fields.get(etag_tag) or "",
        )
