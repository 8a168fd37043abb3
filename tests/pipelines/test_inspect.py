"""`foveate inspect`: what it says of good, foreign and broken files, and the picture it draws."""

from __future__ import annotations

import functools
import io
import json
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from foveate.codec import allocation, jp2, openjpeg
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.packed_saliency import pack_saliency
from foveate.codec.record import ArchiveRecord
from foveate.codec.regions import Region
from foveate.models.faces import Face
from foveate.models.structures import Structures
from foveate.pipelines.cli import main
from foveate.reports.inspection import examination, sheet
from foveate.reports.inspection.examination import Inspection, examine
from foveate.reports.inspection.terminal import print_inspection
from foveate.sandbox import client
from foveate.transforms.elements import SalientPhoto
from foveate.transforms.encode import encode
from tests import streams
from tests.photos import a_photo, encoder

ROOT = Path(__file__).parents[2]
TILED = "-t 50,37 -r 40,10,3"


@functools.cache
def salient_center(height: int = 240, width: int = 360) -> bytes:
    """Our archive file of a photo that is alike everywhere, but matters in the middle."""
    rng = np.random.default_rng(8)
    pixels = rng.normal(128, 30, (height, width, 3)).clip(0, 255).astype(np.uint8)
    saliency = np.zeros((24, 36), np.float32)
    saliency[8:16, 12:24] = 1
    none = np.zeros_like(saliency)
    found = Structures(saliency, none, none, (Face(0.9, 10.0, 10.0, 40.0, 50.0),))
    photo = SalientPhoto(a_photo(pixels), saliency, 0.1, found=found)
    return encode(photo, pixels, encoder("bpp", 1.5, roi_gain_db=20.0), prefiltered=False).jp2


def wrapped(height: int, width: int, channels: int, bits: int = 8, **options: Any) -> bytes:
    stream = streams.coded(streams.texture(height, width, channels, bits), **options)
    return jp2.wrap(stream, metadata=PhotoMetadata())


def printed(found: Inspection) -> str:
    out = io.StringIO()
    print_inspection(found, Console(file=out, width=120))
    return out.getvalue()


def inspect(*arguments: object) -> int:
    return main(["inspect", *map(str, arguments)])


def files_in(text: str) -> list[dict[str, Any]]:
    document = json.loads(text)
    assert document["schema"] == 1
    files: list[dict[str, Any]] = document["files"]
    return files


# What is found


@pytest.mark.parametrize("name", streams.FOREIGN)
def test_the_account_of_a_file_adds_up_to_its_bytes(name: str) -> None:
    stream = streams.foreign(streams.FOREIGN[name])
    record = ArchiveRecord(bytes(32), bytes(8), saliency=np.eye(5, dtype=np.float32))
    file = stream
    if "of half" not in name:  # what we wrap is not sub-sampled
        file = jp2.wrap(stream, metadata=PhotoMetadata(dpi=(72, 72)), record=record)
    found = examine(name, file)
    described = examination.as_json(found)
    assert not found.problems and not found.notes
    assert sum(described["account"].values()) == len(file)
    assert min(described["account"].values()) >= 0
    assert described["account"]["unread"] == 0
    assert (described["account"]["sop_and_padding"] > 0) == ("-SOP" in streams.FOREIGN[name])
    assert described["account"]["boxes"] == len(file) - len(stream)
    assert described["layers"][-1]["file_bytes"] == len(file)
    assert described["layers"][-1]["bits_per_pixel"] == pytest.approx(8 * len(file) / (131 * 97), rel=0.5)


def test_layers_say_what_a_file_that_ended_with_them_would_take() -> None:
    found = examine("a", streams.layered(150, 149, 3, 8, 32))
    ends = examination.layer_ends(found)
    sizes = [end.file_bytes for end in ends]
    assert len(ends) == len(streams.SLOPES) and sizes == sorted(sizes)
    assert sizes[-1] == len(streams.layered(150, 149, 3, 8, 32))
    assert ends[2].bits_per_pixel == pytest.approx(8 * sizes[2] / (150 * 149))


def test_the_cost_of_reading_sizes_and_regions_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = allocation.encode(Encoder(streams.texture(700, 900, 3), coding=Coding(access=True)).at_slope(90.0))
    found = examine("a", data, Region(800, 600, 500, 40))
    whole, *smaller, region, half = found.readings
    assert whole.bytes >= 0.95 * len(data) and len(smaller) == 5
    sizes = [reading.bytes for reading in (whole, *smaller)]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 0.2 * len(data)
    assert (region.left, region.top, region.width, region.height) == (800, 600, 100, 40)
    assert half.bytes < region.bytes < 0.5 * len(data)
    assert "region 800,600,100,40 at 1/2" in printed(found)
    outside = examine("a", data, Region(900, 600, 5, 5))
    assert not outside.readings and "outside of the picture" in outside.notes[0]
    (tmp_path / "a.j2k").write_bytes(data)
    assert main(["inspect", "--json", "--region", "10,20,300,40", str(tmp_path / "a.j2k")]) == 0
    (described,) = files_in(capsys.readouterr().out)
    assert described["readings"][-1]["width"] == 300 and described["readings"][-1]["reduce"] == 1


def test_our_record_is_shown() -> None:
    data = salient_center()
    found = examine("a", data)
    record = examination.as_json(found)["record"]
    assert record["source_sha256"] == jp2.parse(data).record.source_sha256.hex()  # type: ignore[union-attr]
    assert (record["saliency_rows"], record["saliency_columns"]) == (24, 36)
    assert record["saliency_bytes"] == len(pack_saliency(np.asarray(found.record.saliency), 480))  # type: ignore[union-attr]
    text = printed(found)
    assert (record["faces_found"], record["writing_found"]) == (True, False)
    assert re.search(r"Found in it +faces\b", text)
    assert record["source_sha256"] in text and "36 × 24 cells" in text and "RecCNN on restoring" in text


def test_a_record_of_a_later_version_is_a_note() -> None:
    data = bytearray(salient_center())
    at = data.index(bytes.fromhex("9de31d97f6d9439288d5000acd786d7d")) + 16
    data[at] = 9
    found = examine("a", bytes(data))
    assert not found.problems and found.record is None
    assert "version 9" in found.notes[0] and "version 9" in printed(found)


def test_what_packets_are_not_read_of_still_shows_boxes_and_markers() -> None:
    stream = streams.layered(97, 131, 1, 8, 64)
    after_siz = 4 + int.from_bytes(stream[4:6])
    of_part_15 = stream[:after_siz] + b"\xff\x50\0\x08\0\2\0\0\0\0" + stream[after_siz:]
    found = examine("a", of_part_15)
    text = printed(found)
    assert "131 × 97" in text and "capabilities beyond Part 1" in text and "packets are not read" in text
    counted = examination.as_json(found)["account"]
    assert counted["unread"] > 1000 and sum(counted.values()) == len(of_part_15)
    assert not found.problems


def test_packet_headers_in_the_tile_parts_header_are_counted_once() -> None:
    stream = streams.coded(streams.texture(61, 83, 1), levels=0)  # one packet
    packets = examine("a", stream).packets
    assert packets is not None
    part, size = packets.stream.tile_parts[0], int(packets.header_bytes.sum())
    headers, bodies = stream[part.start : part.start + size], stream[part.start + size : part.end]
    sot = part.start - 14
    packed = struct.pack(">HHB", 0xFF61, 3 + size, 0) + headers
    length = struct.pack(">I", 14 + len(packed) + len(bodies))
    data = b"".join(
        (stream[: sot + 6], length, stream[sot + 10 : sot + 12], packed, b"\xff\x93", bodies, b"\xff\xd9")
    )
    found = examine("b", data)
    counted = examination.account(found)
    assert not found.problems and "PPT" in printed(found)
    assert (counted.packet_headers, counted.sop_and_padding) == (0, 0)
    assert counted.code_blocks == len(bodies) and counted.tile_part_headers == 14 + len(packed)
    assert examination.layer_ends(found)[-1].file_bytes == len(data)


def test_names_and_comments_do_what_they_like_to_no_terminal() -> None:
    stream = streams.layered(61, 83, 4)
    comment = b"\xff\x64\x00\x14\0\1[red]\x1b[2Jevil[/]\n"
    found = examine("[bold]\x1b[2J.jp2", stream[:-2].replace(b"\xff\x52", comment[:22] + b"\xff\x52", 1))
    text = printed(found)
    assert "\x1b" not in text and "[red]" in text and "[bold]" in text


def test_every_key_of_the_json_is_documented() -> None:
    text = (ROOT / "docs/inspect.md").read_text()

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list | tuple) else set()

    found = keys(examination.as_json(examine("a", salient_center())))
    assert {"tile_parts", "saliency_bytes", "dx", "included"} <= found
    assert not {key for key in found if f"`{key}`" not in text}


def test_long_lists_are_shown_by_their_ends() -> None:
    found = examine(
        "a", streams.coded(streams.texture(90, 90, 1), slopes=np.geomspace(30_000, 1, 30).tolist())
    )
    text = printed(found)
    layers = text.partition("\nLayer ")[2].partition("\n\n")[0].splitlines()[1:]
    assert [line.split()[0] for line in layers] == [*map(str, range(1, 9)), "…", *map(str, range(23, 31))]


# The picture


def drawn(data: bytes, file_format: sheet.SheetFormat = "png") -> Image.Image:
    picture, note = sheet.render_sheet(examine("some/[photo] ü.jp2", data), data, file_format)
    assert not note
    image = Image.open(io.BytesIO(picture))
    image.load()
    assert image.format == file_format.upper()
    return image.convert("RGB")


KINDS: tuple[tuple[int, int, int, int], ...] = (
    (1, 1, 3, 8),
    (1, 1, 1, 16),
    (3000, 1, 3, 8),
    (1, 3000, 1, 8),
    (97, 131, 1, 16),
    (131, 97, 2, 8),
    (101, 330, 4, 16),
    (700, 1500, 3, 8),
)


@pytest.mark.parametrize(("height", "width", "channels", "bits"), KINDS)
def test_any_kind_of_photo_has_a_picture(height: int, width: int, channels: int, bits: int) -> None:
    image = drawn(wrapped(height, width, channels, bits))
    assert 600 <= image.width <= 4 * 1700 and 500 <= image.height <= 4 * 1700
    assert image.getcolors(100) is None  # there are more


def test_a_photo_of_many_pixels_is_decoded_at_the_resolution_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    reduced: list[int] = []
    whole = client.decode_jpeg2000

    def decode(data: bytes, limits: client.Limits, reduce: int) -> openjpeg.Decoded:
        reduced.append(reduce)
        return whole(data, limits, reduce)

    monkeypatch.setattr(sheet, "decode_jpeg2000", decode)
    drawn(wrapped(40, 5000, 1))
    assert reduced == [2]
    drawn(wrapped(40, 5000, 1, levels=1))
    assert reduced[1:] == [2, 1]


def test_the_middle_that_matters_has_more_bits_and_is_lighter_in_the_picture() -> None:
    data = salient_center()
    image = drawn(data)
    found = examine("a", data)
    panel = sheet._bits_panel(found, np.full((240, 360, 3), 128, np.uint8))
    light = panel.picture.mean(-1)
    assert light[90:150, 140:220].mean() > 1.3 * light[:30].mean()
    with_map = image.size
    without = drawn(wrapped(240, 360, 3)).size
    assert with_map[1] > without[1]  # the saliency map is one panel more


def test_a_photo_that_cannot_be_decoded_still_shows_its_bits() -> None:
    deep = bytearray(streams.layered(61, 83, 1))
    deep[42] = 19  # 20 bits per sample
    found = examine("a", bytes(deep))
    picture, note = sheet.render_sheet(found, bytes(deep), "webp")
    assert "20 bits" in note
    assert Image.open(io.BytesIO(picture)).format == "WEBP"


@pytest.mark.parametrize(
    ("high", "top"), [(0.0, 1.0), (0.43, 0.5), (1.0, 1.0), (2.2, 3.0), (7, 8), (93, 100)]
)
def test_the_scale_ends_at_a_round_number(high: float, top: float) -> None:
    assert sheet._scale_top(np.full((3, 3), high, np.float32)) == pytest.approx(top)


# The command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good files, foreign and broken ones."""
    place = tmp_path / "files"
    (place / "trip").mkdir(parents=True)
    (place / "trip/ours.jpg.jp2").write_bytes(salient_center())
    (place / "layers.j2k").write_bytes(streams.layered(61, 203, 2, 8, 32, True))
    (place / "notes.txt").write_bytes(b"no photo")
    return place


def test_a_folder_is_shown_file_by_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect(folder) == 0
    said = capsys.readouterr()
    assert said.out.index("layers.j2k") < said.out.index("ours.jpg.jp2")
    assert "360 × 240" in said.out and "203 × 61" in said.out
    assert not said.err


def test_json_is_one_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "text.jp2").write_bytes(b"hello")
    assert inspect(folder, "--json") == 1
    said = capsys.readouterr()
    files = files_in(said.out)
    assert [Path(file["name"]).name for file in files] == ["layers.j2k", "text.jp2", "ours.jpg.jp2"]
    assert files[1] == {"name": str(folder / "text.jp2"), "problems": [files[1]["problems"][0]]}
    assert files[2]["file_bytes"] == (folder / "trip/ours.jpg.jp2").stat().st_size
    assert "text.jp2" in said.err and "neither a JP2 file nor a codestream" in said.err


def broken(folder: Path) -> Sequence[tuple[str, bytes, str]]:
    whole = (folder / "trip/ours.jpg.jp2").read_bytes()
    return (
        ("empty.jp2", b"", "the file is empty"),
        ("text.jp2", b"hello, this is no picture", "neither a JP2 file nor a codestream"),
        ("cut.jp2", whole[: len(whole) // 2], "bytes past the end"),
        ("head.jp2", whole[:50], "no codestream"),
        ("cut.j2k", streams.layered(61, 203, 2, 8, 32, True)[:-1], "cut off"),
    )


def test_broken_files_are_shown_as_far_as_they_go_and_the_status_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data, sentence in broken(folder):
        path, picture = folder / name, tmp_path / "out.png"
        path.write_bytes(data)
        status = inspect(path, "--picture", picture)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert status == 1, name
        assert f"foveate inspect: {path}: " in said.err and sentence in said.err
        assert not picture.exists()


def test_pictures_are_written_to_a_file_or_a_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = tmp_path / "deep" / "one.WEBP"
    assert inspect(folder / "layers.j2k", "--picture", one) == 0
    assert Image.open(one).format == "WEBP"
    (folder / "other").mkdir()
    twin = folder / "other" / "layers.j2k"
    twin.write_bytes(streams.layered(97, 131, 1, 8, 64))
    assert inspect(folder / "layers.j2k", twin, folder / "trip", "--picture", tmp_path / "all") == 0
    names = sorted(str(path.relative_to(tmp_path / "all")) for path in (tmp_path / "all").rglob("*.*"))
    assert names == ["layers.j2k.2.png", "layers.j2k.png", "ours.jpg.jp2.png"]
    assert capsys.readouterr().err.count("Wrote ") == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["FOLDER", "--picture", "one.png"], "one.png is one picture, but there are 2 files"),
        (["FOLDER", "--picture", "FOLDER/notes.txt"], "notes.txt is a file; --picture must name"),
        (["FOLDER/nowhere.jp2"], "no such file, or no photos in it"),
        (["FOLDER/none"], "no such file, or no photos in it"),
        (["FOLDER", "--pictures", "out"], "neither Foveate nor Beam knows --pictures out"),
        ([], "the following arguments are required: FILE"),
        (["nowhere://bucket/a.jp2"], "cannot be listed"),
    ],
)
def test_wrong_usage_is_refused_with_a_sentence(
    arguments: list[str], sentence: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "none").mkdir()
    try:
        status = inspect(*(argument.replace("FOLDER", str(folder)) for argument in arguments))
    except SystemExit as stop:
        status = int(stop.code or 0)
    assert status == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said


def test_a_place_that_cannot_be_written_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "layers.j2k"
    assert inspect(file, "--picture", f"{folder}/notes.txt/one.png") == 1
    assert "cannot be written" in capsys.readouterr().err
