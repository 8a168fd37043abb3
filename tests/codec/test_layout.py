"""Tests the layout of code-blocks: every sample is in one block, and packets are in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.codec import codestream, layout, layout_kernels
from foveate.codec.layout import HH, HL, LH, LL
from tests import streams


def areas(found: layout.Layout) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    box = found.blocks.box
    return (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])


@pytest.mark.parametrize("shape", streams.SHAPES)
def test_blocks_contain_every_sample_once(shape: tuple[int, int, int, int, int, bool]) -> None:
    stream = codestream.parse(streams.layered(*shape))
    found = layout.lay_out(stream)
    assert areas(found).sum() == streams.component_samples(stream)
    assert (areas(found) > 0).all()


@pytest.mark.parametrize("name", streams.FOREIGN)
def test_blocks_contain_every_sample_once_whatever_the_encoder(name: str) -> None:
    stream = codestream.parse(streams.foreign(streams.FOREIGN[name]))
    found = layout.lay_out(stream)
    assert areas(found).sum() == streams.component_samples(stream)
    assert found.tiles == stream.size.tiles_across * stream.size.tiles_down
    assert (np.diff(found.blocks.tile) >= 0).all()
    widths = found.blocks.box[:, 2] - found.blocks.box[:, 0]
    assert widths.max() <= 1 << stream.coding[0].block_width_log2


def test_no_two_blocks_overlap() -> None:
    stream = codestream.parse(streams.foreign(streams.FOREIGN["tiles and offsets"]))
    blocks = layout.lay_out(stream).blocks
    for component in range(3):
        for resolution in range(6):
            for band in (LL, HL, LH, HH):
                here = (
                    (blocks.component == component)
                    & (blocks.resolution == resolution)
                    & (blocks.band == band)
                )
                boxes = blocks.box[here]
                if not len(boxes):
                    continue
                plane = np.zeros((boxes[:, 3].max() + 1, boxes[:, 2].max() + 1), np.int8)
                for x0, y0, x1, y1 in boxes:
                    plane[y0:y1, x0:x1] += 1
                assert plane.max() == 1


def test_bands_of_a_small_picture_are_laid_out_as_the_standard_says() -> None:
    blocks = layout.lay_out(codestream.parse(streams.layered(97, 131, 1, 8, 64))).blocks
    finest = blocks.level == 1
    box = {band: (blocks.box[finest & (blocks.band == band)][:, 2:].max(0)).tolist() for band in (HL, LH, HH)}
    assert box == {HL: [65, 49], LH: [66, 48], HH: [65, 48]}
    assert blocks.level[blocks.resolution == 0].tolist() == [5]
    assert blocks.box[0].tolist() == [0, 0, 5, 4]


def test_a_resolution_without_samples_has_no_precinct() -> None:
    found = layout.lay_out(codestream.parse(streams.foreign("-d 135,95 -T 128,88 -t 8,8 -n 4 -r 5")))
    assert (found.precincts.bands <= 3).all()
    of_first_tile = found.precincts.resolution[found.precincts.tile == 0]
    assert of_first_tile.tolist() == [3, 3, 3]  # one sample, odd both ways: only the finest octave has it
    assert (areas(found) > 0).all()


def tag_tree_parents(across: int, down: int) -> NDArray[np.int64]:
    parents = np.empty(layout_kernels.tag_tree_nodes(across, down), np.int64)
    layout_kernels.plant_tag_tree(across, down, 0, parents)
    return parents


def test_parents_in_a_tag_tree_are_those_of_the_standards_example() -> None:
    # Figure B.12: a grid of 6 x 3, then 3 x 2, 2 x 1, and the root.
    parents = tag_tree_parents(6, 3)
    assert parents[:6].tolist() == [18, 18, 19, 19, 20, 20]
    assert parents[12:18].tolist() == [21, 21, 22, 22, 23, 23]
    assert parents[18:24].tolist() == [24, 24, 25, 24, 24, 25]
    assert parents[24:].tolist() == [26, 26, -1]


@given(st.integers(1, 40), st.integers(1, 40))
def test_every_leaf_of_a_tag_tree_leads_to_the_one_root(across: int, down: int) -> None:
    parents = tag_tree_parents(across, down)
    assert (parents == -1).sum() == 1 == (parents[-1] == -1)
    node = np.arange(across * down)
    for _ in range(7):
        node = np.where(parents[node] < 0, node, parents[node])
    assert (node == len(parents) - 1).all()


@given(st.sampled_from(codestream.PROGRESSIONS), st.integers(1, 5))
@settings(deadline=None)
def test_every_progression_visits_each_packet_of_a_tile_once(progression: str, layers: int) -> None:
    found = layout.lay_out(codestream.parse(streams.foreign(streams.FOREIGN["CPRL"])))
    for tile in range(found.tiles):
        packets = found.packets(progression, layers, tile)
        precincts = np.flatnonzero(found.precincts.tile == tile)
        assert sorted(map(tuple, packets.tolist())) == [(p, k) for p in precincts for k in range(layers)]
        for precinct in precincts:
            assert packets[packets[:, 0] == precinct, 1].tolist() == list(range(layers))


def test_layers_come_first_or_last_as_the_progression_says() -> None:
    found = layout.lay_out(codestream.parse(streams.layered(150, 149, 3, 8, 32)))
    assert (np.diff(found.packets("LRCP", 4, 0)[:, 1]) >= 0).all()
    assert found.packets("RPCL", 4, 0)[:8, 1].tolist() == [0, 1, 2, 3] * 2
    resolution = found.precincts.resolution[found.packets("RLCP", 4, 0)[:, 0]]
    assert (np.diff(resolution) >= 0).all()
    component = found.precincts.component[found.packets("CPRL", 4, 0)[:, 0]]
    assert (np.diff(component) >= 0).all()
