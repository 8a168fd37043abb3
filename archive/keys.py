"""Keys of encrypted archives, whose files are stored as `<name>.enc`.

What a pipeline carries to its workers is where the key is, never the key: descriptions of jobs are stored and
logged by the engines that run them.
"""

from __future__ import annotations

import dataclasses
import functools
import os

from apache_beam.io.filesystem import BeamIOError

from foveate.archive import encryption
from foveate.archive.encryption import CannotDecrypt
from foveate.storage.errors import BadInput
from foveate.storage.files import read_whole

ENDING = encryption.ENDING


class BadKey(ValueError):  # noqa: N818
    """A key file that cannot be read or holds no key; the message says why."""


class Misplaced(BadInput):
    """An intact file in the wrong place."""


@dataclasses.dataclass(frozen=True)
class ArchiveKey:
    """Where an archive's key is, and which key it must be.

    url: of the key file, for every worker: a path, or a URL.
    key_id: hexadecimal, as the files of the archive name it.
    """

    url: str
    key_id: str

    @staticmethod
    def read(url: str) -> ArchiveKey:
        """The key in a file, read for the first time.

        Raises:
          BadKey: there is none.
        """
        return ArchiveKey(url, encryption.key_id(_read_key(url)).hex())

    def bytes_(self) -> bytes:
        """The key itself.

        Raises:
          BadInput: it cannot be read, or is another one by now.
        """
        try:
            key = _read_key(self.url)
        except BadKey as error:
            raise BadInput(str(error)) from error
        if encryption.key_id(key).hex() != self.key_id:
            raise BadInput(f"the key in {self.url} has changed since the run began")
        return key


@functools.lru_cache(maxsize=4)
def _read_key(url: str) -> bytes:
    try:
        return encryption.parse_key(read_whole(url))
    except (OSError, BeamIOError) as error:
        raise BadKey(f"the key {url} cannot be read: {error}") from error
    except CannotDecrypt as error:
        raise BadKey(f"{url}: {error}") from error


def stored_name(name: str, key: ArchiveKey | None) -> str:
    """The path or URL under which a file of an archive is stored."""
    return name if key is None else name + ENDING


def stored_overhead(path: str, key: ArchiveKey | None) -> int:
    """How many more bytes a file at a path below the archive's root has when stored."""
    return 0 if key is None else encryption.overhead(os.fsencode(path))


def to_store(data: bytes, path: str, key: ArchiveKey | None) -> bytes:
    """The stored form of a file at a path below the archive's root.

    Raises:
      BadInput: it is too large to be encrypted, or the key cannot be read.
    """
    if key is None:
        return data
    try:
        return encryption.encrypt(data, key.bytes_(), os.fsencode(path))
    except ValueError as error:
        raise BadInput(str(error)) from error


def from_store(data: bytes, url: str, key: ArchiveKey | None) -> bytes:
    """A file of an archive from its stored bytes, decrypted if it is encrypted.

    Raises:
      BadInput: there is no key for it, or it is not as it was stored, or not where it was stored.
    """
    if not encryption.is_encrypted(data):
        if url.endswith(ENDING):
            raise BadInput("not an encrypted file, although its name ends in .enc")
        return data
    if key is None:
        raise BadInput("encrypted: give its key with --encrypt-key FILE")
    try:
        plain, path = encryption.decrypt(data, key.bytes_())
    except CannotDecrypt as error:
        raise BadInput(str(error)) from error
    if not os.fsencode(url.removesuffix(ENDING)).endswith(b"/" + path.lstrip(b"/")):
        place = path.decode("utf-8", "backslashreplace")
        raise Misplaced(f"in the wrong place: it was encrypted as {place}")
    return plain


def read_stored(url: str, key: ArchiveKey | None, most: int | None = None) -> bytes:
    """Reads a file of an archive, decrypting it if need be; raises like `from_store` and `read_whole`."""
    return from_store(read_whole(url, most), url, key)
