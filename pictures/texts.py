"""Comments and other short texts of pictures: which are carried, and how the rest is named."""

from __future__ import annotations

from collections.abc import Iterable

from foveate.codec.jp2_metadata import can_be_text
from foveate.pictures.accounting import Part, unknown

_MOST_TEXTS, _MOST_CHARACTERS = 1 << 10, 1 << 20


def carried_texts(found: Iterable[tuple[str, str]]) -> tuple[tuple[tuple[str, str], ...], list[Part]]:
    """The texts to carry, in order, of pairs of keyword and text; and those that are lost, as parts.

    XML, in which they are carried, holds no control characters; and no file needs a thousand comments.
    """
    texts: list[tuple[str, str]] = []
    lost: list[Part] = []
    characters = 0
    for keyword, text in found:
        characters += len(keyword) + len(text)
        fits = len(texts) < _MOST_TEXTS and characters <= _MOST_CHARACTERS
        if fits and can_be_text(keyword) and can_be_text(text):
            texts.append((keyword, text))
        else:
            size = len((keyword + text).encode())
            lost.append(unknown("texts (control characters, or too long)", 0, size, repr(keyword[:40])))
    return tuple(texts), lost


def decoded_text(text: bytes) -> str:
    """Text of an unknown encoding: UTF-8 where it is, else Latin-1."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
