"""Versions by us and by others, at equal bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import foveate
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.peers import PEERS, PeerFiles
from foveate.quality.psnr import psnr
from foveate.quality.ssimulacra2 import ssimulacra2
from foveate.reports.viewer.versions import (
    Version,
    metadata_bytes,
    peer_colors,
    version_of_ours,
    version_of_peer,
)
from tests.streams import texture, with_ramp


def ours(pixels: NDArray[Any], rate: float, metadata: PhotoMetadata | None = None) -> Version:
    data = foveate.encode(pixels, bpp=rate, metadata=metadata)
    return version_of_ours("Quality 60", "", "--quality 60", pixels, data, foveate.decode(data), None)


@pytest.mark.parametrize(
    ("codec", "title"), [("jpeg", "JPEG"), ("webp", "WebP"), ("avif", "AVIF"), ("jpegxl", "JPEG XL")]
)
def test_another_codecs_version_is_measured_and_no_larger(codec: str, title: str) -> None:
    pixels = texture(90, 120, 3)
    mine = ours(pixels, 3)
    files = tuple(PeerFiles(peer, peer_colors(pixels)) for peer in PEERS[codec])
    found = version_of_peer(title, files, mine, pixels, PhotoMetadata())
    assert found is not None and found.name == f"{title}, size of quality 60" and found.flags == ""
    assert 0.5 * mine.file_bytes < found.file_bytes <= mine.file_bytes
    assert found.score == ssimulacra2(pixels, found.pixels)
    assert found.psnr_db == psnr(pixels, found.pixels)
    alone = [version_of_peer(title, (each,), mine, pixels, PhotoMetadata()) for each in files]
    assert found.score == max(one.score for one in alone if one)
    assert ("4:" in found.detail) == (codec == "jpeg")


def test_metadata_counts_in_both_files() -> None:
    pixels, metadata = texture(90, 120, 3), PhotoMetadata(xmp=b"<x:xmpmeta>" + bytes(range(32, 127)) * 8)
    assert 700 < metadata_bytes(3, metadata) < 900 and metadata_bytes(3, PhotoMetadata()) == 0
    mine = ours(pixels, 3, metadata)
    files = (PeerFiles(PEERS["webp"][0], peer_colors(pixels)),)
    found = version_of_peer("WebP", files, mine, pixels, metadata)
    bare = version_of_peer("WebP", files, mine, pixels, PhotoMetadata())
    assert found is not None and bare is not None
    assert 700 < found.file_bytes <= mine.file_bytes and found.score < bare.score


def test_a_codec_that_cannot_be_so_small_has_no_version() -> None:
    pixels = texture(90, 120, 3)
    tiny = ours(pixels, 0.3)
    assert (
        version_of_peer("JPEG", (PeerFiles(PEERS["jpeg"][0], pixels),), tiny, pixels, PhotoMetadata()) is None
    )


@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (2, 8), (4, 8), (3, 16), (4, 16)])
def test_photos_of_every_kind_are_compared_as_they_are(channels: int, bits: int) -> None:
    pixels = texture(90, 120, channels, bits)
    pixels = pixels if channels % 2 else with_ramp(pixels)
    mine = ours(pixels, 4)
    files = (PeerFiles(PEERS["jpeg"][-1], peer_colors(pixels)),)
    found = version_of_peer("JPEG", files, mine, pixels, PhotoMetadata())
    assert found is not None and found.pixels.shape == pixels.shape and found.pixels.dtype == pixels.dtype
    assert found.psnr_db > 18
    if channels % 2 == 0:
        np.testing.assert_array_equal(found.pixels[..., -1], pixels[..., -1])
