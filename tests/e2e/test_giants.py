"""Tests a small giant: with a lower limit for one tile, a photo is processed in tiles from end to end."""

from __future__ import annotations

import pathlib

import pytest

from foveate.codec import codestream, jp2, openjpeg, tile_sizes
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.formats import decode_picture, encode_picture
from foveate.pipelines.cli import main
from foveate.quality.psnr import psnr
from tests.streams import texture


@pytest.mark.parametrize("channels", [3, 4])
def test_a_giant_is_archived_in_tiles_and_restored(
    channels: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_sizes, "_LARGEST_TILE", 128)
    monkeypatch.setattr(tile_sizes, "_MOST_IN_ONE_TILE", 2 * 128**2)
    pixels = texture(257, 330, channels)
    source = tmp_path / "giant.png"
    source.write_bytes(encode_picture(pixels, PhotoMetadata(), "png"))
    archive, output = str(tmp_path / "archive"), str(tmp_path / "restored")
    assert main(["compress", str(source), "--output", archive, "--bpp", "2", "--roi", "none"]) == 0
    data = (tmp_path / "archive" / "giant.png.jp2").read_bytes()
    size = codestream.parse(jp2.parse(data).codestream).size
    assert (size.tile_width, size.tile_height) == (128, 128)
    assert len(data) <= 2 * 257 * 330 / 8
    assert main(["restore", archive, "--output", output]) == 0
    restored = decode_picture((tmp_path / "restored" / "giant.png").read_bytes()).pixels
    plain = openjpeg.decode(data).pixels
    assert psnr(pixels, restored) >= psnr(pixels, plain) > 25
