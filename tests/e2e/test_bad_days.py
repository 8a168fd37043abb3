"""Tests stores on a bad day: temporary failures are waited out, others give a row or a clear end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from foveate.archive import tables
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.storage import files
from tests.e2e.test_object_storage import PHOTOS, WITHOUT_NETWORKS, Cloud, serving
from tests.servers import Answer, Request

_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_STATUSES = {"gs": (429, 500, 502, 503, 504), "s3": (500, 502, 503, 504)}


@pytest.fixture(params=["gs", "s3"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    with serving(request.param) as found:
        set_up_filesystems(found.flags)
        for name, data in PHOTOS.items():
            found.put(f"in/{name}", data)
        yield found


def compress(cloud: Cloud) -> int:
    return cloud.run("compress", cloud.url("in"), "--output", cloud.url("archive"), *WITHOUT_NETWORKS)


def rows(cloud: Cloud) -> dict[str, str]:
    found = tables.read_metrics(cloud.url("archive")).to_pylist()
    return {row["relative_path"]: row["outcome"] for row in found}


def failures(cloud: Cloud) -> dict[str, dict[str, Any]]:
    found = tables.read_failures(cloud.url("archive")).to_pylist()
    return {row["url"].removeprefix(cloud.url("in/")): row for row in found}


def is_read_of(cloud: Cloud, request: Request, name: str) -> bool:
    media = cloud.scheme == "s3" or request.query.get("alt") == "media"
    return request.method == "GET" and media and request.path.endswith(name)


@pytest.mark.slow
def test_a_store_that_fails_at_random_delays_a_run_and_changes_nothing(cloud: Cloud) -> None:
    assert files.read_whole(cloud.url("in/a.png")) == PHOTOS["a.png"]  # it is known to be there
    dice, before, refused = random.Random(4), cloud.listener.meddle, []

    def moody(request: Request) -> Answer | None:
        if dice.random() < 0.25:
            refused.append(request)
            status = dice.choice(_STATUSES[cloud.scheme])
            return Answer(status, {"Content-Type": "application/xml"}, _SLOW_DOWN)
        return before(request)

    cloud.listener.meddle = moody
    assert compress(cloud) == 3
    cloud.listener.meddle = before
    assert len(refused) > 3
    assert rows(cloud) == {"a.png": "compressed", "trip [1]/ü #1?.jpg": "compressed", "cmyk.jpg": "kept"}
    assert set(failures(cloud)) == {"text.jpg"}  # which is no photo on a good day either
    names = {name.removeprefix("archive/") for name in cloud.types() if "/_foveate/" not in name}
    assert {"a.png.jp2", "trip [1]/ü #1?.jpg.jp2", "cmyk.jpg"} <= names
    assert cloud.get("archive/cmyk.jpg") == PHOTOS["cmyk.jpg"]


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(404, b"NoSuchKey", "FileNotFoundError"), (403, b"AccessDenied", "PermissionError")],
)
@pytest.mark.slow
def test_a_source_that_is_gone_or_refused_when_it_is_read_is_one_photos_row(
    cloud: Cloud, status: int, code: bytes, error: str
) -> None:
    before = cloud.listener.meddle

    def refuse(request: Request) -> Answer | None:
        if is_read_of(cloud, request, "a.png"):
            body = b"<Error><Code>" + code + b"</Code><Message>no</Message></Error>"
            return Answer(status, {"Content-Type": "application/xml"}, body)
        return before(request)

    cloud.listener.meddle = refuse
    assert compress(cloud) == 3
    cloud.listener.meddle = before
    assert set(failures(cloud)) == {"a.png", "text.jpg"}
    assert failures(cloud)["a.png"]["error_type"] == error
    assert rows(cloud) == {"trip [1]/ü #1?.jpg": "compressed", "cmyk.jpg": "kept"}
    assert compress(cloud) == 3  # and the next run has it
    assert rows(cloud)["a.png"] == "compressed" and "archive/a.png.jp2" in cloud.types()
