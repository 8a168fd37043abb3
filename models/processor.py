"""Detects the processor's features, so that networks can use the fastest arithmetic."""

from __future__ import annotations

import functools
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


@functools.cache
def multiplies_bfloat16(cpu_info: Path = _CPU_INFO) -> bool:
    """Whether it multiplies bfloat16 in hardware (AMX, or AVX-512's BF16 instructions); False if unknown."""
    try:
        text = cpu_info.read_text()
    except OSError:
        return False
    flags = (line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags"))
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(next(flags, []))
