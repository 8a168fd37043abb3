"""Plans a restore: gives each file its own path below the output.

listing ─▶ spool by name without endings ─▶ grouped, bucket by bucket ─▶ FOLDER/<bucket>-<number>.parquet
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from foveate.archive.encryption import ENDING
from foveate.archive.names import JPEG2000_EXTENSIONS, is_jpeg2000
from foveate.archive.planning.collect import columns_of, source_of
from foveate.archive.planning.join import opened
from foveate.archive.planning.places import places_of
from foveate.archive.planning.planner import collect_sources
from foveate.archive.planning.slices import Slice, rows_of
from foveate.archive.planning.spool import SCHEMAS, Spool, Spooled, buckets_of, put_parquet
from foveate.archive.planning.tasks import Asked
from foveate.archive.tables import lies_in_archive, table_text
from foveate.pictures.formats import PICTURE_EXTENSIONS, PictureFormat, extension
from foveate.storage.errors import BadInput
from foveate.storage.source import SourceFile, SourcePage

EXTENSIONS = JPEG2000_EXTENSIONS | PICTURE_EXTENSIONS | {ENDING}
"""The files of a folder that are restored: lower case, with the dot."""

_ROWS_PER_PART = 20_000
_AT_ONCE = 1 << 13
_ENDINGS = sorted(ending.removeprefix(".") for ending in EXTENSIONS)
_ANY_ENDINGS = rf"(?i)(\.({'|'.join(_ENDINGS)}))+$"
_SCHEMA = pa.schema([*list(SCHEMAS["sources"])[1:], ("is_full", pa.bool_()), ("error", pa.string())])


@dataclasses.dataclass(frozen=True)
class NamedFile:
    """A file to restore and its path below the output."""

    source: SourceFile
    path: str


@dataclasses.dataclass(frozen=True)
class Unnamed:
    """A file whose place in the output is taken by another, and a sentence about it."""

    source: SourceFile
    detail: str

    @property
    def error(self) -> BadInput:
        """The problem, for a failure row."""
        return BadInput(self.detail)


class RestorePlan(NamedTuple):
    """The urls of a plan's parts, and the number of its files.

    `other_kinds` counts the files that are not taken for their endings.
    """

    parts: tuple[str, ...]
    files: int
    other_kinds: Mapping[str, int]


def plan_restore(
    sources: tuple[str, ...], output: str, file_format: PictureFormat, folder: str
) -> RestorePlan:
    """Writes a row for every file to restore.

    Of an archive, or a folder in one, all files are taken: it holds nothing that does not belong there.

    Args:
      sources: archives, files, folders, globs or URLs.
      output: where the results go.
      file_format: of the results.
      folder: where the rows go.

    Raises:
      NothingFound: a source names nothing, or a place cannot be listed.
    """
    parts: list[str] = []
    with tempfile.TemporaryDirectory(prefix="foveate-plan-") as scratch:
        spooled: list[Spooled] = []
        files, others = 0, collections.Counter[str]()
        for every_kind in (False, True):
            some = tuple(source for source in sources if lies_in_archive(source) == every_kind)
            if some:
                spool = Spool(scratch, "sources", place=_output_places)
                asked = Asked(some, EXTENSIONS, output, "", "", every_kind=every_kind)
                found, count, kinds = collect_sources(asked, _without_encryption, spool)
                spooled += found
                files += count
                others.update(kinds)
        for bucket in buckets_of(spooled):
            name = "any" if bucket is None else f"{bucket:04}"
            with opened(spooled, bucket, ("sources",)) as db:
                rows = _rows(db.sql("SELECT * FROM sources ORDER BY place"), file_format)
                for number in itertools.count():
                    part = list(itertools.islice(rows, _ROWS_PER_PART))
                    if not part:
                        break
                    parts.append(f"{folder}/{name}-{number:05}.parquet")
                    put_parquet(pa.Table.from_pylist(part, schema=_SCHEMA), parts[-1])
    return RestorePlan(tuple(parts), files, others)


def read_restore_plan(part: Slice, file_format: PictureFormat) -> Iterator[NamedFile | Unnamed]:
    """The files of a slice of a part.

    Raises:
      BadTable: the part is unreadable.
    """
    for row in rows_of(part):
        source = source_of(row)
        if row["error"] is not None:
            yield Unnamed(source, row["error"])
        else:
            name = full_name if row["is_full"] else short_name
            yield NamedFile(source, name(source, file_format))


def named(files: Iterable[SourceFile], file_format: PictureFormat) -> Iterator[NamedFile | Unnamed]:
    """Names all files that compete for one place; if several want the same path, the first by url gets it.

    A file that alone wants its short name gets that, several keep their full names.
    """
    by_name: dict[str, dict[str, SourceFile]] = {}
    for file in files:
        by_name.setdefault(short_name(file, file_format), {})[file.url] = file
    by_path: dict[str, list[NamedFile]] = {}
    for alike in by_name.values():
        for file in alike.values():
            name = short_name if len(alike) == 1 else full_name
            path = name(file, file_format)
            by_path.setdefault(path, []).append(NamedFile(file, path))
    for path, claims in by_path.items():
        first, *others = sorted(claims, key=lambda claim: claim.source.url)
        yield first
        for other in others:
            sentence = f"its place, {path}, is taken by {first.source.url}; restore it to another destination"
            yield Unnamed(other.source, sentence)


def short_name(file: SourceFile, file_format: PictureFormat) -> str:
    """The path of a file without competitors: photo.jpg.jp2 -> photo.png; other kinds keep their names."""
    if not is_jpeg2000(file.relative_path):
        return file.relative_path
    name = _without_jp2(file.relative_path)
    stem, dot, ending = name.rpartition(".")
    if dot and f".{ending.lower()}" in PICTURE_EXTENSIONS:
        name = stem
    return name + extension(file_format)


def full_name(file: SourceFile, file_format: PictureFormat) -> str:
    """The path of a file whose short name others want too: photo.jpg.jp2 -> photo.jpg.png."""
    if not is_jpeg2000(file.relative_path):
        return file.relative_path
    return _without_jp2(file.relative_path) + extension(file_format)


def _without_jp2(path: str) -> str:
    return path.rpartition(".")[0]


def _without_encryption(page: SourcePage) -> SourcePage:
    """Encrypted files by the names of what they hold."""
    return page._replace(paths=[path.removesuffix(ENDING) for path in page.paths])


def _output_places(paths: pa.ChunkedArray) -> np.ndarray:
    """A hash of names without extensions, equal for files that may want one short or full name."""
    return places_of(pc.replace_substring_regex(paths, _ANY_ENDINGS, ""))


def _rows(found: Any, file_format: PictureFormat) -> Iterator[dict[str, Any]]:
    """The rows of all files of a bucket, given in the order of their places."""
    rows = itertools.chain.from_iterable(batch.to_pylist() for batch in found.to_arrow_reader(_AT_ONCE))
    for _, group in itertools.groupby(rows, key=lambda row: row["place"]):
        for file in named(map(source_of, group), file_format):
            source = file.source
            yield {
                **columns_of(source),
                "is_full": isinstance(file, NamedFile) and file.path != short_name(source, file_format),
                "error": None if isinstance(file, NamedFile) else table_text(file.detail),
            }
