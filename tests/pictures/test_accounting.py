"""Tests what happens to the parts of a file of any format."""

from __future__ import annotations

import pytest

from foveate.pictures.accounting import (
    MOST_DESCRIBED,
    MOST_UNKNOWN,
    PREVIEW,
    Kind,
    Known,
    behind,
    part_of,
    settle,
    unknown,
)
from foveate.pictures.picture import NotForJpeg2000

TRANSFORM = Known(Kind.PICTURE, "color transform", most=16, once=True)
TABLES = Known(Kind.PICTURE, "tables", most=100)
NOTES = Known(Kind.DESCRIBES, "camera notes")


def test_a_second_part_of_a_kind_that_is_used_once_is_named() -> None:
    twice = [part_of(TRANSFORM, 0, 16), part_of(TRANSFORM, 16, 16)]
    assert settle(twice[:1], "a file") == ()
    assert settle(twice, "a file") == ("a second color transform: 16 bytes",)


def test_bytes_beyond_what_a_known_part_has_are_unknown() -> None:
    assert settle([part_of(TRANSFORM, 0, 30)], "a file") == ("too many bytes of color transform: 14 bytes",)
    tables = [part_of(TABLES, 60 * n, 60) for n in range(3)]
    assert settle(tables, "a file") == ("too many bytes of tables: 80 bytes",)
    with pytest.raises(NotForJpeg2000, match="color transform"):
        settle([part_of(TRANSFORM, 0, 17 + MOST_UNKNOWN)], "a file")


def test_many_descriptions_of_one_kind_are_data_and_previews_may_have_any_size() -> None:
    half = MOST_DESCRIBED // 2
    assert settle([part_of(NOTES, 0, half), part_of(NOTES, half, half)], "a file")
    with pytest.raises(NotForJpeg2000, match="camera notes"):
        settle([part_of(NOTES, half * n, half) for n in range(3)], "a file")
    assert settle([part_of(PREVIEW, 0, 10 * half)], "a file")


def test_unknown_parts_keep_the_file_by_their_sum() -> None:
    with pytest.raises(NotForJpeg2000):
        settle([unknown("parts", n, 1 + MOST_UNKNOWN // 4) for n in range(4)], "a file")


def test_data_after_a_picture_is_read_only_up_to_its_end() -> None:
    data = b"picture" + b"few bytes" + b"\0\0\0\x18ftypmp42"
    assert behind(data, 7, 16).name == "unknown bytes after the picture"
    assert behind(data, 16).kind is Kind.HOLDS_DATA
    assert behind(data, 7, 16).length == 9
