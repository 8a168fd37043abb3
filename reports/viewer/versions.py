"""The versions of a photo to compare, as files and as pixels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import jp2
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.peers import PeerFile, PeerFiles, colors_of
from foveate.pictures.picture import Pixels, as_8_bit
from foveate.quality.psnr import psnr
from foveate.quality.ssimulacra2 import ssimulacra2


@dataclasses.dataclass(frozen=True, eq=False)
class Version:
    """One file of a photo, and what it decodes to.

    name: for people: "Quality 80", "AVIF, size of quality 80".
    detail: more on how it was made, "" for nothing.
    file_bytes: of the file.
    pixels: (H, W, C) like the photo's.
    score: SSIMULACRA 2.
    psnr_db: over all color samples.
    flags: of `foveate compress`, to make it; "" for other codecs.
    jp2: the file, if it is ours.
    """

    name: str
    detail: str
    file_bytes: int
    pixels: Pixels
    score: float
    psnr_db: float
    flags: str = ""
    jp2: bytes | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class PhotoInVersions:
    """A photo and its versions.

    name: of its file.
    source_format, source_bytes: of its file.
    pixels: (H, W, C) uint8 or uint16.
    icc: the color profile of the pixels, None for sRGB.
    saliency: (h, w) in [0, 1], None if all places matter alike.
    versions: at least one of ours.
    notes: what could not be made, in sentences.
    """

    name: str
    source_format: str
    source_bytes: int
    pixels: Pixels
    icc: bytes | None
    saliency: NDArray[np.float32] | None
    versions: tuple[Version, ...]
    notes: tuple[str, ...] = ()


def version_of_ours(
    name: str, detail: str, flags: str, pixels: Pixels, file: bytes, decoded: Pixels, score: float | None
) -> Version:
    """A version that Foveate made from `pixels`; its score is measured if it is not known."""
    return Version(
        name=name,
        detail=detail,
        file_bytes=len(file),
        pixels=decoded,
        score=ssimulacra2(pixels, decoded) if score is None else score,
        psnr_db=psnr(pixels, decoded),
        flags=flags,
        jp2=file,
    )


def version_of_peer(
    codec: str, files: tuple[PeerFiles, ...], ours: Version, pixels: Pixels, metadata: PhotoMetadata
) -> Version | None:
    """The best version of another codec that takes no more bytes than ours; None if it cannot.

    The metadata in our file is added to its bytes, since any archive would keep it.

    Args:
      codec: its name for people.
      files: of the photo, one for each way of running the codec; the one with the best score counts.
      ours: the version to compare with.
      pixels: the photo, (H, W, C).
      metadata: in our file.
    """
    carried = metadata_bytes(pixels.shape[2], metadata)
    found = [
        _measured(codec, file, ours, pixels, carried) for file in _within(files, ours.file_bytes - carried)
    ]
    return max(found, key=lambda version: version.score, default=None)


def metadata_bytes(channels: int, metadata: PhotoMetadata) -> int:
    """How many bytes of a JP2 file are metadata."""
    return jp2.overhead(channels, metadata=metadata) - jp2.overhead(channels, metadata=PhotoMetadata())


def _within(files: tuple[PeerFiles, ...], budget: int) -> list[PeerFile]:
    return [file for each in files if (file := each.within(budget)) is not None]


def _measured(codec: str, file: PeerFile, ours: Version, pixels: Pixels, carried: int) -> Version:
    decoded = _like(file.pixels, pixels)
    variant = file.peer.name.removeprefix(codec).strip()
    setting = f"{'distance' if codec == 'JPEG XL' else 'quality'} {file.setting:.3g}"
    return Version(
        name=f"{codec}, size of {ours.name[0].lower()}{ours.name[1:]}",
        detail=f"{variant}, {setting}".removeprefix(", "),
        file_bytes=len(file.data) + carried,
        pixels=decoded,
        score=ssimulacra2(pixels, decoded),
        psnr_db=psnr(pixels, decoded),
    )


def peer_colors(pixels: Pixels) -> NDArray[np.uint8]:
    """A photo as given to other codecs: 8 bits, without alpha."""
    return colors_of(as_8_bit(pixels))


def _like(decoded: NDArray[np.uint8], pixels: Pixels) -> Pixels:
    """Decoded colors with the photo's sample type and original alpha channel."""
    like: Pixels = decoded
    if pixels.dtype == np.uint16:
        like = decoded.astype(np.uint16) * np.uint16(257)
    if pixels.shape[2] % 2:
        return like
    whole: Any = np.concatenate((like, pixels[:, :, -1:]), 2)
    alike: Pixels = whole
    return alike
