"""Tests the wheel as users install it: one package that works without the checkout, whatever is beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from foveate.pipelines.running.runner import version
from tests.picture_files import png
from tests.streams import texture
from tests.test_imports import ALLOWED

ROOT = Path(__file__).parents[2]
# Folders that the wheel is not made of; those that git ignores can be large.
NOT_SOURCES = {"benchmarks", "docs", "examples", "tests"} | {
    line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("/")
}
# Packages of other people, by these names.
HOSTILE = ("codec", "models", "pipelines", "quality", "transforms")
# What a program beside the command line does with the package, run in the clean environment.
CALLS = """
import pathlib

import numpy as np

import foveate

data = pathlib.Path("archive/photo.png.jp2").read_bytes()
assert foveate.inspect(data).record is not None
pixels = foveate.decode(data)
mask = foveate.saliency(pixels)
better = foveate.restore(foveate.encode(pixels, bpp=2, saliency=mask))
assert better.shape == pixels.shape == (60, 80, 3) and foveate.measure(pixels, better).psnr_db > 20
print(foveate.__file__)
"""


def run(*command: str | Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a folder; a failure shows all that it printed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=inherited | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, since builds leave folders behind and pick up old ones."""
    source = tmp_path_factory.mktemp("source") / "foveate"
    shutil.copytree(ROOT, source, symlinks=True, ignore=_not_sources)
    return wheel_of(source, tmp_path_factory.mktemp("wheel"))


def wheel_of(source: Path, output: Path) -> Path:
    """The wheel that pip builds of a folder or a source distribution."""
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", output, source, folder=output)
    (found,) = output.glob("*.whl")
    return found


def _not_sources(folder: str, names: list[str]) -> set[str]:
    """Hidden files, and others that are not part of the wheel."""
    unwanted = NOT_SOURCES if Path(folder) == ROOT else set()
    return {name for name in names if name.startswith((".", "__pycache__")) or name in unwanted} | {
        name for name in names if name.endswith(".egg-info")
    }


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with the wheel, sharing the dependencies of the one that runs the tests."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", environment, folder=environment)
    packages = site_packages(environment)
    dependencies = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "dependencies.pth").write_text("\n".join(dependencies))
    before = {path.name for path in packages.iterdir()}
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python")
    run(
        *pip, "install", "--no-deps", "--no-index", "--quiet", "--ignore-installed", wheel, folder=environment
    )
    added = {path.name for path in packages.iterdir()} - before
    assert added == {"foveate", f"foveate-{version()}.dist-info"}
    bring_compiled_loops(packages)
    return environment


def bring_compiled_loops(packages: Path) -> None:
    """Copies numba's caches from the checkout to the installed modules, since compiling takes a minute."""
    for folder in ALLOWED:
        for module in (ROOT / folder).rglob("*.py"):
            stamp = module.stat()
            twin = packages / "foveate" / module.relative_to(ROOT)
            os.utime(twin, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # the caches are of a file of this age
            for cache in (module.parent / "__pycache__").glob(f"{module.stem}.*.nb[ic]"):
                (twin.parent / "__pycache__").mkdir(exist_ok=True)
                shutil.copy2(cache, twin.parent / "__pycache__")


def site_packages(environment: Path) -> Path:
    return environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with a photo, and unimportable packages named like Foveate's folders."""
    for place in (tmp_path, tmp_path / "elsewhere"):
        for name in HOSTILE:
            (place / name).mkdir(parents=True)
            (place / name / "__init__.py").write_text(f"raise ImportError('not the {name} of Foveate')")
    (tmp_path / "photo.png").write_bytes(png(texture(60, 80, 3)))
    return tmp_path


def test_the_wheel_contains_every_module_and_its_data(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("foveate/")}
    files = [path for folder in ALLOWED for path in (ROOT / folder).rglob("*") if path.is_file()]
    needed = [path for path in files if path.suffix in (".py", ".html", ".css", ".js", ".npz", ".h5")]
    expected = {f"foveate/{path.relative_to(ROOT).as_posix()}" for path in needed}
    own = {f"foveate/{path.name}" for path in (ROOT / "foveate").glob("*.py")} | {"foveate/py.typed"}
    assert expected | own <= held


@pytest.mark.slow
def test_the_source_distribution_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "foveate", tmp_path / "sdist"
    shutil.copytree(ROOT, source, symlinks=True, ignore=_not_sources)
    output.mkdir()
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(output)!r})"
    run(sys.executable, "-c", build, folder=source)
    (sdist,) = output.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert f"foveate-{version()}/CHANGELOG.md" in archive.getnames()
    rebuilt = wheel_of(sdist, output)
    assert set(zipfile.ZipFile(rebuilt).namelist()) == set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
def test_the_wheel_works_next_to_packages_of_the_same_names(installed: Path, hostile: Path) -> None:
    variables = {"PYTHONPATH": str(hostile / "elsewhere")}
    command = installed / "bin" / "foveate"
    said = run(command, "--version", folder=hostile, **variables).stdout
    assert said == f"foveate {version()}\n"
    flags = ("--bpp", "1", "--roi", "none", "--reccnn", "off")
    run(command, "compress", "photo.png", "--output", "archive", *flags, folder=hostile, **variables)
    assert (hostile / "archive" / "photo.png.jp2").is_file()
    python = installed / "bin" / "python"
    said = run(python, "-m", "foveate", "verify", "archive", folder=hostile, **variables).stdout
    assert "1 file" in said
    where = run(python, "-c", CALLS, folder=hostile, **variables).stdout.splitlines()[-1]
    assert Path(where).parent == site_packages(installed) / "foveate"
