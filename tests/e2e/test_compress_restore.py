"""Tests whole runs through the command line: a realistic folder is compressed and restored."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from jpylyzer import jpylyzer
from numpy.typing import NDArray
from PIL import Image

from foveate.archive import tables
from foveate.archive.skipped import read_skipped
from foveate.codec import jp2, openjpeg
from foveate.pictures.formats import decode_picture
from foveate.pipelines.cli import main
from foveate.quality.psnr import psnr
from foveate.reports.figures import bytes_text
from tests import picture_files
from tests.held import foveate_held_at
from tests.picture_files import exif_block, icc_profile, jpeg, png, tiff, webp, xmp_packet
from tests.streams import compress as compressed_by_others
from tests.streams import texture, with_ramp
from tests.tools import tool

ROOT = Path(__file__).parents[2]
WITHOUT_NETWORKS = ("--roi", "none", "--comcnn", "off", "--reccnn", "off")


def good_photos() -> dict[str, bytes]:
    """Photos that become JP2 files at 2 bits per pixel."""
    metadata = {"exif": exif_block(6), "xmp": xmp_packet(6), "icc_profile": icc_profile()}
    return {
        "trip/turned.jpg": jpeg(texture(150, 210, 3), 98, **metadata),
        "trip/2019 [best]/ü #1.webp": webp(with_ramp(texture(97, 131, 4))),
        "gray.png": png(texture(131, 97, 1)),
        "gray-alpha.png": png(with_ramp(texture(90, 120, 2))),
        "deep.tif": tiff(texture(120, 90, 3, 16)),
        "deep-gray.png": png(texture(111, 90, 1, 16)),
        "strip.png": png(texture(5000, 1, 3)),
        "flat.png": png(np.full((90, 90, 3), 120, np.uint8) + texture(90, 90, 3) // 16),
    }


KEPT = {
    "cmyk.jpg": picture_files.cmyk_jpeg(),
    "animated.webp": picture_files.animated("WEBP"),
    "pixel.png": picture_files.one_pixel_png(),
    "truncated.jpg": picture_files.kept_pictures()["truncated.jpg"],
}
BROKEN = {
    "header-only.jpg": (picture_files.broken_pictures()["header-only.jpg"], "truncated"),
    "empty.jpg": (b"", "empty"),
    "text.jpg": (b"hello world, this is not a photo\n", "not a picture"),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """A folder of photos and what one run made of it."""

    photos: Path
    archive: Path
    status: int
    said: str = ""

    def rows(self) -> dict[str, dict[str, Any]]:
        """Measured rows by path, without those that later runs skipped."""
        return {row["relative_path"]: row for row in self.table() if row["outcome"] != "skipped"}

    def table(self, run_id: str | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = tables.read_metrics(str(self.archive), run_id).to_pylist()
        return rows

    def failures(self) -> dict[str, dict[str, Any]]:
        found = tables.read_failures(str(self.archive)).to_pylist()
        return {str(Path(failure["url"]).relative_to(self.photos)): failure for failure in found}

    def runs(self) -> set[str]:
        folders = self.archive.glob("_foveate/*/run=*")
        return {folder.name.removeprefix("run=") for folder in folders}


def compress(photos: Path, archive: Path, *options: str) -> Run:
    return Run(photos, archive, main(["compress", str(photos), "--output", str(archive), *options]))


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """SHA-256 and time of every file below a folder, by relative path."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder except Foveate's own, by relative path."""
    return {path: sha for path, (sha, _) in contents(folder).items() if not path.startswith("_foveate/")}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good, unusual and broken photos, and a text."""
    folder = tmp_path_factory.mktemp("in") / "photos"
    broken = {name: data for name, (data, _) in BROKEN.items()}
    for name, data in (good_photos() | KEPT | broken | {"notes.txt": b"no photo"}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def first(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The folder compressed with all networks."""
    said = io.StringIO()
    before = contents(photos)
    with contextlib.redirect_stderr(said):
        run = compress(photos, tmp_path_factory.mktemp("out") / "archive", "--bpp", "2")
    assert contents(photos) == before  # sources are never touched
    return dataclasses.replace(run, said=said.getvalue())


@pytest.fixture(scope="module")
def restored(first: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive restored with RecCNN."""
    output, said = tmp_path_factory.mktemp("restored"), io.StringIO()
    with contextlib.redirect_stderr(said):
        assert main(["restore", str(first.archive), "--output", str(output)]) == 0
    assert f"{len(good_photos())} restored, {len(KEPT)} copied unchanged" in said.getvalue()
    return output


# What becomes of each photo


def test_some_failed_and_the_status_says_so(first: Run) -> None:
    assert first.status == 3


def test_every_good_photo_is_archived_within_its_bytes(first: Run) -> None:
    rows = first.rows()
    for name in good_photos():
        row, file = rows[name], first.archive / f"{name}.jp2"
        assert row["outcome"] == "compressed", row["reason"]
        assert row["archive_bytes"] == file.stat().st_size
        budget = 2 * row["width"] * row["height"] / 8
        assert budget - max(0.01 * budget, 24) <= file.stat().st_size <= budget


def test_what_should_be_no_jp2_is_copied_with_its_reason(first: Run) -> None:
    rows = first.rows()
    for name, data in KEPT.items():
        assert rows[name]["outcome"] == "kept"
        assert (first.archive / name).read_bytes() == data
        assert not (first.archive / f"{name}.jp2").exists()
    assert "CMYK" in rows["cmyk.jpg"]["reason"]
    assert "animat" in rows["animated.webp"]["reason"]


def test_every_broken_file_is_a_failure_that_says_what_is_wrong(first: Run) -> None:
    failures = first.failures()
    assert set(failures) == set(BROKEN)
    for name, (_, words) in BROKEN.items():
        assert words in failures[name]["message"].lower(), failures[name]
        assert failures[name]["step"] == "read"


def test_every_source_has_one_outcome_and_nothing_else_is_in_the_archive(first: Run) -> None:
    names = [row["relative_path"] for row in first.table()] + list(first.failures())
    assert sorted(names) == sorted([*good_photos(), *KEPT, *BROKEN])
    assert set(hashes(first.archive)) == {f"{name}.jp2" for name in good_photos()} | set(KEPT)
    assert {path.split("/")[1] for path in contents(first.archive) if path.startswith("_foveate/")} == {
        "metrics",
        "failures",
    }


def test_the_last_line_accounts_for_every_photo_and_byte(first: Run) -> None:
    rows = first.rows().values()
    before, after = (
        bytes_text(sum(row[column] for row in rows)) for column in ("source_bytes", "archive_bytes")
    )
    line = f"{len(good_photos())} compressed, {len(KEPT)} kept, {len(BROKEN)} failed"
    assert f"{line}; {before} became {after}." in first.said
    assert f"{first.archive}/_foveate/failures/run=" in first.said


def test_the_rows_figures_are_those_of_the_files(first: Run) -> None:
    row = first.rows()["gray.png"]
    decoded = openjpeg.decode((first.archive / "gray.png.jp2").read_bytes()).pixels
    source = decode_picture((first.photos / "gray.png").read_bytes()).pixels
    assert row["psnr_db"] == pytest.approx(psnr(source, decoded))
    assert row["rec_psnr_db"] >= row["psnr_db"] or row["rec_psnr_s_db"] >= row["psnr_s_db"]
    assert row["source_sha256"] == hashlib.sha256((first.photos / "gray.png").read_bytes()).hexdigest()


# Again


def test_a_second_run_skips_everything_and_changes_no_byte(
    first: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    before, runs = contents(first.archive), first.runs()
    again = compress(first.photos, first.archive, "--bpp", "2")
    assert again.status == 3  # what is broken still is
    (run_id,) = again.runs() - runs
    after = contents(first.archive)
    assert {path: entry for path, entry in after.items() if f"run={run_id}" not in path} == before
    assert again.table(run_id) == []  # no rows that say nothing new
    (skipped,) = read_skipped(str(first.archive), run_id).to_pylist()
    assert skipped["photos"] == len(good_photos()) + len(KEPT)
    rows = again.rows().values()
    for size in ("source_bytes", "archive_bytes"):
        assert skipped[size] == sum(row[size] for row in rows)
    assert f"{skipped['photos']} skipped, {len(BROKEN)} failed" in capsys.readouterr().err
    assert main(["report", str(first.archive), "--json", "--run", run_id]) == 0
    accounting = json.loads(capsys.readouterr().out)["accounting"]
    wanted = {"compressed": 0, "kept": 0, "skipped": skipped["photos"], "failed": len(BROKEN)}
    assert accounting == wanted | {"sources": sum(wanted.values())}


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    first: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compress(first.photos, tmp_path / "archive", "--dry-run").status == 0
    total = len(good_photos()) + len(KEPT) + len(BROKEN)
    assert f"{total} of {total} photos" in capsys.readouterr().out
    assert not (tmp_path / "archive").exists()
    before = contents(first.archive)
    assert compress(first.photos, first.archive, "--bpp", "2", "--dry-run").status == 0
    assert f"{len(BROKEN)} of {total} photos" in capsys.readouterr().out
    assert contents(first.archive) == before


def test_other_settings_compress_again_and_force_does_too(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(png(texture(97, 131, 3)))
    options = ("--bpp", "1", *WITHOUT_NETWORKS)
    small = compress(tmp_path / "photos", tmp_path / "archive", *options)
    assert small.status == 0
    before = contents(tmp_path / "archive")["a.png.jp2"]
    large = compress(tmp_path / "photos", tmp_path / "archive", "--bpp", "3", *WITHOUT_NETWORKS)
    after = contents(tmp_path / "archive")["a.png.jp2"]
    assert before[0] != after[0]
    assert {row["outcome"] for row in large.table()} == {"compressed"}
    compress(tmp_path / "photos", tmp_path / "archive", *options)
    forced = compress(tmp_path / "photos", tmp_path / "archive", *options, "--force")
    assert [row["outcome"] for row in forced.table()] == ["compressed"] * 4
    assert contents(tmp_path / "archive")["a.png.jp2"][0] == before[0]


def test_an_archive_below_its_sources_does_not_swallow_itself(tmp_path: Path) -> None:
    for name in ("cmyk.jpg", "animated.webp"):
        (tmp_path / name).write_bytes(KEPT[name])
    for _ in range(2):
        assert compress(tmp_path, tmp_path / "archive", *WITHOUT_NETWORKS).status == 0
    assert set(hashes(tmp_path / "archive")) == {"cmyk.jpg", "animated.webp"}


def test_a_destination_that_cannot_be_written_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(texture(97, 131, 3)))
    (tmp_path / "archive" / "_foveate").mkdir(parents=True)
    (tmp_path / "archive" / "_foveate" / "unfinished").write_text("a file where a folder belongs")
    command = [sys.executable, "-m", "foveate", "compress", str(tmp_path / "a.png"), *WITHOUT_NETWORKS]
    command += ["--output", str(tmp_path / "archive")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]  # after what Beam itself has to say
    assert last.startswith("foveate: the run failed: ") and "cannot be written" in last
    assert "while running" not in last


def test_a_file_is_no_destination(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(png(texture(97, 131, 3)))
    (tmp_path / "file").write_text("no folder")
    for command in ("compress", "restore"):
        assert main([command, str(tmp_path / "a.png"), "--output", str(tmp_path / "file")]) == 2
        assert "is a file" in capsys.readouterr().err


def test_two_sources_of_one_name_are_one_archived_and_one_failed(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(png(texture(97, 131, 3)))
    sources = [str(tmp_path / folder) for folder in ("x", "y")]
    archive = tmp_path / "archive"
    assert main(["compress", *sources, "--output", str(archive), *WITHOUT_NETWORKS]) == 3
    run = Run(tmp_path, archive, 3)
    assert set(run.rows()) == {"a.png"} and set(run.failures()) == {"y/a.png"}


def test_masks_decide_where_the_bits_go_and_a_missing_one_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    pixels = texture(180, 240, 3)
    for name in ("a.png", "b.png"):
        (tmp_path / "photos" / name).write_bytes(png(pixels))
    mask = np.zeros((18, 24), np.uint8)
    mask[9:, 12:] = 255
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    options = ("--bpp", "1", "--comcnn", "off", "--reccnn", "off", "--roi", f"masks:{tmp_path}/masks")
    run = compress(tmp_path / "photos", tmp_path / "archive", *options)
    assert run.status == 3 and set(run.failures()) == {"b.png"}
    decoded = openjpeg.decode((tmp_path / "archive" / "a.png.jp2").read_bytes()).pixels
    inside, outside = (np.s_[90:, 120:], np.s_[:90, :120])
    plain = compress(tmp_path / "photos", tmp_path / "plain", "--bpp", "1", *WITHOUT_NETWORKS)
    assert plain.status == 0
    even = openjpeg.decode((tmp_path / "plain" / "a.png.jp2").read_bytes()).pixels
    assert psnr(pixels[inside], decoded[inside]) > psnr(pixels[inside], even[inside]) + 0.5
    assert psnr(pixels[outside], decoded[outside]) < psnr(pixels[outside], even[outside])
    assert main(["verify", str(tmp_path / "archive")]) == 0  # though a record's digest covers the mask


# Killed


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough photos for an interruption, and two that are kept."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "cmyk.jpg").write_bytes(KEPT["cmyk.jpg"])
    (folder / "zz.webp").write_bytes(KEPT["animated.webp"])
    for number in range(24):
        pixels = np.roll(texture(300, 400, 3), 16 * number, 1)
        (folder / f"{number:02}.jpg").write_bytes(jpeg(pixels, 95))
    return folder


@pytest.mark.slow
def test_a_run_that_was_killed_is_completed_by_the_next(many: Path, tmp_path: Path) -> None:
    undisturbed = compress(many, tmp_path / "undisturbed", *WITHOUT_NETWORKS)
    assert undisturbed.status == 0
    archive = tmp_path / "archive"
    command = [*foveate_held_at(archive, 12), "compress", str(many), "--output", str(archive)]
    process = subprocess.Popen(
        [*command, *WITHOUT_NETWORKS, "--direct_num_workers=1"],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while len(list(archive.glob("*.jp2"))) < 4 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = {path.name: path.stat().st_mtime_ns for path in archive.glob("*.jp2")}
    assert 4 <= len(left) < 24
    for name in left:  # whatever stands under its name is whole
        assert (archive / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
    again = compress(many, archive, *WITHOUT_NETWORKS)
    assert again.status == 0
    assert hashes(archive) == hashes(tmp_path / "undisturbed")
    assert {name: (archive / name).stat().st_mtime_ns for name in left} == left
    assert not list(archive.glob("_foveate/unfinished")) and not list(archive.rglob("*.partial*"))
    figures = ("outcome", "archive_bytes", "psnr_db", "ssim", "comcnn_used")
    assert {name: [row[figure] for figure in figures] for name, row in again.rows().items()} == {
        name: [row[figure] for figure in figures] for name, row in undisturbed.rows().items()
    }


# The files, as others see them


def archived(first: Run) -> Iterator[tuple[Path, NDArray[Any]]]:
    for name in good_photos():
        path = first.archive / f"{name}.jp2"
        yield path, openjpeg.decode(path.read_bytes()).pixels


def assert_near(pixels: NDArray[Any], expected: NDArray[Any], path: Path) -> None:
    """Builds and decoders may round some samples of the irreversible transform differently."""
    difference = np.abs(pixels.reshape(expected.shape).astype(int) - expected)
    assert difference.max() <= (1 if expected.dtype == np.uint8 else 4), path


def test_openjpegs_own_tool_decodes_every_file_in_silence(first: Run, tmp_path: Path) -> None:
    command = tool("opj_decompress")
    for path, expected in archived(first):
        output = tmp_path / "decoded.png"
        done = subprocess.run(
            [command, "-i", str(path), "-o", str(output)], capture_output=True, text=True, check=True
        )
        assert not done.stderr.strip() and "WARN" not in done.stdout.upper(), (path, done)
        assert_near(imagecodecs.png_decode(output.read_bytes()), expected, path)


def test_ffmpegs_own_decoder_decodes_every_file_in_silence(first: Run) -> None:
    command = tool("ffmpeg")
    formats = {8: ["gray", "ya8", "rgb24", "rgba"], 16: ["gray16le", "ya16le", "rgb48le", "rgba64le"]}
    for path, expected in archived(first):
        pixel_format = formats[8 * expected.dtype.itemsize][expected.shape[2] - 1]
        arguments = ["-v", "warning", "-c:v", "jpeg2000", "-i", str(path), "-pix_fmt", pixel_format]
        done = subprocess.run([command, *arguments, "-f", "rawvideo", "-"], capture_output=True, check=True)
        assert not done.stderr, (path, done.stderr)
        assert_near(np.frombuffer(done.stdout, expected.dtype), expected, path)


def test_pillow_decodes_every_file(first: Run) -> None:
    for path, expected in archived(first):
        with Image.open(path) as picture:
            assert picture.size == expected.shape[1::-1]
            pixels = np.asarray(picture)
        if expected.dtype == np.uint8 or expected.shape[2] == 1:  # it has no color of 16 bits
            assert_near(pixels, expected, path)


@pytest.mark.filterwarnings("ignore")
def test_jpylyzer_finds_every_file_valid(first: Run) -> None:
    for path, _ in archived(first):
        report = jpylyzer.checkOneFile(str(path), "jp2")
        assert report.findtext("isValid") == "True", path


def tags(path: Path) -> dict[str, Any]:
    """Tags that ExifTool reads, by group and name; there must be no warning."""
    command = [tool("exiftool"), "-json", "-G1", "-a", "-warning", "-all", str(path)]
    (found,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    warnings = [str(value) for name, value in found.items() if name.endswith(("Warning", "Error"))]
    assert not [text for text in warnings if not text.startswith("[minor] Unrecognized MakerNotes")]
    return dict(found)


@pytest.mark.parametrize("format", ["jp2", "png", "jpeg", "tiff", "webp", "avif"])
def test_the_sources_metadata_is_in_archive_and_restored_photo(
    first: Run, restored: Path, tmp_path: Path, format: str
) -> None:
    tool("exiftool")
    path = first.archive / "trip" / "turned.jpg.jp2"
    if format == "png":
        path = restored / "trip" / "turned.png"
    elif format != "jp2":
        arguments = ["--output", str(tmp_path), "--format", format, "--reccnn", "off"]
        assert main(["restore", str(path), *arguments]) == 0
        (path,) = tmp_path.glob("turned.*")
    found = tags(path)
    assert found["IFD0:ImageDescription"] == picture_files.DESCRIPTION
    assert found["ExifIFD:DateTimeOriginal"] == "2024:05:06 07:08:09"
    assert found["GPS:GPSLatitudeRef"] == "North"
    assert found["XMP-dc:Creator"] == picture_files.CREATOR
    assert "sRGB" in str(found["ICC_Profile:ProfileDescription"])
    assert "Rotate" not in str(found.get("IFD0:Orientation", ""))  # the pixels are upright already


# Back


def test_every_photo_comes_back_in_its_size_and_kept_files_as_they_were(first: Run, restored: Path) -> None:
    for name in good_photos():
        archive = openjpeg.decode((first.archive / f"{name}.jp2").read_bytes()).pixels
        back = decode_picture((restored / name).with_suffix(".png").read_bytes()).pixels
        assert back.dtype == archive.dtype, name
        assert back.shape[:2] == archive.shape[:2], name
        source = decode_picture((first.photos / name).read_bytes()).pixels
        if back.shape == source.shape:
            assert psnr(source, back) > 20, name
    for name, data in KEPT.items():
        assert (restored / name).read_bytes() == data
    assert len(hashes(restored)) == len(good_photos()) + len(KEPT)


def test_what_restore_writes_is_what_the_row_promised(first: Run, restored: Path) -> None:
    rows = first.rows()
    for name in ("deep.tif", "trip/2019 [best]/ü #1.webp"):
        source = decode_picture((first.photos / name).read_bytes()).pixels
        back = decode_picture((restored / name).with_suffix(".png").read_bytes()).pixels
        assert psnr(source, back) == pytest.approx(rows[name]["rec_psnr_db"], abs=0.02), name


def test_lossless_comes_back_bit_for_bit(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    sources = {"a.png": texture(97, 131, 3), "b.png": texture(90, 83, 4, 16), "c.png": texture(91, 70, 2)}
    for name, pixels in sources.items():
        (tmp_path / "photos" / name).write_bytes(imagecodecs.png_encode(pixels, level=0))
    run = compress(tmp_path / "photos", tmp_path / "archive", "--lossless", "--roi", "none")
    assert run.status == 0
    assert {row["outcome"] for row in run.table()} == {"compressed"}
    assert main(["restore", str(tmp_path / "archive"), "--output", str(tmp_path / "back")]) == 0
    for name, pixels in sources.items():
        np.testing.assert_array_equal(decode_picture((tmp_path / "back" / name).read_bytes()).pixels, pixels)


def test_files_of_others_are_restored_and_broken_ones_reported(tmp_path: Path) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    pixels = texture(97, 131, 3)
    (folder / "a.j2k").write_bytes(compressed_by_others(pixels, "-r 20 -I"))
    Image.fromarray(pixels).save(folder / "b.jp2", irreversible=True, quality_layers=[20], mct=1)
    (folder / "c.jp2").write_bytes((folder / "b.jp2").read_bytes()[:900])
    (folder / "d.j2k").write_bytes(b"")
    output = tmp_path / "back"
    assert main(["restore", str(folder), "--output", str(output)]) == 3
    for name in ("a.png", "b.png"):
        assert psnr(pixels, decode_picture((output / name).read_bytes()).pixels) > 20
    failures = tables.read_failures(str(output)).to_pylist()
    assert {Path(failure["url"]).name for failure in failures} == {"c.jp2", "d.j2k"}
    assert all(len(failure["message"]) > 10 for failure in failures)
    assert set(hashes(output)) == {"a.png", "b.png"}


# Told


def test_the_report_describes_the_run(first: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    assert main(["report", str(first.archive), "--output", str(page)]) == 0
    assert "</html>" in page.read_text()
    told = capsys.readouterr().out
    total = len(good_photos()) + len(KEPT) + len(BROKEN)
    assert f"{total} sources = {len(good_photos())} compressed + {len(KEPT)} kept" in told
    assert f"{len(BROKEN)} failed" in told
    assert main(["report", str(first.archive), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


# Large


@functools.cache
def large_photo() -> bytes:
    """Twenty megapixels: slopes and a few edges, as a JPEG."""
    height, width = 3648, 5472
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    plane = 90 + 60 * np.sin(rows / 700) * np.cos(columns / 900) + 40 * ((rows + 2 * columns) % 2900 > 1700)
    pixels = np.stack([plane, plane * 0.9, 200 - plane * 0.7], 2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=97)
    return file.getvalue()


@pytest.mark.slow
def test_twenty_megapixels_are_archived(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "large.jpg").write_bytes(large_photo())
    run = compress(tmp_path / "photos", tmp_path / "archive", "--bpp", "0.1", *WITHOUT_NETWORKS)
    assert run.status == 0
    (row,) = run.table()
    assert (row["width"], row["height"], row["outcome"]) == (5472, 3648, "compressed")
    assert 0.099 <= row["bits_per_pixel"] <= 0.1
    assert jp2.parse((tmp_path / "archive" / "large.jpg.jp2").read_bytes()).record is not None


def test_a_photo_that_is_kept_later_is_not_in_the_archive_twice(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png(texture(97, 131, 3)))
    command = ["compress", str(tmp_path / "in"), "--output", str(tmp_path / "out"), *WITHOUT_NETWORKS]
    assert main([*command, "--bpp", "2"]) == 0
    assert (tmp_path / "out" / "a.png.jp2").exists()
    assert main([*command, "--bpp", "2", "--min-saving", "0.99"]) == 0
    assert (tmp_path / "out" / "a.png").exists() and not (tmp_path / "out" / "a.png.jp2").exists()
