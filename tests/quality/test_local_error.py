"""The map of local error, against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.quality.local_error import CELL, local_error
from tests.streams import texture


@pytest.mark.parametrize(("height", "width", "bits"), [(300, 41, 8), (9, 8, 8), (5, 3, 16), (264, 30, 16)])
def test_each_cell_has_its_error_over_its_contrast(height: int, width: int, bits: int) -> None:
    a, b = texture(height, width, 1, bits), texture(height + 1, width, 1, bits)[1:]
    found = local_error(a, b)
    assert found.shape == (-(-height // CELL), -(-width // CELL)) and found.dtype == np.float32
    constant = (0.03 * ((1 << bits) - 1)) ** 2
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            place = slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8)
            x, y = (plane[place].astype(np.float64) for plane in (a, b))
            expected = np.mean((x - y) ** 2) / (x.var() + y.var() + constant)
            assert found[row, column] == pytest.approx(expected, rel=1e-3)


def test_the_same_error_counts_more_where_nothing_hides_it() -> None:
    photo = np.full((64, 128, 3), 120, np.uint8)
    photo[:, 64:] += (np.random.default_rng(1).integers(0, 100, (64, 64, 1))).astype(np.uint8)
    noise = np.random.default_rng(2).integers(0, 6, photo.shape).astype(np.uint8)
    found = local_error(photo, photo + noise)
    assert found[:, :8].mean() > 10 * found[:, 8:].mean()
    assert not local_error(photo, photo).any()


def test_alpha_does_not_count_and_unlike_photos_are_refused() -> None:
    photo = texture(20, 20, 4)
    other = photo.copy()
    other[:, :, 3] = 0
    assert not local_error(photo, other).any()
    with pytest.raises(ValueError, match="shape"):
        local_error(photo, photo[:10])
