"""foveate plan: what lies in an archive is shown, whole or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foveate.archive import leases
from foveate.archive.planning.planner import make_plan
from foveate.archive.planning.tasks import Asked
from foveate.pipelines.cli import main


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    for name in ("a.jpg", "x/b.jpg", "y/b.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"a photo")
    sources = tuple(f"{tmp_path}/in/{name}" for name in ("a.jpg", "x", "y"))
    return Asked(sources, frozenset({".jpg"}), f"{tmp_path}/out", "5e", "3e")


def test_a_plan_is_shown_with_its_photos(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", asked.archive]) == 0
    assert "No run has left a plan" in capsys.readouterr().out
    make_plan(asked, "r1", lambda page: page)
    assert main(["plan", asked.archive, "--photos", "1"]) == 0
    said = capsys.readouterr().out
    assert "Run r1 (not running)" in said and "3 listed, 0 up to date" in said and "2 to compress" in said
    assert "1 whose names in the archive other photos have taken" in said
    leases.renew(asked.archive, "r1")
    assert main(["plan", asked.archive, "--run", "r1", "--json", "--photos", "9"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["plans"]
    assert plan["alive"] and (plan["compress"], plan["taken"], plan["compress_bytes"]) == (2, 1, 14)
    assert sorted(photo["action"] for photo in plan["photos"]) == ["compress", "compress", "taken"]


def test_a_missing_or_incomplete_plan_is_reported(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    make_plan(asked, "r1", lambda page: page)
    (Path(asked.archive) / "_foveate/plans/run=r1/plan.json").unlink()
    assert main(["plan", asked.archive]) == 0
    assert "incomplete" in capsys.readouterr().out
    assert main(["plan", asked.archive, "--run", "r2"]) == 2
    assert "it has r1" in capsys.readouterr().err
