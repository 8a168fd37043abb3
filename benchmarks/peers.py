"""Encodes a photo with other codecs at many quality settings: JPEG, WebP, AVIF, JPEG XL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import features

from benchmarks.curves import Curve, Point, fidelity
from benchmarks.photos import Photo
from foveate.pictures import peers
from foveate.pictures.peers import Peer

File = tuple[int, Photo]  # its bytes, and what it decodes to

# Settings that span some 0.125 to 2 bits per pixel for quiet photos and busy ones, the best each can do last.
_JPEG_QUALITIES = (2, 4, 7, 12, 18, 27, 40, 55, 70, 82, 90, 95, 98, 100)
_WEBP_QUALITIES = (0, 5, 12, 25, 45, 65, 80, 90, 95, 100)
_AVIF_QUALITIES = (0, 3, 8, 15, 24, 34, 44, 54, 64, 74, 84, 92, 97, 99)  # 100 is lossless
_JPEGXL_DISTANCES = (25.0, 18.0, 12.0, 8.0, 5.0, 3.2, 2.0, 1.2, 0.7, 0.4, 0.2, 0.1)


def _files(peer: Peer, settings: Sequence[float], photo: Photo) -> Iterator[File]:
    for setting in settings:
        data = peer.encode(photo, setting)
        yield len(data), peer.decode(data)


def jpeg(photo: Photo) -> Iterator[File]:
    """Optimized Huffman tables, progressive; with and without subsampled chroma."""
    for peer in peers.JPEGS:
        yield from _files(peer, _JPEG_QUALITIES, photo)


def webp(photo: Photo) -> Iterator[File]:
    """Lossy, method 6, the slowest."""
    return _files(peers.WEBP, _WEBP_QUALITIES, photo)


def avif(photo: Photo) -> Iterator[File]:
    """4:4:4, speed 6, 8 bits."""
    return _files(peers.AVIF, _AVIF_QUALITIES, photo)


def jpegxl(photo: Photo) -> Iterator[File]:
    """Effort 7, a bare codestream."""
    return _files(peers.JPEGXL, _JPEGXL_DISTANCES, photo)


PEERS: dict[str, Callable[[Photo], Iterator[File]]] = {
    "JPEG": jpeg,
    "WebP": webp,
    "JPEG XL": jpegxl,
    "AVIF": avif,
}


def curve(peer: str, photo: Photo, saliency: NDArray[np.float32]) -> Curve:
    """All files of a peer; files no better than a smaller one are left out where the curve is used."""
    files = PEERS[peer](photo)
    return tuple(Point(size, fidelity(photo, decoded, saliency)) for size, decoded in files)


def settings() -> str:
    """Everything that a peer's curve depends on besides the photo, to recognize it by."""
    ladders = (_JPEG_QUALITIES, _WEBP_QUALITIES, _AVIF_QUALITIES, _JPEGXL_DISTANCES)
    return f"{versions()} {ladders}"


def versions() -> str:
    """The libraries behind the peers, in a sentence's words."""
    wanted = ("libwebp", "libjxl", "libavif")
    named = [name.replace("-", " ") for name in imagecodecs.version().split(", ") if name.startswith(wanted)]
    turbo = features.version_feature("libjpeg_turbo")
    maker = "mozjpeg" if features.check("mozjpeg") else "libjpeg-turbo"
    return ", ".join([f"{maker} {turbo}" if turbo else maker, *named])
