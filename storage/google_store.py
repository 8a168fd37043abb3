"""Google Cloud Storage (gs://) through its own client."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import google.auth
import google.auth.exceptions
import requests
from apache_beam.io.gcp import gcsio
from apache_beam.options.pipeline_options import PipelineOptions
from google.api_core.exceptions import (
    ClientError,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    PreconditionFailed,
    RetryError,
    Unauthorized,
)
from google.api_core.retry import Retry
from google.cloud.storage.retry import DEFAULT_RETRY

from foveate.storage.object_store import (
    CONNECT_SECONDS,
    PAGE,
    READ_SECONDS,
    FileChanged,
    MayReplace,
    Page,
    Store,
    StoredFile,
    checksums,
    content_type,
    not_there,
    require_replaceable,
    seconds_of,
    split_url,
)
from foveate.storage.requests import Kind, count_request

# Until a store has answered once it may well not be there at all: a typing slip, no network. Afterwards it is
# known to be there, and what fails is worth waiting for.
_FIRST_SECONDS = 3.0


_PATIENT_SECONDS = 120.0


@functools.lru_cache(maxsize=4)
def google_store(emulator: str, options: PipelineOptions) -> Store:
    """The store that these options ask for; anonymous where there are no credentials."""
    found = not emulator and _google_credentials_found()
    client = gcsio.create_storage_client(options, use_credentials=found)
    return GoogleStore(client, anonymous=not found)


def _google_credentials_found() -> bool:
    """Whether Google's own search finds credentials: asked once, where Beam would keep asking for 20 s."""
    logger = logging.getLogger("google.auth")
    level = logger.level
    logger.setLevel(logging.ERROR)  # three warnings that this is no machine of Google's
    try:
        google.auth.default()
    except google.auth.exceptions.DefaultCredentialsError:
        return False
    finally:
        logger.setLevel(level)
    return True


@dataclasses.dataclass
class GoogleStore:
    """Google Cloud Storage, or an emulator of it named by STORAGE_EMULATOR_HOST."""

    client: Any  # google.cloud.storage.Client
    anonymous: bool
    answered: bool = False

    def list_below(self, prefix: str, start: str = "", end: str = "") -> Iterator[Page]:
        """See `Store`."""
        bucket, name = split_url(prefix)
        with self._translated(prefix, listing=True):
            listing = self.client.list_blobs(
                bucket,
                prefix=name or None,
                start_offset=split_url(start)[1] if start else None,
                end_offset=split_url(end)[1] if end else None,
                page_size=PAGE,
                fields="items(name,size,updated,generation,md5Hash,crc32c),nextPageToken",
                **self._patience(),
            )
            listing.item_to_value = _as_it_is
            for found in listing.pages:
                self._count("list")
                page = _page(found, f"gs://{bucket}/")
                yield page.between(start, end)  # not all that speaks the protocol knows offsets

    def folders_below(self, prefix: str, most: int) -> list[str]:
        """See `Store`."""
        bucket, name = split_url(prefix)
        found: list[str] = []
        with self._translated(prefix, listing=True):
            listing = self.client.list_blobs(
                bucket, prefix=name or None, delimiter="/", page_size=PAGE, **self._patience()
            )
            for page in listing.pages:
                self._count("list")
                found += [f"gs://{bucket}/{folder}" for folder in page.prefixes]
                if len(found) >= most:
                    break
        return sorted(found)

    def find(self, url: str) -> StoredFile | None:
        """See `Store`."""
        bucket, name = split_url(url)
        if not name:
            return None
        with self._translated(url):
            with self._asking("look"):
                blob = self.client.bucket(bucket).get_blob(name, **self._patience())
            return _google_file(url, blob) if blob else None

    def read(
        self,
        url: str,
        version: StoredFile | None = None,
        first: int | None = None,
        most: int | None = None,
        start: int = 0,
    ) -> bytes:
        """See `Store`."""
        wanted = int(version.generation) if version and version.generation else None
        into = _Sink(most)
        with self._translated(url), contextlib.suppress(_SinkFull), self._asking("read"):
            self._blob(url).download_to_file(
                into,
                start=None if first is None else start,
                end=None if first is None else first - 1,
                raw_download=True,  # what is stored, even if it says that it is gzip
                if_generation_match=wanted,
                **self._patience(),
            )
        return into.getvalue()

    def write(self, url: str, data: bytes, may_replace: MayReplace | None = None) -> StoredFile:
        """See `Store`."""
        with self._translated(url):
            try:
                return self._put(url, data, 0)
            except PreconditionFailed:  # something is there: an older file, or ours (an answer was lost)
                with self._asking("look"):
                    bucket, name = split_url(url)
                    there = self.client.bucket(bucket).get_blob(name, **self._patience())
            if there is not None and there.size == len(data) and _google_checksum(there) in checksums(data):
                return _google_file(url, there)
            if there is not None and may_replace is not None:
                require_replaceable(may_replace, self.read(url, _google_file(url, there)), url)
            return self._put(url, data, there.generation if there is not None else 0)

    def _put(self, url: str, data: bytes, generation: int) -> StoredFile:
        blob = self._blob(url)
        with self._asking("write"):
            blob.upload_from_string(
                data,
                content_type=content_type(url),
                if_generation_match=generation,
                checksum="crc32c",
                **self._patience(),
            )
        return _google_file(url, blob)

    def delete(self, url: str) -> None:
        """See `Store`."""
        with self._translated(url), contextlib.suppress(NotFound), self._asking("delete"):
            self._blob(url).delete(**self._patience())

    @contextlib.contextmanager
    def _asking(self, kind: Kind) -> Iterator[None]:
        """Counts a request that the store answers, if only with a refusal."""
        try:
            yield
        except (ClientError, _SinkFull):
            self._count(kind)
            raise
        self._count(kind)

    def _count(self, kind: Kind) -> None:
        """Notes that the store has answered a request; what the client repeated by itself is not counted."""
        self.answered = True
        count_request(kind)

    def _blob(self, url: str) -> Any:
        bucket, name = split_url(url)
        return self.client.bucket(bucket).blob(name)

    def _patience(self) -> dict[str, Any]:
        """How long to wait and to try again; what cannot be connected to at first is given up soon."""
        start = time.monotonic()
        transient: Callable[[BaseException], bool] = DEFAULT_RETRY._predicate  # it has no public way to ask

        def worth_retrying(error: BaseException) -> bool:
            there = self.answered or isinstance(error, GoogleAPICallError)
            return transient(error) and (there or time.monotonic() - start < _FIRST_SECONDS)

        return {
            "retry": Retry(predicate=worth_retrying, initial=0.25, maximum=20.0, timeout=_PATIENT_SECONDS),
            "timeout": (CONNECT_SECONDS, READ_SECONDS),
        }

    @contextlib.contextmanager
    def _translated(self, url: str, *, listing: bool = False) -> Iterator[None]:
        try:
            yield
        except NotFound as error:  # a listing without objects is empty, but not missing
            raise not_there(url, bucket=listing or "bucket" in str(error.message).lower()) from error
        except PreconditionFailed as error:
            raise FileChanged(f"{url} was changed by someone else in the meantime") from error
        except (Forbidden, Unauthorized) as error:
            advice = "these credentials do not allow it"
            if self.anonymous:
                advice = "no Google credentials found; run `gcloud auth application-default login`"
            raise PermissionError(f"access refused: {advice}") from error
        except (
            GoogleAPICallError,
            RetryError,
            requests.RequestException,
            google.auth.exceptions.GoogleAuthError,
        ) as error:
            raise ConnectionError(f"Google Cloud Storage does not answer: {_root_of(error)}") from error


class _SinkFull(Exception):  # noqa: N818
    """More has come than was wanted."""


class _Sink(io.BytesIO):
    """Takes what is downloaded, until it is more than `most` bytes."""

    def __init__(self, most: int | None) -> None:
        super().__init__()
        self.most = most

    def write(self, data: Any) -> int:
        count = super().write(data)
        if self.most is not None and self.tell() > self.most:
            raise _SinkFull
        return count


def _as_it_is(_: Any, item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keeps an item of a listing as JSON has it: a blob of each would take most of the time."""
    return item


def _page(items: Iterable[Mapping[str, Any]], bucket: str) -> Page:
    """Some objects of a listing, in the form of the service's JSON."""
    rows = [
        (
            bucket + item["name"],
            int(item.get("size", 0)),
            seconds_of(item["updated"]) if item.get("updated") else 0.0,
            str(item.get("generation", "")),
            _checksum(item.get("md5Hash"), item.get("crc32c")),
        )
        for item in items
    ]
    return Page(*zip(*rows, strict=True)) if rows else Page((), (), (), (), ())


def _google_file(url: str, blob: Any) -> StoredFile:
    modified = blob.updated.timestamp() if blob.updated else 0.0
    return StoredFile(url, int(blob.size or 0), modified, str(blob.generation or ""), _google_checksum(blob))


def _google_checksum(blob: Any) -> str:
    return _checksum(blob.md5_hash, blob.crc32c)


def _checksum(md5: str | None, crc32c: str | None) -> str:
    """MD5 where there is one; objects composed of others have CRC32C only."""
    if md5:
        return f"md5:{md5}"
    return f"crc32c:{crc32c}" if crc32c else ""


def _root_of(error: BaseException) -> str:
    """The root cause of an error, without the wrapping of the libraries between."""
    inner = [getattr(error, name, None) for name in ("reason", "cause")] + list(error.args[:1])
    for within in inner:
        if isinstance(within, BaseException):
            return _root_of(within)
    return (str(error).strip() or repr(error)).splitlines()[0].rpartition("): ")[2]
