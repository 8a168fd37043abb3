"""Opens files for the functions of the API: bytes, paths or URLs, whole or in part."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.checks import checked_file
from foveate.codec import file
from foveate.codec.excerpt import excerpt, picture_size
from foveate.codec.jp2 import metadata_beside
from foveate.codec.ranged import RangedBytes
from foveate.codec.regions import Region, as_stored, window

_ALL = slice(None), slice(None)
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedPart:
    """A decoded file, or an area of it.

    file: what was decoded.
    turn: how to turn its pixels for viewing, 1 to 8 as in EXIF.
    rows, columns: those that were asked for, before turning.
    """

    file: file.DecodedFile
    turn: int
    rows: slice
    columns: slice

    def as_seen(self, pixels: Pixels) -> Pixels:
        """The requested part of these pixels (restored, if need be), upright."""
        from foveate.pictures.picture import turned

        return turned(pixels[self.rows, self.columns], self.turn)


def decoded_part(
    jp2: bytes | str | os.PathLike[str],
    reduce: int,
    layers: int | None,
    region: Sequence[int] | None,
    halo: int = 0,
) -> DecodedPart:
    """Decodes a file, or an area around a region of the upright picture.

    From a path or URL, only what that needs is read.

    Args:
      jp2: a file.
      reduce, layers: as for `decode_file`; `layers` None for all.
      region: left, top, width and height at full size; None for all.
      halo: pixels around the region that are decoded too.

    Raises:
      BadCodestream, UnsupportedCodestream, ValueError: like `decode_file`.
      TypeError: neither bytes nor a path.
    """
    from foveate.pictures.formats import turn_to_be_seen

    if layers is not None and layers < 1:
        raise ValueError(f"layers must be at least 1, not {layers}")
    if reduce < 0:
        raise ValueError(f"reduce must not be negative, but it is {reduce}")
    is_place = isinstance(jp2, str | os.PathLike)
    data = (
        _opened(os.fspath(jp2)) if isinstance(jp2, str | os.PathLike) else RangedBytes.of(checked_file(jp2))
    )
    if region is None and not (reduce and is_place):
        found = file.decode_file(data.whole(), reduce=reduce, layers=layers or 0)
        return DecodedPart(found, turn_to_be_seen(found.metadata), *_ALL)
    size, turn = picture_size(data), turn_to_be_seen(metadata_beside(data))
    wanted = Region(0, 0, size.width, size.height)
    if region is not None:
        wanted = as_stored(_checked_region(region), turn, size.width, size.height)
    part = window(size, wanted, halo=halo, reduce=reduce)
    smaller = excerpt(data, part.area, reduce=reduce, layers=layers or 0, boxes=False)
    if region is None:
        return DecodedPart(file.decode_file(smaller, reduce=reduce, layers=layers or 0), turn, *_ALL)
    found = file.decode_file(smaller, reduce=reduce, layers=layers or 0, region=part.area)
    return DecodedPart(found, turn, part.rows, part.columns)


def _opened(path: str) -> RangedBytes:
    """A file of which only the parts that are looked at are read."""
    from foveate.storage.files import read_range, reads_at_once, size_of, stored_file

    version = stored_file(path)
    size = version.size_bytes if version else size_of(path)
    fetch = functools.partial(read_range, path, version=version)
    return RangedBytes(size, fetch, at_once=reads_at_once(path))


def _checked_region(region: Sequence[int]) -> Region:
    if len(region) != 4 or min(region[2:]) < 1:
        raise ValueError(f"a region must be (left, top, width, height), not {tuple(region)}")
    return Region(*map(int, region))
