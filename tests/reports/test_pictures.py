"""Tests that the gallery's pictures come from the source and the archive, and show where the bits went."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest

from foveate.codec import jp2, openjpeg
from foveate.codec.errors import BadCodestream
from foveate.reports.contents import PhotoFigures
from foveate.reports.pictures import gallery_loader
from foveate.transforms.encode import encode_plain
from tests import picture_files
from tests.photos import corner, encoder, one, salient
from tests.streams import texture

PIXELS = texture(97, 131, 3)


def archived(root: pathlib.Path, source: bytes) -> PhotoFigures:
    """A photo whose lower right corner matters, in an archive, without RecCNN; and its source."""
    photo = salient(PIXELS, corner(), source_bytes=60_000)
    data = one(encode_plain, photo, encoder("bpp", 1.0)).file.jp2
    (root / "a.png").write_bytes(source)
    (root / "a.png.jp2").write_bytes(jp2.marked_for_plain_decode(data))
    urls = str(root / "a.png"), str(root / "a.png.jp2")
    return PhotoFigures("a.png", *urls, "compressed", "", "png", None, 60_000, len(data), *[None] * 19)


def test_a_photo_is_shown_as_it_was_as_it_is_and_where_its_bits_went(tmp_path: pathlib.Path) -> None:
    shown = gallery_loader()(archived(tmp_path, picture_files.png(PIXELS)))
    assert shown is not None and shown.bits is not None and shown.saliency is not None
    decoded = openjpeg.decode((tmp_path / "a.png.jp2").read_bytes()).pixels
    states = ((shown.original, PIXELS), (shown.archived, decoded), (shown.reconstructed, decoded))
    assert all(state is not None and np.array_equal(state, expected) for state, expected in states)
    for heat, brighter in ((shown.saliency, 1.2), (shown.bits, 1.05)):
        assert heat.shape == PIXELS.shape
        assert heat[60:, 80:, 0].mean() > brighter * heat[:40, :50, 0].mean()
    assert shown.most_bits is not None and 0.5 < shown.most_bits < 24


def test_what_was_found_is_shown_where_networks_decided(tmp_path: pathlib.Path) -> None:
    photo = archived(tmp_path, picture_files.png(PIXELS))
    without, found = (gallery_loader()(each) for each in (photo, dataclasses.replace(photo, faces=0)))
    assert without is not None and without.found is None
    assert found is not None and found.found is not None and found.found.shape == PIXELS.shape


def test_a_source_that_is_another_picture_by_now_is_not_compared(tmp_path: pathlib.Path) -> None:
    shown = gallery_loader()(archived(tmp_path, picture_files.png(PIXELS[:50])))
    assert shown is not None and shown.original is None and shown.archived is not None


def test_a_broken_file_is_reported(tmp_path: pathlib.Path) -> None:
    photo = archived(tmp_path, b"")
    (tmp_path / "a.png.jp2").write_bytes(b"no picture")
    with pytest.raises(BadCodestream):
        gallery_loader()(photo)
