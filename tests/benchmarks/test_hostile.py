"""Tests a small part of the hostile corpus, and that the benchmark itself notices failures."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import bombs, hostile, hostile_files
from foveate.pictures.formats import decode_picture
from foveate.sandbox import client
from foveate.sandbox.children import DecoderFailed
from foveate.sandbox.client import Limits

FEW = Limits(pixels=1_000_000, seconds=10.0, memory_gb=1.0)
PATIENT = dataclasses.replace(FEW, seconds=300.0)  # for one file, on a busy machine
SOUND = hostile_files.sound_files()
BOMBS = bombs.bombs(side=600, inflated=1 << 23)
METADATA = bombs.metadata_bombs(inflated=1 << 23)
TOO_SLOW = {"precincts.j2k"}  # whatever time it is given


@pytest.mark.parametrize("ending", SOUND)
def test_undamaged_parts_are_read(ending: str) -> None:
    assert hostile.outcome_of(ending, SOUND[ending]) == "decoded" or ending == "dcm"


@pytest.mark.parametrize("name", sorted({**BOMBS, **METADATA}.keys() - TOO_SLOW))
def test_a_bomb_ends_in_a_result_or_a_reason(name: str) -> None:
    outcome = hostile.outcome_of(name.rpartition(".")[2], {**BOMBS, **METADATA}[name], PATIENT)
    assert not outcome.startswith(("bug", "crashed")), outcome
    if name.startswith("header."):
        assert outcome.startswith("refused"), outcome


@pytest.mark.parametrize("ending", SOUND)
def test_files_cut_at_powers_of_two_end_in_a_reason(ending: str) -> None:
    for name, data in hostile_files.cuts(SOUND[ending]).items():
        outcome = hostile.outcome_of(ending, data, PATIENT)
        assert outcome.startswith(("refused", "kept")) or ending == "dcm", f"{name}: {outcome}"


@pytest.mark.parametrize("ending", SOUND)
def test_flipped_bits_end_in_a_result_or_a_reason(ending: str) -> None:
    outcomes = [
        hostile.outcome_of(ending, hostile_files.flipped(SOUND[ending], 7, index), PATIENT)
        for index in range(50)
    ]
    assert not [outcome for outcome in outcomes if outcome.startswith(("bug", "crashed"))]
    assert len({outcome.partition(":")[0] for outcome in outcomes}) > 1


def test_the_same_seed_gives_the_same_damage() -> None:
    data = SOUND["png"]
    assert hostile_files.flipped(data, 3, 4) == hostile_files.flipped(data, 3, 4) != data
    assert hostile_files.flipped(data, 3, 4) != hostile_files.flipped(data, 3, 5)


def test_a_png_with_mended_checksums_is_read_again() -> None:
    data = bytearray(SOUND["png"])
    data[29:33] = bytes(4)  # the header's checksum
    assert decode_picture(hostile_files.mended_png(bytes(data))).pixels.shape == (41, 57, 3)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DecoderFailed("decoding took longer than 3 s"), "too slow"),
        (DecoderFailed("decoding it needs more than 1 GB of memory"), "too large"),
        (DecoderFailed("the decoder crashed (signal 11: Segmentation fault)"), "crashed"),
        (RuntimeError("Traceback ..."), "bug"),
    ],
)
def test_different_errors_are_distinguished(
    error: Exception, outcome: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(client, "decode_picture", fail)
    assert hostile.outcome_of("png", b"").startswith(outcome)
    monkeypatch.setattr(hostile, "inputs", lambda *_: [("flips png", "a.png", b"broken")])
    found = hostile.decode_all(1, 1, tmp_path)
    assert found.outcomes["flips png"] == {outcome: 1}
    assert (len(found.crashes), len(found.bugs)) == (outcome == "crashed", outcome == "bug")
    assert (tmp_path / "a.png").exists() == (outcome in ("crashed", "bug"))


@pytest.mark.slow
def test_a_run_over_hostile_files_accounts_for_every_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostile, "FLIPPED_IN_RUN", 2)
    monkeypatch.setattr(hostile, "LIMITS", FEW)
    archives = {
        name: data
        for name, data in hostile.hostile_archives(5, bomb_side=600).items()
        if not name.endswith(tuple(TOO_SLOW))
    }
    hostile.lay_out(tmp_path, hostile.hostile_sources(5, bomb_side=600, inflated=1 << 23))
    assert hostile.compress_all(tmp_path) == []
    assert hostile.restore_all(tmp_path, archives) == []


def test_an_account_that_does_not_balance_is_seen(tmp_path: Path) -> None:
    found = hostile._account(Counter("abc"), Counter("abbd"))
    assert found == ["1 sources without an outcome: ['c']", "2 outcomes too many: ['b', 'd']"]
    (tmp_path / "broken.jp2").write_bytes(b"broken")
    (problem,) = hostile._check_archive([], tmp_path)
    assert "'broken.jp2' in the archive: refused" in problem
    (missing,) = hostile._check_archive([{"outcome": "kept", "source_sha256": "ab"}], tmp_path / "none")
    assert missing == "no copy of what has the hash ab"
