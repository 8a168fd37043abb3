"""Parses and emits JPEG 2000 codestreams: marker segments (ISO/IEC 15444-1 Annex A).

`parse` reads the main header and those of the tile-parts; `emit` writes a codestream around new packets. What
lies inside the tile-parts is the packets' business (`codec.packets`).
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.codec import walk
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.parameters import COC as COC
from foveate.codec.parameters import COD as COD
from foveate.codec.parameters import IRREVERSIBLE as IRREVERSIBLE
from foveate.codec.parameters import NAMES, emit_segment, parse_parameters, parse_size
from foveate.codec.parameters import POC as POC
from foveate.codec.parameters import PROGRESSIONS as PROGRESSIONS
from foveate.codec.parameters import QCC as QCC
from foveate.codec.parameters import QCD as QCD
from foveate.codec.parameters import REVERSIBLE as REVERSIBLE
from foveate.codec.parameters import RGN as RGN
from foveate.codec.parameters import SIZ as SIZ
from foveate.codec.parameters import CodingStyle as CodingStyle
from foveate.codec.parameters import Component as Component
from foveate.codec.parameters import Parameters as Parameters
from foveate.codec.parameters import ProgressionVolume as ProgressionVolume
from foveate.codec.parameters import Quantization as Quantization
from foveate.codec.parameters import Size as Size
from foveate.codec.pointers import PLT, TLM, TilePartLength, emit_plt, emit_tlm, tlm_bytes
from foveate.codec.walk import CODESTREAM_START, EOC, SOC, SOD, SOT, strict

CAP, PRF, PLM, CPF, PPM, PPT, COM = 0xFF50, 0xFF56, 0xFF57, 0xFF59, 0xFF60, 0xFF61, 0xFF64
_OF_A_CODESTREAM = (COD, COC, QCD, QCC, RGN)  # kept when a codestream is emitted again
# Those that say how the packets lie; all others but those above are carried as they stand.
_OF_PACKETS = (SIZ, POC, TLM, PLM, PLT, PPM, PPT, PRF, CPF)
_MAX_OWN_COMPONENTS = 1 << 21  # components of all tiles with parameters of their own

_Segment = tuple[int, bytes]  # marker, payload


@dataclasses.dataclass(frozen=True)
class TilePartPackets:
    """Where the packets of one tile-part lie in the codestream."""

    tile: int
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Codestream(Parameters):
    """A parsed codestream; `data` is all of it, including markers.

    Its parameters are those of the main header; `of_tile` gives those of a tile.
    """

    data: bytes
    size: Size
    tile_parts: tuple[TilePartPackets, ...]
    header_segments: tuple[bytes, ...]  # SIZ, COD to RGN as they stand, marker and length included
    # By tile, where it has any: its own parameters, their segments, and packet headers from PPM or PPT.
    tile_parameters: Mapping[int, Parameters] = dataclasses.field(default_factory=dict)
    tile_segments: Mapping[int, tuple[bytes, ...]] = dataclasses.field(default_factory=dict)
    packed_headers: Mapping[int, bytes] = dataclasses.field(default_factory=dict)
    # COM and all others that say nothing of coding, as they stand: of the main header, and of tiles' headers.
    notes: tuple[bytes, ...] = ()
    tile_notes: Mapping[int, tuple[bytes, ...]] = dataclasses.field(default_factory=dict)

    def of_tile(self, tile: int) -> Parameters:
        """The parameters of a tile: those of its own tile-part headers, else of the main header."""
        return self.tile_parameters.get(tile, self)

    @property
    def reversible(self) -> bool:
        """Whether every component of every tile uses the reversible wavelet."""
        parameters = (self, *self.tile_parameters.values())
        return all(coding.transformation == REVERSIBLE for own in parameters for coding in own.coding)

    @property
    def max_layers(self) -> int:
        """The largest number of quality layers of any tile."""
        own = [parameters.layers for parameters in self.tile_parameters.values()]
        every_tile = len(own) == self.size.tiles_across * self.size.tiles_down
        return max(own if every_tile else [self.layers, *own])


class _TilePart(NamedTuple):
    """A tile-part as it is found: the segments of its header, and where its packets lie."""

    tile: int
    number: int
    promised: int  # TNsot: how many the tile has, 0 where it does not say
    segments: list[_Segment]
    start: int
    end: int


def parse(data: bytes) -> Codestream:
    """Reads the main header and the headers of all tile-parts.

    Takes time in proportion to the data (some microseconds a byte at worst, of many tiny tile-parts), and at
    most some 200 bytes of memory for each of their bytes, and 64 MB for tiles with parameters of their own.

    Raises:
      BadCodestream: malformed or cut off.
      UnsupportedCodestream: legal, but uses something named in the message: what is not of Part 1, or tiles
        with parameters of their own for more than 2 million components in all.
    """
    segments, position = main_header(data, 0)
    size = parse_size(segments[0][1])
    count = len(size.components)
    main = parse_parameters(segments, count)
    parts = list(_find_tile_parts(data, position, size.tiles_across * size.tiles_down))
    own = _own_segments(parts)
    if len(own) * count > _MAX_OWN_COMPONENTS:
        raise UnsupportedCodestream(f"{len(own)} tiles of {count} components with parameters of their own")
    return Codestream(
        **vars(dataclasses.replace(main, layers=_layers_there(main, parts))),
        data=data,
        size=size,
        tile_parts=tuple(TilePartPackets(part.tile, part.start, part.end) for part in parts),
        header_segments=(emit_segment(*segments[0]), *_kept(segments)),
        tile_parameters={tile: parse_parameters(found, count, main) for tile, found in own.items()},
        tile_segments={tile: kept for tile, found in own.items() if (kept := _kept(found))},
        packed_headers=_packed_headers(segments, parts),
        notes=_notes(segments),
        tile_notes=_tile_notes(parts),
    )


def of_header(segments: Sequence[bytes]) -> Codestream:
    """A codestream that so far consists only of the marker segments of its main header, SIZ first."""
    parsed = [(int.from_bytes(segment[:2]), segment[4:]) for segment in segments]
    size = parse_size(parsed[0][1])
    main = parse_parameters(parsed, len(size.components))
    return Codestream(**vars(main), data=b"", size=size, tile_parts=(), header_segments=tuple(segments))


def main_header(data: walk.Readable, start: int) -> tuple[list[tuple[int, bytes]], int]:
    """The marker segments (marker, payload) of a codestream's main header, and the position of its first SOT.

    Raises: like `parse`.
    """
    if not data.startswith(CODESTREAM_START, start):
        raise BadCodestream(f"not a JPEG 2000 codestream: it starts with {data[start : start + 4]!r}")
    return _read_header(data, walk.segments(data, start + 2, len(data)), SOT)


def _read_header(
    data: walk.Readable, found: Iterable[walk.SegmentSpan], stop: int
) -> tuple[list[_Segment], int]:
    """The marker segments up to the marker `stop`, and its position."""
    segments: list[_Segment] = []
    for segment in strict(found):
        if segment.marker == stop:
            return segments, segment.offset
        if segment.marker == CAP:
            raise UnsupportedCodestream("the codestream uses CAP (ISO/IEC 15444-15 or later)")
        if segment.marker in (SOC, SOT, SOD, EOC):
            raise BadCodestream(
                f"no marker segment at byte {segment.offset} of a header: 0x{segment.marker:04x}"
            )
        if segment.start > segment.offset + 2:
            segments.append((segment.marker, data[segment.start : segment.end]))
    raise AssertionError("a header ends with a marker or a problem")


def _kept(segments: Sequence[_Segment]) -> tuple[bytes, ...]:
    return tuple(emit_segment(*segment) for segment in segments if segment[0] in _OF_A_CODESTREAM)


def _notes(segments: Sequence[_Segment]) -> tuple[bytes, ...]:
    structure = (*_OF_A_CODESTREAM, *_OF_PACKETS)
    return tuple(emit_segment(*segment) for segment in segments if segment[0] not in structure)


def _tile_notes(parts: Sequence[_TilePart]) -> dict[int, tuple[bytes, ...]]:
    found: dict[int, tuple[bytes, ...]] = {}
    for part in parts:
        if notes := _notes(part.segments):
            found[part.tile] = found.get(part.tile, ()) + notes
    return found


def _find_tile_parts(data: bytes, position: int, tiles: int) -> Iterator[_TilePart]:
    """The tile-parts in order (A.4.2)."""
    seen: dict[int, int] = {}
    for part in walk.tile_parts(data, position, len(data)):
        if part.segments:
            _check_turn(part, seen, tiles)
        if part.problem:
            raise BadCodestream(part.problem)
        segments, _ = _read_header(data, part.segments[1:], SOD)
        yield _TilePart(part.tile, part.number, part.promised, segments, part.start, part.end)
        position = part.end
    if not seen:
        raise BadCodestream("the codestream has no tile-part")
    if data[position : position + 2] != b"\xff\xd9":
        raise BadCodestream(f"no end-of-codestream marker at byte {position}: the file is cut off")


def _check_turn(part: walk.TilePartSpan, seen: dict[int, int], tiles: int) -> None:
    """Checks that a tile-part is the next one of its tile; `seen` counts earlier ones by tile."""
    if part.tile >= tiles:
        raise BadCodestream(f"a tile-part of tile {part.tile}, but there are {tiles} tiles")
    due = seen.get(part.tile, 0)
    if part.number != due % 256:
        raise BadCodestream(f"tile-part {part.number} of tile {part.tile} stands where part {due} is due")
    seen[part.tile] = due + 1


def _layers_there(main: Parameters, parts: Sequence[_TilePart]) -> int:
    """How many layers COD says that there are; or, where a layer was a tile-part, how many are left.

    So a file that was cut where a layer ends is read like one that never had more.
    """
    split = all(part.promised == main.layers and not part.segments for part in parts)
    if main.progression != "LRCP" or main.volumes or not split:
        return main.layers
    found = max(part.number for part in parts) + 1
    tiles = len({part.tile for part in parts})
    return found if len(parts) == found * tiles else main.layers


def _own_segments(parts: Sequence[_TilePart]) -> dict[int, list[_Segment]]:
    """COD to POC of the tile-part headers, by tile.

    A tile's first header may hold any of them. Later ones may only continue POC, if the first began it.
    """
    own: dict[int, list[_Segment]] = {}
    begun = set()
    for part in parts:
        found = [segment for segment in part.segments if segment[0] in NAMES]
        if part.number == 0 and any(marker == POC for marker, _ in found):
            begun.add(part.tile)
        for marker, _ in found:
            if marker == SIZ or (part.number > 0 and not (marker == POC and part.tile in begun)):
                raise BadCodestream(
                    f"{NAMES[marker]} in the header of tile-part {part.number} of tile {part.tile}"
                )
        if found:
            own.setdefault(part.tile, []).extend(found)
    return own


def _packed_headers(segments: Sequence[_Segment], parts: Sequence[_TilePart]) -> dict[int, bytes]:
    """Packet headers in PPM or PPT instead of before their packets, by tile (A.7.4, A.7.5)."""
    packed: dict[int, list[bytes]] = {}
    for part in parts:
        if (joined := _in_order(PPT, part.segments)) is not None:
            packed.setdefault(part.tile, []).append(joined)
    main = _in_order(PPM, segments)
    if main is not None:
        if packed:
            raise BadCodestream("packet headers both in PPM and in PPT")
        position = 0
        for part in parts:
            # Nppm bytes for each tile-part in turn; neither they nor what they count end with a segment.
            size = int.from_bytes(main[position : position + 4])
            if position + 4 + size > len(main):
                raise BadCodestream("PPM does not hold the packet headers of every tile-part")
            packed.setdefault(part.tile, []).append(main[position + 4 : position + 4 + size])
            position += 4 + size
    return {tile: b"".join(pieces) for tile, pieces in packed.items()}


def _in_order(marker: int, segments: Sequence[_Segment]) -> bytes | None:
    """The contents of a header's PPM or PPT segments, joined by Zppm or Zppt; None if there are none."""
    pieces = sorted((payload[:1], payload[1:]) for other, payload in segments if other == marker)
    indices = [index for index, _ in pieces]
    if b"" in indices or len(set(indices)) < len(indices):
        raise BadCodestream(f"{'PPM' if marker == PPM else 'PPT'} without an index of its own")
    return b"".join(piece for _, piece in pieces) if pieces else None


class NewTilePart(NamedTuple):
    """A tile-part to write: its tile, its packets and, if PLT should list them, the length of each."""

    tile: int
    packets: bytes
    lengths: NDArray[np.int64] | None = None


def emit(
    source: Codestream,
    layers: int,
    tile_parts: Sequence[tuple[int, bytes] | NewTilePart],
    progression: str = "LRCP",
) -> bytes:
    """A codestream with the parameters of `source` around new packets, without SOP and EPH.

    POC, PPM and PPT are not taken over, nor what only describes the old packets (TLM, PLM, PLT) or comments.

    Args:
      source: where SIZ, COD, COC, QCD, QCC and RGN are taken from, also those of tiles.
      layers: number of quality layers in the new packets.
      tile_parts: (tile, packets) in the order in which they are to stand; at most 255 a tile. Where they are
        `NewTilePart` with lengths, their headers get PLT, and the main header gets TLM.
      progression: the order of the new packets, one of `PROGRESSIONS`.
    """
    order = PROGRESSIONS.index(progression)
    parts = [NewTilePart(*part) for part in tile_parts]
    counts: dict[int, int] = {}
    for part in parts:
        counts[part.tile] = counts.get(part.tile, 0) + 1
    written: dict[int, int] = {}
    chunks: list[bytes] = []
    lengths: list[TilePartLength] = []
    for part in parts:
        number = written.get(part.tile, 0)
        written[part.tile] = number + 1
        own = () if number else source.tile_segments.get(part.tile, ())
        header = b"".join(_with_layers(segment, layers, order) for segment in own)
        if part.lengths is not None:
            header += emit_plt(part.lengths)
        length = 14 + len(header) + len(part.packets)
        lengths.append(TilePartLength(part.tile, length))
        sot = struct.pack(">HHHIBB", SOT, 10, part.tile, length, number, counts[part.tile])
        chunks += [sot, header, struct.pack(">H", SOD), part.packets]
    main = [
        struct.pack(">H", SOC),
        *(_with_layers(segment, layers, order) for segment in source.header_segments),
    ]
    if any(part.lengths is not None for part in parts):
        main.append(emit_tlm(lengths))
    return b"".join([*main, *chunks, struct.pack(">H", EOC)])


def emitted_overhead(
    source: Codestream, tile_parts: int, lengths: Sequence[NDArray[np.int64]] | None = None
) -> int:
    """Bytes that `emit` writes besides the packets, if every tile has a tile-part.

    `lengths` are of the packets of each tile-part, where PLT and TLM list them.
    """
    own = sum(len(segment) for segments in source.tile_segments.values() for segment in segments)
    pointers = 0
    if lengths is not None:
        pointers = tlm_bytes(tile_parts) + sum(len(emit_plt(one)) for one in lengths)
    return 2 + sum(map(len, source.header_segments)) + own + 14 * tile_parts + 2 + pointers


def _with_layers(segment: bytes, layers: int, progression: int) -> bytes:
    """COD with layer count and progression, and neither SOP nor EPH; other segments unchanged."""
    if segment[:2] != struct.pack(">H", COD):
        return segment
    scod = segment[4] & 1
    return segment[:4] + struct.pack(">BBH", scod, progression, layers) + segment[8:]
