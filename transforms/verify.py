"""An archive held against its tables, and every file against its own record, its row and a decoder.

archive ─▶ plan: tables joined with one listing ─▶ Check, a file each ─▶ verify_file ─▶ Finding
                      └▶ Finding: missing, foreign, stale, of another size
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import random
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import duckdb
import numpy as np
import pyarrow as pa

from foveate.codec import encryption
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.integrity import Integrity
from foveate.codec.picture import BadPicture, NotForJpeg2000
from foveate.quality.psnr import psnr
from foveate.transforms.decode import JPEG2000_EXTENSIONS, full_range
from foveate.transforms.elements import Failure, Pixels
from foveate.transforms.encryption import ENDING, ArchiveKey, Misplaced, from_store
from foveate.transforms.files import ListedFile, find_file, join, list_folder, read_whole, stored_version
from foveate.transforms.findings import Finding, Kind
from foveate.transforms.isolation import (
    DecoderFailed,
    Limits,
    check_file_bytes,
    check_integrity,
    decode_jpeg2000,
    decode_picture,
)
from foveate.transforms.match import ENDINGS
from foveate.transforms.progress import Progress
from foveate.transforms.steps import BadInput
from foveate.transforms.stores import checksums
from foveate.transforms.tables import read_metrics, table_text

FINDINGS = "findings"
_TOLERANCE_DB = 0.05  # two builds of OpenJPEG differ by one step in a few samples


@dataclasses.dataclass(frozen=True)
class Expected:
    """What the tables say of one file; fields as in `MetricsRow`.

    ending: what its name has more than its source's.
    """

    relative_path: str
    ending: str
    source_url: str
    outcome: str
    source_format: str
    source_sha256: str
    archive_bytes: int
    archive_version: str | None
    archive_sha256: str | None
    settings_digest: str
    weights_digest: str
    width: int | None
    height: int | None
    channels: int | None
    bit_depth: int | None
    psnr_db: float | None


@dataclasses.dataclass(frozen=True)
class Check:
    """One file to verify: where it is, what is known of it (None: nothing), whether to measure it again."""

    path: str
    url: str
    size_bytes: int
    expected: Expected | None
    recheck: bool


@dataclasses.dataclass(frozen=True)
class Verifier:
    """What verifying a file needs to know besides the file."""

    limits: Limits
    key: ArchiveKey | None
    progress: Progress


# ---------------------------------------------------------------- planning

_ENDING_SQL = (
    "CASE "
    + " ".join(
        f"WHEN ends_with(archive_url, relative_path || '{ending}') THEN '{ending}'" for ending in ENDINGS
    )
    + " ELSE '' END"
)
# A "skipped" row says less of a file than the one of the run that wrote it, but knows its version better.
_NEWEST_SQL = f"""
    SELECT * REPLACE (coalesce(last_version, archive_version) AS archive_version), {_ENDING_SQL} AS ending
    FROM (SELECT *, first_value(archive_version IGNORE NULLS) OVER (
              PARTITION BY relative_path, archive_bytes ORDER BY finished DESC
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last_version
          FROM metrics)
    QUALIFY row_number() OVER (
        PARTITION BY relative_path ORDER BY outcome = 'skipped', finished DESC, archive_url) = 1
"""
_COLUMNS = [field.name for field in dataclasses.fields(Expected) if field.name != "ending"]


@dataclasses.dataclass(frozen=True, eq=False)
class ExpectedFiles:
    """All that the tables say should be in an archive.

    table: a row a file, the columns of `Expected`.
    places: the row of each (relative path, as `table_text` has it).
    former: (relative path, ending) of files that earlier runs wrote and later ones did otherwise.
    """

    table: pa.Table
    places: dict[str, int]
    former: frozenset[tuple[str, str]]

    @staticmethod
    def read(archive: str) -> ExpectedFiles:
        """Reads an archive's tables.

        Raises:
          BadTable: one of them is none.
        """
        columns = [*_COLUMNS, "archive_url", "finished"]
        with duckdb.connect() as connection:
            connection.register("metrics", read_metrics(archive, columns=columns))
            newest = connection.sql(_NEWEST_SQL).to_arrow_table()
            connection.register("newest", newest)
            former = connection.sql(
                f"SELECT DISTINCT relative_path, {_ENDING_SQL} AS ending FROM metrics EXCEPT "
                "SELECT relative_path, ending FROM newest"
            ).fetchall()
        table = newest.select([field.name for field in dataclasses.fields(Expected)])
        paths = table.column("relative_path").to_pylist()
        return ExpectedFiles(table, {path: number for number, path in enumerate(paths)}, frozenset(former))

    def __getitem__(self, row: int) -> Expected:
        return Expected(*(column[row].as_py() for column in self.table.columns))

    def of_file(self, path: str) -> int | None:
        """The row of the file at a path, None if no row tells of it."""
        for ending in filter(path.endswith, ENDINGS):
            row = self.places.get(path.removesuffix(ending))
            if row is not None and self.table.column("ending")[row].as_py() == ending:
                return row
        return None

    def is_former(self, path: str) -> bool:
        """Whether an earlier run wrote a file there that a later one wrote otherwise."""
        return any(
            (path.removesuffix(ending), ending) in self.former for ending in filter(path.endswith, ENDINGS)
        )


def plan(archive: bytes, quick: bool, recheck: int) -> Iterator[Any]:
    """A `Check` for every file whose bytes are to be looked at; what a listing tells, to the tag "findings".

    Where there are no tables at all, every JPEG 2000 file is to be held against its own record alone.

    Args:
      archive: the archive's root, or one file, as bytes: not every name is text.
      quick: compare sizes and the checksums of listings only, and look at no file.
      recheck: how many photos to measure again, at random.

    Raises:
      BadTable: a table is none.
      NothingFound: the archive's store cannot be listed.
    """
    root = archive.decode(errors="surrogatepass")
    single = find_file(root)
    if single is not None:
        yield Check(single.path, root, single.size_bytes, None, False)
        return
    expected = ExpectedFiles.read(root)
    seen = np.zeros(len(expected.table), bool)
    again = _to_measure_again(expected, recheck)
    for file in list_folder(root):
        row = expected.of_file(table_text(file.path))
        if row is None and len(seen):
            yield beam.pvalue.TaggedOutput(FINDINGS, _without_row(file, root, expected))
            continue
        known = None if row is None else expected[row]
        if row is not None:
            seen[row] = True
        if not quick and (known is not None or _is_jpeg2000(file.path)):
            yield Check(file.path, join(root, file.path), file.size_bytes, known, row in again)
        elif known is not None:
            yield from (beam.pvalue.TaggedOutput(FINDINGS, found) for found in _by_listing(file, root, known))
    for number in np.flatnonzero(~seen):
        missing = expected[int(number)]
        path = missing.relative_path + missing.ending
        found = Finding(path, join(root, path), "missing", "its row is there, the file is not")
        yield beam.pvalue.TaggedOutput(FINDINGS, found)


def _to_measure_again(expected: ExpectedFiles, count: int) -> set[int]:
    """So many rows, at random, of compressed photos whose sources are still there."""
    chosen: set[int] = set()
    rows = list(range(len(expected.table))) if count else []
    random.shuffle(rows)
    for row in rows:
        if len(chosen) == count:
            break
        known = expected[row]
        # One frame of a file is no file.
        a_file = known.outcome == "compressed" and known.source_url.endswith(known.relative_path)
        if a_file and known.psnr_db is not None and stored_version(known.source_url):
            chosen.add(row)
    return chosen


def _without_row(file: ListedFile, root: str, expected: ExpectedFiles) -> Finding:
    url = join(root, file.path)
    if expected.is_former(table_text(file.path)):
        detail = "an earlier run wrote it, and a later one stored the photo otherwise: it may be deleted"
        return Finding(file.path, url, "stale", detail)
    return Finding(file.path, url, "foreign", "no row of the metrics tells of it")


def _by_listing(file: ListedFile, root: str, known: Expected) -> Iterator[Finding]:
    url = join(root, file.path)
    if file.size_bytes != known.archive_bytes:
        kind: Kind = "truncated" if file.size_bytes < known.archive_bytes else "changed"
        yield Finding(file.path, url, kind, _of_other_size(file.size_bytes, known))
    elif _store_disagrees(file.version, known.archive_version):
        yield Finding(file.path, url, "changed", "the store's checksum is not the one in its row")


def _of_other_size(size: int, known: Expected) -> str:
    return f"it has {size:,} bytes, and was written with {known.archive_bytes:,}"


def _store_disagrees(listed: str, noted: str | None) -> bool:
    """Whether two checksums of one kind differ; the time when a local file was changed is none."""
    kinds = {text.partition(":")[0] for text in (listed, noted or "")}
    return len(kinds) == 1 and kinds <= {"md5", "crc32c", "etag"} and listed != noted


def _is_jpeg2000(path: str) -> bool:
    bare = path.removesuffix(ENDING)
    return f".{bare.rpartition('.')[2].lower()}" in JPEG2000_EXTENSIONS


# ---------------------------------------------------------------- one file


def url_of(check: Check) -> str:
    """The file's url."""
    return check.url


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
    known = check.expected

    def finding(kind: Kind, detail: str, sha256: str = "") -> Finding:
        return Finding(check.path, check.url, kind, detail, sha256)

    try:
        check_file_bytes(check.size_bytes, verifier.limits)
        data = read_whole(check.url, verifier.limits.file_bytes)
    except FileNotFoundError:
        return [finding("missing", "it was there when the archive was listed")], 0
    except (BadInput, OSError) as error:
        return [finding("unreadable", str(error))], 0
    sha256 = hashlib.sha256(data).hexdigest()
    as_written = _is_as_written(data, sha256, known)
    try:
        plain = _opened(data, check, verifier)
        is_ours = plain is not None and _is_archive(check)
        parsed = check_integrity(plain, verifier.limits) if plain is not None and is_ours else None
    except Misplaced as error:
        return [finding("swapped", str(error), sha256)], 0
    except DecoderFailed as error:
        return [finding("undecodable", str(error), sha256)], 0
    except (BadInput, BadCodestream) as error:
        return [finding(_short_or(data, known, "damaged"), str(error), sha256)], 0
    faults = list(_faults(plain, parsed, known))
    if known is not None and as_written is False:
        if not faults:
            detail = "it is not the file that its row tells of"
            faults = [(_short_or(data, known, "changed"), detail)]
        if len(data) != known.archive_bytes:
            kind, detail = faults[0]
            short = kind == "damaged" and len(data) < known.archive_bytes
            faults[0] = ("truncated" if short else kind, f"{detail}; {_of_other_size(len(data), known)}")
    if faults:
        return [finding(kind, detail, sha256) for kind, detail in faults], 0
    notes = []
    if plain is None:
        notes.append(
            finding("locked", "encrypted: only its checksum was compared, --encrypt-key FILE opens it")
        )
    elif not as_written and not (parsed is not None and parsed.whole):
        notes.append(finding("unsigned", "neither its row nor its record has a checksum of it"))
    if plain is None or parsed is None:
        return notes, 0
    faults, pixels = _decoded_faults(plain, check, verifier)
    return [finding(kind, detail, sha256) for kind, detail in faults] + notes, pixels


def _is_as_written(data: bytes, sha256: str, known: Expected | None) -> bool | None:
    """Whether a file is the one that its row tells of, None where the row has no checksum."""
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
        return check.expected.ending.startswith(".jp2")
    return _is_jpeg2000(check.path)


def _short_or(data: bytes, known: Expected | None, kind: Kind) -> Kind:
    return "truncated" if known is not None and len(data) < known.archive_bytes else kind


def _faults(
    plain: bytes | None, parsed: Integrity | None, known: Expected | None
) -> Iterator[tuple[Kind, str]]:
    """What a file's content says against its own record, and its record against its row."""
    if plain is None:
        return
    if parsed is None:
        if known is not None and hashlib.sha256(plain).hexdigest() != known.source_sha256:
            yield "damaged", "it is a copy, and not of the bytes that its source had"
        return
    record = parsed.record
    if parsed.cut_after is not None and not parsed.problems:
        left, layers = parsed.cut_after
        yield "cut", f"cut after layer {left} of {layers}: what is left of it has no checksum"
    for problem in parsed.problems:
        yield "damaged", problem
    if record is None or known is None or parsed.problems:
        return
    if not record.made_of(bytes.fromhex(known.source_sha256)):
        yield "swapped", "by its record it was made of another photo than its row says"
    elif not record.made_with(bytes.fromhex(known.settings_digest), bytes.fromhex(known.weights_digest)):
        yield "changed", "by its record it was made with other settings or networks than its row says"


def _decoded_faults(plain: bytes, check: Check, verifier: Verifier) -> tuple[list[tuple[Kind, str]], int]:
    """What is wrong with the picture in a file, and how many pixels it has."""
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
            faults.append(("unlike", f"{names} {_listed(is_that)}, and should be {_listed(should_be)}"))
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
        yield "quality", f"its PSNR is {measured:.2f} dB, and its row says {noted:.2f} dB"


# ---------------------------------------------------------------- afterwards


def name_swapped(findings: list[Finding], archive: str) -> list[Finding]:
    """The same findings, where a file has the bytes of another one's row, as swapped, with its name."""
    if not any(finding.is_fault and finding.sha256 for finding in findings):
        return findings
    table = ExpectedFiles.read(archive).table
    names = ("relative_path", "ending", "archive_sha256", "source_sha256")
    rows = zip(*(table.column(name).to_pylist() for name in names), strict=True)
    owners = {archived or source: path + ending for path, ending, archived, source in rows}
    return [_named(finding, owners) for finding in findings]


def _named(finding: Finding, owners: dict[str, str]) -> Finding:
    owner = owners.get(finding.sha256)
    if not finding.is_fault or owner is None or owner == finding.path:
        return finding
    return dataclasses.replace(finding, kind="swapped", detail=f"it is the file that belongs at {owner}")
