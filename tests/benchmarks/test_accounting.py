"""Tests a few odd files of each format, and that the benchmark notices unnamed losses."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import accounting, odd_files
from foveate.pictures.formats import decode_picture
from foveate.pictures.picture import Picture

_FILES = 40
needs_heic = pytest.mark.skipif(find_spec("pi_heif") is None, reason="the extra heic is not installed")
FORMS = [pytest.param(form, marks=needs_heic if form == "heic" else ()) for form in odd_files.PLANTERS]


@pytest.mark.parametrize("form", FORMS)
def test_whatever_is_planted_is_carried_named_or_keeps_the_file(form: str) -> None:
    outcomes = [accounting.outcome_of(*odd_files.odd_file(form, 2, index)) for index in range(_FILES)]
    assert not [outcome for outcome in outcomes if outcome.startswith(("unnamed", "refused"))]
    assert {"kept", "named"} <= set(outcomes)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_with_nothing_planted_loses_nothing(form: str) -> None:
    _, lost = accounting.account(odd_files.sound(form))
    assert [loss for loss in lost if "DICOM dataset" not in loss] == []


@pytest.mark.parametrize("form", FORMS)
def test_losses_are_counted_under_few_names(form: str) -> None:
    names = {
        name for index in range(_FILES) for name in accounting.names_of(odd_files.odd_file(form, 3, index)[0])
    }
    assert names
    assert not [name for name in names if len(name) > 60 or re.search(r"[0-9'\\]", name.replace("C2PA", ""))]


@pytest.mark.parametrize(("seconds", "status"), [(0.009, 0), (0.011, 1)])
def test_a_cost_above_one_percent_is_seen(
    seconds: float,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(odd_files.sound("jpg"))
    assert 0 <= accounting.cost_of(photo.read_bytes(), repeats=1).share <= 1
    monkeypatch.setattr(accounting, "cost_of", lambda _: accounting.Cost(seconds, 1.0))
    assert accounting.main(["--cost", str(photo)]) == status
    assert f"a.jpg: {1000 * seconds:.2f} ms" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("problems", "outcome"),
    [(("XMP: 4 bytes",), "unnamed: 1996 of 2000"), (("a: 1,000 bytes", "b: x (1,000 bytes)"), "named")],
)
def test_unnamed_losses_are_detected(
    problems: tuple[str, ...], outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = decode_picture(odd_files.sound("png"))
    told = Picture(picture.pixels, picture.metadata, "png", 8, problems)
    monkeypatch.setattr(accounting, "decode_picture", lambda *_, **__: told)
    assert accounting.outcome_of(b"", [b"a" * 1500, b"b" * 500]).startswith(outcome)
