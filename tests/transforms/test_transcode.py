"""Tests the stages that transcode JPEG 2000 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apache_beam.pvalue import TaggedOutput

from foveate.codec import jp2
from foveate.codec.errors import BadCodestream
from foveate.codec.jp2_boxes import pack_box
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.reasons import Reason
from foveate.sandbox.client import Limits
from foveate.storage.errors import BadInput
from foveate.transforms.elements import SalientPhoto
from foveate.transforms.read_masters import read_master
from foveate.transforms.transcode import transcode
from tests import streams
from tests.photos import encoder, one, source


def master(folder: Path, extra: bytes = b"") -> Path:
    stream = streams.coded(streams.texture(120, 150, 3), reversible=True)
    path = folder / "a.jp2"
    path.write_bytes(jp2.wrap(stream, metadata=PhotoMetadata()) + extra)
    return path


def read(path: Path) -> Any:
    return one(read_master, source(path), Limits())


def test_a_master_is_read_and_cut(tmp_path: Path) -> None:
    photo = read(master(tmp_path, pack_box(b"cidx", b"12")))
    assert photo.source_format == "jpeg2000" and photo.bit_depth == 8
    assert photo.metadata_problems == ("cidx: an index of the former codestream",)
    assert np.array_equal(photo.pixels, streams.texture(120, 150, 3))
    made = one(transcode, SalientPhoto(photo, None, 0.0), encoder("bpp", 2.0, transcode=True)).file
    assert 4400 <= len(made.jp2) <= 4500
    assert made.decoded.shape == photo.pixels.shape


def test_what_would_not_shrink_is_kept_unless_it_is_rearranged(tmp_path: Path) -> None:
    salient = SalientPhoto(read(master(tmp_path)), None, 0.0)
    (kept,) = transcode(salient, encoder("bpp", 200.0, transcode=True))
    assert isinstance(kept, TaggedOutput) and kept.value.reason == Reason.NO_SAVING
    (made,) = transcode(salient, encoder("bpp", 200.0, transcode=True, access=True))
    assert np.array_equal(made.file.decoded, salient.photo.pixels)
    (no_room,) = transcode(salient, encoder("bpp", 0.01, transcode=True))
    assert no_room.value.reason == Reason.NO_ROOM


def test_an_alpha_channel_that_would_be_too_coarse_keeps_the_file(tmp_path: Path) -> None:
    pixels = streams.texture(64, 64, 4)
    pixels[..., 3] = 255 * np.random.default_rng(0).integers(0, 2, (64, 64))
    path = tmp_path / "a.jp2"
    path.write_bytes(jp2.wrap(streams.coded(pixels, reversible=True), metadata=PhotoMetadata()))
    salient = SalientPhoto(read(path), None, 0.0)
    (kept,) = transcode(salient, encoder("bpp", 1.0, transcode=True))
    assert isinstance(kept, TaggedOutput) and kept.value.reason == Reason.TRANSPARENCY
    (made,) = transcode(salient, encoder("lossless", 0.0, transcode=True, access=True))
    assert np.array_equal(made.file.decoded, pixels)


def test_damaged_files_fail_and_changed_ones_too(tmp_path: Path) -> None:
    path = master(tmp_path)
    salient = SalientPhoto(read(path), None, 0.0)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(BadInput, match="it changed"):
        list(transcode(salient, encoder("bpp", 1.0, transcode=True)))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadCodestream):
        list(read_master(source(path), Limits()))


def test_unsupported_pictures_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.j2k"
    path.write_bytes(
        streams.coded(streams.texture(9, 9, 1)).replace(
            b"\xff\x51\x00\x29\x00\x00", b"\xff\x51\x00\x29\x80\x00"
        )
    )
    (kept,) = transcode(SalientPhoto(read(path), None, 0.0), encoder("bpp", 1.0, transcode=True))
    assert isinstance(kept, TaggedOutput) and kept.value.reason == Reason.NOT_READ
