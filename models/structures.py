"""Finds what matters in a photo: objects, faces and writing, as one map each and combined.

Prakash et al. 2017 add up where the structures of many classes are. Here a structure may also be a face or a
line of writing: what people look at first, and miss most.

    photo -> MS-ROI -------> objects --> less where nothing stands out --+
        \\-> face network --> faces --------------------------------------+-> the largest, weighted -> map
        \\-> text network --> writing ------------------------------------+
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.models import faces, looks, msroi, writing
from foveate.models.array_files import file_sha256
from foveate.models.faces import Face
from foveate.models.scaling import Pixels

SaliencyMap = NDArray[np.float32]

SIDE = 320  # cells of a map's longer side: 13 pixels of a photo of 12 megapixels
NAMES = ("objects", "faces", "writing")
DEFAULT_WEIGHTS = (1.0, 1.3, 1.2)
_LEVELS = 255  # maps are rounded to this many steps, so that they do not depend on the last bits of a float
_PHOTO, _PAGE = 0.25, 0.5  # share of writing from which on places differ less, and not at all
_LIKELY = 0.5  # the value that a structure reaches somewhere if it is present
_DECIDED, _DIFFUSE = 0.2, 0.35  # doubt from which an object map counts less, and not at all


@dataclasses.dataclass(frozen=True, eq=False)
class StructureFinder:
    """The loaded networks; None for structures with a weight of 0."""

    objects: msroi.MsRoi | None
    faces: faces.FaceFinder | None
    writing: writing.WritingFinder | None


@dataclasses.dataclass(frozen=True, eq=False)
class Structures:
    """Findings in a photo: maps of one shape (h, w), float32 in [0, 1] in steps of 1/255; and faces."""

    objects: SaliencyMap
    faces: SaliencyMap
    writing: SaliencyMap
    found_faces: tuple[Face, ...]

    @property
    def writing_share(self) -> float:
        """The share of the photo that is writing."""
        return float(np.mean(self.writing > 0.5))


def load(weights: Sequence[float] = DEFAULT_WEIGHTS) -> StructureFinder:
    """The networks of the structures that count, in the order of `NAMES`, with the shipped weights."""
    objects, face, line = (weight > 0 for weight in weights)
    return StructureFinder(
        msroi.load() if objects else None,
        faces.load() if face else None,
        writing.load() if line else None,
    )


def weights_sha256(weights: Sequence[float] = DEFAULT_WEIGHTS) -> str:
    """SHA-256 over the weights files of the structures that count, as hexadecimal digits."""
    files = (msroi.WEIGHTS, faces.WEIGHTS, writing.WEIGHTS)
    digests = [file_sha256(file) for file, weight in zip(files, weights, strict=True) if weight > 0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def find(finder: StructureFinder, pixels: Pixels) -> Structures:
    """Finds the structures of a photo (H, W, C) of 8 or 16 bits, C in 1..4, each as a map of its own.

    Raises ValueError for another shape or type.
    """
    fine = looks.fine_view(pixels)
    photo = pixels.shape[:2]
    shape = map_shape(*photo)
    objects = np.zeros(shape, np.float32)
    if finder.objects is not None:
        objects = stretched(settled(msroi.saliency(finder.objects, fine.picture)), shape)
    found = faces.find_faces(finder.faces, pixels, fine) if finder.faces is not None else []
    lines = np.zeros(shape, np.float32)
    if finder.writing is not None:
        lines = writing.writing_map(finder.writing, fine, photo, shape)
    heads = faces.face_map(found, photo, shape)
    lines *= 1 - heads  # eyes and lips look like writing from afar
    return Structures(_rounded(objects), _rounded(heads), _rounded(lines), tuple(found))


def combine(structures: Structures, weights: Sequence[float] = DEFAULT_WEIGHTS) -> SaliencyMap:
    """One map of what matters, (h, w) float32 in [0, 1] in steps of 1/255.

    At each place, the structure with the largest weighted value counts. The more of a photo is writing, the
    less its places differ, since people look at all of a page. Weights are relative: if all structures in a
    photo have 0.5, they count as much as if all had 1. `weights` are in the order of `NAMES`, none below 0.
    """
    maps = [getattr(structures, name) for name in NAMES]
    for least in (_LIKELY, 0.0):  # a structure that is barely present takes nothing from the others
        present = [w for w, channel in zip(weights, maps, strict=True) if w > 0 and channel.max() > least]
        if present:
            break
    else:
        return np.zeros(structures.objects.shape, np.float32)
    most = max(present)
    weighted = [channel * np.float32(weight / most) for weight, channel in zip(weights, maps, strict=True)]
    combined = np.clip(np.max(weighted, axis=0), 0, 1)
    return _rounded(1 - (1 - combined) * np.float32(_trust(structures.writing_share, _PHOTO, _PAGE)))


def map_shape(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of a photo's maps."""
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def doubt(saliency: SaliencyMap) -> float:
    """How undecided a map of probabilities is, in 0..1: the uncertain share of what it claims.

    That is the expected share of claimed places that are not salient: 0 for a map of zeros and ones, 0.7 for
    a map of 0.3 everywhere, and 1 for a map that claims nothing.
    """
    claimed = float(saliency.sum())
    return float((saliency * (1 - saliency)).sum()) / claimed if claimed > 0 else 1.0


def settled(saliency: SaliencyMap) -> SaliencyMap:
    """An object map that counts less the more it is in doubt; a flat map costs nothing."""
    return saliency * np.float32(_trust(doubt(saliency), _DECIDED, _DIFFUSE))


def _trust(value: float, most: float, none: float) -> float:
    """1 up to `most`, 0 from `none` on, linear in between."""
    return min(1.0, max(0.0, (none - value) / (none - most)))


def stretched(saliency: SaliencyMap, shape: tuple[int, int]) -> SaliencyMap:
    """A map scaled to another shape, bilinear."""
    from PIL import Image

    rows, columns = shape
    return np.asarray(Image.fromarray(saliency).resize((columns, rows), Image.Resampling.BILINEAR))


def _rounded(saliency: SaliencyMap) -> SaliencyMap:
    return (np.rint(saliency * _LEVELS) / _LEVELS).astype(np.float32)
