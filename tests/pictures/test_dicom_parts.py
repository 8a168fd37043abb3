"""Tests what happens to the elements of DICOM files, which needs no decoder."""

from __future__ import annotations

import re
import struct
import zlib

import pytest

from foveate.pictures import dicom
from foveate.pictures.dicom_parts import RULES, known_of
from foveate.pictures.formats import NotForJpeg2000
from tests import dicoms
from tests.dicoms import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, scan
from tests.picture_files import icc_profile

DATASET = "the DICOM dataset, patient and study"


def losses(*also: dicoms.Element, syntax: str = EXPLICIT) -> tuple[str, ...]:
    return dicom.losses(dicoms.dicom(scan(bits=8), syntax=syntax, also=also))


def test_every_rule_is_found_by_a_tag_of_its_own() -> None:
    for rule in RULES:
        number = int(rule.tags.replace(",", "").replace("x", "0"), 16)
        assert known_of(number) is rule.known
    assert known_of(0x00100010).name == DATASET
    assert known_of(0x00091001).name == "private elements of the device"


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_the_dataset_and_private_elements_are_named_with_their_bytes(syntax: str) -> None:
    (plain,) = losses(syntax=syntax)
    more, private = losses((0x00104000, b"LO", "x" * 40), (0x00091001, b"UN", b"y" * 90), syntax=syntax)
    assert plain.startswith(f"{DATASET}: ") and more.startswith(f"{DATASET}: ")
    sizes = [int(re.findall(r"([\d,]+) bytes", text)[0]) for text in (plain, more, private)]
    assert (sizes[1] - sizes[0], private.partition(":")[0]) == (48, "private elements of the device")
    assert sizes[2] >= 98


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        (0x60003000, "overlays: 6000,3000"),
        (0x50003000, "curves or sound"),
        (0x54000100, "waveforms"),
        (0x00420011, "a document"),
        (0x00700001, "annotations"),
        (0x30060020, "radiotherapy"),
    ],
)
def test_overlays_and_measurements_besides_the_pixels_keep_the_file(tag: int, name: str) -> None:
    with pytest.raises(NotForJpeg2000, match=f"a DICOM file that holds {name}"):
        losses((tag, b"OB", b"abcd"))


def test_much_private_data_of_a_device_keeps_the_file() -> None:
    with pytest.raises(NotForJpeg2000, match="private elements of the device"):
        losses((0x00291010, b"OB", bytes(range(1, 101)) * 700))


def test_data_around_the_elements_is_named() -> None:
    data = dicoms.dicom(scan(bits=8))
    assert "unknown preamble: 7 bytes" in dicom.losses(b"anybody".ljust(128, b"\0") + data[128:])
    assert any("bytes after the picture" in loss for loss in dicom.losses(data + b"behind it"))
    assert len(dicom.losses(data + bytes(80))) == 1
    with pytest.raises(NotForJpeg2000, match="another picture after the picture"):
        dicom.losses(data + b"\xff\xd8\xff" + b"x" * 99)
    padding = dicoms.element(0xFFFCFFFC, b"OB", bytes(64))
    assert len(dicom.losses(data + padding)) == 1
    filled = dicoms.element(0xFFFCFFFC, b"OB", b"z" * 64)
    assert dicom.losses(data + filled)[1] == "unknown elements: FFFC,FFFC (76 bytes)"


def test_pixels_beyond_those_described_are_named() -> None:
    samples = scan(bits=8)
    pixels = samples.tobytes()
    more = dicoms.dicom(samples, also=[(0x7FE00010, b"OB", pixels + b"12345")])
    assert len(pixels) % 2
    assert dicom.losses(more)[1] == "unknown bytes after the pixels: 5 bytes"
    padded = dicoms.dicom(samples, also=[(0x7FE00010, b"OB", pixels + bytes(9))])
    assert len(dicom.losses(padded)) == 1


def test_data_after_a_deflated_dataset_is_named() -> None:
    plain = dicoms.dicom(scan(bits=8), syntax=DEFLATED)
    at = plain.index(struct.pack("<HH", 8, 0x60))
    packer = zlib.compressobj(wbits=-15)
    data = plain[:at] + packer.compress(plain[at:]) + packer.flush()
    assert len(dicom.losses(data)) == 1
    assert "4 bytes" in dicom.losses(data + b"more")[1]


def test_the_profile_of_a_gray_picture_and_a_second_element_of_a_tag_are_named() -> None:
    assert losses((0x00282000, b"OB", icc_profile()))[1].startswith("color profile of a gray picture")
    data = dicoms.dicom(scan(bits=8))
    rows = dicoms.element(0x00280010, b"US", 61)
    at = data.index(rows)
    assert dicom.losses(data[:at] + rows + data[at:])[1] == "unknown elements: 0028,0010 (10 bytes)"


def test_what_describes_no_pixel_is_named() -> None:
    for tag, name in ((0x00281201, "0028,1201"), (0x7FE00001, "7FE0,0001")):
        assert losses((tag, b"OW", b"hidden"))[1] == f"unknown elements: {name} (18 bytes)"
    rows = struct.pack("<H", 61) + b"hidden"
    assert losses((0x00280010, b"US", rows))[1] == "unknown elements: 0028,0010 (16 bytes)"
