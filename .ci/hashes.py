"""Write deploy/requirements.txt: what the container installs, each with the SHA-256 of the file it comes as.

    python3 .ci/hashes.py

Asks pip of the container's Python (python3.12 on PATH; Linux x86-64) what Foveate needs there, in the
versions of constraints.txt, and notes the hashes that it reports. Nothing is installed. Run it after every
change of constraints.txt; tests hold the two together.
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path

PYTHON = "3.12"  # as in deploy/Dockerfile
HEADER = """\
# What the container installs: Python {python} on Linux x86-64, in the versions of constraints.txt. Written by
# `make hashes`; used as `pip install --require-hashes --no-build-isolation -r {file}`.
"""
FILES = {"deploy/requirements-build.txt": ["setuptools", "wheel"], "deploy/requirements.txt": [".[aws]"]}


def resolve(wanted: list[str]) -> list[str]:
    """One entry a package, by name: its version, and the hash of the file that pip would fetch."""
    with tempfile.TemporaryDirectory() as scratch:
        report, environment = f"{scratch}/report.json", f"{scratch}/venv"
        subprocess.run([f"python{PYTHON}", "-m", "venv", environment], check=True)
        pip = [
            f"{environment}/bin/python",
            "-m",
            "pip",
            "install",
            "--dry-run",
            "--ignore-installed",
            "--quiet",
        ]
        subprocess.run([*pip, "--report", report, "-c", "constraints.txt", *wanted], check=True)
        found = json.loads(Path(report).read_text())["install"]
    entries = []
    for package in found:
        name = re.sub(r"[-_.]+", "-", package["metadata"]["name"]).lower()
        if name != "foveate":
            digest = package["download_info"]["archive_info"]["hashes"]["sha256"]
            entries.append(f"{name}=={package['metadata']['version']} --hash=sha256:{digest}")
    return sorted(entries)


def main() -> None:
    """Writes both files: what builds packages from source, and all that is installed."""
    for file, wanted in FILES.items():
        lines = resolve(wanted)
        Path(file).write_text(HEADER.format(python=PYTHON, file=file) + "\n".join(lines) + "\n")
        print(f"{file}: {len(lines)} packages")


if __name__ == "__main__":
    main()
