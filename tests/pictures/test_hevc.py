"""Tests color stated by coded HEVC data, for HEIC files without a color box."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveate.pictures import color, hevc, isobmff
from foveate.pictures.bits import CannotBeRead
from foveate.pictures.formats import NotForJpeg2000, decode_picture
from foveate.pictures.reasons import Reason

FILES = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "heic").glob("*.heic")}


def configuration(data: bytes) -> tuple[int, int]:
    """Where the content of the hvcC box begins and ends."""
    at = data.index(b"hvcC")
    return at + 4, at - 4 + int.from_bytes(data[at - 4 : at])


def silent(data: bytes, points: tuple[int, int]) -> bytes:
    """The same file without a color box, whose coded data state other code points than 1 and 13."""
    start, end = configuration(data)
    bits = f"{int.from_bytes(data[start:end]):0{8 * (end - start)}b}"
    stated = f"{1:08b}{13:08b}"
    assert bits.count(stated) == 1
    changed = int(bits.replace(stated, f"{points[0]:08b}{points[1]:08b}"), 2).to_bytes(end - start)
    return (data[:start] + changed + data[end:]).replace(b"colrnclx", b"freenclx")


@pytest.mark.parametrize("name", FILES)
def test_the_coded_data_state_what_the_color_box_says(name: str) -> None:
    data = FILES[name]
    start, end = configuration(data)
    walked = isobmff.walk(data)
    assert hevc.code_points(data[start:end]) == isobmff.code_points(data, walked) == (1, 13)


def test_what_cannot_be_read_is_an_error() -> None:
    start, end = configuration(FILES["plain"])
    content = FILES["plain"][start:end]
    for cut in range(content.index(b"\x42\x01") + 40):
        with pytest.raises(CannotBeRead):
            hevc.code_points(content[:cut])


def test_a_file_without_a_color_box_has_the_color_of_its_data() -> None:
    pytest.importorskip("pi_heif", reason="the extra heic is not installed")
    plain = decode_picture(silent(FILES["plain"], (1, 13)), also=("heic",))
    assert plain.metadata.icc is None
    wide = decode_picture(silent(FILES["plain"], (12, 13)), also=("heic",))
    assert wide.metadata.icc == color.of_cicp(12, 13, "a HEIC", gray=False) is not None
    with pytest.raises(NotForJpeg2000) as kept:
        decode_picture(silent(FILES["plain"], (9, 16)), also=("heic",))
    assert kept.value.reason in (Reason.COLOR, Reason.HIGH_DYNAMIC_RANGE)
