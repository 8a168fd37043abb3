"""Defines the columns of the metrics and failures tables, and makes their rows.

To add a column, see CONTRIBUTING.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Literal

from foveate.archive.keys import ArchiveKey, stored_name, stored_overhead
from foveate.archive.names import kept_url
from foveate.archive.settings import Target
from foveate.codec.block_weights import Tune
from foveate.pictures.reasons import Reason
from foveate.storage.source import SourceFile

Outcome = Literal["compressed", "kept", "skipped"]


@dataclasses.dataclass(frozen=True)
class MetricsRow:
    """One photo's outcome: the only definition of the metrics table's columns.

    Names contain units; PSNR is in dB, infinite where nothing was lost; SSIM in [-1, 1]. Fields of a photo
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
    reason_code: str | None = None  # `pictures.reasons.Reason` of a kept file; None in rows of older versions
    ssimulacra2: float | None = None  # a score of at most 100; of a sample of photos, or of all on demand
    rec_ssimulacra2: float | None = None
    alpha_max_error: float | None = None  # of 255; None without an alpha channel
    faces: int | None = None  # that the network found; None where none was asked
    writing_share: float | None = None  # of the photo; None as above


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why one photo failed: a url and a reason, never pixels."""

    url: str
    step: str
    error_type: str
    message: str
    time: str  # ISO 8601, UTC


@dataclasses.dataclass(frozen=True)
class KeptSource:
    """A good file that the archive keeps unchanged, and why: `reason` for programs, `detail` for people."""

    source: SourceFile
    source_format: str
    source_sha256: str
    reason: Reason
    detail: str


@dataclasses.dataclass(frozen=True)
class RunLabels:
    """The columns that all rows of a run share."""

    archive: str
    target: Target
    settings_digest: str
    weights_digest: str
    foveate_version: str
    run_id: str
    tune: Tune = "visual"
    key: ArchiveKey | None = None  # of an archive whose files are encrypted


def make_row(source: SourceFile, run: RunLabels, outcome: Outcome, **known: Any) -> MetricsRow:
    """Makes the row of a photo from its source, its run and the `known` fields; None or "" for the rest."""
    values: dict[str, Any] = {field.name: None for field in dataclasses.fields(MetricsRow)}
    values.update(dict.fromkeys(("reason", "source_format", "metadata_lost"), ""))
    values.update(
        outcome=outcome,
        source_url=source.url,
        relative_path=source.relative_path,
        source_bytes=source.size_bytes,
        source_modified=source.modified,
        source_generation=source.generation or None,
        source_checksum=source.checksum or None,
        target=str(run.target),
        settings_digest=run.settings_digest,
        weights_digest=run.weights_digest,
        foveate_version=run.foveate_version,
        run_id=run.run_id,
        finished=datetime.datetime.now(datetime.UTC),
    )
    return MetricsRow(**values | known)


def row_of_kept(kept: KeptSource, run: RunLabels) -> MetricsRow:
    """Makes the row of a file that the archive keeps unchanged."""
    return make_row(
        kept.source,
        run,
        "kept",
        archive_url=stored_name(kept_url(run.archive, kept.source), run.key),
        reason=kept.detail,
        reason_code=kept.reason.value,
        source_format=kept.source_format,
        archive_bytes=kept.source.size_bytes + stored_overhead(kept.source.relative_path, run.key),
        source_sha256=kept.source_sha256,
        compression_ratio=1.0,
    )
