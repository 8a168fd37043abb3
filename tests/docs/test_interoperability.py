"""Tests that independent programs read our files, as docs/interoperability.md says."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from jpylyzer import jpylyzer
from numpy.typing import NDArray
from PIL import Image, ImageCms

import foveate
from docs.interoperability import FILES, METADATA, PROGRAMS, Program, outcome
from foveate.codec import file, openjpeg, tile_sizes
from foveate.codec.goals import AtSlope, Lossless
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord
from foveate.pictures import icc
from foveate.pictures.exif_turn import without_thumbnail
from foveate.pictures.picture import as_8_bit, with_channels
from tests import picture_files, streams
from tests.tools import tool

_RECORD = ArchiveRecord(bytes(32), bytes(8), saliency=np.eye(4, dtype=np.float32))
_EVERYTHING = PhotoMetadata(
    exif=picture_files.exif_with_jpeg(),
    xmp=picture_files.xmp_packet(),
    dpi=(300.0, 300.0),
    iptc=b"\x1c\x02\x78\0\x05hello",
    photoshop=b"8BIM\x04\x0a\0\0\0\0\0\1\1\0",
    jumbf=struct.pack(">I4sI4s", 38, b"jumb", 30, b"jumd") + b"c2pa" + bytes(12) + b"\3c2pa\0",
    texts=(("Comment", "a <b> & é"),),
)
_CHANNELS = {"gray": 1, "gray and alpha": 2, "RGB": 3, "RGB and alpha": 4}
_BRIGHTEST = 65535 - 128
_POSITION = (500000.0, 4100000.0)


def _geo_block() -> bytes:
    """GeoTIFF's tags, for pixels of half a meter in UTM zone 33."""
    tags = {
        33550: (12, struct.pack("<3d", 0.5, 0.5, 0.0)),
        33922: (12, struct.pack("<6d", 0, 0, 0, *_POSITION, 0)),
        34735: (3, struct.pack("<12H", 1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633)),
    }
    return picture_files.tiff(np.zeros((1, 1, 1), np.uint8), tags=tags)


def _pixels(name: str) -> NDArray[Any]:
    color, _, bits = name.partition(", ")
    channels = _CHANNELS.get(color.removesuffix(" with a profile"), 3)
    if name == "one pixel":
        return streams.texture(1, 1, 3)
    if name == "one column":
        return streams.texture(300, 1, 3)
    pixels = streams.texture(61, 83, channels, 16 if bits == "16 bits" else 8)
    return pixels if channels in (1, 3) else streams.with_ramp(pixels)


def _metadata(name: str) -> PhotoMetadata:
    curve = icc.gamma_curve(2.19921875)
    if name == "gray with a profile":
        return PhotoMetadata(icc=icc.gray_profile(curve, "gray"))
    if name == "RGB with a profile":
        return PhotoMetadata(icc=icc.matrix_profile(icc.ADOBE_PRIMARIES, curve, "Adobe RGB"))
    if name == "map":
        return PhotoMetadata(geo=_geo_block())
    if name == "layers":
        block = without_thumbnail(_EVERYTHING.exif or b"")
        return dataclasses.replace(_EVERYTHING, exif=block)
    return _EVERYTHING if METADATA in FILES[name] else PhotoMetadata()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    found = {}
    for name in FILES:
        goal = Lossless() if name == "lossless" else AtSlope(3.0)
        access = name in ("for image servers", "transcoded")
        recipe = file.Recipe(goal, layers=4 if name == "layers" else 1, access=access)
        with pytest.MonkeyPatch.context() as patch:
            if name in ("tiles", "for image servers"):
                patch.setattr(tile_sizes, "_MOST_IN_ONE_TILE", 32 * 32)
                patch.setattr(tile_sizes, "_LARGEST_TILE", 32)
            encoded = file.encode_file(_pixels(name), recipe, file.Boxes(_metadata(name), _RECORD)).jp2
        if name == "transcoded":
            master = foveate.encode(_pixels(name), lossless=True)
            encoded = foveate.transcode(master, bpp=6, access=True)
        found[name] = folder / f"{name}.jp2"
        found[name].write_bytes(encoded)
    return found


# Programs: a file and a place to write to → samples as the program hands them on, or (for Pillow) shows them


def _to_png(*command: str) -> NDArray[Any]:
    """The PNG that a program writes without any message."""
    target = Path(command[-1])
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert not [line for line in said if "warn" in line.lower() or "error" in line.lower()], said
    return with_channels(imagecodecs.png_decode(target.read_bytes()))


def _opj_decompress(path: Path, target: Path) -> NDArray[Any]:
    return _to_png(tool("opj_decompress"), "-i", str(path), "-o", str(target))


def _ffmpeg(path: Path, target: Path) -> NDArray[Any]:
    pixels = openjpeg.decode(path.read_bytes()).pixels
    formats = {1: ("gray", "ya8", "rgb24", "rgba"), 2: ("gray16le", "ya16le", "rgb48le", "rgba64le")}
    form = formats[pixels.dtype.itemsize][pixels.shape[2] - 1]
    command = [tool("ffmpeg"), "-v", "warning", "-c:v", "jpeg2000", "-i", str(path), "-pix_fmt", form]
    done = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=True)
    # Of its own output, and that packets are in the order RPCL.
    known = b"bitrate parameter", b"Progression order RPCL", b"Last message repeated"
    said = [line for line in done.stderr.splitlines() if not any(words in line for words in known)]
    assert not said, said
    return np.frombuffer(done.stdout, pixels.dtype).reshape(pixels.shape)


def _pillow(path: Path, target: Path) -> NDArray[Any]:
    with Image.open(path) as picture:
        return with_channels(np.asarray(picture))


def _vips(path: Path, target: Path) -> NDArray[Any]:
    return _to_png(tool("vips"), "copy", str(path), str(target))


def _gdal(path: Path, target: Path) -> NDArray[Any]:
    return _to_png(tool("gdal_translate"), "-q", "-of", "PNG", str(path), str(target))


def _imagemagick(path: Path, target: Path) -> NDArray[Any]:
    command = tool("convert")
    told = subprocess.run([command, "-list", "format"], capture_output=True, text=True, check=False).stdout
    if "JP2" not in told:
        pytest.skip("this ImageMagick reads no JPEG 2000")
    return _to_png(command, str(path), str(target))


READERS: dict[Program, Callable[[Path, Path], NDArray[Any]]] = {
    "opj_decompress": _opj_decompress,
    "FFmpeg": _ffmpeg,
    "Pillow": _pillow,
    "libvips": _vips,
    "GDAL": _gdal,
    "ImageMagick": _imagemagick,
}


def _as_srgb(pixels: NDArray[Any], profile: bytes) -> NDArray[np.uint8]:
    """8-bit samples in sRGB, by LittleCMS."""
    there = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(ImageCms.profileToProfile(image, there, srgb, outputMode="RGB"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_reads_every_file_as_the_page_says(
    files: dict[str, Path], program: Program, tmp_path: Path
) -> None:
    for name, path in files.items():
        found = READERS[program](path, tmp_path / "decoded.png")
        decoded = openjpeg.decode(path.read_bytes())
        expected = decoded.pixels
        match outcome(program, name):
            case "8 bits":
                expected = as_8_bit(expected)
            case "as sRGB":
                expected = _as_srgb(expected, _metadata(name).icc or b"")
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), name
        difference = np.abs(found.astype(int) - expected)
        if outcome(program, name) == "8 bits":
            difference[decoded.pixels > _BRIGHTEST] = (
                0  # Pillow adds half a step to these, and they turn black
            )
        error = int(difference.max())
        assert error <= (2 if expected.dtype == np.uint16 else 1), (name, error)


def test_jpylyzer_finds_every_file_valid(files: dict[str, Path]) -> None:
    for name, path in files.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of boxes that it does not know
            report = jpylyzer.checkOneFile(str(path), "jp2")
        assert report.findtext("isValid") == "True", name


def test_exiftool_reads_all_metadata_in_silence(files: dict[str, Path]) -> None:
    command = [tool("exiftool"), "-json", "-G1", "-a", "-warning", "-all"]
    for name, path in files.items():
        (told,) = json.loads(subprocess.run([*command, str(path)], capture_output=True, check=True).stdout)
        said = [str(value) for key, value in told.items() if key.endswith(("Warning", "Error"))]
        assert said == [], name
        if METADATA in FILES[name]:
            assert told["IFD0:ImageDescription"] == picture_files.DESCRIPTION, name
            assert told["IPTC:Caption-Abstract"] == "hello", name
            assert "XMP-dc:Creator" in told, name
            assert ("IFD1:ThumbnailImage" in told) == (name != "layers")


@pytest.mark.parametrize("name", ["for image servers", "transcoded", "tiles"])
def test_gdal_reads_windows_of_a_file(files: dict[str, Path], name: str, tmp_path: Path) -> None:
    whole = openjpeg.decode(files[name].read_bytes()).pixels.astype(int)
    for left, top, width, height in ((0, 0, 16, 16), (20, 30, 41, 25), (50, 0, 33, 61)):
        window = ("-srcwin", *map(str, (left, top, width, height)))
        command = (tool("gdal_translate"), "-q", "-of", "PNG", *window, str(files[name]))
        found = _to_png(*command, str(tmp_path / "window.png"))
        assert np.abs(found - whole[top : top + height, left : left + width]).max() <= 1


@pytest.mark.parametrize("name", ["for image servers", "transcoded"])
def test_opj_decompress_reads_windows_of_a_file(files: dict[str, Path], name: str, tmp_path: Path) -> None:
    whole = openjpeg.decode(files[name].read_bytes()).pixels.astype(int)
    command = (tool("opj_decompress"), "-i", str(files[name]), "-d", "20,30,61,55")
    found = _to_png(*command, "-o", str(tmp_path / "window.png"))
    assert np.abs(found - whole[30:55, 20:61]).max() <= 1


def test_gdal_finds_the_place_of_a_map(files: dict[str, Path]) -> None:
    done = subprocess.run(
        [tool("gdalinfo"), "-json", str(files["map"])], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert told["geoTransform"] == [_POSITION[0], 0.5, 0.0, _POSITION[1], 0.0, -0.5]
    assert "UTM zone 33N" in told["coordinateSystem"]["wkt"]
