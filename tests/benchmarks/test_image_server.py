"""Tests that an IIIF server reads the right parts and sizes from files of every arrangement."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import foveate
from benchmarks.image_server import ImageServer, server_program, serving
from tests import streams
from tests.tools import required

WIDTH, HEIGHT = 700, 500
FILES = ("default", "access", "tiles", "transcoded")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("served")
    pixels = streams.texture(HEIGHT, WIDTH, 1)  # the server's JPEGs have chroma of half size
    master = foveate.encode(pixels, lossless=True)
    files = (
        foveate.encode(pixels, bpp=2, tune="psnr"),
        foveate.encode(pixels, bpp=2, tune="psnr", access=True),
        foveate.encode(pixels, bpp=2, tune="psnr", access=True, tile_size=256),
        foveate.transcode(master, bpp=2, tune="psnr", access=True),
    )
    for name, data in zip(FILES, files, strict=True):
        (found / f"{name}.jp2").write_bytes(data)
    return found


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ImageServer]:
    program = required(server_program(), "iipsrv (Debian's iipimage-server)")
    with serving(folder, program) as running:
        yield running


def answered(server: ImageServer, path: str) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(server.iiif(path))) as picture:
        return np.asarray(picture.convert("L"))[..., None]


@pytest.mark.parametrize("name", FILES)
def test_a_server_knows_the_sizes_of_a_file(server: ImageServer, name: str) -> None:
    told = json.loads(server.iiif(f"{name}.jp2/info.json"))
    assert (told["width"], told["height"]) == (WIDTH, HEIGHT)
    assert {"width": WIDTH // 2, "height": HEIGHT // 2} in told["sizes"]


@pytest.mark.parametrize("name", FILES)
def test_tiles_and_sizes_show_the_files_contents(server: ImageServer, folder: Path, name: str) -> None:
    data = (folder / f"{name}.jp2").read_bytes()
    whole, half = foveate.decode(data).astype(int), foveate.decode(data, reduce=1).astype(int)
    for left, top, width, height in ((0, 0, 256, 256), (256, 256, 256, 244), (490, 37, 210, 300)):
        tile = answered(server, f"{name}.jp2/{left},{top},{width},{height}/{width},/0/default.jpg")
        expected = whole[top : top + height, left : left + width]
        assert tile.shape == expected.shape
        assert np.abs(tile - expected).mean() < 2
    size = answered(server, f"{name}.jp2/full/{WIDTH // 2},/0/default.jpg")
    assert size.shape == half.shape
    assert np.abs(size - half).mean() < 2


def test_what_a_server_does_not_have_is_an_error(server: ImageServer) -> None:
    with pytest.raises(ValueError, match="Status: 4"):
        server.iiif("missing.jp2/info.json")
