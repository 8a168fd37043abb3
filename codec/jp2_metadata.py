"""Metadata of a photo as boxes of a JP2 file, written and read back.

Each kind stands where ExifTool looks for it: uuid boxes for EXIF, XMP, IPTC-IIM, Photoshop's resources and
GeoTIFF (GeoJP2), `jumb` boxes for C2PA, and one `xml ` box for comments and other short texts.
"""

from __future__ import annotations

import dataclasses
import html
import re
import uuid
from collections.abc import Iterable

from foveate.codec.jp2_boxes import bare_tiff, pack_box
from foveate.codec.metadata import PhotoMetadata

_EXIF_UUID = b"JpgTiffExif->JP2"
_PHOTOSHOP_EXIF_UUID = uuid.UUID("0537cdab-9d0c-4431-a72a-fa561f2a113e").bytes
_XMP_UUID = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
_IPTC_UUID = uuid.UUID("33c7a4d2-b81d-4723-a0ba-f1a3e097ad38").bytes
_PHOTOSHOP_UUID = uuid.UUID("2c4c0100-8504-40b9-a03e-562148d6dfeb").bytes
_GEO_UUID = uuid.UUID("b14bf8bd-083d-4b43-a5ae-8cd7d5a6ce03").bytes
METADATA_UUIDS = {
    _EXIF_UUID: "EXIF",
    _PHOTOSHOP_EXIF_UUID: "EXIF as Photoshop has it",
    _XMP_UUID: "XMP",
    _IPTC_UUID: "IPTC",
    _PHOTOSHOP_UUID: "Photoshop resources",
    _GEO_UUID: "GeoTIFF",
}
_FIELD_OF_UUID = {
    _EXIF_UUID: "exif",
    _PHOTOSHOP_EXIF_UUID: "exif",
    _XMP_UUID: "xmp",
    _IPTC_UUID: "iptc",
    _PHOTOSHOP_UUID: "photoshop",
    _GEO_UUID: "geo",
}

_TEXTS_START = b'<?xml version="1.0" encoding="UTF-8"?>\n<texts xmlns="urn:foveate:texts">'
_TEXT = re.compile(r'<text name="([^"<>]*)">([^<]*)</text>')
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2
_MOST_TEXTS = 1 << 12


def metadata_boxes(metadata: PhotoMetadata) -> bytes:
    """All boxes of a photo's metadata but those of the JP2 header."""
    found: list[bytes] = []
    exif = bare_tiff(metadata.exif or b"")
    for kind, content in (
        (_EXIF_UUID, exif),
        (_XMP_UUID, metadata.xmp),
        (_IPTC_UUID, metadata.iptc),
        (_PHOTOSHOP_UUID, metadata.photoshop),
        (_GEO_UUID, metadata.geo),
    ):
        if content:
            found.append(pack_box(b"uuid", kind + content))
    if metadata.texts:
        found.append(pack_box(b"xml ", emit_texts(metadata.texts)))
    if metadata.jumbf:
        found.append(metadata.jumbf)
    return b"".join(found)


def read_metadata(boxes: Iterable[tuple[bytes, bytes, bytes]]) -> PhotoMetadata:
    """The metadata of boxes, each as its type, its content and all of it; of a kind the first that is usable.

    An "Exif\\0\\0" prefix is removed. Boxes of other kinds are passed over.
    """
    found: dict[str, bytes] = {}
    jumbf: list[bytes] = []
    texts: tuple[tuple[str, str], ...] = ()
    for kind, content, whole in boxes:
        if kind == b"uuid":
            name, value = _FIELD_OF_UUID.get(content[:16], ""), content[16:]
            usable = bare_tiff(value) if name in ("exif", "geo") else value
            if name and usable:
                found.setdefault(name, usable)
        elif kind == b"jumb":
            jumbf.append(whole)
        elif kind == b"xml " and not texts:
            texts = parse_texts(content)
    return dataclasses.replace(
        PhotoMetadata(**found),  # type: ignore[arg-type]  # the names are those of fields of bytes
        jumbf=b"".join(jumbf) or None,
        texts=texts,
    )


def can_be_text(text: str) -> bool:
    """Whether a text, or its keyword, can be written: XML holds no control characters."""
    return not _NOT_XML.search(text)


def emit_texts(texts: tuple[tuple[str, str], ...]) -> bytes:
    """The content of the box of texts.

    Raises:
        ValueError: a text that XML cannot hold (see `can_be_text`).
    """
    for keyword, text in texts:
        if not (can_be_text(keyword) and can_be_text(text)):
            raise ValueError(f"the text {keyword!r} has control characters, which XML cannot hold")
    lines = [f'<text name="{_escaped(keyword)}">{_escaped(text)}</text>' for keyword, text in texts]
    return b"\n".join((_TEXTS_START, *(line.encode() for line in lines), b"</texts>\n"))


def parse_texts(content: bytes) -> tuple[tuple[str, str], ...]:
    """The inverse of `emit_texts`; () for XML of others."""
    if not content.startswith(_TEXTS_START):
        return ()
    body = content.decode("utf-8", "replace")
    found: list[tuple[str, str]] = []
    for match in _TEXT.finditer(body):
        if len(found) == _MOST_TEXTS:
            break
        found.append((html.unescape(match[1]), html.unescape(match[2])))
    return tuple(found)


def _escaped(text: str) -> str:
    """A text for XML; line ends too, which a reader would make alike otherwise."""
    return html.escape(text, quote=True).replace("\r", "&#13;").replace("\n", "&#10;").replace("\t", "&#9;")
