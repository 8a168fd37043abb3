"""The Python API, without Beam: encode, decode, restore, find saliency, inspect, measure.

pixels ─▶ encode ─▶ JP2 file ─▶ decode, restore ─▶ pixels
   └────▶ saliency ───┘  └────▶ inspect      measure ◀┘
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from typing import Literal, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray

from foveate.archive.settings import DEFAULT_QUALITY, Target, TargetKind
from foveate.checks import (
    GAINS_DB,
    MOST_THREADS,
    check_range,
    checked_file,
    checked_map,
    checked_pixels,
    checked_weights,
)
from foveate.codec import file, tile_sizes
from foveate.codec.block_weights import Emphasis, Tune
from foveate.codec.encoder import Effort
from foveate.codec.goals import AtMost, Goal
from foveate.codec.metadata import PhotoMetadata
from foveate.goals import goal_of
from foveate.models.structures import Structures
from foveate.parts import decoded_part
from foveate.pictures.picture import full_range
from foveate.quality import measures
from foveate.quality.measures import Measures
from foveate.quality.score_gradient import gradient_of
from foveate.reports.inspection.examination import Inspection, examine

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
SaliencyMap = NDArray[np.float32]
RecCnnSize = Literal["fast", "best"]
Precision = Literal["auto", "float32", "bfloat16"]

_Word = TypeVar("_Word", bound=str)
_DEFAULT = {"quality": DEFAULT_QUALITY}


def encode(  # noqa: PLR0913 (keywords, one for each thing that may be asked for)
    pixels: Pixels,
    *,
    quality: float | None = None,
    bpp: float | None = None,
    ratio: float | None = None,
    max_bytes: int | None = None,
    psnr: float | None = None,
    roi_psnr: float | None = None,
    ssim: float | None = None,
    jpeg_quality: float | None = None,
    slope: float | None = None,
    lossless: bool = False,
    saliency: NDArray[np.floating] | None = None,
    gain_db: float = 12.0,
    tune: Tune = "visual",
    layers: int = 1,
    effort: Effort = "normal",
    access: bool = False,
    tile_size: int = 0,
    metadata: PhotoMetadata | None = None,
    threads: int = 1,
) -> bytes:
    """Encodes a photo as a JP2 file (ISO/IEC 15444-1), spending more bits on salient places.

    Give at most one target; the default is a quality of 80. Targets in bytes count the whole file, including
    boxes and metadata. The same arguments always give the same bytes.

    Args:
      pixels: (H, W, C) uint8 or uint16 with C = 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha), or
        (H, W) for gray.
      quality: a SSIMULACRA 2 score close to this, above 0 and below 100: 90 is visually lossless, 70 high and
        50 medium quality.
      bpp: at most this many bits per pixel.
      ratio: at most 1/ratio of the bytes of `pixels`. For a share of a source file, use
        `max_bytes=source_bytes // ratio`.
      max_bytes: at most this many bytes.
      psnr: the smallest file with at least this PSNR over all color samples, in dB.
      roi_psnr: the same with squared errors weighted by `saliency`.
      ssim: the smallest file with at least this structural similarity of luma, below 1.
      jpeg_quality: no more bytes than a JPEG of this quality, 1 to 100.
      slope: the fastest target: cut every code-block where another byte would remove less weighted squared
        error than this (samples scaled to 0 to 255).
      lossless: keep every pixel bit for bit.
      saliency: (h, w) in 0 to 1, stretched over the photo: how much each place matters. None: all alike.
      gain_db: how many dB more an error counts at a saliency of 1 than at 0.
      tune: "visual" weights errors by how visible they are, "psnr" minimizes squared error.
      layers: number of quality layers, each of which doubles the bytes up to it.
      effort: "normal"; "fast", which uses the predicted settings for a quality without correcting; or
        "best", which takes about five times as long: for 3 % fewer bytes with `tune` "visual", 0.6 % with
        "psnr".
      access: arrange the file for image servers and viewers that read parts of it: resolution by resolution,
        in small precincts, with markers (TLM, PLT) that locate the packets. The file can then no longer be
        cut after a layer.
      tile_size: split the photo into square tiles of this many pixels per side, a multiple of 64 from 128 to
        4096; 0 for one tile, or several if the photo has more than 33 megapixels.
      metadata: EXIF, XMP, ICC profile and resolution to put into the file.
      threads: number of threads to code with; the bytes do not depend on it.

    Returns:
      The bytes of the file, which has been decoded once as a check. It is lossless if that fits the target.

    Raises:
      BudgetTooSmall: not even headers and metadata fit into the requested bytes.
      ValueError: wrong shape or type of pixels, a map that is not 2-D in 0 to 1, or several targets.

    Example:
      >>> import numpy as np, foveate
      >>> pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
      >>> mask = np.zeros((8, 12), np.float32)
      >>> mask[2:6, 4:8] = 1
      >>> jp2 = foveate.encode(pixels, bpp=2, saliency=mask)
      >>> len(jp2) <= 2 * 64 * 96 / 8
      True
    """
    check_range("gain_db", gain_db, GAINS_DB)
    check_range("layers", layers, (1, file.MOST_LAYERS))
    check_range("threads", threads, (1, MOST_THREADS))
    if not tile_sizes.is_tile_size(tile_size):
        raise ValueError(f"tile_size must be a multiple of 64 from 128 to 4096, or 0, not {tile_size}")
    pixels = checked_pixels(pixels)
    mask = None if saliency is None else checked_map(saliency)
    if roi_psnr is not None and mask is None:
        raise ValueError("roi_psnr weights errors by saliency: give a map, or use psnr")
    target = one_target(
        {
            "quality": quality,
            "bpp": bpp,
            "ratio": ratio,
            "max_bytes": max_bytes,
            "psnr": psnr,
            "roi_psnr": roi_psnr,
            "ssim": ssim,
            "jpeg_quality": jpeg_quality,
            "slope": slope,
            "lossless": 0.0 if lossless else None,
        }
    )
    recipe = file.Recipe(
        goal=goal_of_target(*target, pixels, mask, pixels.nbytes),
        emphasis=Emphasis(
            mask, gain_db, one_of(get_args(Tune), "tune", tune), functools.partial(gradient_of, pixels)
        ),
        layers=layers,
        effort=one_of(get_args(Effort), "effort", effort),
        threads=threads,
        access=access,
        tile_size=tile_size,
    )
    return file.encode_file(pixels, recipe, file.Boxes(metadata or PhotoMetadata())).jp2


def one_target(values: dict[str, float | None]) -> tuple[str, float]:
    """The target that was given, with its value."""
    named = {kind: float(value) for kind, value in values.items() if value is not None} or _DEFAULT
    if len(named) > 1:
        raise ValueError(f"only one target can be met, not {' and '.join(named)}")
    ((kind, value),) = named.items()
    most = {"quality": 100.0, "ssim": 1.0, "jpeg_quality": 101.0}.get(kind, math.inf)
    if kind != "lossless" and not 0 < value < most:
        upper = f" and below {most:g}" if math.isfinite(most) else ""
        raise ValueError(f"{kind} must be above 0{upper}, not {value:g}")
    return kind, value


def goal_of_target(
    kind: str, value: float, pixels: Pixels, mask: SaliencyMap | None, source_bytes: int
) -> Goal:
    """The goal of a target by its name; `source_bytes` is what a ratio is of."""
    if kind == "max_bytes":
        return AtMost(int(value))
    target = Target(cast(TargetKind, kind.replace("_", "-")), value)
    return goal_of(target, pixels, mask, source_bytes)


def one_of(choices: tuple[_Word, ...], name: str, value: _Word) -> _Word:
    """The value, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value}")
    return value


def decode(
    jp2: bytes | str | os.PathLike[str],
    *,
    reduce: int = 0,
    layers: int | None = None,
    region: Sequence[int] | None = None,
) -> Pixels:
    """Decodes a JPEG 2000 file, Foveate's or any other, in this process, upright according to its metadata.

    Args:
      jp2: a JP2 file or a bare codestream: its bytes, a path, or a URL (gs://, s3://). From a path or URL,
        only what the region and size need is read, if the file was made for that (`encode(access=True)`).
      reduce: how often to halve the sides, by skipping the finest resolutions.
      layers: how many quality layers to decode; None for all.
      region: (left, top, width, height) in full-size pixels: the part of the picture to decode. It is clipped
        to the picture and, if reduced, widened to whole samples.

    Returns:
      (H, W, C) uint8 or uint16 as `encode` takes them; samples of 9 to 15 bits are stretched to 16.

    Raises:
      BadCodestream: the data are malformed or truncated.
      UnsupportedCodestream: the file is legal, but of an unsupported kind.
      ValueError: `reduce`, `layers` or `region` is out of range.

    Example:
      >>> import numpy as np, foveate
      >>> pixels = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64, 1)
      >>> jp2 = foveate.encode(pixels, lossless=True)
      >>> bool((foveate.decode(jp2) == pixels).all()), foveate.decode(jp2, reduce=2).shape
      (True, (12, 16, 1))
      >>> bool((foveate.decode(jp2, region=(10, 20, 30, 5)) == pixels[20:25, 10:40]).all())
      True
    """
    found = decoded_part(jp2, reduce, layers, region)
    return found.as_seen(_pixels_of(found.file))


def restore(
    jp2: bytes | str | os.PathLike[str],
    *,
    network: RecCnnSize = "fast",
    precision: Precision = "auto",
    layers: int | None = None,
    region: Sequence[int] | None = None,
) -> Pixels:
    """Decodes a file and removes coding artifacts with RecCNN; the network is loaded once per process.

    RecCNN uses the packet headers to tell how coarsely each place was coded. If nothing was lost, or if the
    file's record says that RecCNN does not help, this returns the pixels of `decode`. Only files of `foveate
    compress` carry that note; `encode` does not check, and RecCNN makes a few photos worse.

    Args:
      jp2: a JP2 file or a bare codestream, as for `decode`.
      network: "fast", or "best", which takes about ten times as long.
      precision: number format inside the network: "float32", "bfloat16", or "auto", which is bfloat16 on
        processors with AVX-512 BF16 or AMX, where it is two to five times as fast and a few pixels differ by
        one level.
      layers: how many quality layers to decode; None for all.
      region: the part of the picture to restore, as for `decode`; RecCNN runs on that part alone.

    Returns:
      Pixels like those of `decode`.

    Raises:
      BadCodestream, UnsupportedCodestream, ValueError: like `decode`.

    Example:
      >>> import numpy as np, foveate
      >>> y, x = np.mgrid[:64, :96]
      >>> pixels = np.stack([128 + 100 * np.sin(x / 7 + y / (3 + c)) for c in range(3)], 2).astype(np.uint8)
      >>> jp2 = foveate.encode(pixels, bpp=1)
      >>> foveate.restore(jp2).shape
      (64, 96, 3)
    """
    one_of(get_args(RecCnnSize), "network", network)
    one_of(get_args(Precision), "precision", precision)
    from foveate.models import reccnn
    from foveate.models.loading import shared

    halo = 0 if region is None else reccnn.SIZES[network].receptive_field
    found = decoded_part(jp2, 0, layers, region, halo)
    pixels = _pixels_of(found.file)
    if found.file.noise is None:
        return found.as_seen(pixels)
    loaded = shared("RecCNN", functools.partial(reccnn.load, network, precision=precision)).get()
    restored = reccnn.restore_pixels(loaded, pixels, found.file.noise, found.file.prefiltered)
    return found.as_seen(pixels if restored is None else restored)


def _pixels_of(found: file.DecodedFile) -> Pixels:
    return full_range(found.decoded.pixels, found.decoded.bit_depth)


def saliency(
    pixels: Pixels, *, objects: float = 1.0, faces: float = 1.3, writing: float = 1.2
) -> SaliencyMap:
    """Maps how much each place in a photo matters; the networks are loaded once per process.

    Args:
      pixels: a photo, as for `encode`.
      objects, faces, writing: weights of these structures, 0 to 10; a weight of 0 skips the search. Only
        their ratios matter: the structure that weighs most in a photo counts as 1.

    Returns:
      (h, w) float32 in 0 to 1 over the whole photo, its longer side at most 320.

    Raises:
      ValueError: wrong shape or type of pixels, or a weight out of range.

    Example:
      >>> import numpy as np, foveate
      >>> mask = foveate.saliency(np.zeros((64, 96, 3), np.uint8))
      >>> mask.ndim, float(mask.min()) >= 0, float(mask.max()) <= 1
      (2, True, True)
    """
    from foveate.models.structures import combine

    weights = checked_weights(objects, faces, writing)
    return combine(_found(pixels, weights), weights)


def structures(pixels: Pixels, *, weights: Sequence[float] = (1.0, 1.3, 1.2)) -> Structures:
    """Finds objects, faces and writing in a photo, and returns one map for each.

    Args:
      pixels: a photo, as for `encode`.
      weights: of objects, faces and writing; a weight of 0 skips the search, others make no difference.

    Returns:
      `Structures`: `objects`, `faces` and `writing` are (h, w) float32 in 0 to 1; `found_faces` has boxes in
      pixels, with scores; `writing_share` is the share of the photo that is writing.

    Raises:
      ValueError: like `saliency`.

    Example:
      >>> import numpy as np, foveate
      >>> found = foveate.structures(np.zeros((64, 96, 3), np.uint8))
      >>> found.faces.shape == found.writing.shape, found.found_faces
      (True, ())
    """
    return _found(pixels, checked_weights(*weights))


def _found(pixels: Pixels, weights: tuple[float, float, float]) -> Structures:
    from foveate.models import structures as finding
    from foveate.models.loading import shared

    finder = shared("MS-ROI", functools.partial(finding.load, weights)).get()
    return finding.find(finder, checked_pixels(pixels))


def inspect(jp2: bytes) -> Inspection:
    """Lists what a JPEG 2000 file contains, without decoding it: boxes, markers, tiles, layers, our record.

    Args:
      jp2: a JP2 file or a bare codestream, intact or damaged.

    Returns:
      An `Inspection`: `anatomy` has the size, boxes and markers; `packets` the code-blocks and layers;
      `record` how the file was made; `notes` and `problems` say what could not be read and what is broken.

    Raises:
      BadCodestream: the data are neither a JP2 file nor a codestream.

    Example:
      >>> import numpy as np, foveate
      >>> jp2 = foveate.encode(np.zeros((48, 64, 3), np.uint8), lossless=True)
      >>> found = foveate.inspect(jp2)
      >>> found.anatomy.width, found.anatomy.height, found.problems
      (64, 48, ())
    """
    return examine("", checked_file(jp2))


def measure(original: Pixels, decoded: Pixels, *, saliency: NDArray[np.floating] | None = None) -> Measures:
    """Measures how close a decoded photo is to its original.

    Args:
      original, decoded: photos, as for `encode`, of the same shape and type.
      saliency: (h, w) in 0 to 1, stretched over the photo, for the weighted measures. None: all places alike.

    Returns:
      `Measures`: SSIMULACRA 2, PSNR, SSIM, MS-SSIM, and PSNR-S and SSIM-S, which are weighted by saliency.

    Raises:
      ValueError: photos of different shapes or types, or an invalid map.

    Example:
      >>> import numpy as np, foveate
      >>> pixels = np.full((32, 32, 3), 100, np.uint8)
      >>> round(foveate.measure(pixels, pixels + np.uint8(10)).psnr_db, 2)
      28.13
    """
    mask = None if saliency is None else checked_map(saliency)
    return measures.measure(checked_pixels(original), checked_pixels(decoded), mask, scored=True)
