"""The Python API of transcoding: a JPEG 2000 file in, a smaller or rearranged one out."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from foveate.api import goal_of_target, one_of, one_target
from foveate.checks import GAINS_DB, MOST_THREADS, check_range, checked_file, checked_map
from foveate.codec import file
from foveate.codec.block_weights import Emphasis, Tune
from foveate.codec.transcoded_file import Back, Source, transcode_file
from foveate.pictures.picture import full_range


def transcode(  # noqa: PLR0913 (keywords, one for each thing that may be asked for)
    jp2: bytes,
    *,
    bpp: float | None = None,
    ratio: float | None = None,
    max_bytes: int | None = None,
    psnr: float | None = None,
    slope: float | None = None,
    lossless: bool = False,
    saliency: NDArray[np.floating] | None = None,
    gain_db: float = 12.0,
    tune: Tune = "visual",
    layers: int = 1,
    access: bool = False,
    threads: int = 1,
) -> bytes:
    """Makes a JPEG 2000 file smaller, or rearranges it, without re-encoding its code-blocks.

    Code-blocks are truncated as the target and the saliency demand; boxes are carried over unchanged. Give
    exactly one target.

    Args:
      jp2: a JP2 file or a bare codestream, written by any program.
      bpp, max_bytes, psnr, slope: as for `encode`; PSNR is measured against the decoded source.
      ratio: at most 1/ratio of the file's bytes.
      lossless: keep every coding pass and, with `layers` = 1, the file's own layers; for use with `access`.
      saliency, gain_db, tune, layers, access: as for `encode`.
      threads: number of threads to decode code-blocks with; the bytes do not depend on it.

    Returns:
      A JP2 file, which has been decoded once as a check.

    Raises:
      BudgetTooSmall: not even headers and boxes fit into the requested bytes.
      BadCodestream, UnsupportedCodestream: as for `decode`.
      ValueError: an invalid map or argument, or not exactly one target.

    Example:
      >>> import numpy as np, foveate
      >>> pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
      >>> master = foveate.encode(pixels, lossless=True)
      >>> len(foveate.transcode(master, bpp=4)) <= 4 * 64 * 96 / 8
      True
      >>> served = foveate.transcode(master, lossless=True, access=True)
      >>> bool((foveate.decode(served) == pixels).all())
      True
    """
    check_range("gain_db", gain_db, GAINS_DB)
    check_range("layers", layers, (1, file.MOST_LAYERS))
    check_range("threads", threads, (1, MOST_THREADS))
    named = {"bpp": bpp, "ratio": ratio, "max_bytes": max_bytes, "psnr": psnr, "slope": slope}
    values = named | {"lossless": 0.0 if lossless else None}
    if all(value is None for value in values.values()):
        raise ValueError(f"give a target: {', '.join(values)}")
    mask = None if saliency is None else checked_map(saliency)
    jp2 = checked_file(jp2)
    pixels = _decoded(jp2).pixels
    recipe = file.Recipe(
        goal=goal_of_target(*one_target(values), pixels, mask, len(jp2)),
        emphasis=Emphasis(mask, gain_db, one_of(get_args(Tune), "tune", tune)),
        layers=layers,
        access=access,
        threads=threads,
    )
    return transcode_file(Source(jp2, pixels, None, _decoded), recipe).jp2


def _decoded(jp2: bytes) -> Back:
    found = file.decode_file(jp2)
    return Back(full_range(found.decoded.pixels, found.decoded.bit_depth), found.noise)
