"""The Python API, without Beam: arrays in, bytes out, and back.

pixels ─▶ encode ─▶ JP2 file ─▶ decode, restore ─▶ pixels
   └────▶ saliency ───┘  └────▶ inspect      measure ◀┘
"""

from __future__ import annotations

import functools
import math
from typing import Literal, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray

from foveate.archive.settings import DEFAULT_QUALITY, Target, TargetKind
from foveate.codec import file
from foveate.codec.block_weights import Emphasis, Tune
from foveate.codec.encoder import Effort
from foveate.codec.metadata import PhotoMetadata
from foveate.goals import goal_of
from foveate.pictures.picture import full_range
from foveate.quality import measures
from foveate.quality.measures import Measures
from foveate.reports.inspection.examination import Inspection, examine

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
SaliencyMap = NDArray[np.float32]
RecCnnSize = Literal["fast", "best"]
Precision = Literal["auto", "float32", "bfloat16"]

_Word = TypeVar("_Word", bound=str)
_DEFAULT = {"quality": DEFAULT_QUALITY}
_GAINS_DB = (0, 40)
_MOST_THREADS = 1024


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
    """Encodes a photo as a JP2 file (ISO/IEC 15444-1), with the bits where the saliency is.

    At most one target may be named; without any, it is a quality of 80. Targets in bytes count the whole
    file, its boxes and metadata included. The same arguments always give the same bytes.

    Args:
      pixels: (H, W, C) uint8 or uint16 with C = 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha), or
        (H, W) for gray.
      quality: near to this score of SSIMULACRA 2, above 0 and below 100: 90 is visually lossless, 70 high
        and 50 medium quality.
      bpp: at most this many bits per pixel.
      ratio: at most 1/ratio of the bytes of `pixels`. For a share of a source file, say
        `max_bytes=source_bytes // ratio`.
      max_bytes: at most this many bytes.
      psnr: the smallest file with at least this PSNR over all color samples, in dB.
      roi_psnr: the same with squared errors weighted by `saliency`.
      ssim: the smallest file with at least this structural similarity of luma, below 1.
      jpeg_quality: at most the bytes of a JPEG of this quality, 1 to 100.
      slope: the fastest target: cut every code-block where another byte would remove less weighted squared
        error than this (samples scaled to 0 to 255).
      lossless: keep every bit.
      saliency: (h, w) in 0 to 1, stretched over the photo: how much each place matters. None: all alike.
      gain_db: how many dB of squared error a salience of 1 is worth over one of 0.
      tune: "visual" for what people see of errors, "psnr" for their squares.
      layers: how many quality layers the file has, each with about twice the bytes up to the one before.
      effort: "normal"; "fast", which uses the predicted settings for a quality without correcting; or
        "best", which takes about four times as long for 0.6 % fewer bytes.
      access: arrange the file for image servers and viewers that read a part of it: resolution by resolution
        in precincts of 256 x 256, with the segments (TLM, PLT) that say where packets are. It cannot be cut
        after a layer then.
      tile_size: cut the photo into square tiles of so many pixels, a multiple of 64 from 128 to 4096; 0 for
        one tile, or several where it has more than 33 megapixels.
      metadata: EXIF, XMP, ICC profile and resolution to put into the file.
      threads: how many to code with; the bytes do not depend on it.

    Returns:
      The bytes of the file. It has been decoded once, as a check. It is lossless if that takes no more bytes
      than asked for.

    Raises:
      BudgetTooSmall: not even headers and metadata fit into the bytes asked for.
      ValueError: pixels of another shape or type, a map that is not 2-D in 0 to 1, or several targets.

    Example:
      >>> import numpy as np, foveate
      >>> pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
      >>> mask = np.zeros((8, 12), np.float32)
      >>> mask[2:6, 4:8] = 1
      >>> jp2 = foveate.encode(pixels, bpp=2, saliency=mask)
      >>> len(jp2) <= 2 * 64 * 96 / 8
      True
    """
    for name, value, (least, most) in (
        ("gain_db", gain_db, _GAINS_DB),
        ("layers", layers, (1, file.MOST_LAYERS)),
        ("threads", threads, (1, _MOST_THREADS)),
    ):
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most}, not {value}")
    if not file.is_tile_size(tile_size):
        raise ValueError(f"tile_size must be a multiple of 64 from 128 to 4096, or 0, not {tile_size}")
    pixels = _checked_pixels(pixels)
    mask = None if saliency is None else _checked_map(saliency)
    if roi_psnr is not None and mask is None:
        raise ValueError("roi_psnr weights errors by saliency: give a map, or say psnr")
    target = _one_target(
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
        goal=_goal(*target, pixels, mask),
        emphasis=Emphasis(mask, gain_db, _one_of(get_args(Tune), "tune", tune)),
        layers=layers,
        effort=_one_of(get_args(Effort), "effort", effort),
        threads=threads,
        access=access,
        tile_size=tile_size,
    )
    return file.encode_file(pixels, recipe, file.Boxes(metadata or PhotoMetadata())).jp2


def _one_target(values: dict[str, float | None]) -> tuple[str, float]:
    """The one that was named, with its value."""
    named = {kind: float(value) for kind, value in values.items() if value is not None} or _DEFAULT
    if len(named) > 1:
        raise ValueError(f"only one target can be met, not {' and '.join(named)}")
    ((kind, value),) = named.items()
    most = {"quality": 100.0, "ssim": 1.0, "jpeg_quality": 101.0}.get(kind, math.inf)
    if kind != "lossless" and not 0 < value < most:
        upper = f" and below {most:g}" if math.isfinite(most) else ""
        raise ValueError(f"{kind} must be above 0{upper}, not {value:g}")
    return kind, value


def _goal(kind: str, value: float, pixels: Pixels, mask: SaliencyMap | None) -> file.Goal:
    if kind == "max_bytes":
        return file.AtMost(int(value))
    target = Target(cast(TargetKind, kind.replace("_", "-")), value)
    return goal_of(target, pixels, mask, source_bytes=pixels.nbytes)


def _one_of(choices: tuple[_Word, ...], name: str, value: _Word) -> _Word:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value}")
    return value


def _checked_pixels(pixels: Pixels) -> Pixels:
    pixels = cast(Pixels, np.asarray(pixels))
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        hint = "; channels come last" if pixels.ndim == 3 and 1 <= pixels.shape[0] <= 4 else ""
        raise ValueError(f"pixels must be (H, W) or (H, W, 1 to 4), not {pixels.shape}{hint}")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels must be uint8 or uint16, not {pixels.dtype}")
    return cast(Pixels, np.ascontiguousarray(pixels))


def _checked_map(saliency: NDArray[np.floating]) -> SaliencyMap:
    found = np.asarray(saliency, np.float32)
    if found.ndim != 2 or not found.size:
        raise ValueError(f"a saliency map must be (h, w), not {found.shape}")
    if not (found.min() >= 0 and found.max() <= 1):  # NaN is neither
        found_range = f"{found.min():g} to {found.max():g}"
        raise ValueError(f"a saliency map must lie in 0 to 1, not {found_range}; of 8 bits, divide it by 255")
    return found


def decode(jp2: bytes, *, reduce: int = 0, layers: int | None = None) -> Pixels:
    """Decodes a JPEG 2000 file, Foveate's or any other, in this process.

    Args:
      jp2: a JP2 file or a bare codestream.
      reduce: how often to halve the sides, by leaving out the finest resolutions.
      layers: how many quality layers to decode; None for all.

    Returns:
      (H, W, C) uint8 or uint16 as `encode` takes them; samples of 9 to 15 bits are stretched to 16.

    Raises:
      BadCodestream: the data are malformed or cut off.
      UnsupportedCodestream: legal, but of a kind that is not read.
      ValueError: `reduce` or `layers` is out of range.

    Example:
      >>> import numpy as np, foveate
      >>> pixels = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64, 1)
      >>> jp2 = foveate.encode(pixels, lossless=True)
      >>> bool((foveate.decode(jp2) == pixels).all()), foveate.decode(jp2, reduce=2).shape
      (True, (12, 16, 1))
    """
    return _pixels_of(_decoded(jp2, reduce, layers))


def restore(
    jp2: bytes,
    *,
    network: RecCnnSize = "fast",
    precision: Precision = "auto",
    layers: int | None = None,
) -> Pixels:
    """Decodes a file and takes coding artifacts out with RecCNN; the network is loaded once per process.

    RecCNN goes by how coarsely each place was coded, from the packet headers. Where nothing was lost, or a
    file's own record says that it does not help, these are the pixels of `decode`. Files of `foveate
    compress` carry that note; for those of `encode` nobody has looked, and on a few photos RecCNN makes
    things worse.

    Args:
      jp2: a JP2 file or a bare codestream.
      network: "fast", or "best", which takes some ten times as long.
      precision: number format inside the network, "float32", "bfloat16", or "auto": bfloat16 on processors
        with AMX, where it is several times as fast and a few pixels differ by one level.
      layers: how many quality layers to decode; None for all.

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
    _one_of(get_args(RecCnnSize), "network", network)
    _one_of(get_args(Precision), "precision", precision)
    from foveate.models import reccnn
    from foveate.models.loading import shared

    found = _decoded(jp2, 0, layers)
    pixels = _pixels_of(found)
    if found.noise is None:
        return pixels
    loaded = shared("RecCNN", functools.partial(reccnn.load, network, precision=precision)).get()
    restored = reccnn.restore_pixels(loaded, pixels, found.noise, found.prefiltered)
    return pixels if restored is None else restored


def _decoded(jp2: bytes, reduce: int, layers: int | None) -> file.DecodedFile:
    jp2 = _checked_file(jp2)
    if layers is not None and layers < 1:
        raise ValueError(f"layers must be at least 1, not {layers}")
    return file.decode_file(jp2, reduce=reduce, layers=layers or 0)


def _checked_file(jp2: bytes) -> bytes:
    if isinstance(jp2, bytearray | memoryview):
        return bytes(jp2)
    if not isinstance(jp2, bytes):
        raise TypeError(f"a file must be given as its bytes, not as {type(jp2).__name__}: read it first")
    return jp2


def _pixels_of(found: file.DecodedFile) -> Pixels:
    return full_range(found.decoded.pixels, found.decoded.bit_depth)


def saliency(pixels: Pixels) -> SaliencyMap:
    """Says how much each place of a photo matters, by MS-ROI; the network is loaded once per process.

    Args:
      pixels: a photo as `encode` takes it.

    Returns:
      (h, w) float32 in 0 to 1 over the whole photo, about 70 to 80 samples along the longer side.

    Raises:
      ValueError: pixels of another shape or type.

    Example:
      >>> import numpy as np, foveate
      >>> mask = foveate.saliency(np.zeros((64, 96, 3), np.uint8))
      >>> mask.ndim, float(mask.min()) >= 0, float(mask.max()) <= 1
      (2, True, True)
    """
    from foveate.models import msroi
    from foveate.models.loading import shared

    return msroi.saliency(shared("MS-ROI", msroi.load).get(), _checked_pixels(pixels))


def inspect(jp2: bytes) -> Inspection:
    """Says what is in a JPEG 2000 file, without decoding pixels: boxes, markers, tiles, layers, our record.

    Args:
      jp2: a JP2 file or a bare codestream, whole or damaged.

    Returns:
      An `Inspection`: `anatomy` has size, boxes and markers; `packets` code-blocks and layers; `record` how
      the file came about; `notes` and `problems` sentences on what could not be read and what is broken.

    Raises:
      BadCodestream: it is neither.

    Example:
      >>> import numpy as np, foveate
      >>> jp2 = foveate.encode(np.zeros((48, 64, 3), np.uint8), lossless=True)
      >>> found = foveate.inspect(jp2)
      >>> found.anatomy.width, found.anatomy.height, found.problems
      (64, 48, ())
    """
    return examine("", _checked_file(jp2))


def measure(original: Pixels, decoded: Pixels, *, saliency: NDArray[np.floating] | None = None) -> Measures:
    """Measures how close a decoded photo is to its original.

    Args:
      original, decoded: photos as `encode` takes them, of the same shape and type.
      saliency: (h, w) in 0 to 1, stretched over the photo, for the weighted measures. None: all alike.

    Returns:
      `Measures`: SSIMULACRA 2, PSNR, SSIM, MS-SSIM, and PSNR-S and SSIM-S, which are weighted by saliency.

    Raises:
      ValueError: photos that are not alike, or an impossible map.

    Example:
      >>> import numpy as np, foveate
      >>> pixels = np.full((32, 32, 3), 100, np.uint8)
      >>> round(foveate.measure(pixels, pixels + np.uint8(10)).psnr_db, 2)
      28.13
    """
    mask = None if saliency is None else _checked_map(saliency)
    return measures.measure(_checked_pixels(original), _checked_pixels(decoded), mask, scored=True)
