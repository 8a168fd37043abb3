"""Serves listings of any number of generated objects in S3's protocol.

    python -m benchmarks.generated_store PORT COUNT

Bucket `photos` has COUNT photos, a thousand a folder; bucket `archive` a file for each but every thousandth
of them, and nothing below `_foveate/`.
"""

from __future__ import annotations

import sys
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = 1000
_DATE = "2026-01-02T03:04:05.000Z"
_DIGITS = 9


def name_of(number: int) -> str:
    """A photo's name: a thousand a folder, in the order of their numbers."""
    return f"{number // 1000:06}/IMG_{number:0{_DIGITS}}.jpg"


def size_of(number: int) -> int:
    """A photo's bytes."""
    return 4_000_000 + number % 1_000_000


def etag_of(number: int) -> str:
    """A photo's checksum, or with a minus that of its archived file."""
    return f"{number & (1 << 128) - 1:032x}"


class Listing(BaseHTTPRequestHandler):
    """Answers ListObjectsV2."""

    protocol_version = "HTTP/1.1"
    count = 0
    requests = 0

    def do_GET(self) -> None:
        """One page of a listing."""
        type(self).requests += 1
        split = urllib.parse.urlsplit(self.path)
        asked = dict(urllib.parse.parse_qsl(split.query))
        bucket = split.path.strip("/")
        prefix = asked.get("prefix", "")
        start = asked.get("continuation-token") or asked.get("start-after") or ""
        if asked.get("delimiter"):
            body = self._folders(prefix, start)
        else:
            body = self._objects(bucket, prefix, start)
        self._send(200, f'<?xml version="1.0"?><ListBucketResult>{body}</ListBucketResult>'.encode())

    def do_HEAD(self) -> None:
        """No object can be read."""
        type(self).requests += 1
        self._send(404, b"")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _objects(self, bucket: str, prefix: str, start: str) -> str:
        base = "in/" if bucket == "photos" else ""
        if bucket == "archive" and prefix.startswith("_foveate"):
            return "<IsTruncated>false</IsTruncated>"
        number = _first(start.removeprefix(base))
        entries: list[str] = []
        last = ""
        for key, size, etag in self._generated(bucket, base, number):
            if start and key <= start:
                continue
            if len(entries) == PAGE:
                return (
                    f"<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>"
                    + "".join(entries)
                )
            last = key
            entries.append(
                f"<Contents><Key>{key}</Key><LastModified>{_DATE}</LastModified><ETag>&quot;{etag}&quot;</ETag>"
                f"<Size>{size}</Size></Contents>"
            )
        return "<IsTruncated>false</IsTruncated>" + "".join(entries)

    def _generated(self, bucket: str, base: str, first: int) -> Iterator[tuple[str, int, str]]:
        for number in range(first, self.count):
            if bucket == "photos":
                yield base + name_of(number), size_of(number), etag_of(number)
            elif number % 1000:
                yield f"{name_of(number)}.jp2", size_of(number) // 4, etag_of(-number)

    def _folders(self, prefix: str, start: str) -> str:
        depth = prefix.removeprefix("in/")
        if depth:
            return "<IsTruncated>false</IsTruncated>"
        first = _first(start.removeprefix("in/")) // 1000 + bool(start)
        folders = range(first, min(-(-self.count // 1000), first + PAGE))
        names = "".join(
            f"<CommonPrefixes><Prefix>{prefix}{number:06}/</Prefix></CommonPrefixes>" for number in folders
        )
        more = folders.stop * 1000 < self.count
        token = (
            f"<NextContinuationToken>{prefix}{folders.stop - 1:06}/</NextContinuationToken>" if more else ""
        )
        return f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{names}"

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def _first(name: str) -> int:
    """The number of the first photo that may come after a name."""
    folder, _, rest = name.partition("/")
    if not folder.isdigit():
        return 0
    number = rest.partition("_")[2].partition(".")[0]
    return int(number) if number.isdigit() else 1000 * int(folder)


def main() -> None:
    """Serves until it is killed."""
    Listing.count = int(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Listing)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
