"""Random legal codestreams of every structure that Part 1 knows, written plainly.

A second, slow writer of packets beside `codec.packets`, by other means where there are any: order and headers
of packets follow the loops and figures of ISO/IEC 15444-1 Annex B word for word. Tests compare the two, and
`benchmarks.fuzz` damages what comes out. Contents of code-blocks are noise: nothing here is a picture.
"""

from __future__ import annotations

import collections
import dataclasses
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import codestream, layout
from foveate.codec.codestream import COC, COD, POC, PPM, PPT, QCC, QCD, RGN, SIZ, Codestream, Parameters
from foveate.codec.layout import Layout

COM, PLT, TLM = 0xFF64, 0xFF58, 0xFF55
SEGMENT_BYTES = 300  # small, so that packed headers are cut into several segments
_NEVER = 1 << 20
_PASSES = (1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 5, 5, 6, 6, 12, 12, 36, 37, 50)  # what Table B.4 tells apart
_SIZES = (0, 0, 1, 1, 1, 1, 7, 7, 7, 7, 8, 8, 8, 8, 30, 30, 30, 30, 30, 300)
_CONTENT = np.array([0, 0xFF, 0x8F, 7], np.uint8)  # no marker within


@dataclasses.dataclass(frozen=True, eq=False)
class Structure:
    """A codestream, and what each of its code-blocks has in each layer."""

    data: bytes
    passes: NDArray[np.int64]  # (layers, blocks)
    segments: dict[tuple[int, int], list[int]]  # by layer and block: bytes of its codeword segments
    bodies: dict[tuple[int, int], bytes]
    zero_planes: NDArray[np.int64]


def random_structure(seed: int) -> Structure:
    """A small codestream in which everything is left to chance."""
    rng = np.random.default_rng(seed)
    main, tiles = _random_headers(rng)
    # Geometry, and precedence of headers, are taken from a draft with room for any packets.
    draft = codestream.parse(assemble(main, [(tile, own, bytes(1 << 16)) for tile, own in enumerate(tiles)]))
    geometry = layout.lay_out(draft)
    blocks = _random_blocks(rng, draft, geometry)
    written = [list(_packets(rng, draft, geometry, tile, blocks)) for tile in range(len(tiles))]
    return dataclasses.replace(blocks, data=_packaged(rng, main, tiles, written))


# Headers --------------------------------------------------------------------------------------------


def _random_headers(rng: np.random.Generator) -> tuple[list[bytes], list[list[bytes]]]:
    """Segments of the main header, and of each tile's."""
    count = int(rng.choice([1, 1, 2, 3, 3, 4, 6])) if rng.random() < 0.97 else 260
    side = 70 if count < 9 else 12
    x0, y0, width, height = (int(v) for v in (*rng.integers(0, 40, 2), *rng.integers(1, side, 2)))
    tile_x0, tile_y0 = int(rng.integers(0, x0 + 1)), int(rng.integers(0, y0 + 1))
    x1, y1 = x0 + width, y0 + height
    tile_width = max(int(rng.integers(20, 120)), x0 - tile_x0 + 1)
    tile_height = max(int(rng.integers(20, 120)), y0 - tile_y0 + 1)
    sampling = [(1, 1) if rng.random() < 0.6 else (*rng.integers(1, 4, 2).tolist(),) for _ in range(count)]
    siz = struct.pack(">HIIIIIIIIH", 0, x1, y1, x0, y0, tile_width, tile_height, tile_x0, tile_y0, count)
    siz += b"".join(bytes([int(rng.choice([7, 7, 15, 0x87, 0])), dx, dy]) for dx, dy in sampling)
    tiles = -(-(x1 - tile_x0) // tile_width) * -(-(y1 - tile_y0) // tile_height)
    main = [segment(SIZ, siz), *_random_parameters(rng, count, True)]
    own = [_random_parameters(rng, count, False) if rng.random() < 0.3 else [] for _ in range(tiles)]
    return main, own


def _random_parameters(rng: np.random.Generator, count: int, main: bool) -> list[bytes]:
    """COD to POC: all that a main header must have, or some of it for a tile."""
    layers = int(rng.integers(1, 6))
    found = []
    if main or rng.random() < 0.5:
        precincts, style = _random_coding(rng)
        scod = int(precincts) | int(rng.choice([0, 2, 4, 6]))
        head = struct.pack(">BBHB", scod, rng.integers(5), layers, count >= 3 and rng.integers(2))
        found.append(segment(COD, head + style))
    if main or rng.random() < 0.5:
        found.append(segment(QCD, _random_steps(rng)))
    wide = ">H" if count > 256 else ">B"
    for marker in (COC, QCC, RGN):
        if rng.random() < 0.25:
            payload = struct.pack(wide, rng.integers(count))
            if marker == COC:
                precincts, style = _random_coding(rng)
                payload += bytes([precincts]) + style
            else:
                payload += _random_steps(rng) if marker == QCC else bytes([0, rng.integers(38)])
            found.append(segment(marker, payload))
    order = rng.permutation(len(found))
    return [found[i] for i in order] + (
        [segment(POC, _random_volumes(rng, count))] if rng.random() < 0.3 else []
    )


def _random_coding(rng: np.random.Generator) -> tuple[bool, bytes]:
    """SPcod or SPcoc, and whether it has precincts."""
    levels = int(rng.integers(0, 6))
    width = int(rng.integers(0, 5))
    height = int(rng.integers(0, 5))
    style = int(rng.integers(64)) if rng.random() < 0.5 else 0
    fixed = bytes([levels, width, height, style, rng.integers(2)])
    if rng.random() < 0.5:
        return False, fixed
    sizes = rng.integers(3, 8, (levels + 1, 2))
    return True, fixed + bytes((int(x) | int(y) << 4) for x, y in sizes)


def _random_steps(rng: np.random.Generator) -> bytes:
    style = int(rng.integers(3))
    head = bytes([style | int(rng.integers(1, 4)) << 5])
    if style == 0:
        return head + bytes(int(v) << 3 for v in rng.integers(5, 20, 16))
    return head + rng.integers(5 << 11, 20 << 11, 1 if style == 1 else 16).astype(">u2").tobytes()


def _random_volumes(rng: np.random.Generator, count: int) -> bytes:
    """Overlapping volumes, of which the last has every packet."""
    volumes = []
    for _ in range(int(rng.integers(0, 5))):
        first, start = int(rng.integers(0, 4)), int(rng.integers(count))
        volumes.append((first, start, int(rng.integers(1, 6)), first + int(rng.integers(1, 4)),
                        min(start + int(rng.integers(1, 4)), count), int(rng.integers(5))))  # fmt: skip
    volumes.append((0, 0, 65535, 33, 0 if count <= 256 else 16384, int(rng.integers(5))))
    pack = struct.Struct(">BBHBBB" if count <= 256 else ">BHHBHB")
    return b"".join(pack.pack(*volume) for volume in volumes)


def segment(marker: int, payload: bytes) -> bytes:
    """A marker segment."""
    return struct.pack(">HH", marker, 2 + len(payload)) + payload


# What code-blocks hold ------------------------------------------------------------------------------


def _random_blocks(rng: np.random.Generator, stream: Codestream, geometry: Layout) -> Structure:
    blocks = geometry.blocks
    count = len(blocks.tile)
    passes = np.zeros((stream.max_layers, count), np.int64)
    segments, bodies = {}, {}
    density = rng.random()
    for block in range(count):
        total = 0
        for layer in range(stream.of_tile(int(blocks.tile[block])).layers):
            more = _PASSES[rng.integers(len(_PASSES))]
            if rng.random() > density or total + more > 164:
                continue
            passes[layer, block] = more
            count_of_runs = len(runs(int(blocks.style[block]), total, more))
            sizes = [_SIZES[i] for i in rng.integers(len(_SIZES), size=count_of_runs)]
            segments[layer, block] = sizes
            bodies[layer, block] = _CONTENT[rng.integers(4, size=sum(sizes))].tobytes()
            total += more
    zero_planes = rng.integers(0, rng.choice([3, 20, 83]), count)
    return Structure(b"", passes, segments, bodies, zero_planes)


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
        """All of them, filled up to whole bytes."""
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
        """Says as much as is needed to know whether the value at (y, x) is below the threshold."""
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


def _packets(
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
                    body += _contribution(
                        rng, bits, (inclusion, zeros), (y, x), layer, int(block), blocks, lblock,
                        geometry.blocks.style,
                    )  # fmt: skip
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
    layer: int,
    block: int,
    blocks: Structure,
    lblock: dict[int, int],
    styles: NDArray[np.int32],
) -> bytes:
    """Writes what a packet header says of one code-block (B.10.4 to B.10.7); gives its bytes."""
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
    spare = [run.bit_length() - 1 for run in runs(int(styles[block]), before, count)]
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


# Tile-parts -----------------------------------------------------------------------------------------


def _packaged(
    rng: np.random.Generator,
    main: list[bytes],
    tiles: list[list[bytes]],
    written: list[list[tuple[bytes, bytes, bytes]]],
) -> bytes:
    """Cuts tiles into tile-parts in any order, packet headers where they belong or packed."""
    pieces = []  # (tile, packets) in the order of tile-parts
    turns = []
    for tile, packets in enumerate(written):
        cuts = sorted(int(v) for v in rng.integers(0, len(packets) + 1, rng.integers(0, 4)))
        turns += [tile] * (len(cuts) + 1)
        pieces.append([packets[a:b] for a, b in zip([0, *cuts], [*cuts, len(packets)], strict=True)])
    if rng.random() < 0.5:
        turns = [int(v) for v in rng.permutation(turns)]
    packing = int(rng.choice([0, 0, PPM, PPT]))
    packed_tiles = rng.random(len(tiles)) < 0.7
    parts, main_headers, seen = [], b"", set()
    for tile in turns:
        packets = pieces[tile].pop(0)
        own = [] if tile in seen else list(tiles[tile])
        seen.add(tile)
        headers = b"".join(header for _, header, _ in packets)
        if rng.random() < 0.1:
            own.append(segment(PLT, bytes([0, 1, 2, 3])))
        if packing == PPM:
            main_headers += struct.pack(">I", len(headers)) + headers
        elif packing == PPT and packed_tiles[tile]:
            own += _cut_up(rng, PPT, headers)
        else:
            parts.append((tile, own, b"".join(b"".join(packet) for packet in packets)))
            continue
        parts.append((tile, own, b"".join(sop + body for sop, _, body in packets)))
    extra = [segment(COM, b"\x00\x01noise"), segment(TLM, bytes(7))] if rng.random() < 0.3 else []
    if packing == PPM:
        extra += _cut_up(rng, PPM, main_headers)
    return assemble([*main, *extra], parts, open_end=rng.random() < 0.2)


def _cut_up(rng: np.random.Generator, marker: int, headers: bytes) -> list[bytes]:
    """PPM or PPT segments that hold the headers, in any order; at most 256."""
    step = max(int(rng.integers(1, SEGMENT_BYTES)), -(-len(headers) // 256), 1)
    cut = [
        segment(marker, bytes([i]) + headers[i * step :][:step])
        for i in range(max(1, -(-len(headers) // step)))
    ]
    return [cut[int(i)] for i in rng.permutation(len(cut))]


def assemble(
    main: Sequence[bytes], parts: Sequence[tuple[int, Sequence[bytes], bytes]], open_end: bool = False
) -> bytes:
    """A codestream of a main header and tile-parts (tile, segments of its header, what follows)."""
    chunks = [b"\xff\x4f", *main]
    counts = collections.Counter(tile for tile, _, _ in parts)
    written: dict[int, int] = {}
    for i, (tile, own, packets) in enumerate(parts):
        number = written.get(tile, 0)
        written[tile] = number + 1
        rest = b"".join(own) + b"\xff\x93" + packets
        length = 0 if open_end and i == len(parts) - 1 else 12 + len(rest)
        total = counts[tile] if number else 0  # not yet known: legal in all but the last (A.4.2)
        chunks.append(struct.pack(">HHHIBB", 0xFF90, 10, tile, length, number, total) + rest)
    return b"".join(chunks) + b"\xff\xd9"
