"""Compiling works where nothing can be kept."""

from __future__ import annotations

from typing import Any

from foveate.compiled import compiled


def test_a_function_without_a_place_for_its_code_is_compiled_all_the_same() -> None:
    # A function without a source file stands for one in a package that cannot be written to, without a home.
    names: dict[str, Any] = {}
    exec("def twice(value):\n    return 2 * value", names)
    twice = compiled(names["twice"])
    assert twice(21) == 42
    assert twice.stats.cache_path is None  # type: ignore[attr-defined]
