"""The command line explains itself, and refuses what it was not made for in a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foveate.pipelines.cli import COMMANDS, main
from foveate.pipelines.running.display import summary
from foveate.pipelines.shared_flags import parse_beam_flags
from tests.picture_files import jpeg, sample

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(jpeg(sample(53, 75, 3)))
    return folder


def status_of(*arguments: str) -> int:
    """The exit status, whether it is returned or raised by argparse."""
    try:
        return main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.mark.parametrize("arguments", [(), ("--help",), *((name, "--help") for name in COMMANDS)], ids=str)
def test_help_reads_well(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*arguments) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: foveate")
    assert "==SUPPRESS==" not in text and "None" not in text
    if not arguments or arguments == ("--help",):
        assert all(name in text and COMMANDS[name] in text for name in COMMANDS)
    elif arguments[0] in ("compress", "restore", "saliency"):
        assert "Exit status: 0 all well" in text and "Beam" in text


def test_help_imports_nothing_slow() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "foveate", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not modules & {"tensorflow", "keras", "apache_beam", "numpy"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compres"], "did you mean compress?"),
        (["compress"], "required: SRC, --output"),
        (["compress", "PHOTOS"], "required: --output"),
        (["compress", "PHOTOS", "--output", "DEST", "--bbp", "1"], "neither Foveate nor Beam knows --bbp 1"),
        (["compress", "PHOTOS", "--output", "DEST", "--bpp", "1", "--psnr", "40"], "not allowed with"),
        (["compress", "PHOTOS", "--output", "DEST", "--lossless", "--ratio", "9"], "not allowed with"),
        (["compress", "PHOTOS", "--output", "DEST", "--bpp", "-1"], "--bpp: must be above 0, not -1"),
        (["compress", "PHOTOS", "--output", "DEST", "--bpp", "0"], "--bpp: must be above 0, not 0"),
        (["compress", "PHOTOS", "--output", "DEST", "--bpp", "nan"], "--bpp: must be above 0, not nan"),
        (["compress", "PHOTOS", "--output", "DEST", "--bpp", "one"], "--bpp: must be a number, not one"),
        (["compress", "PHOTOS", "--output", "DEST", "--jpeg-quality", "101"], "from 1 to 100, not 101"),
        (["compress", "PHOTOS", "--output", "DEST", "--jpeg-quality", "5.5"], "from 1 to 100, not 5.5"),
        (
            ["compress", "PHOTOS", "--output", "DEST", "--roi", "faces"],
            "msroi, none or masks:FOLDER, not faces",
        ),
        (
            ["compress", "PHOTOS", "--output", "DEST", "--roi", "masks:"],
            "msroi, none or masks:FOLDER, not masks:",
        ),
        (["compress", "PHOTOS", "--output", "DEST", "--roi-gain", "50"], "from 0 to 40 dB, not 50"),
        (["compress", "PHOTOS", "--output", "DEST", "--min-saving", "1"], "at least 0 and below 1, not 1"),
        (
            ["compress", "PHOTOS", "--output", "DEST", "--max-pixels", "0"],
            "--max-pixels: must be a whole number",
        ),
        (["compress", "NOWHERE", "--output", "DEST"], "no such file, or no photos in it: "),
        (
            ["compress", "PHOTOS", "--output", "DEST", "--psnr", "40", "--comcnn", "on"],
            "--comcnn on works only with",
        ),
        (
            ["compress", "PHOTOS", "--output", "DEST", "--roi-box", "1,2,3"],
            "--roi-box: expected x,y,width,height in",
        ),
        (["compress", "PHOTOS", "--output", "DEST", "--roi-box", "1,2,0,4"], "must be above 0: 1,2,0,4"),
        (
            ["compress", "PHOTOS", "--output", "DEST", "--roi", "msroi", "--roi-box", "1,2,3,4"],
            "not allowed with",
        ),
        (["saliency", "PHOTOS"], "required: --output"),
        (["saliency", "NOWHERE", "--output", "DEST"], "no such file, or no photos in it: "),
        (["saliency", "PHOTOS", "--output", "PHOTO"], "is a file; --output must name a folder"),
        (["saliency", "PHOTOS", "--output", "PHOTOS"], "is the folder of the photos"),
        (["restore", "NOWHERE", "--output", "DEST"], "no such file, or no photos in it: "),
        (["restore", "PHOTOS", "--output", "DEST", "--format", "gif"], "invalid choice: 'gif'"),
        (["restore", "PHOTOS", "--output", "DEST", "--reccnn", "slow"], "invalid choice: 'slow'"),
        (
            ["train", "restoration", "--photos", "NOWHERE", "--output", "DEST", "--patch", "33"],
            "multiple of 32",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_usage_is_refused_with_a_sentence(
    arguments: list[str], sentence: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"DEST": "dest", "NOWHERE": "nowhere", "PHOTO": "photos/a.jpg", "PHOTOS": "photos"}
    places = {word: str(tmp_path / name) for word, name in names.items()}
    assert status_of(*(places.get(argument, argument) for argument in arguments)) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert not (tmp_path / "dest").exists()


def test_beams_flags_are_taken_and_typing_slips_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    parser = argparse.ArgumentParser(prog="foveate compress")
    flags = ["--runner=FnApiRunner", "--direct_num_workers", "2", "--temp_location=gs://bucket/temp"]
    assert parse_beam_flags(parser, flags) == flags
    assert parse_beam_flags(parser, []) == []
    with pytest.raises(SystemExit) as stop:
        parse_beam_flags(parser, ["--runnr=FnApiRunner"])
    assert stop.value.code == 2
    assert "--runnr=FnApiRunner" in capsys.readouterr().err


def test_the_summary_accounts_for_every_photo() -> None:
    counts = {"compressed": 12, "kept": 1, "failed": 2, "source-bytes": 5_000_000, "archive-bytes": 900}
    names = ("compressed", "kept", "skipped", "failed")
    assert summary(counts, names) == "12 compressed, 1 kept, 2 failed; 5.00 MB became 900 B"
    assert summary({}, names) == "nothing to do"
