"""Tests DICOM: stored values are exact, and anything unsupported is refused with a reason."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.pictures.dicom import MISSING_EXTRA, frame_count
from foveate.pictures.formats import (
    DICOM_EXTENSIONS,
    PICTURE_EXTENSIONS,
    BadPicture,
    NotForJpeg2000,
    decode_picture,
)
from tests import dicoms
from tests.dicoms import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    RLE,
    dicom,
    fragments,
    needs_tfio,
    scan,
    unstretched,
)
from tests.picture_files import icc_profile, sample

ROOT = Path(__file__).parents[2]


def stored(data: bytes, bits: int, frame: int = 0) -> NDArray[np.int64]:
    """Decodes a file, with the stretch undone."""
    picture = decode_picture(data, frame=frame)
    assert picture.format == "dicom" and picture.bit_depth == bits
    assert picture.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    return unstretched(picture.pixels, bits)


def packed_bits(row: bytes) -> bytes:
    """A row of the RLE of DICOM (PS3.5 annex G): literal runs alone."""
    parts = [row[at : at + 128] for at in range(0, len(row), 128)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def rle(samples: NDArray[Any]) -> bytes:
    """One frame in DICOM's RLE: a segment a byte of a sample, the most significant first."""
    planes = samples[:, :, np.newaxis] if samples.ndim == 2 else samples
    segments = [
        b"".join(packed_bits(row.tobytes()) for row in (planes[:, :, channel] >> shift).astype(np.uint8))
        for channel in range(planes.shape[2])
        for shift in range(8 * samples.dtype.itemsize - 8, -1, -8)
    ]
    segments = [segment + bytes(len(segment) % 2) for segment in segments]
    starts = [64 + sum(map(len, segments[:i])) for i in range(len(segments))]
    return struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(starts))) + b"".join(segments)


# ---------------------------------------------------------------- what is read


@needs_tfio
@pytest.mark.parametrize("bits", [8, 9, 10, 12, 13, 14, 15, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_every_stored_value_of_a_gray_picture_can_be_had_back(bits: int, signed: bool) -> None:
    samples = scan(bits=bits, signed=signed)
    raised = samples.astype(np.int64) + (1 << (bits - 1) if signed else 0)
    assert np.array_equal(stored(dicom(samples, bits), bits)[:, :, 0], raised)


@needs_tfio
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_monochrome1_is_inverted_as_it_is_to_be_looked_at(bits: int) -> None:
    samples = scan(bits=bits)
    data = dicom(samples, bits, photometric="MONOCHROME1")
    assert np.array_equal(stored(data, bits)[:, :, 0], (1 << bits) - 1 - samples.astype(np.int64))


@needs_tfio
def test_samples_in_the_upper_bits_and_bytes_of_few_bits_are_read_as_described() -> None:
    samples = scan(bits=12)
    upper = dicom(samples << 4, 12, also=[(0x00280102, b"US", 15)])
    assert np.array_equal(stored(upper, 12)[:, :, 0], samples)
    eight = scan(bits=8).astype(np.uint16)
    assert np.array_equal(stored(dicom(eight, 8), 8)[:, :, 0], eight)


@needs_tfio
@pytest.mark.parametrize(
    "also",
    [
        [(0x00281052, b"DS", "-1024"), (0x00281053, b"DS", "1")],
        [(0x00281052, b"DS", "0.5"), (0x00281053, b"DS", "0.48840048840048")],
        [(0x00281050, b"DS", "40"), (0x00281051, b"DS", "400")],
        [(0x20500020, b"CS", "INVERSE")],
        [(0x00280034, b"IS", "2\\1")],
        [(0x00283000, b"SQ", b"")],
    ],
    ids=["CT rescale", "PET rescale", "window", "presentation", "aspect", "empty table"],
)
def test_what_says_how_to_show_values_does_not_change_them(also: list[dicoms.Element]) -> None:
    samples = scan(bits=12)
    assert np.array_equal(stored(dicom(samples, 12, also=also), 12)[:, :, 0], samples)


@needs_tfio
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_color_of_8_to_16_bits_is_read_in_every_encoding(syntax: str, bits: int) -> None:
    color = sample(9, 15, 3, 8 if bits == 8 else 16) >> (4 if bits == 12 else 0)
    assert np.array_equal(stored(dicom(color, bits, syntax=syntax), bits), color)
    planes = np.ascontiguousarray(color.transpose(2, 0, 1)).reshape(color.shape)
    by_plane = dicom(planes, bits, syntax=syntax, also=[(0x00280006, b"US", 1)])
    assert np.array_equal(stored(by_plane, bits), color)


@needs_tfio
def test_ybr_becomes_rgb() -> None:
    color = sample(16, 22, 3)
    full = np.asarray(decode_picture(dicom(_ybr(color), photometric="YBR_FULL")).pixels, int)
    assert np.abs(full - color).max() <= 3


def _ybr(color: NDArray[Any]) -> NDArray[np.uint8]:
    """YBR_FULL of RGB (PS3.3 C.7.6.3.1.2)."""
    matrix = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    ybr: NDArray[np.uint8] = np.clip(np.rint(color @ matrix.T + (0, 128, 128)), 0, 255).astype(np.uint8)
    return ybr


def palette(indices: NDArray[Any], table: NDArray[Any], depth: int, first: int = 0) -> bytes:
    """A file whose colors are those of a table (3, entries)."""
    also: list[dicoms.Element] = []
    for channel in range(3):
        also.append((0x00281101 + channel, b"US", struct.pack("<3H", table.shape[1], first, depth)))
        also.append((0x00281201 + channel, b"OW", table[channel].tobytes()))
    bits = 8 if indices.dtype == np.uint8 else 12
    return dicom(indices, bits, photometric="PALETTE COLOR", also=also)


@needs_tfio
@pytest.mark.parametrize("entries", ["bytes", "upper byte", "both bytes"])
def test_a_palette_of_8_bits_becomes_its_colors_however_it_is_stored(entries: str) -> None:
    table = np.random.default_rng(3).integers(0, 256, (3, 256)).astype(np.uint8)
    wide = table.astype(np.uint16) * np.uint16(256 if entries == "upper byte" else 257)
    indices = scan(bits=8)
    data = palette(indices, table, 8) if entries == "bytes" else palette(indices, wide, 16)
    assert np.array_equal(stored(data, 8), table.T[indices])
    part = (
        palette(indices, table[:, :100], 8, 50)
        if entries == "bytes"
        else palette(indices, wide[:, :100], 16, 50)
    )
    clipped = np.clip(indices.astype(int) - 50, 0, 99)
    assert np.array_equal(stored(part, 8), table.T[clipped])


@needs_tfio
def test_a_palette_of_16_bits_becomes_its_colors() -> None:
    table = np.random.default_rng(3).integers(0, 65536, (3, 4096)).astype(np.uint16)
    indices = scan(bits=12)
    assert np.array_equal(stored(palette(indices, table, 16), 16), table.T[indices])


@needs_tfio
def test_a_palette_whose_depth_is_in_doubt_keeps_the_file() -> None:
    table = np.random.default_rng(3).integers(0, 256, (3, 256)).astype(np.uint16)
    for depth in (12, 16):
        with pytest.raises(NotForJpeg2000, match=f"palette of {depth} bits"):
            decode_picture(palette(scan(bits=8), table, depth))


@needs_tfio
@pytest.mark.parametrize("bits", [8, 16])
def test_lossless_codecs_give_the_stored_values(bits: int) -> None:
    samples = scan(bits=bits)
    coded = {
        RLE: rle(samples),
        JPEG_LS: imagecodecs.jpegls_encode(samples),
        JPEG_2000: imagecodecs.jpeg2k_encode(samples, codecformat="j2k", reversible=True, level=0),
    }
    for syntax, frame in coded.items():
        data = dicom(samples, syntax=syntax, coded=fragments([frame]))
        assert np.array_equal(stored(data, bits)[:, :, 0], samples), syntax


@needs_tfio
def test_jpeg_and_reversible_jpeg_2000_in_color_are_read() -> None:
    color = sample(32, 48, 3)
    j2k = imagecodecs.jpeg2k_encode(color, codecformat="j2k", reversible=True, level=0, mct=True)
    data = dicom(color, syntax=JPEG_2000, photometric="YBR_RCT", coded=fragments([j2k]))
    assert np.array_equal(stored(data, 8), color)
    jpeg = imagecodecs.jpeg8_encode(color, level=95, subsampling="444")
    data = dicom(color, syntax=JPEG, photometric="YBR_FULL", coded=fragments([jpeg]))
    assert np.abs(stored(data, 8) - imagecodecs.jpeg8_decode(jpeg)).max() <= 2


@needs_tfio
def test_a_deflated_file_is_read() -> None:
    samples = scan(bits=12)
    plain = dicom(samples, 12, syntax=DEFLATED)
    at = plain.index(struct.pack("<HH", 8, 0x60))
    packer = zlib.compressobj(wbits=-15)
    data = plain[:at] + packer.compress(plain[at:]) + packer.flush()
    assert np.array_equal(stored(data, 12)[:, :, 0], samples)


@needs_tfio
def test_the_profile_of_a_color_picture_is_carried_and_the_dataset_is_named_as_lost() -> None:
    profile = icc_profile()
    picture = decode_picture(dicom(sample(9, 13, 3), also=[(0x00282000, b"OB", profile)]))
    assert picture.metadata.icc == profile
    (problem,) = picture.metadata_problems
    assert problem.startswith("the DICOM dataset, patient and study: ") and problem.endswith(" bytes")


@needs_tfio
def test_too_many_pixels_are_refused_by_their_number() -> None:
    with pytest.raises(BadPicture, match=r"61 x 47|47 x 61"):
        decode_picture(dicom(scan(), 12), max_pixels=61 * 47 - 1)
    decode_picture(dicom(scan(), 12), max_pixels=61 * 47)


# ---------------------------------------------------------------- frames


def cine(count: int = 3, bits: int = 12) -> list[NDArray[Any]]:
    """Frames that differ."""
    return [np.roll(scan(bits=bits), 5 * i, 1) for i in range(count)]


@needs_tfio
@pytest.mark.parametrize("bits", [8, 12])
def test_each_frame_of_several_is_read_by_its_number(bits: int) -> None:
    frames = cine(3, bits)
    data = dicom(np.concatenate(frames), bits, frames=3)
    assert frame_count(data) == 3
    for number, samples in enumerate(frames, 1):
        assert np.array_equal(stored(data, bits, number)[:, :, 0], samples)
    with pytest.raises(BadPicture, match="no frame 4"):
        decode_picture(data, frame=4)


def test_several_frames_are_kept_unless_one_is_named() -> None:
    data = dicom(np.concatenate(cine()), 12, frames=3)
    with pytest.raises(NotForJpeg2000, match=r"^3 frames; --dicom-frames first or all"):
        decode_picture(data)


@needs_tfio
def test_compressed_frames_are_told_apart_by_their_fragments_or_offsets() -> None:
    frames = cine(3, 8)
    coded = [imagecodecs.jpegls_encode(frame) for frame in frames]
    one_each = dicom(np.concatenate(frames), syntax=JPEG_LS, frames=3, coded=fragments(coded))
    halves = [half for frame in coded for half in (frame[:100], frame[100:])]
    starts = [sum(8 + len(half) + len(half) % 2 for half in halves[: 2 * i]) for i in range(3)]
    two_each = dicom(np.concatenate(frames), syntax=JPEG_LS, frames=3, coded=fragments(halves, starts))
    for data in (one_each, two_each):
        assert frame_count(data) == 3
        for number, samples in enumerate(frames, 1):
            assert np.array_equal(stored(data, 8, number)[:, :, 0], samples)
    unclear = dicom(np.concatenate(frames), syntax=JPEG_LS, frames=3, coded=fragments(halves))
    assert frame_count(unclear) == 1
    with pytest.raises(NotForJpeg2000, match="cannot be separated"):
        decode_picture(unclear, frame=1)


def test_anything_but_several_sound_frames_counts_as_one() -> None:
    whole = dicom(np.concatenate(cine()), 12, frames=3)
    assert [frame_count(data) for data in (b"", whole[:-1], dicom(scan(), 12))] == [1, 1, 1]


# ---------------------------------------------------------------- what is kept, what is broken

U8, U16 = scan(bits=8), scan(bits=16)
KEPT = {
    "32 bits": (dicom(U16.astype(np.uint32)), "32 bits"),
    "4 bits": (dicom(U8 >> 4, 4), "4 bits"),
    "no pixels": (dicom(U8, without=[0x7FE00010]), "without a picture"),
    "floating": (
        dicom(U8, without=[0x7FE00010], also=[(0x7FE00008, b"OF", bytes(4 * U8.size))]),
        "floating-point",
    ),
    "CMYK": (dicom(U8, photometric="CMYK"), "photometric interpretation CMYK"),
    "no photometric": (dicom(U8, photometric=" "), "photometric interpretation unknown"),
    "signed color": (dicom(sample(9, 9, 3), also=[(0x00280103, b"US", 1)]), "signed RGB"),
    "video": (dicom(U8, syntax="1.2.840.10008.1.2.4.102", coded=fragments([b"video"])), "video"),
    "private syntax": (
        dicom(U8, syntax="1.2.840.113619.5.2"),
        r"unsupported transfer syntax 1\.2\.840",
    ),
    "big-endian frames": (
        dicom(np.concatenate(cine()), 12, frames=3, syntax=BIG_ENDIAN),
        "3 frames|big-endian",
    ),
    "no file header": (dicom(U8)[dicom(U8).index(struct.pack("<HH", 8, 0x60)) :], "without a file header"),
}
BROKEN = {
    "no syntax": (dicoms.file([], "")[:144], "how it is encoded"),
    "short pixels": (dicom(U8, also=[(0x00280010, b"US", 62)]), r"2,8\d\d bytes .* 2,914 are described"),
    "no size": (dicom(U8, without=[0x00280010]), "size or depth .* is missing"),
    "frames": (dicom(U8, also=[(0x00280008, b"IS", "many")]), "number of frames is 'many'"),
    "no frames": (dicom(U8, also=[(0x00280008, b"IS", "0")]), "number of frames is '0'"),
    "two samples": (dicom(U8, also=[(0x00280002, b"US", 3)]), "MONOCHROME2 of 3 samples"),
    "stored": (dicom(U8, 12), "12 of 8 bits"),
    "no rows": (dicom(U8, also=[(0x00280010, b"US", 0)]), "47 x 0"),
    "no fragments": (dicom(U8, syntax=JPEG, coded=fragments([])), "no compressed pixels"),
}


@pytest.mark.parametrize("name", KEPT)
def test_files_that_are_not_understood_are_kept_with_a_reason(name: str) -> None:
    data, reason = KEPT[name]
    with pytest.raises(NotForJpeg2000, match=reason):
        decode_picture(data)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_input_is_rejected_with_a_reason(name: str) -> None:
    data, reason = BROKEN[name]
    with pytest.raises(BadPicture, match=reason):
        decode_picture(data)


@needs_tfio
def test_pixels_that_the_decoder_does_not_take_are_kept() -> None:
    for coded in (b"no JPEG at all", b""):
        data = dicom(U8, syntax=JPEG, coded=fragments([b"\xff\xd8" + coded]))
        with pytest.raises(NotForJpeg2000, match=r"cannot decode \(transfer syntax 1.2.840.10008.1.2.4.50\)"):
            decode_picture(data)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN, JPEG])
def test_a_file_cut_off_anywhere_is_refused(syntax: str) -> None:
    nested = dicoms.element(0x00081140, b"SQ", fragments([b"", b"1234"]), syntax, 0xFFFFFFFF)
    nested = nested if syntax in (EXPLICIT, JPEG) else b""
    coded = fragments([bytes(40)]) if syntax == JPEG else None
    whole = dicom(U8[:3, :7], syntax=syntax, coded=coded)
    at = whole.index(dicoms.element(0x00100010, b"PN", "Doe^Jane", syntax))
    whole = whole[:at] + nested + whole[at:]
    for end in range(132, len(whole) - 1):
        with pytest.raises((BadPicture, NotForJpeg2000), match=r"\w{3,}"):
            decode_picture(whole[:end])


def test_any_bytes_after_the_mark_are_refused_with_a_reason() -> None:
    random = np.random.default_rng(5)
    whole = bytearray(dicom(U8[:5, :7]))
    head = len(whole) - 36
    for _ in range(300):
        broken = whole.copy()
        for at in random.integers(132, head, 3):
            broken[at] = random.integers(256)
        try:
            decode_picture(bytes(broken))
        except (BadPicture, NotForJpeg2000) as error:
            assert len(str(error)) > 5


# ---------------------------------------------------------------- with and without the extra


def test_dicom_files_are_known_by_their_endings() -> None:
    assert {".dcm", ".dicom", ".ima"} == DICOM_EXTENSIONS <= PICTURE_EXTENSIONS


BLOCKED = """
import sys
sys.modules["tensorflow_io"] = None
from foveate.pictures.formats import NotForJpeg2000, decode_picture
from tests.dicoms import dicom, scan
try:
    decode_picture(dicom(scan(), 12))
except NotForJpeg2000 as reason:
    print(reason)
"""
NOT_LOADING = """
import importlib.machinery, importlib.metadata, sys, types

class Operations(types.ModuleType):
    def __getattr__(self, name):
        raise NotImplementedError("unable to open file: undefined symbol")

module = types.ModuleType("tensorflow_io")
module.image = Operations("image")
module.__spec__ = importlib.machinery.ModuleSpec("tensorflow_io", None)
sys.modules["tensorflow_io"] = module
importlib.metadata.version = lambda name: "0.37.1"
from foveate.pictures.formats import NotForJpeg2000, decode_picture
from tests.dicoms import dicom, scan
try:
    decode_picture(dicom(scan(), 12))
except NotForJpeg2000 as reason:
    print(reason)
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (BLOCKED, MISSING_EXTRA),
        (
            NOT_LOADING,
            f"{MISSING_EXTRA}, which brings the TensorFlow that tensorflow-io 0.37.1 loads with",
        ),
    ],
)
def test_without_the_extra_or_with_another_tensorflow_a_sentence_says_so(code: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == said


# ---------------------------------------------------------------- other people's files

EXACT = (
    "693_J2KI",
    "CT_small",
    "ExplVR_BigEnd",
    "GDCMJ2K_TextGBR",
    "J2K_pixelrep_mismatch",
    "JPEG2000",
    "JPEGLSNearLossless_08",
    "JPEGLSNearLossless_16",
    "MR_small",
    "MR_small_RLE",
    "MR_small_bigendian",
    "MR_small_implicit",
    "MR_small_jp2klossless",
    "MR_small_jpeg_ls_lossless",
    "MR_small_padded",
    "SC_rgb_gdcm_KY",
    "SC_rgb_rle",
    "SC_rgb_rle_16bit",
    "SC_rgb_small_odd",
    "SC_rgb_small_odd_big_endian",
    "examples_jpeg2k",
    "examples_rgb_color",
    "image_dfl",
)
LOSSY = {  # JPEG decoders may differ in rounding
    "JPGExtended": 1,
    "SC_rgb_dcmtk_+eb+cr": 1,
    "SC_rgb_dcmtk_+eb+cy+n1": 2,
    "SC_rgb_dcmtk_+eb+cy+s4": 1,
    "SC_ybr_full_422_uncompressed": 1,
}
OTHERS = {
    "SC_rgb_rle_2frame": "2 frames",
    "examples_ybr_color": "30 frames",
    "examples_overlay": "overlays",
    "liver_1frame": "1 bits",
    "rtdose": "32 bits",
    "rtplan": "without a picture",
    "waveform_ecg": "without a picture",
    "test-SR": "without a picture",
    "MR_truncated": "cut off",
    "rtplan_truncated": "cut off",
    "JPEG2000-embedded-sequence-delimiter": "cannot decode",
}


def of_pydicom(name: str) -> Path:
    """A file that comes with pydicom."""
    pydicom = pytest.importorskip("pydicom")
    return Path(pydicom.__file__).parent / "data" / "test_files" / f"{name}.dcm"


def decoded_independently(dataset: Any) -> NDArray[Any]:
    """By pydicom, and by imagecodecs what pydicom alone cannot decode."""
    codecs = {JPEG_LS: imagecodecs.jpegls_decode, JPEG_2000: imagecodecs.jpeg2k_decode}
    codecs |= {f"{JPEG_LS[:-1]}1": imagecodecs.jpegls_decode, f"{JPEG[:-1]}1": imagecodecs.jpeg_decode}
    pixels: NDArray[Any]
    try:
        pixels = pytest.importorskip("pydicom.pixels").pixel_array(dataset)
    except RuntimeError:
        frame = pytest.importorskip("pydicom.encaps").get_frame(dataset.PixelData, 0, number_of_frames=1)
        pixels = np.asarray(codecs[dataset.file_meta.TransferSyntaxUID](frame))
        if dataset.PixelRepresentation:
            pixels = pixels.view(np.int16)
    return pixels


@needs_tfio
@pytest.mark.parametrize("name", [*EXACT, *LOSSY])
def test_real_files_decode_to_what_pydicom_reads(name: str) -> None:
    path = of_pydicom(name)
    dataset = pytest.importorskip("pydicom").dcmread(path)
    picture = decode_picture(path.read_bytes())
    wanted = decoded_independently(dataset).astype(np.int64)
    if dataset.PixelRepresentation:
        wanted = wanted + (1 << (dataset.BitsStored - 1))
    found = unstretched(picture.pixels, picture.bit_depth)
    assert picture.bit_depth == dataset.BitsStored
    assert np.abs(found - wanted.reshape(*wanted.shape[:2], -1)).max() <= LOSSY.get(name, 0)


@needs_tfio
@pytest.mark.parametrize("name", OTHERS)
def test_real_files_that_cannot_be_a_picture_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises((BadPicture, NotForJpeg2000), match=OTHERS[name]):
        decode_picture(of_pydicom(name).read_bytes())


@needs_tfio
def test_a_file_that_pydicom_writes_is_read(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.PatientName = "Doe^Jane"
    item = pydicom.Dataset()
    item.Rows, item.BitsAllocated, item.PixelData = 3, 8, bytes(12)
    dataset.IconImageSequence = pydicom.Sequence([item])
    samples = scan(33, 20, 10)
    dataset.set_pixel_data(samples, "MONOCHROME2", 10)
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.array_equal(stored((tmp_path / "a.dcm").read_bytes(), 10)[:, :, 0], samples)
