"""Tests JP2 boxes, metadata and the archive record, by our own laws and with other programs."""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import struct
import subprocess
import uuid

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from jpylyzer import jpylyzer
from PIL import Image, ImageCms

from foveate.codec import jp2, jp2_boxes, jp2_metadata, openjpeg
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.packed_saliency import _average_down, pack_saliency, unpack_saliency
from foveate.codec.record import SALIENCY_BYTES, ArchiveRecord, pack_record, unpack_record
from tests import streams
from tests.tools import tool

SRGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="an attic"/>'
    b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
FULL_RECORD = ArchiveRecord(
    source_sha256=bytes(range(32)),
    settings_digest=b"settings",
    weights_digest=b"weights!",
    prefiltered=True,
)


def tiff_exif() -> bytes:
    """A TIFF structure with a maker and an upright orientation."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Foveate", 1
    return exif.tobytes().removeprefix(b"Exif\0\0")


EXIF = tiff_exif()
FULL = PhotoMetadata(icc=SRGB_ICC, exif=EXIF, xmp=XMP, dpi=(300.0, 72.0))


def gray_icc() -> bytes:
    """A monochrome input profile: header, and a tag table with a gray curve."""
    curve = b"curv" + bytes(4) + struct.pack(">I", 0)
    header = bytearray(128)
    struct.pack_into(">I", header, 0, 128 + 4 + 12 + len(curve))
    header[12:24] = b"scnrGRAYXYZ "
    header[36:40] = b"acsp"
    return bytes(header) + struct.pack(">I4sII", 1, b"kTRC", 144, len(curve)) + curve


def blob(height: int = 60, width: int = 90) -> npt.NDArray[np.float32]:
    rows, columns = np.mgrid[:height, :width]
    distance = ((rows - height / 3) / height) ** 2 + ((columns - width / 2) / width) ** 2
    values: npt.NDArray[np.float32] = np.exp(-12 * distance).astype(np.float32)
    return values


def codestream(channels: int = 3, dtype: type = np.uint8) -> bytes:
    rows, columns = np.mgrid[:33, :47]
    pixels = np.stack([5 * rows, 3 * columns, rows + columns, 255 - rows][:channels], -1)
    return streams.coded(pixels.astype(dtype), slopes=(600.0, 0.0))


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def with_header_box(data: bytes, extra: bytes) -> bytes:
    """The file with one more box at the end of its JP2 header box."""
    start = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, start)
    end = start + length
    return data[:start] + struct.pack(">I", length + len(extra)) + data[start + 4 : end] + extra + data[end:]


@pytest.fixture(params=[(c, d) for c in (1, 2, 3, 4) for d in ("uint8", "uint16")], ids=str)
def archive(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    """A file with every kind of box, gray to RGBA, of 8 and 16 bits."""
    channels, dtype = request.param
    metadata = dataclasses.replace(FULL, icc=SRGB_ICC if channels >= 3 else gray_icc())
    record = dataclasses.replace(FULL_RECORD, saliency=blob())
    path = tmp_path / "archive.jp2"
    path.write_bytes(jp2.wrap(codestream(channels, np.dtype(dtype).type), metadata=metadata, record=record))
    return path


# Laws ----------------------------------------------------------------------------------------------

digests = st.binary(min_size=8, max_size=8)
records = st.builds(
    ArchiveRecord,
    source_sha256=st.binary(min_size=32, max_size=32),
    settings_digest=digests,
    weights_digest=digests,
    prefiltered=st.booleans(),
)
resolutions = st.floats(0.01, 1e6)
photo_metadata = st.builds(
    PhotoMetadata,
    icc=st.none() | st.just(SRGB_ICC),
    exif=st.none() | st.binary().map(lambda tail: b"II*\0" + tail) | st.just(EXIF),
    xmp=st.none() | st.binary(min_size=1),
    dpi=st.none() | st.tuples(resolutions, resolutions),
)


@hypothesis.given(photo_metadata, st.none() | records, st.sampled_from([3, 4]))
@hypothesis.settings(deadline=None)
def test_what_was_wrapped_is_parsed_again_and_its_size_was_known_before(
    metadata: PhotoMetadata, record: ArchiveRecord | None, channels: int
) -> None:
    inside = codestream(channels)
    data = jp2.wrap(inside, metadata=metadata, record=record)
    assert len(data) - len(inside) == jp2.overhead(channels, metadata=metadata, record=record)
    parsed = jp2.parse(data)
    assert parsed.codestream == inside
    assert dataclasses.replace(parsed.metadata, dpi=None) == dataclasses.replace(metadata, dpi=None)
    if metadata.dpi is None:
        assert parsed.metadata.dpi is None
    else:
        assert parsed.metadata.dpi == pytest.approx(metadata.dpi, rel=1e-6)
    assert (record is None) == (parsed.record is None)
    if record is not None and parsed.record is not None:
        assert parsed.record.made_of(record.source_sha256)
        assert parsed.record.made_with(record.settings_digest, record.weights_digest)
        assert parsed.record.prefiltered == record.prefiltered
        assert parsed.record.boxes_crc32 == jp2.boxes_crc32(data)
    assert parsed.record_problem is None
    assert parsed.has_alpha == (channels == 4)


@hypothesis.given(st.integers(1, 13000), st.integers(1, 13000))
def test_whole_dots_per_inch_come_back_exactly(across: int, down: int) -> None:
    data = jp2.wrap(codestream(1), metadata=PhotoMetadata(dpi=(across, down)))
    assert jp2.parse(data).metadata.dpi == (across, down)


saliency_maps = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=50),
    elements=st.floats(0, 1, width=32),
)


@hypothesis.given(saliency_maps, st.integers(0, 1200))
@hypothesis.settings(deadline=None)
def test_a_packed_map_stays_within_its_bytes_and_near_its_area_means(
    saliency: npt.NDArray[np.float32], max_bytes: int
) -> None:
    packed = pack_saliency(saliency, max_bytes)
    assert len(packed) <= max_bytes
    if not packed:
        assert max_bytes < 64
        return
    unpacked = unpack_saliency(packed)
    assert unpacked.dtype == np.float32
    means = _average_down(saliency, max(unpacked.shape))
    # Half a step of the levels used, over the range stored, and the rounding of its ends.
    tolerance = 0.5 * (np.ptp(means) + 2 / 255) / (packed[0] - 1) + 1e-6
    assert unpacked.shape == means.shape
    assert np.abs(unpacked - means).max() <= tolerance


@hypothesis.given(
    st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: bytes([16, 4, 5, 0, 255]) + tail)
)
def test_a_damaged_map_is_refused_or_stays_in_range(packed: bytes) -> None:
    try:
        saliency = unpack_saliency(packed)
    except BadCodestream as error:
        assert "saliency map" in str(error)
    else:
        assert saliency.min() >= 0
        assert saliency.max() <= 1


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=200, deadline=None)
def test_damaged_bytes_parse_or_end_in_a_typed_error(data: st.DataObject) -> None:
    damaged = bytearray(jp2.wrap(codestream(4), metadata=FULL, record=FULL_RECORD))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, 1100))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    try:
        jp2.parse(bytes(damaged[:cut] if data.draw(st.booleans()) else damaged))
    except BadCodestream as error:
        assert str(error)


# The record ----------------------------------------------------------------------------------------


def test_a_record_without_map_takes_74_bytes_with_its_box() -> None:
    plain = jp2.overhead(3, metadata=PhotoMetadata())
    assert jp2.overhead(3, metadata=PhotoMetadata(), record=FULL_RECORD) - plain == 74


def test_a_soft_map_keeps_its_bright_spot_in_place_in_a_few_hundred_bytes() -> None:
    packed = pack_saliency(blob(240, 360), SALIENCY_BYTES)
    unpacked = unpack_saliency(packed)
    assert len(packed) < 300
    assert unpacked.shape == (27, 40)
    row, column = np.unravel_index(unpacked.argmax(), unpacked.shape)
    assert abs(row - 9) <= 2
    assert abs(column - 20) <= 2


def test_a_packed_map_never_contains_an_end_marker_for_ffmpeg() -> None:
    blobs = [np.roll(blob(30, 40), shift, 1) for shift in range(40)]
    maps = [np.clip(map_ * gain / 40, 0, 1) for map_ in blobs for gain in range(1, 41, 3)]
    packed = [pack_saliency(map_.astype(np.float32), 480) for map_ in maps]
    assert not [form for form in packed if b"\xff\xd9" in form or not form]


def test_a_map_that_cannot_fit_is_left_out_of_the_record() -> None:
    noise = np.random.default_rng(3).random((50, 50), np.float32)
    assert pack_saliency(noise, 6) == b""
    record = dataclasses.replace(FULL_RECORD, saliency=noise)
    parsed = jp2.parse(jp2.wrap(codestream(), metadata=PhotoMetadata(), record=record, saliency_bytes=6))
    assert parsed.record is not None
    assert parsed.record.saliency is None


@pytest.mark.parametrize(("faces", "writing"), [(True, False), (False, True)])
def test_a_record_says_what_was_found(faces: bool, writing: bool) -> None:
    record = dataclasses.replace(FULL_RECORD, faces=faces, writing=writing)
    parsed = jp2.parse(jp2.wrap(codestream(), metadata=PhotoMetadata(), record=record)).record
    assert parsed is not None and parsed.prefiltered and not parsed.plain_decode
    assert (parsed.faces, parsed.writing) == (faces, writing)


def test_a_record_of_a_later_version_is_named_and_the_picture_still_parsed() -> None:
    data = bytearray(jp2.wrap(codestream(), metadata=PhotoMetadata(), record=FULL_RECORD))
    data[data.index(jp2.RECORD_UUID) + 16] = 3
    parsed = jp2.parse(bytes(data))
    assert parsed.record is None
    assert parsed.record_problem is not None
    assert "version 3" in parsed.record_problem
    assert parsed.codestream == codestream()
    with pytest.raises(UnsupportedCodestream, match="version 3"):
        unpack_record(b"\x03" + bytes(60))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings_digest": b"short"}, "settings_digest has 5 bytes"),
        ({"weights_digest": bytes(9)}, "weights_digest has 9 bytes"),
        ({"source_sha256": b""}, "source_sha256 has 0 bytes"),
        ({"version": 7}, "version 2, not 7"),
        ({"saliency": np.full((3, 3), 1.5, np.float32)}, "within"),
        ({"saliency": np.full((3, 3), np.nan, np.float32)}, "within"),
        ({"saliency": np.zeros(3, np.float32)}, "shape"),
    ],
)
def test_a_record_with_a_wrong_field_is_refused(change: dict[str, object], message: str) -> None:
    record = dataclasses.replace(FULL_RECORD, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        pack_record(record, bytes(32))


# What a JP2 can hold -------------------------------------------------------------------------------


def test_only_matrix_and_gray_profiles_over_xyz_are_restricted() -> None:
    assert jp2_boxes.icc_is_restricted(SRGB_ICC, 3)
    assert jp2_boxes.icc_is_restricted(SRGB_ICC, 4)
    assert not jp2_boxes.icc_is_restricted(SRGB_ICC, 1)
    assert jp2_boxes.icc_is_restricted(gray_icc(), 1)
    assert jp2_boxes.icc_is_restricted(gray_icc(), 2)
    assert not jp2_boxes.icc_is_restricted(gray_icc(), 3)
    assert not jp2_boxes.icc_is_restricted(LAB_ICC, 3)
    assert not jp2_boxes.icc_is_restricted(SRGB_ICC.replace(b"chad", b"A2B0"), 3)
    assert not jp2_boxes.icc_is_restricted(SRGB_ICC.replace(b"mntr", b"prtr"), 3)
    assert not jp2_boxes.icc_is_restricted(SRGB_ICC[:-1], 3)
    assert not jp2_boxes.icc_is_restricted(b"", 3)


def test_what_cannot_be_kept_is_named_and_left_out() -> None:
    odd = PhotoMetadata(icc=LAB_ICC, exif=b"no TIFF", xmp=XMP, dpi=(0.0, float("nan")))
    assert jp2.unkept_metadata(odd, 3) == ("icc", "exif", "dpi")
    assert jp2.unkept_metadata(FULL, 3) == ()
    parsed = jp2.parse(jp2.wrap(codestream(), metadata=odd))
    assert parsed.metadata == PhotoMetadata(xmp=XMP)
    assert parsed.color == jp2_boxes.SRGB


def test_a_codestream_is_parsed_as_a_file_without_metadata() -> None:
    parsed = jp2.parse(codestream())
    assert parsed.codestream == codestream()
    assert parsed.metadata == PhotoMetadata()
    assert parsed.record is None


def test_wrapping_what_is_no_codestream_is_refused() -> None:
    with pytest.raises(BadCodestream, match="SOC"):
        jp2.wrap(b"\xff\xd8\xff\xe0" + bytes(60), metadata=PhotoMetadata())
    five = codestream(1)[:40] + struct.pack(">H", 5) + b"\x07\x01\x01" * 5
    with pytest.raises(UnsupportedCodestream, match="5 components"):
        jp2.wrap(five, metadata=PhotoMetadata())


def test_components_of_different_depths_get_their_own_box() -> None:
    inside = bytearray(codestream(2))
    inside[45] = 0
    data = jp2.wrap(bytes(inside), metadata=PhotoMetadata())
    assert box(b"bpcc", b"\x07\x00") in data


# Files of others -----------------------------------------------------------------------------------


def test_an_exif_prefix_of_other_writers_is_removed() -> None:
    plain = jp2.wrap(codestream(), metadata=PhotoMetadata())
    photoshop = uuid.UUID("0537cdab-9d0c-4431-a72a-fa561f2a113e").bytes
    for content in (b"JpgTiffExif->JP2Exif\0\0" + EXIF, photoshop + EXIF):
        assert jp2.parse(plain + box(b"uuid", content)).metadata.exif == EXIF


def test_a_display_resolution_serves_where_there_is_no_capture_resolution() -> None:
    plain = jp2.wrap(codestream(), metadata=PhotoMetadata())
    resolution = struct.pack(">4H2b", 300, 254, 600, 254, 4, 4)
    foreign = with_header_box(plain, box(b"res ", box(b"resd", resolution)))
    assert jp2.parse(foreign).metadata.dpi == (600, 300)


def test_a_palette_is_reported_and_applied() -> None:
    indices = np.array([[[0], [1]], [[1], [0]]], np.uint8)
    plain = jp2.wrap(streams.coded(indices, reversible=True), metadata=PhotoMetadata())
    colors = b"\x00\x02\x03\x07\x07\x07" + bytes([10, 20, 30, 200, 210, 220])
    mapping = b"".join(struct.pack(">HBB", 0, 1, column) for column in range(3))
    data = with_header_box(plain, box(b"pclr", colors) + box(b"cmap", mapping))
    assert jp2.parse(data).has_palette
    decoded = openjpeg.decode(data)
    np.testing.assert_array_equal(decoded.pixels[0], [[10, 20, 30], [200, 210, 220]])


def test_a_palette_that_openjpeg_does_not_apply_is_refused_and_not_called_broken() -> None:
    indices = np.array([[[0], [1]], [[1], [0]]], np.uint8)
    plain = jp2.wrap(streams.coded(indices, reversible=True), metadata=PhotoMetadata())
    colors = b"\x00\x02\x03\x07\x07\x07" + bytes([10, 20, 30, 200, 210, 220])
    mapping = b"".join(struct.pack(">HBB", 0, 1, column) for column in (2, 0, 1))
    data = with_header_box(plain, box(b"pclr", colors) + box(b"cmap", mapping))
    with pytest.raises(UnsupportedCodestream, match="palette mapping"):
        openjpeg.decode(data)


def test_a_box_with_a_long_length_is_read() -> None:
    inside = codestream()
    data = jp2.wrap(inside, metadata=PhotoMetadata())
    head = data[: -len(inside) - 8]
    assert jp2.parse(head + struct.pack(">I4sQ", 1, b"jp2c", len(inside) + 16) + inside).codestream == inside
    assert jp2.parse(head + struct.pack(">I4s", 0, b"jp2c") + inside).codestream == inside
    assert jp2_boxes.pack_box_head(b"jp2c", 2**32 - 8) == struct.pack(">I4sQ", 1, b"jp2c", 2**32 + 8)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (struct.pack(">I4s", 7, b"free"), "at byte {end} has the impossible length 7"),
        (struct.pack(">I4sQ", 1, b"free", 15), "at byte {end} has the impossible length 15"),
        (struct.pack(">I4s", 30, b"free"), "at byte {end} ends 22 bytes past the end"),
        (struct.pack(">I4sQ", 1, b"free", 2**64 - 1), "at byte {end} ends"),
        (b"\0\0\0", "at byte {end} is cut off"),
        (struct.pack(">I4s", 1, b"free"), "at byte {end} is cut off"),
    ],
)
def test_a_malformed_box_is_named_by_its_offset(tail: bytes, message: str) -> None:
    data = jp2.wrap(codestream(), metadata=PhotoMetadata())
    end = data.index(b"jp2h") - 4
    with pytest.raises(BadCodestream, match=message.format(end=end)):
        jp2.parse(data[:end] + tail)


@pytest.mark.parametrize(
    "tail", [b"\0\0", struct.pack(">I4s", 7, b"free"), struct.pack(">I4s", 1 << 30, b"free")]
)
def test_a_whole_codestream_is_read_whatever_follows_it(tail: bytes) -> None:
    inside = codestream()
    data = jp2.wrap(inside, metadata=FULL) + tail
    assert jp2.parse(data).codestream == inside
    assert jp2.parse(data).metadata == FULL
    assert jp2.parse(inside + b"padding").codestream == inside


@pytest.mark.parametrize("length", [0, 8, 9, 50, 1 << 30])
def test_a_codestream_is_found_by_its_own_end_where_its_box_has_a_wrong_length(length: int) -> None:
    inside = codestream()
    data = jp2.wrap(inside, metadata=FULL)
    at = data.index(b"jp2c") - 4
    broken = data[:at] + struct.pack(">I", length) + data[at + 4 :]
    assert jp2.parse(broken).codestream == inside
    np.testing.assert_array_equal(openjpeg.decode(broken).pixels, openjpeg.decode(data).pixels)


@pytest.mark.parametrize(
    "extra",
    [
        box(b"cdef", b"\x00\x04\x00\x00"),
        box(b"cdef", b""),
        box(b"res ", box(b"resc", bytes(9))),
        box(b"res ", b"\0\0\0\x20resc"),
    ],
)
def test_a_malformed_box_in_the_header_is_refused(extra: bytes) -> None:
    data = jp2.wrap(codestream(), metadata=PhotoMetadata())
    with pytest.raises(BadCodestream, match="at byte"):
        jp2.parse(with_header_box(data, extra))


def test_a_file_without_codestream_is_refused() -> None:
    inside = codestream()
    data = jp2.wrap(inside, metadata=FULL)
    with pytest.raises(BadCodestream, match="no codestream"):
        jp2.parse(data[: data.index(b"jp2c") - 4])
    with pytest.raises(BadCodestream, match="neither"):
        jp2.parse(b"GIF89a")


EVERYTHING = dataclasses.replace(
    FULL,
    iptc=b"\x1c\x02\x78\0\x05hello",
    photoshop=b"8BIM\x04\x0a\0\0\0\0\0\1\1\0",
    geo=b"II*\0" + bytes(30),
    jumbf=box(b"jumb", box(b"jumd", bytes(20))) + box(b"jumb", box(b"jumd", bytes(21))),
    texts=(("Comment", 'a <b> & "c" \r\n d'), ("Title", "é \U0001f600"), ("", "")),
)


@pytest.mark.parametrize("open_ended", [False, True])
def test_metadata_of_every_kind_come_back(open_ended: bool) -> None:
    data = jp2.wrap(codestream(), metadata=EVERYTHING, record=FULL_RECORD, open_ended=open_ended)
    assert jp2.parse(data).metadata == EVERYTHING
    assert jp2.read_record(data[: data.index(b"jp2c") + 4]) is not None
    behind = data.index(b"jp2c") < data.index(b"xml ")
    assert behind is not open_ended
    assert len(data) == len(codestream()) + jp2.overhead(3, metadata=EVERYTHING, record=FULL_RECORD)
    record = jp2.parse(data).record
    assert record is not None and record.boxes_crc32 == jp2.boxes_crc32(data)


@hypothesis.given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=50)), max_size=5))
def test_any_text_that_is_valid_in_xml_comes_back(texts: list[tuple[str, str]]) -> None:
    held = tuple((name, text) for name, text in texts if jp2_metadata.can_be_text(name + text))
    metadata = PhotoMetadata(texts=held)
    assert jp2.parse(jp2.wrap(codestream(), metadata=metadata)).metadata == metadata


# Other programs ------------------------------------------------------------------------------------


def test_jpylyzer_finds_every_file_valid(archive: pathlib.Path) -> None:
    result = jpylyzer.checkOneFile(str(archive))
    assert result.findtext("isValid") == "True"
    assert [element.tag for element in result.iter() if element.text == "False"] == []
    assert len(result.find("warnings")) == 0
    assert float(result.findtext(".//hRescInPixelsPerInch")) == 300
    assert float(result.findtext(".//vRescInPixelsPerInch")) == 72


def test_exiftool_reads_every_kind_of_metadata_without_warning(archive: pathlib.Path) -> None:
    command = [tool("exiftool"), "-json", "-G1", "-n", str(archive)]
    (found,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert [key for key in found if "Warning" in key or "Error" in key] == []
    assert found["IFD0:Make"] == "Foveate"
    assert found["XMP-dc:Source"] == "an attic"
    assert "ICC-header:ProfileClass" in found
    assert (found["Jpeg2000:ImageWidth"], found["Jpeg2000:ImageHeight"]) == (47, 33)


def test_openjpeg_s_own_tool_decodes_without_warning(archive: pathlib.Path) -> None:
    command = [tool("opj_decompress"), "-i", str(archive), "-o", str(archive.with_suffix(".tif"))]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "WARNING" not in result.stdout + result.stderr


def test_ffmpeg_s_own_decoder_decodes_without_warning(archive: pathlib.Path) -> None:
    command = [tool("ffmpeg"), "-v", "warning", "-c:v", "jpeg2000", "-i", str(archive), "-f", "null", "-"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == ""


def test_pillow_reads_mode_size_and_resolution(archive: pathlib.Path) -> None:
    with Image.open(io.BytesIO(archive.read_bytes())) as image:
        image.load()
        assert image.mode in ("L", "I;16", "LA", "RGB", "RGBA")
        assert image.size == (47, 33)
        assert image.info["dpi"] == pytest.approx((300, 72), rel=1e-3)


def test_the_file_decodes_as_its_codestream_does(archive: pathlib.Path) -> None:
    data = archive.read_bytes()
    decoded = openjpeg.decode(data)
    np.testing.assert_array_equal(decoded.pixels, openjpeg.decode(jp2.parse(data).codestream).pixels)
    assert decoded.warnings == ()


def test_files_of_millions_of_boxes_are_refused_before_they_take_long() -> None:
    codestream = streams.coded(np.zeros((8, 8, 1), np.uint8))
    whole = jp2.wrap(codestream, metadata=PhotoMetadata())
    free = struct.pack(">I4s", 8, b"free")
    some = whole.replace(whole[12:32], whole[12:32] + 1000 * free, 1)
    assert jp2.parse(some).codestream == codestream
    many = whole.replace(whole[12:32], whole[12:32] + 1_000_000 * free, 1)
    header = whole[12:32] + struct.pack(">I4s", 8 + len(free) * 1_000_000, b"jp2h") + 1_000_000 * free
    for data in (many, whole.replace(whole[12:32], header, 1)):
        with pytest.raises(BadCodestream, match="more than 4096 boxes"):
            jp2.parse(data)
    with pytest.raises(BadCodestream, match="more than 4096 boxes"):
        jp2.read_record(many)
