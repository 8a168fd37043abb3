"""The page of what other programs make of Foveate's files; tests/docs/test_interoperability.py runs them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal, get_args

Program = Literal["opj_decompress", "FFmpeg", "Pillow", "libvips", "GDAL", "ImageMagick"]
PROGRAMS: tuple[Program, ...] = get_args(Program)

Outcome = Literal["same samples", "8 bits", "as sRGB"]

METADATA = "EXIF with a thumbnail, XMP, IPTC, Photoshop resources, C2PA, comments, resolution"
_COLORS = ("gray", "gray and alpha", "RGB", "RGB and alpha")
FILES: Mapping[str, str] = {
    **{f"{color}, {bits} bits": METADATA for color, bits in itertools.product(_COLORS, (8, 16))},
    "gray with a profile": "a curve of gamma 2.2",
    "RGB with a profile": "Adobe RGB (1998)",
    "lossless": METADATA,
    "layers": f"four quality layers, after which it can be cut; {METADATA}, but no thumbnail",
    "tiles": "six tiles",
    "for image servers": "`--access`, with tiles",
    "transcoded": "from a lossless file of the 5/3 wavelet, with `--access`",
    "map": "GeoJP2",
    "one pixel": METADATA,
    "one column": "of 300 pixels",
}
"""Files to read: their names, and their content beside the picture."""


def outcome(program: Program, file: str) -> Outcome:
    """A program's result for a file."""
    in_color_of_16_bits = "16 bits" in file and file.partition(",")[0] != "gray"
    if program == "Pillow" and in_color_of_16_bits:
        return "8 bits"
    if program == "opj_decompress" and file.endswith("with a profile"):
        return "as sRGB"
    return "same samples"


def interoperability_page() -> str:
    """The page, in Markdown."""
    rows = "".join(
        f"| {file} | {' | '.join(_cell(program, file) for program in PROGRAMS)} |\n" for file in FILES
    )
    return f"""# Other programs

In the tests, these programs read files of every kind that Foveate writes, most of them with all the metadata
that a file can have ({METADATA}).
✓ means the same samples as from Foveate's own decoding, without a warning. FFmpeg has its own decoder, the
others use other builds of OpenJPEG, so some samples are rounded differently: by at most one level of 8 bits
or two of 16.

| file | {" | ".join(PROGRAMS)} |
| --- | {" | ".join("---" for _ in PROGRAMS)} |
{rows}
`as sRGB`: opj_decompress applies the profile and converts gray to RGB. `8 bits`: Pillow has no 16-bit color;
version 12.3 turns samples above 65,407 black.

The validator jpylyzer finds all these files valid, and ExifTool reads their metadata without a warning. GDAL
reads a map's coordinates from its GeoJP2 box.
"""


def _cell(program: Program, file: str) -> str:
    found = outcome(program, file)
    return "✓" if found == "same samples" else found
