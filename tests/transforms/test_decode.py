"""Tests decoding JPEG 2000 files, ours and others', with unique names and noise maps."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import foveate
from foveate.archive.planning.restore_plan import NamedFile
from foveate.archive.tables import read_failures
from foveate.codec import file as jp2_file
from foveate.codec import jp2
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.regions import Region
from foveate.pictures.formats import as_it_should_be_seen, decode_picture
from foveate.pictures.picture import full_range, turned
from foveate.pipelines.cli import main
from foveate.sandbox.client import Limits
from foveate.storage.errors import BadInput
from foveate.storage.source import SourceFile
from foveate.transforms.decode import COPIES, Extent, decode_file
from foveate.transforms.elements import DecodedPhoto
from foveate.transforms.encode import encode_plain
from foveate.transforms.progress import Progress, ProgressLine, read_progress
from foveate.transforms.run_reccnn import RecCnn, RestorePixels
from foveate.transforms.write_pictures import Output, copy_unchanged, write_picture
from tests import picture_files
from tests.photos import corner, encoder, one, outputs, salient, source
from tests.streams import coded, compress, foreign, texture


def file(path: str, root: str = "/in") -> SourceFile:
    return SourceFile(f"{root}/{path}", path, 7, 1.0)


def decoded(folder: Path, data: bytes, name: str = "a.jp2", reduce: int = 0, layers: int = 0) -> DecodedPhoto:
    (folder / name).write_bytes(data)
    extent = Extent(Limits(10**6), reduce, layers)
    result: DecodedPhoto = one(decode_file, NamedFile(source(folder / name), "a.png"), extent)
    return result


def ours(**options: Any) -> Any:
    """An archived photo: its bytes, and what a decoder makes of it."""
    element = salient(texture(97, 131, 3), corner())
    return one(encode_plain, element, encoder("bpp", 1, **options)).file


# Our own files


def test_an_archived_photo_is_decoded_with_its_noise_and_metadata(tmp_path: Path) -> None:
    candidate = ours()
    result = decoded(tmp_path, candidate.jp2)
    np.testing.assert_array_equal(result.pixels, candidate.decoded)
    np.testing.assert_array_equal(result.noise, candidate.noise)
    assert (result.output_path, result.prefiltered, result.note) == ("a.png", False, "")


def test_a_changed_codestream_is_damage_and_edited_tags_are_not(tmp_path: Path) -> None:
    data = ours().jp2
    assert decoded(tmp_path, data).damage == ""
    remark = b"a remark"
    assert decoded(tmp_path, data + (8 + len(remark)).to_bytes(4) + b"free" + remark).damage == ""
    changed = bytearray(data)
    changed[-20] ^= 4
    assert "codestream has changed" in decoded(tmp_path, bytes(changed)).damage


def test_a_damaged_file_is_restored_as_far_as_possible_and_fails(tmp_path: Path) -> None:
    data = bytearray(ours().jp2)
    data[-20] ^= 4
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jp2").write_bytes(data)
    command = ["restore", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--reccnn", "off"]
    assert main(command) == 3
    assert decode_picture((tmp_path / "out/a.png").read_bytes()).pixels.shape == (97, 131, 3)
    (failure,) = read_failures(str(tmp_path / "out")).to_pylist()
    assert failure["url"].endswith("a.jp2") and "codestream has changed" in failure["message"]


def test_a_file_marked_for_plain_decode_has_no_noise_to_restore_by(tmp_path: Path) -> None:
    candidate = ours()
    result = decoded(tmp_path, jp2.marked_for_plain_decode(candidate.jp2))
    np.testing.assert_array_equal(result.pixels, candidate.decoded)
    assert result.noise is None
    handler = RestorePixels(RecCnn("fast", "float32")).handler()
    (restored,) = handler.run_inference([result], handler.load_model())
    assert restored is result


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_lossless_file_has_nothing_to_restore(tmp_path: Path, channels: int, bits: int) -> None:
    pixels = texture(161, 83, channels, bits)
    element = one(encode_plain, salient(pixels), encoder("lossless", 0))
    result = decoded(tmp_path, element.file.jp2)
    np.testing.assert_array_equal(result.pixels, pixels)
    assert result.noise is None and result.note == ""


def test_reccnn_gives_a_picture_like_the_decoded_one(tmp_path: Path) -> None:
    result = decoded(tmp_path, ours().jp2)
    handler = RestorePixels(RecCnn("fast", "float32")).handler()
    (restored,) = handler.run_inference([result], handler.load_model())
    assert restored.pixels.shape == result.pixels.shape and restored.pixels.dtype == result.pixels.dtype
    assert restored.source == result.source


# Files of others


def test_a_foreign_file_is_restored_by_its_own_packet_headers(tmp_path: Path) -> None:
    coarse, fine = (decoded(tmp_path, foreign(f"-r {ratio} -I"), "a.j2k") for ratio in (40, 5))
    assert coarse.note == fine.note == ""
    assert coarse.noise is not None and fine.noise is not None
    assert coarse.noise.shape == (13, 17, 4)
    assert coarse.noise.mean() > 2 * fine.noise.mean()


def test_a_foreign_reversible_file_is_restored_only_where_it_was_cut(tmp_path: Path) -> None:
    assert decoded(tmp_path, foreign("-r 1")).noise is None
    cut = decoded(tmp_path, foreign("-r 20"))
    assert cut.noise is not None and cut.note == ""


def test_a_file_of_twelve_bits_is_stretched_to_the_whole_range(tmp_path: Path) -> None:
    pixels = (texture(40, 51, 1, 16) >> 4).astype(np.uint16)
    data = coded(pixels, reversible=True, bit_depth=12)
    result = decoded(tmp_path, data, "a.j2c")
    expected = np.rint(pixels.astype(np.float64) * 65535 / 4095)
    np.testing.assert_array_equal(result.pixels, expected)


@pytest.mark.parametrize("bits", [1, 4, 8, 12, 16])
def test_full_range_keeps_the_ends_and_the_order(bits: int) -> None:
    dtype = np.uint8 if bits <= 8 else np.uint16
    values = np.arange(1 << bits)[:, None, None]
    stretched = full_range(values.astype(np.uint8) if bits <= 8 else values.astype(np.uint16), bits)
    assert stretched.dtype == dtype
    assert (stretched.min(), stretched.max()) == (0, np.iinfo(dtype).max)
    assert (np.diff(stretched[:, 0, 0].astype(int)) > 0).all()


@pytest.mark.parametrize(
    ("options", "reason"),
    [("-F 131,97,3,8,u@1x1:2x2:2x2 -r 10 -I", "subsampled"), ("-d 13,29 -r 30 -I", "whole cell")],
)
def test_what_has_no_noise_map_is_decoded_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, options: str, reason: str
) -> None:
    result = decoded(tmp_path, compress(texture(97, 131, 3), options), "a.j2k")
    assert result.pixels.shape == (97, 131, 3)
    assert result.noise is None and reason in result.note
    handler = RestorePixels(RecCnn("fast", "float32")).handler()
    (restored,) = handler.run_inference([result], handler.load_model())
    assert restored is result
    assert result.source.url in caplog.text and reason in caplog.text


def test_the_noise_map_of_our_own_stream_is_read_without_its_record() -> None:
    candidate = ours()
    found = jp2_file.decode_file(jp2.parse(candidate.jp2).codestream)
    assert found.note == "" and found.record is None
    np.testing.assert_array_equal(found.noise, candidate.noise)


def test_the_first_layers_alone_are_coarser_and_the_noise_map_knows(tmp_path: Path) -> None:
    data = ours(layers=4).jp2
    whole = decoded(tmp_path, data)
    steps, errors = [], []
    for layers in (1, 2, 3, 4):
        part = decoded(tmp_path, data, layers=layers)
        assert part.noise is not None
        steps.append(float(part.noise.mean()))
        errors.append(float(np.square(part.pixels.astype(float) - texture(97, 131, 3)).mean()))
    np.testing.assert_array_equal(part.pixels, whole.pixels)
    assert np.all(np.diff(steps) < 0) and np.all(np.diff(errors) < 0)


def test_empty_layers_of_a_lossless_file_do_not_count_as_everything(tmp_path: Path) -> None:
    flat = np.full((64, 48, 3), 77, np.uint8)
    data = one(encode_plain, salient(flat), encoder("lossless", 0, layers=4)).file.jp2
    first, all_of_it = (decoded(tmp_path, data, layers=layers) for layers in (1, 4))
    assert first.noise is not None and not np.array_equal(first.pixels, flat)
    assert all_of_it.noise is None
    np.testing.assert_array_equal(all_of_it.pixels, flat)


@pytest.mark.parametrize("reduce", [1, 3])
def test_a_reduced_decode_is_small_and_goes_without_reccnn(tmp_path: Path, reduce: int) -> None:
    result = decoded(tmp_path, ours().jp2, reduce=reduce)
    assert result.pixels.shape == (-(-97 // 2**reduce), -(-131 // 2**reduce), 3)
    assert result.noise is None and "reduced" in result.note


@pytest.mark.parametrize("turn", [1, 3, 6, 7])
def test_a_region_is_that_of_the_picture_as_it_should_be_seen(tmp_path: Path, turn: int) -> None:
    pixels, path = texture(97, 131, 3), tmp_path / "a.jp2"
    metadata = PhotoMetadata(exif=picture_files.exif_block(turn))
    path.write_bytes(foveate.encode(pixels, lossless=True, metadata=metadata))
    extent = Extent(Limits(10**6), region=Region(20, 11, 60, 40))
    found = one(decode_file, NamedFile(source(path), "a.png"), extent)
    seen, _ = as_it_should_be_seen(found.pixels[found.shown], found.metadata)
    np.testing.assert_array_equal(seen, turned(pixels, turn)[11:51, 20:80])


def test_what_has_too_few_resolutions_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="reduced 9 times"):
        decoded(tmp_path, ours().jp2, reduce=9)


# What is wrong with a file


@pytest.mark.parametrize("cut", [1, 300, 1300])
def test_a_truncated_file_is_refused(tmp_path: Path, cut: int) -> None:
    with pytest.raises(BadCodestream, match=r"\w{3,}"):
        decoded(tmp_path, ours().jp2[:-cut])


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="empty"):
        decoded(tmp_path, b"")


def test_a_photo_named_like_an_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises((BadCodestream, UnsupportedCodestream), match=r"\w{3,}"):
        decoded(tmp_path, picture_files.jpeg(picture_files.sample(9, 13, 3)))


def test_too_many_pixels_are_refused_from_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.jp2").write_bytes(ours().jp2)
    with pytest.raises(UnsupportedCodestream, match="131"):
        list(decode_file(NamedFile(source(tmp_path / "a.jp2"), "a.png"), Extent(Limits(97 * 131 - 1))))


def test_a_file_that_is_no_jpeg_2000_by_name_is_to_be_copied(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"whatever")
    element = NamedFile(source(tmp_path / "a.gif"), "a.gif")
    assert outputs(decode_file(element, Extent(Limits(10)))) == {COPIES: [element]}


# Writing


def test_a_picture_is_written_with_its_metadata_and_counted(tmp_path: Path) -> None:
    result = decoded(tmp_path, ours().jp2)
    metadata = dataclasses.replace(
        result.metadata,
        icc=picture_files.icc_profile(),
        exif=picture_files.exif_block(),
        xmp=picture_files.xmp_packet(),
    )
    result = dataclasses.replace(result, metadata=metadata, output_path="trip/a.png")
    progress = Progress(str(tmp_path / "progress"))
    url = os.fsdecode(one(write_picture, result, Output(str(tmp_path / "out"), False, progress), "png"))
    assert url == f"{tmp_path}/out/trip/a.png"
    picture = decode_picture(Path(url).read_bytes())
    np.testing.assert_array_equal(picture.pixels, result.pixels)
    assert picture.metadata.icc == metadata.icc and picture.metadata.exif
    assert read_progress(tmp_path / "progress")[0] == [
        ProgressLine("restored", 97 * 131, result.source.size_bytes, 0)
    ]


def test_a_picture_that_a_format_cannot_represent_is_an_error_that_says_so(tmp_path: Path) -> None:
    wide = np.zeros((1, 70_000, 3), np.uint8)
    result = dataclasses.replace(decoded(tmp_path, ours().jp2), pixels=wide, output_path="a.webp")
    with pytest.raises(BadInput, match="cannot be written as webp"):
        list(write_picture(result, Output(str(tmp_path / "out"), False, Progress()), "webp"))


def test_a_kept_file_is_copied_once(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"an animation")
    element = NamedFile(source(tmp_path / "a.gif"), "trip/a.gif")
    for _ in range(2):
        url = os.fsdecode(one(copy_unchanged, element, Output(str(tmp_path / "out"), False, Progress())))
        assert Path(url).read_bytes() == b"an animation"
