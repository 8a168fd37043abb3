"""Tests that a source of several frames becomes one per frame, and other sources stay unchanged."""

from __future__ import annotations

import sys
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive.rows import KeptSource, RunLabels
from foveate.archive.settings import Target
from foveate.pictures.reasons import Reason
from foveate.sandbox import client
from foveate.sandbox.children import Children
from foveate.storage.errors import BadInput
from foveate.storage.source import SourceFile
from foveate.transforms.frames import ExpandFrames, expand_frames
from foveate.transforms.progress import Progress
from foveate.transforms.write import write_kept
from tests.dicoms import dicom, needs_tfio, scan
from tests.photos import source

CINE = dicom(np.concatenate([scan()] * 3), 12, frames=3)


def placed(folder: Path, name: str, data: bytes = CINE) -> SourceFile:
    (folder / name).write_bytes(data)
    return source(folder / name)


@pytest.mark.parametrize("name", ["gone.dcm", "gone"])
def test_a_file_that_cannot_be_read_stays_for_the_step_that_says_why(name: str) -> None:
    gone = SourceFile(f"/nowhere/{name}", name, 7, 1.0)
    assert list(expand_frames(gone, "all")) == [gone]


def test_files_are_not_opened_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveate.transforms.frames.read_whole", lambda url: pytest.fail(f"{url} was read"))
    cine, photo = placed(tmp_path, "cine.dcm"), placed(tmp_path, "photo.jpg")
    other = placed(tmp_path, "00017", b"no DICOM file" * 99)
    assert list(expand_frames(cine, "keep")) == [cine]
    assert list(expand_frames(photo, "all")) == [photo]
    assert list(expand_frames(other, "all")) == [other]


def test_one_frame_or_no_decoder_is_no_reason_to_expand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = placed(tmp_path, "one.dcm", dicom(scan(), 12))
    assert list(expand_frames(one, "all")) == [one]
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    monkeypatch.setattr(client, "_children", Children())
    monkeypatch.setattr(sys, "executable", None)  # so that frames are counted here
    cine = placed(tmp_path, "cine.dcm")
    assert list(expand_frames(cine, "all")) == [cine]


@needs_tfio
@pytest.mark.parametrize("name", ["cine.dcm", "CINE.IMA", "00000017", "1.2.840.5"])
def test_each_frame_has_a_number_a_name_and_its_share_of_the_bytes(tmp_path: Path, name: str) -> None:
    cine = placed(tmp_path, name)
    frames = list(expand_frames(cine, "all"))
    assert [frame.relative_path for frame in frames] == [f"{name}.000{number}" for number in (1, 2, 3)]
    assert [frame.frame for frame in frames] == [1, 2, 3]
    assert {frame.url for frame in frames} == {cine.url}
    assert sum(frame.size_bytes for frame in frames) == cine.size_bytes == len(CINE)
    assert list(expand_frames(cine, "first")) == frames[:1]


@needs_tfio
def test_the_transform_expands_what_the_function_does(tmp_path: Path) -> None:
    cine = placed(tmp_path, "cine.dcm")
    with beam.Pipeline() as pipeline:
        frames = pipeline | beam.Create([cine]) | ExpandFrames("all")
        assert_that(frames, equal_to(list(expand_frames(cine, "all"))))


def test_a_frame_is_never_kept_in_place_of_its_file(tmp_path: Path) -> None:
    frame = SourceFile("/in/cine.dcm", "cine.dcm.0002", 7, 1.0, frame=2)
    kept = KeptSource(frame, "dicom", "0" * 64, Reason.NO_ROOM, "no room for the picture")
    labels = RunLabels(str(tmp_path), Target("bpp", 1.0), "", "", "1", "r")
    with pytest.raises(BadInput, match=r"^frame 2 cannot be archived on its own: no room for the picture$"):
        list(write_kept(kept, labels, Progress()))
    assert not list(tmp_path.iterdir())
