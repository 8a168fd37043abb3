"""Every byte of an AVIF."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.pictures import isobmff
from foveate.pictures.formats import BadPicture, NotForJpeg2000, decode_picture
from foveate.pictures.reasons import Reason
from tests import picture_files
from tests.picture_files import exif_block, sample, xmp_packet

PLAIN = picture_files.avif(sample(34, 41, 3))
ALPHA = picture_files.avif(sample(34, 41, 4), exif=exif_block(1), xmp=xmp_packet())


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def with_property(data: bytes, content: bytes, *, of_picture: bool = True) -> bytes:
    """The file with one more property, of its picture or of nothing; places in it are moved on."""
    top = {one.kind: one for one in isobmff.boxes(data, 0, len(data))}
    meta = top[b"meta"]
    inner = {one.kind: one for one in isobmff.boxes(data, meta.start + 4, meta.end)}
    ipco, ipma = isobmff.boxes(data, inner[b"iprp"].start, inner[b"iprp"].end)
    count = len(list(isobmff.boxes(data, ipco.start, ipco.end)))
    grown = box(b"ipco", data[ipco.start : ipco.end] + content)
    associations = bytearray(data[ipma.start : ipma.end])
    if of_picture:
        associations[10] += 1
        essential = 0x80 if content[4:8] == b"clap" else 0
        associations.insert(11 + associations[10] - 1, essential | count + 1)
    iprp = box(b"iprp", grown + box(b"ipma", bytes(associations)))
    more = len(iprp) - (inner[b"iprp"].end - inner[b"iprp"].offset)
    iloc = bytearray(data[inner[b"iloc"].offset : inner[b"iloc"].end])
    at = 16
    for _ in range(int.from_bytes(iloc[14:16])):
        extents = int.from_bytes(iloc[at + 4 : at + 6])
        at += 6
        for _ in range(extents):
            struct.pack_into(">I", iloc, at, int.from_bytes(iloc[at : at + 4]) + more)
            at += 8
    children = b"".join(
        {b"iprp": iprp, b"iloc": bytes(iloc)}.get(one.kind, data[one.offset : one.end])
        for one in inner.values()
    )
    return data[: meta.offset] + box(b"meta", data[meta.start : meta.start + 4] + children) + data[meta.end :]


def kept_for(data: bytes) -> NotForJpeg2000:
    with pytest.raises(NotForJpeg2000) as caught:
        decode_picture(data)
    return caught.value


def test_a_picture_with_alpha_and_metadata_is_accounted_for() -> None:
    assert decode_picture(ALPHA).metadata_problems == ()
    covered = sum(part.length for part in isobmff.walk(ALPHA).parts if part.name != "color")
    assert covered > 0.8 * len(ALPHA)


def test_the_clean_aperture_is_cut_out() -> None:
    whole = decode_picture(PLAIN).pixels
    # 30 x 20 pixels, their middle half a pixel right of and three and a half above the picture's
    clap = box(b"clap", struct.pack(">IIIIiIiI", 31, 1, 20, 1, 2, 1, -3, 1))
    pixels = decode_picture(with_property(PLAIN, clap)).pixels
    np.testing.assert_array_equal(pixels, whole[4:24, 7:38])
    between = box(b"clap", struct.pack(">IIIIiIiI", 31, 1, 20, 1, 1, 3, 0, 1))
    assert "between pixels" in str(kept_for(with_property(PLAIN, between)))
    beyond = box(b"clap", struct.pack(">IIIIiIiI", 41, 1, 34, 1, 8, 1, 0, 1))
    assert kept_for(with_property(PLAIN, beyond)).reason == Reason.DAMAGED


@pytest.mark.parametrize(
    ("primaries", "transfer", "outcome"),
    [(12, 13, "profile"), (9, 14, "profile"), (9, 16, "hdr"), (1, 8, "color"), (22, 13, "color")],
)
def test_code_points_become_a_profile_or_keep_the_file(primaries: int, transfer: int, outcome: str) -> None:
    at = PLAIN.index(b"colrnclx") + 8
    data = PLAIN[:at] + struct.pack(">HH", primaries, transfer) + PLAIN[at + 4 :]
    if outcome == "profile":
        icc = decode_picture(data).metadata.icc
        assert icc is not None and icc[16:20] == b"RGB "
    else:
        assert kept_for(data).reason == {"hdr": Reason.HIGH_DYNAMIC_RANGE, "color": Reason.COLOR}[outcome]


def test_unknown_data_keep_the_file_where_they_are_large() -> None:
    large = bytes(range(256)) * 20
    assert "DEEP" in str(kept_for(PLAIN + box(b"DEEP", large)))
    assert kept_for(PLAIN + large)
    assert "video" in str(kept_for(PLAIN + box(b"moov", bytes(20))))
    assert "another picture" in str(kept_for(PLAIN + picture_files.jpeg(sample(9, 9, 3))))
    small = decode_picture(with_property(PLAIN, box(b"what", b"small")))
    assert small.metadata_problems == ("unknown properties: what (13 bytes)",)


NAMES = st.text("abcdefgh", min_size=4, max_size=4)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=200), st.booleans()), max_size=3), st.binary(max_size=100)
)
def test_whatever_is_planted_is_named_or_keeps_the_file(
    planted: list[tuple[str, bytes, bool]], behind: bytes
) -> None:
    data = PLAIN
    for name, content, as_property in planted:
        one = box(name.encode(), content)
        data = with_property(data, one, of_picture=False) if as_property else data + one
    try:
        said = " ".join(decode_picture(data + behind).metadata_problems)
    except NotForJpeg2000:
        return
    assert all(name in said for name, _, _ in planted)
    if behind.strip(b"\0") and behind.strip(b"\xff"):
        assert "unknown" in said


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_boxes_raise_nothing_but_our_two_errors(data: st.DataObject) -> None:
    damaged = bytearray(ALPHA)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, 450))] = data.draw(st.integers(0, 255))
    try:
        isobmff.walk(bytes(damaged))
    except (BadPicture, NotForJpeg2000) as error:
        assert str(error)
