"""Compares the size of lossless files with OpenJPEG's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import openjpeg_encoder, ours
from benchmarks.photos import deepened, gray, read_photo, with_alpha
from benchmarks.tables import Section, Table, number
from foveate.codec import jp2
from foveate.codec.coding import Pixels
from foveate.codec.file import Recipe, encode_file
from foveate.codec.goals import Lossless
from foveate.codec.metadata import PhotoMetadata

Sizes = Mapping[str, tuple[int, int]]  # Foveate's and OpenJPEG's bytes, by kind of picture


class NotLossless(AssertionError):  # noqa: N818
    """A file did not decode to its source."""


def pictures(photo: Pixels) -> dict[str, Pixels]:
    """Pictures of every kind made of an 8-bit RGB photo."""
    photo = photo.astype(np.uint8)
    deep = deepened(photo)
    return {
        "gray, 8 bits": gray(photo),
        "gray and alpha, 8 bits": with_alpha(gray(photo)),
        "color, 8 bits": photo,
        "color and alpha, 8 bits": with_alpha(photo),
        "gray, 16 bits": np.ascontiguousarray(deep[:, :, 1:2]),
        "color, 16 bits": deep,
        "color and alpha, 16 bits": with_alpha(deep),
    }


def sizes(path: Path) -> Sizes:
    """Both sides' bytes for each kind of picture of a photo; raises NotLossless."""
    return {kind: _sizes(kind, pixels) for kind, pixels in pictures(read_photo(path)).items()}


def _sizes(kind: str, pixels: Pixels) -> tuple[int, int]:
    encoded = encode_file(pixels, Recipe(Lossless()), ours.boxes())
    if not np.array_equal(encoded.pixels, pixels):
        raise NotLossless(f"{kind}, {pixels.shape}: the file does not decode to its source")
    plain = openjpeg_encoder.encode_lossless(pixels)
    return len(encoded.jp2), len(plain) + jp2.overhead(pixels.shape[2], metadata=PhotoMetadata())


def lossless_section(photos: Sequence[Sizes]) -> Section:
    """Sums over the photos by kind of picture."""
    rows, figures = [], {}
    for kind in photos[0]:
        mine, theirs = np.array([found[kind] for found in photos]).T
        percent = 100 * (mine.sum() / theirs.sum() - 1)
        worst = 100 * (mine / theirs - 1).max()
        rows.append(
            (kind, f"{mine.sum():,}", f"{theirs.sum():,}", number(percent, "+.3f"), number(worst, "+.3f"))
        )
        figures[kind] = {"ours_bytes": int(mine.sum()), "openjpeg_bytes": int(theirs.sum())}
    text = (
        "`--lossless`, whole files; each is decoded and compared with its source, and all are exact. The "
        "16-bit pictures are the photos at half width and height: 2 x 2 samples are averaged in linear "
        "light and stored with sRGB's curve. The alpha channel is an ellipse with a soft edge."
    )
    head = ("pictures", "Foveate, bytes", "OpenJPEG, bytes", "more, %", "worst, %")
    table = Table(f"Bytes of {len(photos)} photos", head, tuple(rows))
    return Section("lossless", "Lossless", text, (table,), (), figures)
