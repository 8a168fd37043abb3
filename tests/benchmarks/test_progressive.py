"""Tests that prefixes of files decode as their first layers."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.progressive import prefixes
from foveate.codec import allocation, openjpeg, tile_sizes
from foveate.codec.encoder import Encoder
from tests import streams


@pytest.mark.parametrize("tiles", [False, True])
def test_each_prefix_decodes_to_the_layers_before_the_cut(
    tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tiles:
        monkeypatch.setattr(tile_sizes, "_MOST_IN_ONE_TILE", 128 * 128)
        monkeypatch.setattr(tile_sizes, "_LARGEST_TILE", 128)
    data = allocation.encode(Encoder(streams.texture(200, 260, 3)).within(9000, 4))
    found = prefixes(data)
    assert len(found) == 4
    assert found[-1] == data
    sizes = [len(prefix) for prefix in found]
    assert sizes == sorted(set(sizes))
    for count, prefix in enumerate(found, 1):
        np.testing.assert_array_equal(
            openjpeg.decode(prefix).pixels, openjpeg.decode(data, layers=count).pixels
        )


def test_a_file_of_one_layer_has_no_prefix_but_itself() -> None:
    data = allocation.encode(Encoder(streams.texture(60, 70, 1)).within(900))
    assert prefixes(data) == (data,)
