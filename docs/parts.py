"""The page of every part of every format and what becomes of it, from the classification that readers use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from foveate.pictures import (
    bmp,
    dicom_parts,
    gif,
    isobmff,
    jpeg_parts,
    jpegxl,
    photoshop,
    png_parts,
    tiff_parts,
    webp,
)
from foveate.pictures.accounting import MOST_DESCRIBED, MOST_UNKNOWN, Kind, Known

_BECOMES = {
    Kind.PICTURE: "the picture itself, or structure",
    Kind.CARRIED: "carried into the archive",
    Kind.DESCRIBES: "dropped, and named in `metadata_lost`",
    Kind.HOLDS_DATA: "**the source is kept unchanged**",
    Kind.UNKNOWN: "as unknown parts",
}


def parts_page() -> str:
    """The page, in Markdown."""
    sections = "".join(f"\n## {title}\n\n{_table(rows)}" for title, rows in _formats())
    return f"""# Every part of every format

Foveate accounts for every byte of a source. This page is generated from the tables that its readers use, so
it describes what they actually do. Parts that are not listed are unknown: if all unknown parts of a file
have at most {MOST_UNKNOWN:,} bytes, `metadata_lost` names them; otherwise the source is kept unchanged. The
same goes for data after the end of a picture or between its parts, except padding of zeros. A source is also
kept if a single description has more than {MOST_DESCRIBED:,} bytes.
{sections}"""


def _formats() -> Iterator[tuple[str, Iterable[tuple[str, Known]]]]:
    segments = [(_segment(marker, prefix), known) for marker, prefix, known in jpeg_parts.SEGMENTS]
    yield "JPEG", [("SOF, DHT, DQT, DRI, SOS, EOI", jpeg_parts.PICTURE), *segments, *_trailers()]
    yield "Photoshop resources in JPEG, TIFF and PNG", photoshop.RESOURCES.items()
    yield "PNG", _merged((kind.decode(), known) for kind, known in png_parts.CHUNKS.items())
    yield "TIFF", _merged((str(tag), known) for tag, known in tiff_parts.TAGS.items())
    yield "WebP", _merged((kind.decode().strip(), known) for kind, known in webp.CHUNKS.items())
    boxes = {**isobmff.BOXES, **isobmff.PROPERTIES}
    listed = [(kind.decode(), known) for kind, known in boxes.items()]
    yield (
        "AVIF and HEIC",
        _merged([*listed, *((f"item: {name}", known) for name, known in isobmff.ITEMS.items())]),
    )
    yield "JPEG XL", _merged((kind.decode().strip(), known) for kind, known in jpegxl.BOXES.items())
    tags = [(rule.tags, rule.known) for rule in dicom_parts.RULES]
    yield "DICOM", [*_merged(tags), *dicom_parts.OTHERS]
    yield "GIF", gif.PARTS.items()
    yield "BMP", bmp.PARTS.items()


def _trailers() -> Iterator[tuple[str, Known]]:
    for mark, known in jpeg_parts.TRAILERS:
        yield f"after the picture: {mark.decode()}", known
    previews = Known(Kind.DESCRIBES, "preview")
    yield "after the picture: what the multi-picture index calls previews", previews
    other = Known(Kind.HOLDS_DATA, "another picture")
    yield "multi-picture index with any other picture", other


def _segment(marker: int, prefix: bytes) -> str:
    name = f"APP{marker - 0xE0}" if 0xE0 <= marker < 0xF0 else "COM"
    mark = prefix.rstrip(b"\0").decode("ascii")
    return f"{name} {mark}".strip()


def _merged(rows: Iterable[tuple[str, Known]]) -> list[tuple[str, Known]]:
    """Parts of which the same is known in one row."""
    groups: dict[Known, list[str]] = {}
    for part, known in rows:
        groups.setdefault(known, []).append(part)
    return [(", ".join(parts), known) for known, parts in groups.items()]


def _table(rows: Iterable[tuple[str, Known]]) -> str:
    lines = ["| part | what it is | what becomes of it |", "| --- | --- | --- |"]
    for part, known in rows:
        reason = f" (`{known.reason}`)" if known.kind is Kind.HOLDS_DATA else ""
        lines.append(f"| {part} | {known.name} | {_BECOMES[known.kind]}{reason} |")
    return "\n".join(lines) + "\n"
