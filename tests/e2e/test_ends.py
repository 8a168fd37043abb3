"""Tests that commands always end with one sentence and the right status, without a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from foveate.pipelines.cli import main
from tests.picture_files import jpeg, sample

_PLAIN = ("--roi", "none", "--comcnn", "off", "--reccnn", "off", "--bpp", "2")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(jpeg(sample(250 + number, 300, 3), 98))
    return folder


@pytest.fixture(scope="module")
def archive(photos: Path) -> Path:
    folder = photos.parent / "archive"
    assert main(["compress", str(photos), "--output", str(folder), *_PLAIN]) == 0
    return folder


def foveate(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "foveate", *arguments]
    return subprocess.run(command, capture_output=True, check=False, env=os.environ | variables)


def compress_by(code: str, photos: Path, output: Path) -> subprocess.CompletedProcess[bytes]:
    """Runs code in a separate process, with the arguments for compressing photos."""
    command = [sys.executable, "-c", code, "compress", str(photos), "--output", str(output), *_PLAIN]
    return subprocess.run(command, capture_output=True, check=False)


@pytest.mark.parametrize("flags", [(), ("--quiet", "--log-format", "json")])
def test_a_disk_that_takes_no_more_ends_the_run_with_a_sentence(
    photos: Path,
    tmp_path: Path,
    flags: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["compress", str(photos), "--output", str(tmp_path / "archive"), *_PLAIN, *flags]) == 1
    said = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("Compressing: ")]
    assert len(said) == 1, said
    assert "the run failed: " in said[0] and "cannot be written" in said[0]


def test_an_interrupt_while_a_command_is_loaded_ends_it_quietly(photos: Path, tmp_path: Path) -> None:
    code = (
        "import _thread, signal, sys; from foveate.pipelines.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # who started the tests may ignore it
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'foveate.pipelines.compress': _thread.interrupt_main()\n"
        "sys.meta_path.insert(0, Interrupting()); sys.exit(main(sys.argv[1:]))"
    )
    done = compress_by(code, photos, tmp_path)
    assert done.returncode == 130
    assert done.stderr.decode().splitlines() == ["foveate: stopped"]


def test_an_interrupted_run_ends_with_one_sentence_and_no_noise_from_python(
    photos: Path, tmp_path: Path
) -> None:
    code = (
        "import _thread, signal, sys, time; from foveate.pipelines import cli\n"
        "from foveate.transforms import encode\n"
        "def interrupted(salient, encoder):\n"
        "    _thread.interrupt_main(); time.sleep(1)\n"
        "    yield from plain(salient, encoder)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "plain, encode.encode_plain = encode.encode_plain, interrupted\n"
        "sys.argv[0] = 'foveate'; cli.entry()"
    )
    done = compress_by(code, photos, tmp_path)
    last = done.stderr.decode().splitlines()[-1]
    assert (done.returncode, last) == (130, "foveate: stopped; run the same command again to resume")


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
@pytest.mark.parametrize("command", ["report", "verify", "inspect"])
def test_letters_that_a_locale_lacks_end_no_command(
    archive: Path, command: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = archive / "0.jpg.jp2" if command == "inspect" else archive
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding))
    assert main([command, str(place)]) == 0


def test_letters_that_the_locale_of_a_process_lacks_do_not_end_it(archive: Path) -> None:
    done = foveate("verify", str(archive), PYTHONIOENCODING="ascii")
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize("command", ["report", "inspect"])
def test_an_output_that_nobody_reads_ends_a_command_without_a_traceback(archive: Path, command: str) -> None:
    place = archive / "0.jpg.jp2" if command == "inspect" else archive
    process = subprocess.Popen(
        [sys.executable, "-m", "foveate", command, str(place)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 1
    assert "Traceback" not in said and "Exception ignored" not in said and len(said.splitlines()) <= 2, said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["report", "inspect"])
def test_an_output_that_takes_no_more_ends_a_command_with_a_sentence(archive: Path, command: str) -> None:
    place = archive / "0.jpg.jp2" if command == "inspect" else archive
    with Path("/dev/full").open("wb") as full:
        arguments = [sys.executable, "-m", "foveate", command, str(place)]
        done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1].startswith("foveate: the output is incomplete")
    assert b"Traceback" not in done.stderr


def test_a_command_without_standard_output_works_and_writes_to_no_other_file(archive: Path) -> None:
    shell = f"exec '{sys.executable}' -m foveate verify '{archive}' <&- >&-"
    done = subprocess.run(["sh", "-c", shell], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
