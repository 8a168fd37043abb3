"""Finds independent programs for tests, which are skipped if one is not installed."""

from __future__ import annotations

import os
import shutil

import pytest


def tool(*names: str) -> str:
    """The path of a program, the first installed one of these names."""
    return required(next(filter(None, map(shutil.which, names)), None), names[0])


def required(path: str | None, name: str) -> str:
    """The path of a program; without one, skips the test, or fails it if FOVEATE_REQUIRE_TOOLS=1."""
    if path is None:
        if os.environ.get("FOVEATE_REQUIRE_TOOLS") == "1":
            pytest.fail(f"{name} is not installed, and FOVEATE_REQUIRE_TOOLS=1 asks for it")
        pytest.skip(f"{name} is not installed")
    return path
