"""The pictures of README, how-it-works.md and inspect.md, made by `python -m docs.pictures`.

From the example photos: what MS-ROI finds, where the bits go with it and without, crops at equal bytes,
and what `foveate inspect --picture` draws. Made again when the networks or the codec change; a minute or two.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import foveate
from benchmarks.reference import at_rate
from foveate.archive.settings import CompressSettings, Target
from foveate.codec import jp2, openjpeg
from foveate.codec.bit_usage import bits_per_pixel
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.packet_stream import PacketStream
from foveate.models import msroi, reccnn
from foveate.models.reccnn import restore_pixels
from foveate.pictures.formats import decode_picture
from foveate.pictures.peers import JPEGS, PeerFiles
from foveate.quality.overlay import heat_over
from foveate.quality.psnr import psnr, psnr_s
from foveate.reports.inspection.examination import examine
from foveate.reports.inspection.sheet import render_sheet
from foveate.storage.source import SourceFile
from foveate.transforms.elements import CodedFile, Photo, Pixels, SalientPhoto
from foveate.transforms.encode import encode
from foveate.transforms.encode_options import EncodeOptions

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
OUTPUT = Path(__file__).parent / "images"
_GAP, _FONT, _LARGE_FONT = 8, 22, 36
_BPP = 0.2
_SHEET_WIDTH = 1600  # pixels
_CROP = 880, 590, 300, 390  # x, y, width, height: who sits on the jetty
_MENU = 500, 655, 225, 180  # of the coffee van
_BRIGHTEST = 99.5  # per cent of the cells of both bit maps that the common scale covers


def main() -> int:
    """Makes and saves the pictures."""
    network = msroi.load()
    photos = {
        name: _pixels(name)
        for name in ("lake-jetty.jpg", "coffee-van.jpg", "crochet-doll.jpg", "portrait.jpg")
    }
    maps = {name: msroi.saliency(network, pixels) for name, pixels in photos.items()}
    overlays = [("", _high(heat_over(maps[name], _bytes(photos[name])), 236)) for name in photos]
    originals = [("", _high(_bytes(photos[name]), 236)) for name in photos]
    _save(originals + overlays, 2, "how-saliency.webp")

    lake, seen = photos["lake-jetty.jpg"], maps["lake-jetty.jpg"]
    sha256 = hashlib.sha256((PHOTOS / "lake-jetty.jpg").read_bytes()).hexdigest()
    even, favored = _coded(lake, None, 0.5), _coded(lake, seen, 0.5, sha256)
    _save(_bit_panels(lake, even, favored), 1, "how-bits.webp")

    _save(_crop_panels(lake, seen), 1, "how-crop.webp")
    _save(_result_panels(photos["coffee-van.jpg"]), 2, "result.webp", _LARGE_FONT)

    sheet, _ = render_sheet(examine("lake-jetty.jpg.jp2", favored.jp2), favored.jp2, "png")
    image = Image.open(io.BytesIO(sheet)).convert("RGB")
    image.thumbnail((_SHEET_WIDTH, _SHEET_WIDTH), Image.Resampling.LANCZOS)
    image.save(OUTPUT / "inspect.webp", quality=75, method=6)
    return 0


def _pixels(name: str) -> Pixels:
    return decode_picture((PHOTOS / name).read_bytes()).pixels


def _bytes(pixels: Pixels) -> NDArray[np.uint8]:
    colors: NDArray[np.uint8] = np.ascontiguousarray(
        np.broadcast_to(pixels, (*pixels.shape[:2], 3)), np.uint8
    )
    return colors


def _coded(
    pixels: Pixels, saliency: NDArray[np.float32] | None, bpp: float, sha256: str = "00" * 32
) -> CodedFile:
    photo = Photo(SourceFile("", "", 1, 0.0), pixels, PhotoMetadata(), "png", 8, sha256, (), 0.0)
    encoder = EncodeOptions(CompressSettings(Target("bpp", bpp)), bytes(8), "", resume=False)
    return encode(SalientPhoto(photo, saliency, 0.0), pixels, encoder, prefiltered=False)


def _bit_panels(photo: Pixels, even: CodedFile, favored: CodedFile) -> list[tuple[str, NDArray[np.uint8]]]:
    """Where the bits of two files of equal size went, on one scale."""
    bits = [_bits(coded, photo.shape[0] // 8, photo.shape[1] // 8) for coded in (even, favored)]
    top = float(np.percentile(np.stack(bits), _BRIGHTEST))
    heats = [_high(heat_over(np.sqrt(np.clip(each / top, 0, 1)), _bytes(photo)), 400) for each in bits]
    sizes = [f"{len(coded.jp2) / 1000:.0f} kB" for coded in (even, favored)]
    return [(f"--roi none, {sizes[0]}", heats[0]), (f"with MS-ROI's map, {sizes[1]}", heats[1])]


def _bits(coded: CodedFile, rows: int, columns: int) -> NDArray[np.float32]:
    return bits_per_pixel(PacketStream.parse(jp2.parse(coded.jp2).codestream), rows, columns)


def _crop_panels(photo: Pixels, saliency: NDArray[np.float32]) -> list[tuple[str, NDArray[np.uint8]]]:
    """One place of a photo: the original, plain, favored and restored."""
    plain, favored = _coded(photo, None, _BPP), _coded(photo, saliency, _BPP)
    restored = restore_pixels(reccnn.load(), favored.decoded, favored.noise, False)
    if restored is None:
        raise AssertionError("a lossy file has a noise map")
    x, y, width, height = _CROP
    shown = [
        ("original", photo),
        (f"even, {len(plain.jp2) / 1000:.0f} kB", plain.decoded),
        (f"by MS-ROI, {len(favored.jp2) / 1000:.0f} kB", favored.decoded),
        ("restored", restored),
    ]
    return [
        (_caption(name, photo, pixels, saliency), _high(_bytes(pixels[y : y + height, x : x + width]), 400))
        for name, pixels in shown
    ]


def _result_panels(photo: Pixels) -> list[tuple[str, NDArray[np.uint8]]]:
    """The menu from whole files of the same size: JPEG, OpenJPEG's, Foveate's, and that restored."""
    ours = foveate.encode(photo, bpp=_BPP, saliency=foveate.saliency(photo))
    jpegs = [found for jpeg in JPEGS if (found := PeerFiles(jpeg, _bytes(photo)).within(len(ours)))]
    shown = {
        "JPEG": max(jpegs, key=lambda file: psnr(photo, file.pixels)).pixels,
        "JPEG 2000": openjpeg.decode(at_rate(photo, len(ours))[1]).pixels,
        "Foveate": foveate.decode(ours),
        "Foveate, restored": foveate.restore(ours),
    }
    x, y, width, height = _MENU
    menu = np.s_[y : y + height, x : x + width]
    return [(name, _high(_bytes(pixels[menu]), 480)) for name, pixels in shown.items()]


def _caption(name: str, photo: Pixels, pixels: Pixels, saliency: NDArray[np.float32]) -> str:
    return name if pixels is photo else f"{name}: {psnr_s(photo, pixels, saliency):.1f} dB"


def _high(picture: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """A picture scaled to a height in pixels."""
    image = Image.fromarray(picture)
    width = round(image.width * height / image.height)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _save(
    panels: Sequence[tuple[str, NDArray[np.uint8]]], rows: int, name: str, font_size: int = _FONT
) -> None:
    """Panels in rows of equally many, each with its caption, if any, below."""
    across = len(panels) // rows
    grid = [panels[i * across : (i + 1) * across] for i in range(rows)]
    caption = round(1.5 * font_size) if any(text for text, _ in panels) else 0
    high = panels[0][1].shape[0] + caption + _GAP
    wide = max(sum(picture.shape[1] + _GAP for _, picture in row) for row in grid) - _GAP
    sheet = Image.new("RGB", (wide, rows * high - _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(font_size)
    for number, row in enumerate(grid):
        x, y = 0, number * high
        for text, picture in row:
            sheet.paste(Image.fromarray(picture), (x, y))
            draw.text((x + 2, y + picture.shape[0] + 4), text, fill="black", font=font)
            x += picture.shape[1] + _GAP
    sheet.save(OUTPUT / name, quality=80, method=6)


if __name__ == "__main__":
    sys.exit(main())
