"""Makes the picture of the README: `python -m benchmarks.picture PHOTO --output FILE`.

One crop of a photo at equal file size: the original, JPEG, plain JPEG 2000, and Foveate (region-weighted,
then restored by RecCNN), with what MS-ROI found in the whole photo.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from foveate.archive.settings import CompressSettings, Target
from foveate.codec.metadata import PhotoMetadata
from foveate.models import msroi, reccnn
from foveate.models.reccnn import restore_pixels
from foveate.pictures.formats import decode_picture
from foveate.quality.overlay import heat_over
from foveate.quality.psnr import psnr_s
from foveate.storage.source import SourceFile
from foveate.transforms.elements import CodedFile, Photo, Pixels, SalientPhoto
from foveate.transforms.encode import encode
from foveate.transforms.encode_options import EncodeOptions

_GAP, _CAPTION = 8, 30


def main() -> int:
    """Makes and saves the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--bpp", type=float, default=0.2)
    parser.add_argument("--crop", type=int, nargs=4, metavar=("X", "Y", "W", "H"), required=True)
    args = parser.parse_args()
    data = args.photo.read_bytes()
    pixels = decode_picture(data).pixels
    saliency = msroi.saliency(msroi.load(), pixels)
    plain = _coded(pixels, None, args.bpp)
    weighted = _coded(pixels, saliency, args.bpp)
    restored = restore_pixels(reccnn.load(), weighted.decoded, weighted.noise, False)
    if restored is None:
        raise AssertionError("a lossy file has a noise map")
    kilobytes = len(weighted.jp2) / 1000

    def caption(name: str, other: Pixels) -> str:
        return f"{name}, PSNR-S {psnr_s(pixels, other, saliency):.1f} dB"

    jpeg = _jpeg_of_size(pixels, len(weighted.jp2))
    x, y, width, height = args.crop
    window = np.s_[y : y + height, x : x + width]
    panels = [
        (f"the original ({len(data) / 1000:.0f} kB)", pixels[window]),
        ("what matters in it (MS-ROI)", _fitted(heat_over(saliency, pixels.astype(np.uint8)), width, height)),
        (caption(f"JPEG, {kilobytes:.0f} kB", jpeg), jpeg[window]),
        (caption(f"JPEG 2000, {kilobytes:.0f} kB", plain.decoded), plain.decoded[window]),
        (caption(f"Foveate's file, {kilobytes:.0f} kB", weighted.decoded), weighted.decoded[window]),
        (caption("the same, restored", restored), restored[window]),
    ]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    _sheet(panels, width, height).save(args.output, quality=88, method=6)
    for text, _ in panels:
        print(text)
    return 0


def _coded(pixels: Pixels, saliency: NDArray[np.float32] | None, bpp: float) -> CodedFile:
    source = SourceFile("", "", 1, 0.0)
    photo = Photo(source, pixels, PhotoMetadata(), "png", 8, "00" * 32, (), 0.0)
    encoder = EncodeOptions(CompressSettings(Target("bpp", bpp)), bytes(8), "", resume=False)
    return encode(SalientPhoto(photo, saliency, 0.0), pixels, encoder, prefiltered=False)


def _jpeg_of_size(pixels: Pixels, size: int) -> Pixels:
    """The best JPEG of at most `size` bytes, decoded; that of quality 1 if there is none."""
    best = b""
    for quality in range(1, 96):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=quality, optimize=True)
        if len(stream.getvalue()) > size and best:
            break
        best = stream.getvalue()
    return np.asarray(Image.open(io.BytesIO(best)).convert("RGB"))


def _fitted(picture: Pixels, width: int, height: int) -> Pixels:
    image = Image.fromarray(picture)
    image.thumbnail((width, height))
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return np.asarray(canvas)


def _sheet(panels: list[tuple[str, Pixels]], width: int, height: int) -> Image.Image:
    """The panels in two rows, each with its caption below."""
    across = -(-len(panels) // 2)
    cell_width, cell_height = width + _GAP, height + _CAPTION + _GAP
    sheet = Image.new("RGB", (across * cell_width - _GAP, 2 * cell_height - _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(17)
    for i, (text, picture) in enumerate(panels):
        x, y = i % across * cell_width, i // across * cell_height
        sheet.paste(Image.fromarray(picture), (x, y))
        draw.text((x + 2, y + height + 4), text, fill="black", font=font)
    return sheet


if __name__ == "__main__":
    sys.exit(main())
