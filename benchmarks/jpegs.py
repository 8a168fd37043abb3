"""Measures how much smaller archives of JPEGs of many qualities are, and how close to the JPEGs.

Nagarsenker, Khandekar and Deshmukh ("JPEG2000-Based Semantic Image Compression using CNN") report, for such
sources, a ratio of source bytes to archive bytes of 1.62 to 1.75 at a mean PSNR of 37 to 38 dB.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from benchmarks.archived import Archived, archived
from benchmarks.kept import Kept
from benchmarks.photos import read_photo
from benchmarks.tables import Bar, Section, Table, number

QUALITIES = (50, 75, 85, 92, 97)
SETTINGS = ("--psnr 38", "--quality 80", "--ratio 1.75")
_FINE = 85  # from this quality on, the paper's figure is a bar
_PAPER_RATIO, _PAPER_DB = 1.75, 38.45


@dataclasses.dataclass(frozen=True)
class JpegArchive:
    """The archive of all photos as JPEGs of one quality."""

    quality: int
    setting: str
    archive: Archived


def jpeg_archives(
    paths: Sequence[Path], kept: Kept, qualities: Sequence[int] = QUALITIES
) -> list[JpegArchive]:
    """Writes the JPEGs and archives them, below the folder of `kept`.

    Raises:
      ValueError: there is no folder to keep archives in.
    """
    if kept.folder is None:
        raise ValueError("the section jpegs writes archives: say where with --keep FOLDER")
    found = []
    for quality in qualities:
        sources = kept.folder / "jpegs" / f"q{quality}-{len(paths)}"
        sources.mkdir(parents=True, exist_ok=True)
        for path in paths:
            target = sources / f"{path.stem}.jpg"
            if not target.exists():
                Image.fromarray(read_photo(path)).save(target, quality=quality)
        for setting in SETTINGS:
            folder = sources.with_name(f"{sources.name}{setting.replace(' ', '')}")
            flags = ("--roi=none", setting.replace(" ", "="))
            found.append(JpegArchive(quality, setting, archived(sources, folder, flags)))
    return found


def jpegs_section(archives: Sequence[JpegArchive]) -> Section:
    """Ratio, PSNR and SSIM over the source's bytes, for each quality of the JPEGs and each setting."""
    rows, figures = [], []
    for found in archives:
        archive = found.archive
        compressed = archive.compressed()
        means = {
            name: statistics.fmean(row[name] for row in compressed) if compressed else float("nan")
            for name in ("psnr_db", "ssim", "rec_psnr_db", "rec_ssim")
        }
        kept_share = 1 - len(compressed) / len(archive.rows)
        bits = 8e-6 * sum(row["source_bytes"] for row in archive.rows) / archive.megapixels
        rows.append(
            (
                *(found.setting, str(found.quality), number(bits), number(archive.ratio)),
                *(number(100 * kept_share, ".0f"), number(means["psnr_db"]), number(means["ssim"], ".4f")),
                *(number(means["rec_psnr_db"]), number(means["rec_ssim"], ".4f")),
            )
        )
        figures.append(
            {
                "setting": found.setting,
                "jpeg_quality": found.quality,
                "ratio": archive.ratio,
                "kept_share": kept_share,
                "source_bits_per_pixel": bits,
                **means,
            }
        )
    rows.sort(key=lambda row: SETTINGS.index(row[0]))
    head = (
        *("setting", "JPEG quality", "its bits per pixel", "ratio", "kept, %", "PSNR", "SSIM"),
        *("restored: PSNR", "SSIM"),
    )
    photos = len(archives[0].archive.rows)
    caption = f"{photos} photos: ratio of all together, means of those compressed, against the JPEG"
    bars = tuple(
        Bar(
            f"restored PSNR at a ratio of 1.75, JPEG quality {figure['jpeg_quality']}",
            *(figure["rec_psnr_db"], _PAPER_DB, "dB", False),
        )
        for figure in figures
        if figure["setting"] == "--ratio 1.75" and figure["jpeg_quality"] >= _FINE
    )
    text = (
        "`--roi none`; the photos are first written as JPEGs of each quality (4:2:0, by Pillow). The ratio "
        "is the bytes of all sources over those of the archive, including files that were kept unchanged "
        "because they would not get 5 % smaller; restored by RecCNN `fast`. The paper that Foveate started "
        f"from reports a ratio of 1.62 to {_PAPER_RATIO} at 37 to 38 dB for such sources ({_PAPER_DB} dB "
        "and an SSIM of 0.9602 on 50 photos), without giving their quality."
    )
    table = Table(caption, head, tuple(rows))
    return Section("jpegs", "JPEGs as sources", text, (table,), bars, {"settings": figures})
