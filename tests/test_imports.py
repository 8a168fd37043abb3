"""Tests the import rule: imports point down only, and slow modules are imported where they are used."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foveate.pipelines.cli import COMMANDS

ROOT = Path(__file__).parents[1]
ALLOWED = {  # folder → the other folders it may import from
    "codec": set[str](),
    "models": set[str](),
    "quality": set[str](),
    "storage": set[str](),
    "pictures": {"codec"},
    "sandbox": {"codec", "pictures", "storage"},
    "archive": {"codec", "pictures", "storage"},
    "reports": {"archive", "codec", "models", "pictures", "quality", "sandbox", "storage"},
    "transforms": {"archive", "codec", "models", "pictures", "quality", "sandbox", "storage"},
}
ALLOWED["pipelines"] = {*ALLOWED}
FORBIDDEN = {  # folder → packages it may import nowhere
    "codec": {"apache_beam", "tensorflow", "keras"},
    "pictures": {"apache_beam", "tensorflow", "keras"},
    "models": {"apache_beam"},
    "quality": {"apache_beam", "tensorflow", "keras"},
}
SLOW = {"tensorflow", "tensorflow_io", "keras"}  # seconds to import: nowhere at a module's top
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
OURS = {*ALLOWED, "foveate", "benchmarks", "deploy", "examples", "tests"}


def imports(tree: ast.AST, inside_functions: bool = True) -> Iterator[tuple[str, int]]:
    """Each imported module's full name and line; optionally only what importing the module itself runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node.lineno
        elif not is_for_types_only(node) and (inside_functions or not isinstance(node, FUNCTIONS)):
            yield from imports(node, inside_functions)


def is_for_types_only(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`, which never runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def room(name: str) -> str:
    """The folder of one of our own modules, the package of another's."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if first == "foveate" and rest else first


def offenses(folder: str, forbidden: set[str], inside_functions: bool = True) -> list[str]:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name, line in imports(ast.parse(path.read_text(), path.name), inside_functions):
            if name.startswith(".") or room(name) in forbidden:
                found.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_folder_imports_only_from_those_below_it(folder: str) -> None:
    assert not offenses(folder, OURS - ALLOWED[folder] - {folder})


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_codec_models_and_quality_know_nothing_of_beam_nor_codec_and_quality_of_networks(folder: str) -> None:
    assert not offenses(folder, FORBIDDEN[folder])


@pytest.mark.parametrize("folder", ALLOWED)
def test_tensorflow_and_keras_are_imported_inside_functions_only(folder: str) -> None:
    assert not offenses(folder, SLOW, inside_functions=False)


def test_the_rule_sees_imports_of_every_form() -> None:
    source = """
import os, foveate.codec.jp2 as jp2
from . import sibling
try:
    import keras
except ImportError:
    keras = None
class Holder:
    import quality
    def method(self):
        from tensorflow import keras
if TYPE_CHECKING:
    import apache_beam
"""
    everywhere = [name for name, _ in imports(ast.parse(source))]
    at_the_top = [name for name, _ in imports(ast.parse(source), inside_functions=False)]
    assert everywhere == ["os", "foveate.codec.jp2", ".", "keras", "quality", "tensorflow"]
    assert at_the_top == ["os", "foveate.codec.jp2", ".", "keras", "quality"]


def test_the_command_line_explains_itself_without_loading_networks() -> None:
    code = f"""
import sys
from foveate.pipelines.cli import COMMANDS, main
for command in ("", *COMMANDS):
    try:
        main([command, "--help"] if command else ["--help"])
    except SystemExit as stop:
        assert not stop.code, command
    loaded = sorted({SLOW} & sys.modules.keys())
    assert not loaded, (command, loaded)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert all(f"usage: foveate {command}" in done.stdout for command in COMMANDS)
