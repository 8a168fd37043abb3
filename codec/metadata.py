"""The metadata of a photo."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class PhotoMetadata:
    """Metadata blocks as raw bytes, ready to be embedded again; None where the photo has none.

    icc: an ICC profile.
    exif: the bare TIFF structure (starts with b"II*\\0" or b"MM\\0*", no "Exif\\0\\0" prefix), its
        orientation tag set to 1, since pixels are always upright here.
    xmp: the UTF-8 packet, its extended part joined into it.
    dpi: (horizontal, vertical).
    iptc: IPTC-IIM datasets, without the Photoshop resource around them.
    photoshop: other Photoshop image resources ("8BIM" and so on), one after the other.
    geo: a TIFF structure with the tags of GeoTIFF and nothing else, as the GeoJP2 box holds it.
    jumbf: JUMBF boxes with their heads, one after the other; C2PA's manifests are of this kind.
    texts: pairs of a keyword and a text, such as those of PNG; a comment's keyword is "Comment".
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    iptc: bytes | None = None
    photoshop: bytes | None = None
    geo: bytes | None = None
    jumbf: bytes | None = None
    texts: tuple[tuple[str, str], ...] = ()
