"""What flows between the steps: frozen dataclasses, one a stage (and the rows of the tables)."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foveate.codec.metadata import PhotoMetadata

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Outcome = Literal["compressed", "kept", "skipped"]


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """One file to work on: where it is, and where it belongs in the output."""

    url: str
    relative_path: str  # below the root it was found under, with forward slashes
    size_bytes: int
    modified: float  # seconds since 1970, 0 where the filesystem does not say
    frame: int = 0  # the one of a file of several that is meant, counted from 1; 0: the file
    generation: str = ""  # of an object whose store numbers its versions
    checksum: str = ""  # of its content, where a listing has one: "md5:...", "crc32c:...", "etag:..."


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
    """A photo and its saliency (h, w) float32 in [0, 1] at the network's own resolution; None: all alike.

    `mask_sha256` is of the file that the saliency was drawn in, b"" where settings and weights decide it.
    """

    photo: Photo
    saliency: NDArray[np.float32] | None
    saliency_seconds: float
    mask_sha256: bytes = b""


@dataclasses.dataclass(frozen=True)
class KeptSource:
    """A good file that the archive holds unchanged, and why."""

    source: SourceFile
    source_format: str
    source_sha256: str
    reason: str


@dataclasses.dataclass(frozen=True, eq=False)
class Coded:
    """A JP2 file, what a decoder makes of it, and how coarsely each place was coded.

    `decoded` is like the photo's pixels; `noise` is the coding-noise map (ceil(H/8), ceil(W/8), 4) float32,
    None where nothing was lost.
    """

    jp2: bytes
    decoded: Pixels
    noise: NDArray[np.float32] | None
    comcnn_used: bool
    encode_seconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class CodedPhoto:
    """A photo and the files that could stand for it, the plain one first. `archived`: it is there already."""

    salient: SalientPhoto
    candidates: tuple[Coded, ...]
    archived: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class CompactPhoto:
    """A coded photo and what ComCNN makes of its pixels; None where ComCNN is not called for."""

    coded: CodedPhoto
    compact: Pixels | None
    comcnn_seconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class RestoredPhoto:
    """A coded photo and what RecCNN makes of each candidate; None where it has nothing to do."""

    coded: CodedPhoto
    restored: tuple[Pixels | None, ...]
    reccnn_seconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class Archived:
    """A finished archive file and its row; `write` is False if it lies in its place already."""

    source: SourceFile
    url: str
    jp2: bytes
    row: MetricsRow
    write: bool


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedFile:
    """A JPEG 2000 file read back: pixels like `Photo`, and its noise map (None: lossless, or not known)."""

    source: SourceFile
    output_path: str  # below the output's root
    pixels: Pixels
    metadata: PhotoMetadata
    noise: NDArray[np.float32] | None
    comcnn_used: bool
    note: str  # why there is no noise map, "" if there is or need not be
    source_sha256: bytes = b""  # of the file that it was made of, as far as its record tells


@dataclasses.dataclass(frozen=True)
class MetricsRow:
    """One photo's outcome: the only definition of the metrics table's columns.

    Units stand in the names; PSNR in dB, infinite where nothing was lost; SSIM in [-1, 1]. Fields of a photo
    that was not compressed (outcome "kept" or "skipped") and of measures that do not apply are None.
    `psnr_s` and `ssim_s` are weighted by the saliency map; `rec_*` measure what RecCNN makes of the archive.
    """

    source_url: str
    archive_url: str
    relative_path: str
    outcome: Outcome
    reason: str  # why it was kept or skipped, "" for compressed
    source_format: str
    source_bytes: int
    archive_bytes: int
    source_modified: float
    source_sha256: str
    width: int | None
    height: int | None
    channels: int | None
    bit_depth: int | None
    compression_ratio: float | None  # source bytes / archive bytes
    raw_ratio: float | None  # raw bytes / archive bytes
    bits_per_pixel: float | None
    mse: float | None
    psnr_db: float | None
    psnr_y_db: float | None
    ssim: float | None
    ms_ssim: float | None
    psnr_s_db: float | None
    ssim_s: float | None
    rec_mse: float | None
    rec_psnr_db: float | None
    rec_psnr_y_db: float | None
    rec_ssim: float | None
    rec_ms_ssim: float | None
    rec_psnr_s_db: float | None
    rec_ssim_s: float | None
    saliency_mean: float | None
    salient_share: float | None  # share of the photo whose saliency is above one half
    target: str  # "bpp=0.5", "psnr=40", "lossless", ...
    target_reached: float | None  # in the target's own unit
    comcnn_used: bool | None
    metadata_lost: str  # what of the source's metadata the JP2 cannot hold, "" if nothing
    read_seconds: float | None
    saliency_seconds: float | None
    encode_seconds: float | None
    measure_seconds: float | None
    settings_digest: str
    weights_digest: str
    foveate_version: str
    run_id: str
    finished: datetime.datetime
    source_generation: str | None = None  # of an object in a store that numbers versions
    source_checksum: str | None = None  # as the store's listing gave it
    archive_version: str | None = None  # what a listing shows of the file: a checksum, or when it was changed
    archive_sha256: str | None = None  # of the whole file as it is stored
    codestream_sha256: str | None = None  # of the codestream within a JP2 file
    camera: str | None = None  # maker and model as EXIF names them
    taken: str | None = None  # ISO 8601 by the camera's clock, which knows no zone
    cleaned_psnr_db: float | None = None  # of what was coded against the source, where DnCNN cleaned it first


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why one photo could not be handled: a url and a reason, never pixels."""

    url: str
    step: str
    error_type: str
    message: str
    time: str  # ISO 8601, UTC
