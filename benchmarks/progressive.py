"""Compares each quality layer of a file with OpenJPEG's file of as many bytes."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import ours, reference
from benchmarks.curves import Curve, Figures
from benchmarks.kept import Kept
from benchmarks.photos import middle_quarter, read_photo
from benchmarks.salient import GAIN_DB, judge
from benchmarks.tables import Section, Table, number
from foveate.codec import allocation, file, openjpeg
from foveate.codec.block_weights import Emphasis
from foveate.codec.encoder import Encoder

RATE = 1.0  # bits per pixel of the whole file
LAYERS = 6
_SOT, _EOC = 0xFF90, b"\xff\xd9"


@dataclasses.dataclass(frozen=True)
class Progress:
    """A photo's prefixes.

    sizes: bytes of each prefix with the boxes before it.
    ours, theirs: figures of each decoded prefix, and of OpenJPEG's file of the same size, in dB.
    single_layer_bytes: of the codestream of the whole picture in one layer.
    layered_bytes: of the same picture in all layers.
    """

    bits_per_pixel: tuple[float, ...]
    ours: tuple[Figures, ...]
    theirs: tuple[Figures, ...]
    single_layer_bytes: int
    layered_bytes: int


def prefixes(codestream: bytes) -> tuple[bytes, ...]:
    """The codestreams of the first layer, the first two and so on, up to the whole.

    Each ends before a layer's first tile-part (Isot 0, A.4.2), with EOC added.

    Args:
      codestream: from `allocation.encode`: the tile-parts of all tiles' first layer come first.
    """
    offset, cuts = 2, []
    while codestream[offset : offset + 2] != _EOC:
        marker, length = struct.unpack_from(">HH", codestream, offset)
        if marker != _SOT:
            offset += 2 + length
            continue
        tile, part_length, part = struct.unpack_from(">HIB", codestream, offset + 4)
        if tile == 0 and part > 0:
            cuts.append(offset)
        offset += part_length
    return (*(codestream[:cut] + _EOC for cut in cuts), codestream[: offset + 2])


def progress(path: Path, kept: Kept) -> Progress:
    """The prefixes of a photo whose middle quarter is favored."""
    photo = read_photo(path)
    height, width, _ = photo.shape
    mask = middle_quarter(height, width)
    figures = judge(photo, mask, GAIN_DB)
    budget = ours.budget_of(RATE, height, width)
    source = Encoder(photo, Emphasis(mask, GAIN_DB))
    choice, data = file.within(source, budget, ours.boxes(mask), LAYERS)
    codestream = allocation.encode(choice)
    parts = prefixes(codestream)
    sizes = [len(part) + len(data) - len(codestream) for part in parts]

    def plain() -> Curve:
        return tuple(reference.plain(photo, size, figures) for size in sizes)

    name = f"OpenJPEG {openjpeg.library_version()} middle quarter {GAIN_DB} {sizes}"
    theirs = kept.curve(photo, name, plain)
    return Progress(
        tuple(8 * size / (height * width) for size in sizes),
        tuple(figures(openjpeg.decode(part).pixels) for part in parts),
        tuple(dict(point.figures) for point in theirs),
        allocation.encoded_size(dataclasses.replace(choice, points=choice.points[-1:])),
        len(codestream),
    )


def progressive_section(photos: Sequence[Progress]) -> Section:
    """Means over the photos for each prefix, and the cost of layers."""
    rows = []
    for layer in range(LAYERS):
        cells = [number(float(np.mean([found.bits_per_pixel[layer] for found in photos])), ".3f")]
        for figure in ("inside", "weighted"):
            mine, theirs = (
                float(np.mean([side[layer][figure] for side in sides]))
                for sides in ([found.ours for found in photos], [found.theirs for found in photos])
            )
            cells += [number(mine), number(theirs), number(mine - theirs, "+.2f")]
        rows.append((str(layer + 1), *cells))
    head = ("layers", "bits per pixel", "PSNR-S", "OpenJPEG", "gain", "weighted", "OpenJPEG", "gain")
    table = Table(f"Mean over {len(photos)} photos, in dB", head, tuple(rows))
    costs = [100 * (found.layered_bytes / found.single_layer_bytes - 1) for found in photos]
    extra = [found.layered_bytes - found.single_layer_bytes for found in photos]
    text = (
        f"`--layers {LAYERS} --bpp {RATE:g}` with the middle quarter favored (`--roi-gain {GAIN_DB:g}`): "
        "the file is cut before a layer's tile-part and closed with an end marker. OpenJPEG writes a "
        "separate file for each size, which spends no bytes on layers. PSNR-S is measured inside the "
        f"quarter; the weighted PSNR counts errors there {GAIN_DB:g} dB more. On average, six layers "
        f"instead of one cost {np.mean(extra):.0f} bytes per photo for the same picture, "
        f"{np.mean(costs):.2f} % of the codestream."
    )
    figures = {"cost_percent": costs, "cost_bytes": extra}
    return Section("progressive", "Beginnings of files", text, (table,), (), figures)
