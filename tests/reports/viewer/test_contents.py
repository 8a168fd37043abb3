"""The figures and pictures of the page."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from foveate.reports.viewer.contents import compared, totals_of
from foveate.sandbox.client import Limits
from tests.reports.viewer.photos import in_versions, small, small_crops
from tests.reports.viewer.test_pictures import opened


def test_figures_are_those_of_files_and_the_source() -> None:
    photo = small()
    assert (photo.width, photo.height, photo.is_whole) == (300, 180, True)
    first, peer, last = photo.versions
    assert first.bits_per_pixel == pytest.approx(8 * first.file_bytes / 54_000) and first.bits_per_pixel <= 1
    assert first.ratio == pytest.approx(162_000 / first.file_bytes)
    assert peer.flags == "" and peer.detail == "quality 30" and last.flags == "--bpp 3"


def test_each_version_has_its_pixels_and_maps() -> None:
    photo = in_versions(180, 300)
    (view,) = small().views
    shown = [photo.pixels, *(version.pixels for version in photo.versions)]
    for uri, pixels in zip(view.pictures, shown, strict=True):
        np.testing.assert_array_equal(np.asarray(opened(uri)), pixels)
    assert view.bits[0] and view.bits[2] and view.bits[1] is None  # nobody knows another codec's bits
    light = [np.asarray(opened(uri)).mean() for uri in (view.bits[0], view.bits[2])]
    assert light[0] < light[1]  # one scale for all
    dark = [np.asarray(opened(view.errors[at])).mean() for at in (0, 2)]
    assert dark[0] > dark[1]
    assert view.blocks[0].error > view.blocks[2].error
    salient = np.asarray(opened(view.saliency or ""))
    assert salient[2, 2].mean() > 150 > 20 > salient[-2, -2].mean()


def test_a_large_photo_is_shown_in_crops_or_as_a_whole() -> None:
    photo = dataclasses.replace(in_versions(300, 500), saliency=None)
    with small_crops():
        crops = compared(photo, Limits())
    assert not crops.is_whole and all(view.place.width == 256 for view in crops.views)
    for view in crops.views:
        assert view.saliency is None
        np.testing.assert_array_equal(np.asarray(opened(view.pictures[0])), photo.pixels[view.place.pixels])
    with small_crops():
        assert compared(photo, Limits(), full=True).is_whole


def test_important_events_are_logged() -> None:
    deep = compared(in_versions(60, 80, 4, 16), Limits())
    assert any("16 bits" in note for note in deep.notes) and any("over gray" in note for note in deep.notes)
    assert small().notes == ()


def test_totals_add_up_over_the_photos_that_have_a_setting() -> None:
    one = small()
    other = dataclasses.replace(
        one, name="b", versions=(dataclasses.replace(one.versions[0], score=2.0, file_bytes=1000),)
    )
    first, last = totals_of([one, other])
    assert (first.name, first.photos, last.photos) == ("1 bpp", 2, 1)
    assert first.file_bytes == one.versions[0].file_bytes + 1000
    assert first.mean_score == pytest.approx((10 + 2) / 2) and first.lowest == ("b", 2.0)
    assert last.source_bytes == one.source_bytes
