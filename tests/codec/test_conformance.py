"""Tests codestreams with the features of the conformance suite (ISO/IEC 15444-4): they are read as written.

Their samples are known, since they are coded without loss. opj_compress writes them; what it cannot write is
in `test_rearranged` (packed headers, progression changes, tiles that differ), `openjpeg/test_plain` and
`openjpeg/test_mended`.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.codec import openjpeg
from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.file import decode_file
from foveate.codec.walk import segments
from tests.tools import tool

Plane = NDArray[np.int64]


class Profile(NamedTuple):
    """A codestream's size, components (dx, dy), bits, whether signed, and options of opj_compress."""

    width: int
    height: int
    steps: tuple[tuple[int, int], ...]
    bits: int
    signed: bool
    options: str


ONE, THREE = ((1, 1),), ((1, 1),) * 3
THIRTY = ",".join(str(90 - 3 * layer) for layer in range(29)) + ",1"
TWENTY = ",".join(str(60 - 3 * layer) for layer in range(19)) + ",1"
PROFILES = {
    "one component": Profile(128, 128, ONE, 8, False, "-n 4"),
    "all termination, causal, segmentation, SOP, EPH": Profile(127, 126, ONE, 8, False, "-SOP -EPH -M 44"),
    "4 bits, signed, bypass, tiles, TLM, PLT": Profile(128, 128, ONE, 4, True, "-t 64,64 -M 1 -TLM -PLT"),
    "twenty layers": Profile(160, 120, THREE, 8, False, f"-r {TWENTY} -n 7"),
    "chroma and alpha of half size": Profile(64, 64, ((1, 1), (2, 2), (2, 2), (1, 1)), 8, False, "-p PCRL"),
    "two of four of half size": Profile(64, 64, ((1, 1), (1, 1), (2, 2), (2, 2)), 8, False, "-p RPCL -n 3"),
    "12 bits, each on its own grid": Profile(
        256, 64, ((1, 1), (1, 2), (2, 1), (2, 2)), 12, False, "-p RPCL"
    ),
    "no component on the finest grid": Profile(64, 48, ((2, 1), (1, 2), (2, 2)), 8, False, "-p CPRL"),
    "all of half width": Profile(64, 48, ((2, 1),) * 3, 8, False, "-p PCRL -t 24,48 -n 2"),
    "all of a quarter, in tiles": Profile(64, 64, ((4, 4),) * 3, 8, False, "-t 32,32 -n 4"),
    "12 bits, signed, tiles": Profile(128, 128, THREE, 12, True, "-t 64,64 -SOP -EPH -p RLCP -r 8,4,1"),
    "12 bits, signed, thirty layers": Profile(65, 66, THREE, 12, True, f"-p CPRL -r {THIRTY}"),
    "small": Profile(17, 37, ONE, 8, False, "-n 5"),
    "one row": Profile(128, 1, ONE, 8, False, "-n 1"),
    "one column": Profile(1, 128, ONE, 8, False, "-n 1"),
    "three by five": Profile(3, 5, ONE, 8, False, "-n 2"),
    "one sample": Profile(1, 1, ONE, 8, False, "-n 1"),
    "odd": Profile(49, 49, THREE, 8, False, "-n 6"),
    "every style, tile-parts": Profile(128, 128, ONE, 4, True, "-t 64,64 -M 63 -TP R -n 3"),
    "precincts": Profile(128, 128, ONE, 8, False, "-p RPCL -c [32,32],[16,16] -b 8,8"),
    "offsets, odd tiles": Profile(61, 99, ONE, 8, False, "-d 5,128 -T 1,101 -t 33,33 -n 4"),
    "12 bits, tiles": Profile(128, 128, ONE, 12, False, "-t 64,64"),
    "tiles of 37 from 8, 2": Profile(132, 131, THREE, 8, False, "-t 37,37 -d 9,12 -T 8,2 -n 3"),
    "two components, one a quarter as wide": Profile(12, 12, ((4, 1), (1, 1)), 8, False, "-n 2"),
    "tiles of 3 with empty tile-components": Profile(12, 12, ((1, 1), (4, 4)), 8, False, "-t 3,3 -n 1"),
    "one bit": Profile(40, 33, ONE, 1, False, "-n 3"),
    "two bits": Profile(40, 33, ONE, 2, False, "-n 3"),
    "16 bits": Profile(40, 33, ONE, 16, False, "-n 3"),
    "16 bits, signed, tiles": Profile(40, 33, THREE, 16, True, "-n 3 -t 20,20"),
    "13 bits, signed, tiles": Profile(40, 33, THREE, 13, True, "-n 3 -t 20,20"),
    "a region by Maxshift": Profile(64, 64, THREE, 8, False, "-ROI c=1,U=9 -t 40,40 -n 3"),
    "blocks of 4 by 1024": Profile(64, 64, ONE, 8, False, "-b 4,1024"),
    "small precincts": Profile(64, 64, ONE, 8, False, "-c [8,8],[4,4],[2,2] -n 3 -b 4,4"),
}  # fmt: skip


def planes_of(profile: Profile) -> list[Plane]:
    """Samples of each component as they are coded."""
    found = []
    for number, (dx, dy) in enumerate(profile.steps):
        y, x = np.mgrid[: -(-profile.height // dy), : -(-profile.width // dx)]
        values = 0.5 + 0.2 * (np.sin(x / 5 + number) + np.cos(y / 7)) + (x * 7 + y * 3) % 11 / 110
        samples = np.rint(np.clip(values, 0, 1) * ((1 << profile.bits) - 1)).astype(np.int64)
        found.append(samples - (1 << profile.bits - 1) * profile.signed)
    return found


def written(profile: Profile, planes: list[Plane]) -> bytes:
    """The codestream of some planes by opj_compress."""
    program, sign = tool("opj_compress"), "us"[profile.signed]
    grids = ":".join(f"{dx}x{dy}" for dx, dy in profile.steps)
    size = f"{profile.width},{profile.height},{len(planes)},{profile.bits},{sign}@{grids}"
    width = ">i2" if profile.bits > 8 else "i1"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.raw", Path(folder) / "out.j2k"
        source.write_bytes(b"".join(plane.astype(width).tobytes() for plane in planes))
        command = [program, "-i", str(source), "-o", str(target), "-F", size, "-mct", "0"]
        done = subprocess.run(
            [*command, *profile.options.split()], capture_output=True, text=True, timeout=60
        )
        assert target.exists(), done.stdout + done.stderr
        return target.read_bytes()


@pytest.mark.parametrize("name", PROFILES)
def test_every_sample_is_read_as_it_was_coded(name: str) -> None:
    profile = PROFILES[name]
    planes = planes_of(profile)
    data = written(profile, planes)
    decoded = decode_file(data).decoded
    assert not decoded.warnings
    assert decoded.bit_depth == profile.bits
    finest = [min(step[axis] for step in profile.steps) for axis in (0, 1)]
    height, width = -(-profile.height // finest[1]), -(-profile.width // finest[0])
    assert decoded.pixels.shape == (height, width, len(planes))
    for channel, (plane, (dx, dy)) in enumerate(zip(planes, profile.steps, strict=True)):
        rows, columns = np.arange(height), np.arange(width)
        repeated = plane[np.ix_(rows * finest[1] // dy, columns * finest[0] // dx)]
        expected = repeated + (1 << profile.bits - 1) * profile.signed
        np.testing.assert_array_equal(decoded.pixels[:, :, channel], expected)


def test_markers_that_say_nothing_of_the_picture_are_passed_over() -> None:
    profile = PROFILES["4 bits, signed, bypass, tiles, TLM, PLT"]
    planes = planes_of(profile)
    data = written(profile, planes)
    first = next(one.offset for one in segments(data, 0, len(data)) if one.marker == 0xFF90)
    extra = (
        struct.pack(">HHHH", 0xFF63, 6, 0, 0),  # CRG
        b"\xff\x64\x00\x08\x00\x01text",  # COM
        b"\xff\x64\x00\x05\x00\x00\xff",
        b"\xff\x33",  # reserved, without a segment
        b"\xff\x6f\x00\x04\xff\xd9",  # reserved, with one
    )
    changed = data[:first] + b"".join(extra) + data[first:]
    expected = decode_file(data).decoded.pixels
    np.testing.assert_array_equal(decode_file(changed).decoded.pixels, expected)


def test_257_components_are_refused_by_their_number() -> None:
    profile = Profile(1, 1, ((1, 1),) * 257, 8, False, "-n 1")
    data = written(profile, planes_of(profile))
    with pytest.raises(UnsupportedCodestream, match="257 components are not supported, only 1 to 4"):
        openjpeg.decode(data)


def test_the_tools_decoder_sees_the_same_samples(tmp_path: Path) -> None:
    profile = PROFILES["tiles of 37 from 8, 2"]
    data = written(profile, planes_of(profile))
    (tmp_path / "in.j2k").write_bytes(data)
    command = [tool("opj_decompress"), "-i", str(tmp_path / "in.j2k"), "-o", str(tmp_path / "out.raw")]
    subprocess.run(command, capture_output=True, check=True, timeout=60)
    samples = np.fromfile(tmp_path / "out.raw", np.uint8).reshape(3, 131, 132)
    np.testing.assert_array_equal(openjpeg.decode(data).pixels, samples.transpose(1, 2, 0))
