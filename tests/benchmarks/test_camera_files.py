"""Tests files like those of cameras: their size, quality and subsampling, and noise that grows with ISO."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from benchmarks.camera_files import CAMERAS, Camera, camera_file
from tests import streams


def taken(photo: Image.Image, camera: Camera) -> Image.Image:
    return Image.open(io.BytesIO(camera_file(photo, camera, seed=1)))


@pytest.mark.parametrize("subsampling", ["4:2:2", "4:2:0"])
def test_a_file_has_the_size_and_the_form_asked_for(subsampling: str) -> None:
    photo = Image.fromarray(streams.texture(90, 121, 3))
    file = taken(photo, Camera("small", 0.02, 100, 95, subsampling))
    assert isinstance(file, JpegImagePlugin.JpegImageFile)
    assert file.width * file.height == pytest.approx(20_000, rel=0.03)
    assert JpegImagePlugin.get_sampling(file) == {"4:2:2": 1, "4:2:0": 2}[subsampling]
    assert file.getexif().get_ifd(0x8769)[0x8827] == 100
    assert np.abs(np.asarray(file.resize(photo.size), int) - np.asarray(photo)).mean() < 20


def test_noise_grows_with_the_sensitivity_and_is_the_same_each_time() -> None:
    gray = Image.new("RGB", (200, 200), (120, 120, 120))
    deviations = [
        float(np.asarray(taken(gray, Camera("c", 0.04, iso, 97, "4:4:4"))).std()) for iso in (100, 400, 1600)
    ]
    assert 0.2 < deviations[0] < deviations[1] < deviations[2] < 8
    assert camera_file(gray, Camera("c", 0.04, 400, 97, "4:4:4"), 5) == camera_file(
        gray, Camera("c", 0.04, 400, 97, "4:4:4"), 5
    )


def test_all_cameras_write_high_quality() -> None:
    assert all(92 <= camera.quality <= 97 for camera in CAMERAS)
    assert {camera.subsampling for camera in CAMERAS} == {"4:2:2", "4:2:0"}
