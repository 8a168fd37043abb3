"""From pixels to ranked packets: every kind of picture, tiles for giants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.codec import allocation, encoder, openjpeg
from foveate.codec.encoder import Emphasis
from foveate.codec.errors import BadCodestream
from tests import streams


@given(st.integers(1, 40_000), st.integers(1, 40_000))
def test_tiles_are_neither_large_nor_slivers(height: int, width: int) -> None:
    side = encoder.tile_side(height, width)
    if side is None:
        assert height * width <= 2 * 4096**2
        return
    assert 2048 < side <= 4096 and side % 64 == 0
    for length in (height, width):
        if length > side:
            assert (length - 1) % side + 1 >= side // 16


def test_the_usual_sizes_of_giants_are_cut_evenly() -> None:
    for height, width in ((12_500, 16_000), (8000, 8000), (10_000, 20_000), (11_648, 8736)):
        side = encoder.tile_side(height, width)
        assert side is not None
        assert all((length - 1) % side + 1 >= side / 2 for length in (height, width))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (67, 45)])
def test_all_candidates_of_a_reversible_encode_are_the_picture(
    channels: int, dtype: type[np.uint8] | type[np.uint16], shape: tuple[int, int]
) -> None:
    scale = 1 if dtype == np.uint8 else 257
    samples = streams.texture(*shape, channels).astype(np.uint16) * scale
    pixels: Any = samples.astype(dtype)
    candidates = encoder.layered(pixels, Emphasis(tune="ssim"), reversible=True)
    for layers in (1, 5):
        data = allocation.encode(allocation.take(candidates, len(candidates), layers))
        decoded = openjpeg.decode(data)
        assert not decoded.warnings
        np.testing.assert_array_equal(decoded.pixels, pixels)


def test_lossless_costs_no_more_than_the_encoders_own() -> None:
    pixels = streams.texture(300, 400, 3)
    candidates = encoder.layered(pixels, Emphasis(), reversible=True)
    ours = allocation.encode(allocation.take(candidates, len(candidates)))
    assert len(ours) <= 1.005 * len(openjpeg.encode(pixels, reversible=True))


def test_a_giants_tiles_are_ranked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_MOST_IN_ONE_TILE", 128 * 128)
    monkeypatch.setattr(encoder, "_LARGEST_TILE", 256)
    pixels = streams.texture(400, 600, 3)
    saliency = np.zeros((4, 6), np.float32)
    saliency[:2, :3] = 1
    candidates = encoder.layered(pixels, Emphasis(saliency, 12.0, "ssim"))
    assert candidates.layout.tiles == 6
    data = allocation.encode(allocation.fit_bytes(candidates, 15_000, 3))
    assert 14_850 <= len(data) <= 15_000
    decoded = openjpeg.decode(data)
    assert not decoded.warnings
    error = ((pixels.astype(float) - decoded.pixels) ** 2).mean(2)
    assert 3 * error[:200, :300].mean() < error[200:].mean()


@pytest.mark.parametrize("largest_tile", [4096, 128])
def test_a_stream_cut_where_a_layer_ends_is_read_like_one_of_fewer_layers(
    monkeypatch: pytest.MonkeyPatch, largest_tile: int
) -> None:
    monkeypatch.setattr(encoder, "_MOST_IN_ONE_TILE", largest_tile**2)
    monkeypatch.setattr(encoder, "_LARGEST_TILE", largest_tile)
    candidates = encoder.layered(streams.texture(150, 230, 3), Emphasis())
    choice = allocation.fit_bytes(candidates, 9000, 4)
    data = allocation.encode(choice)
    whole, layout, parts = allocation.parse_layers(data)
    assert layout.tiles == (1 if largest_tile == 4096 else 4)
    for layers in (1, 2, 3):
        end = whole.tile_parts[layers * layout.tiles - 1].end
        cut = data[:end] + b"\xff\xd9"
        stream, _, left = allocation.parse_layers(cut)
        assert stream.layers == stream.max_layers == layers
        np.testing.assert_array_equal(left.passes, parts.passes[:layers])
        np.testing.assert_array_equal(left.lengths, parts.lengths[:layers])
        np.testing.assert_array_equal(
            openjpeg.decode(cut).pixels, openjpeg.decode(data, layers=layers).pixels
        )


def test_a_stream_cut_inside_a_layer_of_tiles_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_MOST_IN_ONE_TILE", 128 * 128)
    monkeypatch.setattr(encoder, "_LARGEST_TILE", 128)
    candidates = encoder.layered(streams.texture(150, 230, 3), Emphasis())
    data = allocation.encode(allocation.fit_bytes(candidates, 9000, 4))
    end = allocation.parse_layers(data)[0].tile_parts[5].end
    with pytest.raises(BadCodestream, match="cut off"):
        allocation.parse_layers(data[:end] + b"\xff\xd9")
