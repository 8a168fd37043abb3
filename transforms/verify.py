"""Verifies each file of an archive against its record, its row and a decoder."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterator

from foveate.archive import encryption
from foveate.archive.expected import Check, Expected, size_mismatch
from foveate.archive.findings import Finding, Kind
from foveate.archive.keys import ENDING, ArchiveKey, Misplaced, from_store
from foveate.archive.names import JP2_ENDINGS, is_jpeg2000
from foveate.archive.rows import Failure
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.integrity import Integrity
from foveate.pictures.picture import BadPicture, NotForJpeg2000, full_range
from foveate.quality.psnr import psnr
from foveate.sandbox.children import DecoderFailed
from foveate.sandbox.client import (
    Limits,
    check_file_bytes,
    check_integrity,
    decode_jpeg2000,
    decode_picture,
)
from foveate.storage.errors import BadInput
from foveate.storage.files import read_whole
from foveate.storage.object_store import checksums
from foveate.transforms.elements import Pixels
from foveate.transforms.progress import Progress
from foveate.transforms.steps import PhotoStage

_TOLERANCE_DB = 0.05  # two builds of OpenJPEG differ by one step in a few samples


@dataclasses.dataclass(frozen=True)
class Verifier:
    """The parameters of verifying a file."""

    limits: Limits
    key: ArchiveKey | None
    progress: Progress


def verify_file(check: Check, verifier: Verifier) -> Iterator[Finding]:
    """Reads one file and says what is wrong with it; counts it as verified or wrong."""
    found, pixels = _verify(check, verifier)
    wrong = any(finding.is_fault for finding in found)
    verifier.progress.count("wrong" if wrong else "verified", pixels, check.size_bytes)
    yield from found


def unverified(failure: Failure, archive: str, progress: Progress) -> Finding:
    """The finding of a file at which the verification itself failed."""
    progress.count("wrong", 0, 0)
    path = failure.url.removeprefix(archive).lstrip("/")
    return Finding(path, failure.url, "unreadable", f"{failure.error_type}: {failure.message}")


def _verify(check: Check, verifier: Verifier) -> tuple[list[Finding], int]:
    """All that is found, and how many pixels were decoded for it."""
    try:
        check_file_bytes(check.size_bytes, verifier.limits)
        data = read_whole(check.url, verifier.limits.file_bytes)
    except FileNotFoundError:
        return [check.finding("missing", "it was there when the archive was listed")], 0
    except (BadInput, OSError) as error:
        return [check.finding("unreadable", str(error))], 0
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        plain = _opened(data, check, verifier)
        is_ours = plain is not None and _is_archive(check)
        parsed = check_integrity(plain, verifier.limits) if plain is not None and is_ours else None
    except Misplaced as error:
        return [check.finding("swapped", str(error), sha256)], 0
    except DecoderFailed as error:
        return [check.finding("undecodable", str(error), sha256)], 0
    except (BadInput, BadCodestream) as error:
        kind = _short_or(data, check.expected, "damaged")
        return [check.finding(kind, str(error), sha256)], 0
    as_written = _is_as_written(data, sha256, check.expected)
    faults = list(_faults(plain, parsed, check.expected, as_written))
    faults = _faults_of_bytes(data, as_written, faults, check.expected)
    if faults:
        return [check.finding(kind, detail, sha256) for kind, detail in faults], 0
    notes = []
    if plain is None:
        detail = "encrypted: only its checksum was compared; use --encrypt-key FILE to check the rest"
        notes.append(check.finding("locked", detail))
    elif not as_written and not (parsed is not None and parsed.whole):
        notes.append(check.finding("no_checksum", "neither its row nor its record has a checksum"))
    if plain is None or parsed is None:
        return notes, 0
    faults, pixels = _decoded_faults(plain, check, verifier)
    return [check.finding(kind, detail, sha256) for kind, detail in faults] + notes, pixels


def _faults_of_bytes(
    data: bytes, as_written: bool | None, faults: list[tuple[Kind, str]], known: Expected | None
) -> list[tuple[Kind, str]]:
    """The faults of a file, and what its bytes say beside them where they are not those of its row."""
    if known is None or as_written is not False:
        return faults
    kind, detail = (faults or [(_short_or(data, known, "changed"), "not the file that its row describes")])[0]
    if len(data) != known.archive_bytes:
        short = kind == "damaged" and len(data) < known.archive_bytes
        kind, detail = (
            ("truncated" if short else kind),
            f"{detail}; {size_mismatch(len(data), known.archive_bytes)}",
        )
    return [(kind, detail), *faults[1:]]


def _is_as_written(data: bytes, sha256: str, known: Expected | None) -> bool | None:
    """Whether a file is the one that its row describes, None where the row has no checksum."""
    if known is None:
        return None
    if len(data) != known.archive_bytes:
        return False
    if known.archive_sha256 is not None:
        return sha256 == known.archive_sha256
    if known.ending == "":
        return sha256 == known.source_sha256
    noted = known.archive_version or ""
    sums = {text for text in checksums(data) if text.partition(":")[0] == noted.partition(":")[0]}
    return noted in sums if sums else None


def _opened(data: bytes, check: Check, verifier: Verifier) -> bytes | None:
    """A file's content, None where it is encrypted and there is no key."""
    if verifier.key is None and encryption.is_encrypted(data) and check.path.endswith(ENDING):
        return None
    return from_store(data, check.url, verifier.key)


def _is_archive(check: Check) -> bool:
    """Whether a file is one of ours with a record, or a copy of its source."""
    if check.expected is not None:
        return check.expected.ending in JP2_ENDINGS
    return is_jpeg2000(check.path)


def _short_or(data: bytes, known: Expected | None, kind: Kind) -> Kind:
    return "truncated" if known is not None and len(data) < known.archive_bytes else kind


def _faults(
    plain: bytes | None, parsed: Integrity | None, known: Expected | None, as_written: bool | None
) -> Iterator[tuple[Kind, str]]:
    """Compares a file's content with its own record, and its record with its row.

    Of a file that is the one its row describes, settings are not compared: its record's digest covers its
    saliency mask, which the row's, one for the whole run, cannot.
    """
    if plain is None:
        return
    if parsed is None:
        if known is not None and hashlib.sha256(plain).hexdigest() != known.source_sha256:
            yield "damaged", "a copy whose bytes differ from its source's"
        return
    record = parsed.record
    if parsed.cut_after is not None and not parsed.problems:
        left, layers = parsed.cut_after
        yield "layer_truncated", f"cut after layer {left} of {layers}: the remaining part has no checksum"
    for problem in parsed.problems:
        yield "damaged", problem
    if record is None or known is None or parsed.problems:
        return
    if not record.made_of(bytes.fromhex(known.source_sha256)):
        yield "swapped", "its record and its row name different photos"
    elif as_written:
        return
    elif not record.made_with(bytes.fromhex(known.settings_digest), bytes.fromhex(known.weights_digest)):
        yield "changed", "its record and its row name different settings or networks"


def _decoded_faults(plain: bytes, check: Check, verifier: Verifier) -> tuple[list[tuple[Kind, str]], int]:
    """The problems of the picture in a file, and how many pixels it has."""
    try:
        decoded = decode_jpeg2000(plain, verifier.limits)
    except (BadCodestream, UnsupportedCodestream, BadInput, ValueError) as error:
        return [("undecodable", str(error))], 0
    known, pixels = check.expected, full_range(decoded.pixels, decoded.bit_depth)
    height, width, channels = pixels.shape
    faults: list[tuple[Kind, str]] = []
    if known is not None and known.width is not None:
        is_that = (width, height, channels, 8 * pixels.dtype.itemsize)
        should_be = (known.width, known.height, known.channels, 8 if (known.bit_depth or 0) <= 8 else 16)
        if is_that != should_be:
            names = "width, height, channels and bits are"
            faults.append(("wrong_format", f"{names} {_listed(is_that)}, but should be {_listed(should_be)}"))
        elif check.recheck:
            faults += _measured_again(pixels, known, verifier)
    return faults, height * width


def _listed(numbers: tuple[int | None, ...]) -> str:
    return ", ".join(map(str, numbers))


def _measured_again(pixels: Pixels, known: Expected, verifier: Verifier) -> Iterator[tuple[Kind, str]]:
    """Holds a photo against its source, unless that has changed since, or is gone."""
    try:
        source = read_whole(known.source_url, verifier.limits.file_bytes)
        if hashlib.sha256(source).hexdigest() != known.source_sha256:
            return
        original = decode_picture(source, verifier.limits).pixels
        measured = psnr(original, pixels)
    except (OSError, BadInput, BadPicture, NotForJpeg2000):
        return
    noted = known.psnr_db if known.psnr_db is not None else math.nan
    if measured != noted and not abs(measured - noted) <= _TOLERANCE_DB:
        yield "quality", f"its PSNR is {measured:.2f} dB, but its row says {noted:.2f} dB"


@dataclasses.dataclass
class VerifyFiles(PhotoStage):
    """`Check` → `Finding`s."""

    verifier: Verifier
    step = "verify"
    output = Finding

    def work(self) -> Callable[[Check], Iterator[Finding]]:
        """`verify_file`."""
        return functools.partial(verify_file, verifier=self.verifier)
