"""The sequence header of AV1 data."""

from __future__ import annotations

import imagecodecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.pictures import av1, isobmff
from tests.picture_files import sample


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("channels", [1, 3])
def test_code_points_are_read(bits: int, channels: int) -> None:
    pixels = sample(34, 41, channels, 8 if bits == 8 else 16) >> (0 if bits == 8 else 16 - bits)
    data = bytes(imagecodecs.avif_encode(
        pixels if channels == 3 else pixels[:, :, 0], level=90, primaries=9, transfer=14, matrix=6,
        bitspersample=bits,
    ))  # fmt: skip
    assert av1.code_points(isobmff.picture_data(data, isobmff.walk(data))) == (9, 14)


@given(st.binary(max_size=40))
def test_other_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = av1.code_points(b"\x0a\x10" + data)
    except av1.CannotBeRead:
        return
    assert found is None or max(found) < 256
