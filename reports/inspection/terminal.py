"""Prints what a JPEG 2000 file contains in the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from foveate.codec import bit_usage
from foveate.codec.anatomy import Box, Marker
from foveate.codec.bit_usage import BandBytes
from foveate.reports.figures import bytes_text, count_text, measure_text, share_text
from foveate.reports.inspection.examination import Inspection, account, layer_ends
from foveate.reports.terminal import borderless_table, plain_text

_ROWS_SHOWN = 16  # of layers, of tile-parts
_RESOLUTIONS_SHOWN = 40
_BOXES_SHOWN = 60  # and markers
_ACCOUNT_NAMES = {
    "boxes": "Boxes around the codestream",
    "main_header": "Main header",
    "tile_part_headers": "Tile-part headers",
    "packet_headers": "Packet headers",
    "code_blocks": "Code-blocks",
    "sop_and_padding": "SOP markers, padding",
    "end": "End marker",
    "unread": "Not read",
}
Row = TypeVar("Row")


def print_inspection(inspection: Inspection, console: Console) -> None:
    """Print what was found in a file as tables to `console`."""
    found = inspection.anatomy
    size = f"{found.width} × {found.height}, " if found.width else ""
    rate = f", [bold]{measure_text(inspection.bits_per_pixel, 'bpp')}[/] bits per pixel" if size else ""
    console.print(f"[bold]{plain_text(inspection.name)}[/]: {size}{bytes_text(found.file_bytes)}{rate}")
    tables = (
        boxes_table(inspection),
        markers_table(inspection),
        tile_parts_table(inspection),
        layers_table(inspection),
        bands_table(inspection),
        account_table(inspection),
        readings_table(inspection),
        record_table(inspection),
    )
    for table in tables:
        if table.row_count:
            console.print()
            console.print(table)
    for note in inspection.notes:
        console.print(f"\n{plain_text(note)}", style="yellow")


def boxes_table(inspection: Inspection) -> Table:
    """The boxes, with nested ones indented."""
    table = _listing("Box")
    for row in _ends_of(list(_nested(inspection.anatomy.boxes)), _BOXES_SHOWN):
        if row is None:
            table.add_row("…")
            continue
        depth, box = row
        name = "  " * depth + plain_text(box.kind)
        table.add_row(name, count_text(box.offset), count_text(box.bytes), plain_text(box.holds))
    return table


def _nested(boxes: Iterable[Box], depth: int = 0) -> Iterator[tuple[int, Box]]:
    for box in boxes:
        yield depth, box
        yield from _nested(box.boxes, depth + 1)


def markers_table(inspection: Inspection) -> Table:
    """The main header."""
    table = _listing("Marker")
    for marker in _ends_of(inspection.anatomy.main_header, _BOXES_SHOWN):
        if marker is None:
            table.add_row("…")
        else:
            _add_marker(table, marker)
    if inspection.anatomy.end is not None:
        _add_marker(table, inspection.anatomy.end)
    return table


def _add_marker(table: Table, marker: Marker) -> None:
    table.add_row(marker.name, count_text(marker.offset), count_text(marker.bytes), plain_text(marker.says))


def tile_parts_table(inspection: Inspection) -> Table:
    """The tile-parts, with the names of the markers in their headers."""
    table = borderless_table("Tile", ["Part", "At byte", "Header", "Packets"])
    table.add_column("In its header", overflow="fold")
    parts = inspection.anatomy.tile_parts
    for part in _ends_of(parts):
        if part is None:
            table.add_row("…")
            continue
        names = [marker.name for marker in part.markers if marker.name not in ("SOT", "SOD")]
        figures = (part.number + 1, part.offset, part.header_bytes, part.packet_bytes)
        table.add_row(count_text(part.tile), *map(count_text, figures), ", ".join(names))
    if len(parts) > 1:
        tiles = len({part.tile for part in parts})
        table.caption = f"{count_text(len(parts))} tile-parts of {count_text(tiles)} tiles"
    return table


def layers_table(inspection: Inspection) -> Table:
    """The layers, and the size of a file that ends with each."""
    names = ["Packet headers", "Code-blocks", "Passes", "File up to it", "bpp"]
    table = borderless_table("Layer", names)
    for layer in _ends_of(layer_ends(inspection)):
        if layer is None:
            table.add_row("…")
            continue
        figures = (layer.header_bytes, layer.block_bytes, layer.passes, layer.file_bytes)
        rate = measure_text(layer.bits_per_pixel, "bpp")
        table.add_row(str(layer.layer), *map(count_text, figures), rate)
    return table


def bands_table(inspection: Inspection) -> Table:
    """Code-blocks and their bytes by component, resolution and band."""
    names = ["Blocks", "Included", "Passes", "HL", "LH", "HH", "Bytes", "Share"]
    table = borderless_table("Component, resolution", names)
    if inspection.packets is None:
        return table
    bands = bit_usage.by_band(inspection.packets)
    total = sum(band.bytes for band in bands)
    groups = itertools.groupby(bands, lambda band: (band.component, band.resolution))
    rows = [(place, list(group)) for place, group in groups]
    for row in _ends_of(rows, _RESOLUTIONS_SHOWN):
        if row is None:
            table.add_row("…")
            continue
        (component, resolution), group = row
        each = [count_text(sum(band.bytes for band in group if band.band == name)) for name in names[3:6]]
        inner = each if resolution else [""] * 3  # the coarsest is LL alone
        table.add_row(f"{component}, {resolution}", *_sums(group, inner, total))
    components = itertools.groupby(bands, lambda band: band.component)
    sums = [(component, _sums(list(group), [""] * 3, total)) for component, group in components]
    for summed in _ends_of(sums):
        if summed is None:
            table.add_row("…")
        else:
            table.add_row(f"[bold]{summed[0]}, all[/]", *summed[1])
    return table


def _sums(bands: Sequence[BandBytes], inner: Sequence[str], total: int) -> list[str]:
    """Blocks, included ones, passes; a placeholder for single bands; bytes and their share."""
    counts = (sum(getattr(band, name) for band in bands) for name in ("blocks", "included", "passes"))
    return [*map(count_text, counts), *inner, *_bytes_and_share(sum(band.bytes for band in bands), total)]


def _bytes_and_share(count: int, total: int) -> tuple[str, str]:
    return count_text(count), share_text(count / total if total else None)


def account_table(inspection: Inspection) -> Table:
    """The bytes of the file by purpose."""
    table = borderless_table("The bytes are in", ["Bytes", "Share"])
    total = inspection.anatomy.file_bytes
    for field, name in _ACCOUNT_NAMES.items():
        count = getattr(account(inspection), field)
        if count:
            table.add_row(name, *_bytes_and_share(count, total))
    table.add_row("[bold]The file[/]", *_bytes_and_share(total, total))
    return table


def readings_table(inspection: Inspection) -> Table:
    """The bytes needed to read parts of the file."""
    table = borderless_table("To read", ["Pixels", "Bytes", "Share", "Requests"])
    total = inspection.anatomy.file_bytes
    whole = inspection.anatomy.width, inspection.anatomy.height
    for reading in inspection.readings:
        place = "the picture"
        if (reading.width, reading.height) != whole:
            place = f"region {reading.left},{reading.top},{reading.width},{reading.height}"
        scale = f"{place} at 1/{1 << reading.reduce}" if reading.reduce else place
        shown = f"{-(-reading.width >> reading.reduce)} × {-(-reading.height >> reading.reduce)}"
        table.add_row(scale, shown, *_bytes_and_share(reading.bytes, total), count_text(reading.requests))
    return table


def record_table(inspection: Inspection) -> Table:
    """Our own box."""
    table = borderless_table("Archive record", [])
    table.add_column("", overflow="fold")
    record = inspection.record
    if record is None:
        return table
    weights = record.weights_digest.hex() if any(record.weights_digest) else "no networks"
    table.add_row("Version", str(record.version))
    table.add_row("SHA-256 of the source", record.source_sha256.hex())
    table.add_row("Settings", record.settings_digest.hex())
    table.add_row("Weights", weights)
    table.add_row("ComCNN before coding", "yes" if record.prefiltered else "no")
    table.add_row("RecCNN on restoring", "no" if record.plain_decode else "yes")
    if record.saliency is None:
        table.add_row("Saliency map", "none")
    else:
        rows, columns = record.saliency.shape
        cells = f"{columns} × {rows} cells in {bytes_text(inspection.saliency_bytes)}"
        table.add_row("Saliency map", f"{cells}, mean {record.saliency.mean():.2f}")
        found = [
            name for name, is_there in (("faces", record.faces), ("writing", record.writing)) if is_there
        ]
        table.add_row("Found in it", ", ".join(found) or "neither faces nor writing")
    return table


def _listing(first: str) -> Table:
    table = borderless_table(first, ["At byte", "Bytes"])
    table.add_column("Which is", overflow="fold")
    return table


def _ends_of(rows: Sequence[Row], shown: int = _ROWS_SHOWN) -> Iterator[Row | None]:
    """All rows; if there are many, the first and last ones with None between."""
    if len(rows) <= shown:
        yield from rows
        return
    yield from rows[: shown // 2]
    yield None
    yield from rows[-(shown // 2) :]
