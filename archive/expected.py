"""What the tables say should be in an archive, joined with one listing of what is there."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa

from foveate.archive.findings import Finding, Kind
from foveate.archive.names import ENDINGS, is_jpeg2000
from foveate.archive.newest import newest_rows
from foveate.archive.tables import read_metrics, table_text
from foveate.storage.files import join, stored_version
from foveate.storage.listing import ListedFile, find_file, list_folder
from foveate.storage.source import SourceFile


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

    def finding(self, kind: Kind, detail: str, sha256: str = "") -> Finding:
        """Something about this file."""
        return Finding(self.path, self.url, kind, detail, sha256)

    @property
    def source(self) -> SourceFile:
        """The archived file itself, which verification reads."""
        return SourceFile(self.url, self.path, self.size_bytes, 0.0)


_ENDING_SQL = (
    "CASE "
    + " ".join(
        f"WHEN ends_with(archive_url, relative_path || '{ending}') THEN '{ending}'" for ending in ENDINGS
    )
    + " ELSE '' END"
)


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
        rows = read_metrics(archive, columns=columns)
        with duckdb.connect() as connection:
            connection.register("metrics", rows)
            connection.register("counting", newest_rows(rows))
            newest = connection.sql(f"SELECT *, {_ENDING_SQL} AS ending FROM counting").to_arrow_table()
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
        """The row of the file at a path, None if no row has it."""
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


def plan(archive: bytes, quick: bool, recheck: int) -> Iterator[Check | Finding]:
    """A `Check` for every file whose bytes are to be looked at; a `Finding` for what a listing tells.

    Where there are no tables at all, every JPEG 2000 file is to be held against its own record alone.

    Args:
      archive: the archive's root, or one file, as bytes: not every name is text.
      quick: compare sizes and the checksums of listings only, and read no file.
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
            yield _without_row(file, root, expected)
            continue
        known = None if row is None else expected[row]
        if row is not None:
            seen[row] = True
        if not quick and (known is not None or is_jpeg2000(file.path)):
            yield Check(file.path, join(root, file.path), file.size_bytes, known, row in again)
        elif known is not None:
            yield from _by_listing(file, root, known)
    for number in np.flatnonzero(~seen):
        missing = expected[int(number)]
        path = missing.relative_path + missing.ending
        yield Finding(path, join(root, path), "missing", "its row is there, the file is not")


def _to_measure_again(expected: ExpectedFiles, count: int) -> set[int]:
    """So many rows, at random, of compressed photos whose sources are still there."""
    chosen: set[int] = set()
    rows = list(range(len(expected.table))) if count else []
    random.shuffle(rows)
    for row in rows:
        if len(chosen) == count:
            break
        known = expected[row]
        # A frame is not a whole file.
        a_file = known.outcome == "compressed" and known.source_url.endswith(known.relative_path)
        if a_file and known.psnr_db is not None and stored_version(known.source_url):
            chosen.add(row)
    return chosen


def _without_row(file: ListedFile, root: str, expected: ExpectedFiles) -> Finding:
    url = join(root, file.path)
    if expected.is_former(table_text(file.path)):
        detail = "an earlier run wrote it, and a later one stored the photo otherwise: it may be deleted"
        return Finding(file.path, url, "stale", detail)
    return Finding(file.path, url, "untracked", "no row of the metrics table has it")


def _by_listing(file: ListedFile, root: str, known: Expected) -> Iterator[Finding]:
    url = join(root, file.path)
    if file.size_bytes != known.archive_bytes:
        kind: Kind = "truncated" if file.size_bytes < known.archive_bytes else "changed"
        yield Finding(file.path, url, kind, size_mismatch(file.size_bytes, known))
    elif _store_disagrees(file.version, known.archive_version):
        yield Finding(file.path, url, "changed", "the store's checksum is not the one in its row")


def _store_disagrees(listed: str, noted: str | None) -> bool:
    """Whether two checksums of one kind differ; the time when a local file was changed is none."""
    kinds = {text.partition(":")[0] for text in (listed, noted or "")}
    return len(kinds) == 1 and kinds <= {"md5", "crc32c", "etag"} and listed != noted


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


def size_mismatch(size: int, known: Expected) -> str:
    """The sentence for a file of another size than it was written with."""
    return f"it has {size:,} bytes, and was written with {known.archive_bytes:,}"
