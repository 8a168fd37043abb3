"""Small elements for tests of steps: sources, photos, encoders."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from apache_beam.pvalue import TaggedOutput
from numpy.typing import NDArray

from foveate.archive.rows import RunLabels
from foveate.archive.settings import CompressSettings, Target
from foveate.codec.metadata import PhotoMetadata
from foveate.storage.source import SourceFile
from foveate.transforms.elements import Photo, Pixels, SalientPhoto
from foveate.transforms.encode_options import EncodeOptions

WEIGHTS = bytes(range(8))


@dataclasses.dataclass(frozen=True)
class Number:
    """The smallest element of a pipeline: a number with a source of the same name."""

    value: int

    @property
    def source(self) -> SourceFile:
        """As every element has one."""
        return SourceFile(str(self.value), str(self.value), 0, 0.0)


def source(path: Path, root: Path | None = None) -> SourceFile:
    """The element of a file at this path."""
    status = path.stat()
    relative = path.relative_to(root or path.parent)
    return SourceFile(str(path), relative.as_posix(), status.st_size, status.st_mtime)


def a_photo(pixels: Pixels, source_bytes: int | None = None, **metadata: Any) -> Photo:
    """A photo of a source that need not exist, by default of as many bytes as its pixels."""
    size = pixels.nbytes if source_bytes is None else source_bytes
    return Photo(
        source=SourceFile("/in/trip/a.png", "trip/a.png", size, 1.5),
        pixels=pixels,
        metadata=PhotoMetadata(**metadata),
        source_format="png",
        bit_depth=8 * pixels.dtype.itemsize,
        source_sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
        metadata_problems=(),
        read_seconds=0.1,
    )


def salient(
    pixels: Pixels, saliency: NDArray[np.float32] | None = None, source_bytes: int | None = None
) -> SalientPhoto:
    """A photo with its saliency."""
    return SalientPhoto(a_photo(pixels, source_bytes), saliency, 0.1)


def corner(rows: int = 24, columns: int = 32) -> NDArray[np.float32]:
    """A saliency map whose lower right matters."""
    saliency = np.zeros((rows, columns), np.float32)
    saliency[rows // 2 :, columns // 2 :] = 1
    return saliency


def encoder(
    kind: Any = "bpp", value: float = 1.0, archive: str = "/nowhere", resume: bool = False, **settings: Any
) -> EncodeOptions:
    """An encoder for a target."""
    chosen = CompressSettings(Target(kind, value), **{"roi": "none", "comcnn": "off"} | settings)
    return EncodeOptions(chosen, WEIGHTS, archive, resume)


def labels(
    archive: str, run_id: str = "r1", settings_digest: str = "00" * 8, weights_digest: str = "00" * 8
) -> RunLabels:
    """Values that all rows of a run share."""
    return RunLabels(archive, Target("bpp", 1.0), settings_digest, weights_digest, "1.0", run_id)


def outputs(results: Iterable[Any]) -> dict[str, list[Any]]:
    """Results of a step's function by tag; the main output is ""."""
    found: dict[str, list[Any]] = {}
    for result in results:
        tagged = isinstance(result, TaggedOutput)
        found.setdefault(result.tag if tagged else "", []).append(result.value if tagged else result)
    return found


def one(work: Callable[..., Iterable[Any]], *arguments: Any, **options: Any) -> Any:
    """The only thing that a step's function yields, to its main output."""
    results = outputs(work(*arguments, **options))
    assert list(results) == [""] and len(results[""]) == 1, results
    return results[""][0]
