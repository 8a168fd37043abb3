"""Fetches engines for the tests into `.engines/`, once: with Go what Beam writes in Go, with Maven Flink."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import apache_beam as beam

ROOT = Path(__file__).parents[2]
ENGINES = ROOT / ".engines"
BEAM_GO = "github.com/apache/beam/sdks/v2"
# A registry need not have all parts of the runner that fits this Beam; the jobs it takes are the same.
RUNNER_VERSIONS = (beam.__version__, "2.62.0")
_SECONDS = 900  # for one fetch


class NotToBeHad(RuntimeError):  # noqa: N818 (reads as the sentence it ends up in)
    """An engine cannot be fetched or run here; the message says why."""


def prism() -> Path:
    """The program of Beam's portable local runner, of this Beam's version."""
    return _go_program("prism", f"{BEAM_GO}/go/cmd/prism")


def boot() -> Path:
    """The program that starts a Python worker for an engine, of this Beam's version."""
    return _go_program("container", f"{BEAM_GO}/python/container")


def _go_program(name: str, package: str) -> Path:
    folder = ENGINES / f"beam-{beam.__version__}"
    if not (folder / name).exists():
        if shutil.which("go") is None:
            raise NotToBeHad(f"Go builds {package}, and there is no Go here")
        command = ["go", "install", f"{package}@v{beam.__version__}"]
        _run(command, {"GOBIN": str(folder), "GOFLAGS": "", "CGO_ENABLED": "0"})
    return folder / name


@functools.cache
def flink() -> tuple[Path, str]:
    """The folder with the jars of Flink and of Beam's runner for it, and the version of that runner."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise NotToBeHad(f"Flink wants Java, and Maven to fetch it; there is no {program} here")
    problem = None
    for version in RUNNER_VERSIONS:
        folder = ENGINES / f"flink-beam-{version}"
        if folder.exists():
            return folder, version
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        pom = Path(__file__).with_name("flink.xml")
        command = ["mvn", "-B", "-q", "-f", str(pom), f"-Dbeam={version}", "dependency:copy-dependencies"]
        try:
            _run([*command, f"-DoutputDirectory={partial}"])
        except NotToBeHad as error:
            problem = problem or error
            continue
        partial.rename(folder)
        return folder, version
    raise problem or NotToBeHad("no version of Beam's Flink runner is asked for")


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    variables = os.environ | (environment or {})
    ENGINES.mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotToBeHad(f"{' '.join(command)} took more than {_SECONDS} s") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        reason = next((line for line in lines if "ERROR" in line), lines[-1])
        raise NotToBeHad(f"{' '.join(command)} failed: {reason}")
