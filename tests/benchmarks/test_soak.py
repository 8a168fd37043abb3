"""Tests a small soak in a folder, and that its checks notice failures."""

from __future__ import annotations

import dataclasses
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import soak, soak_checks, soak_runs
from benchmarks.moody_store import Moody
from benchmarks.soak_photos import SoakPhoto, soak_photos
from benchmarks.soak_runs import Kill, Place, Run, Sample, Supervisor
from foveate.pictures.formats import decode_picture
from foveate.pipelines.cli import main
from tests.held import foveate_held_at

PHOTOS = [
    SoakPhoto("a.png", b""),
    SoakPhoto("b.png", b""),
    SoakPhoto("c.png", b"", "cut", hopeless=True),
    SoakPhoto("d.png", b"", "flipped bits"),
]
ROWS = [
    {"relative_path": "a.png", "outcome": "compressed"},
    {"relative_path": "b.png", "outcome": "kept"},
    {"relative_path": "a.png", "outcome": "skipped"},
]
FAILURES = [
    {"url": "c.png", "run_id": "2", "step": "read", "message": "broken"},
    {"url": "d.png", "run_id": "2", "step": "read", "message": "broken"},
    {"url": "c.png", "run_id": "1", "step": "read", "message": "broken"},
]
STORED = ["a.png.jp2", "b.png"]
RUN = Run(
    name="completed",
    status=3,
    wanted=3,
    cpu_seconds=1.0,
    samples=tuple(Sample(float(second), 300.0, 15 * second) for second in range(100)),
    kills=(),
    spared=(),
    left=(),
    litter=(),
    said={"run": "2", "counts": {"compressed": 1, "kept": 1, "failed": 2, "source-bytes": 9}},
)


def problems(
    photos: list[SoakPhoto] = PHOTOS,
    rows: list[dict[str, str]] = ROWS,
    failures: list[dict[str, str]] = FAILURES,
    stored: list[str] = STORED,
) -> list[str]:
    return list(soak_checks.problems_of_photos(photos, rows, failures, stored, "2"))


@pytest.mark.slow
def test_a_run_that_is_killed_and_completed_accounts_for_every_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = list(soak_photos(60, 0.1))
    for folder in ("logs", "temporary"):
        (tmp_path / folder).mkdir()
    with soak.local_place(tmp_path, photos) as place:
        supervisor = Supervisor(place, tmp_path / "logs", tmp_path / "temporary", 120.0, 1)
        flags = ("--log-format=json", "--roi=none", "--reccnn=off")
        compress = ("compress", place.photos, "--output", place.archive, *flags)
        with monkeypatch.context() as patch:
            patch.setattr(soak_runs, "_FOVEATE", foveate_held_at(Path(place.archive), 30))
            killed = supervisor.run("killed", -9, *compress, kills=[Kill(5, "decoder"), Kill(5, "run")])
        completed = supervisor.run("completed", 3, *compress)
        run_id = str(completed.said["run"])
        runs = [killed, completed]
        assert list(soak_checks.problems_of_runs(runs, 60)) == []
        assert soak_checks.check_archive(place.archive, place.photos, photos, run_id) == []
        assert len(killed.kills) == 2 and place.stored() > 50
        assert main(["verify", place.archive]) == 0
        Path(place.archive, "nobodys.jp2").write_bytes(b"x")
        assert soak_checks.check_archive(place.archive, place.photos, photos, run_id) == [
            "1 files without a row: nobodys.jp2"
        ]
    soak.plot(runs, tmp_path / "memory.svg")
    assert "<svg" in (tmp_path / "memory.svg").read_text()


def test_a_run_that_stores_nothing_for_too_long_is_ended(tmp_path: Path) -> None:
    place = Place("", "", "", (), lambda: 0, dict)
    (tmp_path / "temporary").mkdir()
    run = Supervisor(place, tmp_path, tmp_path / "temporary", 0.1, 1).run("stuck", 0, "inspect", "--help")
    assert run.status is None
    assert list(soak_checks.problems_of_runs([run], 0)) == ["stuck: ended with None, not 0"]


def test_a_balanced_account_has_no_problems() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"photos": [*PHOTOS, SoakPhoto("e.png", b"")]}, "1 photos without an outcome: e.png"),
        ({"photos": PHOTOS[:3]}, "1 outcomes of no photo: d.png"),
        ({"rows": [*ROWS, ROWS[0]]}, "1 photos with several rows: a.png"),
        ({"failures": [*FAILURES, FAILURES[0]]}, "1 photos that failed twice: c.png"),
        (
            {"failures": [*FAILURES, FAILURES[0] | {"url": "b.png", "run_id": "1"}]},
            "1 good photos that failed: b.png",
        ),
        (
            {"failures": [*FAILURES, FAILURES[1] | {"run_id": "1", "step": "read (internal error)"}]},
            "1 internal errors: d.png: broken",
        ),
        ({"stored": STORED[:1]}, "1 rows without a file: b.png"),
        ({"stored": [*STORED, "b.png.jp2"]}, "1 files without a row: b.png.jp2"),
        (
            {"rows": [*ROWS, ROWS[0] | {"relative_path": "c.png"}], "stored": [*STORED, "c.png.jp2"],
             "failures": FAILURES[1:]},
            "1 bad photos that were compressed: c.png",
        ),
    ],
)  # fmt: skip
def test_an_account_that_does_not_balance_is_seen(changes: dict[str, Any], expected: str) -> None:
    assert expected in problems(**changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": 1}, "completed: ended with 1, not 3"),
        ({"spared": ("worker",)}, "completed: ended before anybody killed worker"),
        ({"left": ("python",)}, "completed: left 1 processes: python"),
        ({"litter": ("foveate-x",)}, "completed: left temporary files: ('foveate-x',)"),
        ({"said": {}}, "completed: 4 photos became {}"),
    ],
)
def test_a_run_that_went_wrong_is_seen(changes: dict[str, Any], expected: str) -> None:
    assert list(soak_checks.problems_of_runs([RUN], 4)) == []
    assert list(soak_checks.problems_of_runs([dataclasses.replace(RUN, **changes)], 4)) == [expected]


def test_memory_that_grows_is_seen() -> None:
    samples = tuple(Sample(float(s), 300.0 + s, 15 * s) for s in range(100))
    growing = dataclasses.replace(RUN, samples=samples, said={"counts": {"kept": 1500}})
    flat = dataclasses.replace(RUN, said={"counts": {"kept": 1500}})
    assert soak_checks.slope_of(growing) == pytest.approx(1000 / 15)
    assert soak_checks.growth_of(flat) == 0 == pytest.approx(soak_checks.slope_of(flat))
    assert list(soak_checks.problems_of_runs([flat], 1500)) == []
    assert list(soak_checks.problems_of_runs([growing], 1500)) == ["completed: memory grew by 16%"]


def test_photos_are_the_same_again_and_bad_ones_of_all_kinds() -> None:
    photos = list(soak_photos(160, 0.05))
    assert photos == list(soak_photos(160, 0.05))
    kinds = Counter(photo.damage.partition(" ")[0] for photo in photos)
    assert kinds == {"": 152, "cut": 2, "of": 2, "bomb": 2, "flipped": 2}
    assert len({photo.name for photo in photos}) == 160
    shapes = {decode_picture(photo.data).pixels.shape for photo in photos[:40] if not photo.damage}
    assert len(shapes) > 30 and {shape[2] for shape in shapes} == {1, 3}


def test_a_moody_store_refuses_as_often_as_configured_and_counts() -> None:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"stored"]

    moody, lines = Moody(application, 1), list[str]()

    def ask(method: str, path: str, query: str = "") -> bytes:
        environ = {
            "PATH_INFO": path,
            "REQUEST_METHOD": method,
            "QUERY_STRING": query,
            "wsgi.input": io.BytesIO(),
        }
        return b"".join(moody(environ, lambda s, _: lines.append(s)))

    assert (
        ask("PUT", "/archive/a.jp2")
        == ask("PUT", "/archive/_foveate/x")
        == ask("GET", "/archive/a")
        == b"stored"
    )
    assert moody.counts == {"requests": 3, "refused": 0, "stored": 1}
    ask("GET", "/moody", "refused=0.5")
    answers = Counter(ask("GET", "/archive/a.jp2") for _ in range(200))
    assert 60 < answers[b"stored"] < 140 and moody.counts["refused"] == 200 - answers[b"stored"]
    assert {line.split()[0] for line in lines} == {"200", "503", "429"}


def test_processes_that_stay_are_seen_and_those_that_have_gone_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(soak_runs, "_PARTING_SECONDS", 0.0)
    here = os.getpid()
    seen = {
        (here, soak_runs._began(here)): "this one",
        (here, "1"): "another of its number",
        (1 << 30, ""): "",
    }
    assert soak_runs._left(seen) == ["this one"]
