"""Detects the processor's features, so that networks can use the fastest arithmetic."""

from __future__ import annotations

import functools
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


@functools.cache
def multiplies_bfloat16(cpu_info: Path = _CPU_INFO) -> bool:
    """Whether it multiplies matrices of bfloat16 in hardware (Intel's AMX); False if unknown."""
    try:
        text = cpu_info.read_text()
    except OSError:
        return False
    flags = (line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags"))
    return "amx_bf16" in next(flags, [])
