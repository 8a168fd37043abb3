"""Encrypts the files of an archive on untrusted storage: AES-256-GCM (NIST SP 800-38D).

The container; numbers are big-endian:

    0 magic (8)   8 version   9 key id (8)   17 nonce (12)   29 length of the path (2)   31 path
    then the ciphertext, as long as what it holds, and the tag (16)

All before the ciphertext is authenticated with it. The path is that of the file below its archive's root,
without the ending that names the container: whoever gives one file another one's name is found out. Names are
not secret. Every file has a random nonce, so no two containers of the same bytes are alike; SP 800-38D, 8.3
allows 2^32 of them under one key. A file may have 2 GiB less 1 byte.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ENDING = ".enc"
KEY_BYTES = 32

_MAGIC = b"\x89FVTenc\n"
_VERSION = 1
_HEAD = struct.Struct(">8sB8s12sH")
_NONCE_BYTES, _TAG_BYTES = 12, 16
_MOST_BYTES = (1 << 31) - 1


class CannotDecrypt(ValueError):  # noqa: N818 (reads as the sentence it ends up in)
    """A key that is invalid or wrong, or a container that was changed."""


def new_key() -> bytes:
    """A random key."""
    return os.urandom(KEY_BYTES)


def parse_key(content: bytes) -> bytes:
    """The key in a file: 32 raw bytes, or 64 hexadecimal digits, possibly surrounded by white space.

    Raises:
        CannotDecrypt: it is neither.
    """
    if len(content) == KEY_BYTES:
        return content
    try:
        key = bytes.fromhex(content.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise CannotDecrypt("not a valid key: expected 32 bytes or 64 hexadecimal digits")
    return key


def key_id(key: bytes) -> bytes:
    """Eight bytes that identify a key without revealing it."""
    return hmac.digest(key, b"which key this is", hashlib.sha256)[:8]


def is_encrypted(data: bytes) -> bool:
    """Whether these bytes, which may be only the beginning of a file, are a container."""
    return data.startswith(_MAGIC)


def overhead(path: bytes) -> int:
    """How many more bytes a container has than its content."""
    return _HEAD.size + len(path) + _TAG_BYTES


def encrypt(data: bytes, key: bytes, path: bytes) -> bytes:
    """Encrypts `data` that belongs at `path` into a container, with a random nonce.

    Raises:
        ValueError: the data has 2 GiB or more, or the path more than 65,535 bytes.
    """
    if len(data) > _MOST_BYTES or len(path) > 0xFFFF:
        raise ValueError("too large to be encrypted: a file may have 2 GiB, and a path 64 KB")
    nonce = os.urandom(_NONCE_BYTES)
    head = _HEAD.pack(_MAGIC, _VERSION, key_id(key), nonce, len(path)) + path
    return head + AESGCM(key).encrypt(nonce, data, head)


def decrypt(container: bytes, key: bytes) -> tuple[bytes, bytes]:
    """The content of a container, and the path where it belongs.

    Raises:
        CannotDecrypt: no container, one of a later version, of another key, or not as it was made.
    """
    if not is_encrypted(container) or len(container) < _HEAD.size + _TAG_BYTES:
        raise CannotDecrypt("not an encrypted file, or truncated in its header")
    _, version, wanted, nonce, length = _HEAD.unpack_from(container)
    if version != _VERSION:
        raise CannotDecrypt(f"its encryption has version {version}; this program reads version {_VERSION}")
    if wanted != key_id(key):
        raise CannotDecrypt(f"encrypted with another key: {wanted.hex()}, not the given {key_id(key).hex()}")
    start = _HEAD.size + length
    try:
        data = AESGCM(key).decrypt(nonce, container[start:], container[:start])
    except InvalidTag as error:
        raise CannotDecrypt("damaged or tampered with since it was encrypted") from error
    return data, container[_HEAD.size : start]
