"""What choosing packets costs where nothing is salient, and what it buys where something is.

    python -m benchmarks.allocation PHOTOS [--count N] [--gain DB]

Prints mean PSNR over the photos of a folder at equal bytes: ours, by choosing among the packets of a stream
of many quality layers, and that of plain OpenJPEG. Both sides count the whole JP2 file, ours with its archive
record. OpenJPEG is the better of its two rate controls (fixed quality, fixed rate) for each photo and figure,
interpolated at exactly our bytes. The salient place is the middle quarter of the picture.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec import allocation, jp2, openjpeg, weights
from codec.metadata import PhotoMetadata

RATES_BPP = (0.25, 0.5, 1.0, 2.0)
SALIENT_RATE_BPP = 0.5
BLOCK_SIZES = (64, 32)
PLAIN_OVERHEAD = jp2.overhead(3, metadata=PhotoMetadata())

Photo = NDArray[np.uint8]
Map = NDArray[np.float32]
Figures = NDArray[np.float64]  # dB, one a mask of squared error


@dataclasses.dataclass(frozen=True, eq=False)
class Judge:
    """PSNR of a photo under several weightings of its pixels."""

    photo: Photo
    weights: tuple[Map, ...]  # (H, W) each

    def figures(self, data: bytes) -> Figures:
        """One PSNR in dB for each weighting of what a JP2 file or codestream decodes to."""
        error = self.photo.astype(np.float32) - openjpeg.decode(data).pixels
        squared = (error**2).mean(2)
        means = [float((squared * w).sum(dtype=np.float64) / w.sum(dtype=np.float64)) for w in self.weights]
        return 10 * np.log10(255**2 / np.maximum(means, 1e-9))


@dataclasses.dataclass(frozen=True, eq=False)
class Layered:
    """A photo's stream of many layers, ready to be cut to any number of bytes."""

    candidates: allocation.Candidates
    saliency: Map | None

    def file(self, bits_per_pixel: float) -> bytes:
        """A JP2 file of at most so many bits a pixel."""
        size = self.candidates.stream.size
        record = jp2.ArchiveRecord(bytes(32), bytes(8), saliency=self.saliency)
        extra = jp2.overhead(3, metadata=PhotoMetadata(), record=record)
        budget = int(bits_per_pixel * size.width * size.height / 8)
        choice = allocation.fit_bytes(self.candidates, budget - extra)
        return jp2.wrap(allocation.encode(choice), metadata=PhotoMetadata(), record=record)


def layered(photo: Photo, block_size: int, saliency: Map | None, gain_db: float) -> Layered:
    """Encodes a photo once and ranks its packets by weighted slope."""
    psnrs = allocation.layer_psnrs(8)
    data = openjpeg.encode(photo, layer_psnrs_db=psnrs, block_size=block_size)
    stream, layout, parts = allocation.parse_layers(data)
    of_blocks = np.ones(len(layout.blocks.tile))
    if saliency is not None:
        of_blocks = weights.saliency_weights(stream, layout, saliency, gain_db)
    slopes = allocation.layer_slopes(layout, parts, psnrs)
    return Layered(allocation.rank(stream, layout, parts, slopes, of_blocks), saliency)


def plain(judge: Judge, size: int, near_db: float) -> Figures:
    """OpenJPEG's figures at exactly `size` bytes, each by the rate control that does better.

    Args:
      judge: of the photo.
      size: bytes of the whole JP2 file.
      near_db: a PSNR not far from what these bytes give.
    """
    return np.maximum(_by_quality(judge, size, near_db), _by_rate(judge, size))


def _by_quality(judge: Judge, size: int, near_db: float) -> Figures:
    """Fixed quality: steps on the target until sizes enclose the wanted one closely."""
    points: list[tuple[float, float, bytes]] = []  # target in dB, log2 of the size, stream
    target = near_db
    while len(points) < 6:
        data = openjpeg.encode(judge.photo, layer_psnrs_db=(target,))
        points.append((target, float(np.log2(len(data) + PLAIN_OVERHEAD)), data))
        miss = [log_size - np.log2(size) for _, log_size, _ in points]
        if min(miss) <= 0 <= max(miss) and sorted(map(abs, miss))[1] < 0.03:
            break
        below = [p for p in points if p[1] <= np.log2(size)]
        above = [p for p in points if p[1] > np.log2(size)]
        if below and above:
            (t0, s0, _), (t1, s1, _) = max(below, key=lambda p: p[1]), min(above, key=lambda p: p[1])
            share = (np.log2(size) - s0) / (s1 - s0)
            near = 1 if -miss[-1] > 0 else -1
            target = t0 + share * (t1 - t0) + near * 0.02
        else:
            target -= 5 * miss[-1] + 0.05 * np.sign(miss[-1])
    return _at_size(judge, [(log_size, data) for _, log_size, data in points], size)


def _by_rate(judge: Judge, size: int) -> Figures:
    """Fixed rate: files aimed just below and just above the size, and the line between them."""
    points = []
    for factor in (0.995, 1.005):
        data = _encode_at_rate(judge.photo, size * factor)
        points.append((float(np.log2(len(data))), data))
    return _at_size(judge, points, size)


def _encode_at_rate(photo: Photo, size: float) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo).save(
        file,
        "JPEG2000",
        quality_mode="rates",
        quality_layers=[photo.size / size],
        irreversible=True,
        mct=1,
        codeblock_size=(64, 64),
    )
    return file.getvalue()


def _at_size(judge: Judge, points: Sequence[tuple[float, bytes]], size: int) -> Figures:
    """Figures at a size, on the line through those of the nearest point on each side (or the nearest two)."""
    wanted = np.log2(size)
    by_distance = sorted(points, key=lambda p: abs(p[0] - wanted))
    first = by_distance[0]
    others = [p for p in by_distance[1:] if (p[0] - wanted) * (first[0] - wanted) <= 0] or by_distance[1:]
    second = next((p for p in others if p[0] != first[0]), None)
    figures = judge.figures(first[1])
    if second is None:
        return figures
    share = (wanted - first[0]) / (second[0] - first[0])
    between: Figures = figures + share * (judge.figures(second[1]) - figures)
    return between


def compare_plain(photo: Photo) -> Iterator[tuple[float, int, float, float]]:
    """Rate asked for, bytes, our PSNR and OpenJPEG's, at each rate with nothing salient."""
    judge = Judge(photo, (np.ones(photo.shape[:2], np.float32),))
    ours = layered(photo, 64, None, 0)
    for rate in RATES_BPP:
        data = ours.file(rate)
        (psnr,) = judge.figures(data)
        (rival,) = plain(judge, len(data), psnr)
        yield rate, len(data), psnr, rival


def middle_quarter(height: int, width: int) -> Map:
    """A mask over the middle half of each side."""
    mask = np.zeros((height, width), np.float32)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return mask


def compare_salient(photo: Photo, gain_db: float) -> Iterator[tuple[str, Figures]]:
    """PSNR inside, outside, weighted by salience and over all: ours for each block size, and OpenJPEG's."""
    mask = middle_quarter(*photo.shape[:2])
    judge = Judge(
        photo, (mask, 1 - mask, np.float32(10) ** (np.float32(gain_db / 10) * mask), np.ones_like(mask))
    )
    found = {}
    for block_size in BLOCK_SIZES:
        data = layered(photo, block_size, mask, gain_db).file(SALIENT_RATE_BPP)
        found[block_size] = judge.figures(data)
        yield f"{block_size}x{block_size}", found[block_size]
    yield "chosen", found[weights.block_size(photo.shape[0], photo.shape[1], mask, gain_db)]
    yield "OpenJPEG", plain(judge, len(data), float(found[block_size][-1]) + 0.5)


def read_photos(folder: Path, count: int | None) -> Iterator[Photo]:
    """The pictures of a folder in the order of their names, as RGB."""
    for path in sorted(p for p in folder.iterdir() if p.is_file())[:count]:
        with Image.open(path) as image:
            yield np.asarray(image.convert("RGB"))


def main(argv: Sequence[str] | None = None, show: Callable[[str], None] = print) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Compare packet choice with OpenJPEG at equal bytes.")
    parser.add_argument("photos", type=Path, help="a folder of photos")
    parser.add_argument("--count", type=int, help="so many of them only")
    parser.add_argument("--gain", type=float, default=12.0, help="dB that the middle is worth over the rest")
    arguments = parser.parse_args(argv)
    rows: list[list[tuple[float, int, float, float]]] = []
    salient: dict[str, list[Figures]] = {}
    for photo in read_photos(arguments.photos, arguments.count):
        rows.append(list(compare_plain(photo)))
        for name, figures in compare_salient(photo, arguments.gain):
            salient.setdefault(name, []).append(figures)
    if not rows:
        parser.error(f"{arguments.photos} holds no file")
    show(f"{len(rows)} photos, nothing salient, 64x64 blocks: mean PSNR in dB")
    show(f"{'bpp':>6} {'ours':>7} {'OpenJPEG':>9} {'gain':>7} {'worst':>7}")
    for rate, _, ours, rival in np.array(rows).transpose(1, 2, 0):
        gain = ours - rival
        show(f"{rate[0]:6.2f} {ours.mean():7.3f} {rival.mean():9.3f} {gain.mean():+7.3f} {gain.min():+7.3f}")
    show(f"\nmiddle quarter salient, {arguments.gain:g} dB, {SALIENT_RATE_BPP} bpp: mean PSNR in dB")
    show(f"{'':>10} {'inside':>8} {'outside':>8} {'weighted':>9} {'all':>8}")
    for name, found in salient.items():
        inside, outside, weighted, all_over = np.mean(found, 0)
        show(f"{name:>10} {inside:8.3f} {outside:8.3f} {weighted:9.3f} {all_over:8.3f}")


if __name__ == "__main__":
    main()
