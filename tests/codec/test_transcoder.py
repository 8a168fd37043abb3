"""Tests truncating and reordering codestreams of any structure."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.structures import segment
from foveate.codec import allocation, codestream, openjpeg, parameters
from foveate.codec.arrangement import arranged
from foveate.codec.block_weights import Emphasis
from foveate.codec.errors import BudgetTooSmall
from foveate.codec.packet_stream import PacketStream
from foveate.codec.packets import Layers
from foveate.codec.quality_search import QualityGoal
from foveate.codec.transcoder import Transcoder
from foveate.quality.psnr import psnr
from tests import streams


def foreign(name: str) -> PacketStream:
    return PacketStream.parse(streams.foreign(streams.FOREIGN[name]))


@pytest.mark.parametrize("access", [False, True])
@pytest.mark.parametrize("name", streams.FOREIGN)
def test_any_stream_is_rearranged_and_cut(name: str, access: bool) -> None:
    source = foreign(name)
    expected = openjpeg.decode(source.stream.data).pixels
    coder = Transcoder(source, access=access)
    budget = len(source.stream.data) // 2
    data = allocation.encode(coder.within(budget))
    assert 0.98 * budget <= len(data) <= budget
    decoded = openjpeg.decode(data)
    assert not decoded.warnings
    assert psnr(expected, decoded.pixels) > 20
    for whole in (coder.reordered(), allocation.encode(coder.whole())):
        decoded = openjpeg.decode(whole)
        assert not decoded.warnings
        assert np.array_equal(decoded.pixels, expected)
    assert (PacketStream.parse(whole).stream.progression == "RPCL") == access


@pytest.mark.parametrize("name", ["precincts", "all styles", "bypass", "RLCP", "long blocks"])
def test_cut_codewords_suffice_and_errors_are_as_foreseen(name: str) -> None:
    coder = Transcoder(foreign(name))
    coder.whole()
    expected = openjpeg.decode(coder.source.stream.data).pixels
    choice = coder.within(len(coder.source.stream.data) // 3)
    decoded = openjpeg.decode(allocation.encode(choice)).pixels
    layers = choice.layers
    if not len(coder.codewords.first_cut):  # else a segment's end is where it is
        more = np.minimum(layers.sizes + 7, coder.layers.sizes[-1])
        longer = Layers(layers.passes, np.where(layers.passes > 0, more, 0).astype(np.int32))
        data = arranged(coder.stream, coder.layout, coder.codewords, longer)
        assert np.array_equal(openjpeg.decode(data).pixels, decoded)
    error = np.square(decoded.astype(float) - expected).sum()
    foreseen = coder.passes.energy.sum() - choice.gain
    assert 0.8 * foreseen < error < 1.25 * foreseen


@pytest.mark.parametrize("access", [False, True])
def test_comments_and_unknown_segments_of_any_header_are_kept_and_profiles_are_not(access: bool) -> None:
    data = bytearray(streams.foreign("-t 70,60 -r 5"))
    data[6:8] = b"\0\2"  # Rsiz: profile 1
    comment, crg, unknown = (segment(marker, b"\0\1hello!" * 2) for marker in (0xFF64, 0xFF63, 0xFF6F))
    at = data.index(b"\xff\x90")
    data[at:at] = crg + unknown
    for number, at in enumerate(part.start for part in codestream.parse(bytes(data)).tile_parts):
        at += number * (len(comment) + len(unknown)) - 2
        length = int.from_bytes(data[:at][data[:at].rindex(b"\xff\x90\0\x0a") + 6 :][:4])
        start = data[:at].rindex(b"\xff\x90\0\x0a")
        data[start + 6 : start + 10] = (length + len(comment) + len(unknown)).to_bytes(4)
        data[at:at] = comment + unknown
    source = PacketStream.parse(bytes(data))
    tiles = source.layout.tiles
    assert tiles > 1
    coder = Transcoder(source, access=access)
    for made in (coder.reordered(), allocation.encode(coder.within(len(data) * 2 // 3))):
        found = codestream.parse(made)
        assert found.notes == source.stream.notes and {crg, unknown} < set(found.notes)
        assert found.tile_notes == dict.fromkeys(range(tiles), (comment, unknown))
        assert made[6:8] == b"\0\0"
        assert not openjpeg.decode(made).warnings
    assert len(made) <= len(data) * 2 // 3


def test_layers_precede_one_another_and_what_matters_comes_first() -> None:
    source = PacketStream.parse(streams.coded(streams.texture(300, 400, 3)))
    saliency = np.zeros((3, 4), np.float32)
    saliency[:2, :2] = 1
    choice = Transcoder(source, Emphasis(saliency, 12.0)).within(20_000, 3)
    data = allocation.encode(choice)
    whole = openjpeg.decode(source.stream.data).pixels.astype(float)
    errors = [np.square(openjpeg.decode(data, layers=k).pixels - whole).mean(2) for k in (1, 2, 3)]
    assert errors[0].mean() > errors[1].mean() > errors[2].mean()
    assert all(3 * error[:180, :180].mean() < error[220:].mean() for error in errors)


def test_a_quality_is_reached_and_hardly_exceeded() -> None:
    source = foreign("LRCP with SOP and EPH")
    pixels = openjpeg.decode(source.stream.data).pixels
    coder = Transcoder(source)

    def quality(choice: allocation.Choice) -> float:
        return psnr(pixels, openjpeg.decode(allocation.encode(choice)).pixels)

    choice = coder.of_quality(QualityGoal(36.0, 0.1, 36.0), quality)
    assert choice is not None and 36 <= quality(choice) < 36.3
    assert coder.of_quality(QualityGoal(90.0, 0.1, 90.0), lambda choice: min(quality(choice), 60.0)) is None


def test_a_low_quality_of_a_small_picture_is_not_exceeded_by_a_whole_step() -> None:
    y, x = np.mgrid[:40, :60]
    ramps = (((x + 2 * y) % 64) * 3 + (x > 20) * 60).astype(np.uint8)
    pixels = np.repeat(ramps[..., None], 3, 2)
    coder = Transcoder(PacketStream.parse(streams.coded(pixels, reversible=True)))

    def quality(choice: allocation.Choice) -> float:
        return psnr(pixels, openjpeg.decode(allocation.encode(choice)).pixels)

    choice = coder.of_quality(QualityGoal(26.0, 0.05, 26.0), quality)
    assert choice is not None and 26 <= quality(choice) < 26.2


def test_a_slope_is_a_slope_and_no_room_is_an_error() -> None:
    coder = Transcoder(foreign("RPCL"))
    sizes = [allocation.encoded_size(coder.at_slope(slope)) for slope in (3000.0, 300.0, 30.0)]
    assert sizes == sorted(sizes) and sizes[0] < 0.7 * sizes[2]
    with pytest.raises(BudgetTooSmall):
        coder.within(50)


def test_precincts_that_cut_blocks_stay() -> None:
    source = foreign("precincts")
    assert Transcoder(source, access=True).stream.coding == source.stream.coding
    plain = foreign("offset")
    changed = Transcoder(plain, access=True).stream.coding[0]
    assert changed.precincts_log2[0] == (6, 6) and changed.precincts_log2[-1] == (8, 8)


def test_comments_stay() -> None:
    plain = streams.coded(streams.texture(60, 70, 1))
    comment = parameters.emit_segment(codestream.COM, b"\0\1scanned in 1998")
    source = PacketStream.parse(plain[:2] + plain[2:].replace(b"\xff\x90", comment + b"\xff\x90", 1))
    coder = Transcoder(source, access=True)
    choice = coder.within(1500)
    data = allocation.encode(choice)
    assert len(data) == allocation.encoded_size(choice) <= 1500
    assert data.count(comment) == 1 and coder.reordered().count(comment) == 1
    assert not openjpeg.decode(data).warnings
