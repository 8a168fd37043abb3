"""Tests EXIF blocks: reading, turning upright, extending, and extracting from TIFF files."""

from __future__ import annotations

import contextlib
import datetime
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.pictures import exif
from foveate.pictures.exif_salvage import salvaged
from foveate.pictures.formats import NotForJpeg2000, decode_picture
from tests import picture_files
from tests.picture_files import sample


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_the_orientation_is_read_and_set_to_one_with_no_other_byte_touched(order: str, turn: int) -> None:
    block = picture_files.exif_block(turn, order, thumbnail=True)
    assert exif.orientation(block) == turn
    upright = exif.upright(block)
    assert upright == picture_files.exif_block(1, order, thumbnail=True)
    assert exif.orientation(upright) == 1


def test_a_block_without_an_orientation_is_upright_already() -> None:
    block = picture_files.exif_block()
    assert exif.orientation(block) == 1
    assert exif.upright(block) == block


def test_an_orientation_that_does_not_exist_counts_as_upright() -> None:
    assert exif.orientation(picture_files.exif_block(9)) == 1
    assert exif.orientation(picture_files.exif_block(0)) == 1


def test_a_sound_block_passes_the_check() -> None:
    salvaged(picture_files.exif_block(6, thumbnail=True))


def test_a_loop_of_directories_is_found() -> None:
    block = bytearray(picture_files.exif_block(6, thumbnail=True))
    struct.pack_into("<I", block, len(block) - 4, 8)
    assert salvaged(bytes(block))[1] == ("thumbnail",)
    with pytest.raises(exif.BadExif, match="comes back to byte 8"):
        list(exif.directories(bytes(block)))
    assert exif.orientation(bytes(block)) == 6


def test_a_directory_that_leads_to_itself_is_found() -> None:
    block = picture_files.exif_block()
    directory = exif.read_directory(block, 8)
    looped = bytearray(block)
    below = exif.numbers(block, directory, exif.EXIF_DIRECTORY)[0]
    struct.pack_into("<HHII", looped, below + 2, exif.INTEROPERABILITY_DIRECTORY, exif.LONG, 1, below)
    good, lost = salvaged(bytes(looped))
    assert lost == ("interoperability",) and salvaged(good) == (good, ())


@pytest.mark.parametrize(
    "block", [b"", b"II", b"garbage garbage", b"II*\0\xff\xff\0\0", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_garbage_is_bad_exif(block: bytes) -> None:
    with pytest.raises(exif.BadExif):
        salvaged(block)
    assert exif.orientation(block) == 1
    assert exif.resolution(block) is None


@given(
    st.binary(max_size=200),
    st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0", b""]),
)
def test_random_bytes_raise_nothing_but_bad_exif(tail: bytes, head: bytes) -> None:
    block = head + tail
    exif.orientation(block)
    exif.resolution(block)
    for read in (salvaged, exif.upright, exif.from_tiff):
        with contextlib.suppress(exif.BadExif):
            read(block)


@given(st.data())
def test_a_damaged_block_raises_nothing_but_bad_exif(data: st.DataObject) -> None:
    block = bytearray(picture_files.exif_block(6, thumbnail=True))
    for _ in range(data.draw(st.integers(1, 6))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    for read in (salvaged, exif.upright, exif.from_tiff, exif.orientation, exif.resolution):
        with contextlib.suppress(exif.BadExif):
            read(bytes(block))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dpi", [(300.0, 300.0), (72.5, 96.25)])
def test_a_resolution_is_added_and_everything_else_kept(order: str, dpi: tuple[float, float]) -> None:
    block = picture_files.exif_block(1, order, thumbnail=True)
    stated = exif.with_resolution(block, dpi)
    assert stated is not None
    assert exif.resolution(stated) == dpi
    assert stated[8 : len(block)] == block[8:]
    before, after = exif.read_directory(block, 8), exif.read_directory(stated, exif.first_directory(stated))
    assert after.next == before.next
    assert all(exif.raw(block, before, tag) == exif.raw(stated, after, tag) for tag in before.fields)
    assert exif.with_resolution(stated, dpi) == stated


def test_a_resolution_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="a resolution of nan"):
        exif.with_resolution(None, (float("nan"), 1.0))


def test_without_a_resolution_a_block_stays_as_it_is() -> None:
    assert exif.with_resolution(None, None) is None
    assert exif.with_resolution(picture_files.exif_block(), None) == picture_files.exif_block()


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_exif_of_a_tiff_file_says_nothing_of_its_pixels(order: str) -> None:
    tags = {270: (2, b"A pier\0"), 274: (3, struct.pack(order + "H", 6))}
    block = exif.from_tiff(picture_files.tiff(picture_files.sample(9, 13, 3), order, tags))
    assert block is not None
    directory = exif.read_directory(block, exif.first_directory(block))
    assert set(directory.fields) == {270, 274}
    assert exif.raw(block, directory, 270) == b"A pier\0"
    assert exif.orientation(block) == 6


def test_a_tiff_file_that_says_nothing_of_its_photo_has_no_exif() -> None:
    assert exif.from_tiff(picture_files.tiff(picture_files.sample(9, 13, 3))) is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_directories_below_the_first_are_copied_out_of_a_tiff_file(order: str) -> None:
    original = picture_files.exif_block(3, order)
    copied = exif.from_tiff(original)
    assert copied is not None
    assert salvaged(copied) == (copied, ())
    for tag, inner, expected in (
        (exif.EXIF_DIRECTORY, 0x9003, b"2024:05:06 07:08:09\0"),
        (exif.EXIF_DIRECTORY, 0x927C, b"NOTE\0" + bytes(range(40))),
        (exif.GPS_DIRECTORY, 0x0001, b"N\0"),
    ):
        main = exif.read_directory(copied, exif.first_directory(copied))
        below = exif.read_directory(copied, exif.numbers(copied, main, tag)[0])
        assert exif.raw(copied, below, inner) == expected


def exif_of(order: str, *fields: tuple[int, bytes]) -> bytes:
    """A block whose first directory has these ASCII fields."""
    values = {tag: exif.Value(exif.ASCII, len(text), text) for tag, text in fields}
    empty = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IHI", 8, 0, 0)
    return exif.with_values(empty, values)


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        (b"Canon\0", b"Canon EOS 5D\0", "Canon EOS 5D"),
        (b"NIKON CORPORATION\0", b"NIKON D850\0", "NIKON D850"),
        (b"Apple\0", b"iPhone 15\0", "Apple iPhone 15"),
        (b"", b"X100V   \0\0", "X100V"),
        (b"LEICA\0", b"", "LEICA"),
        (b" \0", b"\0", None),
        (b"A\x1b[2Jb\0", b"\xff\n<b>\0", "A [2Jb \ufffd <b>"),
    ],
)
def test_a_camera_has_one_name(make: bytes, model: bytes, name: str | None) -> None:
    for order in "<>":
        assert exif.camera(exif_of(order, (exif.MAKE, make), (exif.MODEL, model))) == name


def test_a_photo_says_when_it_was_taken() -> None:
    assert exif.taken(picture_files.exif_block(3, ">")) == datetime.datetime(2024, 5, 6, 7, 8, 9)
    only_changed = exif_of("<", (exif.DATE_TIME, b"2019:12:31 23:59:58\0"))
    assert exif.taken(only_changed) == datetime.datetime(2019, 12, 31, 23, 59, 58)


@pytest.mark.parametrize("said", [b"0000:00:00 00:00:00\0", b"    :  :     :  :  \0", b"", b"yesterday\0"])
def test_a_clock_that_was_never_set_says_nothing(said: bytes) -> None:
    assert exif.taken(exif_of("<", (exif.DATE_TIME, said))) is None


def test_a_broken_block_names_no_camera_and_no_time() -> None:
    for block in (b"", b"II*\0", picture_files.exif_block()[:20]):
        assert exif.camera(block) is None and exif.taken(block) is None


def nested(levels: int) -> bytes:
    """A block of directories, each below the one before."""
    block = b"II*\0" + struct.pack("<I", 8)
    for level in range(levels):
        block += struct.pack("<HHHII", 1, 0x8769, 4, 1, 8 + 18 * (level + 1)) + bytes(4)
    return block + struct.pack("<HHHII", 1, 0x10F, 2, 1, 65) + bytes(4)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_directories_one_below_the_other_without_end_are_not_followed(format: str) -> None:
    if format == "TIFF":
        block = nested(3000)
        plain = picture_files.tiff(sample(9, 13, 3), tags={0x8769: (4, bytes(4))})
        plain += bytes(len(plain) % 2)
        at = plain.rindex(struct.pack("<HHI", 0x8769, 4, 1)) + 8
        moved = b"".join(
            struct.pack("<HHHII", 1, 0x8769, 4, 1, len(plain) + 18 * (level + 1)) + bytes(4)
            for level in range(3000)
        )
        data = plain[:at] + struct.pack("<I", len(plain)) + plain[at + 4 :] + moved + block[-18:]
        with pytest.raises(NotForJpeg2000):
            decode_picture(data)
        return
    picture = (
        picture_files.jpeg(sample(9, 13, 3), exif=nested(3000))
        if format == "JPEG"
        else picture_files.png(sample(9, 13, 3), {b"eXIf": nested(3000)})
    )
    assert decode_picture(picture).metadata_problems == ("EXIF camera settings: it cannot be read",)


def test_a_thumbnail_that_covers_its_own_directory_is_left_out_or_turned() -> None:
    small = picture_files.jpeg(sample(12, 20, 3))
    small += bytes(len(small) % 2)
    start = 8 + 2 + 12 + 4
    at = start + len(small)
    first = struct.pack("<HHHIHHI", 1, 0x112, 3, 1, 6, 0, at)
    fields = struct.pack("<HHII", 513, 4, 1, start) + struct.pack("<HHII", 514, 4, 1, at + 30 - start)
    block = b"II*\0" + struct.pack("<I", 8) + first + small + struct.pack("<H", 2) + fields + bytes(4)
    picture = decode_picture(picture_files.jpeg(sample(23, 31, 3), exif=block))
    assert picture.pixels.shape == (31, 23, 3)


def test_a_large_block_that_cannot_be_read_keeps_the_file_and_a_small_one_is_named() -> None:
    broken = b"II*\0\xff\xff\xff\x7f"
    (problem,) = decode_picture(picture_files.jpeg(sample(9, 13, 3), exif=broken)).metadata_problems
    assert problem.startswith("EXIF: it cannot be read")
    with pytest.raises(NotForJpeg2000, match="5,008 bytes cannot be read"):
        decode_picture(picture_files.jpeg(sample(9, 13, 3), exif=broken + bytes(5000)))
