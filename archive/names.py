"""Names of archived files: the path of a source's file in the archive, and its extension."""

from __future__ import annotations

import os

from foveate.archive.encryption import ENDING
from foveate.storage.files import join
from foveate.storage.source import SourceFile

JP2_ENDING = ".jp2"
JPEG2000_EXTENSIONS = frozenset({JP2_ENDING, ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jph", ".jhc"})
JP2_ENDINGS = (JP2_ENDING + ENDING, JP2_ENDING)
ENDINGS = (*JP2_ENDINGS, ENDING, "")  # what an archived file's name has more than its source's


def name_bytes(name: str) -> bytes:
    """A name as bytes for Beam's coders: their strings must be UTF-8, and file names need not be."""
    return name.encode(errors="surrogatepass")


def claim_of(relative_path: str) -> str:
    """One name for sources that compete for one place: `p.png` and `p.png.jp2` may both want the latter."""
    while relative_path.endswith(JP2_ENDING):
        relative_path = relative_path.removesuffix(JP2_ENDING)
    return relative_path


def file_of(source: SourceFile) -> tuple[str, str]:
    """One identity for all spellings of a file: relative, absolute, through links to folders."""
    url = source.url if "://" in source.url else os.path.realpath(source.url)
    return url, source.relative_path


def archive_url(archive: str, source: SourceFile) -> str:
    """The url of a source's JP2: the full name is kept, so that it depends on the source's path alone."""
    return join(archive, source.relative_path + JP2_ENDING)


def kept_url(archive: str, source: SourceFile) -> str:
    """The url of a source that is kept unchanged."""
    return join(archive, source.relative_path)


def ending_of(archive_url: str, relative_path: str) -> str:
    """What follows the source's name in the name of an archived file: one of `ENDINGS`."""
    return next((ending for ending in ENDINGS if archive_url.endswith(relative_path + ending)), "")


def is_jpeg2000(path: str) -> bool:
    """Whether a file's name, encrypted or not, is that of a JPEG 2000 file."""
    return f".{path.removesuffix(ENDING).rpartition('.')[2].lower()}" in JPEG2000_EXTENSIONS
