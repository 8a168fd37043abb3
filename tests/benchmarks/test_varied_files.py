"""Files of all structures are transcoded: all pixels without loss, or as many bytes as asked for."""

from __future__ import annotations

import pytest

from benchmarks import varied_files


def check(count: int, first: int) -> None:
    found = [
        f"{made.name}: {problem}"
        for made in varied_files.varied(count, first)
        for problem in varied_files.problems(made)
    ]
    assert not found


def test_some_files_keep_their_pixels_or_meet_their_target() -> None:
    check(8, 0)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 200, 50))
def test_two_hundred_files_do(first: int) -> None:
    check(50, first)
