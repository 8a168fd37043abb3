"""Tests rearranging codestreams of all structures in Part 1: every pass of every block is kept."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.structures import random_structure
from foveate.codec.arrangement import arranged, arranged_size
from foveate.codec.packet_stream import PacketStream
from foveate.codec.rearrangement import in_order, laid_out_anew
from tests.codec.test_packets import contributions

_WITH_AN_EMPTY_TILE = 178


@pytest.mark.parametrize("access", [False, True])
def test_every_pass_of_any_structure_is_there_in_another_arrangement(access: bool) -> None:
    for seed in (*range(8), _WITH_AN_EMPTY_TILE):
        source = PacketStream.parse(random_structure(seed).data)
        stream, layout, order = laid_out_anew(source, access)
        codewords, layers = in_order(source, order)
        data = arranged(stream, layout, codewords, layers, access=access)
        assert len(data) == arranged_size(stream, layout, codewords, layers, access=access)
        found = PacketStream.parse(data)
        assert found.stream.progression == ("RPCL" if access else "LRCP")
        assert np.array_equal(found.layers.passes, layers.passes)
        assert np.array_equal(found.codewords.zero_planes, codewords.zero_planes)
        before, after = contributions(source), contributions(found)
        assert {(layer, int(order[block])): content for (layer, block), content in after.items()} == before
