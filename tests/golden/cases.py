"""The golden cases: small pictures and settings whose codestreams and files are pinned bit for bit."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import jp2
from foveate.codec.metadata import PhotoMetadata
from foveate.transforms.encode import encode
from tests.photos import corner, encoder, salient


@dataclasses.dataclass(frozen=True)
class Case:
    """One picture (height, width, channels, bits), its target, and settings beside it."""

    shape: tuple[int, int, int]
    bits: int = 8
    kind: str = "bpp"
    value: float = 1.0
    masked: bool = False
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    exif: bytes | None = None


EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0"  # orientation 1, nothing else

CASES: dict[str, Case] = {
    "color-half-bpp": Case((97, 131, 3), value=0.5),
    "color-masked": Case((160, 131, 3), value=0.75, masked=True),
    "color-masked-layers": Case((160, 131, 3), masked=True, settings={"layers": 3}),
    "color-tuned-for-psnr": Case((97, 131, 3), settings={"tune": "psnr"}),
    "color-psnr": Case((97, 131, 3), kind="psnr", value=34.0),
    "color-ssim": Case((97, 131, 3), kind="ssim", value=0.95),
    "color-roi-psnr": Case((97, 131, 3), kind="roi-psnr", value=36.0, masked=True),
    "color-quality": Case((97, 131, 3), kind="quality", value=60.0, settings={"effort": "fast"}),
    "color-quality-corrected": Case((97, 131, 3), kind="quality", value=80.0),
    "color-best": Case((160, 131, 3), value=0.75, masked=True, settings={"effort": "best"}),
    "color-ratio": Case((64, 64, 3), kind="ratio", value=9.0),
    "gray": Case((75, 200, 1), value=0.6),
    "gray-alpha": Case((40, 33, 2), value=2.0),
    "alpha": Case((65, 64, 4), value=1.5),
    "sixteen-bits": Case((50, 91, 3), bits=16, value=3.0),
    "lossless": Case((37, 53, 3), kind="lossless", value=0.0),
    "lossless-sixteen-bits": Case((29, 31, 1), bits=16, kind="lossless", value=0.0),
    "one-pixel": Case((1, 1, 3), kind="lossless", value=0.0),
    "one-column": Case((40, 1, 1), kind="lossless", value=0.0),
    "for-access": Case((200, 290, 3), value=0.75, settings={"access": True, "layers": 2, "tile_size": 128}),
    "with-exif": Case((64, 80, 3), exif=EXIF),
}


def picture(height: int, width: int, channels: int, bits: int) -> NDArray[Any]:
    """(H, W, C) uint8 or uint16 from integer arithmetic, so that every processor makes the same one."""
    rng = np.random.default_rng(height * 7919 + width)
    y, x = np.mgrid[:height, :width]
    planes = []
    for channel in range(channels):
        slope = (3 * x + 2 * y + 40 * channel) % 256
        disc = np.where((x - width // 2) ** 2 + (y - height // 3) ** 2 < (height // 3) ** 2, 60, 0)
        grain = rng.integers(0, 1 + 64 * x // width + channel)
        stripes = np.where((x // 5 + y // 7) % 2 == 0, 0, 25)
        planes.append(np.clip(slope // 2 + disc + stripes + grain, 0, 255))
    pixels = np.stack(planes, 2)
    if bits <= 8:
        return pixels.astype(np.uint8)
    fine = rng.integers(0, 1 << (bits - 8), pixels.shape)
    return (pixels * (1 << (bits - 8)) + fine).astype(np.uint16)


def digests(case: Case) -> dict[str, str]:
    """The SHA-256 of a case's codestream and of its whole file, and that file's size."""
    pixels: NDArray[Any] = picture(*case.shape, case.bits)
    photo = salient(pixels, corner() if case.masked else None)
    if case.exif is not None:
        photo = dataclasses.replace(
            photo, photo=dataclasses.replace(photo.photo, metadata=PhotoMetadata(exif=case.exif))
        )
    data = encode(photo, pixels, encoder(case.kind, case.value, **case.settings), prefiltered=False).jp2
    codestream = jp2.parse(data).codestream
    return {
        "codestream": hashlib.sha256(codestream).hexdigest(),
        "file": hashlib.sha256(data).hexdigest(),
        "bytes": str(len(data)),
    }
