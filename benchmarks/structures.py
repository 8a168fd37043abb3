"""Makes random legal codestreams of every structure in Part 1; `benchmarks.annex_b` writes their packets.

Tests compare that writer with `codec.packets`, and `benchmarks.fuzz` damages what comes out. The code-blocks
contain noise, not pictures.
"""

from __future__ import annotations

import collections
import dataclasses
import struct
from collections.abc import Sequence

import numpy as np

from benchmarks import annex_b
from benchmarks.annex_b import Structure
from foveate.codec import codestream, layout
from foveate.codec.codestream import COC, COD, POC, PPM, PPT, QCC, QCD, RGN, SIZ, Codestream
from foveate.codec.layout import Layout

COM, PLT, TLM = 0xFF64, 0xFF58, 0xFF55
SEGMENT_BYTES = 300  # small, so that packed headers are cut into several segments
_PASSES = (1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 5, 5, 6, 6, 12, 12, 36, 37, 50)  # what Table B.4 tells apart
_SIZES = (0, 0, 1, 1, 1, 1, 7, 7, 7, 7, 8, 8, 8, 8, 30, 30, 30, 30, 30, 300)
_CONTENT = np.array([0, 0xFF, 0x8F, 7], np.uint8)  # no marker within


def random_structure(seed: int) -> Structure:
    """A small codestream in which everything is left to chance."""
    rng = np.random.default_rng(seed)
    main, tiles = _random_headers(rng)
    # Geometry and precedence of headers come from a draft with room for any packets.
    draft = codestream.parse(assemble(main, [(tile, own, bytes(1 << 16)) for tile, own in enumerate(tiles)]))
    geometry = layout.lay_out(draft)
    blocks = _random_blocks(rng, draft, geometry)
    written = [list(annex_b.packets(rng, draft, geometry, tile, blocks)) for tile in range(len(tiles))]
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
    """COD to POC: everything that a main header must have, or some of it for a tile."""
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
    """Overlapping volumes, the last of which has every packet."""
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
            count_of_runs = len(annex_b.runs(int(blocks.style[block]), total, more))
            sizes = [_SIZES[i] for i in rng.integers(len(_SIZES), size=count_of_runs)]
            segments[layer, block] = sizes
            bodies[layer, block] = _CONTENT[rng.integers(4, size=sum(sizes))].tobytes()
            total += more
    zero_planes = rng.integers(0, rng.choice([3, 20, 83]), count)
    return Structure(b"", passes, segments, bodies, zero_planes)


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
