"""The page about the photos that whole runs are measured on, from the table of their sources."""

from __future__ import annotations

from benchmarks.camera_files import CAMERAS, Camera
from benchmarks.photo_sources import GRAY_SCAN, PHOTOS, RENDERED, Source

_WHAT = """\
# The photos that are measured

Three sets. Photos labeled for faces and writing: `make places` fetches them, `benchmarks/place_photos.csv`
says whose they are, and [saliency](saliency.md#the-labeled-photos) what they are for. Figures at equal bytes
([benchmarks](benchmarks.md)) are of 47 validation photos that are not shipped: 41 of CID22's validation part
(CC BY-SA 4.0, 512 × 512 pixels) and 6 of the validation set of CLIC 2025 (Unsplash license, about 2
megapixels). Figures of whole runs are of the set that this command fetches and makes:
"""
_MADE = """\
It needs `apt-get` with `dpkg-deb` (Debian or Ubuntu) and `mvn`, and checks the SHA-256 of every photo that
it fetches.

| folder | holds |
| --- | --- |
| `published/` | the photos below, byte for byte: 2 to 20 megapixels, most prepared for screens |
| `camera/` | {files} JPEGs as cameras write them, of 8 to 20 megapixels, made of {scenes} of these photos |
| `other/` | scanned pages, a screenshot, gray and 16-bit pictures, drawn or made of a photo |

Only `desk.jpg` and `framed.jpg` come straight from a camera; no package with more of that kind was found. So
the files in `camera/` are made: a photo is scaled (where it has fewer than 8 megapixels, up to these),
sampled by a Bayer mosaic, given the noise of photons and readout, demosaiced, sharpened, and written by
libjpeg. Their scenes are real; their noise is a model.

| files | megapixels | ISO | JPEG quality | subsampling |
| --- | ---: | ---: | ---: | --- |
"""
_SOURCES = """\

## Sources and licenses

RecCNN was trained on some of these photos, scaled down by two or more ([model
card](../models/weights/restoration.md)). No figure of restored photos is taken on them.

| file | by | license | from |
| --- | --- | --- | --- |
"""


def photo_page() -> str:
    """The page: the photos, how they are made, and whose they are."""
    made = _MADE.format(files=len(RENDERED) * len(CAMERAS), scenes=len(RENDERED))
    head = "\n".join([_WHAT, "<!-- form -->\n", "```sh", "make photos", "```\n", made])
    return head + "".join(map(_camera_row, CAMERAS)) + _SOURCES + "".join(map(_row, (*PHOTOS, GRAY_SCAN)))


def _camera_row(camera: Camera) -> str:
    megapixels = camera.megapixels or "as the photo"
    cells = (f"`*-{camera.name}.jpg`", megapixels, camera.iso, camera.quality, camera.subsampling)
    return f"| {' | '.join(map(str, cells))} |\n"


def _row(source: Source) -> str:
    return f"| `{source.file_name}` | {source.author} | {source.license} | `{source.package.name}` |\n"
