from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from foveate.models import array_files, efficientnet, msroi
from foveate.models.training.salient_views import resized


@pytest.fixture(scope="module")
def model() -> msroi.MsRoi:
    return msroi.load()


def cat_at_the_right(height: int = 240, width: int = 700) -> Any:
    """A wide gray photo with a cat well off its center."""
    photo = np.full((height, width, 3), 128, np.uint8)
    cat = Image.fromarray(data.chelsea()[:, 40:380]).resize((200, 180))
    photo[30:210, 480:680] = np.asarray(cat)
    return photo


def original_arrays(seed: int = 0) -> dict[str, Any]:
    """Random arrays under the pretrained classifier's original names."""
    generator = np.random.default_rng(seed)
    network = efficientnet.build()
    arrays: dict[str, Any] = {
        "_fc.weight": generator.normal(0, 0.05, (1000, 1280)),
        "_fc.bias": generator.normal(0, 0.05, 1000),
    }
    for layer, convolution, norm in efficientnet._original_names():
        kernel = network.get_layer(layer).kernel.shape
        order = (2, 3, 0, 1) if "depthwise" in layer else (3, 2, 0, 1)
        shape = tuple(kernel[axis] for axis in order)
        arrays[f"{convolution}.weight"] = generator.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
        for part, low, high in (("weight", 0.8, 1.2), ("bias", -0.1, 0.3)):
            arrays[f"{norm}.{part}"] = generator.uniform(low, high, shape[0])
        arrays[f"{norm}.running_mean"] = generator.normal(0, 0.1, shape[0])
        arrays[f"{norm}.running_var"] = generator.uniform(0.5, 1.5, shape[0])
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def test_the_object_of_a_photo_is_salient_and_its_surroundings_are_not(model: msroi.MsRoi) -> None:
    saliency = resized(msroi.saliency(model, cat_at_the_right()), 240, 700)
    assert saliency[60:180, 520:640].mean() > 0.6
    assert saliency[:, :400].mean() < 0.15


def test_what_is_off_center_in_a_wide_photo_shows_up_in_its_place(model: msroi.MsRoi) -> None:
    photo = cat_at_the_right()
    right, left = msroi.saliency_maps(model, [photo, photo[:, ::-1]])
    columns = (np.arange(right.shape[1]) + 0.5) / right.shape[1]
    assert np.average(columns, weights=right.sum(0)) == pytest.approx(580 / 700, abs=0.04)
    assert np.average(columns, weights=left.sum(0)) == pytest.approx(120 / 700, abs=0.04)


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 5000, 1), (5000, 1, 4), (37, 53, 2), (480, 640, 3), (31, 900, 3), (224, 224, 1)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_shape_and_depth_has_a_map_in_its_range(
    model: msroi.MsRoi, shape: tuple[int, int, int], dtype: Any
) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    saliency = msroi.saliency(model, pixels)
    height, width = msroi.thumbnail_size(*shape[:2])
    assert saliency.shape == (height // 4, width // 4)
    assert saliency.dtype == np.float32
    assert 0 <= saliency.min() <= saliency.max() <= 1


def test_running_twice_gives_the_same_map(model: msroi.MsRoi) -> None:
    photo = data.chelsea()
    np.testing.assert_array_equal(msroi.saliency(model, photo), msroi.saliency(model, photo))


def test_photos_of_many_sizes_together_equal_each_alone(model: msroi.MsRoi) -> None:
    photos = [data.chelsea(), data.coffee(), data.astronaut(), data.chelsea()[::-1], data.camera()[..., None]]
    together = msroi.saliency_maps(model, photos)
    for photo, saliency in zip(photos, together, strict=True):
        np.testing.assert_allclose(saliency, msroi.saliency(model, photo), atol=1.5 / 255)
    assert msroi.saliency_maps(model, []) == []


def test_16_bits_look_like_8(model: msroi.MsRoi) -> None:
    photo = data.chelsea()
    np.testing.assert_array_equal(
        msroi.saliency(model, photo), msroi.saliency(model, photo.astype(np.uint16) * 257)
    )


def test_gray_looks_like_rgb_of_gray(model: msroi.MsRoi) -> None:
    gray = data.camera()[..., None]
    np.testing.assert_array_equal(msroi.saliency(model, gray), msroi.saliency(model, np.repeat(gray, 3, -1)))


def test_an_opaque_alpha_changes_nothing_and_a_clear_one_hides_all(model: msroi.MsRoi) -> None:
    photo = data.chelsea()
    alpha = np.full((*photo.shape[:2], 1), 255, np.uint8)
    opaque = msroi.saliency(model, np.concatenate([photo, alpha], -1))
    np.testing.assert_allclose(opaque, msroi.saliency(model, photo), atol=1.5 / 255)
    clear = msroi.thumbnail(np.concatenate([photo, 0 * alpha], -1))
    assert (clear == 127).all()


def test_a_thumbnail_is_the_same_in_bands_as_at_once() -> None:
    rows, columns = np.mgrid[:2600, :1700]
    photo = np.stack([rows // 11, columns // 7, rows * columns // 17351], -1).astype(np.uint8)
    height, width = msroi.thumbnail_size(2600, 1700)
    at_once = Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    np.testing.assert_array_equal(msroi.thumbnail(photo), np.asarray(at_once, np.float32))


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 4), (4, 4, 5)])
def test_anything_but_a_photo_is_rejected(model: msroi.MsRoi, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        msroi.saliency(model, np.zeros(shape, np.uint8))


def test_other_sample_types_are_refused() -> None:
    pixels: Any = np.zeros((4, 4, 3), np.float32)
    with pytest.raises(ValueError, match="uint8 or uint16"):
        msroi.thumbnail(pixels)


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_every_photo_costs_at_most_half_a_giga_multiply_accumulate(height: int, width: int) -> None:
    small = msroi.thumbnail_size(height, width)
    assert max(small) <= 320
    assert all(side % 4 == 0 and side >= 4 for side in small)
    assert msroi.multiply_accumulates(height, width) <= 0.5e9


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_thumbnails_keep_the_aspect_ratio(height: int, width: int) -> None:
    sides = zip(msroi.thumbnail_size(height, width), (height, width), strict=True)
    scales = [(0 if small == 4 else (small - 2) / side, (small + 2) / side) for small, side in sides]
    assert max(low for low, _ in scales) <= min(high for _, high in scales)


def test_class_activation_maps_peak_at_one(model: msroi.MsRoi) -> None:
    (cam,) = msroi.class_activation_maps(model, [data.chelsea()])
    assert cam.shape == (6, 9)
    assert cam.min() >= 0
    assert cam.max() == pytest.approx(1, abs=1e-3)


def test_folding_batch_normalization_changes_nothing() -> None:
    generator = np.random.default_rng(1)
    original = original_arrays()
    kernel, bias = efficientnet._folded(original, "_conv_head", "_bn1")
    x = generator.normal(size=(5, 320))
    weight, shift, mean, variance = (
        original[f"_bn1.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    plain = x @ original["_conv_head.weight"][:, :, 0, 0].T
    expected = (plain - mean) / np.sqrt(variance + 1e-3) * weight + shift
    np.testing.assert_allclose(x @ kernel[0, 0] + bias, expected, atol=1e-4)


def test_the_backbone_is_efficientnet_lite0() -> None:
    network = efficientnet.build()
    assert efficientnet.multiply_accumulates(224, 224) == pytest.approx(384e6, rel=0.01)
    assert network.count_params() == 3_350_000
    features = network(np.zeros((1, 64, 96, 3), np.float32), training=False)
    assert {name: tuple(value.shape[1:]) for name, value in features.items()} == {
        "stride4": (16, 24, 24),
        "stride8": (8, 12, 40),
        "stride16": (4, 6, 112),
        "stride32": (2, 3, 320),
        "head": (2, 3, 1280),
    }


def test_weights_survive_the_file(tmp_path: Path) -> None:
    decoder = msroi.build_decoder()
    path = tmp_path / "weights.npz"
    arrays = {**efficientnet.convert(original_arrays()), **msroi.decoder_weights(decoder)}
    array_files.write_arrays(path, arrays)
    read = array_files.read_arrays(path)
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array.astype(np.float16))
    assert msroi.load(path).sha256 == array_files.file_sha256(path)


def test_a_weights_file_of_another_kind_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, format_version=np.int32(99))
    with pytest.raises(ValueError, match="format 99, expected 1"):
        msroi.load(path)
    np.savez(path, format_version=np.int32(array_files.FORMAT_VERSION))
    with pytest.raises(ValueError, match="lack the array"):
        msroi.load(path)
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ValueError, match="not a weights file"):
        msroi.load(path)


def test_the_shipped_weights_are_small() -> None:
    assert msroi.WEIGHTS.stat().st_size < 10e6


def _difference(one: Any, other: Any) -> float:
    """Mean absolute difference of two maps, one stretched over the other."""
    return float(np.abs(resized(one, *other.shape) - other).mean())


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut"])
def test_maps_are_steady_when_the_photo_hardly_changes(model: msroi.MsRoi, name: str) -> None:
    photo = getattr(data, name)()
    height, width = photo.shape[0] * 3 // 4, photo.shape[1] * 3 // 4
    smaller = np.asarray(Image.fromarray(photo).resize((width, height)))
    brighter = np.minimum(photo.astype(np.uint16) + 6, 255).astype(np.uint8)
    cut = photo[6:, 6:]
    whole, *others = msroi.saliency_maps(model, [photo, smaller, brighter, cut])
    large = resized(whole, *photo.shape[:2])
    assert _difference(others[0], large) < 0.03
    assert _difference(others[1], large) < 0.03
    assert _difference(others[2], large[6:, 6:]) < 0.05


def test_maps_have_no_steps_from_sample_to_sample_but_at_edges(model: msroi.MsRoi) -> None:
    """A fluctuating map would make neighboring code-blocks differ for no reason."""
    saliency = msroi.saliency(model, data.chelsea())
    turns = np.abs(np.diff(saliency, 2, axis=0))[:, 1:-1] + np.abs(np.diff(saliency, 2, axis=1))[1:-1]
    assert turns.mean() < 0.06
    assert np.mean(turns > 0.5) < 0.05


def test_importing_the_module_does_not_import_keras() -> None:
    code = "import sys, foveate.models.msroi, foveate.models.training.msroi; print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
