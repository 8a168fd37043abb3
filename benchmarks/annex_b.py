"""A second writer of packets, to compare with `codec.packets`: ISO/IEC 15444-1 Annex B, taken literally.

Slow and simple: the order and headers of packets follow the standard's loops and figures word for word, with
other methods than `codec.packets` where there are any.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import codestream
from foveate.codec.codestream import Codestream, Parameters
from foveate.codec.layout import Layout

_NEVER = 1 << 20


@dataclasses.dataclass(frozen=True, eq=False)
class Structure:
    """A codestream, and what each of its code-blocks has in each layer."""

    data: bytes
    passes: NDArray[np.int64]  # (layers, blocks)
    segments: dict[tuple[int, int], list[int]]  # by layer and block: bytes of its codeword segments
    bodies: dict[tuple[int, int], bytes]
    zero_planes: NDArray[np.int64]


def runs(style: int, first: int, count: int) -> list[int]:
    """Passes of each codeword segment in a contribution (Table D.9), one pass after another."""
    runs = [0]
    for number in range(first, first + count):
        runs[-1] += 1
        kind = ("cleanup", "significance", "refinement")[number % 3]
        raw = style & 1 and number >= 10 and kind != "cleanup"
        next_raw = style & 1 and number + 1 >= 10 and kind != "refinement"
        if (style & 4 or bool(raw) != bool(next_raw)) and number + 1 < first + count:
            runs.append(0)
    return runs


# Packets --------------------------------------------------------------------------------------------


class Bits:
    """Bits of a packet header: after a byte 0xFF one bit is stuffed (B.10.1)."""

    def __init__(self) -> None:
        self.bits: list[int] = []
        self.out = bytearray()

    def put(self, value: int, count: int = 1) -> None:
        """The lowest bits of a value, highest first."""
        for i in reversed(range(count)):
            self.bits.append(value >> i & 1)
            if len(self.bits) == 8:
                self.out.append(int("".join(map(str, self.bits)), 2))
                self.bits = [0] if self.out[-1] == 0xFF else []

    def finish(self) -> bytes:
        """All bits, padded to whole bytes."""
        while self.bits:
            self.put(0)
        return bytes(self.out)


class TagTree:
    """A tag tree over a grid of values (B.10.2)."""

    def __init__(self, values: NDArray[np.int64]) -> None:
        self.values = [values]
        while self.values[-1].size > 1:
            finer = self.values[-1]
            padded = np.pad(finer, [(0, n % 2) for n in finer.shape], constant_values=_NEVER * 2)
            self.values.append(padded.reshape(len(padded) // 2, 2, -1, 2).min((1, 3)))
        self.low = [np.zeros_like(v) for v in self.values]
        self.known = [np.zeros(v.shape, bool) for v in self.values]

    def encode(self, bits: Bits, y: int, x: int, threshold: int) -> None:
        """Writes just enough to tell whether the value at (y, x) is below the threshold."""
        low = 0
        for level in reversed(range(len(self.values))):
            node = y >> level, x >> level
            low = max(low, int(self.low[level][node]))
            while low < threshold and low < self.values[level][node]:
                bits.put(0)
                low += 1
            if low < threshold and not self.known[level][node]:
                bits.put(1)
                self.known[level][node] = True
            self.low[level][node] = low


def packets(
    rng: np.random.Generator, stream: Codestream, geometry: Layout, tile: int, blocks: Structure
) -> Iterator[tuple[bytes, bytes, bytes]]:
    """The packets of a tile in order: SOP, header with EPH, body."""
    parameters = stream.of_tile(tile)
    writers: dict[int, list[Any]] = {}
    lblock: dict[int, int] = {}
    for number, (precinct, layer) in enumerate(order(stream, geometry, tile)):
        if precinct not in writers:
            writers[precinct] = _band_writers(geometry, precinct, blocks)
        bits, body = Bits(), b""
        filled = any(blocks.passes[layer, b] for _, _, grid in writers[precinct] for b in grid.ravel())
        if not filled and rng.random() < 0.5:
            bits.put(0)
        else:
            bits.put(1)
            for inclusion, zeros, grid in writers[precinct]:
                for (y, x), block in np.ndenumerate(grid):
                    style = int(geometry.blocks.style[block])
                    key, trees = (layer, int(block)), (inclusion, zeros)
                    body += _contribution(rng, bits, trees, (y, x), key, blocks, lblock, style)
        sop = struct.pack(">HHH", 0xFF91, 4, number % 65536) if parameters.sop and rng.random() < 0.8 else b""
        yield sop, bits.finish() + (b"\xff\x92" if parameters.eph else b""), body


def _band_writers(geometry: Layout, precinct: int, blocks: Structure) -> list[Any]:
    """Inclusion tree, tree of zero bit-planes, and block numbers of each of a precinct's bands."""
    p, bands = geometry.precincts, geometry.precinct_bands
    writers = []
    for band in range(p.first_band[precinct], p.first_band[precinct] + p.bands[precinct]):
        grid = bands.first_block[band] + np.arange(bands.across[band] * bands.down[band])
        if not len(grid):
            continue
        included = blocks.passes[:, grid] > 0
        first = np.where(included.any(0), included.argmax(0), _NEVER)
        shape = (bands.down[band], bands.across[band])
        writers.append(
            (
                TagTree(first.reshape(shape)),
                TagTree(blocks.zero_planes[grid].reshape(shape)),
                grid.reshape(shape),
            )
        )
    return writers


def _contribution(
    rng: np.random.Generator,
    bits: Bits,
    trees: tuple[TagTree, TagTree],
    place: tuple[int, ...],
    key: tuple[int, int],
    blocks: Structure,
    lblock: dict[int, int],
    style: int,
) -> bytes:
    """Writes what a packet header says of one code-block (B.10.4 to B.10.7); gives its bytes.

    `key` is the packet's layer and the block's number.
    """
    layer, block = key
    count = int(blocks.passes[layer, block])
    before = int(blocks.passes[:layer, block].sum())
    if before:
        bits.put(int(count > 0))
    else:
        trees[0].encode(bits, *place, layer + 1)  # type: ignore[call-arg]
    if not count:
        return b""
    if not before:
        for threshold in range(1, int(blocks.zero_planes[block]) + 2):
            trees[1].encode(bits, *place, threshold)  # type: ignore[call-arg]
    _put_pass_count(bits, count)
    sizes = blocks.segments[layer, block]
    spare = [run.bit_length() - 1 for run in runs(style, before, count)]
    now = lblock.get(block, 3)
    needed = max([now, *(size.bit_length() - s for size, s in zip(sizes, spare, strict=True))])
    if rng.random() < 0.05:
        needed = min(needed + int(rng.integers(1, 4)), 20)  # more than needed is legal
    needed = max(needed, now)
    bits.put((1 << (needed - now + 1)) - 2, needed - now + 1)
    lblock[block] = needed
    for size, s in zip(sizes, spare, strict=True):
        bits.put(size, needed + s)
    return blocks.bodies[layer, block]


def _put_pass_count(bits: Bits, count: int) -> None:
    """Table B.4."""
    if count <= 2:
        bits.put((0, 0b10)[count - 1], count)
    elif count <= 5:
        bits.put(0b1100 + count - 3, 4)
    elif count <= 36:
        bits.put(0b1111 << 5 | count - 6, 9)
    else:
        bits.put(0b111111111 << 7 | count - 37, 16)


# Order ----------------------------------------------------------------------------------------------


def order(stream: Codestream, geometry: Layout, tile: int) -> Iterator[tuple[int, int]]:
    """The packets of a tile (precinct, layer), by the loops of B.12.1 and B.12.2; each once."""
    parameters = stream.of_tile(tile)
    places = _Places(stream, geometry, tile)
    sent = set()
    everything = codestream.ProgressionVolume(parameters.progression, 0, 0, 65535, 33, 16384)
    for volume in parameters.volumes or (everything,):
        resolutions = range(volume.first_resolution, min(volume.end_resolution, 33))
        components = range(volume.first_component, min(volume.end_component, len(stream.coding)))
        layers = range(min(volume.end_layer, parameters.layers))
        for packet in places.visit(volume.progression, resolutions, components, layers):
            if packet not in sent:
                sent.add(packet)
                yield packet


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


class _Places:
    """Where the precincts of a tile lie, for the progressions by position."""

    def __init__(self, stream: Codestream, geometry: Layout, tile: int) -> None:
        size, p = stream.size, geometry.precincts
        column, row = tile % size.tiles_across, tile // size.tiles_across
        self.start = (
            max(size.tile_x0 + column * size.tile_width, size.x0),
            max(size.tile_y0 + row * size.tile_height, size.y0),
        )
        end_x = min(size.tile_x0 + (column + 1) * size.tile_width, size.x1)
        end_y = min(size.tile_y0 + (row + 1) * size.tile_height, size.y1)
        self.end = end_x, end_y
        self.size = size
        self.parameters: Parameters = stream.of_tile(tile)
        self.numbers: dict[tuple[int, int], list[int]] = {}
        for i in np.flatnonzero(p.tile == tile).tolist():
            self.numbers.setdefault((int(p.resolution[i]), int(p.component[i])), []).append(i)

    def visit(
        self, progression: str, resolutions: range, components: range, layers: range
    ) -> Iterator[tuple[int, int]]:
        """The packets of a volume in their progression."""
        if progression == "LRCP":
            for layer in layers:
                for r in resolutions:
                    for c in components:
                        yield from ((k, layer) for k in self.numbers.get((r, c), ()))
        elif progression == "RLCP":
            for r in resolutions:
                for layer in layers:
                    for c in components:
                        yield from ((k, layer) for k in self.numbers.get((r, c), ()))
        elif progression == "RPCL":
            for r in resolutions:
                for y, x in self.grid([r], components):
                    for c in components:
                        yield from ((k, layer) for k in self.at(r, c, y, x) for layer in layers)
        elif progression == "PCRL":
            for y, x in self.grid(resolutions, components):
                for c in components:
                    for r in resolutions:
                        yield from ((k, layer) for k in self.at(r, c, y, x) for layer in layers)
        else:
            for c in components:
                for y, x in self.grid(resolutions, [c]):
                    for r in resolutions:
                        yield from ((k, layer) for k in self.at(r, c, y, x) for layer in layers)

    def steps(self, r: int, c: int) -> tuple[int, int]:
        """How far apart precincts are on the reference grid."""
        coding, shape = self.parameters.coding[c], self.size.components[c]
        width, height = coding.precincts_log2[r]
        return shape.dx << (width + coding.levels - r), shape.dy << (height + coding.levels - r)

    def grid(
        self, resolutions: Sequence[int] | range, components: Sequence[int] | range
    ) -> Iterator[tuple[int, int]]:
        """All (y, x) at which a precinct can begin, row by row."""
        places: tuple[set[int], set[int]] = ({self.start[0]}, {self.start[1]})
        for r in resolutions:
            for c in components:
                if (r, c) in self.numbers:
                    for axis, step in enumerate(self.steps(r, c)):
                        places[axis].update(range(-(-self.start[axis] // step) * step, self.end[axis], step))
        for y in sorted(places[1]):
            yield from ((y, x) for x in sorted(places[0]))

    def at(self, r: int, c: int, y: int, x: int) -> Iterator[int]:
        """The precinct that begins at (x, y), if one does: the conditions and Equation B-20 of B.12.1.3."""
        if (r, c) not in self.numbers:
            return
        coding, shape = self.parameters.coding[c], self.size.components[c]
        number, across = 0, 1
        for at, start, end, step, sampling, exponent in zip(
            (x, y),
            self.start,
            self.end,
            self.steps(r, c),
            (shape.dx, shape.dy),
            coding.precincts_log2[r],
            strict=True,
        ):
            scale = 1 << (coding.levels - r)
            first, last = (
                _ceil_div(_ceil_div(v, sampling), scale) for v in (start, end)
            )  # trx0, trx1 (B-15)
            if at % step and not (at == start and (first * scale) % (scale << exponent)):
                return
            number += across * (-(-at // (sampling * scale)) // (1 << exponent) - (first >> exponent))
            across = -(-last >> exponent) - (first >> exponent)
        yield self.numbers[r, c][number]
