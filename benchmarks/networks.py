"""The networks that benchmarks run, each loaded when it is first needed, from a folder of weights."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.kept import Kept
from benchmarks.photos import Photo
from foveate.models import comcnn, msroi, reccnn, tiling
from foveate.models.tiling import Network


@dataclasses.dataclass(frozen=True)
class Networks:
    """A folder of weights: ComCNN's, and those of RecCNN's sizes that are there; MS-ROI's are as shipped."""

    folder: Path = tiling.WEIGHTS

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes of RecCNN whose weights are there."""
        return tuple(size for size in reccnn.SIZES if reccnn.weights_file(size, self.folder).exists())

    @property
    def has_comcnn(self) -> bool:
        """Whether ComCNN's weights are there."""
        return _comcnn_file(self.folder).exists()

    def reccnn(self, size: str, precision: str = "float32") -> Network:
        """RecCNN, `fast` or `best`."""
        return _reccnn(size, self.folder, precision)

    def comcnn(self) -> Network:
        """ComCNN."""
        return _comcnn(self.folder)

    def reccnn_name(self, size: str) -> str:
        """Names everything besides the input that RecCNN's pixels depend on."""
        return f"RecCNN {size} {_digest(reccnn.weights_file(size, self.folder))}"

    def comcnn_name(self) -> str:
        """Names everything besides the input that ComCNN's pixels depend on."""
        return f"ComCNN {_digest(_comcnn_file(self.folder))}"


def saliency_map(photo: Photo, kept: Kept) -> NDArray[np.float32]:
    """MS-ROI's map of a photo."""
    return kept.map(photo, msroi_name(), lambda: msroi.saliency(_msroi(), photo))


def msroi_name() -> str:
    """Names everything besides the photo that a map depends on."""
    return f"MS-ROI {_digest(msroi.WEIGHTS)}"


def _comcnn_file(folder: Path) -> Path:
    return folder / comcnn.WEIGHTS_FILE.name


@functools.cache
def _msroi() -> msroi.MsRoi:
    return msroi.load()


@functools.cache
def _reccnn(size: str, folder: Path, precision: str) -> Network:
    return reccnn.load(size, folder, precision)


@functools.cache
def _comcnn(folder: Path) -> Network:
    return comcnn.load(_comcnn_file(folder))


@functools.cache
def _digest(path: Path) -> str:
    return tiling.weights_sha256(path)
