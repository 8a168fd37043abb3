"""S3 (s3://) and compatible stores, through boto3."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
from collections.abc import Iterator
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, S3Options

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
    read_up_to,
    require_replaceable,
    split_url,
)
from foveate.storage.requests import Kind, count_request
from foveate.storage.s3_listing import listed_page, parse_listings_quickly


@functools.lru_cache(maxsize=4)
def s3_store(options: PipelineOptions) -> Store:
    """The store that these options ask for.

    Raises:
      ValueError: boto3 is not installed.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise ValueError("s3:// needs more packages: pip install 'foveate[aws]'") from error
    chosen = options.view_as(S3Options)
    session = boto3.session.Session()  # one for both clients: it reads what S3 is from long files

    def client(attempts: int) -> Any:
        made = session.client(
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
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": attempts},
            ),
        )
        parse_listings_quickly(made)
        made.meta.events.register("before-send.s3", _count)
        return made

    return S3Store(client(2), client(10))


_KINDS: dict[str, Kind] = {
    "ListObjectsV2": "list",
    "HeadObject": "look",
    "GetObject": "read",
    "PutObject": "write",
    "DeleteObject": "delete",
}


def _count(event_name: str, **_: object) -> None:
    """Counts each request as it is sent, including retries."""
    count_request(_KINDS.get(event_name.rpartition(".")[2], "look"))


@dataclasses.dataclass
class S3Store:
    """S3 or a compatible store, with two clients, since a client's timeouts cannot be changed."""

    first: Any  # botocore's S3 client
    patient: Any
    answered: bool = False

    @property
    def client(self) -> Any:
        """The client to ask now."""
        return self.patient if self.answered else self.first

    def list_below(self, prefix: str, start: str = "", end: str = "") -> Iterator[Page]:
        """See `Store`."""
        bucket, name = split_url(prefix)
        after = {"StartAfter": _key_before(split_url(start)[1])} if start else {}
        with self._translated(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=name, PaginationConfig={"PageSize": PAGE}, **after
            )
            for found in pages:
                self.answered = True
                page = listed_page(found, f"s3://{bucket}/")
                yield page.between(start, end)
                if end and page.urls and page.urls[-1] >= end:
                    return

    def folders_below(self, prefix: str, most: int) -> list[str]:
        """See `Store`."""
        bucket, name = split_url(prefix)
        if bucket.endswith("--x-s3"):  # directory buckets list in no order, so they have no ranges
            return []
        found: list[str] = []
        with self._translated(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=name, Delimiter="/", PaginationConfig={"PageSize": PAGE}
            )
            for page in pages:
                self.answered = True
                found += [f"s3://{bucket}/{entry['Prefix']}" for entry in page.get("CommonPrefixes", ())]
                if len(found) >= most:
                    break
        return found

    def find(self, url: str) -> StoredFile | None:
        """See `Store`."""
        bucket, name = split_url(url)
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
        start: int = 0,
    ) -> bytes:
        """See `Store`."""
        bucket, name = split_url(url)
        wanted: dict[str, str] = {}
        if version is not None and version.checksum.startswith("etag:"):
            wanted["IfMatch"] = f'"{version.checksum.removeprefix("etag:")}"'
        if first is not None:
            wanted["Range"] = f"bytes={start}-{first - 1}"
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
                require_replaceable(may_replace, self.read(url, there), url)
            if not knows_conditions:
                return self._put(url, data)
            return self._put(url, data, IfMatch=f'"{there.checksum.removeprefix("etag:")}"')

    def _put(self, url: str, data: bytes, **condition: str) -> StoredFile:
        bucket, name = split_url(url)
        answer = self.client.put_object(
            Bucket=bucket, Key=name, Body=data, ContentType=content_type(url), **condition
        )
        self.answered = True
        now = datetime.datetime.now(datetime.UTC)
        return _s3_file(url, answer | {"Size": len(data), "LastModified": now}, "Size")

    def delete(self, url: str) -> None:
        """See `Store`."""
        bucket, name = split_url(url)
        with self._translated(url):
            self.client.delete_object(Bucket=bucket, Key=name)

    @contextlib.contextmanager
    def _translated(self, url: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            yield
        except NoCredentialsError as error:
            advice = "no AWS credentials found; set them with `aws configure` or AWS_ACCESS_KEY_ID"
            raise PermissionError(advice) from error
        except ClientError as error:
            code = _s3_code(error)
            if code in ("404", "NoSuchKey", "NoSuchBucket"):
                raise not_there(url, bucket=code == "NoSuchBucket") from error
            if code in ("PreconditionFailed", "ConditionalRequestConflict", "412"):
                raise FileChanged(f"{url} was changed by someone else in the meantime") from error
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status in (401, 403):
                raise PermissionError(f"access refused: {error}") from error
            raise ConnectionError(f"S3 does not answer: {error}") from error
        except BotoCoreError as error:
            raise ConnectionError(f"S3 does not answer: {error}") from error


def _key_before(key: str) -> str:
    """A key that sorts right before `key`, since S3 lists what comes *after* a given key."""
    return key[:-1]


def _s3_code(error: Exception) -> str:
    response: dict[str, dict[str, str]] = getattr(error, "response", {})
    return response.get("Error", {}).get("Code", "")


def _s3_file(url: str, entry: dict[str, Any], size: str) -> StoredFile:
    etag = str(entry.get("ETag", "")).strip('"')
    modified = entry["LastModified"].timestamp()
    return StoredFile(url, int(entry[size]), modified, "", f"etag:{etag}" if etag else "")
