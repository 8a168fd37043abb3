"""Tests SSIMULACRA 2 against scores of the reference program, and its own laws."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from foveate.quality import ssimulacra2 as module
from foveate.quality.color import Pixels
from foveate.quality.ssimulacra2 import ssimulacra2

Integers = NDArray[np.int64]
TWO = np.array([[1, 1], [1, -1]])
HADAMARD = np.kron(np.kron(TWO, TWO), TWO)

photos = hnp.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 4)))


def grain(height: int, width: int, levels: int) -> Integers:
    """Noise of 0 to `levels` - 1, made from the coordinates by integer arithmetic."""
    y, x = np.mgrid[:height, :width]
    return np.asarray((((x * 73856093) ^ (y * 19349663)) * 83492791 >> 13) % levels, np.int64)


def picture(height: int, width: int) -> Pixels:
    """Slopes, a disc with a sharp edge, stripes and some noise; (height, width, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    disc = 70 * ((3 * x - width) ** 2 + (3 * y - height) ** 2 < height * width)
    stripes = 25 * ((x + y) // 5 % 2) * (2 * y > height)
    red = abs((3 * x + y) % 300 - 150) + disc
    green = abs((x + 2 * y) % 260 - 130) + stripes + 40
    blue = abs((2 * x - y) % 320 - 160) + disc // 2
    colors = np.stack([red, green, blue], axis=-1) + grain(height, width, 24)[..., None]
    return np.clip(colors, 0, 255).astype(np.uint8)


def coarse(pixels: Pixels, step: int) -> Pixels:
    """Rounds the Hadamard coefficients of blocks of 8×8 to multiples of a step, as a simple JPEG would."""
    height, width, channels = pixels.shape
    padded = np.pad(pixels.astype(np.int64), [(0, -height % 8), (0, -width % 8), (0, 0)], mode="edge")
    blocks = padded.reshape(len(padded) // 8, 8, -1, 8, channels).transpose(0, 2, 4, 1, 3)
    rounded = (HADAMARD @ blocks @ HADAMARD + 4 * step) // (8 * step) * (8 * step)
    restored = (HADAMARD @ rounded @ HADAMARD + 32) // 64
    joined = restored.transpose(0, 3, 1, 4, 2).reshape(padded.shape)[:height, :width]
    return np.clip(joined, 0, 255).astype(np.uint8)


def noisy(pixels: Pixels, levels: int) -> Pixels:
    height, width, _ = pixels.shape
    added = grain(height, width, levels)[::-1, ::-1, None] - levels // 2
    samples: Integers = pixels.astype(np.int64) + added
    return np.clip(samples, 0, 255).astype(np.uint8)


def coarse_blue(pixels: Pixels, step: int) -> Pixels:
    changed = pixels.copy()
    changed[..., 2:] = coarse(pixels[..., 2:], step)
    return changed


def deep(pixels: Pixels, levels: int) -> NDArray[np.uint16]:
    """16 bits, with up to `levels` - 1 added."""
    height, width, _ = pixels.shape
    samples = pixels.astype(np.int64) * 257 + grain(height, width, levels)[..., None]
    return np.asarray(np.minimum(samples, 65535), np.uint16)


def with_alpha(pixels: Pixels, alpha: Integers) -> Pixels:
    return np.concatenate((pixels, alpha[..., None]), axis=2).astype(np.uint8)


# Reference, distorted, and the score by `ssimulacra2` of libjxl 0.11.2 (x86-64 with AVX2, PNG files).
MEASURED = {
    "fine": (picture(201, 230), coarse(picture(201, 230), 2), 95.42535),
    "medium": (picture(96, 128), coarse(picture(96, 128), 8), 85.59202),
    "coarse, the least size of six scales": (picture(113, 113), coarse(picture(113, 113), 20), 72.21236),
    "very coarse": (picture(120, 301), coarse(picture(120, 301), 60), 28.72171),
    "two scales": (picture(8, 9), coarse(picture(8, 9), 8), 96.40233),
    "four scales, noise": (picture(31, 64), noisy(picture(31, 64), 90), 79.51642),
    "gray": (picture(150, 140)[..., :1], coarse(picture(150, 140)[..., :1], 12), 83.91359),
    "coarse blue": (picture(129, 140), coarse_blue(picture(129, 140), 30), 91.75699),
    "16 bits": (deep(picture(125, 120), 1), deep(noisy(picture(125, 120), 12), 255), 81.96922),
}


@pytest.mark.parametrize("name", MEASURED)
def test_scores_of_all_colors_agree_with_the_reference_program(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "counted", lambda scales: [[0, 1, 2]] * scales)
    reference, distorted, score = MEASURED[name]
    assert ssimulacra2(reference, distorted) == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("name", MEASURED)
def test_colors_that_are_left_out_hardly_count(name: str) -> None:
    reference, distorted, score = MEASURED[name]
    assert ssimulacra2(reference, distorted) == pytest.approx(score, abs=1e-3)


def test_of_the_finest_scale_only_brightness_counts() -> None:
    assert module.counted(6)[0] == [1]


@given(photos)
@settings(max_examples=30, deadline=None)
def test_a_photo_of_any_size_is_identical_to_itself(photo: NDArray[np.uint8]) -> None:
    assert ssimulacra2(photo, photo) == 100


@given(photos, st.integers(1, 255))
@settings(max_examples=30, deadline=None)
def test_a_photo_of_any_size_has_a_score_of_at_most_100(photo: NDArray[np.uint8], change: int) -> None:
    distorted = photo.copy()
    distorted[0, 0, 0] ^= change
    score = ssimulacra2(photo, distorted)
    assert np.isfinite(score)
    assert score <= 100


@pytest.mark.parametrize("shape", [(150, 131), (131, 150), (64, 65)])
def test_each_further_distortion_lowers_the_score(shape: tuple[int, int]) -> None:
    photo = picture(*shape)
    scores = [ssimulacra2(photo, coarse(photo, step)) for step in (1, 3, 6, 12, 24, 48)]
    assert all(better > worse + 1 for better, worse in itertools.pairwise(scores))


def test_gray_is_scored_as_three_equal_colors() -> None:
    gray, distorted = picture(70, 81)[..., 1:2], coarse(picture(70, 81)[..., 1:2], 9)
    score = ssimulacra2(gray, distorted)
    assert score < 95
    assert ssimulacra2(gray.repeat(3, axis=2), distorted.repeat(3, axis=2)) == score


@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_left_out(channels: int) -> None:
    photo = picture(70, 81)[..., :channels]
    distorted = coarse(photo, 9)
    alpha = grain(70, 81, 256)
    score = ssimulacra2(with_alpha(photo, alpha), with_alpha(distorted, 255 - alpha))
    assert score == ssimulacra2(photo, distorted)


@pytest.mark.parametrize("step", [3, 12, 40])
def test_16_bits_score_as_8_bits_do(step: int) -> None:
    photo = picture(129, 150)
    distorted = coarse(photo, step)
    expected = ssimulacra2(photo, distorted)
    assert ssimulacra2(deep(photo, 1), deep(distorted, 1)) == pytest.approx(expected, abs=0.05)


def test_a_score_is_the_same_whatever_the_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = picture(173, 121)
    distorted = coarse(photo, 9)
    expected = ssimulacra2(photo, distorted)
    for pixels in (1, 121 * 32, 121 * 160, 1 << 20):
        monkeypatch.setattr(module, "_STRIP_PIXELS", pixels)
        assert ssimulacra2(photo, distorted) == expected


def test_a_score_is_the_same_in_many_threads() -> None:
    photo = picture(173, 121)
    distorted = [coarse(photo, step) for step in range(1, 9)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ssimulacra2, [photo] * 8, distorted)) == [
            ssimulacra2(photo, other) for other in distorted
        ]


def test_a_photo_that_is_not_in_one_piece_is_scored_all_the_same() -> None:
    photo = picture(70, 81)
    distorted = coarse(photo, 9)
    flipped, flipped_distorted = photo[:, ::-1], distorted[:, ::-1]
    flipped.flags.writeable = False
    expected = ssimulacra2(flipped.copy(), flipped_distorted.copy())
    assert ssimulacra2(flipped, flipped_distorted) == expected


def test_the_tiniest_photos_are_continued_by_mirroring() -> None:
    photo = picture(3, 5)
    distorted = noisy(photo, 60)
    rows, columns = np.array([[0, 1, 2, 2, 1, 0, 0, 1]]).T, np.array([0, 1, 2, 3, 4, 4, 3, 2])
    score = ssimulacra2(photo, distorted)
    assert score < 99
    assert score == ssimulacra2(photo[rows, columns], distorted[rows, columns])


def test_unlike_photos_are_refused() -> None:
    photo = picture(20, 21)
    with pytest.raises(ValueError, match="differ in shape or type"):
        ssimulacra2(photo, photo[:19])
    with pytest.raises(ValueError, match="differ in shape or type"):
        ssimulacra2(photo, photo.astype(np.uint16))
