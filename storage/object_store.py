"""The interface of object stores, and code that they share."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import itertools
import mimetypes
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

CONNECT_SECONDS = 4.0


READ_SECONDS = 60.0


PAGE = 1000  # objects that one call lists, at most, in both stores


_CONTENT_TYPES = {
    ".jp2": "image/jp2",
    ".j2k": "image/x-jp2-codestream",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".dcm": "application/dicom",
    ".parquet": "application/vnd.apache.parquet",
    ".jsonl": "application/jsonl",
}


@dataclasses.dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as in a listing.

    `checksum` is of the content: "md5:...", "crc32c:..." (both base64, as Google Cloud Storage gives them) or
    "etag:..." (S3). `generation` numbers an object's versions in Google Cloud Storage. "" for what the store
    does not say.
    """

    url: str
    size_bytes: int
    modified: float  # seconds since 1970, 0 where it is not known
    generation: str = ""
    checksum: str = ""

    @property
    def version(self) -> str:
        """Distinguishes versions of a file: the checksum, else the time of change, else ""."""
        return self.checksum or (f"changed:{self.modified!r}" if self.modified else "")


class Page(NamedTuple):
    """Some files of a listing, column by column; a column for each field of `StoredFile`."""

    urls: Sequence[str]
    sizes: Sequence[int]
    modified: Sequence[float]
    generations: Sequence[str]
    checksums: Sequence[str]

    @staticmethod
    def of(files: Iterable[StoredFile]) -> Page:
        """A page of these files."""
        rows = [(file.url, file.size_bytes, file.modified, file.generation, file.checksum) for file in files]
        return Page(*zip(*rows, strict=True)) if rows else Page((), (), (), (), ())

    def files(self) -> Iterator[StoredFile]:
        """The files, one by one."""
        return map(StoredFile, *self)

    def versions(self) -> Iterator[str]:
        """`StoredFile.version` of each."""
        return (file.version for file in self.files())

    def chosen(self, taken: Sequence[bool]) -> Page:
        """Only the files for which `taken` says so."""
        if all(taken):
            return self
        columns: list[Any] = [list(itertools.compress(column, taken)) for column in self]
        return Page(*columns)

    def between(self, start: str, end: str) -> Page:
        """The files from one url up to, but not including, another; "" for no bound."""
        if not start and not end:
            return self
        return self.chosen([url >= start and not (end and url >= end) for url in self.urls])


def pages_of(files: Iterable[StoredFile]) -> Iterator[Page]:
    """Files grouped into pages."""
    remaining = iter(files)
    while some := list(itertools.islice(remaining, PAGE)):
        yield Page.of(some)


class Store(Protocol):
    """The interface of an object store; urls are whole ones, with the scheme.

    All methods raise FileNotFoundError for an object or bucket that is not there, PermissionError where
    access is refused, and ConnectionError where the store does not answer, or not sensibly.
    """

    def list_below(self, prefix: str, start: str = "", end: str = "") -> Iterator[Page]:
        """All objects whose urls have a prefix, in the order of their names, one page per call.

        Args:
          prefix: what their urls begin with.
          start: a url; objects before it are left out. "" for none.
          end: a url; it and objects after it are left out. "" for none.
        """

    def folders_below(self, prefix: str, most: int) -> list[str]:
        """The urls, up to and including the next slash, of folders directly below a prefix, in order.

        At most about `most`: if there are more, the first ones. One call per thousand entries.
        """

    def find(self, url: str) -> StoredFile | None:
        """One object, or None if it does not exist."""

    def read(
        self,
        url: str,
        version: StoredFile | None = None,
        first: int | None = None,
        most: int | None = None,
        start: int = 0,
    ) -> bytes:
        """An object's bytes, or those from `start` up to `first`.

        With a version, FileChanged if it is another by now. Of an object of more than `most` bytes only some
        are read, though more than `most`.
        """

    def write(self, url: str, data: bytes, may_replace: MayReplace | None = None) -> StoredFile:
        """Writes an object whole, with the content type of its name, replacing an existing one.

        Where the very same bytes are there already, they are left. `may_replace` is asked, with the bytes
        that are there, whether they may go; NotOursError where not. Raises FileChanged where another writer
        came between the look and the put: each may believe to have the last word, and one must be told.
        """

    def delete(self, url: str) -> None:
        """Removes an object; no error if it is gone."""


MayReplace = Callable[[bytes], bool]


class NotOursError(OSError):
    """The object already exists and must stay."""


class FileChanged(OSError):  # noqa: N818 (reads as the sentence it ends up in)
    """An object has another version than expected: somebody else has written it."""


def read_up_to(handle: Any, count: int | None, at_once: int = 1 << 23) -> bytes:
    """A file's bytes, up to a limit; reading a fixed count could allocate memory for all of it at once."""
    if count is None:
        data: bytes = handle.read()
        return data
    parts: list[bytes] = []
    while count and (part := handle.read(min(count, at_once))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def content_type(name: str) -> str:
    """The media type of a file, by its name's extension."""
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 (urls are no paths)
    return _CONTENT_TYPES.get(ending) or mimetypes.types_map.get(ending, "application/octet-stream")


def split_url(url: str) -> tuple[str, str]:
    """Bucket and name of an object; the name may be ""."""
    bucket, _, name = url.partition("://")[2].partition("/")
    if not bucket:
        raise FileNotFoundError(f"this URL names no bucket: {url}")
    return bucket, name


def seconds_of(time: str) -> float:
    """Seconds since 1970 of a store's ISO 8601 time, which is UTC if it has no zone.

    Raises:
      ValueError: it is not such a time.
    """
    found = datetime.datetime.fromisoformat(time)
    return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()


def checksums(data: bytes) -> set[str]:
    """The checksums that a listing may show for these bytes."""
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return {f"md5:{base64.b64encode(digest).decode()}", f"etag:{digest.hex()}"}


def require_replaceable(may_replace: MayReplace, there: bytes, url: str) -> None:
    """Raises NotOursError if the existing bytes must stay."""
    if not may_replace(there):
        raise NotOursError(url)


def not_there(url: str, *, bucket: bool) -> FileNotFoundError:
    """The error for a missing object, or for a missing bucket."""
    what = f"bucket {split_url(url)[0]}" if bucket else f"object {url}"
    return FileNotFoundError(f"no such {what}")
