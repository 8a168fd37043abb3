"""Files, and parts of files, as the functions of the API take them: bytes, paths and URLs."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

from foveate.checks import checked_file
from foveate.codec import file
from foveate.codec.excerpt import excerpt, picture_size
from foveate.codec.ranged import RangedBytes
from foveate.codec.regions import Region, window

_ALL = slice(None), slice(None)


def decoded_part(
    jp2: bytes | str | os.PathLike[str],
    reduce: int,
    layers: int | None,
    region: Sequence[int] | None,
    halo: int = 0,
) -> tuple[file.DecodedFile, tuple[slice, slice]]:
    """Decodes a file, or an area around a region, with the rows and columns of the region in it.

    Of a path or URL no more is read than that takes.

    Args:
      jp2: a file.
      reduce, layers: as for `decode_file`; `layers` None for all.
      region: left, top, width and height at full size; None for all.
      halo: pixels around the region that are decoded too.

    Raises:
      BadCodestream, UnsupportedCodestream, ValueError: like `decode_file`.
      TypeError: neither bytes nor a path.
    """
    if layers is not None and layers < 1:
        raise ValueError(f"layers must be at least 1, not {layers}")
    if reduce < 0:
        raise ValueError(f"reduce must not be negative, but it is {reduce}")
    is_place = isinstance(jp2, str | os.PathLike)
    data = (
        _opened(os.fspath(jp2)) if isinstance(jp2, str | os.PathLike) else RangedBytes.of(checked_file(jp2))
    )
    if region is None and not (reduce and is_place):
        return file.decode_file(data.whole(), reduce=reduce, layers=layers or 0), _ALL
    size = picture_size(data)
    wanted = Region(0, 0, size.width, size.height) if region is None else _checked_region(region)
    part = window(size, wanted, halo=halo, reduce=reduce)
    smaller = excerpt(data, part.area, reduce=reduce, layers=layers or 0, boxes=False)
    if region is None:
        return file.decode_file(smaller, reduce=reduce, layers=layers or 0), _ALL
    found = file.decode_file(smaller, reduce=reduce, layers=layers or 0, region=part.area)
    return found, (part.rows, part.columns)


def _opened(path: str) -> RangedBytes:
    """A file that is read as far as it is looked at."""
    from foveate.storage.files import read_range, reads_at_once, size_of, stored_file

    version = stored_file(path)
    size = version.size_bytes if version else size_of(path)
    fetch = functools.partial(read_range, path, version=version)
    return RangedBytes(size, fetch, at_once=reads_at_once(path))


def _checked_region(region: Sequence[int]) -> Region:
    if len(region) != 4 or min(region[2:]) < 1:
        raise ValueError(f"a region must be (left, top, width, height), not {tuple(region)}")
    return Region(*map(int, region))
