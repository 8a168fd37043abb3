"""Tests a large photo's sample: all copies have the same windows, which show which copy is better."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.quality import sample
from foveate.quality.color import Pixels
from foveate.quality.psnr import mse
from foveate.quality.ssimulacra2 import ssimulacra2
from tests import streams


def score(photo: Pixels, copy: Pixels) -> float:
    return sample.score(photo, [copy[at] for at in sample.windows(photo)])


def test_a_small_photo_is_its_own_sample() -> None:
    photo = streams.texture(120, 90, 3)
    worse = photo // 8 * 8
    assert sample.is_whole(photo)
    assert score(photo, worse) == ssimulacra2(photo, worse)
    assert sample.weighted_error(photo, [worse], None) == pytest.approx(mse(photo, worse))


def test_of_a_large_photo_four_windows_count() -> None:
    photo = streams.texture(1100, 1500, 1)
    worse = photo.copy()
    worse[:, 640:860] = 0  # between the windows
    assert not sample.is_whole(photo)
    assert score(photo, worse) == score(photo, photo)
    worse[60:400, 200:500] //= 2
    windows = [(slice(y, y + 512), slice(x, x + 512)) for y in (19, 569) for x in (119, 869)]
    assert sample.windows(photo) == windows
    scores = [ssimulacra2(photo[at], worse[at]) for at in windows]
    assert score(photo, worse) == pytest.approx(np.mean(scores))
    assert scores[0] < 90 < scores[1]


def test_windows_are_as_narrow_as_a_strip() -> None:
    photo = streams.texture(300, 6000, 1)
    worse = photo // 8 * 8
    windows = [(slice(0, 300), slice(x, x + 512)) for x in (1244, 4244)]
    scores = [ssimulacra2(photo[at], worse[at]) for at in windows]
    assert score(photo, worse) == pytest.approx(np.mean(scores))


def test_errors_in_the_windows_are_weighted_by_the_whole_photos_map() -> None:
    photo = streams.texture(1100, 1500, 1)
    worse = photo.copy()
    worse[19:531, 119:631] = photo[19:531, 119:631] // 8 * 8
    left = np.array([[1.0, 0.0]], np.float32).repeat(2, 0)
    copies = [worse[at] for at in sample.windows(photo)]
    there, nowhere = (sample.weighted_error(photo, copies, saliency) for saliency in (left, left[:, ::-1]))
    assert nowhere < sample.weighted_error(photo, copies, None) < there
