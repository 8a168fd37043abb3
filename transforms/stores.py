"""Object stores: Google Cloud Storage (gs://) and S3 (s3://), by their own clients.

Beam's filesystems know neither an object's generation nor its checksum, write without preconditions, and may
take minutes to say that nobody answers; so what Foveate lists, reads and writes goes through here, with the
options that Beam has for it (`--s3_endpoint_url`, `--impersonate_service_account`, ...). Every object is
written by a single put: it is there whole or not at all.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import functools
import hashlib
import io
import logging
import mimetypes
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import google.auth
import google.auth.exceptions
import requests
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp import gcsio
from apache_beam.options.pipeline_options import PipelineOptions, S3Options
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    NotFound,
    PreconditionFailed,
    RetryError,
    Unauthorized,
)
from google.api_core.retry import Retry
from google.cloud.storage.retry import DEFAULT_RETRY

# Until a store has answered once it may well not be there at all: a typing slip, no network. Afterwards it is
# known to be there, and what fails is worth waiting for.
_FIRST_SECONDS = 3.0
_PATIENT_SECONDS = 120.0
_CONNECT_SECONDS, _READ_SECONDS = 4.0, 60.0
_PAGE = 1000  # objects that one call lists, at most, in both stores
_CONTENT_TYPES = {
    ".jp2": "image/jp2",
    ".j2k": "image/x-jp2-codestream",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".dcm": "application/dicom",
    ".parquet": "application/vnd.apache.parquet",
    ".jsonl": "application/jsonl",
}

_NO_OPTIONS = PipelineOptions([])


@dataclasses.dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as a listing shows it.

    `checksum` is of the content: "md5:...", "crc32c:..." (both base64, as Google Cloud Storage gives them) or
    "etag:..." (S3). `generation` numbers an object's versions in Google Cloud Storage. "" for what the store
    does not say.
    """

    url: str
    size_bytes: int
    modified: float  # seconds since 1970, 0 where it is not known
    generation: str = ""
    checksum: str = ""


class Store(Protocol):
    """What Foveate asks of an object store; urls are whole ones, with the scheme.

    All methods raise FileNotFoundError for an object or bucket that is not there, PermissionError where
    access is refused, and ConnectionError where the store does not answer, or not sensibly.
    """

    def list_below(self, prefix: str) -> Iterator[StoredFile]:
        """All objects whose url begins so, by name; one call per thousand of them."""

    def find(self, url: str) -> StoredFile | None:
        """One object, None if it is not there."""

    def read(
        self,
        url: str,
        version: StoredFile | None = None,
        first: int | None = None,
        most: int | None = None,
    ) -> bytes:
        """An object's bytes, or its first ones; with a version, FileChanged if it is another by now.

        Of an object of more than `most` bytes only some are read, though more than `most`.
        """

    def write(self, url: str, data: bytes, may_replace: MayReplace | None = None) -> StoredFile:
        """Puts an object whole, with the content type of its name, over what is there.

        Where the very same bytes are there already, they are left. `may_replace` is asked, with the bytes
        that are there, whether they may go; NotOursError where not. Raises FileChanged where another writer
        came between the look and the put: each may believe to have the last word, and one must be told.
        """

    def delete(self, url: str) -> None:
        """Removes an object; no error if it is gone."""


MayReplace = Callable[[bytes], bool]


class NotOursError(OSError):
    """What is there has to stay."""


class FileChanged(OSError):  # noqa: N818 (reads as the sentence it ends up in)
    """An object is not the version that it should be: somebody else has written it."""


def store_of(url: str) -> Store | None:
    """The store that a url lies in; None for local files and for what only Beam knows.

    Raises:
      ValueError: what it takes to reach such a store is not installed.
    """
    scheme = url.partition("://")[0]
    if scheme == "gs":
        return _google_store(os.environ.get("STORAGE_EMULATOR_HOST", ""), _options())
    if scheme == "s3":
        return _s3_store(_options())
    return None


def read_up_to(handle: Any, count: int | None, at_once: int = 1 << 23) -> bytes:
    """A file's bytes to its end, at most so many; `read` of a count may make room for all of them at once."""
    if count is None:
        data: bytes = handle.read()
        return data
    parts: list[bytes] = []
    while count and (part := handle.read(min(count, at_once))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def content_type(name: str) -> str:
    """The media type of a file, by its name's ending."""
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 (urls are no paths)
    return _CONTENT_TYPES.get(ending) or mimetypes.types_map.get(ending, "application/octet-stream")


def _options() -> PipelineOptions:
    """What the command line said; Beam hands it to every worker, and has no public way to ask for it."""
    return FileSystems._pipeline_options or _NO_OPTIONS


def _split(url: str) -> tuple[str, str]:
    """Bucket and name of an object; the name may be ""."""
    bucket, _, name = url.partition("://")[2].partition("/")
    if not bucket:
        raise FileNotFoundError(f"there is no bucket in this URL: {url}")
    return bucket, name


# ---------------------------------------------------------------- Google Cloud Storage


@functools.lru_cache(maxsize=4)
def _google_store(emulator: str, options: PipelineOptions) -> Store:
    found = not emulator and _google_credentials_found()
    client = gcsio.create_storage_client(options, use_credentials=found)
    return GoogleStore(client, anonymous=not found)


def _google_credentials_found() -> bool:
    """Whether Google's own search finds credentials: asked once, where Beam would go on asking for 20 s."""
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

    def list_below(self, prefix: str) -> Iterator[StoredFile]:
        """See `Store`."""
        bucket, name = _split(prefix)
        with self._translated(prefix, listing=True):
            listing = self.client.list_blobs(
                bucket,
                prefix=name or None,
                page_size=_PAGE,
                fields="items(name,size,updated,generation,md5Hash,crc32c),nextPageToken",
                **self._patience(),
            )
            for blob in listing:
                self.answered = True
                yield _google_file(f"gs://{bucket}/{blob.name}", blob)

    def find(self, url: str) -> StoredFile | None:
        """See `Store`."""
        with self._translated(url):
            bucket, name = _split(url)
            blob = self.client.bucket(bucket).get_blob(name, **self._patience()) if name else None
            self.answered = True
            return _google_file(url, blob) if blob else None

    def read(
        self,
        url: str,
        version: StoredFile | None = None,
        first: int | None = None,
        most: int | None = None,
    ) -> bytes:
        """See `Store`."""
        wanted = int(version.generation) if version and version.generation else None
        into = _Sink(most)
        with self._translated(url), contextlib.suppress(_SinkFull):
            self._blob(url).download_to_file(
                into,
                start=None if first is None else 0,
                end=None if first is None else first - 1,
                raw_download=True,  # what is stored, even if it says that it is gzip
                if_generation_match=wanted,
                **self._patience(),
            )
        self.answered = True
        return into.getvalue()

    def write(self, url: str, data: bytes, may_replace: MayReplace | None = None) -> StoredFile:
        """See `Store`."""
        with self._translated(url):
            try:
                return self._put(url, data, 0)
            except PreconditionFailed:  # something is there: an older file, or ours (an answer was lost)
                there = self.client.bucket(_split(url)[0]).get_blob(_split(url)[1], **self._patience())
            if there is not None and there.size == len(data) and _google_checksum(there) in checksums(data):
                return _google_file(url, there)
            if there is not None and may_replace is not None:
                _require(may_replace, self.read(url, _google_file(url, there)), url)
            return self._put(url, data, there.generation if there is not None else 0)

    def _put(self, url: str, data: bytes, generation: int) -> StoredFile:
        blob = self._blob(url)
        blob.upload_from_string(
            data,
            content_type=content_type(url),
            if_generation_match=generation,
            checksum="crc32c",
            **self._patience(),
        )
        self.answered = True
        return _google_file(url, blob)

    def delete(self, url: str) -> None:
        """See `Store`."""
        with self._translated(url), contextlib.suppress(NotFound):
            self._blob(url).delete(**self._patience())

    def _blob(self, url: str) -> Any:
        bucket, name = _split(url)
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
            "timeout": (_CONNECT_SECONDS, _READ_SECONDS),
        }

    @contextlib.contextmanager
    def _translated(self, url: str, *, listing: bool = False) -> Iterator[None]:
        try:
            yield
        except NotFound as error:  # a listing without objects is empty, but not missing
            raise _not_there(url, bucket=listing or "bucket" in str(error.message).lower()) from error
        except PreconditionFailed as error:
            raise FileChanged(f"somebody else has written {url} meanwhile") from error
        except (Forbidden, Unauthorized) as error:
            advice = "these credentials may not do that"
            if self.anonymous:
                advice = "no Google credentials were found; `gcloud auth application-default login` gets some"
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


def _google_file(url: str, blob: Any) -> StoredFile:
    modified = blob.updated.timestamp() if blob.updated else 0.0
    return StoredFile(url, int(blob.size or 0), modified, str(blob.generation or ""), _google_checksum(blob))


def _google_checksum(blob: Any) -> str:
    """MD5 where there is one; objects composed of others have CRC32C only."""
    if blob.md5_hash:
        return f"md5:{blob.md5_hash}"
    return f"crc32c:{blob.crc32c}" if blob.crc32c else ""


def checksums(data: bytes) -> set[str]:
    """What a listing may show for these bytes."""
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return {f"md5:{base64.b64encode(digest).decode()}", f"etag:{digest.hex()}"}


# ---------------------------------------------------------------- S3


@functools.lru_cache(maxsize=4)
def _s3_store(options: PipelineOptions) -> Store:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise ValueError("s3:// needs more packages: pip install 'foveate[aws]'") from error
    chosen = options.view_as(S3Options)

    def client(attempts: int) -> Any:
        return boto3.session.Session().client(
            "s3",
            region_name=chosen.s3_region_name,
            api_version=chosen.s3_api_version,
            use_ssl=not chosen.s3_disable_ssl,
            verify=chosen.s3_verify,
            endpoint_url=chosen.s3_endpoint_url,
            aws_access_key_id=chosen.s3_access_key_id,
            aws_secret_access_key=chosen.s3_secret_access_key,
            aws_session_token=chosen.s3_session_token,
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": attempts},
            ),
        )

    return S3Store(client(2), client(10))


@dataclasses.dataclass
class S3Store:
    """S3, or what speaks like it: two clients, since a client's patience cannot be changed."""

    first: Any  # botocore's S3 client
    patient: Any
    answered: bool = False

    @property
    def client(self) -> Any:
        """The client to ask now."""
        return self.patient if self.answered else self.first

    def list_below(self, prefix: str) -> Iterator[StoredFile]:
        """See `Store`."""
        bucket, name = _split(prefix)
        with self._translated(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=name, PaginationConfig={"PageSize": _PAGE}
            )
            for page in pages:
                self.answered = True
                for entry in page.get("Contents", ()):
                    yield _s3_file(f"s3://{bucket}/{entry['Key']}", entry, "Size")

    def find(self, url: str) -> StoredFile | None:
        """See `Store`."""
        bucket, name = _split(url)
        if not name:
            return None
        with self._translated(url):
            try:
                answer = self.client.head_object(Bucket=bucket, Key=name)
            except Exception as error:  # botocore makes its classes as it goes; the others go on
                if _s3_code(error) not in ("404", "NoSuchKey"):
                    raise
                return None
            self.answered = True
            return _s3_file(url, answer, "ContentLength")

    def read(
        self,
        url: str,
        version: StoredFile | None = None,
        first: int | None = None,
        most: int | None = None,
    ) -> bytes:
        """See `Store`."""
        bucket, name = _split(url)
        wanted: dict[str, str] = {}
        if version is not None and version.checksum.startswith("etag:"):
            wanted["IfMatch"] = f'"{version.checksum.removeprefix("etag:")}"'
        if first is not None:
            wanted["Range"] = f"bytes=0-{first - 1}"
        with self._translated(url):
            answer = self.client.get_object(Bucket=bucket, Key=name, **wanted)
            with contextlib.closing(answer["Body"]) as body:
                data = read_up_to(body, None if most is None else most + 1)
            self.answered = True
            return data

    def write(self, url: str, data: bytes, may_replace: MayReplace | None = None) -> StoredFile:
        """See `Store`."""
        knows_conditions = True
        with self._translated(url):
            try:
                return self._put(url, data, IfNoneMatch="*")
            except Exception as error:  # as in `find`
                code = _s3_code(error)
                if code not in ("PreconditionFailed", "412", "NotImplemented"):
                    raise
                knows_conditions = code != "NotImplemented"  # not all that speaks S3 does
            if not knows_conditions and may_replace is None:
                return self._put(url, data)
            there = self.find(url)
            if there is None:
                return self._put(url, data, **({"IfNoneMatch": "*"} if knows_conditions else {}))
            if there.size_bytes == len(data) and there.checksum in checksums(data):
                return there
            if may_replace is not None:
                _require(may_replace, self.read(url, there), url)
            if not knows_conditions:
                return self._put(url, data)
            return self._put(url, data, IfMatch=f'"{there.checksum.removeprefix("etag:")}"')

    def _put(self, url: str, data: bytes, **condition: str) -> StoredFile:
        bucket, name = _split(url)
        answer = self.client.put_object(
            Bucket=bucket, Key=name, Body=data, ContentType=content_type(url), **condition
        )
        self.answered = True
        now = datetime.datetime.now(datetime.UTC)
        return _s3_file(url, answer | {"Size": len(data), "LastModified": now}, "Size")

    def delete(self, url: str) -> None:
        """See `Store`."""
        bucket, name = _split(url)
        with self._translated(url):
            self.client.delete_object(Bucket=bucket, Key=name)

    @contextlib.contextmanager
    def _translated(self, url: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            yield
        except NoCredentialsError as error:
            advice = "no AWS credentials were found; `aws configure` or AWS_ACCESS_KEY_ID sets some"
            raise PermissionError(advice) from error
        except ClientError as error:
            code = _s3_code(error)
            if code in ("404", "NoSuchKey", "NoSuchBucket"):
                raise _not_there(url, bucket=code == "NoSuchBucket") from error
            if code in ("PreconditionFailed", "ConditionalRequestConflict", "412"):
                raise FileChanged(f"somebody else has written {url} meanwhile") from error
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status in (401, 403):
                raise PermissionError(f"access refused: {error}") from error
            raise ConnectionError(f"S3 does not answer: {error}") from error
        except BotoCoreError as error:
            raise ConnectionError(f"S3 does not answer: {error}") from error


def _require(may_replace: MayReplace, there: bytes, url: str) -> None:
    if not may_replace(there):
        raise NotOursError(url)


def _s3_code(error: Exception) -> str:
    response: dict[str, dict[str, str]] = getattr(error, "response", {})
    return response.get("Error", {}).get("Code", "")


def _s3_file(url: str, entry: dict[str, Any], size: str) -> StoredFile:
    etag = str(entry.get("ETag", "")).strip('"')
    modified = entry["LastModified"].timestamp()
    return StoredFile(url, int(entry[size]), modified, "", f"etag:{etag}" if etag else "")


def _not_there(url: str, *, bucket: bool) -> FileNotFoundError:
    what = f"bucket {_split(url)[0]}" if bucket else f"object {url}"
    return FileNotFoundError(f"there is no {what}")


def _root_of(error: BaseException) -> str:
    """What is at the root of an error, without what the libraries between wrap around it."""
    inner = [getattr(error, name, None) for name in ("reason", "cause")] + list(error.args[:1])
    for within in inner:
        if isinstance(within, BaseException):
            return _root_of(within)
    return (str(error).strip() or repr(error)).splitlines()[0].rpartition("): ")[2]
