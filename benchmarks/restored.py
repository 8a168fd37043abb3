"""Makes Foveate's files of a photo, plain and restored, as a user would get them from the archive."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks import networks, ours
from benchmarks.curves import Curve, Point, fidelity
from benchmarks.kept import Kept
from benchmarks.networks import Networks
from benchmarks.photos import Photo
from benchmarks.salient import GAIN_DB
from foveate.codec.block_weights import Emphasis
from foveate.codec.coding import Pixels
from foveate.codec.encoder import Encoder
from foveate.codec.file import decode_file
from foveate.codec.metadata import PhotoMetadata
from foveate.models.reccnn import restore_pixels
from foveate.storage.source import SourceFile
from foveate.transforms import elements
from foveate.transforms.elements import CodedFile, CodedPhoto, SalientPhoto
from foveate.transforms.prefilter import prefilter_where_it_helps

RATES = (0.125, 0.25, 0.5, 1.0, 2.0)  # bits per pixel
PLAIN = "Foveate"


@dataclasses.dataclass(frozen=True)
class Way:
    """Which networks a user runs: a size of RecCNN or "" for none, with or without ComCNN where it helps."""

    reccnn: str = ""
    comcnn: bool = False

    @property
    def name(self) -> str:
        """Its name in tables."""
        if not self.reccnn:
            return PLAIN
        return f"{PLAIN} + {'ComCNN, ' if self.comcnn else ''}RecCNN {self.reccnn}"


def ways(available: Networks) -> tuple[Way, ...]:
    """All that can be measured."""
    alone = (Way(size) for size in available.sizes)
    both = (Way(size, comcnn=True) for size in available.sizes if available.has_comcnn)
    return (Way(), *alone, *both)


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A photo to be coded: its saliency map, and whether the files favor what it shows."""

    photo: Photo
    saliency: NDArray[np.float32]
    favored: bool

    @property
    def map(self) -> NDArray[np.float32] | None:
        """The regions that the files favor."""
        return self.saliency if self.favored else None

    @property
    def merit(self) -> str:
        """The figure by which compress chooses."""
        return "psnr_s" if self.favored else "psnr"

    def files(self, pixels: Pixels, rates: Sequence[float]) -> list[bytes]:
        """Whole files of the photo, or of ComCNN's output."""
        source = Encoder(pixels, Emphasis(self.map, GAIN_DB))
        budgets = (ours.budget_of(rate, *pixels.shape[:2]) for rate in rates)
        return [ours.file_within(source, budget, self.map) for budget in budgets]

    def point(self, size: int, pixels: Pixels) -> Point:
        """The figures of what a file of so many bytes gives."""
        return Point(size, fidelity(self.photo, pixels, self.saliency))


def our_curves(task: Task, wanted: Sequence[Way], available: Networks, kept: Kept) -> dict[str, Curve]:
    """The curve of each way, by its name, at `RATES`.

    Files are always encoded again; the networks' output for the same file is kept.
    """
    curves: dict[str, list[Point]] = {way.name: [] for way in wanted}
    for rate, data in zip(RATES, task.files(task.photo, RATES), strict=True):
        coded = decoded(data)
        plain = task.point(len(data), coded.decoded)
        for way in wanted:
            outcome = plain if not way.reccnn else _outcome(task, rate, coded, plain, way, available, kept)
            curves[way.name].append(outcome)
    return {name: tuple(points) for name, points in curves.items()}


def decoded(data: bytes) -> CodedFile:
    """A file with its decoded pixels and coding-noise map."""
    found = decode_file(data)
    return CodedFile(data, found.decoded.pixels, found.noise, False, 0.0)


def _outcome(
    task: Task, rate: float, coded: CodedFile, plain: Point, way: Way, available: Networks, kept: Kept
) -> Point:
    """Compresses a photo in one of the ways of `foveate compress`."""
    of_file = f"{hashlib.sha256(coded.jp2).hexdigest()}, {networks.msroi_name()}"
    what = f"{of_file}, {available.reccnn_name(way.reccnn)}"

    def restore() -> Curve:
        return (_restored(task, coded, False, way.reccnn, available),)

    def prefilter() -> Curve:
        return _prefiltered(task, rate, coded, way.reccnn, available)

    if way.comcnn and (both := kept.curve(task.photo, f"{what}, {available.comcnn_name()}", prefilter)):
        filtered, restored = both
        return as_restored(filtered, restored, task.merit)
    (restored,) = kept.curve(task.photo, what, restore)
    return as_restored(plain, restored, task.merit)


def as_restored(decoded: Point, restored: Point, merit: str) -> Point:
    """The point that users get: compress marks files that restoring would make worse.

    The figure "unmarked" is the PSNR that it would have without the mark.
    """
    marked = restored.figures[merit] < decoded.figures[merit]
    point = decoded if marked else restored
    return Point(point.size, {**point.figures, "marked": float(marked), "unmarked": restored.figures["psnr"]})


def _restored(task: Task, coded: CodedFile, prefiltered: bool, size: str, available: Networks) -> Point:
    pixels = restore_pixels(available.reccnn(size), coded.decoded, coded.noise, prefiltered)
    if pixels is None:
        raise AssertionError("a lossy file has a noise map")
    return task.point(len(coded.jp2), pixels)


def _prefiltered(task: Task, rate: float, coded: CodedFile, size: str, available: Networks) -> Curve:
    """The file of ComCNN's output, decoded and restored; () if compress would not use ComCNN."""
    source = SourceFile("", "", 1, 0.0)
    photo = elements.Photo(source, task.photo, PhotoMetadata(), "png", 8, "", (), 0.0)
    element = CodedPhoto(SalientPhoto(photo, task.map, 0.0), coded)
    compact = prefilter_where_it_helps(available.comcnn(), element).prefiltered
    if compact is None:
        return ()
    (data,) = task.files(compact, (rate,))
    filtered = decoded(data)
    return task.point(len(data), filtered.decoded), _restored(task, filtered, True, size, available)
