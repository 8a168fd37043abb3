"""Tests that compiling works without a cache, and with one of an earlier version."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from foveate.compiled import compilations, compiled


def test_a_function_without_a_place_for_its_code_is_compiled_all_the_same() -> None:
    # A function without a source file stands for one in a package that cannot be written to, without a home.
    names: dict[str, Any] = {}
    exec("def twice(value):\n    return 2 * value", names)
    twice = compiled(names["twice"])
    assert twice(21) == 42
    assert twice.stats.cache_path is None  # type: ignore[attr-defined]


def test_code_that_was_kept_before_a_class_was_renamed_is_compiled_again(tmp_path: Path) -> None:
    """As when a package is replaced by its next version while numba's code stays beside the modules."""
    module = tmp_path / "renaming.py"
    source = (
        "from typing import NamedTuple\n\nfrom foveate.compiled import compiled\n\n\n"
        "class Old(NamedTuple):\n    value: int\n\n\n"
        "@compiled\ndef twice(pair):\n    return 2 * pair.value\n\n\n"
        "print(twice(Old(21)), len(twice.stats.cache_hits))\n"
    )
    run = [sys.executable, "-c", "import renaming"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "PYTHONDONTWRITEBYTECODE": "1",  # bytecode is up to date by the second, and this may take less
    }
    said = []
    for name in ("Old", "Old", "New", "New"):
        module.write_text(source.replace("Old", name))
        done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=120)
        assert not done.returncode, done.stderr
        said.append(done.stdout.strip())
    assert said == ["42 0", "42 1", "42 0", "42 1"]


def test_compilations_are_seen_while_they_happen_and_once() -> None:
    seen: list[bool] = []

    names: dict[str, Any] = {}
    exec("def thrice(value):\n    return 3 * value", names)  # without a file it is not kept
    with compilations() as watched:
        kept = watched.on_start
        watched.on_start = lambda event: (kept(event), seen.append(watched.going_on))  # type: ignore[method-assign,assignment,func-returns-value]
        function = compiled(names["thrice"])
        assert (function(2), function(3)) == (6, 9)
    assert [name.rpartition(".")[2] for name in watched.names] == ["thrice"]
    assert seen == [True] and not watched.going_on
