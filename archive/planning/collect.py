"""Spools what a plan is made from: listings, metrics rows and failures."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from foveate.archive.encryption import ENDING
from foveate.archive.names import name_bytes
from foveate.archive.newest import ArchivedRow
from foveate.archive.tables import BadTable, metrics_schema, read_journal, read_lines, table_text
from foveate.storage.files import read_whole
from foveate.storage.listing import ListedPage
from foveate.storage.source import SourceFile, SourcePage

_AT_ONCE = 1 << 14  # rows of a table
_BUFFER = 1 << 18  # bytes of each of its columns, else they are read whole


@functools.cache
def rows_schema() -> pa.Schema:
    """The columns of spooled rows: what planning needs from the metrics table."""
    return schema_of_rows([field.name for field in dataclasses.fields(ArchivedRow)])


def schema_of_rows(names: Sequence[str]) -> pa.Schema:
    """The columns of spooled rows, with the given ones of the metrics table."""
    full = metrics_schema()
    return pa.schema(
        [pa.field("place", pa.int64()), *(full.field(name).with_nullable(True) for name in names)]
    )


def source_table(page: SourcePage) -> pa.Table:
    """The spooled form of sources."""
    raw: pa.Array = pa.nulls(len(page.urls), pa.binary())
    try:
        urls, paths = pa.array(page.urls, pa.string()), pa.array(page.paths, pa.string())
    except UnicodeEncodeError:  # a name that is not UTF-8
        urls = pa.array(map(table_text, page.urls), pa.string())
        paths = pa.array(map(table_text, page.paths), pa.string())
        shown = zip(urls.to_pylist(), paths.to_pylist(), strict=True)
        raw = pa.array(
            [
                emit_names(source) if (source.url, source.relative_path) != texts else None
                for source, texts in zip(page.files(), shown, strict=True)
            ],
            pa.binary(),
        )
    return pa.table(
        {
            "key": paths,
            "url": urls,
            "path": paths,
            "size": pa.array(page.sizes, pa.int64()),
            "modified": pa.array(page.modified, pa.float64()),
            "frame": pa.array(page.frames, pa.int64()),
            "generation": pa.array(page.generations, pa.string()),
            "checksum": pa.array(page.checksums, pa.string()),
            "raw": raw,
        }
    )


def source_of(row: dict[str, Any]) -> SourceFile:
    """The source of a spooled row; the inverse of `source_table`."""
    url, path = row["url"], row["path"]
    if row["raw"] is not None:
        url, path = (part.decode(errors="surrogatepass") for part in row["raw"].split(b"\0"))
    return SourceFile(
        url, path, row["size"], row["modified"], row["frame"], row["generation"], row["checksum"]
    )


def columns_of(source: SourceFile) -> dict[str, Any]:
    """A source as values of a table's columns, for `source_of` to read."""
    url, path = table_text(source.url), table_text(source.relative_path)
    return {
        "url": url,
        "path": path,
        "size": source.size_bytes,
        "modified": source.modified,
        "frame": source.frame,
        "generation": source.generation,
        "checksum": source.checksum,
        "raw": emit_names(source) if (url, path) != (source.url, source.relative_path) else None,
    }


def emit_names(source: SourceFile) -> bytes:
    """The url and path of a source whose name is not UTF-8, joined by a zero byte, which no name contains."""
    return b"\0".join((name_bytes(source.url), name_bytes(source.relative_path)))


def file_tables(page: ListedPage) -> Iterator[pa.Table]:
    """The spooled form of an archive's files; those that may belong to two photos are listed under both."""
    table = held_table(page).drop_columns(["raw"])
    yield table
    is_encrypted = pc.ends_with(table.column("path"), ENDING)
    if pc.any(is_encrypted).as_py():
        encrypted = table.filter(is_encrypted)
        keys = pc.utf8_slice_codeunits(encrypted.column("path"), 0, -len(ENDING))
        yield encrypted.set_column(0, "key", keys)


def held_table(page: ListedPage) -> pa.Table:
    """The spooled form of an archive's files for a verification."""
    raw: pa.Array = pa.nulls(len(page.paths), pa.binary())
    try:
        paths = pa.array(page.paths, pa.string())
    except UnicodeEncodeError:
        texts = list(map(table_text, page.paths))
        paths = pa.array(texts, pa.string())
        names = zip(page.paths, texts, strict=True)
        raw = pa.array([None if path == text else name_bytes(path) for path, text in names], pa.binary())
    sizes, versions = pa.array(page.sizes, pa.int64()), pa.array(page.versions, pa.string())
    return pa.table({"key": paths, "path": paths, "size": sizes, "version": versions, "raw": raw})


def table_rows(url: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """The spooled form of one file of the metrics table, in batches.

    Args:
      url: the file's.
      schema: the columns that are wanted; the first is "key".

    Raises:
      BadTable: it is not such a file.
      FileNotFoundError: it is gone.
    """
    try:
        opened: Any = io.BytesIO(read_whole(url)) if "://" in url else url
        with pq.ParquetFile(opened, buffer_size=_BUFFER) as file:
            present = [name for name in schema.names if name in file.schema_arrow.names]
            for batch in file.iter_batches(_AT_ONCE, columns=present):
                yield _spooled(pa.Table.from_batches([batch]), schema)
    except pa.ArrowException as error:
        raise BadTable(f"{url} is not a metrics table: {error}") from error


def _spooled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = {name: table.column(name) for name in table.column_names}
    columns["key"] = columns["relative_path"]
    for field in schema:
        if field.name not in columns:
            columns[field.name] = pa.nulls(len(table), field.type)
    return pa.table([columns[name] for name in schema.names], names=schema.names).cast(schema)


def journal_rows(url: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """The spooled form of a journal; its rows may be in a table too, which is harmless.

    Arguments are those of `table_rows`.

    Raises:
      BadTable: it is not such a file.
    """
    names = schema.names[1:]
    rows: list[dict[str, Any]] = []

    def taken() -> pa.Table:
        table = pa.Table.from_pylist(rows, schema=pa.schema([schema.field(name) for name in names]))
        rows.clear()
        return _spooled(table, schema)

    for row in read_journal(url):
        rows.append({name: row.get(name) for name in names})
        if len(rows) >= _AT_ONCE:
            yield taken()
    if rows:
        yield taken()


def failure_rows(url: str) -> Iterator[tuple[Any, ...]]:
    """The spooled form of one file of failures: which source failed when; ignores invalid times.

    Raises:
      BadTable: it is not such a file.
    """
    last: dict[str, datetime.datetime] = {}
    for line in read_lines(url):
        with contextlib.suppress(ValueError):
            when = datetime.datetime.fromisoformat(line["time"])
            if when.tzinfo is not None and not (line["url"] in last and last[line["url"]] >= when):
                last[line["url"]] = when
    for failed, when in last.items():
        yield "", failed, when
