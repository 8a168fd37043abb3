"""Tests where bits went: sums are right, and busy places have more bits."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.codec import bit_usage
from foveate.codec.packet_stream import PacketStream
from tests import streams

BUSY = (slice(96, 192), slice(256, 384))  # of a picture that is flat elsewhere


def busy_corner() -> bytes:
    """A 300 x 420 gray picture that is noise in `BUSY`."""
    pixels = np.full((300, 420, 1), 90, np.uint8)
    pixels[BUSY] = np.random.default_rng(3).integers(0, 255, (96, 128, 1))
    return streams.coded(pixels, block_size=16)


@pytest.mark.parametrize("name", streams.FOREIGN)
def test_layers_and_bands_add_up_to_the_bytes_of_the_packets(name: str) -> None:
    found = PacketStream.parse(streams.foreign(streams.FOREIGN[name]))
    stream, layout = found.stream, found.layout
    layers, bands = bit_usage.by_layer(found), bit_usage.by_band(found)
    blocks = sum(layer.block_bytes for layer in layers)
    headers = sum(layer.header_bytes for layer in layers)
    packets = sum(len(layout.packets(stream.progression, stream.layers, t)) for t in range(layout.tiles))
    assert sum(band.bytes for band in bands) == blocks
    assert sum(band.passes for band in bands) == sum(layer.passes for layer in layers)
    assert sum(band.blocks for band in bands) == len(layout.blocks.tile)
    assert [layer.layer for layer in layers] == list(range(1, stream.layers + 1))
    sop = 6 * packets if stream.sop else 0
    assert blocks + headers + sop == sum(part.end - part.start for part in stream.tile_parts)


@pytest.mark.parametrize("name", ["tiles and offsets", "chroma of half size", "precincts"])
@pytest.mark.parametrize(("rows", "columns"), [(97, 131), (13, 7), (1, 1), (300, 401)])
def test_the_map_has_all_bits_at_any_resolution(name: str, rows: int, columns: int) -> None:
    found = PacketStream.parse(streams.foreign(streams.FOREIGN[name]))
    bits = bit_usage.bits_per_pixel(found, rows, columns)
    assert bits.shape == (rows, columns)
    pixels = found.stream.size.width * found.stream.size.height
    assert bits.mean(dtype=np.float64) * pixels == pytest.approx(8 * int(found.sizes.sum()), rel=1e-4)


def test_bits_go_where_the_picture_is_busy() -> None:
    bits = bit_usage.bits_per_pixel(PacketStream.parse(busy_corner()), 300, 420)
    inside = bits[BUSY].sum()
    assert inside > 0.75 * bits.sum()  # on a tenth of the picture
    flat = np.ones((300, 420), bool)
    flat[64:224, 224:416] = False  # a block of the coarser levels reaches over the edge
    assert bits[flat].max() < 0.1 * bits[BUSY].mean()


def test_bands_are_those_of_the_picture() -> None:
    bands = bit_usage.by_band(PacketStream.parse(busy_corner()))
    assert [band.band for band in bands[:4]] == ["LL", "HL", "LH", "HH"]
    assert [band.resolution for band in bands] == sorted(band.resolution for band in bands)
    finest = bands[-1]
    assert (finest.level, finest.band, finest.blocks) == (1, "HH", 14 * 10)
    assert 4 * 3 <= finest.included <= 6 * 5  # 64 x 48 samples of noise in blocks of 16, and around it


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5000, 3), (5000, 1, 1)])
def test_pictures_of_one_row_or_pixel_have_maps_too(shape: tuple[int, int, int]) -> None:
    found = PacketStream.parse(streams.layered(*shape))
    bits = bit_usage.bits_per_pixel(found, 5, 9)
    pixels = shape[0] * shape[1]
    assert bits.mean(dtype=np.float64) * pixels == pytest.approx(8 * int(found.sizes.sum()), rel=1e-4)
