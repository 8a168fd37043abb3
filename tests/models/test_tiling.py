"""Tests that tiles with a halo give the same as the whole photo, for pictures of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foveate.models import comcnn, reccnn, tiling
from tests.models.test_networks import BUILDERS, network, noise_map, picture

SHAPES = [  # height, width, channels, bits
    (131, 203, 3, 8),
    (97, 150, 1, 8),
    (90, 131, 4, 8),
    (75, 129, 2, 16),
    (129, 65, 3, 16),
    (1, 1, 3, 8),
    (1, 5000, 3, 8),
    (300, 1, 1, 16),
]


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tiles_give_what_the_whole_photo_gives(name: str, shape: tuple[int, int, int, int]) -> None:
    height, width, _, bits = shape
    pixels, noise = picture(*shape), noise_map(name, height, width)
    whole = tiling.run(network(name), pixels, noise, tile=8192)
    tiled = tiling.run(network(name), pixels, noise, tile=64)
    assert whole.shape == pixels.shape and whole.dtype == pixels.dtype
    # Convolutions over other extents add up in another order: a rounding of a sample at most.
    difference = np.abs(tiled.astype(int) - whole)
    assert difference.max() <= (1 if bits == 8 else 8)
    assert (whole != pixels).any()


@pytest.mark.parametrize("window", [(slice(0, 30), slice(0, 70)), (slice(61, 131), slice(100, 203))], ids=str)
def test_a_window_gives_what_the_whole_photo_gives_there(window: tuple[slice, slice]) -> None:
    pixels, noise = picture(131, 203, 3), noise_map("reccnn", 131, 203)
    whole = tiling.run(network("reccnn"), pixels, noise)
    part = tiling.run_window(network("reccnn"), pixels, noise, window)
    assert part.shape == whole[window].shape
    assert np.abs(part.astype(int) - whole[window]).max() <= 1


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_passes_through(channels: int) -> None:
    pixels = picture(50, 41, channels)
    changed = tiling.run(network("reccnn"), pixels, noise_map("reccnn", 50, 41))
    np.testing.assert_array_equal(changed[..., -1], pixels[..., -1])
    assert (changed[..., :-1] != pixels[..., :-1]).any()


def test_gray_is_treated_as_the_color_photo_of_equal_channels() -> None:
    gray = picture(50, 41, 1)
    noise = noise_map("reccnn", 50, 41)
    changed = tiling.run(network("reccnn"), gray, noise)
    same = np.concatenate([gray] * 3, 2).astype(np.uint8)
    colored = tiling.run(network("reccnn"), same, noise)
    assert changed.shape == gray.shape
    # Clipping before or after the mean differs at the ends of the range alone.
    inside = (colored > 2).all(2) & (colored < 253).all(2)
    np.testing.assert_allclose(changed[inside, 0], colored[inside].mean(1), atol=1)


def test_sixteen_bits_are_kept_whole() -> None:
    pixels = picture(40, 40, 3, 16)
    faint = noise_map("reccnn", 40, 40, scale=5e-6)
    changed = tiling.run(network("reccnn"), pixels, faint)
    difference = np.abs(changed.astype(int) - pixels)
    assert 0 < difference.max() < 256  # less than an 8-bit step, and yet not nothing


def test_the_input_is_left_as_it_was() -> None:
    pixels = picture(20, 20)
    before = pixels.copy()
    tiling.run(network("comcnn"), pixels, noise_map("comcnn", 20, 20))
    np.testing.assert_array_equal(pixels, before)


def test_weights_of_another_network_are_told(tmp_path: Path) -> None:
    file = tmp_path / "weights.weights.h5"
    file.write_bytes(reccnn.weights_file("fast").read_bytes())
    with pytest.raises(tiling.BadWeights, match=r"weights\.weights\.h5 does not hold"):
        comcnn.load(file)
