import dataclasses
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from foveate.quality.color import Pixels, strips
from foveate.quality.measures import Measures, measure
from foveate.quality.psnr import mse, psnr, psnr_s, psnr_y
from foveate.quality.saliency import resize_saliency
from foveate.quality.ssim import ms_ssim, ssim, ssim_s
from foveate.quality.ssimulacra2 import ssimulacra2


def photo_and_copy(shape: tuple[int, int, int], dtype: Any = np.uint8) -> tuple[Pixels, Pixels]:
    generator = np.random.default_rng(3)
    high = int(np.iinfo(dtype).max)
    photo = generator.integers(0, high, shape).astype(dtype)
    noise = generator.normal(0, high / 20, shape)
    return photo, np.clip(photo + noise, 0, high).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(97, 180, 3), (200, 190, 4), (33, 12, 1), (7, 40, 2), (1, 1, 3)])
def test_measuring_all_at_once_equals_measuring_one_by_one(shape: tuple[int, int, int], dtype: Any) -> None:
    a, b = photo_and_copy(shape, dtype)
    saliency = np.random.default_rng(4).random((5, 8), dtype=np.float32)
    expected = Measures(
        mse(a, b),
        psnr(a, b),
        psnr_y(a, b),
        ssim(a, b),
        ms_ssim(a, b),
        psnr_s(a, b, saliency),
        ssim_s(a, b, saliency),
    )
    assert measure(a, b, saliency) == expected


def test_a_measure_takes_the_score_only_where_it_is_asked_to() -> None:
    photo, copy = photo_and_copy((50, 60, 3))
    assert measure(photo, copy, None).ssimulacra2 is None
    assert measure(photo, copy, None, scored=True).ssimulacra2 == ssimulacra2(photo, copy)


def test_without_saliency_the_weighted_measures_are_the_plain_ones() -> None:
    measures = measure(*photo_and_copy((50, 60, 3)), None)
    assert measures.psnr_s_db == measures.psnr_db
    assert measures.ssim_s == measures.ssim


def test_a_lossless_copy_is_perfect() -> None:
    photo, _ = photo_and_copy((50, 60, 3))
    assert measure(photo, photo.copy(), None) == Measures(0.0, math.inf, math.inf, 1.0, 1.0, math.inf, 1.0)


def test_the_measures_are_plain_python_floats() -> None:
    photo, copy = photo_and_copy((50, 60, 3))
    values = dataclasses.asdict(measure(photo, copy, np.ones((3, 3), np.float32), scored=True))
    assert {type(value) for value in values.values()} == {float}


def test_memory_is_that_of_a_strip_whatever_the_photo() -> None:
    a, b = photo_and_copy((2500, 2000, 3))
    tracemalloc.start()
    try:
        measure(a, b, np.ones((9, 9), np.float32))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000


@pytest.mark.parametrize("shape", [(2300, 1000, 3), (3000, 700, 1)])
def test_a_photo_of_several_strips_measures_as_its_parts_do(shape: tuple[int, int, int]) -> None:
    a, b = photo_and_copy(shape)
    saliency = np.random.default_rng(4).random((9, 7), dtype=np.float32)
    assert len(list(strips(a))) == 9
    measures = measure(a, b, saliency)
    errors = ((a.astype(np.float64) - b) ** 2).mean(2)
    weights = resize_saliency(saliency, *shape[:2])
    assert measures.mse == pytest.approx(errors.mean(), rel=1e-9)
    assert measures.psnr_s_db == pytest.approx(
        20 * math.log10(255) - 10 * math.log10(np.average(errors, weights=weights))
    )
