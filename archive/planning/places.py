"""Hashes names so that names competing for one place in an archive get the same hash."""

from __future__ import annotations

import functools
import re
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from foveate.archive.encryption import ENDING
from foveate.archive.names import JP2_ENDING, claim_of
from foveate.storage.folding import folded


def places_of(paths: pa.ChunkedArray) -> np.ndarray:
    """A hash of each path, equal for paths that compete for one place (`claim_of`), despite case and accents.

    Args:
      paths: strings, as `table_text` has them; n of them.

    Returns:
      int64 [n], the same in every process with this version of DuckDB.
    """
    keys = pa.concat_arrays(paths.chunks) if paths.num_chunks else pa.array([], paths.type)
    if pc.any(pc.ends_with(keys, JP2_ENDING)).as_py():
        keys = pc.replace_substring_regex(keys, rf"({re.escape(JP2_ENDING)})+$", "")
    is_ascii = pc.string_is_ascii(keys)
    lowered = pc.ascii_lower(keys)
    if not pc.all(is_ascii).as_py():
        others = pc.invert(is_ascii)
        names = [folded(claim_of(name)) for name in keys.filter(others).to_pylist()]
        lowered = pc.replace_with_mask(lowered, others, pa.array(names, pa.string()))
    cursor = _hasher().cursor()
    try:
        cursor.register("given", pa.table({"key": lowered}))
        found = cursor.sql("SELECT hash(key) AS place FROM given").to_arrow_table()
    finally:
        cursor.close()
    place: np.ndarray = found.column("place").to_numpy().view(np.int64)
    return place


def held_places(paths: pa.ChunkedArray) -> np.ndarray:
    """Like `places_of`, but also equal for all files an archive may have of a photo, encrypted or not."""
    return places_of(pc.replace_substring_regex(paths, re.escape(ENDING) + "$", ""))


@functools.cache
def _hasher() -> Any:
    """A connection for cursors, one for each thread."""
    return duckdb.connect(config={"threads": 1})
