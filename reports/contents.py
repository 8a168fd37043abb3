"""The contents of a report: plain data, the same for terminal, JSON and page.

The names of the fields are the keys of `foveate report --json` and will not change; `docs/report.md` explains
them.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Literal

from foveate.archive.rows import MetricsRow

FORMAT_VERSION = 2

_COLUMNS = {field.name for field in dataclasses.fields(MetricsRow)}
_LABELS = {  # column of the metrics table: (label, unit)
    "ssimulacra2": ("SSIMULACRA 2", "points"),
    "compression_ratio": ("Compression ratio", "×"),
    "bits_per_pixel": ("Bits per pixel", "bpp"),
    "psnr_db": ("PSNR", "dB"),
    "psnr_y_db": ("PSNR-Y", "dB"),
    "ssim": ("SSIM", ""),
    "ms_ssim": ("MS-SSIM", ""),
    "psnr_s_db": ("PSNR-S", "dB"),
    "ssim_s": ("SSIM-S", ""),
}
MEASURES = {  # column of the metrics table: (label, unit, has a rec_ twin)
    name: (label, unit, f"rec_{name}" in _COLUMNS) for name, (label, unit) in _LABELS.items()
}
LOGARITHMIC = ("compression_ratio", "bits_per_pixel")  # measures whose histograms have bins of equal ratio


def is_measure(column: str) -> bool:
    """Whether a column of the metrics table is a measure of photos as decoded, or as restored."""
    return column.removeprefix("rec_") in MEASURES


GalleryKind = Literal["worst", "median", "best"]


@dataclasses.dataclass(frozen=True)
class Accounting:
    """How every source ended: sources = compressed + kept + skipped + failed."""

    sources: int
    compressed: int
    kept: int
    skipped: int
    failed: int


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Bytes of all photos that are in the archive, before and after."""

    before_bytes: int
    after_bytes: int
    saved_bytes: int
    saved_share: float | None  # of the bytes before
    ratio: float | None  # bytes before / bytes after


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of storing those bytes, in the unit of `price_per_gb_month`; a GB is 10^9 bytes."""

    price_per_gb_month: float
    before_per_month: float
    after_per_month: float
    saved_per_month: float
    saved_per_year: float


@dataclasses.dataclass(frozen=True)
class Statistics:
    """One measure over the compressed photos; `lossless` counts the infinite values, left out of the rest."""

    photos: int
    lossless: int
    mean: float | None
    median: float | None
    p05: float | None
    p95: float | None
    min: float | None
    max: float | None


@dataclasses.dataclass(frozen=True)
class Measure:
    """A measure of the decoded photos, of the reconstructed ones, and the mean of their difference."""

    name: str  # the metrics table's column
    label: str
    unit: str  # "dB", "bpp", "×" or ""
    decoded: Statistics
    reconstructed: Statistics | None  # None: not a measure that reconstruction changes
    mean_gain: float | None  # reconstructed − decoded, over photos where both are finite


def restored_of_sample(measures: Sequence[Measure]) -> int:
    """How many photos were restored whole to be measured, where not all of them were; else 0."""
    for measure in measures:
        if measure.name == "psnr_db" and measure.reconstructed is not None:
            restored = measure.reconstructed.photos
            return restored if restored < measure.decoded.photos else 0
    return 0


@dataclasses.dataclass(frozen=True)
class Group:
    """The photos of one folder, camera, format or month; means over the compressed ones' finite values."""

    name: str  # "" for the top folder, or where camera or month are not known
    photos: int
    compressed: int
    kept: int
    source_bytes: int
    archive_bytes: int
    mean_ratio: float | None
    mean_bits_per_pixel: float | None
    mean_psnr_db: float | None
    mean_rec_psnr_db: float | None
    mean_psnr_s_db: float | None
    mean_ssim: float | None
    mean_ssimulacra2: float | None


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a number of photos were kept unchanged, or skipped."""

    outcome: str
    reason: str
    photos: int
    source_bytes: int


@dataclasses.dataclass(frozen=True)
class Loss:
    """Metadata of one kind that a number of compressed photos lost, and one of these photos."""

    name: str
    photos: int
    example: str  # its path
    details: str  # what was said of it


@dataclasses.dataclass(frozen=True)
class FailureExample:
    """One failed photo: its url and what was said."""

    url: str
    message: str


@dataclasses.dataclass(frozen=True)
class FailureGroup:
    """The failures of one kind at one step, with a few examples."""

    step: str
    error_type: str
    photos: int
    examples: tuple[FailureExample, ...]


@dataclasses.dataclass(frozen=True)
class Step:
    """The time of a step, in seconds of one worker, and its speed in megapixels per second of one worker."""

    name: str
    photos: int
    total_seconds: float
    mean_seconds: float
    megapixels_per_second: float | None


@dataclasses.dataclass(frozen=True)
class Run:
    """The results of one run, as written at the time."""

    run_id: str
    finished: datetime.datetime | None
    versions: tuple[str, ...]
    compressed: int
    kept: int
    skipped: int
    failed: int


@dataclasses.dataclass(frozen=True)
class PhotoFigures:
    """One photo of the archive; fields as in the metrics table, `seconds` over all steps."""

    relative_path: str
    source_url: str
    archive_url: str
    outcome: str
    reason: str
    source_format: str
    camera: str | None
    source_bytes: int
    archive_bytes: int
    width: int | None
    height: int | None
    seconds: float | None
    compression_ratio: float | None
    bits_per_pixel: float | None
    ssimulacra2: float | None
    psnr_db: float | None
    psnr_y_db: float | None
    ssim: float | None
    ms_ssim: float | None
    psnr_s_db: float | None
    ssim_s: float | None
    rec_ssimulacra2: float | None
    rec_psnr_db: float | None
    rec_psnr_y_db: float | None
    rec_ssim: float | None
    rec_ms_ssim: float | None
    rec_psnr_s_db: float | None
    rec_ssim_s: float | None
    faces: int | None = None
    writing_share: float | None = None


@dataclasses.dataclass(frozen=True)
class GalleryPhoto:
    """A photo chosen to be shown."""

    kind: GalleryKind
    photo: PhotoFigures


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Counts of a measure's finite values by bin; the outermost bins also hold what lies beyond."""

    name: str
    label: str
    unit: str
    edges: tuple[float, ...]
    decoded: tuple[int, ...]
    reconstructed: tuple[int, ...] | None


@dataclasses.dataclass(frozen=True)
class ScatterPoint:
    """One compressed photo of a sample: rate against quality."""

    relative_path: str
    bits_per_pixel: float
    psnr_db: float
    rec_psnr_db: float | None


@dataclasses.dataclass(frozen=True)
class GateResult:
    """One `--fail-if` condition: what the figure was, None if it has no value, and whether it failed."""

    condition: str
    figure: str
    value: float | None
    failed: bool


@dataclasses.dataclass(frozen=True)
class Report:
    """All figures of an archive, or of one run of it.

    `folders`, `cameras`, `formats`, `reasons`, `failures` and `runs` are cut to the largest (newest) few; the
    `*_total` fields say how many there are. `scatter` is a sample, the same one each time. `figures` has what
    `--fail-if` may name.
    """

    kind: Literal["report"]
    format_version: int
    archive_url: str
    run_id: str | None  # None: the latest state over all runs
    first_finished: datetime.datetime | None
    last_finished: datetime.datetime | None
    versions: tuple[str, ...]
    settings_digests: tuple[str, ...]
    weights_digests: tuple[str, ...]
    megapixels: float
    accounting: Accounting
    sizes: Sizes
    cost: Cost
    measures: tuple[Measure, ...]
    folders: tuple[Group, ...]
    folders_total: int
    cameras: tuple[Group, ...]
    cameras_total: int
    formats: tuple[Group, ...]
    formats_total: int
    months: tuple[Group, ...]  # the newest, in order of time; "YYYY-MM"
    months_total: int
    reasons: tuple[Reason, ...]
    reasons_total: int
    lost_metadata: int  # photos that lost some
    losses: tuple[Loss, ...]
    losses_total: int
    failures: tuple[FailureGroup, ...]
    failures_total: int
    steps: tuple[Step, ...]
    runs: tuple[Run, ...]
    runs_total: int
    histograms: tuple[Histogram, ...]
    scatter: tuple[ScatterPoint, ...]
    worst: tuple[PhotoFigures, ...]
    slowest: tuple[PhotoFigures, ...]
    gallery: tuple[GalleryPhoto, ...]
    figures: Mapping[str, float | None]
    gates: tuple[GateResult, ...] = ()

    def measure(self, name: str) -> Measure:
        """The measure of that column. Raises `KeyError` for an unknown one."""
        return {measure.name: measure for measure in self.measures}[name]


@dataclasses.dataclass(frozen=True)
class ComparedMeasure:
    """A measure of several reports: each one's median, and how photos changed from the first report to it.

    `mean_changes` are over photos compressed in both, finite in both; None for the first itself.
    """

    name: str
    label: str
    unit: str
    medians: tuple[float | None, ...]
    mean_changes: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class ComparedHistogram:
    """Counts of a measure's finite values by bins that all reports share, one tuple a report."""

    name: str
    label: str
    unit: str
    edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class ChangedPhoto:
    """A photo compressed in the first and in the last report; its change is last − first.

    The score is PSNR-S, or PSNR if there is none.
    """

    relative_path: str
    first_bytes: int
    last_bytes: int
    first_score_db: float
    last_score_db: float
    change_db: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two or more reports side by side; changes are against the first.

    `figures` are those of the last report, and under `change.NAME` last − first.
    """

    kind: Literal["comparison"]
    format_version: int
    names: tuple[str, ...]
    reports: tuple[Report, ...]
    common_photos: int  # that are in all of them
    measures: tuple[ComparedMeasure, ...]
    histograms: tuple[ComparedHistogram, ...]
    changed: tuple[ChangedPhoto, ...]  # most first
    figures: Mapping[str, float | None]
    gates: tuple[GateResult, ...] = ()
