"""Every byte of an AVIF."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.pictures import isobmff
from foveate.pictures.formats import BadPicture, NotForJpeg2000, decode_picture
from foveate.pictures.reasons import Reason
from tests import picture_files
from tests.picture_files import exif_block, sample, xmp_packet
from tests.pictures.test_color import RGB, computed, shown

PLAIN = picture_files.avif(sample(34, 41, 3))
ALPHA = picture_files.avif(sample(34, 41, 4), exif=exif_block(1), xmp=xmp_packet())

# 8 x 8 pixels whose AV1 data state their color, which not every encoder writes: BT.2020 with PQ.
CODED = bytes.fromhex(
    "00000020667479706176696600000000617669666d6966316d6961664d413141000000eb6d6574610000000000000021"
    "68646c72000000000000000070696374000000000000000000000000000000000e7069746d0000000000010000001e69"
    "6c6f63000000004400000100010000000100000113000000210000002869696e660000000000010000001a696e666502"
    "0000000001000061763031436f6c6f72000000006a697072700000004b6970636f000000146973706500000000000000"
    "0800000008000000107069786900000000030808080000000c617631438120000000000013636f6c726e636c78000900"
    "100006800000001769706d61000000000000000100010401028304000000296d64617412000a083808bf6d0910069032"
    "1315c26324a000f20200009044b4dbe9c7e19b40"
)


P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
BT2020 = (31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)


def curve_of(transfer: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light of samples in [0, 1], by the formulas of sRGB and BT.709."""
    if transfer == 13:
        return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return np.where(values < 0.0812429, values / 4.5, ((values + 0.0992968) / 1.0992968) ** (1 / 0.45))


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
    taken = bytearray(len(ALPHA))
    walked = isobmff.walk(ALPHA)
    used = [(part.start, part.length) for part in walked.parts]
    for start, length in used + [place for item in walked.items.values() for place in item.extents]:
        taken[start : start + length] = b"\1" * length
    assert taken.count(0) == 16  # the heads of iprp and ipco


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
        picture = decode_picture(data)
        numbers = {12: P3, 9: BT2020}[primaries]
        light = curve_of(transfer, RGB / 255)
        expected = computed(255 * light, numbers, 1.0)
        assert np.abs(shown(RGB, picture.metadata.icc) - expected).max() < 1.6
    else:
        assert kept_for(data).reason == {"hdr": Reason.HIGH_DYNAMIC_RANGE, "color": Reason.COLOR}[outcome]


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (12, 13), (9, 16)])
def test_color_that_only_the_coded_picture_states_counts(primaries: int, transfer: int) -> None:
    coded = bytearray(CODED)
    struct.pack_into(">HH", coded, CODED.index(b"colrnclx") + 8, primaries, transfer)
    coded[-25:-23] = primaries, transfer
    bare = bytes(coded).replace(b"colrnclx", b"freenclx")
    if transfer == 16:
        assert kept_for(bare).reason == Reason.HIGH_DYNAMIC_RANGE
    else:
        assert decode_picture(bare).metadata.icc == decode_picture(bytes(coded)).metadata.icc
        assert (decode_picture(bare).metadata.icc is None) == (primaries == 1)


def with_children(*content: bytes) -> bytes:
    """The file with more boxes at the end of `meta`; places in it are moved on."""
    more = b"".join(content)
    meta = next(one for one in isobmff.boxes(PLAIN, 0, len(PLAIN)) if one.kind == b"meta")
    iloc = next(one for one in isobmff.boxes(PLAIN, meta.start + 4, meta.end) if one.kind == b"iloc")
    moved = bytearray(PLAIN)
    for number in range(int.from_bytes(PLAIN[iloc.start + 6 : iloc.start + 8])):
        at = iloc.start + 8 + 14 * number + 6
        struct.pack_into(">I", moved, at, int.from_bytes(PLAIN[at : at + 4]) + len(more))
    struct.pack_into(">I", moved, meta.offset, meta.end - meta.offset + len(more))
    return bytes(moved[: meta.end]) + more + bytes(moved[meta.end :])


@pytest.mark.parametrize("kind", [*isobmff._IN_META, b"free"])
def test_large_boxes_of_known_kinds_that_nothing_uses_keep_the_file(kind: bytes) -> None:
    planted = np.random.default_rng(1).bytes(100_000)
    with pytest.raises((NotForJpeg2000, BadPicture)):
        decode_picture(with_children(box(kind, bytes(4) + planted)))


def test_pixels_that_are_not_square_are_named() -> None:
    square, long = (box(b"pasp", struct.pack(">II", across, 1)) for across in (1, 2))
    assert decode_picture(with_property(PLAIN, square)).metadata_problems == ()
    (problem,) = decode_picture(with_property(PLAIN, long)).metadata_problems
    assert problem.startswith("shape of pixels that are not square")


def test_boxes_without_number_are_refused_before_they_take_long() -> None:
    with pytest.raises(BadPicture, match="more than 4,096 boxes"):
        isobmff.walk(PLAIN + box(b"ftyp", b"") * 5000)


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
