"""Leaves photos to other runs that work on the same archive.

SourceFile ─▶ claimed ─▶ the same SourceFile, or a count of those that others work on
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.claims import Claiming, Claims
from foveate.storage.source import SourceFile
from foveate.transforms.progress import Progress
from foveate.transforms.steps import FAILURES, Element, attempt

LEFT = "left"
_lock = threading.Lock()
_open: dict[Claiming, tuple[Claims, int]] = {}  # of this process, with the number of those who use them


@dataclasses.dataclass
class ClaimPhotos(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """`SourceFile`s → those for this run to process (main output "good"), "failures", and "left"."""

    claiming: Claiming
    progress: Progress

    def expand(self, sources: Any) -> Any:
        """Claims each."""
        claim = beam.ParDo(_Claim(self.claiming, self.progress)).with_output_types(Element)
        return sources | "Claim each" >> claim.with_outputs(FAILURES, LEFT, main="good")


class _Claim(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    def __init__(self, claiming: Claiming, progress: Progress) -> None:
        self.claiming, self.progress = claiming, progress
        self.claims: Claims | None = None

    def setup(self) -> None:
        """Joins the claims of this process."""
        with _lock:
            claims, users = _open.get(self.claiming) or (Claims(self.claiming), 0)
            _open[self.claiming] = claims, users + 1
            self.claims = claims

    def process(self, source: SourceFile) -> Iterator[Any]:
        """One photo."""
        claims = self.claims
        if claims is None:
            raise AssertionError("setup has not run")
        is_mine, failed = attempt(source.url, "claim", lambda: claims.take(source))
        if failed:
            yield beam.pvalue.TaggedOutput(FAILURES, failed)
        elif is_mine:
            yield source
        else:
            self.progress.count("left", 0, source.size_bytes)
            yield beam.pvalue.TaggedOutput(LEFT, source)

    def teardown(self) -> None:
        """Leaves them; the last one ends their thread."""
        with _lock:
            claims, users = _open.pop(self.claiming, (None, 0))
            if claims is not None and users > 1:
                _open[self.claiming] = claims, users - 1
            elif claims is not None:
                claims.close()
