import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.transform import resize

from foveate.quality.color import Plane
from foveate.quality.saliency import StretchedMap, WeightedMean, resize_saliency

maps = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(0, 1, width=32)
)


def test_stretching_agrees_with_scikit_image() -> None:
    saliency = np.random.default_rng(1).random((23, 40), dtype=np.float32)
    expected = resize(saliency, (181, 397), order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(resize_saliency(saliency, 181, 397), expected, atol=1e-5)


def test_a_spot_stays_in_its_place() -> None:
    saliency = np.zeros((6, 12), np.float32)
    saliency[1, 9] = 1
    stretched = resize_saliency(saliency, 60, 120)
    rows, columns = np.nonzero(stretched == stretched.max())
    assert rows.mean() == pytest.approx(14.5)
    assert columns.mean() == pytest.approx(94.5)


@given(maps, st.integers(1, 40), st.integers(1, 40))
def test_a_stretched_map_keeps_its_range(saliency: Plane, height: int, width: int) -> None:
    stretched = resize_saliency(saliency, height, width)
    assert stretched.shape == (height, width)
    assert stretched.dtype == np.float32
    assert stretched.min() >= saliency.min() - 1e-6
    assert stretched.max() <= saliency.max() + 1e-6


@given(maps)
def test_a_map_of_the_photos_size_stays_as_it_is(saliency: Plane) -> None:
    np.testing.assert_array_equal(resize_saliency(saliency, *saliency.shape), saliency)


def test_a_weighted_mean_by_hand() -> None:
    mean = WeightedMean()
    mean.add(np.array([[1, 2]], np.float32), np.array([[0, 1]], np.float32))
    mean.add(np.array([[3, 4]], np.float32), np.array([[0, 3]], np.float32))
    assert (mean.plain, mean.weighted) == (2.5, 3.5)
    for weights in (None, np.zeros((1, 2), np.float32)):
        alike = WeightedMean()
        alike.add(np.array([[1, 2]], np.float32), weights)
        assert alike.weighted == 1.5


@given(maps, st.integers(1, 40), st.integers(1, 40), st.data())
def test_rows_of_a_stretched_map_are_those_of_the_whole(
    saliency: Plane, height: int, width: int, data: st.DataObject
) -> None:
    top = data.draw(st.integers(0, height))
    bottom = data.draw(st.integers(top, height))
    rows = StretchedMap.over(saliency, height, width).rows(slice(top, bottom))
    np.testing.assert_array_equal(rows, resize_saliency(saliency, height, width)[top:bottom])
