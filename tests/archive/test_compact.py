"""Compaction loses nothing: whatever reads the tables sees the same rows before, during and after it."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foveate.archive import compact as compacting
from foveate.archive import leases, tables
from foveate.archive.compact import compact, keep_journal, small_parts
from foveate.archive.compactions import read_log, visible_urls
from foveate.archive.journal import clear_journal, journal_line
from foveate.archive.newest import newest_row
from foveate.archive.skipped import read_skipped, write_skipped
from foveate.archive.tables import METRICS_FOLDER
from foveate.pipelines.report import asked_of, make_report
from foveate.storage import files
from tests.archive.test_tables import NOON, a_failure, a_row

RUNS = 4


def minute(number: int) -> datetime.datetime:
    return NOON + datetime.timedelta(minutes=number)


def an_archive(root: Path) -> str:
    """Nightly runs, each with a table, a failure and a sum; two were killed and left journals."""
    archive = str(root / "archive")
    for number in range(RUNS):
        run = f"r{number:02}"
        rows = [a_row(f"{number}.jpg", run_id=run, finished=minute(number)), a_row(run_id=run, width=number)]
        tables.write_metrics(rows, f"{archive}/_foveate/metrics/run={run}/00000.parquet")
        tables.write_failures(
            [a_failure(f"/in/broken-{number}.jpg")], f"{archive}/_foveate/failures/run={run}/00000.jsonl"
        )
        write_skipped((number + 1, 100, 10), archive, run, "1.0")
    for run in ("r03", "r77"):  # one has a table too, which has one of the rows
        folder = Path(archive, f"_foveate/metrics/run={run}")
        folder.mkdir(exist_ok=True)
        lines = [a_row("3.jpg", run_id=run, finished=minute(3)), a_row(f"{run}.jpg", run_id=run)]
        (folder / "journal-1.jsonl").write_bytes(b"".join(map(journal_line, lines)))
    return archive


def seen(archive: str) -> Any:
    """Everything that the tables say, in a fixed order."""
    order: Callable[[Any], str] = str
    return (
        sorted(tables.read_metrics(archive).to_pylist(), key=order),
        sorted(tables.read_failures(archive).to_pylist(), key=order),
        sorted(read_skipped(archive).to_pylist(), key=order),
        [sorted(tables.read_metrics(archive, f"r{n:02}").to_pylist(), key=order) for n in (0, 3, 77)],
        [tables.read_failures(archive, "r02").to_pylist(), read_skipped(archive, "r02").to_pylist()],
        newest_row(archive, "trip/a.jpg"),
    )


def figures_of(archive: str) -> Any:
    return make_report(asked_of([archive], []), 0, 1.0).figures


def test_the_same_is_read_from_fewer_files(tmp_path: Path) -> None:
    archive = an_archive(tmp_path)
    before, figures = seen(archive), figures_of(archive)
    assert small_parts(archive) == 3 * RUNS + 2
    done = compact(archive)
    assert (done.replaced, done.parts, done.rows) == (3 * RUNS + 2, 3, 2 * RUNS + 3)
    assert seen(archive) == before and figures_of(archive) == figures
    assert len([path for path in Path(archive).rglob("*") if path.is_file()]) == 4
    # A run later there is more, and it is compacted again, parts and all.
    tables.write_metrics([a_row("z.jpg", run_id="r99")], f"{archive}/_foveate/metrics/run=r99/0.parquet")
    before = seen(archive)
    assert compact(archive).replaced == 4
    assert seen(archive) == before and read_log(archive).number == 2
    assert len([path for path in Path(archive).rglob("*") if path.is_file()]) == 4
    assert compact(archive).replaced == 3  # parts alone: nothing is lost by doing it in vain
    assert seen(archive) == before


class Killed(BaseException):
    """Stands for a kill: nothing is cleaned up after it."""


@pytest.mark.parametrize(
    ("step", "calls"),
    [
        *(("_write_parts", 0), ("write_new", 0), ("_tidy", 0), ("_tidy", 1)),
        *(("delete_file", calls) for calls in (0, 1, 2, 5)),
    ],
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_nothing_is_lost_or_doubled_by_a_kill_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, calls: int, after: bool
) -> None:
    archive = an_archive(tmp_path)
    before = seen(archive)
    real, left = getattr(compacting, step), [calls]

    def killed(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            if after:
                real(*arguments)
            raise Killed
        return real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(compacting, step, killed)
        compact(archive)
    assert seen(archive) == before
    compact(archive)
    assert seen(archive) == before
    assert len(visible_urls(archive, METRICS_FOLDER, None)) == 2
    assert not [
        path for path in Path(archive).rglob("*compacted*") if path.is_dir() and not list(path.iterdir())
    ]


def test_of_two_compactions_at_once_one_takes_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = an_archive(tmp_path)
    before = seen(archive)
    both = threading.Barrier(2)
    real = files.write_new

    def together(*arguments: Any) -> bool:
        both.wait(300)
        return real(*arguments)

    monkeypatch.setattr(compacting, "write_new", together)
    done: list[int] = []
    workers = [threading.Thread(target=lambda: done.append(compact(archive).replaced)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(done) == [0, 3 * RUNS + 2]
    assert seen(archive) == before


def test_a_compaction_keeps_what_another_writes_while_it_tidies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = an_archive(tmp_path)
    before = seen(archive)
    real = leases.living_runs

    def stalled(place: str) -> set[str]:
        monkeypatch.setattr(leases, "living_runs", real)
        living = real(place)
        assert compact(archive).parts == 3
        return living

    monkeypatch.setattr(leases, "living_runs", stalled)
    compact(archive)
    assert seen(archive) == before


def test_a_run_at_work_keeps_its_files(tmp_path: Path) -> None:
    archive = an_archive(tmp_path)
    leases.renew(archive, "r77")
    before = seen(archive)
    compact(archive)
    assert (Path(archive) / "_foveate/metrics/run=r77/journal-1.jsonl").exists()
    assert not (Path(archive) / "_foveate/metrics/run=r03").exists()
    assert seen(archive) == before


def test_readers_and_a_writer_beside_it_see_every_row(tmp_path: Path) -> None:
    archive = an_archive(tmp_path)
    count = len(tables.read_metrics(archive))
    ended = threading.Event()
    wrong: list[int] = []

    def read() -> None:
        while not ended.is_set():
            found = len(tables.read_metrics(archive))
            if not count <= found <= count + 5:
                wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(5):
        row = a_row(f"late-{number}.jpg", run_id=f"s{number}")
        tables.write_metrics([row], f"{archive}/_foveate/metrics/run=s{number}/0.parquet")
        compact(archive)
    ended.set()
    for reader in readers:
        reader.join()
    assert not wrong and len(tables.read_metrics(archive)) == count + 5


def test_a_bad_table_ends_it_without_changing_anything(tmp_path: Path) -> None:
    archive = an_archive(tmp_path)
    bad = Path(archive, "_foveate/metrics/run=r02/00000.parquet")
    bad.write_bytes(b"no parquet")
    names = sorted(path for path in Path(archive).rglob("*") if path.is_file())
    with pytest.raises(tables.BadTable):
        compact(archive)
    assert sorted(path for path in Path(archive).rglob("*") if path.is_file()) == names


def test_rows_that_only_the_journal_of_a_run_has_become_a_table(tmp_path: Path) -> None:
    archive = an_archive(tmp_path)
    before = seen(archive)
    assert keep_journal(archive, "r03") == 1  # a table has the other one
    clear_journal(archive, "r03")
    assert keep_journal(archive, "r77") == 2
    clear_journal(archive, "r77")
    assert keep_journal(archive, "r05") == 0
    assert not list(Path(archive).rglob("journal-*"))
    assert seen(archive) == before
