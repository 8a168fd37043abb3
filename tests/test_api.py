"""Tests the Python API: its examples, targets and errors, and that it stays light."""

from __future__ import annotations

import doctest
import importlib.metadata
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data

import foveate
from foveate import api
from foveate.codec import jp2
from foveate.pictures.formats import jpeg_bytes
from foveate.pictures.picture import turned
from foveate.pipelines.cli import main
from foveate.quality.psnr import psnr, psnr_s
from foveate.quality.ssim import ssim
from tests.picture_files import exif_block, png

PIXELS = np.ascontiguousarray(skimage.data.astronaut()[60:157, 150:281])
MASK = np.zeros((12, 16), np.float32)
MASK[3:8, 4:10] = 1


@pytest.mark.parametrize("name", [name for name in foveate.__all__ if name[0].islower()])
def test_every_function_has_an_example_that_works(name: str) -> None:
    function = getattr(foveate, name)
    (found,) = doctest.DocTestFinder(recurse=False).find(function, name)
    assert found.examples
    said: list[str] = []
    doctest.DocTestRunner().run(found, out=said.append)
    assert not said, "".join(said)


def test_every_public_name_is_there_and_documented() -> None:
    assert set(foveate.__all__) <= set(dir(foveate))
    assert all(inspect.getdoc(getattr(foveate, name)) for name in foveate.__all__)
    with pytest.raises(AttributeError, match="no attribute 'enc'"):
        foveate.enc  # noqa: B018


def test_the_version_is_that_of_the_package() -> None:
    assert foveate.__version__ == importlib.metadata.version("foveate")
    assert "__version__" in dir(foveate)


def test_importing_and_encoding_loads_neither_beam_nor_networks() -> None:
    code = """
import sys, foveate
assert "numpy" not in sys.modules
import numpy as np
foveate.decode(foveate.encode(np.zeros((9, 9, 3), np.uint8), lossless=True))
print(sorted({"apache_beam", "tensorflow", "keras", "pyarrow"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_byte_targets_count_the_whole_file() -> None:
    metadata = foveate.PhotoMetadata(exif=exif_block())
    assert len(foveate.encode(PIXELS, bpp=1)) <= 97 * 131 / 8
    assert 0.98 < len(foveate.encode(PIXELS, bpp=2, metadata=metadata)) / (97 * 131 / 4) <= 1
    assert 0.98 < len(foveate.encode(PIXELS, ratio=10)) / (PIXELS.nbytes / 10) <= 1
    assert 1980 < len(foveate.encode(PIXELS, max_bytes=2000, saliency=MASK)) <= 2000
    assert 0.98 < len(foveate.encode(PIXELS, jpeg_quality=60)) / jpeg_bytes(PIXELS, 60) <= 1


def test_a_file_for_access_meets_its_target_and_decodes() -> None:
    plain = foveate.encode(PIXELS, bpp=2)
    for tile_size in (0, 128):
        access = foveate.encode(PIXELS, bpp=2, access=True, tile_size=tile_size)
        assert 0.97 * len(plain) < len(access) <= 97 * 131 / 4
        assert (
            abs(psnr(PIXELS, foveate.decode(access)) - psnr(PIXELS, foveate.decode(plain))) < 2
        )  # of few bytes
        packets = foveate.inspect(access).packets
        assert packets is not None
        assert (packets.stream.progression, packets.layout.tiles) == ("RPCL", 1 if not tile_size else 2)
    with pytest.raises(ValueError, match="multiple of 64"):
        foveate.encode(PIXELS, tile_size=100)


def test_a_region_of_a_path_is_that_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jp2"
    path.write_bytes(foveate.encode(PIXELS, bpp=3, access=True))
    for jp2_file in (path, str(path), path.read_bytes()):
        whole, part = foveate.decode(jp2_file), foveate.decode(jp2_file, region=(40, 30, 51, 200))
        assert np.array_equal(part, whole[30:, 40:91])
        assert foveate.decode(jp2_file, region=(40, 30, 51, 20), reduce=1).shape == (10, 26, 3)
        assert np.array_equal(foveate.decode(jp2_file, reduce=2), foveate.decode(path.read_bytes(), reduce=2))
    with pytest.raises(ValueError, match="outside of the picture"):
        foveate.decode(path, region=(200, 30, 51, 20))
    with pytest.raises(ValueError, match="a region must be"):
        foveate.decode(path, region=(2, 30, 51))
    with pytest.raises(FileNotFoundError):
        foveate.decode(tmp_path / "b.jp2")


@pytest.mark.parametrize("turn", range(2, 9))
def test_files_of_others_are_turned_as_their_metadata_ask(turn: int, tmp_path: Path) -> None:
    metadata = foveate.PhotoMetadata(exif=exif_block(turn))
    path = tmp_path / "turned.jp2"
    path.write_bytes(foveate.encode(PIXELS, lossless=True, metadata=metadata, access=True))
    expected = turned(PIXELS, turn)
    for jp2_file in (path, path.read_bytes()):
        assert np.array_equal(foveate.decode(jp2_file), expected)
        assert np.array_equal(foveate.restore(jp2_file), expected)
        assert np.array_equal(foveate.decode(jp2_file, region=(5, 9, 60, 31)), expected[9:40, 5:65])
        halved = -(-expected.shape[0] // 2), -(-expected.shape[1] // 2), 3
        assert foveate.decode(jp2_file, reduce=1).shape == halved


def test_a_restored_region_is_that_of_the_whole() -> None:
    jp2_file = foveate.encode(np.tile(PIXELS, (3, 3, 1)), bpp=0.7, access=True)
    whole = foveate.restore(jp2_file, precision="float32")
    part = foveate.restore(jp2_file, precision="float32", region=(150, 110, 90, 61))
    assert not np.array_equal(part, foveate.decode(jp2_file, region=(150, 110, 90, 61)))
    assert np.abs(part.astype(int) - whole[110:171, 150:240]).max() <= 1


def test_quality_targets_are_reached_and_hardly_exceeded() -> None:
    assert 0 <= psnr(PIXELS, foveate.decode(foveate.encode(PIXELS, psnr=34))) - 34 < 0.3
    assert 0 <= ssim(PIXELS, foveate.decode(foveate.encode(PIXELS, ssim=0.9))) - 0.9 < 0.01
    salient = foveate.decode(foveate.encode(PIXELS, roi_psnr=34, saliency=MASK))
    assert 0 <= psnr_s(PIXELS, salient, saliency=MASK) - 34 < 0.4


def test_a_flatter_slope_takes_more_bytes() -> None:
    assert len(foveate.encode(PIXELS, slope=100)) > len(foveate.encode(PIXELS, slope=1000))


def test_saliency_moves_quality_to_where_it_is() -> None:
    photo = skimage.data.astronaut()
    even, moved = (foveate.decode(foveate.encode(photo, bpp=0.5, saliency=mask)) for mask in (None, MASK))
    before, after = (foveate.measure(photo, pixels, saliency=MASK) for pixels in (even, moved))
    assert after.psnr_s_db > before.psnr_s_db + 0.5 and after.psnr_db < before.psnr_db


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (40, 50, 2), (40, 50, 4), (1, 1, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_lossless_gives_back_every_shape_and_type(shape: tuple[int, ...], kind: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)
    back = foveate.decode(foveate.encode(pixels, lossless=True))
    assert back.dtype == kind and back.shape == (*shape, 1)[:3]
    assert np.array_equal(back.reshape(shape), pixels)


def test_pixels_need_not_be_contiguous() -> None:
    assert foveate.encode(PIXELS[::-1, ::2]) == foveate.encode(PIXELS[::-1, ::2].copy())


def test_layers_can_be_decoded_one_after_another() -> None:
    data = foveate.encode(PIXELS, bpp=2, layers=3)
    qualities = [psnr(PIXELS, foveate.decode(data, layers=n)) for n in (1, 2, 3)]
    assert qualities == sorted(qualities) and qualities[0] < qualities[2]
    assert np.array_equal(foveate.decode(data), foveate.decode(data, layers=3))


def test_restoring_brings_a_photo_nearer() -> None:
    data = foveate.encode(PIXELS, bpp=1)
    assert psnr(PIXELS, foveate.restore(data)) > psnr(PIXELS, foveate.decode(data))


def test_restoring_leaves_lossless_and_marked_files_alone(tmp_path: Path) -> None:
    lossless = foveate.encode(PIXELS, lossless=True)
    assert np.array_equal(foveate.restore(lossless), PIXELS)
    (tmp_path / "a.png").write_bytes(png(PIXELS))
    flags = ["--bpp", "1", "--roi", "none", "--reccnn", "off"]
    assert main(["compress", str(tmp_path / "a.png"), "--output", str(tmp_path / "out"), *flags]) == 0
    marked = jp2.marked_for_plain_decode((tmp_path / "out" / "a.png.jp2").read_bytes())
    assert np.array_equal(foveate.restore(marked), foveate.decode(marked))


def test_metadata_are_carried() -> None:
    metadata = foveate.PhotoMetadata(exif=exif_block(), xmp=b"<x/>", dpi=(300.0, 300.0))
    carried = jp2.parse(foveate.encode(PIXELS, metadata=metadata)).metadata
    assert (carried.exif, carried.xmp) == (metadata.exif, metadata.xmp)


def test_the_command_line_codes_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(PIXELS))
    flags = ["--slope", "300", "--roi", "none", "--reccnn", "off", "--min-saving", "0"]
    assert main(["compress", str(tmp_path / "a.png"), "--output", str(tmp_path / "out"), *flags]) == 0
    theirs = jp2.parse((tmp_path / "out" / "a.png.jp2").read_bytes()).codestream
    assert jp2.parse(foveate.encode(PIXELS, slope=300)).codestream == theirs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"bpp": 1, "psnr": 30}, "only one target can be met, not bpp and psnr"),
        ({"bpp": 0}, "bpp must be above 0"),
        ({"psnr": float("nan")}, "psnr must be above 0"),
        ({"slope": float("inf")}, "slope must be above 0"),
        ({"ssim": 1.0}, "ssim must be above 0 and below 1"),
        ({"layers": 0}, "layers must be from 1 to 50"),
        ({"threads": 0}, "threads must be from 1"),
        ({"gain_db": -1}, "gain_db must be from 0 to 40"),
        ({"tune": "eyes"}, "tune must be one of"),
        ({"effort": "most"}, "effort must be one of"),
        ({"saliency": np.full((3, 3), np.nan)}, "must lie in 0 to 1"),
        ({"saliency": np.zeros((3, 3, 1))}, r"must be \(h, w\)"),
    ],
)
def test_impossible_combinations_are_reported(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        foveate.encode(PIXELS, **arguments)


@pytest.mark.parametrize(
    "pixels", [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 5), np.uint8), np.zeros((4, 4, 3))]
)
def test_pixels_of_another_kind_are_refused(pixels: Any) -> None:
    for function in (foveate.encode, foveate.saliency):
        with pytest.raises(ValueError, match="pixels must be"):
            function(pixels)


def test_errors_have_types() -> None:
    with pytest.raises(foveate.BudgetTooSmall, match="20 bytes asked for, but headers and metadata alone"):
        foveate.encode(PIXELS, max_bytes=20)
    for function in (foveate.decode, foveate.restore, foveate.inspect):
        with pytest.raises(foveate.BadCodestream):
            function(b"not a picture")
    with pytest.raises(ValueError, match="reduce"):
        foveate.decode(foveate.encode(PIXELS), reduce=20)
    with pytest.raises(ValueError, match="layers must be at least 1"):
        foveate.decode(foveate.encode(PIXELS), layers=0)


def test_the_targets_are_those_of_the_command_line() -> None:
    from typing import get_args

    from foveate.archive.settings import TargetKind

    parameters = inspect.signature(api.encode).parameters
    assert {kind.replace("-", "_") for kind in get_args(TargetKind)} <= set(parameters)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: foveate.restore(b"", network="big"), "network must be one of fast, best"),  # type: ignore[arg-type]
        (lambda: foveate.restore(b"", precision="x"), "precision must be one of auto"),  # type: ignore[arg-type]
        (lambda: foveate.inspect("a.jp2"), "as its bytes, not as str: read it first"),  # type: ignore[arg-type]
        (lambda: foveate.inspect(None), "as its bytes, not as NoneType"),  # type: ignore[arg-type]
        (lambda: foveate.encode(PIXELS.transpose(2, 0, 1)), "channels come last"),
        (lambda: foveate.encode(PIXELS, saliency=255 * MASK), "0 to 255; of 8 bits, divide it by 255"),
        (lambda: foveate.encode(PIXELS, roi_psnr=34), "give a map, or use psnr"),
        (lambda: foveate.encode(PIXELS, bpp=0), "bpp must be above 0, not 0"),
        (lambda: foveate.decode(foveate.encode(PIXELS), reduce=9), "leaves no resolution"),
        (lambda: foveate.decode(foveate.encode(PIXELS), reduce=-1), "reduce must not be negative"),
    ],
)
def test_wrong_arguments_are_named_with_what_to_do(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call()


def test_files_may_be_given_as_any_bytes() -> None:
    jp2 = foveate.encode(PIXELS, lossless=True)
    for data in (bytearray(jp2), memoryview(jp2)):
        np.testing.assert_array_equal(foveate.decode(data), PIXELS)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [{"bpp": 100.0}, {"ratio": 1.0}, {"slope": 0.001}])
def test_a_target_that_has_room_for_it_gives_a_lossless_file(target: dict[str, float]) -> None:
    jp2 = foveate.encode(PIXELS, **target)  # type: ignore[arg-type]
    assert len(jp2) == len(foveate.encode(PIXELS, lossless=True))
    np.testing.assert_array_equal(foveate.decode(jp2), PIXELS)


def test_a_budget_just_below_the_lossless_file_gives_a_lossy_one_within_it() -> None:
    budget = len(foveate.encode(PIXELS, lossless=True)) - 1
    assert len(foveate.encode(PIXELS, max_bytes=budget)) <= budget
