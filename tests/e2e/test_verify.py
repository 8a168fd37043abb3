"""Tests that `foveate verify` finds and names every kind of damage to a real archive."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pyarrow.parquet as pq
import pytest

from foveate.archive import keys
from foveate.archive.expected import Check
from foveate.archive.findings import FILE_PREFIX, Finding, write_findings
from foveate.archive.keys import ArchiveKey
from foveate.archive.planning.findings_database import open_findings
from foveate.archive.planning.verification import plan_checks, read_checks
from foveate.archive.rows import MetricsRow
from foveate.archive.tables import read_metrics, write_metrics
from foveate.codec import codestream, walk
from foveate.pipelines.cli import main
from foveate.sandbox.client import Limits
from foveate.transforms import verify
from foveate.transforms.progress import Progress
from tests import picture_files

FLIPS = int(os.environ.get("FOVEATE_FLIPS", "50"))
PHOTOS = {
    "color.png": picture_files.png(picture_files.sample(83, 121, 3), {b"eXIf": picture_files.exif_block()}),
    "trip/ä [1].png": picture_files.png(picture_files.sample(64, 97, 1)),
    "trip/other.png": picture_files.png(255 - picture_files.sample(64, 97, 1)),
    "deep.tif": picture_files.tiff(picture_files.sample(41, 53, 3, bits=16)),
}
KEPT = {"moves.gif": picture_files.animated("GIF"), "moves.webp": picture_files.animated("WEBP")}
QUICK = ("--roi", "none", "--reccnn", "off", "--bpp", "3")
VERIFIER = verify.Verifier(Limits(), None, Progress())


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos and the archive that a run made of them, in three layers."""
    root = tmp_path_factory.mktemp("verify")
    photos = put(root / "photos", PHOTOS | KEPT)
    assert main(["compress", str(photos), "--output", str(root / "archive"), "--layers", "3", *QUICK]) == 0
    return root


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    """A copy of the archive to damage; its times differ, as those of copies do."""
    return shutil.copytree(made / "archive", tmp_path / "archive")


def found_in(
    archive: Path, recheck: int = 0, quick: bool = False, verifier: verify.Verifier = VERIFIER
) -> dict[str, Finding]:
    """Findings by path, without Beam."""
    found: list[Finding] = []
    for planned in planned_of(archive, quick, recheck):
        found += [planned] if isinstance(planned, Finding) else verify.verify_file(planned, verifier)
    with tempfile.TemporaryDirectory() as folder:
        write_findings(map(dataclasses.astuple, found), f"{folder}/{FILE_PREFIX}-00000.parquet")
        with open_findings(folder, str(archive)) as named:
            return {finding.path: finding for finding in named.in_order()}


def planned_of(archive: Path, quick: bool = False, recheck: int = 0) -> list[Check | Finding]:
    """Plans a verification."""
    with tempfile.TemporaryDirectory() as folder:
        parts = plan_checks(str(archive), quick, recheck, folder).parts
        return list(itertools.chain.from_iterable(read_checks(part, str(archive)) for part in parts))


def kinds_in(archive: Path, **options: Any) -> dict[str, str]:
    return {path: finding.kind for path, finding in found_in(archive, **options).items()}


def files_of(archive: Path) -> list[Path]:
    return sorted(path for path in archive.rglob("*") if path.is_file() and "_foveate" not in path.parts)


def test_nothing_is_wrong_with_what_was_just_made(archive: Path) -> None:
    assert len(files_of(archive)) == 6
    assert found_in(archive) == {}
    assert found_in(archive, quick=True) == {}
    assert found_in(archive, recheck=100) == {}


@pytest.fixture(scope="module")
def whole(made: Path) -> dict[str, bytes]:
    return {str(path.relative_to(made / "archive")): path.read_bytes() for path in files_of(made / "archive")}


@pytest.fixture(scope="module")
def checks(made: Path) -> dict[str, Check]:
    return {check.path: check for check in planned_of(made / "archive") if isinstance(check, Check)}


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=FLIPS, deadline=None)
def test_any_flipped_bit_anywhere_is_found_by_the_table_and_in_a_jp2_file_without_it(
    whole: dict[str, bytes],
    checks: dict[str, Check],
    tmp_path_factory: pytest.TempPathFactory,
    data: Any,
) -> None:
    name = data.draw(st.sampled_from(sorted(whole)))
    spoilt = bytearray(whole[name])
    bit = data.draw(st.integers(0, 8 * len(spoilt) - 1))
    spoilt[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.getbasetemp() / f"spoilt{Path(name).suffix}"
    path.write_bytes(spoilt)
    known = checks[name].expected
    assert known is not None
    for expected in [known, None] if known.outcome == "compressed" else [known]:
        check = Check(name, str(path), len(spoilt), expected, False)
        found = list(verify.verify_file(check, VERIFIER))
        assert any(finding.is_fault for finding in found), (name, bit, expected)


@pytest.mark.parametrize("name", ["color.png.jp2", "moves.gif"])
def test_any_truncation_is_found(archive: Path, name: str) -> None:
    file = archive / name
    data = file.read_bytes()
    for length in [0, *(1 << power for power in range(1, len(data).bit_length(), 2)), len(data) - 1]:
        file.write_bytes(data[:length])
        assert kinds_in(archive) == {name: "truncated"}, length
    assert kinds_in(archive, quick=True) == {name: "truncated"}


def test_a_file_cut_after_a_layer_is_distinguished_from_a_damaged_one(archive: Path) -> None:
    file = archive / "color.png.jp2"
    data = file.read_bytes()
    start, _ = walk.codestream_span(data)
    end = codestream.parse(data[start:]).tile_parts[1].end
    file.write_bytes(data[: start + end] + b"\xff\xd9")
    found = found_in(archive)["color.png.jp2"]
    assert (found.kind, found.detail.partition(":")[0]) == ("layer_truncated", "cut after layer 2 of 3")


def test_swapped_files_are_named_with_whose_they_are(archive: Path) -> None:
    for one, other in (("trip/ä [1].png.jp2", "trip/other.png.jp2"), ("moves.gif", "moves.webp")):
        first, second = (archive / one).read_bytes(), (archive / other).read_bytes()
        (archive / one).write_bytes(second)
        (archive / other).write_bytes(first)
        found = found_in(archive)
        assert {path: finding.kind for path, finding in found.items()} == {one: "swapped", other: "swapped"}
        assert found[one].detail == f"it is the file that belongs at {other}"
        (archive / one).write_bytes(first)
        (archive / other).write_bytes(second)


def test_missing_and_untracked_files_are_named(archive: Path) -> None:
    (archive / "trip" / "other.png.jp2").unlink()
    (archive / "notes.txt").write_text("mine")
    shutil.copy(archive / "color.png.jp2", archive / "copy.jp2")
    kinds = {"trip/other.png.jp2": "missing", "notes.txt": "untracked", "copy.jp2": "untracked"}
    assert kinds_in(archive) == kinds_in(archive, quick=True) == kinds


def change_rows(archive: Path, name: str, **changes: Any) -> None:
    for table in sorted(archive.glob("_foveate/metrics/run=*/*.parquet")):
        rows = pq.read_table(table, partitioning=None).to_pylist()
        rows = [row | (changes if row["relative_path"] == name else {}) for row in rows]
        write_metrics([MetricsRow(**row) for row in rows], str(table))


def test_a_file_that_is_not_what_its_row_says_is_found(archive: Path) -> None:
    change_rows(archive, "color.png", archive_sha256="ab" * 32)
    change_rows(archive, "deep.tif", width=54)
    no_checksum = {"archive_sha256": None, "archive_version": None}
    change_rows(archive, "trip/other.png", settings_digest="ab" * 8, **no_checksum)
    found = found_in(archive)
    assert found["color.png.jp2"].detail == "not the file that its row describes"
    assert "are 53, 41, 3, 16, but should be 54, 41, 3, 16" in found["deep.tif.jp2"].detail
    assert "different settings" in found["trip/other.png.jp2"].detail
    assert len(found) == 3


def test_a_photo_is_measured_again_where_its_source_is(archive: Path, made: Path, tmp_path: Path) -> None:
    change_rows(archive, "color.png", psnr_db=10.0)
    assert found_in(archive) == {}
    found = found_in(archive, recheck=100)
    assert list(found) == ["color.png.jp2"]
    assert found["color.png.jp2"].kind == "quality" and "10.00 dB" in found["color.png.jp2"].detail
    changed = put(tmp_path / "in", {"color.png": PHOTOS["color.png"] + b" "}) / "color.png"
    change_rows(archive, "color.png", source_url=str(changed))
    assert found_in(archive, recheck=100) == {}


def test_the_contents_of_an_undecodable_file_are_listed(archive: Path) -> None:
    limits = verify.Verifier(Limits(pixels=100), None, Progress())
    found = found_in(archive, verifier=limits)
    assert {finding.kind for finding in found.values()} == {"undecodable"}
    assert len(found) == 4


def test_files_from_before_there_were_checksums_are_verified_as_far_as_can_be(archive: Path) -> None:
    old = Path(__file__).parents[1] / "codec" / "record-version-1.jp2"
    shutil.copy(old, archive / "color.png.jp2")
    change_rows(
        archive,
        "color.png",
        archive_bytes=old.stat().st_size,
        archive_sha256=None,
        codestream_sha256=None,
        source_sha256=bytes(range(32)).hex(),
        settings_digest=bytes(range(40, 48)).hex(),
        weights_digest=bytes(range(50, 58)).hex(),
        width=24,
        height=16,
    )
    found = found_in(archive)
    assert [(finding.kind, finding.is_fault) for finding in found.values()] == [("no_checksum", False)]
    assert main(["verify", str(archive)]) == 0


def test_without_tables_every_jp2_file_answers_for_itself(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(archive)]) == 0
    assert "Nothing is wrong" in capsys.readouterr().out
    shutil.rmtree(archive / "_foveate")
    assert found_in(archive) == {}
    assert main(["verify", str(archive)]) == 0
    said = capsys.readouterr().out
    assert "No damage found" in said and "missing files" in said and "Nothing is wrong" not in said
    data = bytearray((archive / "deep.tif.jp2").read_bytes())
    data[-20] ^= 4
    (archive / "deep.tif.jp2").write_bytes(data)
    assert kinds_in(archive) == {"deep.tif.jp2": "damaged"}
    assert main(["verify", str(archive / "deep.tif.jp2")]) == 3
    assert main(["verify", str(archive / "color.png.jp2")]) == 0


def test_photos_are_not_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = put(tmp_path / "photos", PHOTOS)
    for path in (photos, photos / "color.png"):
        assert main(["verify", str(path)]) == 2
        assert f"{path} is not an archive" in capsys.readouterr().err


def test_a_copy_that_a_later_run_compressed_is_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = put(tmp_path / "photos", {"a.png": picture_files.png(picture_files.sample(64, 97, 1))})
    command = ["compress", str(photos), "--output", str(tmp_path / "archive"), *QUICK]
    assert main([*command, "--min-saving", "0.99"]) == 0
    assert [path.name for path in files_of(tmp_path / "archive")] == ["a.png"]
    assert main(command) == 0
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "archive"), "--json"]) == 3
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["path"], found["kind"]) == ("a.png", "stale")
    (tmp_path / "archive" / "a.png").unlink()
    assert main(["verify", str(tmp_path / "archive")]) == 0


def test_the_command_reports_everything_in_terminal_json_and_table(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray((archive / "color.png.jp2").read_bytes())
    data[-9] ^= 1
    (archive / "color.png.jp2").write_bytes(data)
    (archive / "moves.gif").unlink()
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*")}
    capsys.readouterr()
    assert main(["verify", str(archive), "--output", str(tmp_path / "said")]) == 3
    said = capsys.readouterr().out
    assert "Wrong: 1 damaged, 1 missing" in said
    assert "its codestream has changed since it was written" in said
    (table,) = {path.parent for path in (tmp_path / "said").rglob("*.parquet")}
    kinds = pq.read_table(table).column("kind").to_pylist()
    assert sorted(kinds) == ["damaged", "missing"]
    assert main(["verify", str(archive), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["wrong"] == 2 and document["files"] == 5
    assert document["counts"] == {"damaged": 1, "missing": 1}
    assert before == {path: path.stat().st_mtime_ns for path in archive.rglob("*")}
    assert main(["verify", str(tmp_path / "nowhere")]) == 2


# Encrypted


def test_an_encrypted_archive_from_its_key_to_the_restored_photo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = put(tmp_path / "photos", {"trip/a.png": PHOTOS["trip/ä [1].png"], "b.gif": KEPT["moves.gif"]})
    key, other, archive = tmp_path / "key", tmp_path / "other", tmp_path / "archive"
    assert main(["keygen", str(key)]) == main(["keygen", str(other)]) == 0
    assert key.stat().st_mode & 0o077 == 0
    assert main(["keygen", str(key)]) == 2
    command = [
        "compress",
        str(photos),
        "--output",
        str(archive),
        "--bpp",
        "3",
        "--roi",
        "none",
        "--reccnn",
        "off",
    ]
    assert main([*command, "--encrypt-key", str(key)]) == 0
    assert [path.name for path in files_of(archive)] == ["b.gif.enc", "a.png.jp2.enc"]
    row = next(row for row in read_metrics(str(archive)).to_pylist() if row["outcome"] == "compressed")
    assert row["archive_bytes"] == (archive / "trip" / "a.png.jp2.enc").stat().st_size <= 3 * 64 * 97 / 8
    secret = key.read_text().strip()
    assert not [
        path for path in archive.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
    ]
    stored = {path: path.stat().st_mtime_ns for path in files_of(archive)}
    capsys.readouterr()
    assert main([*command, "--encrypt-key", str(key)]) == 0
    assert "2 skipped" in capsys.readouterr().err
    key.rename(tmp_path / "away")
    keys._read_key.cache_clear()
    assert main([*command, "--encrypt-key", str(key)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    (tmp_path / "away").rename(key)
    assert stored == {path: path.stat().st_mtime_ns for path in files_of(archive)}

    restore = ["restore", str(archive), "--reccnn", "off", "--output"]
    assert main([*restore, str(tmp_path / "out"), "--encrypt-key", str(key)]) == 0
    assert (tmp_path / "out" / "b.gif").read_bytes() == KEPT["moves.gif"]
    assert (tmp_path / "out" / "trip" / "a.png").exists()
    sub = ["restore", str(archive / "trip"), "--reccnn", "off", "--output", str(tmp_path / "sub")]
    assert main([*sub, "--encrypt-key", str(key)]) == 0
    for flags, reason in (([], "--encrypt-key FILE"), (["--encrypt-key", str(other)], "another key")):
        assert main([*restore, str(tmp_path / "none"), *flags]) == 3
        (table,) = (tmp_path / "none" / "_foveate" / "failures").rglob("*.jsonl")
        assert table.read_text().count(reason) == 2
        shutil.rmtree(tmp_path / "none")

    assert main(["verify", str(archive), "--encrypt-key", str(key)]) == 0
    capsys.readouterr()
    assert main(["verify", str(archive)]) == 0
    assert "2 encrypted files: only checksums compared" in capsys.readouterr().out
    assert main(["verify", str(archive), "--encrypt-key", str(other)]) == 3
    assert main(["inspect", str(archive), "--encrypt-key", str(key)]) == 1  # the GIF is no JPEG 2000 file
    assert main(["inspect", str(archive / "trip"), "--encrypt-key", str(key)]) == 0
    assert "SHA-256" in capsys.readouterr().out

    verifier = verify.Verifier(Limits(), ArchiveKey.read(str(key)), Progress())
    file = archive / "trip" / "a.png.jp2.enc"
    data = bytearray(file.read_bytes())
    data[-3] ^= 16
    file.write_bytes(data)
    assert kinds_in(archive) == {"b.gif.enc": "locked", "trip/a.png.jp2.enc": "changed"}
    assert kinds_in(archive, verifier=verifier) == {"trip/a.png.jp2.enc": "damaged"}
