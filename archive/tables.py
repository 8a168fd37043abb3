"""Reads and writes the tables below `_foveate/`: Parquet and JSON lines. `rows` defines their columns.

    PCollection[MetricsRow] ─▶ shard by name ─▶ DEST/_foveate/metrics/run=<id>/<shard>.parquet
    PCollection[Failure]    ─▶ shard by name ─▶ DEST/_foveate/failures/run=<id>/<shard>.jsonl

Every file appears whole under a name that depends only on run, shard and window, so that a retried bundle
overwrites its own file. Not by the stock sinks of Beam: they look their files up by glob and so miss what is
below a folder named like `Photos [2019]`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import datetime
import io
import itertools
import json
import re
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from foveate.archive.compactions import is_compacted, root_of, visible_urls
from foveate.archive.rows import Failure, MetricsRow
from foveate.storage.files import read_whole
from foveate.storage.local_disk import move_durably
from foveate.storage.stores import store_of

if TYPE_CHECKING:
    from foveate.archive.findings import Finding

METRICS_FOLDER = "_foveate/metrics"
JOURNAL = "journal-"  # how the names of files begin that hold rows of a run that has not ended
FAILURES_FOLDER = "_foveate/failures"
ROWS_PER_GROUP = 10_000
PARALLEL_READS = 8
_LISTINGS = 5

_ARROW_TYPES: dict[object, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime.datetime: pa.timestamp("us", tz="UTC"),
}


_Found = TypeVar("_Found")


def lies_in_archive(folder: str) -> bool:
    """Whether a folder is an archive or inside one: there are tables below it, or below a parent."""
    if "://" not in folder:
        path = Path(folder).absolute()
        return any((one / METRICS_FOLDER).is_dir() for one in (path, *path.parents))
    scheme, _, names = folder.rstrip("/").partition("://")
    parts = names.split("/")
    around = (f"{scheme}://{'/'.join(parts[:depth])}" for depth in range(len(parts), 0, -1))
    store = store_of(folder)
    return store is not None and any(
        any(page.urls for page in store.list_below(f"{one}/{METRICS_FOLDER}/")) for one in around
    )


class BadTable(ValueError):  # noqa: N818 (reads as the sentence it ends up in)
    """A file below `_foveate/` that is not the table it should be."""


# ---------------------------------------------------------------- schemas


def metrics_schema() -> pa.Schema:
    """The metrics table's columns: the fields of `MetricsRow` in their order, the optional ones nullable."""
    return _schema_of(MetricsRow)


def failures_schema() -> pa.Schema:
    """The failures table's columns as read back: the fields of `Failure`, then `run_id`."""
    return _schema_of(Failure).append(pa.field("run_id", pa.string(), nullable=False))


def _schema_of(row_type: type) -> pa.Schema:
    hints = typing.get_type_hints(row_type)
    return pa.schema([_arrow_field(field.name, hints[field.name]) for field in dataclasses.fields(row_type)])


def _arrow_field(name: str, annotation: Any) -> pa.Field:
    nullable = False
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        (annotation,) = (kind for kind in typing.get_args(annotation) if kind is not type(None))
        nullable = True
    if typing.get_origin(annotation) is typing.Literal:
        annotation = type(typing.get_args(annotation)[0])
    return pa.field(name, _ARROW_TYPES[annotation], nullable=nullable)


def table_text(text: str) -> str:
    r"""`text` as it stands in the tables: bytes of a name that are not UTF-8 become `\udcXX` in ASCII."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


# ---------------------------------------------------------------- writing


def write_metrics(rows: Iterable[MetricsRow], url: str) -> None:
    """Writes `rows` as one Parquet file at `url`, whole or not at all, even if there are none.

    Raises `OSError` or Beam's `BeamIOError` where the place cannot be written.
    """
    write_parquet((values_of(row) for row in rows), url)


def write_failures(failures: Iterable[Failure], url: str) -> None:
    """Writes `failures` as JSON lines (UTF-8) at `url`, whole or not at all.

    Raises `OSError` or Beam's `BeamIOError` where the place cannot be written.
    """
    write_lines((values_of(failure) for failure in failures), url)


@contextlib.contextmanager
def open_whole(url: str) -> Iterator[BinaryIO]:
    """Opens a file for writing that appears at `url` if the block succeeds, and leaves nothing otherwise."""
    store = store_of(url)
    if store is not None:  # an object appears whole anyway, once all of it is there to be put
        whole = io.BytesIO()
        yield whole
        store.write(url, whole.getvalue())
        return
    partial = f"{url}.partial-{uuid.uuid4().hex}"
    try:
        with FileSystems.create(partial) as file:
            yield file
        if "://" in url:
            FileSystems.rename([partial], [url])
        else:  # its journal is removed next: by then the table must outlast a power cut
            move_durably(Path(partial), Path(url))
    except BaseException:
        # Whatever went wrong is raised again; that nothing is there to delete must not hide it.
        with contextlib.suppress(Exception):
            FileSystems.delete([partial])
        raise


def values_of(row: MetricsRow | Failure | Finding) -> tuple[Any, ...]:
    """The values of a row's fields in order, with texts as in `table_text`."""
    values = (getattr(row, field.name) for field in dataclasses.fields(row))
    return tuple(table_text(value) if isinstance(value, str) else value for value in values)


def write_parquet(rows: Iterable[tuple[Any, ...]], url: str) -> None:
    """Writes metrics rows, as `values_of` gives them, as one Parquet file, whole or not at all."""
    schema = metrics_schema()
    with open_whole(url) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        remaining = iter(rows)
        while batch := list(itertools.islice(remaining, ROWS_PER_GROUP)):
            columns = zip(*batch, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def write_lines(rows: Iterable[tuple[Any, ...]], url: str) -> None:
    """Writes failures, as `values_of` gives them, as JSON lines, whole or not at all."""
    names = [field.name for field in dataclasses.fields(Failure)]
    with open_whole(url) as file:
        for row in rows:
            file.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False).encode() + b"\n")


# ---------------------------------------------------------------- reading


def run_folder(archive_url: str, folder: str, run_id: str) -> str:
    """The folder of a run's files: `archive_url/folder/run=<run_id>`.

    Raises `ValueError` for a run id with other characters than letters, digits, `.`, `_` and `-`.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", run_id):
        raise ValueError(f"a run id has letters, digits, '.', '_' and '-' only, not {run_id!r}")
    return f"{root_of(archive_url)}/{folder}/run={run_id}"


def read_metrics(
    archive_url: str,
    run_id: str | None = None,
    columns: Sequence[str] | None = None,
    path: str | None = None,
) -> pa.Table:
    """The metrics rows of an archive, of all runs or of one, as an Arrow table in no particular order.

    Args:
        archive_url: the archive's root; an archive without tables gives a table without rows.
        run_id: only this run's rows.
        columns: only these, in this order; all of `metrics_schema()` by default. What an older file does not
            have is null.
        path: only rows of this photo.

    Of a run that was killed before it wrote its tables, the rows are those of its journal.

    Raises `BadTable` for a file that is not a metrics table.
    """
    full = metrics_schema()
    schema = pa.schema([full.field(name).with_nullable(True) for name in columns or full.names])
    return relisted(lambda: _read_listed(archive_url, run_id, schema, path))


def _read_listed(archive_url: str, run_id: str | None, schema: pa.Schema, path: str | None) -> pa.Table:
    urls = table_urls(archive_url, METRICS_FOLDER, run_id)
    parquet = [url for url in urls if url.endswith(".parquet")]
    journals = [url for url in urls if url.rpartition("/")[2].startswith(JOURNAL)]

    def read(url: str) -> pa.Table:
        of_run = {"run_id": run_id} if run_id is not None and is_compacted(url) else {}
        return _read_parquet(url, schema, of_run | ({} if path is None else {"relative_path": path}))

    with concurrent.futures.ThreadPoolExecutor(PARALLEL_READS) as readers:
        tables = list(readers.map(read, parquet))
    tables.append(journal_rows(journals, parquet, schema, path))
    return pa.concat_tables(tables)


def read_failures(archive_url: str, run_id: str | None = None) -> pa.Table:
    """The failures of an archive, of all runs or of one, as an Arrow table of `failures_schema()`.

    Raises `BadTable` for a file that is not a failures table.
    """

    def read() -> list[dict[str, str]]:
        urls = [url for url in table_urls(archive_url, FAILURES_FOLDER, run_id) if url.endswith(".jsonl")]
        with concurrent.futures.ThreadPoolExecutor(PARALLEL_READS) as readers:
            return list(itertools.chain.from_iterable(readers.map(read_lines, urls)))

    rows = relisted(read)
    rows = [row for row in rows if run_id in (None, row["run_id"])]
    return pa.Table.from_pylist(rows, schema=failures_schema())


def relisted(read: Callable[[], _Found]) -> _Found:
    """Calls a function that lists and reads tables, and repeats it if a file has gone in between.

    What a running watch writes goes from its journal into a table, and compaction makes few files of many:
    the next listing shows where the rows went.
    """
    for _ in range(_LISTINGS):
        with contextlib.suppress(FileNotFoundError):
            return read()
    return read()


def table_urls(archive_url: str, folder: str, run_id: str | None) -> list[str]:
    """The urls of all files of an archive's metrics or failures, of all runs or of one.

    Those of one may hold rows of other runs too.
    """
    if run_id is not None:
        run_folder(archive_url, folder, run_id)
    return visible_urls(archive_url, folder, run_id)


def journal_rows(
    urls: Sequence[str], tables: Sequence[str], schema: pa.Schema, path: str | None = None
) -> pa.Table:
    """The journal rows of killed runs: those that are in no table of the same run.

    A watch writes tables as it runs, and may compress a photo again after it is in one.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for url in urls:
        run = url.rpartition("/")[0]
        for row in read_journal(url):
            if path is not None and row["relative_path"] != path:
                continue
            rows[run, row["relative_path"]] = row
    known = pa.schema([metrics_schema().field(name) for name in ("run_id", "relative_path", "finished")])
    folders = {run.rpartition("run=")[2]: run for run, _ in rows}
    for url in tables:
        if is_compacted(url) or url.rpartition("/")[0] in folders.values():
            for batch in _read_parquet(url, known).to_batches(ROWS_PER_GROUP):
                for run_id, name, finished in zip(*batch.to_pydict().values(), strict=True):
                    key = folders.get(run_id, ""), name
                    if key in rows and rows[key]["finished"] <= finished:
                        del rows[key]
    return pa.Table.from_pylist(list(rows.values()), schema=schema)


def read_journal(url: str) -> Iterator[dict[str, Any]]:
    """The complete rows of one file of a journal.

    Raises `BadTable` for a file that is not a journal.
    """
    lines = read_whole(url).split(b"\n")
    for number, line in enumerate(lines[:-1]):  # after the last newline stands what was cut off, or nothing
        if b"\0" in line:  # a power cut left a hole; the file is there, and the next run finds it
            continue
        try:
            row = json.loads(line)
            row["finished"] = datetime.datetime.fromisoformat(row["finished"])
            yield row
        except (ValueError, KeyError, TypeError) as error:
            raise BadTable(f"{url} is not a journal of metrics, line {number + 1}: {error}") from error


def _read_parquet(url: str, schema: pa.Schema, only: dict[str, str] | None = None) -> pa.Table:
    """The rows of one file; with `only`, those with the given values in columns."""
    try:
        with pq.ParquetFile(io.BytesIO(read_whole(url))) as file:
            present = [name for name in schema.names if name in file.schema_arrow.names]
            table = _rows_of(file, only, present) if only else file.read(columns=present)
        missing = [name for name in schema.names if name not in present]
        for name in missing:
            table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
        return table.select(schema.names).cast(schema)
    except pa.ArrowException as error:
        raise BadTable(f"{url} is not a metrics table: {error}") from error


def _rows_of(file: pq.ParquetFile, only: dict[str, str], columns: list[str]) -> pa.Table:
    """The rows of a file with the given values in columns, a few row groups at a time."""
    names = list(dict.fromkeys([*columns, *only]))
    schema = pa.schema([file.schema_arrow.field(name) for name in names])
    found = [schema.empty_table()]
    for batch in file.iter_batches(ROWS_PER_GROUP, columns=names):
        table = pa.Table.from_batches([batch]).select(names)
        for name, value in only.items():
            table = table.filter(pc.equal(table.column(name), value))
        found.append(table)
    return pa.concat_tables(found).select(columns)


def read_lines(url: str) -> list[dict[str, str]]:
    """The failures of one file, with the run's id. Raises `BadTable` for a file that is not such a table."""
    run = re.search(r"run=([^/\\]+)[/\\][^/\\]+$", url)
    run_id = run[1] if run else ""
    names = [field.name for field in dataclasses.fields(Failure)]
    try:
        lines = [json.loads(line) for line in read_whole(url).splitlines() if line]
        return [
            {name: str(line.get(name, "")) for name in names} | {"run_id": str(line.get("run_id", run_id))}
            for line in lines
        ]
    except (ValueError, AttributeError) as error:
        raise BadTable(f"{url} is not a failures table: {error}") from error
