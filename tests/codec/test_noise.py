"""Tests that the coding-noise map is larger where coding is coarser, and about as large as the real error."""

from __future__ import annotations

import itertools
import struct

import numpy as np
import pytest

from benchmarks import structures
from benchmarks.structures import segment
from foveate.codec import codestream, layout, noise, openjpeg
from foveate.codec import wavelet as codec_wavelet
from foveate.codec.block_weights import Emphasis
from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.packet_stream import PacketStream
from foveate.models import wavelet
from tests import streams
from tests.codec.test_structures import SIZ, cod, qcd, rgn


def noise_map(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    found = PacketStream.parse(data)
    return noise.noise_map(found.stream, found.layout, found.codewords.zero_planes, found.passes)


@pytest.mark.parametrize("shape", streams.SHAPES)
def test_a_map_has_a_cell_for_every_eight_pixels_and_is_a_share_of_the_peak(
    shape: tuple[int, int, int, int, int, bool],
) -> None:
    found = noise_map(streams.layered(*shape))
    assert found.shape == (-(-shape[0] // 8), -(-shape[1] // 8), noise.CHANNELS)
    assert found.dtype == np.float32
    assert (found > 0).all()
    assert (found <= 1).all()


@pytest.mark.parametrize("name", streams.FOREIGN)
def test_other_encoders_streams_have_a_map_too(name: str) -> None:
    found = noise_map(streams.foreign(streams.FOREIGN[name]))
    assert found.shape == (13, 17, noise.CHANNELS)
    assert (found > 0).all()
    assert (found <= 1).all()


@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("level", range(1, wavelet.LEVELS + 1))
def test_basis_norms_agree_with_the_wavelet_that_networks_train_through(level: int, high: bool) -> None:
    expected = wavelet.basis_norms()[level - 1][high]
    assert codec_wavelet.basis_norm(True, level, high) == pytest.approx(expected, rel=1e-4)


def test_color_norms_agree_with_the_wavelet_that_networks_train_through() -> None:
    assert noise._COLOR_NORMS[True] == pytest.approx(tuple(wavelet.color_norms()), rel=1e-4)


def test_norms_of_the_reversible_wavelet_are_those_of_its_filters() -> None:
    assert codec_wavelet.basis_norm(False, 1, False) == pytest.approx(np.sqrt(1.5))
    assert codec_wavelet.basis_norm(False, 1, True) == pytest.approx(
        np.sqrt(0.75**2 + 2 * 0.25**2 + 2 * 0.125**2)
    )


@pytest.mark.parametrize("reversible", [False, True])
def test_coarser_coding_gives_larger_values(reversible: bool) -> None:
    pixels = streams.texture(203, 260, 3)
    maps = [
        noise_map(streams.coded(pixels, slopes=(slope,), reversible=reversible))
        for slope in (3000.0, 800.0, 200.0, 50.0)
    ]
    for coarse, fine in itertools.pairwise(maps):
        assert (coarse.mean((0, 1)) > fine.mean((0, 1))).all()
        assert (coarse >= 0.99 * fine).mean() > 0.95


def test_a_place_that_is_kept_better_has_smaller_values() -> None:
    saliency = np.zeros((4, 5), np.float32)
    saliency[1:3, 1:3] = 1
    pixels = streams.texture(512, 640, 3)
    found = noise_map(
        streams.coded(pixels, slopes=(6000.0,), emphasis=Emphasis(saliency, 15.0), block_size=32)
    )
    inside = found[20:44, 20:44].mean((0, 1))
    outside = found[:, 52:].mean((0, 1))
    assert (inside[:2] < 0.5 * outside[:2]).all()
    assert (inside < outside).all()


def predicted_rms(data: bytes) -> float:
    """The error that uniform quantization at the found steps makes, as a share of the peak."""
    found = PacketStream.parse(data)
    stream, blocks = found.stream, found.layout.blocks
    steps = noise.normalized_steps(stream, found.layout, found.codewords.zero_planes, found.passes)
    samples = (blocks.box[:, 2] - blocks.box[:, 0]) * (blocks.box[:, 3] - blocks.box[:, 1])
    colors = len(stream.size.components) if stream.color_transform else 1
    total = (steps**2 / 12 * samples)[blocks.component < colors].sum()
    return float(np.sqrt(total / (stream.size.width * stream.size.height)))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("reversible", [False, True])
def test_the_real_error_is_of_the_size_that_the_map_predicts(
    bits: int, channels: int, reversible: bool
) -> None:
    pixels = streams.texture(256, 320, channels, bits)
    peak = (1 << bits) - 1
    for slope in (40.0, 250.0, 1600.0):
        data = streams.coded(pixels, slopes=(slope,), reversible=reversible)
        error = (pixels.astype(float) - openjpeg.decode(data).pixels) / peak
        ratio = predicted_rms(data) / np.sqrt((error**2).mean())
        assert 1 / 1.6 < ratio < 1.6, f"{slope}: {ratio}"


def test_fewer_levels_leave_no_channel_empty() -> None:
    pixels = streams.texture(64, 72, 3)
    for levels in (0, 1, 2):
        found = noise_map(streams.coded(pixels, slopes=(300.0,), levels=levels))
        assert (found > 0).all()


def test_alpha_does_not_count() -> None:
    pixels = streams.texture(80, 96, 4)
    opaque = pixels.copy()
    opaque[:, :, 3] = 255
    first, second = (noise_map(streams.coded(p)) for p in (pixels, opaque))
    assert np.array_equal(first, second)


def test_blocks_of_a_region_count_as_finely_as_it_is_coded_and_others_as_they_are() -> None:
    """Mb = 9 and a shift of 12: coefficients above the twelfth bit-plane belong to the region (Annex H)."""
    blocks = layout.lay_out(
        codestream.parse(
            structures.assemble(
                [SIZ, cod(0), qcd(8), rgn(0, 12), rgn(1, 12)], [(0, [], bytes(9)), (1, [], bytes(9))]
            )
        )
    ).blocks
    assert set(blocks.planes) == {21}
    zero_planes = np.zeros(len(blocks.tile), np.uint8)
    zero_planes[:4] = 2, 2, 2, 12
    passes = np.ones(len(blocks.tile), np.int64)
    passes[:4] = 1, 1 + 3 * 4, 1 + 3 * 12, 1 + 3 * 2
    # A region of 7 planes: one coded, five, all with four planes of the ground. A ground of 9: three coded.
    assert noise._missing_planes(blocks, zero_planes, passes)[:4].tolist() == [6, 2, 0, 6]


def test_tiles_are_judged_by_their_own_quantization_and_color_transform() -> None:
    main = [SIZ, cod(1), qcd(8)]
    blank = codestream.parse(structures.assemble(main, [(0, [], bytes(40)), (1, [qcd(9)], bytes(40))]))
    geometry = layout.lay_out(blank)
    none, one = np.zeros(len(geometry.blocks.tile), np.uint8), np.ones(len(geometry.blocks.tile), np.uint8)
    steps = noise.normalized_steps(blank, geometry, none, one)
    first, second = (steps[geometry.blocks.tile == tile] for tile in range(2))
    assert np.allclose(second, np.minimum(2 * first, 1))  # one more bit-plane that is not coded


def test_basis_norms_far_up_grow_as_those_that_can_be_computed() -> None:
    for irreversible, high in itertools.product((False, True), repeat=2):
        ratio = noise._norm(irreversible, 12, high) / noise._norm(irreversible, 11, high)
        assert ratio == pytest.approx(np.sqrt(2), rel=1e-5)
        assert noise._norm(irreversible, 32, high) == pytest.approx(
            noise._norm(irreversible, 12, high) * 1024, rel=1e-9
        )


def test_a_map_of_a_picture_that_is_large_only_by_subsampling_is_refused() -> None:
    far = segment(
        0xFF51,
        struct.pack(">HIIIIIIIIHBBB", 0, 1 << 20, 1 << 20, 0, 0, 1 << 20, 1 << 20, 0, 0, 1, 7, 255, 255),
    )
    data = structures.assemble([far, cod(0), qcd(8)], [(0, [], bytes(9))])
    with pytest.raises(UnsupportedCodestream, match="131072 x 131072 cells"):
        noise_map(data)
