from __future__ import annotations

from pathlib import Path

import pytest

from foveate.models.processor import multiplies_bfloat16

AMX = "processor\t: 0\nmodel name\t: X\nflags\t\t: fpu sse amx_bf16 amx_tile\n"
AVX512 = "processor\t: 0\nflags\t\t: fpu sse avx512_bf16\n\nprocessor\t: 1\n"
PLAIN = "processor\t: 0\nflags\t\t: fpu sse avx512f\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


@pytest.mark.parametrize(
    ("text", "expected"), [(AMX, True), (AVX512, True), (PLAIN, False), (ARM, False), ("", False)]
)
def test_bfloat16_is_found_among_the_flags(text: str, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert multiplies_bfloat16(tmp_path / "cpuinfo") is expected


def test_systems_without_such_a_file_take_float32(tmp_path: Path) -> None:
    assert multiplies_bfloat16(tmp_path / "missing") is False
