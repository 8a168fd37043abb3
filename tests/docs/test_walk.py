"""Runs the commands of README and the pages as a new user would, in order, on small copies of the photos.

The shell is a real one. Its `foveate` hands its arguments and standard streams to this process, where
everything is imported already, and its `make` does not install.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from foveate.pipelines.cli import main
from tests.docs.markdown import MARKED, ROOT, Block, blocks

_CLIENT = """#!{python} -ES
import json, os, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(os.environ["FOVEATE_SOCKET"])
socket.send_fds(peer, [json.dumps([os.getcwd(), sys.argv[1:]]).encode() + b"\\n"], [1, 2])
sys.exit(int(peer.makefile().readline() or 70))
"""
_SIZE = (256, 192)  # pixels of the photos: one for all, since networks are prepared for each size


class Walk:
    """A copy of what the commands need, and the shell that they run in."""

    def __init__(self, folder: Path, listener: socket.socket, address: str) -> None:
        self.folder, self.listener = folder, listener
        (folder / "examples" / "photos").mkdir(parents=True)
        for photo in (ROOT / "examples" / "photos").glob("*.jpg"):
            with Image.open(photo) as image:
                small = ImageOps.fit(image, _SIZE)
                small.save(folder / "examples" / "photos" / photo.name, quality=92, exif=image.getexif())
        shutil.copy(ROOT / "Makefile", folder)
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        make = shutil.which("make")
        self._program("foveate", _CLIENT.format(python=sys.executable))
        self._program("make", f'#!/bin/sh\nexec {make} -o install "$@"\n')
        self._program("python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        self.environment = {**os.environ, "FOVEATE_SOCKET": address}
        self.environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
        for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # of the `make test` that this may run in
            self.environment.pop(name, None)

    def _program(self, name: str, text: str) -> None:
        path = self.folder / ".venv" / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, block: Block) -> None:
        """Runs one block; every command must succeed, and every named file must exist."""
        where = f"{block.page}:{block.line}"
        with tempfile.TemporaryFile("w+") as said:
            shell = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", block.text],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            while shell.poll() is None:
                if select.select([self.listener], [], [], 0.02)[0]:
                    self._serve()
            said.seek(0)
            assert shell.returncode == 0, f"{where} ended with {shell.returncode}:\n{said.read()}"
        missing = [name for name in block.files if not (self.folder / name).exists()]
        assert not missing, f"{where} left no {missing}"

    def _serve(self) -> None:
        """One command of a shell: its folder, arguments and streams come in, its exit status goes out."""
        peer, _ = self.listener.accept()
        with peer:
            message, streams, _, _ = socket.recv_fds(peer, 1 << 16, 2)
            folder, arguments = json.loads(message)
            with (
                contextlib.chdir(folder),
                os.fdopen(streams[0], "w") as out,
                os.fdopen(streams[1], "w", buffering=1) as errors,
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(errors),
            ):
                try:
                    status = main(arguments)
                except SystemExit as end:
                    status = end.code if isinstance(end.code, int) else 1
            with contextlib.suppress(BrokenPipeError):
                peer.sendall(f"{status}\n".encode())


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The folder of the walk after README's commands, where later pages continue."""
    with tempfile.TemporaryDirectory(prefix="walk-") as short, socket.socket(socket.AF_UNIX) as listener:
        address = f"{short}/socket"
        listener.bind(address)
        listener.listen()
        found = Walk(tmp_path_factory.mktemp("walk"), listener, address)
        for block in blocks("README.md"):
            if block.mark == "run":
                found.run(block)
        yield found


@pytest.mark.parametrize("page", [page for page in MARKED if any(b.mark == "run" for b in blocks(page))])
def test_commands_on_a_page_run(page: str, walk: Walk) -> None:
    for block in blocks(page):
        if block.mark == "run" and page != "README.md":  # that ran before
            walk.run(block)


def test_a_block_that_fails_or_leaves_nothing_is_noticed(walk: Walk) -> None:
    with pytest.raises(AssertionError, match="ended with 2"):
        walk.run(Block("page", 1, "sh", "run", (), "foveate report nothing-here\ntrue\n"))
    with pytest.raises(AssertionError, match="left no"):
        walk.run(Block("page", 1, "sh", "run", ("never.html",), "true\n"))
