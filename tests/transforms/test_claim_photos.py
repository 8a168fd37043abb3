"""Tests that photos claimed by another run go to a separate output."""

from __future__ import annotations

import json
import time
from pathlib import Path

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive import leases
from foveate.archive.claims import Claiming, claim_url
from foveate.storage.source import SourceFile
from foveate.transforms.claim_photos import LEFT, ClaimPhotos
from foveate.transforms.progress import Progress


def test_what_another_run_that_is_alive_has_claimed_is_left_to_it(tmp_path: Path) -> None:
    archive = str(tmp_path)
    leases.renew(archive, "other")
    claim = Path(claim_url(archive, "a.jpg"))
    claim.parent.mkdir(parents=True)
    claim.write_text(json.dumps({"run": "other", "path": "a.jpg"}))
    sources = [SourceFile(f"/in/{name}", name, 7, 1.0) for name in ("a.jpg", "b.jpg")]
    claiming = Claiming(archive, "this", "5e" * 8, "3e" * 8)
    with TestPipeline(runner="FnApiRunner") as root:
        claimed = root | beam.Create(sources) | ClaimPhotos(claiming, Progress())
        assert_that(claimed.good, equal_to(sources[1:]), label="good")
        assert_that(claimed[LEFT], equal_to(sources[:1]), label="left")


def test_what_a_run_that_ended_has_claimed_is_taken_in_a_later_round(tmp_path: Path) -> None:
    archive = str(tmp_path)
    claim = Path(claim_url(archive, "a.jpg"))
    claim.parent.mkdir(parents=True)
    claim.write_text(json.dumps({"run": "other", "path": "a.jpg"}))
    leases.renew(archive, "third")
    source = SourceFile("/in/a.jpg", "a.jpg", 7, 1.0)
    for since, left in ((time.time() - 60, [source]), (time.time() + 60, [])):
        claiming = Claiming(archive, "this", "5e" * 8, "3e" * 8, since=since)
        with TestPipeline(runner="FnApiRunner") as root:
            claimed = root | beam.Create([source]) | ClaimPhotos(claiming, Progress())
            assert_that(claimed[LEFT], equal_to(left), label="left")
