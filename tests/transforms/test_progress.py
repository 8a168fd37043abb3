"""Tests progress: one line per photo, intact even when many processes write at once."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import math
from pathlib import Path

import apache_beam as beam

from foveate.archive.planning.join import UpToDate
from foveate.pipelines.running.display import summary, total_counts
from foveate.transforms.progress import LOST, Progress, ProgressLine, read_progress
from foveate.transforms.steps import NAMESPACE
from tests.archive.test_tables import a_failure, a_row


def test_every_outcome_adds_its_line(tmp_path: Path) -> None:
    progress = Progress(str(tmp_path / "progress"))
    progress.add(a_row(width=30, height=20))
    progress.add(a_row(outcome="kept", width=None, height=None, archive_bytes=1000))
    row, failure = a_row(outcome="skipped"), a_failure()
    assert progress.skip_all(UpToDate(12, 700, 70)) == UpToDate(12, 700, 70)
    assert progress.skip_all(UpToDate(0, 0, 0)) == UpToDate(0, 0, 0)
    assert progress.skip_row(row) is row
    assert progress.fail(failure) is failure
    progress.count("restored", 600, 250)
    assert read_progress(tmp_path / "progress")[0] == [
        ProgressLine("compressed", 600, 1000, 250),
        ProgressLine("kept", 0, 1000, 1000),
        ProgressLine("skipped", 0, 700, 70, [], 12),
        ProgressLine("skipped", 0, 1000, 250),
        ProgressLine("failed", 0, 0, 0),
        ProgressLine("restored", 600, 250, 0),
    ]


def test_lost_metadata_is_counted_and_reported(tmp_path: Path) -> None:
    progress = Progress(str(tmp_path / "progress"))
    progress.add(a_row(metadata_lost="preview: 312 bytes; IPTC: it cannot be read"))
    progress.add(a_row(metadata_lost="IPTC: it cannot be read"))
    progress.add(a_row(metadata_lost=""))
    counts = total_counts(tmp_path / "progress")
    assert counts[LOST] == 2
    assert summary(counts, ("compressed",)).endswith("; 2 photos lost metadata: IPTC (2), preview (1)")


def test_lines_of_many_writers_stay_whole(tmp_path: Path) -> None:
    progress = Progress(str(tmp_path / "progress"))
    rows = [a_row(width=number, height=1) for number in range(1, 201)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(progress.add, rows))
    lines, _ = read_progress(tmp_path / "progress")
    assert sum(line[1] for line in lines) == math.comb(201, 2)


def test_a_line_that_is_not_whole_yet_is_left_for_the_next_look(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    Progress(str(file)).add(a_row(width=3, height=2))
    with file.open("a") as handle:
        handle.write('["kept", 1')
    lines, end = read_progress(file)
    assert len(lines) == 1
    with file.open("a") as handle:
        handle.write(", 2, 1]\n")
    assert read_progress(file, end)[0] == [ProgressLine("kept", 1, 2, 1)]


def test_before_the_first_photo_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert read_progress(tmp_path / "nowhere") == ([], 0)


def test_without_a_file_nothing_is_written() -> None:
    Progress().add(a_row())
    assert dataclasses.asdict(Progress()) == {"file": None}


def test_consoles_get_distributions_of_what_photos_cost_and_keep() -> None:
    rows = [
        a_row(bits_per_pixel=0.5, psnr_db=40.25, width=40, height=30, encode_seconds=0.25),
        a_row(bits_per_pixel=1.5, psnr_db=math.inf),
    ]
    pipeline = beam.Pipeline("DirectRunner")
    _ = pipeline | beam.Create(rows) | beam.Map(Progress().add)
    result = pipeline.run()
    result.wait_until_finish()
    found = {
        entry.key.metric.name: entry.result
        for entry in result.metrics().query()["distributions"]
        if entry.key.metric.namespace == NAMESPACE
    }
    assert (found["bpp-thousandths"].count, found["bpp-thousandths"].mean) == (2, 1000)
    assert (found["psnr-db-hundredths"].count, found["psnr-db-hundredths"].max) == (1, 4025)
    assert (found["encode-milliseconds"].max, found["kilopixels"].max) == (250, 1)
