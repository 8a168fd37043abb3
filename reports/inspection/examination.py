"""Examines a JPEG 2000 file, its structure, packets and record, and gives the result as JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from foveate.codec import anatomy, bit_usage, jp2
from foveate.codec.anatomy import Anatomy
from foveate.codec.codestream import IRREVERSIBLE, Codestream
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.packet_stream import PacketStream
from foveate.codec.record import ArchiveRecord, saliency_bytes_of
from foveate.codec.regions import Region
from foveate.reports.inspection.reading import Reading, readings

_UUID_BYTES = 16
SCHEMA = 1  # of the JSON; docs/inspect.md describes it


@dataclasses.dataclass(frozen=True)
class Account:
    """The bytes of a file by purpose; the fields add up to its size.

    boxes: all but the first codestream.
    main_header, tile_part_headers: markers and their segments, including packed packet headers.
    packet_headers: those between the packets.
    code_blocks: what the arithmetic coder wrote.
    sop_and_padding: anything else among the packets.
    end: the EOC marker.
    unread: whatever follows the end, or could not be read.
    """

    boxes: int
    main_header: int
    tile_part_headers: int
    packet_headers: int
    code_blocks: int
    sop_and_padding: int
    end: int
    unread: int


@dataclasses.dataclass(frozen=True)
class LayerEnd:
    """A layer, and the size of a file that ends with it: bytes in total, and bits per pixel."""

    layer: int
    header_bytes: int
    block_bytes: int
    passes: int
    file_bytes: int
    bits_per_pixel: float


@dataclasses.dataclass(frozen=True, eq=False)
class Inspection:
    """Everything that could be found out about a file.

    name: how the file was named.
    anatomy: its boxes, markers and tile-parts.
    packets: None if they, or all markers up to the end, could not be read.
    record: our box, None without one.
    saliency_bytes: of the record's map.
    readings: the bytes to read for each size, and for a region; none if packets are not known.
    notes: sentences on what could not be read of a valid file.
    problems: sentences on what is broken.
    """

    name: str
    anatomy: Anatomy
    packets: PacketStream | None
    record: ArchiveRecord | None
    saliency_bytes: int
    readings: tuple[Reading, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def bits_per_pixel(self) -> float:
        """Of the whole file; 0 if the size of the picture is not known."""
        return _bits_per_pixel(self.anatomy.file_bytes, self.anatomy)


def examine(name: str, data: bytes, region: Region | None = None) -> Inspection:
    """Reads whatever can be read of a JP2 file or a bare codestream; no pixel is decoded.

    `region` is one for `readings`; by default 512 x 512 pixels in the middle.

    Raises:
      BadCodestream: it is neither.
    """
    found = anatomy.dissect(data)
    notes, problems = [], list(found.problems)
    record, saliency_bytes = None, 0
    packets: PacketStream | None = None
    parts: tuple[Reading, ...] = ()
    try:
        record, saliency_bytes = _read_record(data, found)
        parsed = jp2.parse(data)
        if parsed.record_problem:
            notes.append(parsed.record_problem)
        if found.end is not None:  # else some tile-part is not accounted for
            packets = PacketStream.parse(parsed.codestream)
    except UnsupportedCodestream as error:
        notes.append(f"packets are not read: {error}")
    except BadCodestream as error:
        if not problems:  # else the same once more, in other words
            problems.append(str(error))
    if packets is not None:
        try:
            parts = readings(data, packets, region)
        except ValueError as error:  # the region lies outside, or regions of it cannot be read
            notes.append(str(error))
    return Inspection(name, found, packets, record, saliency_bytes, parts, tuple(notes), tuple(problems))


def _read_record(data: bytes, found: Anatomy) -> tuple[ArchiveRecord | None, int]:
    """Our record and the bytes of its saliency map, even if the file is truncated behind it."""
    record = jp2.read_record(data) if found.boxes else None
    if record is None or record.saliency is None:
        return record, 0
    box = next(box for box in found.boxes if box.holds.startswith(jp2.RECORD_NAME))
    return record, saliency_bytes_of(box.bytes - box.head_bytes - _UUID_BYTES)


def account(inspection: Inspection) -> Account:
    """Accounts for the bytes. Packets that could not be read count as `unread`."""
    found, packets = inspection.anatomy, inspection.packets
    area = sum(part.packet_bytes for part in found.tile_parts)
    headers = blocks = 0
    if packets is not None:
        blocks = sum(layer.block_bytes for layer in bit_usage.by_layer(packets))
        headers = _headers_between_packets(packets)
    return Account(
        boxes=found.file_bytes - found.unread_bytes - found.codestream_bytes,
        main_header=sum(marker.bytes for marker in found.main_header),
        tile_part_headers=sum(part.header_bytes for part in found.tile_parts),
        packet_headers=headers,
        code_blocks=blocks,
        sop_and_padding=area - headers - blocks if packets is not None else 0,
        end=found.end.bytes if found.end is not None else 0,
        unread=found.unread_bytes + found.trailing_bytes + (area if packets is None else 0),
    )


def _headers_between_packets(packets: PacketStream) -> int:
    """The bytes of packet headers outside PPM and PPT segments."""
    packed = packets.stream.packed_headers
    if len(packed) == packets.layout.tiles:
        return 0
    whole = int(packets.header_bytes.sum())
    return max(0, whole - sum(len(headers) for headers in packed.values()))


def layer_ends(inspection: Inspection) -> tuple[LayerEnd, ...]:
    """The layers in order, each with the size of the file up to it; none if packets are not known."""
    if inspection.packets is None:
        return ()
    layers = bit_usage.by_layer(inspection.packets)
    size = inspection.anatomy.file_bytes - sum(layer.header_bytes + layer.block_bytes for layer in layers)
    ends = []
    for layer in layers:
        size += layer.header_bytes + layer.block_bytes
        bits = _bits_per_pixel(size, inspection.anatomy)
        ends.append(LayerEnd(**dataclasses.asdict(layer), file_bytes=size, bits_per_pixel=bits))
    return tuple(ends)


def _bits_per_pixel(size: int, found: Anatomy) -> float:
    pixels = found.width * found.height
    return 8 * size / pixels if pixels else 0.0


def as_json(inspection: Inspection) -> dict[str, Any]:
    """An entry of "files" in `foveate inspect --json`; docs/inspect.md says what each key means."""
    found, packets = inspection.anatomy, inspection.packets
    bands = () if packets is None else bit_usage.by_band(packets)
    return {
        "name": inspection.name,
        "problems": list(inspection.problems),
        "notes": list(inspection.notes),
        "file_bytes": found.file_bytes,
        "width": found.width,
        "height": found.height,
        "bits_per_pixel": inspection.bits_per_pixel,
        "coding": None if packets is None else _coding(packets.stream),
        "account": dataclasses.asdict(account(inspection)),
        "boxes": [dataclasses.asdict(box) for box in found.boxes],
        "codestream_offset": found.codestream_offset,
        "codestream_bytes": found.codestream_bytes,
        "main_header": [dataclasses.asdict(marker) for marker in found.main_header],
        "tile_parts": [dataclasses.asdict(part) for part in found.tile_parts],
        "end": None if found.end is None else dataclasses.asdict(found.end),
        "layers": [dataclasses.asdict(layer) for layer in layer_ends(inspection)],
        "readings": [dataclasses.asdict(reading) for reading in inspection.readings],
        "bands": [dataclasses.asdict(band) for band in bands],
        "record": _record(inspection),
    }


def broken_as_json(name: str, problem: str) -> dict[str, Any]:
    """The entry of a file that could not be opened, or is not JPEG 2000."""
    return {"name": name, "problems": [problem]}


def _coding(stream: Codestream) -> dict[str, Any]:
    size = stream.size
    components = []
    for shape, coding in zip(size.components, stream.coding, strict=True):
        components.append(
            dataclasses.asdict(shape)
            | {
                "wavelet": "9/7" if coding.transformation == IRREVERSIBLE else "5/3",
                "levels": coding.levels,
                "block_width": 1 << coding.block_width_log2,
                "block_height": 1 << coding.block_height_log2,
            }
        )
    return {
        "progression": stream.progression,
        "layers": stream.layers,
        "color_transform": stream.color_transform,
        "sop": stream.sop,
        "eph": stream.eph,
        "tiles_across": size.tiles_across,
        "tiles_down": size.tiles_down,
        "tile_width": size.tile_width,
        "tile_height": size.tile_height,
        "components": components,
    }


def _record(inspection: Inspection) -> dict[str, Any] | None:
    record = inspection.record
    if record is None:
        return None
    rows, columns = (0, 0) if record.saliency is None else record.saliency.shape
    return {
        "version": record.version,
        "source_sha256": record.source_sha256.hex(),
        "settings_digest": record.settings_digest.hex(),
        "weights_digest": record.weights_digest.hex(),
        "comcnn_used": record.prefiltered,
        "plain_decode": record.plain_decode,
        "saliency_rows": rows,
        "saliency_columns": columns,
        "saliency_bytes": inspection.saliency_bytes,
        "faces_found": record.faces,
        "writing_found": record.writing,
    }
