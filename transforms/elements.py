"""Elements that pass between stages: frozen dataclasses, one per stage."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from foveate.archive.rows import MetricsRow
from foveate.codec.metadata import PhotoMetadata
from foveate.models.structures import Structures
from foveate.storage.source import SourceFile

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclasses.dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photo: upright pixels (H, W, C) uint8 or uint16 with C in 1..4, and its metadata."""

    source: SourceFile
    pixels: Pixels
    metadata: PhotoMetadata
    source_format: str  # "jpeg", "png", "tiff", ...
    bit_depth: int  # of the source; samples of 9 to 15 bits are stretched to uint16
    source_sha256: str  # of the source file's bytes
    metadata_problems: tuple[str, ...]  # what of the metadata could not be read or carried
    read_seconds: float
    jpeg_quality: float | None = None  # of a JPEG, on libjpeg's scale
    cleaned_psnr_db: float | None = None  # of the pixels against the source's, where DnCNN cleaned them


@dataclasses.dataclass(frozen=True, eq=False)
class SalientPhoto:
    """A photo and its saliency (h, w) float32 in [0, 1] at the networks' own resolution; None: all alike.

    `mask_sha256` is of the file that the saliency was drawn in, b"" where settings and weights decide it;
    `found` what the saliency is made of, None where no network was asked.
    """

    photo: Photo
    saliency: NDArray[np.float32] | None
    saliency_seconds: float
    mask_sha256: bytes = b""
    found: Structures | None = None

    @property
    def source(self) -> SourceFile:
        """Where it came from."""
        return self.photo.source


@dataclasses.dataclass(frozen=True, eq=False)
class CodedFile:
    """A JP2 file, its decoded pixels, and how coarsely each place was coded.

    `decoded` is like the photo's pixels; `noise` is the coding-noise map (ceil(H/8), ceil(W/8), 4) float32,
    None where nothing was lost. `score` is the SSIMULACRA 2 of `decoded` if the encoder measured it.
    """

    jp2: bytes
    decoded: Pixels
    noise: NDArray[np.float32] | None
    prefiltered: bool
    encode_seconds: float
    score: float | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class CodedPhoto:
    """A photo and its file. `archived`: the file is already in the archive."""

    salient: SalientPhoto
    file: CodedFile
    archived: bool = False

    @property
    def source(self) -> SourceFile:
        """Where it came from."""
        return self.salient.source


@dataclasses.dataclass(frozen=True, eq=False)
class PrefilteredPhoto:
    """A coded photo and its pixels filtered by ComCNN, or None if ComCNN is not called for."""

    coded: CodedPhoto
    prefiltered: Pixels | None
    comcnn_seconds: float

    @property
    def source(self) -> SourceFile:
        """Where it came from."""
        return self.coded.source


@dataclasses.dataclass(frozen=True, eq=False)
class RestoredPhoto:
    """A coded photo and what RecCNN restores from its file.

    restored: all of it; None where RecCNN has nothing to do, or was shown a sample.
    windows: what it makes of the photo's `quality.sample.windows`, where not of all of it.
    """

    coded: CodedPhoto
    restored: Pixels | None
    reccnn_seconds: float
    windows: tuple[Pixels, ...] = ()

    @property
    def source(self) -> SourceFile:
        """Where it came from."""
        return self.coded.source


@dataclasses.dataclass(frozen=True, eq=False)
class Archived:
    """A finished archive file and its row; `write` is False if the file is already in place."""

    source: SourceFile
    url: str
    jp2: bytes
    row: MetricsRow
    write: bool


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """A decoded JPEG 2000 file: pixels like `Photo`, and its noise map (None: lossless or unknown)."""

    source: SourceFile
    output_path: str  # below the output's root
    pixels: Pixels
    metadata: PhotoMetadata
    noise: NDArray[np.float32] | None
    prefiltered: bool
    note: str  # why there is no noise map, "" if there is or need not be
    source_sha256: bytes = b""  # of the file that it was made of, as far as its record tells
    shown: tuple[slice, slice] = (slice(None), slice(None))  # rows and columns; the rest is for RecCNN alone
    damage: str = ""  # in what the file differs from what was archived, other than by edited tags
