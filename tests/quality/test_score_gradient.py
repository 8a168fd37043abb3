"""The derivative of SSIMULACRA 2 against differences of the compiled score itself."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.quality import score_gradient as module
from foveate.quality.color import Pixels
from foveate.quality.score_gradient import gradient_of, score_gradient
from foveate.quality.ssimulacra2 import norms_of, ssimulacra2
from tests.quality.test_ssimulacra2 import coarse, deep, grain, noisy, picture, with_alpha

ALL = (slice(None), slice(None))


def gradient(reference: Pixels, distorted: Pixels) -> NDArray[np.float32]:
    return gradient_of(reference, distorted)(ALL)


def pair(height: int, width: int, channels: int = 3, step: int = 20) -> tuple[Pixels, Pixels]:
    photo = picture(height, width)[..., :channels]
    return photo, coarse(photo, step)


@pytest.mark.parametrize("shape", [(128, 160), (97, 131), (113, 250), (33, 20), (9, 8), (8, 150), (5, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_score_changes_as_its_derivative_says(shape: tuple[int, int], channels: int) -> None:
    reference, distorted = (deep(photo, 1) for photo in pair(*shape, channels))
    slopes = gradient(reference, distorted)
    step: NDArray[np.int64] = np.sign(slopes).astype(np.int64) * 16  # upward, a sixteenth of an 8-bit sample
    up, down = (np.clip(distorted + way, 0, 65535).astype(np.uint16) for way in (step, -step))
    expected = float((slopes * (up.astype(np.int64) - down)).sum(dtype=np.float64))
    assert expected > 0
    found = ssimulacra2(reference, up) - ssimulacra2(reference, down)
    assert found == pytest.approx(expected, rel=0.04, abs=1e-4)


@pytest.mark.parametrize("color", [0, 1, 2])
def test_each_color_and_place_has_its_own(color: int) -> None:
    photo = picture(120, 140)
    reference, distorted = deep(photo, 1), deep(noisy(photo, 40), 1)
    slopes = gradient(reference, distorted)
    for place in ((slice(0, 60), slice(0, 70)), (slice(30, 120), slice(60, 140))):
        step = np.zeros(distorted.shape, np.int64)
        step[(*place, color)] = np.sign(slopes[(*place, color)]) * 16
        up, down = (np.clip(distorted + way, 0, 65535).astype(np.uint16) for way in (step, -step))
        expected = float((slopes * (up.astype(np.int64) - down)).sum(dtype=np.float64))
        found = ssimulacra2(reference, up) - ssimulacra2(reference, down)
        assert found == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("step", [4, 20, 60])
def test_a_small_step_along_it_makes_a_photo_better(step: int) -> None:
    reference, distorted = pair(150, 130, step=step)
    slopes = gradient(reference, distorted)
    steepest = np.abs(slopes) > np.quantile(np.abs(slopes), 0.9)
    better = np.clip(distorted + np.sign(slopes) * steepest, 0, 255).astype(np.uint8)
    assert ssimulacra2(reference, better) > ssimulacra2(reference, distorted) + 0.3


@pytest.mark.parametrize("shape", [(201, 230), (97, 131), (9, 300), (3, 5)])
def test_it_is_the_same_in_any_window_and_any_strips(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, distorted = pair(*shape)
    expected = gradient(reference, distorted)
    monkeypatch.setattr(module, "_STRIP_PIXELS", 1)
    monkeypatch.setattr(module, "_LEAST_STRIP", 32)
    found = gradient_of(reference, distorted)
    assert np.array_equal(found(ALL), expected)
    height, width = shape
    for rows in (slice(height // 3, height - 1), slice(0, 1), slice(height // 2, height)):
        for columns in (slice(width // 4, width // 2 + 1), slice(width - 1, width)):
            assert np.array_equal(found((rows, columns)), expected[rows, columns])


def test_a_window_does_not_look_farther_than_it_has_to() -> None:
    reference, distorted = pair(40, 1300)
    expected = gradient(reference, distorted)
    norms = norms_of(reference, distorted)
    changed = distorted.copy()
    changed[:, :300] = 0
    window = slice(None), slice(800, 900)
    assert np.array_equal(score_gradient(reference, changed, norms, window), expected[window])


def test_it_is_the_same_in_many_threads() -> None:
    reference, distorted = pair(120, 121)
    expected = gradient(reference, distorted)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(gradient, [reference] * 8, [distorted] * 8):
            assert np.array_equal(found, expected)


def test_gray_has_the_sum_of_three_colors_and_alpha_none() -> None:
    gray, distorted = pair(70, 81, 1)
    colors = gradient(gray.repeat(3, axis=2), distorted.repeat(3, axis=2))
    found = gradient(gray, distorted)
    assert found[..., 0] == pytest.approx(colors.sum(axis=2), rel=1e-4, abs=1e-7)
    alpha = grain(70, 81, 256)
    with_it = gradient(with_alpha(gray, alpha), with_alpha(distorted, 255 - alpha))
    assert np.array_equal(with_it[..., :1], found) and not with_it[..., 1].any()


def test_16_bits_have_257th_parts_of_what_8_bits_have() -> None:
    reference, distorted = pair(64, 90)
    found = gradient(deep(reference, 1), deep(distorted, 1)) * 257
    expected = gradient(reference, distorted)
    assert np.abs(found - expected).mean() < 2e-3 * np.abs(expected).mean()


def test_a_photo_like_its_reference_has_none() -> None:
    photo = picture(50, 60)
    assert not gradient(photo, photo).any()


def test_unlike_photos_are_refused() -> None:
    photo = picture(20, 21)
    with pytest.raises(ValueError, match="differ in shape or type"):
        gradient_of(photo, photo[:19])
