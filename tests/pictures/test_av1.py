"""The sequence header of AV1 data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.pictures import av1
from foveate.pictures.bits import CannotBeRead


def sequence_header(fields: list[tuple[int, int]]) -> bytes:
    """An OBU of a sequence header, from values and their numbers of bits."""
    bits = "".join(f"{value:0{count}b}" for value, count in fields)
    content = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    return bytes([0x0A, len(content)]) + content


SIZE = [(5, 4), (5, 4), (40, 6), (33, 6)]
STILL = [(1, 1), (1, 1), (0, 5), *SIZE, (0, 3)]  # a short header
# no clock, two operating points, the second of a level with tiers; frame numbers, tools chosen for each frame
MOVING = [(0, 1), (0, 1), (0, 1), (0, 1), (1, 5), (0, 12), (5, 5), (1, 12), (8, 5), (0, 1), *SIZE,
          (1, 1), (0, 7), (0, 3), (0, 4), (1, 1), (3, 2), (1, 1), (1, 1), (6, 3)]  # fmt: skip


@pytest.mark.parametrize("before_tools", [STILL, MOVING], ids=["still", "moving"])
@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("gray", [False, True])
def test_code_points_are_read(before_tools: list[tuple[int, int]], bits: int, *, gray: bool) -> None:
    profile = 2 if bits == 12 else 0
    depth = [(int(bits > 8), 1)] + [(1, 1)] * (bits == 12)
    head = [(profile, 3), *before_tools, (5, 3), *depth, (int(gray), 1)]
    color = [(9, 8), (14, 8), (6, 8)]
    assert av1.code_points(b"\x12\0" + sequence_header([*head, (1, 1), *color, (1, 1)])) == (9, 14)
    assert av1.code_points(b"\x12\0" + sequence_header([*head, (0, 1), (1, 1)])) is None


@given(st.binary(max_size=40))
def test_other_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = av1.code_points(b"\x0a\x10" + data)
    except CannotBeRead:
        return
    assert found is None or max(found) < 256
