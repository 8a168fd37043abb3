"""Selects the photos to measure in full: one in eight, the same ones in every run."""

from __future__ import annotations

_SAMPLED = 256 // 8  # of the 256 first bytes that a SHA-256 may have


def is_in_sample(source_sha256: str) -> bool:
    """Whether a source is in the sample, by its hexadecimal hash."""
    return int(source_sha256[:2], 16) < _SAMPLED
