"""Turns what there is to plan with into spooled rows: listings, metrics rows, failures."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive.encryption import ENDING
from foveate.archive.names import name_bytes
from foveate.archive.newest import ArchivedRow
from foveate.archive.planning.spool import place_of
from foveate.archive.tables import BadTable, metrics_schema, read_journal, read_lines, table_text
from foveate.storage.files import read_whole
from foveate.storage.listing import ListedFile
from foveate.storage.source import SourceFile

_AT_ONCE = 1 << 14  # rows of a table


@functools.cache
def rows_schema() -> pa.Schema:
    """The columns of rows that are spooled: what planning asks of the metrics table."""
    return schema_of_rows([field.name for field in dataclasses.fields(ArchivedRow)])


def schema_of_rows(names: Sequence[str]) -> pa.Schema:
    """The columns of rows that are spooled, with these of the metrics table."""
    full = metrics_schema()
    return pa.schema(
        [pa.field("place", pa.int64()), *(full.field(name).with_nullable(True) for name in names)]
    )


def source_rows(sources: Iterable[SourceFile]) -> Iterator[tuple[Any, ...]]:
    """The spooled form of sources."""
    for source in sources:
        url, path = table_text(source.url), table_text(source.relative_path)
        raw = None
        if url != source.url or path != source.relative_path:
            raw = emit_names(source)
        yield (
            place_of(path),
            url,
            path,
            source.size_bytes,
            source.modified,
            source.frame,
            source.generation,
            source.checksum,
            raw,
        )


def source_of(row: dict[str, Any]) -> SourceFile:
    """The source of a spooled row; the inverse of `source_rows`."""
    url, path = row["url"], row["path"]
    if row["raw"] is not None:
        url, path = (part.decode(errors="surrogatepass") for part in row["raw"].split(b"\0"))
    return SourceFile(
        url, path, row["size"], row["modified"], row["frame"], row["generation"], row["checksum"]
    )


def emit_names(source: SourceFile) -> bytes:
    """Url and path of a source whose name is not UTF-8; no name has a zero byte in it."""
    return b"\0".join((name_bytes(source.url), name_bytes(source.relative_path)))


def file_rows(files: Iterable[ListedFile]) -> Iterator[tuple[Any, ...]]:
    """The spooled form of an archive's files; one that may be of two photos stands in both places."""
    for file in files:
        path = table_text(file.path)
        places = {place_of(path)}
        if path.endswith(ENDING):
            places.add(place_of(path.removesuffix(ENDING)))
        for place in places:
            yield place, path, file.size_bytes, file.version


def held_rows(files: Iterable[ListedFile], place: Callable[[str], int]) -> Iterator[tuple[Any, ...]]:
    """The spooled form of an archive's files for a verification."""
    for file in files:
        path = table_text(file.path)
        raw = None if path == file.path else name_bytes(file.path)
        yield place(path), path, file.size_bytes, file.version, raw


def table_rows(url: str, schema: pa.Schema, place: Callable[[str], int]) -> Iterator[pa.Table]:
    """The spooled form of one file of the metrics table, some rows at a time.

    Args:
      url: the file's.
      schema: the columns that are wanted; the first is "place".
      place: makes that of a relative path.

    Raises:
      BadTable: it is none.
      FileNotFoundError: it is gone.
    """
    try:
        opened: Any = io.BytesIO(read_whole(url)) if "://" in url else url
        with pq.ParquetFile(opened) as file:
            present = [name for name in schema.names if name in file.schema_arrow.names]
            for batch in file.iter_batches(_AT_ONCE, columns=present):
                yield _spooled(pa.Table.from_batches([batch]), schema, place)
    except pa.ArrowException as error:
        raise BadTable(f"{url} is not a metrics table: {error}") from error


def _spooled(table: pa.Table, schema: pa.Schema, place: Callable[[str], int]) -> pa.Table:
    columns = {name: table.column(name) for name in table.column_names}
    paths = columns["relative_path"].to_pylist()
    columns["place"] = pa.array(np.fromiter(map(place, paths), np.int64, len(paths)))
    for field in schema:
        if field.name not in columns:
            columns[field.name] = pa.nulls(len(table), field.type)
    return pa.table([columns[name] for name in schema.names], names=schema.names).cast(schema)


def journal_rows(url: str, schema: pa.Schema, place: Callable[[str], int]) -> Iterator[pa.Table]:
    """The spooled form of a journal; that a table of the same run may have the same rows does no harm.

    Arguments as of `table_rows`.

    Raises:
      BadTable: it is none.
    """
    names = schema.names[1:]
    rows: list[dict[str, Any]] = []

    def taken() -> pa.Table:
        table = pa.Table.from_pylist(rows, schema=pa.schema([schema.field(name) for name in names]))
        rows.clear()
        return _spooled(table, schema, place)

    for row in read_journal(url):
        rows.append({name: row.get(name) for name in names})
        if len(rows) >= _AT_ONCE:
            yield taken()
    if rows:
        yield taken()


def failure_rows(url: str) -> Iterator[tuple[Any, ...]]:
    """The spooled form of one file of failures: which source failed when; a time that is none is of no use.

    Raises:
      BadTable: it is none.
    """
    last: dict[str, datetime.datetime] = {}
    for line in read_lines(url):
        with contextlib.suppress(ValueError):
            when = datetime.datetime.fromisoformat(line["time"])
            if when.tzinfo is not None and not (line["url"] in last and last[line["url"]] >= when):
                last[line["url"]] = when
    for failed, when in last.items():
        yield 0, failed, when
