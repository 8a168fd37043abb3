"""Write constraints.txt and constraints-tfio.txt: one lock each for every Python that it is for.

    python3 .ci/lock.py                         resolve both afresh, to the newest versions that fit
    python3 .ci/lock.py constraints.txt         keep the versions in this file, where they still fit
    python3 .ci/lock.py constraints-tfio.txt    the same for the environment that reads DICOM

Asks pip of each supported Python (python3.11, python3.12, ... on PATH) what the extras need. A later Python
takes the versions of the earlier ones wherever it can; where it can't, the line gets a marker with the Python
it is for. Resolved afresh, the second file takes the first's versions wherever it can. Nothing is installed,
and no other file is written.
"""

import dataclasses
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Lock:
    """A file of constraints: for which Pythons, of what, and in which words it says so."""

    file: str
    pythons: tuple[str, ...]
    wanted: str
    header: str


LOCKS = {
    lock.file: lock
    for lock in (
        Lock(
            "constraints.txt",
            ("3.11", "3.12", "3.13"),
            ".[dev,docs]",
            """\
# The exact versions that Foveate is developed and tested with, for Python 3.11 to 3.13 on Linux x86-64.
# Written by `python3 .ci/lock.py` (see there); used as `pip install -c constraints.txt -e '.[dev]'`.
""",
        ),
        Lock(
            "constraints-tfio.txt",
            ("3.11", "3.12"),
            ".[dev,tfio,tfio-dev]",
            """\
# The exact versions that Foveate is tested with for reading DICOM, for Python 3.11 and 3.12 on Linux x86-64.
# Written by `python3 .ci/lock.py` (see there); used as `pip install -c constraints-tfio.txt -e '.[tfio]'`.
""",
        ),
    )
}
CONFLICT = re.compile(r"The user requested \(constraint\) (\S+?)==")


def normal(name: str) -> str:
    """A package name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_of(path: Path, python: str) -> dict[str, str]:
    """The versions that a lock file asks for on one Python."""
    pins = {}
    for line in path.read_text().splitlines():
        pin, _, marker = line.partition(";")
        name, exact, version = pin.partition("==")
        if exact and (not marker or f"'{python}'" in marker):
            pins[normal(name.strip())] = version.strip()
    return pins


def resolve(python: str, what: str, wanted: dict[str, str]) -> dict[str, str]:
    """Versions that pip would install for `what` on one Python: the wanted ones, except conflicts."""
    wanted = dict(wanted)
    with tempfile.TemporaryDirectory() as scratch:
        report, pins, environment = (str(Path(scratch, name)) for name in ("report.json", "pins.txt", "venv"))
        subprocess.run([f"python{python}", "-m", "venv", environment], check=True)
        dry_run = [f"{environment}/bin/pip", "install", "--dry-run", "--ignore-installed", "--report", report]
        while True:
            Path(pins).write_text("".join(f"{name}=={version}\n" for name, version in wanted.items()))
            command = [*dry_run, "-c", pins, "-e", what]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                break
            conflicting = {
                normal(name) for name in CONFLICT.findall(done.stdout + done.stderr)
            } & wanted.keys()
            if not conflicting:
                sys.exit(f"Python {python}: pip finds no set of versions:\n{done.stderr}")
            print(f"Python {python} needs other versions of: {', '.join(sorted(conflicting))}", flush=True)
            for name in conflicting:
                del wanted[name]
        packages = [entry["metadata"] for entry in json.loads(Path(report).read_text())["install"]]
    return {
        normal(package["name"]): package["version"] for package in packages if package["name"] != "foveate"
    }


def lock_lines(versions: dict[str, dict[str, str]]) -> list[str]:
    """One line a package and version, with a marker where a package has several versions."""
    lines = []
    for name in sorted({name for pins in versions.values() for name in pins}):
        pythons: dict[str, list[str]] = {}
        for python, pins in versions.items():
            if name in pins:
                pythons.setdefault(pins[name], []).append(python)
        for version, wanting in pythons.items():
            marker = " or ".join(f"python_version == '{python}'" for python in wanting)
            lines.append(f"{name}=={version}" + (f" ; {marker}" if len(pythons) > 1 else ""))
    return lines


def write_lock(lock: Lock, kept: Path | None) -> None:
    """Resolves for each Python in turn and writes the lock; `kept` is a file of versions to keep."""
    versions: dict[str, dict[str, str]] = {}
    for python in lock.pythons:
        wanted = pins_of(kept, python) if kept else {}
        for pins in versions.values():
            wanted = pins | wanted if kept else wanted | pins
        versions[python] = resolve(python, lock.wanted, wanted)
        print(f"{lock.file}, Python {python}: {len(versions[python])} packages", flush=True)
    Path(lock.file).write_text(lock.header + "\n".join(lock_lines(versions)) + "\n")


def main() -> None:
    """Writes the lock that is named, keeping its versions, or both afresh."""
    if len(sys.argv) > 1:
        write_lock(LOCKS[Path(sys.argv[1]).name], Path(sys.argv[1]))
        return
    write_lock(LOCKS["constraints.txt"], None)
    write_lock(LOCKS["constraints-tfio.txt"], Path("constraints.txt"))


if __name__ == "__main__":
    main()
