"""Decides which comments and other short texts of pictures are carried, and names the rest."""

from __future__ import annotations

from collections.abc import Iterable

from foveate.codec.jp2_metadata import can_be_text
from foveate.pictures.accounting import Part, unknown

_MOST_TEXTS, _MOST_CHARACTERS = 1 << 10, 1 << 20


def carried_texts(found: Iterable[tuple[str, str]]) -> tuple[tuple[tuple[str, str], ...], list[Part]]:
    """The texts to carry in order, from pairs of keyword and text; and the lost ones, as parts.

    They are carried in XML, which cannot contain control characters; and no file needs a thousand comments.
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
    """Text in an unknown encoding: UTF-8 if valid, else Latin-1."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
