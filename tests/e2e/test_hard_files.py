"""Tests kinds of files that archives tend to lose parts of, through the real command line."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from foveate.archive import tables
from foveate.pipelines.cli import main
from tests.picture_files import exif_block, icc_profile, image, jpeg, saved
from tests.streams import texture
from tests.tools import tool

_PLAIN = ("--roi", "none", "--comcnn", "off", "--reccnn", "off", "--bpp", "2")
_FILES = Path(__file__).parent / "files"
_PHOTO = texture(240, 320, 3)
_OLD = 1_400_000_000


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def with_segments(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with segments (marker, payload) behind its first marker."""
    parts = [b"\xff" + bytes([mark]) + struct.pack(">H", len(body) + 2) + body for mark, body in segments]
    return data[:2] + b"".join(parts) + data[2:]


def png_16(*chunks: tuple[bytes, bytes]) -> bytes:
    data = bytes(imagecodecs.png_encode(texture(240, 320, 3, 16)))
    packed = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return data[:33] + b"".join(packed) + data[33:]


def geotiff() -> bytes:
    file = io.BytesIO()
    tags = [
        (33550, 12, 3, (0.5, 0.5, 0.0), True),
        (33922, 12, 6, (0, 0, 0, 500000.0, 4100000.0, 0), True),
        (34735, 3, 8, (1, 1, 0, 1, 3072, 0, 1, 32633), True),
    ]
    tifffile.imwrite(file, _PHOTO, photometric="rgb", metadata=None, extratags=tags)
    return file.getvalue()


def iptc(*fields: tuple[int, bytes]) -> bytes:
    """Photoshop resources that hold IPTC records of the second kind."""
    records = b"".join(b"\x1c\x02" + struct.pack(">BH", number, len(text)) + text for number, text in fields)
    return b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records


VIDEO = box(b"ftyp", b"mp42\0\0\0\0isommp42") + box(b"mdat", bytes(range(1, 251)) * 400)
ADOBE_RGB = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)


def photos() -> dict[str, bytes]:
    plain = jpeg(_PHOTO, 95)
    gray = Image.fromarray(np.ascontiguousarray(_PHOTO[:, :, 0]))
    return {
        "plain.jpg": plain,
        "motion.jpg": plain + VIDEO,
        "stereo.mpo": saved(
            image(_PHOTO), "MPO", save_all=True, append_images=[image(np.ascontiguousarray(_PHOTO[:, ::-1]))]
        ),
        "no-end.jpg": plain[:-2],
        "thermal.jpg": with_segments(plain, (0xE1, b"FLIR\0\x01\0\0" + bytes(range(256)) * 200)),
        "map.tif": geotiff(),
        "adobe-rgb.png": png_16((b"gAMA", struct.pack(">I", 45470)), (b"cHRM", ADOBE_RGB)),
        "linear.png": png_16((b"cICP", bytes([1, 8, 0, 1]))),
        "gray-in-srgb.jpg": saved(gray, "JPEG", icc_profile=icc_profile(), quality=95),
        "caption.jpg": with_segments(plain, (0xED, iptc((120, b"A harbor at dawn"), (25, b"harbor")))),
        "portrait.jpg": jpeg(_PHOTO, 95, exif=exif_block(6, thumbnail=True)),
        "album/._plain.jpg": b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(200),
        "album/plain.xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
        "album/plain.mov": VIDEO,
        **{path.name: path.read_bytes() for path in _FILES.iterdir()},
    }


# What becomes of each photo: words of the reason for which it is kept, "" for those that are compressed.
EXPECTED = {
    "plain.jpg": "",
    "motion.jpg": "a video after the picture",
    "stereo.mpo": "several pictures",
    "no-end.jpg": "damaged",
    "thermal.jpg": "thermal data",
    "map.tif": "",
    "adobe-rgb.png": "",
    "linear.png": "transfer characteristics 8",
    "gray-in-srgb.jpg": "",
    "caption.jpg": "",
    "portrait.jpg": "",
    "damaged_jpeg_in_tiff.tif": "damaged",
    "lossless_jpeg_16.tif": "16 bits",
    "junk_between_segments.jpg": "damaged",
    # Small files, which JPEG 2000 would not make smaller.
    "one_bad_pointer.jpg": "more bytes",
    "orientation_in_xmp.png": "more bytes",
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `in`, its archive `out`, what restoring that gives, `back`, and what was said."""
    folder = tmp_path_factory.mktemp("hard")
    for name, data in photos().items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "in/plain.jpg").chmod(0o600)
    os.utime(folder / "in/plain.jpg", (_OLD, _OLD))
    command = ["compress", str(folder / "in"), "--output", str(folder / "out"), *_PLAIN]
    assert main(command) == 0
    options = ["--format", "tiff", "--reccnn", "off"]
    assert main(["restore", str(folder / "out"), "--output", str(folder / "back"), *options]) == 0
    return folder


def rows(archive: Path) -> dict[str, dict[str, Any]]:
    return {row["relative_path"]: row for row in tables.read_metrics(str(archive)).to_pylist()}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_file_is_compressed_or_kept_for_the_right_reason(work: Path, name: str) -> None:
    row, words = rows(work / "out")[name], EXPECTED[name]
    assert row["metadata_lost"] == ""
    if words:
        assert row["outcome"] == "kept" and words in row["reason"]
        assert (work / "out" / name).read_bytes() == (work / "in" / name).read_bytes()
    else:
        assert row["outcome"] == "compressed", row["reason"]


def test_no_source_is_without_an_outcome(work: Path) -> None:
    assert set(rows(work / "out")) == set(EXPECTED)
    assert tables.read_failures(str(work / "out")).num_rows == 0


@pytest.mark.parametrize("folder", ["out", "back"])
def test_captions_and_map_coordinates_come_along(work: Path, folder: str) -> None:
    ending = ".jp2" if folder == "out" else ""
    caption = work / folder / ("caption.jpg.jp2" if ending else "caption.tif")
    place = work / folder / f"map.tif{ending}"
    told = json.loads(subprocess.check_output([tool("exiftool"), "-j", "-G", str(caption), str(place)]))
    assert told[0]["IPTC:Caption-Abstract"] == "A harbor at dawn" and told[0]["IPTC:Keywords"] == "harbor"
    assert told[1]["GeoTiff:ProjectedCSType"] == "WGS84 UTM zone 33N"


def test_ffmpeg_reads_a_photo_with_a_thumbnail(work: Path) -> None:
    path = work / "out/portrait.jpg.jp2"
    command = [tool("ffmpeg"), "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stderr == b""
    pixels = np.frombuffer(done.stdout, np.uint8).reshape(320, 240, 3)
    with Image.open(path) as ours:
        assert np.abs(pixels.astype(int) - np.array(ours)).max() <= 2


def seen(path: Path) -> NDArray[np.int16]:
    """Pixels that a color-managed viewer shows, as sRGB."""
    with Image.open(path) as picture:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        converted = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"))
        return np.array(converted, np.int16)


def test_colors_that_chunks_state_are_shown_as_before(work: Path) -> None:
    """Half red: 128 in Adobe RGB is far more than in sRGB."""
    restored = tifffile.imread(work / "back/adobe-rgb.tif")
    assert restored.dtype == np.uint16
    eight = work / "eight.tif"
    with tifffile.TiffFile(work / "back/adobe-rgb.tif") as file:
        profile = file.pages.first.tags[34675].value
    Image.fromarray((restored >> 8).astype(np.uint8)).save(eight, icc_profile=profile)
    linear = ((restored >> 8) / 255.0) ** (100_000 / 45_470)
    to_srgb = np.array([[1.39836, -0.39836, 0], [0, 1, 0], [0, -0.04293, 1.04293]])
    light = np.clip(linear @ to_srgb.T, 0, 1)
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    inside = (linear @ to_srgb.T > 0.02).all(axis=2) & (linear @ to_srgb.T < 0.98).all(axis=2)
    assert inside.mean() > 0.3
    assert np.abs(seen(eight) - expected)[inside].max() <= 2


def test_archived_files_are_as_old_and_as_private_as_their_sources(work: Path) -> None:
    for name in ("out/plain.jpg.jp2", "back/plain.tif"):
        status = (work / name).stat()
        assert (status.st_mode & 0o777, int(status.st_mtime)) == (0o600, _OLD), name


@pytest.mark.parametrize("name", ["tile_parts_dropped", "tile_parts_refused", "reserved_marker"])
def test_codestreams_with_wrong_counts_or_reserved_markers_are_restored_whole(
    tmp_path: Path, name: str
) -> None:
    source = str(_FILES / f"{name}.j2k")
    assert main(["restore", source, "--output", str(tmp_path), "--format", "png", "--reccnn", "off"]) == 0
    with Image.open(tmp_path / f"{name}.png") as picture:
        pixels = np.array(picture, np.int16)
    assert pixels.shape == (192, 256, 3)
    below = pixels[-48:]  # what is dropped stays gray or black
    assert below.std(axis=(0, 1)).min() > 5


def test_bytes_after_the_last_box_are_no_reason_to_reject_a_file(tmp_path: Path) -> None:
    source = str(_FILES / "trailing_bytes.jp2")
    assert main(["restore", source, "--output", str(tmp_path), "--reccnn", "off"]) == 0


def test_tags_that_somebody_writes_into_an_archived_file_survive_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/plain.jpg").write_bytes(photos()["plain.jpg"])
    command = ["compress", str(tmp_path / "in"), "--output", str(tmp_path / "out"), *_PLAIN]
    assert main(command) == 0
    path = tmp_path / "out/plain.jpg.jp2"
    subprocess.run([tool("exiftool"), "-q", "-overwrite_original", "-XMP:Title=Dawn", str(path)], check=True)
    edited = path.read_bytes()
    assert main(command) == 0
    assert path.read_bytes() == edited


def test_a_file_with_a_flipped_bit_in_its_tags_is_made_again_and_an_edited_one_on_demand(
    tmp_path: Path,
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/portrait.jpg").write_bytes(photos()["portrait.jpg"])
    command = ["compress", str(tmp_path / "in"), "--output", str(tmp_path / "out"), *_PLAIN]
    assert main(command) == 0
    path = tmp_path / "out/portrait.jpg.jp2"
    whole = path.read_bytes()

    damaged = bytearray(whole)
    damaged[whole.index(b"JpgTiffExif->JP2") + 60] ^= 64
    path.write_bytes(damaged)
    assert main([*command, "--force"]) == 0
    assert path.read_bytes() == whole

    edited = whole + box(b"free", b"a remark")
    path.write_bytes(edited)
    assert main([*command, "--force"]) == 3
    assert path.read_bytes() == edited
    assert main([*command, "--force", "--replace-edited"]) == 0
    assert path.read_bytes() == whole
