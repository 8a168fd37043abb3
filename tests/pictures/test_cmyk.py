"""Tests pictures in printing inks on demand: they become sRGB by their profile, if it describes the inks."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from foveate.pictures.formats import NotForJpeg2000, decode_picture
from foveate.pictures.reasons import Reason
from tests.picture_files import image, sample, saved


def ink_profile() -> bytes:
    """An ICC profile of inks: each takes its share of CIELab's lightness, none has a color (lut8Type)."""
    inks = range(4)
    grid = [max(0, 255 - 85 * sum(code >> ink & 1 for ink in inks)) for code in range(16)]
    table = b"".join(bytes((lightness, 128, 128)) for lightness in grid)
    head = b"mft1" + bytes(4) + bytes((4, 3, 2, 0))
    matrix = struct.pack(">9i", *(65536 if at in (0, 4, 8) else 0 for at in range(9)))
    ramp = bytes(range(256))
    lut = head + matrix + ramp * 4 + table + ramp * 3
    lut += bytes(-len(lut) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    start = 128 + 4 + 24
    tags = struct.pack(">I", 2)
    tags += b"A2B0" + struct.pack(">II", start, len(lut)) + b"wtpt" + struct.pack(">II", start + len(lut), 20)
    size = start + len(lut) + len(white)
    header = struct.pack(">I4xI4s4s4s", size, 0x02400000, b"prtr", b"CMYK", b"Lab ") + bytes(12) + b"acsp"
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + tags + lut + white


def cmyk(profile: bytes | None) -> bytes:
    return saved(image(sample(23, 31, 3)).convert("CMYK"), "JPEG", quality=97, icc_profile=profile)


def test_inks_become_srgb_by_their_profile_and_the_loss_is_named() -> None:
    picture = decode_picture(cmyk(ink_profile()), also=("cmyk",))
    assert picture.pixels.shape == (23, 31, 3) and picture.metadata.icc is None
    assert any("CMYK" in problem for problem in picture.metadata_problems)
    spread = picture.pixels.max(axis=2).astype(int) - picture.pixels.min(axis=2)
    assert spread.max() <= 3  # the profile's inks are gray
    inks = np.array(image(sample(23, 31, 3)).convert("CMYK")).sum(axis=2, dtype=float)
    assert np.corrcoef(inks.ravel(), picture.pixels[:, :, 0].ravel())[0, 1] < -0.9  # more ink, darker


def test_inks_that_nothing_describes_keep_the_file_however_it_is_asked_for() -> None:
    for also in ((), ("cmyk",)):
        with pytest.raises(NotForJpeg2000) as kept:
            decode_picture(cmyk(None), also=also)
        assert kept.value.reason == Reason.COLOR
