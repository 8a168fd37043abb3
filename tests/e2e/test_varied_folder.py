"""Tests five hundred realistic files: each has one outcome, losses are named, and quality is as measured."""

from __future__ import annotations

import io
import math
import random
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from foveate.archive import tables
from foveate.pipelines.cli import main
from foveate.quality.psnr import psnr
from tests import picture_files
from tests.picture_files import avif, exif_block, icc_profile, image, jpeg, png, saved, tiff, webp, xmp_packet
from tests.streams import texture, with_ramp

_COUNT = 500
_DEEP = ("png", "tif")
_WITH_ALPHA = ("png", "tif", "webp", "avif")


def pixels_of(dice: random.Random, ending: str) -> NDArray[Any]:
    """A photo of a kind that a format can hold."""
    channels = dice.choice((1, 3, 3, 3, *((2, 4) if ending in _WITH_ALPHA else ())))
    if ending in ("webp", "avif", "bmp", "gif"):
        channels = 4 if channels == 2 else 3
    bits = dice.choice((8, 8, 16)) if ending in _DEEP else 8
    pixels = texture(dice.randrange(60, 200), dice.randrange(60, 260), channels, bits)
    return with_ramp(pixels) if channels in (2, 4) else pixels


def coded(dice: random.Random, ending: str, pixels: NDArray[Any]) -> bytes:
    """A file of one format, with or without metadata."""
    options: dict[str, Any] = {}
    if ending in ("jpg", "webp", "avif"):
        if dice.random() < 0.5:
            options["exif"] = exif_block(dice.randrange(1, 9), thumbnail=ending == "jpg")
        if dice.random() < 0.3:
            options["xmp"] = xmp_packet()
        if dice.random() < 0.3 and pixels.shape[2] > 2:
            options["icc_profile"] = icc_profile()
    if ending == "jpg":
        return jpeg(pixels, dice.choice((85, 92, 98)), **options)
    if ending == "png":
        return png(pixels, {b"tEXt": b"Title\0A pier"} if dice.random() < 0.3 else None)
    if ending == "tif":
        return tiff(pixels, tags={270: (2, b"A pier\0")} if dice.random() < 0.3 else None)
    if ending == "webp":
        return webp(pixels, **options)
    if ending == "avif":
        return avif(pixels, **options)
    return saved(image(pixels), {"bmp": "BMP", "gif": "GIF"}[ending])


def planted(dice: random.Random, ending: str, data: bytes) -> bytes:
    """The file with something in it that no JP2 holds."""
    body = dice.randbytes(dice.choice((40, 3000, 9000)))
    if ending == "jpg" and dice.random() < 0.5:
        return data[:2] + b"\xff\xe9" + struct.pack(">H", len(body) + 7) + b"ACME\0" + body + data[2:]
    return data + body


def a_folder(folder: Path) -> dict[str, str]:
    """Writes the files; what was done to each: "plain", "planted", "cut", "kept" or "broken"."""
    dice, done = random.Random(16), {}
    for number in range(_COUNT):
        ending = dice.choice(("jpg",) * 6 + ("png", "png", "tif", "tif", "webp", "avif", "bmp", "gif"))
        pixels = pixels_of(dice, ending)
        data = coded(dice, ending, pixels)
        what = dice.choice(("plain",) * 7 + ("planted", "planted", "cut"))
        if what == "planted":
            data = planted(dice, ending, data)
        elif what == "cut":
            data = data[: dice.randrange(1, len(data) - 1)]
        name = f"{number % 7}/{number}.{ending}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        done[name] = what
    for what, files in (("kept", picture_files.kept_pictures()), ("broken", picture_files.broken_pictures())):
        for name, data in files.items():
            (folder / what).mkdir(exist_ok=True)
            (folder / what / name).write_bytes(data)
            done[f"{what}/{name}"] = what
    return done


def independent(data: bytes, deep: bool, channels: int) -> NDArray[Any]:
    """Decodes a source with Pillow (16 bits: libpng and libtiff), upright."""
    if deep:
        decode = imagecodecs.png_decode if data.startswith(b"\x89PNG") else imagecodecs.tiff_decode
        pixels: NDArray[Any] = decode(data)
    else:
        with Image.open(io.BytesIO(data)) as picture:
            upright = ImageOps.exif_transpose(picture)
            pixels = np.array(upright.convert({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


@pytest.mark.slow
def test_five_hundred_varied_files_are_all_accounted_for(tmp_path: Path) -> None:
    done = a_folder(tmp_path / "in")
    archive, back = tmp_path / "out", tmp_path / "back"
    command = ["compress", str(tmp_path / "in"), "--output", str(archive)]
    assert main([*command, "--roi", "none", "--comcnn", "off", "--reccnn", "off", "--bpp", "2"]) == 3
    rows = {row["relative_path"]: row for row in tables.read_metrics(str(archive)).to_pylist()}
    failures = {row["url"].rpartition("/in/")[2] for row in tables.read_failures(str(archive)).to_pylist()}
    assert set(rows) | failures == set(done) and not set(rows) & failures
    assert failures <= {name for name, what in done.items() if what in ("broken", "cut")}
    assert main(["restore", str(archive), "--output", str(back), "--format", "tiff", "--reccnn", "off"]) == 0
    compared = 0
    for name, row in rows.items():
        source = (tmp_path / "in" / name).read_bytes()
        if row["outcome"] == "kept":
            assert (archive / name).read_bytes() == source and row["reason"]
            continue
        assert done[name] != "kept", name
        if done[name] == "planted":
            assert row["metadata_lost"], name
        if done[name] == "cut":
            assert name.endswith((".gif", ".bmp")), f"{name} was compressed as if it were whole"
        restored = imagecodecs.tiff_decode((back / name).with_suffix(".tif").read_bytes())
        restored = restored.reshape(*restored.shape[:2], row["channels"])
        expected = independent(source, row["bit_depth"] > 8, row["channels"])
        assert math.isclose(psnr(expected, restored), row["psnr_db"], abs_tol=0.3), name
        compared += 1
    assert compared > 150
