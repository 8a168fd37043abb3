"""A command that waits before it would archive too many photos, so that a test can interrupt it."""

from __future__ import annotations

import sys
from pathlib import Path

_PROGRAM = """
import os, sys, time
from foveate.pipelines.cli import main
from foveate.transforms import encode

archive, most = sys.argv[1], int(sys.argv[2])
encode_plain = encode.encode_plain

def stored():
    return sum(len(names) for folder, _, names in os.walk(archive) if "_foveate" not in folder)

def encode_or_wait(salient, encoder):
    while stored() >= most and not os.path.exists(archive + ".go"):
        time.sleep(0.05)
    yield from encode_plain(salient, encoder)

encode.encode_plain = encode_or_wait
sys.exit(main(sys.argv[3:]))
"""


def foveate_held_at(archive: Path, most: int) -> tuple[str, ...]:
    """The command `foveate`; with `most` files in the archive it waits for `let_go`, or to be killed."""
    return (sys.executable, "-c", _PROGRAM, str(archive), str(most))


def let_go(archive: Path) -> None:
    """Lets such a command archive the rest."""
    archive.with_name(f"{archive.name}.go").touch()
