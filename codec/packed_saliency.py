"""Packs saliency maps into a few bytes for the archive record."""

from __future__ import annotations

import math
import zlib

import numpy as np
import numpy.typing as npt

from foveate.codec.errors import BadCodestream

_END_OF_CODESTREAM = b"\xff\xd9"
_SALIENCY_FORMS = ((40, 16), (32, 16), (32, 8), (24, 8), (16, 8), (12, 6), (8, 4))  # cells a side, levels


def pack_saliency(saliency: npt.NDArray[np.float32], max_bytes: int) -> bytes:
    """A saliency map in few bytes: averaged down to at most 40 cells a side, quantized, predicted, deflated.

    The finest of several grids and numbers of levels is taken that fits and has no 0xFFD9 in it: to FFmpeg's
    demuxer of pipes that is the end of a picture, wherever it stands.

    Args:
        saliency: (h, w) floats in [0, 1].
        max_bytes: what it may take.

    Returns:
        levels, rows, columns, lowest and highest value in 255ths (a byte each), then the deflated cells; or
        b"" if not even the coarsest form (8 cells, 4 levels) fits.

    Raises:
        ValueError: the map is empty, not two-dimensional or not within [0, 1].
    """
    if saliency.ndim != 2 or saliency.size == 0:
        raise ValueError(f"a saliency map has the shape (h, w), not {saliency.shape}")
    if not (np.isfinite(saliency).all() and saliency.min() >= 0 and saliency.max() <= 1):
        raise ValueError("a saliency map has values within [0, 1]")
    for cells, levels in _SALIENCY_FORMS:
        packed = _pack_cells(_average_down(saliency, cells), levels)
        if len(packed) <= max_bytes and _END_OF_CODESTREAM not in packed:
            return packed
    return b""


def unpack_saliency(packed: bytes) -> npt.NDArray[np.float32]:
    """The inverse of `pack_saliency`: (rows, columns) float32 in [0, 1], at the resolution it was packed in.

    Raises:
        BadCodestream: it is damaged.
    """
    if len(packed) < 5 or not all((packed[0] >= 2, packed[1], packed[2], packed[3] <= packed[4])):
        raise BadCodestream("the saliency map in the archive record has no valid head")
    levels, rows, columns, low, high = packed[:5]
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        folded = inflater.decompress(packed[5:], rows * columns + 1)
    except zlib.error as error:
        raise BadCodestream(f"the saliency map in the archive record is damaged: {error}") from error
    if len(folded) != rows * columns or not inflater.eof:
        raise BadCodestream(f"the saliency map in the archive record has not {rows} x {columns} cells")
    cells = _unpredict(np.frombuffer(folded, np.uint8).reshape(rows, columns), levels)
    return ((low + cells * ((high - low) / (levels - 1))) / 255).astype(np.float32)


def _average_down(saliency: npt.NDArray[np.float32], cells: int) -> npt.NDArray[np.float64]:
    """Area means on a grid of the same shape whose longer side has a limited number of cells."""
    scale = min(1.0, cells / max(saliency.shape))
    rows, columns = (max(1, round(side * scale)) for side in saliency.shape)
    over_rows, over_columns = _overlaps(saliency.shape[0], rows), _overlaps(saliency.shape[1], columns)
    means: npt.NDArray[np.float64] = over_rows @ saliency.astype(np.float64) @ over_columns.T
    return means


def _overlaps(length: int, cells: int) -> npt.NDArray[np.float64]:
    """(cells, length): the share that each sample has in each of `cells` equal parts of an axis."""
    edges = np.arange(cells + 1)[:, np.newaxis] * (length / cells)
    start = np.arange(length)[np.newaxis, :]
    shares: npt.NDArray[np.float64] = np.minimum(edges[1:], start + 1) - np.maximum(edges[:-1], start)
    return np.clip(shares, 0, None) * (cells / length)


def _pack_cells(cells: npt.NDArray[np.float64], levels: int) -> bytes:
    rows, columns = cells.shape
    low, high = math.floor(float(cells.min()) * 255), min(255, math.ceil(float(cells.max()) * 255))
    step = max(high - low, 1) / (levels - 1)
    quantized = np.clip(np.rint((cells * 255 - low) / step), 0, levels - 1).astype(np.int64)
    folded = _predict(quantized, levels)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    deflated = deflater.compress(folded.tobytes()) + deflater.flush()
    return bytes([levels, rows, columns, low, high]) + deflated


def _predict(cells: npt.NDArray[np.int64], levels: int) -> npt.NDArray[np.uint8]:
    """How each cell differs from its prediction, modulo `levels`; small differences become small bytes."""
    folded = np.empty(cells.shape, np.uint8)
    for row, column in np.ndindex(*cells.shape):
        residual = int(cells[row, column] - _prediction(cells, row, column)) % levels
        folded[row, column] = 2 * residual if 2 * residual < levels else 2 * (levels - residual) - 1
    return folded


def _unpredict(folded: npt.NDArray[np.uint8], levels: int) -> npt.NDArray[np.int64]:
    cells = np.zeros(folded.shape, np.int64)
    for row, column in np.ndindex(*folded.shape):
        code = int(folded[row, column])
        residual = -(code + 1) // 2 if code % 2 else code // 2
        cells[row, column] = (_prediction(cells, row, column) + residual) % levels
    return cells


def _prediction(cells: npt.NDArray[np.int64], row: int, column: int) -> int:
    """The median edge detector of JPEG-LS, from the cells to the left and above."""
    if row == 0:
        return int(cells[0, column - 1]) if column else 0
    above = int(cells[row - 1, column])
    if column == 0:
        return above
    left, corner = int(cells[row, column - 1]), int(cells[row - 1, column - 1])
    return min(max(left + above - corner, min(left, above)), max(left, above))
