"""Runs an S3 server on this machine (moto's) that refuses requests at random, as stores do on a bad day.

    python -m benchmarks.moody_store PORT SEED

It refuses nothing until a GET of /moody?refused=0.03 sets a share, and it counts: a GET of /moody returns
requests, refusals, and the objects put into the bucket `archive` that are not tables.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

from benchmarks.kill import ROOT
from tests import servers

ARCHIVE = "archive"
_STATUSES = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)
_BODY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Moody:
    """Passes requests on to a WSGI application, or answers 503 or 429 instead."""

    def __init__(self, application: WsgiApp, seed: int) -> None:
        self.application, self.dice = application, random.Random(seed)
        self.lock = threading.Lock()
        self.refused_share = 0.0
        self.counts = {"requests": 0, "refused": 0, "stored": 0}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI's way to call it."""
        if environ["PATH_INFO"] == "/moody":
            return self._told(environ, start_response)
        with self.lock:
            self.counts["requests"] += 1
            refuses = self.dice.random() < self.refused_share
            self.counts["refused"] += refuses
            status = self.dice.choice(_STATUSES)
        if refuses:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/xml")])
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [_BODY]

        def respond(line: str, *arguments: Any) -> Any:
            if line.startswith("200") and _is_archived(environ):
                with self.lock:
                    self.counts["stored"] += 1
            return start_response(line, *arguments)

        return self.application(environ, respond)

    def _told(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked = urllib.parse.parse_qs(environ["QUERY_STRING"])
        if "refused" in asked:
            self.refused_share = float(asked["refused"][0])
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(self.counts).encode()]


def _is_archived(environ: dict[str, Any]) -> bool:
    path = environ["PATH_INFO"]
    return environ["REQUEST_METHOD"] == "PUT" and path.startswith(f"/{ARCHIVE}/") and "/_foveate/" not in path


def told(url: str, query: str = "") -> dict[str, int]:
    """A server's counts; `query` may set its share of refusals."""
    with urllib.request.urlopen(f"{url}/moody?{query}", timeout=60) as answer:
        counts: dict[str, int] = json.load(answer)
        return counts


@contextlib.contextmanager
def moody_store(seed: int, *buckets: str) -> Iterator[str]:
    """The URL of a server with empty buckets, in a separate process."""
    port = servers.free_port()
    command = [sys.executable, "-m", "benchmarks.moody_store", str(port), str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as server:
        try:
            servers.wait_for(port)
            url = f"http://{servers.HOST}:{port}"
            for bucket in buckets:
                servers.s3_client(url).create_bucket(Bucket=bucket)
            yield url
        finally:
            server.kill()


def main() -> None:
    """Serves until it is killed."""
    port, seed = int(sys.argv[1]), int(sys.argv[2])
    application = Moody(DomainDispatcherApplication(create_backend_app), seed)
    run_simple(servers.HOST, port, application, threaded=True)


if __name__ == "__main__":
    main()
