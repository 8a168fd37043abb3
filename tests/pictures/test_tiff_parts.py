"""Every byte of a TIFF: carried, named, or reason enough to keep the file."""

from __future__ import annotations

import io
import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.codec import jp2
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import exif, tiff_parts
from foveate.pictures.formats import BadPicture, NotForJpeg2000, decode_picture, encode_picture
from foveate.pictures.reasons import Reason
from tests import picture_files, streams
from tests.picture_files import exif_block, sample
from tests.pictures.test_color import ADOBE, RGB, computed, shown
from tests.tools import tool

GEO: dict[int, tuple[int, bytes]] = {
    33550: (12, struct.pack("<3d", 0.5, 0.5, 0)),
    33922: (12, struct.pack("<6d", 0, 0, 0, 500000, 4100000, 0)),
    34735: (3, struct.pack("<8H", 1, 1, 0, 1, 3072, 0, 1, 32633)),
}
IIM = b"\x1c\x02\x78\0\x05hello"


def with_tags(tags: dict[int, tuple[int, bytes]], channels: int = 3) -> bytes:
    data: bytes = TIFF_UNITS(tags, channels)
    return data


def TIFF_UNITS(tags: dict[int, tuple[int, bytes]], channels: int) -> bytes:  # noqa: N802
    """`picture_files.tiff` with doubles, by tifffile."""
    stream = io.BytesIO()
    extra = [
        (tag, kind, len(value) // {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8}[kind], value, True)
        for tag, (kind, value) in tags.items()
    ]
    pixels = sample(21, 33, channels)
    photometric = "rgb" if channels >= 3 else "minisblack"
    tifffile.imwrite(
        stream,
        pixels if channels > 1 else pixels[:, :, 0],
        photometric=photometric,
        metadata=None,
        extratags=extra,
        software=False,
    )
    return stream.getvalue()


def kept_for(data: bytes) -> NotForJpeg2000:
    with pytest.raises(NotForJpeg2000) as caught:
        decode_picture(data)
    return caught.value


def test_geotiff_becomes_a_box_that_exiftool_reads_and_comes_back(tmp_path: Path) -> None:
    picture = decode_picture(with_tags(GEO))
    assert picture.metadata_problems == ()
    assert picture.metadata.geo is not None
    archived = jp2.wrap(streams.coded(picture.pixels), metadata=picture.metadata)
    assert jp2.parse(archived).metadata.geo == picture.metadata.geo
    for block in (None, exif_block(1, ">")):  # the other byte order
        metadata = PhotoMetadata(geo=picture.metadata.geo, exif=block)
        again = tifffile.TiffFile(io.BytesIO(encode_picture(picture.pixels, metadata, "tiff"))).pages.first
        assert again.tags[33922].value == (0, 0, 0, 500000, 4100000, 0)
        assert again.tags[34735].value == (1, 1, 0, 1, 3072, 0, 1, 32633)
    (tmp_path / "geo.jp2").write_bytes(archived)
    command = [tool("exiftool"), "-j", "-G1", str(tmp_path / "geo.jp2")]
    (tags,) = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert tags["GeoTiff:ProjectedCSType"] == "WGS84 UTM zone 33N"


def test_a_map_that_would_have_to_be_turned_is_kept() -> None:
    assert "turned" in str(kept_for(with_tags(GEO | {274: (3, b"\6\0")})))


def test_iptc_and_photoshop_resources_come_back_in_a_restored_tiff() -> None:
    resources = b"8BIM\x03\xed\0\0\0\0\0\x10" + bytes(16)
    picture = decode_picture(with_tags({33723: (7, IIM), 34377: (1, resources)}))
    assert (picture.metadata.iptc, picture.metadata.photoshop) == (IIM, resources)
    again = decode_picture(encode_picture(picture.pixels, picture.metadata, "tiff"))
    assert (again.metadata.iptc, again.metadata.photoshop) == (IIM, resources)
    assert again.metadata_problems == ()


def test_iptc_written_as_numbers_of_the_other_order_is_read() -> None:
    swapped = b"".join((IIM + bytes(2))[at : at + 4][::-1] for at in range(0, 12, 4))
    assert decode_picture(with_tags({33723: (4, swapped)})).metadata.iptc == IIM


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({37724: (7, b"Adobe Photoshop Document Data Block\0" + bytes(50))}, "layers"),
        ({42113: (2, b"-9999\0")}, "no data"),
        ({50844: (12, bytes(736))}, "projection"),
        ({50839: (1, bytes(range(200)))}, "ImageJ"),
        ({270: (2, b"ImageJ=1.53\nimages=7\nslices=7\n\0")}, "stack of 7"),
        ({60001: (7, bytes(range(256)) * 20)}, "unknown TIFF tags: 60001"),
    ],
)
def test_tags_that_are_the_point_of_the_file_keep_it(tags: Any, words: str) -> None:
    assert words in str(kept_for(with_tags(tags)))


def test_what_no_tag_points_to_keeps_the_file_where_it_is_large() -> None:
    data = with_tags({})
    assert (
        decode_picture(data + b"few bytes").metadata_problems[0].startswith("unknown bytes after the picture")
    )
    assert kept_for(data + bytes(range(256)) * 20).reason == Reason.EXTRA_DATA
    assert decode_picture(data + bytes(9000)).metadata_problems == ()


def test_a_smaller_copy_of_the_picture_is_named_and_another_picture_keeps_the_file() -> None:
    for subfile, kept in ((1, False), (0, True)):
        stream = io.BytesIO()
        with tifffile.TiffWriter(stream) as writer:
            writer.write(sample(21, 33, 3), photometric="rgb", metadata=None, subifds=1)
            writer.write(sample(11, 17, 3), photometric="rgb", metadata=None, subfiletype=subfile)
        if kept:
            assert kept_for(stream.getvalue()).reason in (Reason.SEVERAL_PICTURES, Reason.EXTRA_DATA)
        else:
            (problem,) = decode_picture(stream.getvalue()).metadata_problems
            assert problem == f"preview: {11 * 17 * 3} bytes"


def with_further(directory: bytes) -> bytes:
    """A TIFF whose only directory leads to one more, at the end of the file."""
    data = with_tags({})
    data += bytes(len(data) % 2)
    first = struct.unpack_from("<I", data, 4)[0]
    place = first + 2 + 12 * struct.unpack_from("<H", data, first)[0]
    return data[:place] + struct.pack("<I", len(data)) + data[place + 4 :] + directory


def directory(at: int, *fields: tuple[int, int, bytes]) -> bytes:
    found: bytes = picture_files.directory(fields, at, "<", 0)
    return found


def test_data_other_than_pixels_in_a_preview_is_not_a_preview() -> None:
    at = len(with_further(b""))
    layers = (37724, 7, bytes(range(256)) * 20)
    assert "layers" in str(kept_for(with_further(directory(at, (254, 4, b"\1\0\0\0"), layers))))
    strange = (60001, 7, bytes(range(256)) * 20)
    assert "60001" in str(kept_for(with_further(directory(at, (254, 4, b"\1\0\0\0"), strange))))
    packet = (700, 1, bytes(range(256)))
    picture = decode_picture(with_further(directory(at, (254, 4, b"\1\0\0\0"), packet)))
    assert "metadata of a preview: 700 (256 bytes)" in picture.metadata_problems


@pytest.mark.parametrize("tag", sorted(tiff_parts.TAGS.keys() - {330, *exif.POINTERS}))
@pytest.mark.parametrize("kind", [3, 4, 7])
def test_every_known_tag_is_carried_named_or_keeps_the_file_whatever_its_size(tag: int, kind: int) -> None:
    value = np.random.default_rng(tag).bytes(100_000)
    data = picture_files.tiff(sample(9, 13, 3), tags={tag: (kind, value)})
    try:
        picture = decode_picture(data)
    except (NotForJpeg2000, BadPicture):
        return
    metadata = picture.metadata
    held = [metadata.exif, metadata.xmp, metadata.iptc, metadata.photoshop, metadata.geo, metadata.jumbf]
    said = " ".join(picture.metadata_problems)
    assert any(value in one for one in held if one) or str(tag) in said or "100,000 bytes" in said


def test_a_different_iptc_among_photoshop_resources_is_named() -> None:
    resources = b"8BIM\x04\x04\0\0\0\0\0\x08" + b"\x1c\x02\x78\0\3new"
    picture = decode_picture(with_tags({33723: (7, IIM), 34377: (1, resources)}))
    assert (picture.metadata.iptc, picture.metadata_problems) == (IIM, ("a second IPTC: 8 bytes",))


@pytest.mark.parametrize("tag", [700, 33723, 34675])
def test_metadata_that_points_beyond_the_end_keeps_the_file(tag: int) -> None:
    data = bytearray(with_tags({tag: (7, bytes(range(200)))}))
    at = data.rindex(struct.pack("<HHI", tag, 7, 200))
    data[at + 4 : at + 8] = struct.pack("<I", 10**6)
    kept = kept_for(bytes(data))
    assert kept.reason == Reason.DAMAGED and "beyond its end" in str(kept)


def test_a_maker_note_that_points_beyond_the_end_is_named() -> None:
    data = picture_files.tiff(sample(9, 13, 3), tags={34665: (4, bytes(4))})
    data += bytes(len(data) % 2)
    at = data.rindex(struct.pack("<HHI", 34665, 4, 1)) + 8
    below = bytearray(directory(len(data), (0x9003, 2, b"2024:05:06 07:08:09\0"), (0x927C, 7, b"NOTE" * 30)))
    note = below.index(struct.pack("<HH", 0x927C, 7))
    below[note + 4 : note + 8] = struct.pack("<I", 10**7)
    picture = decode_picture(data[:at] + struct.pack("<I", len(data)) + data[at + 4 :] + below)
    assert any("EXIF fields beyond the end" in problem for problem in picture.metadata_problems)


def test_directories_that_share_their_strips_are_not_counted_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiff_parts, "_MOST_PARTS", 50)
    at = len(with_further(b""))
    many = struct.pack("<60I", *[8] * 60)
    with pytest.raises(BadPicture, match="more than 50 fields and strips"):
        decode_picture(with_further(directory(at, (254, 4, b"\1\0\0\0"), (273, 4, many), (279, 4, many))))


def compressed(pixels: Any, compression: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, compression=compression, metadata=None, **options)
    return stream.getvalue()


def test_damage_in_a_jpeg_within_a_tiff_keeps_the_file() -> None:
    pixels = sample(64, 96, 3)
    data = compressed(pixels, "jpeg", photometric="rgb", rowsperstrip=32)
    np.testing.assert_array_equal(decode_picture(data).pixels, imagecodecs.tiff_decode(data))
    at = data.rindex(b"\xff\xda") + 100
    damaged = data[:at] + b"\x55\xff\xd3\xaa" * 5 + data[at + 20 :]
    assert kept_for(damaged).reason == Reason.DAMAGED


def test_what_libtiff_decodes_to_another_depth_than_the_header_says_is_kept() -> None:
    coded = imagecodecs.ljpeg_encode(sample(32, 32, 1, 16)[:, :, 0])
    tags = {258: (3, b"\x10\0"), 259: (3, b"\7\0"), 279: (4, struct.pack("<I", len(coded)))}
    plain = picture_files.tiff(
        np.frombuffer(coded, np.uint8).reshape(1, -1, 1),
        tags=tags
        | {256: (4, struct.pack("<I", 32)), 257: (4, struct.pack("<I", 32)), 278: (4, struct.pack("<I", 32))},
    )
    assert kept_for(plain).reason == Reason.NOT_READ


def test_a_palette_with_alpha_is_read() -> None:
    palette = np.random.default_rng(0).integers(0, 65536, 768).astype("<u2").tobytes()
    data = picture_files.tiff(sample(9, 13, 2), tags={262: (3, b"\3\0"), 320: (3, palette)})
    pixels = decode_picture(data).pixels
    assert pixels.shape == (9, 13, 4)
    np.testing.assert_array_equal(pixels[:, :, 3], sample(9, 13, 2)[:, :, 1])


def test_a_strip_that_is_missing_keeps_the_file() -> None:
    assert kept_for(picture_files.tiff(sample(9, 13, 3), tags={279: (4, bytes(4))})).reason == Reason.DAMAGED


def test_stated_primaries_and_transfer_functions_become_a_profile() -> None:
    def ratios(*values: float) -> bytes:
        return b"".join(struct.pack("<II", round(value * 10_000), 10_000) for value in values)

    def is_shown_as_by_its_numbers(tags: dict[int, tuple[int, bytes]], gamma: float) -> bool:
        profile = decode_picture(picture_files.tiff(RGB, tags=tags)).metadata.icc
        return bool(np.abs(shown(RGB, profile) - computed(RGB, ADOBE, gamma)).max() < 1.6)

    adobe = {318: (5, ratios(0.3127, 0.3290)), 319: (5, ratios(0.64, 0.33, 0.21, 0.71, 0.15, 0.06))}
    curve = np.rint(65535 * np.linspace(0, 1, 256) ** 1.8).astype("<u2").tobytes()
    color, gray = sample(9, 13, 3), sample(9, 13, 1)
    assert is_shown_as_by_its_numbers(adobe, 2.2)
    assert is_shown_as_by_its_numbers(adobe | {301: (3, curve * 3)}, 1.8)
    profile = decode_picture(picture_files.tiff(gray, tags={301: (3, curve)})).metadata.icc
    assert profile is not None and profile[16:20] == b"GRAY"
    assert kept_for(picture_files.tiff(color, tags={301: (3, b"\1\0" * 15)})).reason == Reason.COLOR


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.integers(40_100, 65_000).filter(lambda tag: tag not in tiff_parts.TAGS),
        st.binary(min_size=1, max_size=200),
        max_size=4,
    ),
    st.binary(max_size=100),
    st.sampled_from("<>"),
)
def test_whatever_is_planted_is_named_or_keeps_the_file(
    planted: dict[int, bytes], behind: bytes, order: str
) -> None:
    data = (
        picture_files.tiff(sample(7, 9, 3), order, {tag: (7, value) for tag, value in planted.items()})
        + behind
    )
    covered = 0
    for part in sorted(tiff_parts.walk(data), key=lambda part: part.start):
        assert part.start <= covered, f"nothing accounts for byte {covered}"
        covered = max(covered, part.end)
    assert covered == len(data)
    try:
        said = " ".join(decode_picture(data).metadata_problems)
    except NotForJpeg2000:
        return
    assert all(str(tag) in said for tag in planted)
    if behind.strip(b"\0") and behind.strip(b"\xff"):
        assert "bytes after the picture" in said


@pytest.mark.parametrize(
    ("tag", "values", "words"),
    [
        (532, (16, 235, 128, 240, 128, 240), "custom black and white levels"),
        (532, (0, 255, 128, 255, 128, 255), ""),
        (529, (0.2126, 0.7152, 0.0722), "coefficients"),
        (529, (0.299, 0.587, 0.114), ""),
    ],
)
def test_levels_and_luma_that_decoders_pass_over_keep_the_file(
    tag: int, values: tuple[float, ...], words: str
) -> None:
    tags = [(tag, 5, len(values), tuple(n for value in values for n in (round(value * 10000), 10000)), True)]
    pixels = np.tile(np.arange(48, dtype=np.uint8)[:, None, None] * 5, (1, 64, 3))
    data = compressed(pixels, "jpeg", photometric="ycbcr", subsampling=(1, 1), extratags=tags)
    if words:
        assert words in str(kept_for(data))
    else:
        np.testing.assert_array_equal(decode_picture(data).pixels, imagecodecs.tiff_decode(data))


def test_the_number_of_the_only_page_is_no_loss() -> None:
    for pages, problems in (((0, 1), ()), ((1, 4), ("place in a document: 297 (4 bytes)",))):
        data = compressed(np.zeros((9, 9), np.uint8), "zlib", extratags=[(297, 3, 2, pages, True)])
        assert decode_picture(data).metadata_problems == problems
