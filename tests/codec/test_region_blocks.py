"""The tiles and blocks that a region depends on."""

from __future__ import annotations

import numpy as np

from foveate.codec import allocation, codestream
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.packet_stream import PacketStream
from foveate.codec.region_blocks import blocks_of, tiles_of
from foveate.codec.regions import Region
from tests import streams
from tests.codec.test_regions import SIZE


def test_tiles_of_a_region() -> None:
    assert tiles_of(SIZE, Region(0, 0, 128, 128)).tolist() == [0]
    assert tiles_of(SIZE, Region(127, 100, 2, 100)).tolist() == [0, 1, 3, 4]


def test_a_small_region_depends_on_few_blocks_and_all_of_it_on_all() -> None:
    data = allocation.encode(Encoder(streams.texture(600, 700, 3), coding=Coding(access=True)).at_slope(90.0))
    found = PacketStream.parse(data)
    every = blocks_of(found.stream, found.layout, Region(0, 0, 700, 600))
    assert every.all()
    few = blocks_of(found.stream, found.layout, Region(300, 200, 10, 10))
    assert 0 < few.sum() < 0.3 * len(few)
    coarse = blocks_of(codestream.parse(data), found.layout, Region(0, 0, 700, 600), reduce=2)
    assert np.array_equal(coarse, found.layout.blocks.resolution <= found.stream.coding[0].levels - 2)
