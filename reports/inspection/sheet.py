"""Draws a JPEG 2000 file as one picture: the photo, where the bits went, the saliency map, and figures.

decoded photo │ bits over the photo in gray
──────────────┼────────────────────────────   (one row for upright photos, one column for panoramas)
saliency map  │ bytes by resolution
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from foveate.codec import bit_usage, openjpeg
from foveate.codec.coding import Pixels
from foveate.codec.errors import UnsupportedCodestream
from foveate.pictures.picture import full_range, saved
from foveate.quality.overlay import as_rgb, heat_over
from foveate.reports.figures import bytes_text, measure_text, share_text
from foveate.reports.gallery import Picture
from foveate.reports.inspection.examination import Inspection, account, layer_ends
from foveate.sandbox.children import DecoderFailed
from foveate.sandbox.client import Limits, decode_jpeg2000

SheetFormat = Literal["png", "webp"]

_PANEL = 1200  # pixels of a panel's longer side
_SMALLEST_PANEL = 560  # to which tiny pictures are enlarged
_THINNEST = 12  # pixels of a panel's shorter side: a picture of one row can be seen
_CELL_WIDTH = 560  # a panel's texts and legend need so much
_CHART_HEIGHT, _BAR_STEP, _KEY = 700, 56, 44
_MARGIN, _GAP, _CAPTION, _LEGEND = 40, 36, 46, 64
_MAX_DECODED = 250_000_000  # pixels in memory at once
_LIMITS = Limits(pixels=1 << 62)  # of what is decoded, not of what it would be at its full size
_LAYERS_NAMED = 8

_BACKGROUND, _TEXT, _DIM, _TRACK = (18, 20, 25), (238, 238, 234), (160, 164, 172), (42, 46, 54)
_COMPONENTS = ((240, 190, 90), (92, 150, 235), (225, 95, 95), (150, 155, 165))
_OTHER = (110, 120, 132)
_MID_GRAY = 128
_BRIGHTEST_SHARE = 99.5  # per cent of the picture that the scale covers; what is above has the last color
_NICE = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


@dataclasses.dataclass(frozen=True, eq=False)
class _Panel:
    """A picture with its caption and, where colors mean something, its legend: (position, text) pairs."""

    caption: str
    picture: Picture
    ticks: tuple[tuple[float, str], ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class _Cell:
    """A part of the sheet: its height, and what paints it on a sheet, at x and y, with a width in pixels."""

    height: int
    paint: Callable[[Image.Image, int, int, int], None]


def render_sheet(inspection: Inspection, data: bytes, file_format: SheetFormat) -> tuple[bytes, str]:
    """A labeled picture of a file; and a sentence on what could not be shown, "" if everything could.

    Args:
      inspection: of the file, without problems.
      data: the file.
      file_format: of the returned bytes.

    Raises:
      BadCodestream: the pixels cannot be decoded.
    """
    found = inspection.anatomy
    note = ""
    width, height = _panel_size(found.width, found.height)
    try:
        photo = _photo(data, found.width, found.height, width, height)
        panels = [_Panel("The photo, as it decodes", photo)]
    except (UnsupportedCodestream, DecoderFailed) as error:
        note = f"the photo is not shown: {error}"
        photo, panels = np.full((height, width, 3), _MID_GRAY, np.uint8), []
    if inspection.packets is not None:
        panels.append(_bits_panel(inspection, photo))
    if inspection.record is not None and inspection.record.saliency is not None:
        caption = "What matters in it: the saliency map in the file"
        ticks = ((0.0, "not salient"), (1.0, "salient"))
        panels.append(_Panel(caption, heat_over(inspection.record.saliency, _dimmed(photo)), ticks))
    sheet = _compose(inspection, panels, width, height)
    options = {"quality": 90, "method": 4} if file_format == "webp" else {}
    return saved(sheet, file_format.upper(), **options), note


# Panels --------------------------------------------------------------------------------------------


def _panel_size(width: int, height: int) -> tuple[int, int]:
    longer = max(width, height)
    scale = _PANEL / longer if longer > _PANEL else math.ceil(_SMALLEST_PANEL / longer)
    return max(_THINNEST, round(width * scale)), max(_THINNEST, round(height * scale))


def _photo(data: bytes, width: int, height: int, panel_width: int, panel_height: int) -> Picture:
    """The decoded photo at a panel's size, from as few resolutions as needed."""
    decoded = _decode(data, width, height, max(panel_width, panel_height))
    pixels = full_range(decoded.pixels, decoded.bit_depth)
    image = Image.fromarray(_rgb_of_cmyk(pixels) if decoded.color_space == "cmyk" else as_rgb(pixels))
    larger = panel_width > image.width
    how = Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS
    return np.asarray(image.resize((panel_width, panel_height), how))


def _decode(data: bytes, width: int, height: int, enough: int) -> openjpeg.Decoded:
    """The smallest resolution with at least a number of pixels on the longer side, or the largest."""
    most = max(0, math.floor(math.log2(max(max(width, height) / enough, 1))))
    for reduce in range(most, -1, -1):
        pixels = (width >> reduce) * (height >> reduce)
        if pixels > _MAX_DECODED:
            raise UnsupportedCodestream(f"{pixels:,} pixels are too many to decode at once")
        try:
            return decode_jpeg2000(data, _LIMITS, reduce)
        except ValueError as error:
            if type(error) is not ValueError or not reduce:
                raise
    raise AssertionError("the last resolution was decoded or has raised")


def _rgb_of_cmyk(pixels: Pixels) -> Picture:
    """A simple conversion, since the inks are unknown without a profile."""
    peak = int(np.iinfo(pixels.dtype).max)
    shares = 1 - pixels[..., :4].astype(np.float32) / peak
    rgb: Picture = np.rint(255 * shares[..., :3] * shares[..., 3:]).astype(np.uint8)
    return rgb


def _bits_panel(inspection: Inspection, photo: Picture) -> _Panel:
    packets = inspection.packets
    if packets is None:
        raise AssertionError("without packets nothing is known of the bits")
    height, width = photo.shape[:2]
    bits = bit_usage.bits_per_pixel(packets, height, width)
    top = _scale_top(bits)
    # On a square-root scale, since most of a photo has few bits and some places have many times the mean.
    heat = heat_over(np.sqrt(np.clip(bits / top, 0, 1)), _dimmed(photo))
    more = "+" if float(bits.max()) > 1.005 * top else ""
    marks = [(math.sqrt(share), f"{top * share:.3g}") for share in (0, 0.1, 0.25, 0.5)]
    caption = "Where the bits went, in bits per pixel"
    return _Panel(caption, heat, (*marks, (1.0, f"{top:.3g}{more}")))


def _dimmed(photo: Picture) -> Picture:
    """A photo made so dark and flat that colors over it keep their look."""
    return (photo // 2 + 16).astype(np.uint8)


def _scale_top(bits: NDArray[np.float32]) -> float:
    """A round number above nearly all values of a map."""
    high = float(np.percentile(bits, _BRIGHTEST_SHARE))
    if high <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(high))
    return next(nice * unit for nice in _NICE if nice * unit >= 0.999 * high)


# The sheet -----------------------------------------------------------------------------------------


def _compose(inspection: Inspection, panels: Sequence[_Panel], width: int, height: int) -> Image.Image:
    cell_width = max(width, _CELL_WIDTH)
    cells = [_panel_cell(panel, height) for panel in panels]
    if inspection.packets is not None:
        cells.append(_chart_cell(inspection))
    across = _columns(len(cells), width, height)
    rows = [cells[start : start + across] for start in range(0, len(cells), across)]
    heights = [max(cell.height for cell in row) for row in rows]
    whole_width = across * (cell_width + _GAP) - _GAP
    titles = _titles(inspection, whole_width)
    top = _MARGIN + sum(size + 12 for _, size, _ in titles) + _GAP // 2
    below = sum(heights) + _GAP * max(0, len(rows) - 1)
    sheet = Image.new("RGB", (2 * _MARGIN + whole_width, top + below + _MARGIN), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    y = _MARGIN
    for text, font_size, color in titles:
        draw.text((_MARGIN, y), text, color, _font(font_size))
        y += font_size + 12
    y = top
    for row, row_height in zip(rows, heights, strict=True):
        x = _MARGIN
        for cell in row:
            last = cell is row[-1]  # it takes what is left of its row
            room = _MARGIN + whole_width - x if last else cell_width
            cell.paint(sheet, x, y, room)
            x += room + _GAP
        y += row_height + _GAP
    return sheet


def _columns(cells: int, width: int, height: int) -> int:
    """How many cells are side by side: all for an upright photo, two for a wide one, one for a panorama."""
    if width > 2.4 * height and width > _CELL_WIDTH:
        return 1
    return max(1, cells) if height > 1.1 * width or cells < 3 else 2


def _titles(inspection: Inspection, room: int) -> list[tuple[str, int, tuple[int, int, int]]]:
    """(text, font size, color) of the lines at the top, as many as fit."""
    found = inspection.anatomy
    figures = [
        f"{found.width} x {found.height}",
        bytes_text(found.file_bytes),
        f"{measure_text(inspection.bits_per_pixel, 'bpp')} bits per pixel",
    ]
    lines = [(inspection.name.rpartition("/")[2], 40, _TEXT), ("  ·  ".join(figures), 28, _TEXT)]
    if inspection.packets is not None:
        lines.append(("  ·  ".join(_coding_words(inspection)), 22, _DIM))
    ends = layer_ends(inspection)
    if len(ends) > 1:
        rates = [measure_text(end.bits_per_pixel, "bpp") for end in ends[:_LAYERS_NAMED]]
        more = " ..." if len(ends) > _LAYERS_NAMED else ""
        lines.append((f"layers end at {', '.join(rates)}{more} bits per pixel", 22, _DIM))
    return [(_fitting(text, size, room), size, color) for text, size, color in lines]


def _coding_words(inspection: Inspection) -> list[str]:
    packets = inspection.packets
    if packets is None:
        return []
    stream = packets.stream
    coding = stream.coding[0]
    tiles = stream.size.tiles_across * stream.size.tiles_down
    words = [
        f"{stream.layers} layer{'s' if stream.layers > 1 else ''} in {stream.progression}",
        "5/3 wavelet" if coding.transformation else "9/7 wavelet",
        f"code-blocks of {1 << coding.block_width_log2} x {1 << coding.block_height_log2}",
    ]
    if tiles > 1:
        words.insert(0, f"{tiles} tiles")
    record = inspection.record
    if record is not None:
        words.append(f"from a source with SHA-256 {record.source_sha256.hex()[:12]}...")
    return words


def _panel_cell(panel: _Panel, picture_height: int) -> _Cell:
    def paint(sheet: Image.Image, x: int, y: int, width: int) -> None:
        draw = ImageDraw.Draw(sheet)
        draw.text((x, y), _fitting(panel.caption, 26, width), _TEXT, _font(26))
        image = Image.fromarray(panel.picture)
        sheet.paste(image, (x, y + _CAPTION))
        if panel.ticks:
            legend_width = min(width, max(image.width, _CELL_WIDTH))
            _paint_legend(sheet, x, y + _CAPTION + image.height + 14, legend_width, panel.ticks)

    return _Cell(_CAPTION + picture_height + (_LEGEND if panel.ticks else 0), paint)


def _paint_legend(sheet: Image.Image, x: int, y: int, width: int, ticks: Sequence[tuple[float, str]]) -> None:
    """The colors as they look over mid-gray, dark to light, with their values."""
    ramp = np.linspace(0, 1, width, dtype=np.float32)[np.newaxis]
    gray = _dimmed(np.full((16, width, 3), _MID_GRAY, np.uint8))
    sheet.paste(Image.fromarray(heat_over(ramp, gray)), (x, y))
    draw = ImageDraw.Draw(sheet)
    for position, text in ticks:
        anchor = "la" if position == 0 else "ra" if position == 1 else "ma"
        draw.text((x + round(position * (width - 1)), y + 22), text, _DIM, _font(20), anchor)


def _chart_cell(inspection: Inspection) -> _Cell:
    """Bars of the bytes of each resolution, stacked by component, and of everything else."""
    rows = _chart_rows(inspection)
    total = inspection.anatomy.file_bytes
    step = min(_BAR_STEP, _CHART_HEIGHT / len(rows))
    size = max(9, min(22, int(step * 0.45)))
    longest = max(sum(parts) for _, parts in rows) or 1

    def paint(sheet: Image.Image, x: int, y: int, width: int) -> None:
        draw = ImageDraw.Draw(sheet)
        draw.text((x, y), "Where the bytes are", _TEXT, _font(26))
        _paint_key(draw, x, y + _CAPTION, _component_names(inspection))
        left, right = x + 8 * size, x + width - 8 * size
        for index, (name, parts) in enumerate(rows):
            middle = round(y + _CAPTION + _KEY + step * (index + 0.5))
            text = f"{bytes_text(sum(parts))}, {share_text(sum(parts) / total)}"
            draw.text((x, middle), name, _DIM, _font(size), "lm")
            draw.text((x + width, middle), text, _TEXT, _font(size), "rm")
            half = max(2, round(step * 0.3))
            _paint_bar(draw, (left, middle - half, right, middle + half), [part / longest for part in parts])

    return _Cell(_CAPTION + _KEY + round(step * len(rows)), paint)


def _paint_bar(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], shares: Sequence[float]) -> None:
    """A bar of pieces, each a share of the box; a single piece belongs to no component."""
    left, top, right, bottom = box
    draw.rectangle(box, _TRACK)
    end = float(left)
    for share, color in zip(shares, _COMPONENTS if len(shares) > 1 else [_OTHER], strict=True):
        start, end = end, end + share * (right - left)
        if round(end) > round(start):
            draw.rectangle((round(start), top, round(end) - 1, bottom), color)


def _chart_rows(inspection: Inspection) -> list[tuple[str, tuple[int, ...]]]:
    """The bytes of each resolution by component (from the fourth on as one), of headers, and of the rest."""
    packets = inspection.packets
    if packets is None:
        return []
    bands = bit_usage.by_band(packets)
    rows: list[tuple[str, tuple[int, ...]]] = []
    for resolution in sorted({band.resolution for band in bands}, reverse=True):
        sums = [0] * len(_COMPONENTS)
        for band in bands:
            if band.resolution == resolution:
                sums[min(band.component, len(sums) - 1)] += band.bytes
        rows.append((f"resolution {resolution}", tuple(sums)))
    accounted = account(inspection)
    rows.append(("packet headers", (accounted.packet_headers,)))
    other = inspection.anatomy.file_bytes - accounted.packet_headers - accounted.code_blocks
    rows.append(("all else", (other,)))
    return rows


def _component_names(inspection: Inspection) -> list[str]:
    packets = inspection.packets
    count = 0 if packets is None else len(packets.stream.size.components)
    if count in (1, 2):
        return ["gray", "alpha"][:count]
    if packets is not None and packets.stream.color_transform:
        return ["luma", "blue chroma", "red chroma", "alpha" if count == 4 else "others"][:count]
    return [f"component {component}" for component in range(min(count, 3))] + ["others"] * (count > 3)


def _paint_key(draw: ImageDraw.ImageDraw, x: int, y: int, names: Sequence[str]) -> None:
    font = _font(20)
    for name, color in zip(names, _COMPONENTS, strict=False):
        draw.rectangle((x, y + 3, x + 15, y + 18), color)
        draw.text((x + 24, y), name, _DIM, font)
        x += 24 + round(font.getlength(name)) + 28


def _fitting(text: str, size: int, room: int) -> str:
    """The text in characters that the font has, cut off to fit."""
    text = "".join(sign if (sign.isascii() and sign.isprintable()) or sign == "·" else "?" for sign in text)
    font = _font(size)
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}...") > room:
        text = text[:-1]
    return f"{text}..."


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
