"""DICOM files: their pixels, through tensorflow-io (the extra `tfio`), which is loaded for the first such
file.

A file becomes a picture only if the meaning of its pixels is certain; any other file raises NotForJpeg2000,
and the archive keeps it unchanged. The decoder draws overlays into the picture and applies modality tables
(slope and intercept rounded to whole numbers), so it is given a file with one frame and its description alone
(DICOM PS3.3 C.7.6.3): what it returns are the stored values.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re
import struct
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import color, dicom_parts
from foveate.pictures.accounting import is_padding, settle, unknown
from foveate.pictures.dicom_dataset import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    FLOAT_PIXELS,
    IMPLICIT,
    MAGIC,
    MAGIC_AT,
    PIXEL_DATA,
    UNDEFINED,
    Dataset,
    emit_element,
    is_dicom,
    items,
    meta_elements,
    parse_dataset,
)
from foveate.pictures.dicom_parts import Use
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    check_size,
    gray_if_neutral,
    reading,
    stretched,
    with_channels,
)
from foveate.pictures.reasons import Reason

MISSING_EXTRA = "DICOM needs the tfio extra: pip install 'foveate[tfio]'"

_ENCAPSULATED = re.compile(r"1\.2\.840\.10008\.1\.2\.(4\.\d+|5)")
_VIDEO = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10\d(\.1)?")

_SAMPLES, _PHOTOMETRIC, _PLANAR, _FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
_ROWS, _COLUMNS = 0x00280010, 0x00280011
_ALLOCATED, _STORED, _HIGH_BIT, _SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
_PALETTE, _ICC = 0x00281101, 0x00282000
_PALETTE_TAGS = frozenset((*range(0x00281101, 0x00281104), *range(0x00281201, 0x00281204)))
_GIVEN_ON = _PALETTE_TAGS | {_SAMPLES, _PLANAR, _ROWS, _COLUMNS, _ALLOCATED, _STORED, _HIGH_BIT, _SIGNED}

_GRAY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_COLOR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")

# The decoder's inversion is not exact, and it does not know that JPEG 2000 gives RGB (PS3.5 clause 8.2.4).
_GIVEN_AS = {"MONOCHROME1": "MONOCHROME2", "YBR_RCT": "RGB", "YBR_ICT": "RGB"}

_decoder_lock = threading.Lock()  # its tables of codecs are global


@dataclasses.dataclass(frozen=True)
class _Description:
    """The Image Pixel module of a file; all variants listed here are supported."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    photometric: str
    frames: int

    @property
    def frame_bytes(self) -> int:
        """The bytes of one frame that is not compressed."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * (self.allocated // 8)


def frame_count(data: bytes) -> int:
    """How many separately decodable frames a file has; 1 for every other file, DICOM or not."""
    if not is_dicom(data):
        return 1
    try:
        dataset = parse_dataset(data)
        description = _describe(dataset)
        _losses(data, dataset, description)
        load_decoder()
        for frame in (1, description.frames):
            _frame_pixels(dataset, description, frame)
    except (BadPicture, NotForJpeg2000):
        return 1
    return description.frames


def decode_dicom(data: bytes, max_pixels: int | None, frame: int = 0) -> Picture:
    """The picture of a file, or its `frame` of several, counted from 1.

    Samples are the stored ones, of 8 to 16 bits: neither window nor rescaling is applied. Signed ones are
    raised by 2**(bits - 1), MONOCHROME1 is inverted, YBR and palette colors are RGB. Raises BadPicture for
    broken files, and NotForJpeg2000 if the file is not a picture, has several frames and none was named, is
    not supported by this code or tensorflow-io, or if tensorflow-io is not installed.
    """
    dataset = parse_dataset(data)
    description = _describe(dataset)
    check_size(description.columns, description.rows, max_pixels)
    if frame > description.frames:
        raise BadPicture(f"there is no frame {frame}: the file has {description.frames}")
    if description.frames > 1 and not frame:
        raise NotForJpeg2000(
            Reason.SEVERAL_PICTURES,
            f"{description.frames} frames; --dicom-frames first or all compresses them",
        )
    problems = _losses(data, dataset, description)
    pixel_data = _frame_pixels(dataset, description, frame or 1)
    decode = load_decoder()
    samples = _decode_alone(decode, _one_frame_file(dataset, description, pixel_data), dataset.syntax)
    channels = 1 if description.photometric.startswith("MONOCHROME") else 3
    if samples.shape != (1, description.rows, description.columns, channels):
        raise NotForJpeg2000(Reason.NOT_READ, "a DICOM file that tensorflow-io does not decode as described")
    pixels, bits = _full_range(samples[0], dataset, description)
    icc = dataset.bytes_of(_ICC) if channels == 3 else None
    if icc is not None:
        icc = icc[: int.from_bytes(icc[:4], "big")] or None  # without padding
    pixels = gray_if_neutral(pixels)
    icc = icc and color.fitting(icc, pixels.shape[2])
    return Picture(pixels, PhotoMetadata(icc), "dicom", bits, problems)


def losses(data: bytes) -> tuple[str, ...]:
    """The losses of a file that becomes a picture: "name: details" for each name.

    Raises:
      BadPicture: it is broken.
      NotForJpeg2000: it is not supported, or contains something that keeps it unchanged.
    """
    dataset = parse_dataset(data)
    return _losses(data, dataset, _describe(dataset))


def _losses(data: bytes, dataset: Dataset, what: _Description) -> tuple[str, ...]:
    use = Use(
        is_color=not what.photometric.startswith("MONOCHROME"),
        has_palette=what.photometric == "PALETTE COLOR",
        frames=what.frames if _ENCAPSULATED.fullmatch(dataset.syntax) else 0,
    )
    parts = [
        *dicom_parts.of_preamble(data[:MAGIC_AT]),
        *dicom_parts.parts_of(data, meta_elements(data), use),
        *dicom_parts.parts_of(dataset.data, dataset.every, use),
        *dicom_parts.behind_pixels(dataset.data, dataset.every[-1].end),
        *dicom_parts.behind_pixels(dataset.rest, 0),
    ]
    if not use.frames:
        pixels = dataset.elements[PIXEL_DATA]
        end = pixels.value + what.frame_bytes * what.frames
        is_padded = pixels.end - end == 1 == (end - pixels.value) % 2
        if pixels.end > end and not is_padded and not is_padding(dataset.data, end, pixels.end):
            parts.append(unknown("bytes after the pixels", end, pixels.end - end))
    return settle(parts, "a DICOM file")


def _full_range(samples: NDArray[np.uint16], dataset: Dataset, what: _Description) -> tuple[Pixels, int]:
    """The samples as a picture's, and their depth: 8 bits as uint8, more stretched to uint16."""
    bits = what.stored
    if what.photometric == "PALETTE COLOR":
        samples, bits = _palette_colors(samples, dataset.bytes_of(_PALETTE) or b"", dataset.order)
    if samples.max(initial=0) >> bits:
        raise NotForJpeg2000(Reason.NOT_READ, "a DICOM file whose samples exceed its described depth")
    if what.photometric == "MONOCHROME1":
        samples = np.uint16((1 << bits) - 1) - samples
    if bits == 8:
        return with_channels(samples.astype(np.uint8)), 8
    return with_channels(stretched(samples, bits)), bits


def _palette_colors(
    samples: NDArray[np.uint16], descriptor: bytes, order: str
) -> tuple[NDArray[np.uint16], int]:
    """The colors of a palette (PS3.3 C.7.6.3.1.5) and their depth: 16 bits often hold 8 in the upper byte."""
    depth = struct.unpack_from(f"{order}H", descriptor, 4)[0] if len(descriptor) >= 6 else 0
    if depth == 8:
        return samples, 8
    if depth != 16:
        raise NotForJpeg2000(Reason.NOT_READ, f"a DICOM file with a palette of {depth} bits")
    low, high = samples & np.uint16(255), samples >> np.uint16(8)
    if not low.any() or np.array_equal(low, high):
        return high, 8
    if not high.any():
        raise NotForJpeg2000(Reason.NOT_READ, "a DICOM file with a palette of 16 bits that fills 8 only")
    return samples, 16


# ---------------------------------------------------------------- the decoder


def load_decoder() -> Callable[..., Any]:
    """tensorflow-io's decoder; raises NotForJpeg2000 if it is missing or does not load."""
    try:
        import tensorflow_io

        decode: Callable[..., Any] = tensorflow_io.image.decode_dicom_image
        _ = tensorflow_io.python.ops.core_ops.io_decode_dicom_image  # loads the library behind it
    except ImportError as error:
        raise NotForJpeg2000(Reason.MISSING_EXTRA, MISSING_EXTRA) from error
    except (NotImplementedError, AttributeError, OSError) as error:
        raise NotForJpeg2000(
            Reason.MISSING_EXTRA,
            f"{MISSING_EXTRA}, which brings the TensorFlow that tensorflow-io "
            f"{importlib.metadata.version('tensorflow-io')} loads with",
        ) from error
    return decode


def _decode_alone(decode: Callable[..., Any], file: bytes, syntax: str) -> NDArray[np.uint16]:
    """A file's frames (N, H, W, 1 or 3); raises NotForJpeg2000 if tensorflow-io cannot decode them."""
    try:
        with _decoder_lock:
            decoded = decode(file, color_dim=True, on_error="strict", scale="preserve", dtype="uint16")
            samples: NDArray[np.uint16] = decoded.numpy()
    except MemoryError:
        raise
    except Exception as error:  # TensorFlow's errors, whose classes only TensorFlow has
        raise NotForJpeg2000(
            Reason.NOT_READ, f"a DICOM file that tensorflow-io cannot decode (transfer syntax {syntax})"
        ) from error
    return samples


def _one_frame_file(dataset: Dataset, what: _Description, pixel_data: bytes) -> bytes:
    """A DICOM file of one frame, with only the description of its pixels."""
    photometric = _GIVEN_AS.get(what.photometric, what.photometric)
    parts = {
        tag: dataset.data[element.start : element.end]
        for tag, element in dataset.elements.items()
        if tag in _GIVEN_ON
    }
    parts[_PHOTOMETRIC] = emit_element(dataset, _PHOTOMETRIC, b"CS", photometric.encode())
    parts[PIXEL_DATA] = pixel_data
    syntax = EXPLICIT if dataset.syntax == DEFLATED else dataset.syntax
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    head = bytes(MAGIC_AT) + MAGIC + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta
    return head + b"".join(part for _, part in sorted(parts.items()))


# ---------------------------------------------------------------- what the pixels are


def _describe(dataset: Dataset) -> _Description:
    """Reads the description, and raises NotForJpeg2000 for anything unsupported."""
    if dataset.syntax not in (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN):
        if _VIDEO.fullmatch(dataset.syntax):
            raise NotForJpeg2000(Reason.ANIMATED, "a DICOM video")
        if not _ENCAPSULATED.fullmatch(dataset.syntax):
            raise NotForJpeg2000(Reason.NOT_READ, f"DICOM of unsupported transfer syntax {dataset.syntax}")
    if any(tag in dataset.elements for tag in FLOAT_PIXELS):
        raise NotForJpeg2000(Reason.NOT_READ, "a DICOM file of floating-point samples")
    if PIXEL_DATA not in dataset.elements:
        raise NotForJpeg2000(Reason.NOT_READ, "a DICOM file without a picture")
    numbers = {tag: dataset.number(tag) for tag in (_ROWS, _COLUMNS, _SAMPLES, _ALLOCATED, _STORED)}
    if None in numbers.values():
        raise BadPicture("broken DICOM: the size or depth of its pixels is missing")
    rows, columns, samples, allocated, stored = (number or 0 for number in numbers.values())
    photometric = dataset.text(_PHOTOMETRIC)
    if photometric not in (*_GRAY, *_COLOR):
        raise NotForJpeg2000(
            Reason.NOT_READ, f"a DICOM file of photometric interpretation {photometric or 'unknown'}"
        )
    frames = dataset.text(_FRAMES) or "1"
    if not re.fullmatch(r"\+?[1-9]\d{0,8}", frames):
        raise BadPicture(f"broken DICOM: its number of frames is {frames!r}")
    if samples != (1 if photometric in _GRAY else 3) or stored > allocated:
        raise BadPicture(f"broken DICOM: {photometric} of {samples} samples, {stored} of {allocated} bits")
    if allocated not in (8, 16) or stored < 8:
        raise NotForJpeg2000(Reason.NOT_READ, f"a DICOM file of {stored} bits in {allocated} a sample")
    if dataset.number(_SIGNED) and not photometric.startswith("MONOCHROME"):
        raise NotForJpeg2000(Reason.NOT_READ, f"a DICOM file of signed {photometric}")
    if photometric == "YBR_FULL_422" and allocated != 8:
        raise NotForJpeg2000(Reason.NOT_READ, "a DICOM file of subsampled color in 16 bits")
    return _Description(rows, columns, samples, allocated, stored, photometric, int(frames))


def _frame_pixels(dataset: Dataset, what: _Description, frame: int) -> bytes:
    """The pixel data element of one frame alone, counted from 1, checked to be whole."""
    element = dataset.elements[PIXEL_DATA]
    if _ENCAPSULATED.fullmatch(dataset.syntax):
        return _frame_fragments(dataset, what, frame)
    size = what.frame_bytes
    if element.end - element.value < size * what.frames:
        has = f"{element.end - element.value:,} bytes of pixels, and {size * what.frames:,} are described"
        raise BadPicture(f"broken DICOM: it has {has}")
    if what.frames > 1 and dataset.syntax == BIG_ENDIAN:  # bytes are in swapped pairs across frames
        raise NotForJpeg2000(Reason.SEVERAL_PICTURES, "a big-endian DICOM file of several frames")
    at = element.value + (frame - 1) * size
    vr = b"OW" if what.allocated == 16 or dataset.syntax == BIG_ENDIAN else b"OB"
    if dataset.syntax == BIG_ENDIAN:
        vr = dataset.data[element.start + 4 : element.start + 6]
    return emit_element(dataset, PIXEL_DATA, vr, dataset.data[at : at + size + size % 2][: size + size % 2])


def _frame_fragments(dataset: Dataset, what: _Description, frame: int) -> bytes:
    """The fragments of one compressed frame (PS3.5 clause A.4) as pixel data of their own."""
    element = dataset.elements[PIXEL_DATA]
    if dataset.data[element.value : element.value + 4] != struct.pack("<HH", 0xFFFE, 0xE000):
        raise BadPicture("broken DICOM: its compressed pixels are not in fragments")
    with reading("DICOM"):
        (_, first, end), *fragments = items(dataset.data[: element.end], element.value)
    starts = struct.unpack(f"<{(end - first) // 4}I", dataset.data[first : first + (end - first) // 4 * 4])
    if what.frames == 1:
        chosen = fragments
    elif len(fragments) == what.frames:
        chosen = fragments[frame - 1 : frame]
    elif len(starts) == what.frames and fragments:
        bounds = (*starts, element.end)
        base = fragments[0][0]
        chosen = [part for part in fragments if bounds[frame - 1] <= part[0] - base < bounds[frame]]
    else:
        raise NotForJpeg2000(Reason.SEVERAL_PICTURES, "a DICOM file whose frames cannot be separated")
    if not any(end > start for _, start, end in chosen):
        raise BadPicture("broken DICOM: a frame has no compressed pixels")
    head = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    parts = b"".join(dataset.data[start:end] for start, _, end in chosen)
    return head + parts + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
