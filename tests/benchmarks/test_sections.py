"""Tests the tables made from curves and figures, and that Foveate does what they measure."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from benchmarks import (
    codecs,
    curves,
    encoding,
    fidelity,
    gains,
    graphics,
    learned,
    lossless,
    ours,
    peers,
    photos,
    plain,
    salient,
    serving,
    tuned,
)
from benchmarks.curves import Curve, Point
from benchmarks.fidelity import Measured
from benchmarks.restored import RATES
from benchmarks.serving import Served
from benchmarks.tables import Bar, Section, Table, markdown, plain_text, section_from
from foveate.codec import jp2
from foveate.codec.block_weights import Emphasis
from foveate.codec.encoder import Encoder
from foveate.models import reccnn
from tests import streams

PIXELS = 512 * 512


def _curve(share: float = 1.0, more: dict[str, float] | None = None) -> Curve:
    """A codec's files at all rates, of the requested bytes, that look like files of bytes / share."""
    return tuple(
        Point(
            rate * PIXELS / 8,
            {**dict.fromkeys(curves.MEASURES, 12 + 10 * math.log10(rate / share)), **(more or {})},
        )
        for rate in RATES
    )


def test_files_like_openjpegs_neither_gain_nor_lose_but_for_their_boxes() -> None:
    photo = Measured(PIXELS, {"OpenJPEG": _curve(), "Foveate": _curve()})
    section = plain.plain_section([photo, photo])
    assert section.figures["whole_file_percent"] == pytest.approx([0, 0], abs=1e-9)
    assert all(-2 < percent < 0 for percent in section.figures["codestream_percent"])
    assert [row[:3] for row in section.tables[0].rows[:2]] == [
        ("whole files", "2", "+0.00"),
        ("whole files, less", "2", "+0.00"),
    ]
    changes = {table.caption: [row[3] for row in table.rows] for table in section.tables[1:]}
    whole, bare = changes.values()
    assert whole == ["+0.000"] * 5
    assert all(float(change) > 0 for change in bare)
    assert [bar.met for bar in section.bars] == [True, True, section.bars[2].value <= 0, True]


def test_the_autoencoder_is_compared_at_the_bytes_of_its_files() -> None:
    shares = {"OpenJPEG": 1.0, "Foveate": 1.0, "JPEG": 1.25, "AVIF": 0.8}
    seconds = {"encode_seconds": 0.1, "decode_seconds": 0.2}
    mine = tuple(_curve(1.1, seconds)[1:4])  # at 0.25, 0.5 and 1 bit per pixel
    photo = Measured(
        PIXELS, {"autoencoder": mine, **{codec: _curve(share) for codec, share in shares.items()}}
    )
    apart = {
        **photo.curves,
        "OpenJPEG": _curve(1e-4),
    }  # better at its least rate than the autoencoder ever is
    section = learned.learned_section([photo, photo])
    percent, psnr, *_ = section.tables
    measures = ("PSNR", "MS-SSIM", "SSIMULACRA 2")
    assert percent.rows == tuple((measure, "2", "+10.0") for measure in measures)
    partly = learned.learned_section([photo, Measured(PIXELS, apart)])
    assert partly.tables[0].rows == tuple((measure, "1", "+10.0") for measure in measures)
    assert psnr.head == ("codec", "0.25 bpp, 2 photos", "0.50 bpp, 2 photos", "1.00 bpp, 2 photos")
    rows = {codec: [float(value) for value in values] for codec, *values in psnr.rows}
    assert rows["OpenJPEG"] == pytest.approx(
        [12 + 10 * math.log10(rate) for rate in (0.25, 0.5, 1)], abs=0.01
    )
    assert rows["JPEG"] < rows["autoencoder"] < rows["OpenJPEG"] < rows["AVIF"]
    late = {**photo.curves, "JPEG": photo.curves["JPEG"][2:]}  # its smallest file has 0.5 bits per pixel
    later = learned.learned_section([photo, Measured(PIXELS, late)])
    assert later.tables[1].head[1:] == ("0.25 bpp, 1 photos", "0.50 bpp, 2 photos", "1.00 bpp, 2 photos")
    assert section.figures["seconds"] == pytest.approx([0.1e6 / PIXELS, 0.2e6 / PIXELS])


def test_bd_rates_and_scores_of_tuned_files_are_those_of_the_curves() -> None:
    shares = {"OpenJPEG": 1, "Foveate": 1, "Foveate, visual": 0.9, "JPEG": 1.3, "AVIF": 0.81}
    photo = Measured(PIXELS, {codec: _curve(share) for codec, share in shares.items()})
    section = tuned.visual_section([photo, photo])
    rows = {row[0]: row[1:] for row in section.tables[0].rows}
    assert list(rows) == list(shares)
    assert rows["Foveate, visual"][0] == "-10.0"
    assert rows["Foveate, visual"][:3] == ("-10.0", "-10.0", "-10.0")
    assert rows["OpenJPEG"][0] == "+0.0"
    at_half = photo.curves["OpenJPEG"][RATES.index(0.5)].figures["ssimulacra2"]
    assert rows["OpenJPEG"][4] == f"{at_half:.1f}"
    assert [bar.met for bar in section.bars] == [False, False, False, True]


def test_all_codecs_are_in_all_tables_and_in_the_picture() -> None:
    shares = {"OpenJPEG": 1, "Foveate": 1, "Foveate + RecCNN best": 0.75, "JPEG": 1.3, "AVIF": 0.81}
    photo = Measured(PIXELS, {codec: _curve(share) for codec, share in shares.items()})
    section = codecs.codecs_section([photo, photo])
    percents, *means = section.tables
    assert {row[0]: row[1] for row in percents.rows}["JPEG"] == "+30.0"
    assert [row[0] for row in means[0].rows] == list(shares)
    assert len(section.figures["curves"]) == len(shares) * len(RATES) * 3
    assert [bar.met for bar in section.bars] == [True] * 5
    assert section.bars[0].value == pytest.approx(-25)


def _with_network(gain_db: float, worst_db: float) -> list[Measured]:
    """Two photos: one that gains so much from RecCNN, and one that gains less and is marked."""
    photos = []
    for gain, marked in ((gain_db, 0.0), (worst_db, 1.0)):
        restored = tuple(
            Point(
                point.size,
                {
                    **{figure: value + gain for figure, value in point.figures.items()},
                    "marked": marked,
                    "unmarked": point.figures["psnr"] - 0.5,
                },
            )
            for point in _curve()
        )
        found = {
            "OpenJPEG": _curve(),
            "Foveate": _curve(),
            "Foveate + RecCNN fast": restored,
            "AVIF": _curve(),
        }
        photos.append(Measured(PIXELS, found))
    return photos


def test_gains_are_means_and_the_worst_photo_is_named_with_and_without_its_mark() -> None:
    section = gains.gains_section(_with_network(1.0, -0.03))
    (table,) = section.tables
    assert table.rows[0][:3] == ("Foveate + RecCNN fast", "0.125", "+0.485")
    assert table.rows[0][-3:] == ("-0.030", "50%", "-0.500")
    bars = {bar.what: bar for bar in section.bars}
    assert bars["gain in PSNR, 0.25 bpp, Foveate + RecCNN fast"].limit == pytest.approx(0.35)
    worst = bars["worst change of PSNR on any photo at any rate, Foveate + RecCNN fast"]
    assert worst.value == pytest.approx(-0.03)
    assert not worst.met


def test_favored_files_take_the_place_of_the_others() -> None:
    photos = [
        dataclasses.replace(found, favored={name: _curve(0.5) for name in found.curves if "Fov" in name})
        for found in _with_network(1.0, 0.0)
    ]
    instead = fidelity.favored_instead(photos)
    assert set(instead[0].curves) == set(photos[0].curves)
    assert instead[0].curves["OpenJPEG"] == photos[0].curves["OpenJPEG"]
    assert fidelity.mean_at(instead, "Foveate", 0.5, "psnr_s") == pytest.approx(12.0)


def test_a_rate_that_one_photo_does_not_reach_has_no_mean_but_a_best_file_counts_beyond() -> None:
    near, far = Measured(PIXELS, {"AVIF": _curve()}), Measured(PIXELS // 8, {"AVIF": _curve()})
    assert not math.isnan(fidelity.mean_at([near], "AVIF", 0.5, "psnr"))
    assert math.isnan(fidelity.mean_at([near, far], "AVIF", 0.5, "psnr"))
    larger = Measured(8 * PIXELS, {"AVIF": _curve()})
    assert fidelity.mean_at([larger], "AVIF", 2.0, "psnr") == pytest.approx(12 + 10 * math.log10(2))


def test_speeds_are_of_the_megapixels_and_shares_of_the_peak() -> None:
    decodes = {"0.5": 0.25, "1": 0.5, "2": 1.0}
    found = [
        Served(1, 2_000_000, decodes, {"fast": 2.5}, 4e11),
        Served(2, 2_000_000, {rate: seconds / 2 for rate, seconds in decodes.items()}, {"fast": 2.5}, 8e11),
    ]
    section = serving.serving_section(found)
    macs = serving.multiply_accumulates(reccnn.build("fast"))
    assert 16e3 < macs <= 60e3
    rows = {row[0]: row[1:] for row in section.tables[0].rows}
    assert rows["1 core: OpenJPEG's decode, 2 bpp"][0] == "2.00"
    assert rows["1 core: RecCNN fast"] == (
        "0.80",
        *("10.0", "5.0", "2.5"),
        f"{macs / 1e3:.1f}",
        f"{macs * 0.8 / 1e3:.1f}",
        f"{macs * 8e5 / 4e11:.0%}",
    )
    assert [bar.met for bar in section.bars] == [True, False]


def test_restoring_is_judged_in_the_precision_that_restore_chooses() -> None:
    decodes = {"0.5": 0.25, "1": 0.5, "2": 1.0}
    found = [Served(1, 2_000_000, decodes, {"fast": 5.0, "fast, bfloat16": 2.0}, 4e11)]
    section = serving.serving_section(found)
    assert [(bar.what, bar.value) for bar in section.bars] == [
        ("RecCNN fast, bfloat16, 1 core, files of 1 bpp", 4.0)
    ]
    shares = {row[0]: row[-1] for row in section.tables[0].rows}
    assert shares["1 core: RecCNN fast"] != "–"
    assert shares["1 core: RecCNN fast, bfloat16"] == "–"


def test_an_error_outside_the_mask_does_not_count_inside() -> None:
    photo = streams.texture(40, 60, 3)
    decoded = photo.copy()
    decoded[0, :] ^= 8
    figures = salient.judge(photo, photos.middle_quarter(40, 60), 12.0)(decoded)
    assert math.isinf(figures["inside"])
    assert figures["outside"] < figures["psnr"] < figures["weighted"] < math.inf


def test_files_have_the_boxes_that_are_counted_for_them() -> None:
    photo = streams.texture(200, 256, 3)
    mask = photos.middle_quarter(200, 256)
    data = ours.file_within(Encoder(photo, Emphasis(mask, 12.0)), 16_000, mask)
    parsed = jp2.parse(data)
    assert 15_900 < len(data) <= 16_000
    assert len(data) - len(parsed.codestream) > ours.overhead(3)
    assert parsed.record is not None
    assert parsed.record.saliency is not None


@pytest.mark.slow
def test_encoding_is_timed_by_target_stage_and_thread() -> None:
    photo = streams.texture(200, 256, 3)
    found = encoding.timed("photo", photo, rounds=1)
    assert set(found.by_target) == {
        "0.25 bpp",
        "0.5 bpp",
        "1 bpp",
        "2 bpp",
        encoding.SLOPE,
        encoding.LOSSLESS,
    }
    assert set(found.stages) == set(encoding.STAGES)
    assert 0.1 < found.memory < 2000
    losses = encoding.stopped("photo", photo)
    assert [loss.rate for loss in losses] == list(encoding.RATES)
    assert all(-0.5 < v < 0.05 for loss in losses for v in (loss.early, loss.too_low, loss.too_high))
    section = encoding.encoding_section([found], losses)
    assert len(section.tables[0].rows) == 6 and "early stop" in plain_text(section)


def test_graphics_are_flat_and_sharp() -> None:
    page, screen = graphics.scanned_page(300, 400), graphics.screenshot(700, 900, streams.texture(90, 90, 3))
    assert page.shape == (300, 400, 3) and screen.shape == (700, 900, 3)
    assert (page < 60).mean() > 0.01 and (page > 200).mean() > 0.7
    assert (np.abs(np.diff(screen.astype(int), axis=1)).max(2) == 0).mean() > 0.5


def test_lossless_pictures_are_of_every_kind_and_come_back() -> None:
    photo = streams.texture(51, 60, 3)
    made = lossless.pictures(photo)
    assert [p.shape for p in made.values()] == [
        (51, 60, 1), (51, 60, 2), (51, 60, 3), (51, 60, 4), (25, 30, 1), (25, 30, 3), (25, 30, 4),
    ]  # fmt: skip
    assert [str(p.dtype) for p in made.values()] == ["uint8"] * 4 + ["uint16"] * 3
    alpha = made["color and alpha, 8 bits"][:, :, 3]
    assert alpha[0, 0] == 0
    assert alpha[25, 30] == 255
    for kind, pixels in made.items():
        mine, theirs = lossless._sizes(kind, pixels)
        assert 0 < mine - theirs < 200


def test_sixteen_bit_pictures_use_more_than_eight() -> None:
    deep = photos.deepened(streams.texture(64, 64, 3))
    assert np.mean(deep % 257 != 0) > 0.9
    flat = photos.deepened(np.full((4, 4, 3), 90, np.uint8))
    assert np.all(flat == 90 * 257)


def test_a_photo_is_mirrored_or_cut_to_a_size() -> None:
    photo = streams.texture(30, 40, 3)
    large = photos.mirrored_to(photo, 50, 35)
    assert large.shape == (50, 35, 3)
    np.testing.assert_array_equal(large[:30], photo[:, :35])
    np.testing.assert_array_equal(large[30], photo[29, :35])


@pytest.mark.parametrize("peer", peers.PEERS)
def test_a_peers_files_get_larger_and_better_with_its_setting(peer: str) -> None:
    points = peers.curve(peer, streams.texture(48, 64, 3), np.ones((3, 4), np.float32))
    first, last = min(points, key=lambda p: p.size), max(points, key=lambda p: p.size)
    assert last.size > 2 * first.size
    assert last.figures["psnr"] > first.figures["psnr"] + 3


def test_a_bar_is_met_on_its_own_side_and_never_by_no_number() -> None:
    assert Bar("", -12.0, -12.0, "%", True).met
    assert not Bar("", -11.9, -12.0, "%", True).met
    assert Bar("", 2.6, 2.5, "dB", False).met
    assert not Bar("", math.nan, 2.5, "dB", False).met


def test_a_section_comes_back_from_json_and_prints_its_cells() -> None:
    table = Table("Sizes", ("codec", "bytes"), (("AVIF", "12"), ("Foveate", "9")))
    section = Section("x", "Title", "Text.", (table,), (Bar("size", 9, 10, "bytes", True),), {"a": [1]})
    assert section_from(json.loads(json.dumps(dataclasses.asdict(section)))) == section
    assert "| AVIF | 12 |\n| Foveate | 9 |" in markdown(section)
    assert "AVIF        12\nFoveate      9" in plain_text(section)
    assert "- met: size: 9.00 bytes (at most 10 bytes)" in markdown(section)
