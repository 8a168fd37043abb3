"""Encodes photos with other codecs at the same size, for comparison: JPEG, WebP, AVIF, JPEG XL.

Each codec is run as its users would run it: optimized tables, slow methods, no metadata.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colors = NDArray[np.uint8]  # (H, W, 3), or (H, W, 1) for gray


@dataclasses.dataclass(frozen=True)
class Peer:
    """A codec with everything fixed but one setting.

    name: of the codec, and of fixed settings that matter.
    settings: possible values, from the coarsest to the finest.
    encode: (H, W, 3 or 1) uint8 and a setting → a file.
    decode: the file → (H, W, 3 or 1) uint8.
    """

    name: str
    settings: tuple[float, ...]
    encode: Callable[[Colors, float], bytes]
    decode: Callable[[bytes], Colors]


@dataclasses.dataclass(frozen=True, eq=False)
class PeerFile:
    """A file of another codec, and what it decodes to, (H, W, C) uint8 with C as it was encoded."""

    peer: Peer
    setting: float
    data: bytes
    pixels: Colors


class PeerFiles:
    """One photo in one codec: each setting is encoded when first asked for, and then kept."""

    def __init__(self, peer: Peer, colors: Colors) -> None:
        self._peer, self._colors = peer, colors
        self._files: dict[float, bytes] = {}

    def within(self, budget: int) -> PeerFile | None:
        """The file of the finest setting with at most `budget` bytes; None if none is that small.

        Assumes that sizes grow with the setting; if a codec's do not, a finer setting may be missed.
        """
        settings = self._peer.settings
        low, high = -1, len(settings)  # the last known to fit, the first known not to
        while high - low > 1:
            middle = (low + high) // 2
            if len(self._file(settings[middle])) <= budget:
                low = middle
            else:
                high = middle
        if low < 0:
            return None
        data = self._file(settings[low])
        return PeerFile(self._peer, settings[low], data, _of_shape(self._peer.decode(data), self._colors))

    def _file(self, setting: float) -> bytes:
        if setting not in self._files:
            self._files[setting] = self._peer.encode(self._colors, setting)
        return self._files[setting]


def _jpeg(subsampling: str) -> Peer:
    """Optimized Huffman tables, progressive; by quality."""

    def encode(colors: Colors, quality: float) -> bytes:
        file = io.BytesIO()
        image = Image.fromarray(_without_axis(colors))
        image.save(
            file, "JPEG", quality=int(quality), subsampling=subsampling, optimize=True, progressive=True
        )
        return file.getvalue()

    def decode(data: bytes) -> Colors:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image)  # a copy: compiled loops tell what is read-only apart

    return Peer(f"JPEG {subsampling}", tuple(range(1, 101)), encode, decode)


def _encode_webp(colors: Colors, quality: float) -> bytes:
    return bytes(imagecodecs.webp_encode(_as_rgb(colors), level=int(quality), lossless=False, method=6))


def _encode_avif(colors: Colors, quality: float) -> bytes:
    rgb = _as_rgb(colors)
    return bytes(
        imagecodecs.avif_encode(rgb, level=int(quality), speed=6, pixelformat="yuv444", numthreads=1)
    )


def _encode_jpegxl(colors: Colors, distance: float) -> bytes:
    samples = _without_axis(colors)
    return bytes(imagecodecs.jpegxl_encode(samples, distance=distance, effort=7, numthreads=1))


def _as_rgb(colors: Colors) -> Colors:
    """Gray as three equal channels, since these encoders' own gray is lossless or missing."""
    return np.ascontiguousarray(np.repeat(colors, 3, 2) if colors.shape[2] == 1 else colors)


def _of_shape(decoded: Colors, colors: Colors) -> Colors:
    """The decoded pixels, with one channel where one was encoded."""
    if colors.shape[2] == 1 and decoded.ndim == 3:
        gray: Colors = np.rint(decoded.mean(2, keepdims=True)).astype(np.uint8)
        return gray
    return decoded.reshape(colors.shape)


def _without_axis(colors: Colors) -> Colors:
    return np.ascontiguousarray(colors[:, :, 0] if colors.shape[2] == 1 else colors)


JPEGS = (_jpeg("4:2:0"), _jpeg("4:4:4"))
WEBP = Peer("WebP", tuple(range(101)), _encode_webp, imagecodecs.webp_decode)
AVIF = Peer("AVIF", tuple(range(100)), _encode_avif, imagecodecs.avif_decode)  # 100 is lossless
JPEGXL = Peer(
    "JPEG XL",
    tuple(25.0 * 0.94**step for step in range(97)),  # distances down to 0.066
    _encode_jpegxl,
    imagecodecs.jpegxl_decode,
)
# By their names on the command line. Of several, the best at a size counts.
PEERS: dict[str, tuple[Peer, ...]] = {
    "jpeg": JPEGS,
    "webp": (WEBP,),
    "avif": (AVIF,),
    "jpegxl": (JPEGXL,),
}


def colors_of(pixels: NDArray[np.uint8]) -> Colors:
    """(H, W, C) uint8 with C in 1..4, without its alpha channel."""
    return np.ascontiguousarray(pixels[:, :, : 3 if pixels.shape[2] > 2 else 1])
