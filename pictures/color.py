"""Turns color that files state without a profile into an exact profile, or a reason to keep the file."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping

import numpy as np

from foveate.pictures import exif, icc
from foveate.pictures.icc import CannotBeAProfile, Curve, Primaries
from foveate.pictures.picture import NotForJpeg2000
from foveate.pictures.reasons import Reason

_BRIGHTER_THAN_WHITE = {16: "PQ", 18: "HLG"}
_UNSPECIFIED = 2
_COLOR_SPACE, _GAMMA, _INTEROPERABILITY_INDEX = 0xA001, 0xA500, 1
_WHITE, _PRIMARIES = 318, 319
_ADOBE_RGB = 2
_WIDE_GAMUT = 0xFFFD  # as Sony writes it
_ADOBE_GAMMA = 563 / 256
_TIFF_GAMMA = 2.2  # for files that state primaries and no transfer function
_MOST_ENTRIES = 4096


def of_numbers(primaries: Primaries, curve: Curve, gray: bool, source: str) -> bytes:
    """A profile from primaries (ignored for gray pictures) and a curve; `source` is its name."""
    return icc.gray_profile(curve, source) if gray else icc.matrix_profile(primaries, curve, source)


def of_cicp(primaries: int, transfer: int, form: str, gray: bool = False) -> bytes | None:
    """The profile for code points (ITU-T H.273); None if they mean sRGB, or nothing.

    Raises:
      NotForJpeg2000: high dynamic range, or a color that no matrix profile can express.
    """
    if transfer in _BRIGHTER_THAN_WHITE:
        raise NotForJpeg2000(
            Reason.HIGH_DYNAMIC_RANGE, f"{form} in high dynamic range ({_BRIGHTER_THAN_WHITE[transfer]})"
        )
    if transfer in (2, 13) and (gray or primaries in (1, 2)):
        return None
    try:
        if primaries not in icc.CICP_PRIMARIES:
            raise CannotBeAProfile(f"color primaries {primaries}")
        numbers, curve = icc.CICP_PRIMARIES[primaries], icc.cicp_curve(transfer)
        return of_numbers(numbers, curve, gray, f"CICP {primaries}/{transfer}")
    except CannotBeAProfile as error:
        raise _color(form, error) from error


def has_coding(chunks: Mapping[bytes, list[bytes]]) -> bool:
    """Whether a PNG has a valid and meaningful cICP chunk."""
    coding = chunks.get(b"cICP", [b""])[0]
    return len(coding) == 4 and coding[:2] != bytes([_UNSPECIFIED, _UNSPECIFIED])


def of_png_chunks(chunks: Mapping[bytes, list[bytes]], gray: bool) -> bytes | None:
    """The profile for cICP, or for gAMA and cHRM; None if they mean sRGB, or are absent.

    A profile in iCCP takes precedence over gAMA and cHRM, but not over cICP (PNG, third edition, 4.3).

    Raises:
      NotForJpeg2000: as `of_cicp`.
    """
    if has_coding(chunks):
        coding = chunks[b"cICP"][0]
        if coding[2] or not coding[3]:
            raise NotForJpeg2000(Reason.COLOR, "a PNG whose samples are not full-range RGB")
        return of_cicp(coding[0], coding[1], "a PNG", gray)
    if b"sRGB" in chunks or b"iCCP" in chunks:
        return None
    stated, gamma = chunks.get(b"cHRM", [b""])[0], chunks.get(b"gAMA", [b""])[0]
    if len(stated) != 32 and len(gamma) != 4:
        return None
    primaries = icc.SRGB_PRIMARIES
    if len(stated) == 32:
        white, red, green, blue = ((x / 100_000, y / 100_000) for x, y in struct.iter_unpack(">II", stated))
        primaries = Primaries(red, green, blue, white)
    try:
        if len(gamma) != 4:
            if gray or primaries.is_like(icc.SRGB_PRIMARIES):
                return None
            return of_numbers(primaries, icc.srgb_curve(), gray, "PNG cHRM")
        exponent = 100_000 / max(1, int.from_bytes(gamma))
        return of_numbers(primaries, icc.gamma_curve(exponent), gray, "PNG gAMA and cHRM")
    except CannotBeAProfile as error:
        raise _color("a PNG", error) from error


def of_tiff(
    white: tuple[float, ...], primaries: tuple[float, ...], transfer: tuple[int, ...], *, gray: bool
) -> bytes | None:
    """The profile of WhitePoint, PrimaryChromaticities and TransferFunction (TIFF 6.0, section 20).

    Each is () if it is absent; a transfer function has 2**bits entries, once or for three channels.

    Raises:
      NotForJpeg2000: as `of_cicp`.
    """
    stated = len(primaries) == 6 or len(white) == 2
    if not transfer and (not stated or gray):
        return None
    try:
        numbers = icc.SRGB_PRIMARIES
        if len(primaries) == 6:
            red, green, blue = zip(primaries[::2], primaries[1::2], strict=True)
            numbers = Primaries(red, green, blue)
        if len(white) == 2:
            numbers = dataclasses.replace(numbers, white=(white[0], white[1]))
        curves = _transfer_curves(transfer)
        if gray:
            return icc.gray_profile(curves[0], "TIFF TransferFunction")
        if not transfer and numbers.is_like(icc.SRGB_PRIMARIES):
            return None
        return icc.matrix_profile(
            numbers, curves[0], "TIFF color tags", tuple(curves) if len(curves) == 3 else ()
        )
    except CannotBeAProfile as error:
        raise _color("a TIFF", error) from error


def _transfer_curves(transfer: tuple[int, ...]) -> list[Curve]:
    if not transfer:
        return [icc.gamma_curve(_TIFF_GAMMA)]
    count = 3 if len(transfer) % 3 == 0 else 1
    size = len(transfer) // count
    if not 16 <= size <= _MOST_ENTRIES:
        raise CannotBeAProfile(f"a transfer function of {size:,} entries")
    light = np.array(transfer, np.float64).reshape(count, size) / 65535
    return [icc.table_curve(one) for one in light]


def of_exif(block: bytes | None, gray: bool) -> bytes | None:
    """The profile for an EXIF block that states Adobe RGB, as cameras do (DCF 2.0), or primaries.

    None if it states sRGB, nothing, or something that is not a color.

    Raises:
      NotForJpeg2000: it states something that no profile can express.
    """
    if not block:
        return None
    try:
        first = next(exif.directories(block))
        below = exif.numbers(block, first, exif.EXIF_DIRECTORY)[:1]
        camera = exif.read_directory(block, below[0]) if below else exif.Directory({}, 0)
        further = exif.numbers(block, camera, exif.INTEROPERABILITY_DIRECTORY)[:1]
        rules = exif.read_directory(block, further[0]) if further else exif.Directory({}, 0)
    except (exif.BadExif, StopIteration):
        return None
    space = (exif.numbers(block, camera, _COLOR_SPACE) or (1,))[0]
    if space == _ADOBE_RGB or exif.raw(block, rules, _INTEROPERABILITY_INDEX).startswith(b"R03"):
        curve = icc.gamma_curve(_ADOBE_GAMMA)
        return of_numbers(icc.ADOBE_PRIMARIES, curve, gray, "Adobe RGB (1998) by EXIF")
    if space == _WIDE_GAMUT:
        raise NotForJpeg2000(Reason.COLOR, "a wide-gamut RGB picture by its EXIF, without a profile")
    white, stated = (exif.ratios(block, first, tag) for tag in (_WHITE, _PRIMARIES))
    gamma = exif.ratios(block, camera, _GAMMA)
    if len(stated) != 6 or gray:
        return None
    red, green, blue = zip(stated[::2], stated[1::2], strict=True)
    primaries = Primaries(red, green, blue, (white[0], white[1]) if len(white) == 2 else icc.D65)
    if primaries.is_like(icc.SRGB_PRIMARIES):
        return None
    try:
        by_exif = icc.matrix_profile(primaries, icc.srgb_curve(), "Primaries by EXIF")
    except CannotBeAProfile:
        return None  # nonsense that some writers leave
    try:
        own_curve = icc.gamma_curve(gamma[0]) if gamma else None
    except CannotBeAProfile as error:
        raise _color("a picture with color according to EXIF", error) from error
    return by_exif if own_curve is None else icc.matrix_profile(primaries, own_curve, "Primaries by EXIF")


def fitting(profile: bytes, channels: int) -> bytes:
    """A profile made to fit a picture of 1 to 4 channels: gray samples get the gray of an RGB profile.

    Raises:
      NotForJpeg2000: a JP2 cannot hold it; the message says why.
    """
    size = int.from_bytes(profile[:4])
    if 132 <= size <= len(profile):
        profile = profile[:size]  # without padding
    if len(profile) != size or profile[36:40] != b"acsp":
        raise NotForJpeg2000(Reason.COLOR, "its color profile is damaged")
    space = profile[16:20]
    try:
        if channels <= 2 and space == b"RGB ":
            return icc.gray_of_rgb(profile)
    except CannotBeAProfile as error:
        raise NotForJpeg2000(Reason.COLOR, f"a gray picture, and {error}") from error
    wanted = b"GRAY" if channels <= 2 else b"RGB "
    if space != wanted:
        raise NotForJpeg2000(
            Reason.COLOR,
            f"its color profile is for {space.decode('latin-1').strip()}, but the image is"
            f" {wanted.decode().strip()}",
        )
    return profile


def _color(form: str, error: Exception) -> NotForJpeg2000:
    return NotForJpeg2000(
        Reason.COLOR, f"{form} with {error}, which cannot be expressed exactly as an ICC profile"
    )
