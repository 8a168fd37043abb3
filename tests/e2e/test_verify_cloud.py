"""Tests verifying an encrypted archive in a bucket, with its key in another place."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from foveate.pipelines.running.runner import set_up_filesystems
from tests import picture_files
from tests.e2e.test_object_storage import Cloud, serving
from tests.streams import texture

PHOTOS = {"a.png": picture_files.png(texture(90, 120, 3)), "trip/moves.gif": picture_files.animated("GIF")}


@pytest.fixture(params=["gs", "s3"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    with serving(request.param) as found:
        set_up_filesystems(found.flags)
        yield found


def findings(cloud: Cloud, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, str]:
    capsys.readouterr()
    status = cloud.run("verify", cloud.url("archive"), "--json", *options)
    found = json.loads(capsys.readouterr().out)["findings"]
    assert (status == 3) == any(finding["kind"] != "locked" for finding in found)
    return {finding["path"]: finding["kind"] for finding in found}


@pytest.mark.slow
def test_an_encrypted_archive_in_a_bucket_is_verified(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in PHOTOS.items():
        cloud.put(f"in/{name}", data)
    cloud.put("keys/archive.key", b"5e" * 32)
    key = ("--encrypt-key", cloud.url("keys/archive.key"))
    compress = (
        "compress",
        cloud.url("in"),
        "--output",
        cloud.url("archive"),
        "--roi",
        "none",
        "--reccnn",
        "off",
    )
    assert cloud.run(*compress, *key) == 0
    assert {name for name in cloud.types() if name.startswith("archive/") and "_foveate" not in name} == {
        "archive/a.png.jp2.enc",
        "archive/trip/moves.gif.enc",
    }
    assert findings(cloud, capsys, *key) == findings(cloud, capsys, "--quick") == {}
    assert set(findings(cloud, capsys).values()) == {"locked"}
    start = len(cloud.listener.requests)
    assert cloud.run(*compress, *key) == 0
    assert not [name for name in cloud.puts(start) if "_foveate" not in name]
    spoilt = bytearray(cloud.get("archive/a.png.jp2.enc"))
    spoilt[-1] ^= 1
    cloud.put("archive/a.png.jp2.enc", bytes(spoilt))
    assert findings(cloud, capsys, "--quick") == {"a.png.jp2.enc": "changed"}
    assert findings(cloud, capsys, *key) == {"a.png.jp2.enc": "damaged"}
    assert (
        cloud.run("restore", cloud.url("archive"), "--output", cloud.url("back"), "--reccnn", "off", *key)
        == 3
    )
    assert cloud.get("back/trip/moves.gif") == PHOTOS["trip/moves.gif"]


def test_somebody_elses_object_is_not_replaced(cloud: Cloud) -> None:
    cloud.put("in/a.png", PHOTOS["a.png"])
    cloud.put("archive/a.png.jp2", b"somebody's")
    assert cloud.run(
        "compress", cloud.url("in"), "--output", cloud.url("archive"), "--roi", "none", "--reccnn", "off"
    ) == 3  # fmt: skip
    assert cloud.get("archive/a.png.jp2") == b"somebody's"
