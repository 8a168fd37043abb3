"""Tests encrypted files: what is decrypted, and what must be refused."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foveate.archive import encryption
from foveate.archive.encryption import CannotDecrypt

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


@hypothesis.given(st.binary(), st.binary(max_size=300), st.binary(min_size=32, max_size=32))
@hypothesis.settings(deadline=None)
def test_what_was_encrypted_comes_back_with_its_path(data: bytes, path: bytes, key: bytes) -> None:
    container = encryption.encrypt(data, key, path)
    assert encryption.decrypt(container, key) == (data, path)
    assert len(container) == len(data) + encryption.overhead(path)
    assert encryption.is_encrypted(container)


def test_a_container_is_what_its_description_says() -> None:
    """Reads a file by the layout in the module's docstring alone, as must be possible in twenty years."""
    container = encryption.encrypt(b"a photo", KEY, b"trip/a.jpg.jp2")
    assert container[:9] == b"\x89FVTenc\n\x01"
    assert container[9:17] == encryption.key_id(KEY)
    assert container[29:31] == (14).to_bytes(2)
    assert container[31:45] == b"trip/a.jpg.jp2"
    assert AESGCM(KEY).decrypt(container[17:29], container[45:], container[:45]) == b"a photo"


def test_no_nonce_comes_twice() -> None:
    containers = {encryption.encrypt(b"alike", KEY, b"a")[17:29] for _ in range(2000)}
    assert len(containers) == 2000


CONTAINER = encryption.encrypt(b"a photo of some bytes", KEY, b"a.jpg.jp2")


@hypothesis.given(st.integers(0, 8 * len(CONTAINER) - 1))
@hypothesis.settings(max_examples=200)
def test_any_flipped_bit_is_found(bit: int) -> None:
    damaged = bytearray(CONTAINER)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotDecrypt):
        encryption.decrypt(bytes(damaged), KEY)


@hypothesis.given(st.integers(0, len(CONTAINER) - 1))
def test_any_truncation_is_found(length: int) -> None:
    with pytest.raises(CannotDecrypt):
        encryption.decrypt(CONTAINER[:length], KEY)


def test_another_key_is_named() -> None:
    with pytest.raises(CannotDecrypt, match=f"another key: {encryption.key_id(KEY).hex()}, not the given"):
        encryption.decrypt(CONTAINER, OTHER)


def test_a_key_file_has_bytes_or_digits() -> None:
    assert encryption.parse_key(KEY) == KEY
    assert encryption.parse_key(KEY.hex().encode() + b"\n") == KEY
    for wrong in (b"", b"secret", KEY.hex().encode()[:-2], KEY + b"\n", b"\xff" * 64):
        with pytest.raises(CannotDecrypt, match="64 hexadecimal digits"):
            encryption.parse_key(wrong)
    assert len(encryption.new_key()) == 32 and encryption.new_key() != encryption.new_key()


def test_the_name_of_a_key_does_not_tell_it() -> None:
    assert encryption.key_id(KEY) != encryption.key_id(OTHER)
    assert len(encryption.key_id(KEY)) == 8
