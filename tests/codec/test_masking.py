"""Tests masking: visible errors count more, and MS-SSIM rises at the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from foveate.codec import allocation, openjpeg
from foveate.codec.block_coder import BlockCoder
from foveate.codec.block_weights import Emphasis, Tune
from foveate.codec.codestream import Codestream
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.layout import Layout
from foveate.codec.masking import visibility
from foveate.quality.ssim import ms_ssim
from foveate.quality.ssimulacra2 import ssimulacra2
from tests import streams


def laid_out(pixels: NDArray[Any]) -> tuple[Codestream, Layout]:
    coder = BlockCoder(pixels, Coding())
    return coder.stream, coder.layout


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_tuning_for_the_eye_raises_what_follows_it_at_the_same_bytes(name: str) -> None:
    pixels = np.ascontiguousarray(getattr(skimage.data, name)()[:384, :384])
    similarity, scores = [], []
    tunes: tuple[Tune, ...] = ("psnr", "visual")
    for tune in tunes:
        choice = Encoder(pixels, Emphasis(tune=tune)).within(384 * 384 // 16)
        data = allocation.encode(choice)
        decoded = openjpeg.decode(data).pixels
        similarity.append(ms_ssim(pixels, decoded))
        scores.append(ssimulacra2(pixels, decoded))
    assert 1 - similarity[1] < 0.85 * (1 - similarity[0])
    assert scores[1] > scores[0] + 3


def test_errors_count_less_where_contrast_hides_them_and_in_fine_color() -> None:
    pixels = np.full((256, 512, 3), 128, np.uint8)
    pixels[:, 256:] = np.random.default_rng(0).integers(0, 256, (256, 256, 3))
    stream, layout = laid_out(pixels)
    found, _ = visibility(stream, layout, pixels)
    blocks = layout.blocks
    luma = (blocks.component == 0) & (blocks.level == 1) & (blocks.band == 1)
    flat, rich = luma & (blocks.box[:, 2] <= 128), luma & (blocks.box[:, 0] >= 128)
    assert found[flat].min() > 1.5 * found[rich].max()
    assert np.exp(np.log(found[blocks.component == 0]).mean()) == pytest.approx(1, rel=0.2)
    fine, coarse = (found[(blocks.component > 0) & (blocks.level == level)] for level in (1, 5))
    assert fine.max() < 0.5 and coarse.min() >= 1


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_depth_and_alpha_change_no_weight_of_luma(channels: int, dtype: Any) -> None:
    pixels = streams.texture(180, 133, channels)
    found = []
    for samples in (pixels, (pixels.astype(np.uint16) * 257).astype(dtype) if dtype == np.uint16 else pixels):
        stream, layout = laid_out(samples)
        found.append(visibility(stream, layout, samples)[0])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3)
    if channels != 1:
        assert (found[0][layout.blocks.component == channels - 1] == 1).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 1), (5, 3, 4)])
def test_tiny_photos_have_weights_too(shape: tuple[int, int, int]) -> None:
    pixels = streams.texture(*shape)
    stream, layout = laid_out(pixels)
    found, _ = visibility(stream, layout, pixels)
    assert np.isfinite(found).all() and (found > 0).all()
