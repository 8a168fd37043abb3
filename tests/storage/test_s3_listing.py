"""Tests that our parser finds the same in listings as botocore."""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

import boto3
import pytest
from botocore.config import Config

from foveate.storage.object_store import Page
from foveate.storage.s3_listing import listed_page, parse_listings_quickly

KEYS = ("a b+c.jpg", "ä/ü%20.jpg", '<&>".jpg', "日本 1.jpg")
_SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def an_answer(*, quoted: bool, space: bool, times: str = "2026-01-02T03:04:05.678Z") -> str:
    """An answer to ListObjectsV2, the last object without an ETag."""
    entries = []
    for number, key in enumerate(KEYS):
        name = urllib.parse.quote_plus(key, safe="/") if quoted else escape(key)
        tag = "" if key == KEYS[-1] else f"<ETag>&quot;{number:032x}&quot;</ETag>"
        owner = "<Owner><ID>x</ID><DisplayName>Key</DisplayName></Owner>"
        entries.append(
            f"<Contents><Key>{name}</Key><LastModified>{times}</LastModified>{tag}"
            f"<Size>{number}</Size>{owner}<StorageClass>STANDARD</StorageClass></Contents>"
        )
    encoding = "<EncodingType>url</EncodingType>" if quoted else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult {_SPACE if space else ""}><Name>b</Name>'
        f"<KeyCount>{len(KEYS)}</KeyCount>{encoding}<IsTruncated>false</IsTruncated>{''.join(entries)}"
        "<CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes></ListBucketResult>"
    )


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


class _Answers(BaseHTTPRequestHandler):
    body = ""

    def do_GET(self) -> None:
        data = self.body.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def client(port: int) -> Any:
    return boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
        endpoint_url=f"http://127.0.0.1:{port}",
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
    )


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("space", [False, True])
@pytest.mark.parametrize("times", ["2026-01-02T03:04:05.678Z", "Fri, 02 Jan 2026 03:04:05 GMT"])
def test_objects_are_what_botocore_finds(
    port: int, quoted: bool, space: bool, times: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Answers, "body", an_answer(quoted=quoted, space=space, times=times))
    plain, quick = client(port), client(port)
    parse_listings_quickly(quick)
    wanted, found = (one.list_objects_v2(Bucket="b") for one in (plain, quick))
    page = listed_page(found, "s3://b/")
    assert page == Page(*map(type_of, listed_page(wanted, "s3://b/"), page))
    assert page.urls == [f"s3://b/{key}" for key in KEYS] and page.checksums[-1] == ""
    assert found["CommonPrefixes"] == wanted["CommonPrefixes"] == [{"Prefix": "x/"}]
    assert ("Contents" in found) == times.startswith("Fri")  # what is not understood is left to botocore


def type_of(column: Any, like: Any) -> Any:
    return type(like)(column)


def test_an_answer_without_objects_is_an_empty_page(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        _Answers, "body", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    )
    quick = client(port)
    parse_listings_quickly(quick)
    assert listed_page(quick.list_objects_v2(Bucket="b"), "s3://b/") == Page((), (), (), (), ())


def test_an_error_in_an_answer_is_reported(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
    monkeypatch.setattr(_Answers, "body", body)
    quick = client(port)
    parse_listings_quickly(quick)
    with pytest.raises(Exception, match="SlowDown"):
        quick.list_objects_v2(Bucket="b")
