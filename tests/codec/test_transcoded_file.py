"""Tests transcoded files: targets count every byte, and lossless ones keep every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from foveate.codec import file, integrity, jp2
from foveate.codec.errors import BudgetTooSmall, UnsupportedCodestream
from foveate.codec.file import Recipe
from foveate.codec.goals import AtLeast, AtMost, AtSlope, Lossless
from foveate.codec.jp2_boxes import pack_box
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.packet_stream import PacketStream
from foveate.codec.record import ArchiveRecord
from foveate.codec.transcoded_file import Back, Source, transcode_file
from foveate.quality.psnr import psnr
from tests import streams


def decoded(data: bytes) -> Back:
    found = file.decode_file(data)
    return Back(found.decoded.pixels, found.noise)


def source(*, reversible: bool = True, channels: int = 3, bits: int = 8) -> Source:
    pixels = streams.texture(220, 180, channels, bits)
    stream = streams.coded(pixels, reversible=reversible, slopes=(300.0, 0.0))
    data = jp2.wrap(stream, metadata=PhotoMetadata(xmp=b"<x/>" * 50))
    return Source(data, decoded(data).pixels, ArchiveRecord(bytes(32), bytes(8)), decoded)


@pytest.mark.parametrize("access", [False, True])
@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (4, 16)])
def test_a_budget_is_used_up_and_not_exceeded(channels: int, bits: int, access: bool) -> None:
    given = source(channels=channels, bits=bits)
    for layers in (1, 3):
        made = transcode_file(given, Recipe(AtMost(9000), layers=layers, access=access))
        assert 8850 <= len(made.jp2) <= 9000
        assert integrity.check(made.jp2).whole
        assert np.array_equal(made.pixels, decoded(made.jp2).pixels) and made.noise is not None
        assert jp2.parse(made.jp2).metadata.xmp == b"<x/>" * 50


def test_without_loss_layers_are_those_of_the_source_or_as_many_as_asked_for() -> None:
    given = source()
    for layers, expected in ((1, 2), (4, 4)):
        made = transcode_file(given, Recipe(Lossless(), layers=layers, access=True))
        assert np.array_equal(made.pixels, given.pixels) and made.noise is None
        assert PacketStream.parse(jp2.parse(made.jp2).codestream).stream.layers == expected


def test_a_psnr_is_against_what_the_source_decodes_to() -> None:
    given = source(reversible=False)

    def measure(pixels: Any) -> float:
        return float(psnr(given.pixels, pixels))

    made = transcode_file(given, Recipe(AtLeast(38.0, 0.05, measure, 38.0)))
    assert 38 <= measure(made.pixels) < 38.2
    everything = transcode_file(given, Recipe(AtLeast(200.0, 0.05, measure, 200.0)))
    assert np.array_equal(everything.pixels, given.pixels)


def test_palette_indices_are_rearranged_but_never_cut() -> None:
    indices = streams.texture(90, 80, 1) // 16
    plain = jp2.wrap(streams.coded(indices, reversible=True, bit_depth=8), metadata=PhotoMetadata())
    colors = b"\0\x10\3\7\7\7" + np.random.default_rng(0).integers(0, 256, 48, np.uint8).tobytes()
    mapping = b"".join(bytes([0, 0, 1, column]) for column in range(3))
    boxes = pack_box(b"pclr", colors) + pack_box(b"cmap", mapping)
    at = plain.index(b"jp2h")
    end = at - 4 + int.from_bytes(plain[at - 4 : at])
    data = plain[: at - 4] + (end - at + 4 + len(boxes)).to_bytes(4) + plain[at:end] + boxes + plain[end:]
    data = data.replace(b"colr\1\0\0\0\0\0\x11", b"colr\1\0\0\0\0\0\x10")  # sRGB
    given = Source(data, decoded(data).pixels, None, decoded)
    assert given.pixels.shape == (90, 80, 3)
    for goal in (AtMost(2000), AtSlope(50.0)):
        with pytest.raises(UnsupportedCodestream, match="palette"):
            transcode_file(given, Recipe(goal))
    made = transcode_file(given, Recipe(Lossless(), access=True))
    assert np.array_equal(decoded(made.jp2).pixels, given.pixels)


def test_slopes_order_sizes_and_no_room_is_an_error() -> None:
    given = source()
    sizes = [len(transcode_file(given, Recipe(AtSlope(slope))).jp2) for slope in (900.0, 90.0)]
    assert sizes[0] < sizes[1] < len(given.data)
    with pytest.raises(BudgetTooSmall, match="headers and metadata alone take"):
        transcode_file(given, Recipe(AtMost(300)))


def test_pillows_files_are_cut(tmp_path: Any) -> None:
    Image.fromarray(streams.texture(150, 130, 3)).save(tmp_path / "a.jp2", irreversible=True)
    data = (tmp_path / "a.jp2").read_bytes()
    made = transcode_file(Source(data, decoded(data).pixels, None, decoded), Recipe(AtMost(4000)))
    assert 3900 <= len(made.jp2) <= 4000
    (tmp_path / "b.jp2").write_bytes(made.jp2)
    assert np.abs(np.asarray(Image.open(tmp_path / "b.jp2")).astype(int) - made.pixels).max() <= 1
