"""Tests archives in buckets, through servers that speak the real protocols."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import foveate
from foveate.archive import tables
from foveate.archive.journal import clear_journal
from foveate.archive.skipped import read_skipped
from foveate.pictures.formats import decode_picture
from foveate.pipelines.cli import main
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.quality.psnr import psnr
from foveate.storage import files
from foveate.storage.errors import BadInput
from foveate.storage.listing import find_files
from foveate.storage.requests import requests_made
from foveate.transforms.keep_journal import JournalWriter
from tests import servers
from tests.archive.test_tables import a_row
from tests.photos import labels
from tests.picture_files import cmyk_jpeg, jpeg, png
from tests.servers import HOST, S3_FLAGS, Answer, Listener, Request
from tests.streams import texture

ROOT = Path(__file__).parents[2]
WITHOUT_NETWORKS = ("--bpp", "2", "--roi", "none", "--comcnn", "off", "--reccnn", "off")
BUCKET = "photos-of-nobody"
PHOTOS = {
    "a.png": png(texture(97, 131, 3)),
    "trip [1]/ü #1?.jpg": jpeg(texture(90, 120, 3), 98),
    "cmyk.jpg": cmyk_jpeg(),
    "text.jpg": b"hello world, no photo",
}


@dataclasses.dataclass(frozen=True)
class Cloud:
    """A bucket, and access to it without our code."""

    scheme: str
    listener: Listener
    flags: tuple[str, ...]

    def url(self, path: str) -> str:
        return f"{self.scheme}://{BUCKET}/{path}"

    def run(self, command: str, *arguments: str) -> int:
        return main([command, *arguments, *self.flags])

    def put(self, name: str, data: bytes) -> None:
        if self.scheme == "s3":  # Moto wants somebody to have signed it, and does not look closer
            signed = {
                "Authorization": "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/s3/aws4_request"
            }
            put = self.listener.ask("PUT", f"/{BUCKET}/{urllib.parse.quote(name)}", signed, data)
            assert put.status == 200, put
            return
        target = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={urllib.parse.quote(name, safe='')}"
        self.listener.ask("POST", target, {"Content-Type": "image/whatever"}, data)

    def get(self, name: str) -> bytes:
        if self.scheme == "s3":
            body = servers.s3_client(self.listener.url).get_object(Bucket=BUCKET, Key=name)["Body"]
            return bytes(body.read())
        target = f"/storage/v1/b/{BUCKET}/o/{urllib.parse.quote(name, safe='')}?alt=media"
        return self.listener.ask("GET", target, {}, b"").body

    def types(self) -> dict[str, str]:
        """The content type of every object, as the server says it."""
        if self.scheme == "s3":
            client = servers.s3_client(self.listener.url)
            names = [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", ())]
            return {name: client.head_object(Bucket=BUCKET, Key=name)["ContentType"] for name in names}
        found = json.loads(self.listener.ask("GET", f"/storage/v1/b/{BUCKET}/o", {}, b"").body)
        return {entry["name"]: entry["contentType"] for entry in found.get("items") or ()}

    def puts(self, start: int = 0) -> list[str]:
        """The names of all objects that were uploaded since so many requests."""
        found = []
        for request in self.listener.requests[start:]:
            if self.scheme == "s3" and request.method == "PUT":
                found.append(urllib.parse.unquote(request.path.removeprefix(f"/{BUCKET}/")))
            elif request.path.startswith("/upload/") and "upload_id" not in request.query:
                found.append(servers.object_name(request))
        return found

    def gets(self, start: int) -> list[str]:
        """The names of all objects that were read since so many requests."""
        asked = self.since(start, "GET")
        if self.scheme == "s3":
            objects = [request for request in asked if "list-type" not in request.query]
            return [urllib.parse.unquote(request.path.removeprefix(f"/{BUCKET}/")) for request in objects]
        return [servers.object_name(request) for request in asked if request.query.get("alt") == "media"]

    def since(self, start: int, method: str) -> list[Request]:
        return [request for request in self.listener.requests[start:] if request.method == method]


@contextlib.contextmanager
def serving(kind: str) -> Iterator[Cloud]:
    if kind == "s3":
        with servers.s3_server(BUCKET) as listener:
            yield Cloud("s3", listener, (f"--s3_endpoint_url={listener.url}", *S3_FLAGS))
        return
    start = servers.google_emulator if kind == "gs" else servers.fake_gcs_server
    with start(BUCKET) as listener, servers.environment(STORAGE_EMULATOR_HOST=listener.url):
        yield Cloud("gs", listener, ())


@pytest.fixture(params=["gs", "gs, fake-gcs-server", "s3"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    with serving(request.param) as found:
        set_up_filesystems(found.flags)
        yield found


def rows_of(cloud: Cloud, outcome: str) -> dict[str, dict[str, Any]]:
    table = tables.read_metrics(cloud.url("archive")).to_pylist()
    return {row["relative_path"]: row for row in table if row["outcome"] == outcome}


def test_an_archive_in_a_bucket_from_its_first_photo_to_the_report(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in PHOTOS.items():
        cloud.put(f"in/{name}", data)
    compress = ("compress", cloud.url("in"), "--output", cloud.url("archive"), *WITHOUT_NETWORKS)
    start, before = len(cloud.listener.requests), requests_made()
    assert cloud.run(*compress) == 3
    # What was asked.
    made = requests_made() - before
    assert made["write"] == len(cloud.puts(start)) and made["delete"] == len(cloud.since(start, "DELETE"))
    if cloud.scheme == "s3":
        assert made["list"] + made["read"] == len(cloud.since(start, "GET"))
        assert made["look"] == len(cloud.since(start, "HEAD"))
    said = capsys.readouterr().err
    assert "Requests to object stores: " in said and f"{made['write']} writes" in said
    # What was written, and as what.
    types = {
        name.removeprefix("archive/"): kind
        for name, kind in cloud.types().items()
        if name.startswith("archive")
    }
    photos = {name: kind for name, kind in types.items() if not name.startswith("_foveate/")}
    assert photos == {
        "a.png.jp2": "image/jp2",
        "trip [1]/ü #1?.jpg.jp2": "image/jp2",
        "cmyk.jpg": "image/jpeg",
    }
    assert set(types.values()) == {
        "image/jp2",
        "image/jpeg",
        "application/vnd.apache.parquet",
        "application/jsonl",
    }
    assert not [name for name in types if "journal" in name]
    assert cloud.get("archive/cmyk.jpg") == PHOTOS["cmyk.jpg"]
    # What the tables say.
    (failure,) = tables.read_failures(cloud.url("archive")).to_pylist()
    assert failure["url"] == cloud.url("in/text.jpg") and "not a picture" in failure["message"]
    assert set(rows_of(cloud, "compressed")) == {"a.png", "trip [1]/ü #1?.jpg"}
    for row in (rows_of(cloud, "compressed") | rows_of(cloud, "kept")).values():
        (listed,) = find_files(row["source_url"], frozenset(), "")
        assert (row["source_checksum"], row["source_generation"] or "") == (
            listed.checksum,
            listed.generation,
        )
        assert listed.checksum.startswith("md5:" if cloud.scheme == "gs" else "etag:")
        assert bool(listed.generation) == (cloud.scheme == "gs")
        assert row["archive_version"] == files.stored_version(row["archive_url"])
    # Again: nothing but tables is read or written, and nothing is opened to find that out.
    start = len(cloud.listener.requests)
    assert cloud.run(*compress) == 3
    assert not rows_of(cloud, "skipped")
    (skipped,) = read_skipped(cloud.url("archive")).to_pylist()
    assert skipped["photos"] == 3
    assert all("/_foveate/" in name for name in cloud.puts(start))
    assert {name for name in cloud.gets(start) if "/_foveate/" not in name} == {"in/text.jpg"}
    # A source that changed, of the same size, is compressed again, and it alone.
    changed = bytearray(PHOTOS["a.png"])
    changed[-1] ^= 1  # after the picture's end
    cloud.put("in/a.png", bytes(changed))
    start = len(cloud.listener.requests)
    assert cloud.run(*compress) == 3
    assert {name for name in cloud.puts(start) if "/_foveate/" not in name} == {"archive/a.png.jp2"}
    # And back.
    assert cloud.run("restore", cloud.url("archive"), "--output", cloud.url("back"), "--reccnn", "off") == 0
    assert cloud.types()["back/a.png"] == "image/png"
    assert cloud.get("back/cmyk.jpg") == PHOTOS["cmyk.jpg"]
    restored = decode_picture(cloud.get("back/trip [1]/ü #1?.png")).pixels
    assert psnr(texture(90, 120, 3), restored) > 25
    # Told.
    capsys.readouterr()
    assert cloud.run("report", cloud.url("archive"), "--json") == 0
    assert json.loads(capsys.readouterr().out)
    assert cloud.run("inspect", cloud.url("archive/a.png.jp2")) == 0


def test_a_put_that_breaks_off_leaves_nothing_and_ends_the_run(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.put("in/a.png", PHOTOS["a.png"])
    before = cloud.listener.meddle

    def break_off(request: Request) -> Answer | None:
        if request.method in ("PUT", "POST") and b"jP  \r\n" in request.body:
            with socket.create_connection((HOST, cloud.listener.upstream)) as line:
                query = urllib.parse.urlencode(request.query)
                lines = [f"{request.method} {request.path}?{query} HTTP/1.1"]
                lines += [f"{name}: {value}" for name, value in request.headers.items()]
                line.sendall("\r\n".join([*lines, "", ""]).encode() + request.body[: len(request.body) // 2])
            return Answer(403, {"Content-Type": "text/plain"}, b"no more of it")
        return before(request)

    cloud.listener.meddle = break_off
    command = ("compress", cloud.url("in"), "--output", cloud.url("archive"), *WITHOUT_NETWORKS)
    assert cloud.run(*command) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("foveate: the run failed: ") and "access refused" in said
    plan = {name for name in cloud.types() if name.startswith("archive/_foveate/plans/")}
    assert set(cloud.types()) - plan == {"in/a.png"}  # the next run may go on by the plan


def test_a_region_of_an_object_takes_a_share_of_its_bytes(cloud: Cloud) -> None:
    master = foveate.encode(texture(800, 900, 3), slope=60)
    cloud.put("in/map.jp2", master)
    wanted = ("--lossless", "--access", "--roi", "none", "--reccnn", "off")
    assert cloud.run("transcode", cloud.url("in"), "--output", cloud.url("archive"), *wanted) == 0
    data = cloud.get("archive/map.jp2.jp2")
    start = len(cloud.listener.requests)
    options = ("--reccnn", "off", "--region", "40,30,64,50")
    assert cloud.run("restore", cloud.url("archive"), "--output", cloud.url("back"), *options) == 0
    restored = decode_picture(cloud.get("back/map.jp2.png")).pixels
    assert np.array_equal(restored, foveate.decode(master)[30:80, 40:104])
    headers = [{k.lower(): v for k, v in r.headers.items()} for r in cloud.since(start, "GET")]
    ranges = [own.get("range", "") for own in headers]
    spans = [text.removeprefix("bytes=").split("-") for text in ranges if text]
    assert 0 < sum(int(last) + 1 - int(first) for first, last in spans) < 0.4 * len(data)


def test_the_same_bytes_are_not_put_twice_and_others_are_replaced(cloud: Cloud) -> None:
    url = cloud.url("archive/a.png.jp2")
    first = files.write_whole(url, b"one", cloud.url("archive"))
    generation = next(find_files(url, frozenset(), "")).generation
    assert files.write_whole(url, b"one", cloud.url("archive")) == first == files.stored_version(url)
    assert next(find_files(url, frozenset(), "")).generation == generation
    second = files.write_whole(url, b"two", cloud.url("archive"))
    assert second == files.stored_version(url) != first
    assert cloud.get("archive/a.png.jp2") == b"two"


def test_two_runs_that_meet_at_one_object_do_not_both_believe_that_they_wrote_it(cloud: Cloud) -> None:
    before = cloud.listener.meddle

    def another_run_is_quicker(request: Request) -> Answer | None:
        if b"ours" in request.body:
            cloud.put("archive/a.jp2", f"theirs {len(cloud.listener.requests)}".encode())
        return before(request)

    cloud.listener.meddle = another_run_is_quicker
    with pytest.raises(BadInput, match="another run is writing"):
        files.write_whole(cloud.url("archive/a.jp2"), b"ours", cloud.url("archive"))
    assert cloud.get("archive/a.jp2").startswith(b"theirs")


def test_a_source_that_changes_between_listing_and_reading_is_reported(
    cloud: Cloud, request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["cloud"] == "gs, fake-gcs-server":
        pytest.skip("it takes no heed of preconditions of downloads")
    cloud.put("in/a.png", b"one")
    (listed,) = find_files(cloud.url("in/a.png"), frozenset(), "")
    assert files.read_source(listed) == b"one"
    cloud.put("in/a.png", b"two")
    with pytest.raises(BadInput, match="changed"):
        files.read_source(listed)


def test_a_journal_in_a_bucket_is_read_until_its_run_has_tables(cloud: Cloud) -> None:
    journal = JournalWriter(labels(cloud.url("archive")))
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        assert list(journal.process(a_row(name))) == [a_row(name)]
    assert set(rows_of(cloud, "compressed")) == {"a.jpg"}  # the others wait for a minute, or the bundle's end
    journal.finish_bundle()
    assert set(rows_of(cloud, "compressed")) == {"a.jpg", "b.jpg", "c.jpg"}
    assert len(cloud.types()) == 2
    clear_journal(cloud.url("archive"), "r1")
    assert cloud.types() == {}


def test_a_missing_object_is_reported(cloud: Cloud) -> None:
    with pytest.raises(FileNotFoundError, match="in/gone"):
        files.read_whole(cloud.url("in/gone.png"))
    assert files.read_if_there(cloud.url("in/gone.png")) is None
    assert files.stored_version(cloud.url("in/gone.png")) == ""
    files.delete_file(cloud.url("in/gone.png"))
    cloud.put("in/long.bin", bytes(100))
    assert files.read_head(cloud.url("in/long.bin"), 10) == bytes(10)
    files.delete_file(cloud.url("in/long.bin"))
    assert cloud.types() == {}


def test_names_with_wildcards_in_them_are_taken_literally_and_globs_match(cloud: Cloud) -> None:
    for name in ("in/x [1]/a.png", "in/x [1]/b.png", "in/y/a.png", "in/y/z/a.png", "in2/a.png", "in/"):
        cloud.put(name, b"x")

    def found(source: str) -> list[str]:
        return sorted(file.relative_path for file in find_files(cloud.url(source), frozenset({".png"}), ""))

    assert found("in/x [1]") == ["a.png", "b.png"]
    assert found("in/x [1]/a.png") == ["a.png"]
    assert found("in/*/a.png") == ["x [1]/a.png", "y/a.png"]
    assert found("in/**/a.png") == ["x [1]/a.png", "y/a.png", "y/z/a.png"]
    assert found("in") == ["x [1]/a.png", "x [1]/b.png", "y/a.png", "y/z/a.png"]
    assert found("") == ["in/x [1]/a.png", "in/x [1]/b.png", "in/y/a.png", "in/y/z/a.png", "in2/a.png"]


@pytest.mark.parametrize("kind", ["gs, fake-gcs-server", "s3"])  # gcp-storage-emulator knows no pages
def test_thousands_of_objects_are_listed_a_page_a_call(kind: str) -> None:
    with serving(kind) as cloud:
        set_up_filesystems(cloud.flags)
        for number in range(1100):
            cloud.put(f"in/{number:05}.png", b"x")
        start = len(cloud.listener.requests)
        assert len(list(find_files(cloud.url("in"), frozenset({".png"}), ""))) == 1100
        # One for an object of that name, two pages; fake-gcs-server has an empty one after the last.
        assert len(cloud.listener.requests) - start <= 4


@pytest.mark.timeout(120)  # and not tried for hours
@pytest.mark.parametrize("url", ["gs://nowhere/in", "s3://nowhere/in"])
def test_a_store_that_does_not_answer_is_reported_in_a_sentence(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(PHOTOS["a.png"])
    closed = f"http://{HOST}:{servers.free_port()}"
    flags = (f"--s3_endpoint_url={closed}", *S3_FLAGS) if url.startswith("s3") else ()
    commands = {
        2: ["inspect", url],
        1: ["compress", str(tmp_path), "--output", url, *WITHOUT_NETWORKS],
    }
    with servers.environment(STORAGE_EMULATOR_HOST=closed):
        for status, command in commands.items():
            assert main([*command, *flags]) == status
            said = capsys.readouterr().err
            assert f"{url} cannot be" in said and "does not answer" in said and said.count("\n") == 1


def test_a_bucket_that_is_not_there_is_named(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert cloud.run("compress", f"{cloud.scheme}://gone/in", "--output", cloud.url("archive")) == 2
    assert "no such bucket gone" in capsys.readouterr().err
    cloud.put("in/a.png", PHOTOS["a.png"])
    arguments = (cloud.url("in"), "--output", f"{cloud.scheme}://gone/archive", *WITHOUT_NETWORKS)
    assert cloud.run("compress", *arguments) == 1
    assert "no such bucket gone" in capsys.readouterr().err


def test_credentials_without_permission_are_reported(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.listener.meddle = lambda request: Answer(403, {"Content-Type": "text/plain"}, b"no")
    assert cloud.run("inspect", cloud.url("in/a.jp2")) == 2
    assert "access refused" in capsys.readouterr().err


def test_a_store_that_is_busy_for_a_moment_is_asked_again(cloud: Cloud) -> None:
    before = cloud.listener.meddle
    refused: list[Request] = []

    def busy(request: Request) -> Answer | None:
        if len(refused) < 2:
            refused.append(request)
            return Answer(503, {"Content-Type": "text/plain"}, b"slow down")
        return before(request)

    cloud.put("warm", b"x")
    assert files.read_whole(cloud.url("warm")) == b"x"
    cloud.listener.meddle = busy
    files.write_whole(cloud.url("archive/a.jp2"), b"data", cloud.url("archive"))
    assert cloud.get("archive/a.jp2") == b"data" and len(refused) == 2
