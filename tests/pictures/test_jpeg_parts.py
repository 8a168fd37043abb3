"""Every byte of a JPEG: carried, named, or reason enough to keep the file."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import jpeg_parts, jumbf
from foveate.pictures.formats import NotForJpeg2000, Picture, decode_picture, encode_picture
from foveate.pictures.reasons import Reason
from tests import picture_files
from tests.picture_files import exif_block, sample, xmp_packet

PLAIN = picture_files.jpeg(sample(23, 31, 3), quality=60)
PROGRESSIVE = picture_files.jpeg(sample(23, 31, 3), quality=60, progressive=True)
IIM = b"\x1c\x02\x78\0\x05hello" + b"\x1c\x02\x19\0\x06harbor"


def segment(marker: int, payload: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(payload) + 2) + payload


def with_segments(*segments: tuple[int, bytes], data: bytes = PLAIN) -> bytes:
    return data[:2] + b"".join(segment(*one) for one in segments) + data[2:]


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def kept_for(data: bytes) -> NotForJpeg2000:
    with pytest.raises(NotForJpeg2000) as caught:
        decode_picture(data)
    return caught.value


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (box(b"ftyp", b"mp42\0\0\0\0isom") + box(b"mdat", bytes(9)), Reason.EXTRA_DATA),
        (bytes(100) + box(b"ftyp", b"mp42\0\0\0\0isom"), Reason.EXTRA_DATA),
        (PLAIN, Reason.SEVERAL_PICTURES),
        (b"PK\3\4" + bytes(30), Reason.EXTRA_DATA),
        (bytes(range(256)) * 20, Reason.EXTRA_DATA),
    ],
)
@pytest.mark.parametrize("data", [PLAIN, PROGRESSIVE])
def test_a_payload_after_the_picture_keeps_the_file(data: bytes, payload: bytes, reason: Reason) -> None:
    kept = kept_for(data + payload)
    assert kept.reason == reason
    assert "after the picture" in str(kept)


def test_padding_after_the_picture_is_no_loss() -> None:
    assert decode_picture(PLAIN + bytes(9000)).metadata_problems == ()
    assert decode_picture(PLAIN + b"\xff" * 9000).metadata_problems == ()


@pytest.mark.parametrize(
    ("marker", "payload", "words"),
    [
        (0xE1, b"FLIR\0\1\0\0" + bytes(500), "thermal"),
        (0xE3, b"_JPSJPS_" + bytes(10), "stereo"),
        (0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4), "gain map"),
        (0xE7, b"NEWDATA\0" + bytes(range(256)) * 20, "unknown JPEG segments: APP7 NEWDATA"),
    ],
)
def test_segments_with_data_keep_the_file(marker: int, payload: bytes, words: str) -> None:
    assert words in str(kept_for(with_segments((marker, payload))))


def test_unknown_data_cut_into_many_small_segments_keep_the_file() -> None:
    assert kept_for(with_segments(*[(0xE7, b"X\0" + bytes([n]) * 300) for n in range(20)]))


def index(*kinds: int, at: int = 0, size: int = 0) -> tuple[int, bytes]:
    """A multi-picture index; the pictures after the first lie at `at` from its own start."""
    views = b"".join(
        struct.pack("<IIIHH", kind, size if n else 0, at if n else 0, 0, 0) for n, kind in enumerate(kinds)
    )
    body = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHII", 0xB002, 7, len(views), 26) + bytes(4)
    return 0xE2, b"MPF\0" + body + views


@pytest.mark.parametrize("kind", [0, 0x020001, 0x020002, 0x020003, 0x030000, 0x050000])
def test_every_picture_of_an_index_that_is_no_preview_keeps_the_file(kind: int) -> None:
    assert kept_for(with_segments(index(0x030000, kind))).reason == Reason.SEVERAL_PICTURES


def test_previews_that_the_index_lists_are_left_out_and_named() -> None:
    small = picture_files.jpeg(sample(8, 9, 3))
    head = with_segments(index(0x030000, 0x010001))
    base = 2 + 4 + 4  # SOI, the segment's head, its mark
    data = with_segments(index(0x030000, 0x010001, at=len(head) - base, size=len(small))) + small
    assert decode_picture(data).metadata_problems == (f"preview: {len(small):,} bytes",)
    assert kept_for(data + small).reason == Reason.SEVERAL_PICTURES


@pytest.mark.parametrize(
    "mark", ['MotionPhoto="1"', "MotionPhoto='1'", 'MotionPhoto = "1"', "MicroVideo='1'", "g:MotionPhoto>1<"]
)
def test_a_motion_photo_is_known_however_its_mark_is_written(mark: str) -> None:
    packet = xmp_packet().replace(b' xmlns:tiff="', f' {mark} xmlns:tiff="'.encode(), 1)
    assert kept_for(with_segments((0xE1, jpeg_parts.XMP + packet))).reason == Reason.EXTRA_DATA


def test_a_comment_beyond_a_segment_is_continued_in_the_next_and_no_character_is_cut() -> None:
    said = "Grüße aus Köln " * 9000
    metadata = PhotoMetadata(texts=(("Comment", said),))
    back = decode_picture(encode_picture(sample(7, 9, 3), metadata, "jpeg")).metadata.texts
    assert len(back) == 3
    assert "".join(text for _, text in back) == said


def test_iptc_photoshop_resources_comments_and_jumbf_come_back_in_a_restored_jpeg() -> None:
    def resource(number: int, content: bytes) -> bytes:
        return b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + content + bytes(len(content) % 2)

    irb = resource(0x0404, IIM) + resource(0x040C, b"thumbnail!") + resource(0x03ED, bytes(16))
    boxes = box(b"jumb", box(b"jumd", bytes(range(200))) * 400)
    data = with_segments(
        (0xED, jpeg_parts.PHOTOSHOP + irb),
        (0xFE, "Grüße".encode()),
        *[(0xEB, payload) for payload in jumbf.as_segments(boxes)],
    )
    picture = decode_picture(data)
    metadata = picture.metadata
    assert (metadata.iptc, metadata.jumbf) == (IIM, boxes)
    assert metadata.texts == (("Comment", "Grüße"),)
    assert metadata.photoshop == resource(0x03ED, bytes(16))
    assert picture.metadata_problems == ("Photoshop thumbnail: 10 bytes",)
    assert decode_picture(encode_picture(picture.pixels, metadata, "jpeg")).metadata == metadata


def test_extended_xmp_is_joined_and_written_in_two_parts_again() -> None:
    keywords = b"".join(b"<rdf:li>keyword %d</rdf:li>" % n for n in range(9000))
    packet = xmp_packet().replace(b"</rdf:Seq>", keywords + b"</rdf:Seq>")
    written = encode_picture(sample(7, 9, 3), decode_picture(PLAIN).metadata.__class__(xmp=packet), "jpeg")
    back = decode_picture(written)
    assert back.metadata.xmp is not None
    assert back.metadata_problems == ()
    assert keywords in back.metadata.xmp and b"HasExtendedXMP" not in back.metadata.xmp
    assert back.metadata.xmp.count(b"</rdf:RDF>") == 1
    missing = bytearray(written)
    at = written.index(jpeg_parts.MORE_XMP, written.index(jpeg_parts.MORE_XMP) + 1) - 4
    size = 2 + int.from_bytes(written[at + 2 : at + 4])
    del missing[at : at + size]
    assert "XMP, extended: it lacks some of its parts" in str(kept_for(bytes(missing)))


def test_the_thumbnail_and_the_sizes_follow_a_picture_that_is_turned() -> None:
    small = picture_files.jpeg(sample(12, 20, 3))
    block = exif_block(6, thumbnail=True)
    # The last directory has one field, an orientation: it becomes three, with the thumbnail behind it.
    at = len(block) - 18
    fields = struct.pack("<HHHIHH", 3, 0x0112, 3, 1, 6, 0)
    fields += (
        struct.pack("<HHII", 513, 4, 1, at + 42) + struct.pack("<HHII", 514, 4, 1, len(small)) + bytes(4)
    )
    data = picture_files.jpeg(sample(23, 31, 3), exif=block[:at] + fields + small)
    picture = decode_picture(data)
    assert picture.metadata_problems == ()
    assert picture.metadata.exif is not None
    turned = picture.metadata.exif[picture.metadata.exif.index(b"\xff\xd8\xff") :]
    assert decode_picture(turned).pixels.shape == (20, 12, 3)
    assert struct.pack("<HHIH", 0x0112, 3, 1, 6) not in picture.metadata.exif


LARGE = bytes(range(1, 252)) * 203  # 50,953 bytes that are no padding


@pytest.mark.parametrize(("marker", "prefix"), [(marker, mark) for marker, mark, _ in jpeg_parts.SEGMENTS])
def test_every_known_segment_is_carried_named_or_keeps_the_file_whatever_its_size_and_number(
    marker: int, prefix: bytes
) -> None:
    for payload in (LARGE, b"\1\2 x"):
        for number in (1, 2, 150):
            planted = [(marker, prefix + payload + bytes([n % 200 + 1])) for n in range(number)]
            try:
                picture = decode_picture(with_segments(*planted))
            except NotForJpeg2000:
                continue
            known = next(one for mark, begin, one in jpeg_parts.SEGMENTS if (mark, begin) == (marker, prefix))
            held = b"".join(text.encode("latin-1") for _, text in picture.metadata.texts)
            held += (picture.metadata.xmp or b"") + (picture.metadata.exif or b"")
            said = " ".join(picture.metadata_problems)
            for _, content in planted:
                is_small = len(content) <= (known.most or 0) - 4 and number == 1
                assert content[len(prefix) :] in held or is_small or said


def test_a_jpeg_xt_box_keeps_the_file_however_it_is_cut() -> None:
    residual = box(b"RESI", LARGE)
    pieces = [
        b"JP" + struct.pack(">HI", 1, n) + residual[:8] + residual[8:][n * 30000 :][:30000] for n in (0, 1)
    ]
    kept = kept_for(with_segments(*[(0xEB, piece) for piece in pieces]))
    assert kept.reason == Reason.HIGH_DYNAMIC_RANGE and "RESI" in str(kept)


def test_whole_jumbf_boxes_survive_next_to_a_damaged_one() -> None:
    good, bad = box(b"jumb", box(b"jumd", b"good")), box(b"jumb", box(b"jumd", b"bad"))[:-1]
    data = with_segments(
        (0xEB, b"JP" + struct.pack(">HI", 1, 1) + good), (0xEB, b"JP" + struct.pack(">HI", 2, 1) + bad)
    )
    picture = decode_picture(data)
    assert picture.metadata.jumbf == good
    assert picture.metadata_problems == ("C2PA and other JUMBF boxes: damaged (26 bytes)",)
    lost = box(b"jumb", LARGE)[:-1]
    assert kept_for(with_segments((0xEB, b"JP" + struct.pack(">HI", 1, 1) + lost)))


def test_a_depth_map_in_pieces_of_xmp_that_cannot_be_joined_keeps_the_file() -> None:
    packet = xmp_packet().replace(
        b" xmlns:tiff=", b' xmpNote:HasExtendedXMP="%s" xmlns:tiff=' % (b"A" * 32), 1
    )
    piece = b"A" * 32 + struct.pack(">II", 99999, 0) + b'GDepth:Data="' + b"x" * 99
    kept = kept_for(with_segments((0xE1, jpeg_parts.XMP + packet), (0xE1, jpeg_parts.MORE_XMP + piece)))
    assert "a depth map" in str(kept)


def test_a_long_packet_of_spaces_takes_no_longer_than_any_other() -> None:
    packet = jpeg_parts.XMP + b" " * 65_000
    assert decode_picture(
        with_segments((0xE1, packet), (0xE1, jpeg_parts.MORE_XMP + b"A" * 40))
    ).metadata_problems


@pytest.mark.parametrize("numbers", [((1, 2),), ((1, 2), (1, 2)), ((1, 2), (2, 3))])
def test_a_profile_that_lacks_parts_or_has_one_twice_keeps_the_file(
    numbers: tuple[tuple[int, int], ...],
) -> None:
    segments = [(0xE2, jpeg_parts.ICC + bytes(pair) + bytes(200)) for pair in numbers]
    assert kept_for(with_segments(*segments)).reason == Reason.COLOR


def test_pixels_that_are_not_square_are_named() -> None:
    at = PLAIN.index(b"JFIF") + 7
    data = PLAIN[:at] + struct.pack(">BHH", 0, 2, 1) + PLAIN[at + 5 :]
    assert decode_picture(data).metadata_problems == (
        "shape of pixels that are not square: 2 to 1 (8 bytes)",
    )


def test_a_video_within_what_the_index_calls_a_preview_keeps_the_file() -> None:
    small = picture_files.jpeg(sample(8, 9, 3)) + box(b"ftyp", b"mp42\0\0\0\0isom") + box(b"mdat", LARGE)
    head = with_segments(index(0x030000, 0x010001))
    data = with_segments(index(0x030000, 0x010001, at=len(head) - 10, size=len(small))) + small
    assert "a video after the picture" in str(kept_for(data))


def test_a_trailer_is_known_by_its_last_bytes_too() -> None:
    (problem,) = decode_picture(PLAIN + bytes(range(1, 90)) + b"cbipcbbl").metadata_problems
    assert problem.startswith("PhotoMechanic trailer")


MARKERS = st.integers(0xE0, 0xEF)
PAYLOADS = st.binary(max_size=300)


def places(data: bytes) -> list[int]:
    """Where a segment may stand: before any other, and between scans."""
    return [one.start for one in jpeg_parts.walk(data).segments if one.marker != 0xDA or one.start < 700]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([PLAIN, PROGRESSIVE]),
    st.lists(st.tuples(MARKERS, PAYLOADS, st.floats(0, 0.999)), max_size=4),
    st.binary(max_size=200),
)
@example(PLAIN, [(0xEB, b"JP", 0.0)], b"")
def test_whatever_is_planted_is_named_or_keeps_the_file(
    data: bytes, planted: list[tuple[int, bytes, float]], behind: bytes
) -> None:
    for marker, payload, share in planted:
        where = places(data)
        at = where[int(share * len(where))]
        data = data[:at] + segment(marker, payload) + data[at:]
    data += behind
    walked = jpeg_parts.walk(data)
    covered = 0
    for part in sorted(walked.parts, key=lambda part: (part.start, part.length)):
        assert part.start <= covered, f"nothing accounts for byte {covered}"
        covered = max(covered, part.end)
    assert covered == len(data)
    try:
        picture: Picture = decode_picture(data)
    except NotForJpeg2000:
        return
    said = " ".join(picture.metadata_problems)
    for marker, payload, _ in planted:
        if (marker, payload[:5]) != (0xE0, b"JFIF\0") and marker != 0xEE:
            name = "JUMBF" if marker == 0xEB and payload.startswith(b"JP") else f"APP{marker - 0xE0}"
            assert name in said
    if behind.strip(b"\0") and behind.strip(b"\xff"):
        assert any(name in said for name in ("bytes after the picture", "trailer", "Samsung data"))


def test_a_file_of_nothing_but_markers_is_walked_in_bounded_memory() -> None:
    data = PLAIN[:2] + b"\xff\xe5\0\2" * 60_000 + PLAIN[2:]
    tracemalloc.start()
    assert kept_for(data)
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()
