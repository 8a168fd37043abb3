"""Generates the page about the benchmark photos from the table of their sources."""

from __future__ import annotations

from benchmarks.camera_files import CAMERAS, Camera
from benchmarks.photo_sources import GRAY_SCAN, PHOTOS, RENDERED, Source

_WHAT = """\
# The benchmark photos

There are three sets.

1. Photos labeled for faces and writing: `make places` fetches them, `benchmarks/place_photos.csv` credits
   them, and [saliency](saliency.md#the-labeled-photos) explains their use.
2. 47 validation photos, which are not shipped, for figures at equal bytes ([benchmarks](benchmarks.md)): 41
   from CID22's validation set (CC BY-SA 4.0, 512 × 512 pixels) and 6 from that of CLIC 2025 (Unsplash
   license, about 2 megapixels).
3. A set for figures of whole runs, which this command fetches and makes:
"""
_MADE = """\
It needs `apt-get` with `dpkg-deb` (Debian or Ubuntu) and `mvn`, and checks the SHA-256 of every photo that
it fetches.

| folder | contents |
| --- | --- |
| `published/` | the photos below, byte for byte: 2 to 20 megapixels, most prepared for screens |
| `camera/` | {files} JPEGs like those of cameras, of 8 to 20 megapixels, made from {scenes} of these photos |
| `other/` | scanned pages, a screenshot, and gray and 16-bit pictures, drawn or made from a photo |

Only `desk.jpg` and `framed.jpg` come straight from a camera; we found no package with more such photos. The
files in `camera/` are therefore simulated: a photo is scaled (to at least 8 megapixels), sampled through a
Bayer mosaic, given photon and readout noise, demosaiced, sharpened, and written by libjpeg. The scenes are
real; the noise is a model.

| files | megapixels | ISO | JPEG quality | subsampling |
| --- | ---: | ---: | ---: | --- |
"""
_SOURCES = """\

## Sources and licenses

RecCNN was trained on some of these photos, scaled down by two or more ([model
card](../models/weights/restoration.md)), so no figures for restored photos are measured on them.

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
