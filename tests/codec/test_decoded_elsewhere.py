"""Tests that FFmpeg's decoder and Pillow decode our files like OpenJPEG, for any picture."""

from __future__ import annotations

import io
import subprocess
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import foveate
from foveate.codec.walk import codestream_span
from tests import streams
from tests.tools import tool

Pixels = NDArray[Any]
KINDS = ("texture", "noise", "constant", "drawing", "extremes")
REQUESTS: tuple[dict[str, Any], ...] = (
    {"lossless": True},
    {"slope": 30.0},
    {"slope": 3.0, "layers": 3, "tune": "psnr"},
    {"slope": 100.0, "access": True},
    {"slope": 10.0, "tile_size": 128, "effort": "best"},
)


@given(
    st.sampled_from(KINDS),
    st.tuples(st.integers(1, 150), st.integers(1, 90), st.sampled_from([1, 3])),
    st.sampled_from(REQUESTS),
    st.integers(0, 1 << 30),
)
@settings(max_examples=25)
def test_other_decoders_see_the_same(
    kind: str, shape: tuple[int, int, int], request: dict[str, Any], seed: int
) -> None:
    pixels = picture(kind, shape, seed)
    data = foveate.encode(pixels, **request)
    expected = foveate.decode(data)
    # Those that compute in whole numbers may round a sample of the 9/7 wavelet and its colors the other way.
    tolerance = 0 if np.array_equal(expected, pixels) else 2
    for found in (by_pillow(data), by_ffmpeg(data, shape)):
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).max() <= tolerance


def picture(kind: str, shape: tuple[int, int, int], seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    if kind == "texture":
        return streams.texture(*shape).astype(np.uint8)
    if kind == "noise":
        return rng.integers(0, 256, shape, np.uint8)
    if kind == "constant":
        return np.full(shape, rng.integers(0, 256), np.uint8)
    if kind == "extremes":
        return (rng.integers(0, 2, shape) * 255).astype(np.uint8)
    drawing = np.full(shape, 255, np.uint8)
    for _ in range(5):
        top, left = rng.integers(0, shape[:2])
        drawing[top : top + rng.integers(1, 30), left : left + rng.integers(1, 30)] = rng.integers(0, 256)
    return drawing


def by_pillow(data: bytes) -> Pixels:
    found = np.asarray(Image.open(io.BytesIO(data)))
    return found if found.ndim == 3 else found[..., None]


def by_ffmpeg(data: bytes, shape: tuple[int, int, int]) -> Pixels:
    as_asked = ("-f", "rawvideo", "-pix_fmt", "gray" if shape[2] == 1 else "rgb24", "-")
    command = [tool("ffmpeg"), "-v", "error", "-f", "j2k_pipe", "-i", "-", *as_asked]
    codestream = data[slice(*codestream_span(data))]
    done = subprocess.run(command, input=codestream, capture_output=True, check=True, timeout=60)
    return np.frombuffer(done.stdout, np.uint8).reshape(shape)
