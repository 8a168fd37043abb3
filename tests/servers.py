"""Object stores on this machine that speak the real protocols, and a listener between them and us."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.client
import json
import logging
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
import requests
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

HOST = "127.0.0.1"
S3_FLAGS = ("--s3_region_name=us-east-1", "--s3_access_key_id=nobody", "--s3_secret_access_key=nothing")
_HOP_BY_HOP = {"connection", "content-length", "date", "server", "transfer-encoding"}


@dataclasses.dataclass(frozen=True)
class Request:
    """A request that a server received."""

    method: str
    path: str  # without the query
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Answer:
    """A server's answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclasses.dataclass
class Listener:
    """Passes requests on to a server and records them; `meddle` may answer instead (None: it does not)."""

    upstream: int  # port
    port: int = 0
    requests: list[Request] = dataclasses.field(default_factory=list)
    meddle: Callable[[Request], Answer | None] = lambda request: None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """The server's own answer."""
        connection = http.client.HTTPConnection(HOST, self.upstream, timeout=300)
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        found = Answer(answer.status, dict(answer.getheaders()), answer.read())
        connection.close()
        return found

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        split = urllib.parse.urlsplit(target)
        query = dict(urllib.parse.parse_qsl(split.query))
        request = Request(method, split.path, query, headers, body)
        self.requests.append(request)
        return self.meddle(request) or self.ask(method, target, headers, body)


@contextlib.contextmanager
def listening(upstream: int) -> Iterator[Listener]:
    """A listener in front of the server on a port."""
    listener = Listener(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError):  # a client that was killed
                super().handle_one_request()

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = listener.answer(self.command, self.path, dict(self.headers), body)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            length = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else len(answer.body)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(answer.body)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):  # do_GET, do_PUT, ...
                return self.serve
            raise AttributeError(name)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    listener.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port: int = taken.getsockname()[1]
        return port


# Google Cloud Storage


@contextlib.contextmanager
def google_emulator(bucket: str) -> Iterator[Listener]:
    """gcp-storage-emulator with a bucket. It knows no preconditions: the listener adds them."""
    logging.getLogger("gcp_storage_emulator").setLevel(logging.WARNING)
    for name in ("gcp_storage_emulator.server", "api.object", "api.bucket"):
        logging.getLogger(name).setLevel(logging.ERROR)
    server = create_server(HOST, 0, in_memory=True, default_bucket=bucket)
    server.start()
    try:
        with listening(server._api._httpd.server_address[1]) as listener:
            listener.meddle = lambda request: refused(listener, request)
            yield listener
    finally:
        server.stop()


def refused(listener: Listener, request: Request) -> Answer | None:
    """The answer to an upload or download whose precondition does not hold, None if it may be passed on."""
    wanted = request.query.get("ifGenerationMatch")
    if wanted is None or "upload_id" in request.query:
        return None
    return None if wanted == generation_of(listener, request) else too_late()


def generation_of(listener: Listener, request: Request) -> str:
    """The generation of the object that a request is about, "0" if there is none."""
    bucket = request.path.split("/b/")[1].partition("/o")[0]
    target = f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(object_name(request), safe='')}"
    found = listener.ask("GET", target, {}, b"")
    return str(json.loads(found.body)["generation"]) if found.status == 200 else "0"


def object_name(request: Request) -> str:
    """The object that a request to Google's store is about."""
    if request.path.startswith("/upload/") and "name" not in request.query:
        return str(json.loads(request.body.split(b"\r\n")[3])["name"])  # the first part of several
    return request.query.get("name") or urllib.parse.unquote(request.path.partition("/o/")[2])


def too_late() -> Answer:
    """Google's answer to a precondition that does not hold."""
    body = {"error": {"code": 412, "message": "conditionNotMet"}}
    return Answer(412, {"Content-Type": "application/json"}, json.dumps(body).encode())


@contextlib.contextmanager
def fake_gcs_server(bucket: str) -> Iterator[Listener]:
    """fake-gcs-server, if it is installed: it supports preconditions and pages."""
    program = shutil.which("fake-gcs-server")
    if program is None:
        pytest.skip("fake-gcs-server is not on PATH")
    port = free_port()
    command = [program, "-backend", "memory", "-scheme", "http", "-host", HOST, "-port", str(port)]
    process = subprocess.Popen([*command, "-log-level", "error"])
    try:
        wait_for(port)
        with listening(port) as listener:
            listener.ask("PUT", "/_internal/config", {"Content-Type": "application/json"},
                         json.dumps({"externalUrl": listener.url}).encode())  # fmt: skip
            requests.post(
                f"{listener.url}/storage/v1/b", json={"name": bucket}, timeout=10
            ).raise_for_status()
            yield listener
    finally:
        process.kill()
        process.wait()


def wait_for(port: int) -> None:
    """Returns when a server listens."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


# S3


@contextlib.contextmanager
def s3_server(bucket: str) -> Iterator[Listener]:
    """Moto's S3 with a bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(HOST, port=0, verbose=False)
    server.start()
    try:
        with listening(server.get_host_and_port()[1]) as listener:
            listener.ask("POST", "/moto-api/reset", {}, b"")  # what it holds is its process's
            s3_client(listener.url).create_bucket(Bucket=bucket)
            yield listener
    finally:
        server.stop()


@functools.cache
def s3_client(url: str) -> Any:
    """Amazon's client, to check what we wrote."""
    return boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )


@contextlib.contextmanager
def environment(**changes: str) -> Iterator[None]:
    """Other environment variables for a while."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
