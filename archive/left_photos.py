"""Remembers the photos that a watch has left to other runs, and returns those that remain undone."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

from foveate.archive.claims import others_alive
from foveate.archive.names import ENDINGS
from foveate.storage.files import join, stored_file
from foveate.storage.source import SourceFile


def note_left(source: SourceFile, file: str) -> None:
    """Adds a photo to a file of those left, from any thread or process on this machine."""
    line = json.dumps(dataclasses.asdict(source)) + "\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())  # one write of one line: whole even among processes
    finally:
        os.close(descriptor)


class LeftPhotos:
    """Photos that other runs had claimed, in a file.

    Args:
      archive: its root.
      run_id: the run that leaves them.
      file: where `note_left` adds them.
    """

    def __init__(self, archive: str, run_id: str, file: str) -> None:
        self.archive, self.run_id, self.file = archive, run_id, file
        self._since = time.time()

    def to_do(self) -> list[SourceFile]:
        """The photos left undone if no other run is alive, else none; forgets those that it returns.

        Raises:
          OSError: the archive cannot be read.
        """
        if not Path(self.file).exists():
            return []
        lines = Path(self.file).read_text().splitlines()
        left = {source.url: source for source in (SourceFile(**json.loads(line)) for line in lines)}
        remaining = [source for source in left.values() if not self._is_done(source)]
        Path(self.file).unlink()
        if not others_alive(self.archive, self.run_id):
            return remaining
        for source in remaining:
            note_left(source, self.file)
        return []

    def _is_done(self, source: SourceFile) -> bool:
        """Whether the archive has a file of a photo that was written later than the photo was left."""
        since = max(self._since, source.modified)
        urls = (join(self.archive, source.relative_path + ending) for ending in ENDINGS)
        files = (stored_file(url) for url in urls if url != source.url)
        return any(file is not None and file.modified >= since for file in files)
