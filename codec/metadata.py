"""What a photo carries besides its pixels."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class PhotoMetadata:
    """Metadata blocks as raw bytes, ready to be embedded again; None where the photo has none.

    `exif` is the bare TIFF structure (starts with b"II*\\0" or b"MM\\0*", no "Exif\\0\\0" prefix), its
    orientation tag set to 1, since pixels are always upright here. `xmp` is the UTF-8 packet. `dpi` is
    (horizontal, vertical).
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
