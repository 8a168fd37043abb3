"""Tests that the better file is taken, as users would see it, and that its row has the figures."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import pytest

from foveate.archive.in_sample import is_in_sample
from foveate.archive.rows import KeptSource, RunLabels, row_of_kept
from foveate.archive.settings import Target
from foveate.codec import jp2
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import exif
from foveate.pictures.reasons import Reason
from foveate.quality.measures import measure
from foveate.quality.psnr import psnr_s
from foveate.quality.ssimulacra2 import ssimulacra2
from foveate.storage.source import SourceFile
from foveate.transforms.elements import Archived, CodedPhoto, RestoredPhoto, SalientPhoto
from foveate.transforms.encode import encode, encode_plain
from foveate.transforms.measure import measure_photo
from tests import picture_files
from tests.photos import corner, encoder, one, salient
from tests.streams import texture

LABELS = RunLabels("/archive", Target("bpp", 1.0), "5e77", "3e16", "1.0", "r1", tune="psnr")


@functools.cache
def photo(weighted: bool = True) -> SalientPhoto:
    return salient(texture(97, 131, 3), corner() if weighted else None, source_bytes=60_000)


def coded(kind: str = "bpp", value: float = 1.0, weighted: bool = True) -> CodedPhoto:
    result: CodedPhoto = one(encode_plain, photo(weighted), encoder(kind, value))
    return result


def measured(
    coded: CodedPhoto, restored: Any, *, labels: RunLabels = LABELS, score_all: bool = False
) -> Archived:
    element = RestoredPhoto(coded, restored, 0.25)
    assert element.source.url == "/in/trip/a.png"
    result: Archived = one(measure_photo, element, run=labels, score_all=score_all)
    return result


def nearer(coded: CodedPhoto) -> Any:
    """Half way from what was decoded to the source."""
    decoded = coded.file.decoded.astype(np.uint16)
    return ((decoded + coded.salient.photo.pixels) // 2).astype(np.uint8)


def is_plain(archived: Archived) -> bool:
    record = jp2.parse(archived.jp2).record
    assert record is not None
    return record.plain_decode


def test_a_row_has_the_figures_of_the_file_and_of_its_decode() -> None:
    element = coded()
    archived = measured(element, None)
    row, data = archived.row, element.file.jp2
    assert (archived.url, archived.jp2, archived.write) == ("/archive/trip/a.png.jp2", data, True)
    assert (row.outcome, row.width, row.height, row.channels, row.bit_depth) == ("compressed", 131, 97, 3, 8)
    assert (row.source_bytes, row.archive_bytes) == (60_000, len(data))
    assert row.compression_ratio == pytest.approx(60_000 / len(data))
    assert row.raw_ratio == pytest.approx(97 * 131 * 3 / len(data))
    assert row.bits_per_pixel == row.target_reached == pytest.approx(8 * len(data) / (97 * 131))
    pixels, decoded = photo().photo.pixels, element.file.decoded
    figures = measure(pixels, decoded, corner(), scored=is_in_sample(photo().photo.source_sha256))
    for name, value in dataclasses.asdict(figures).items():
        assert getattr(row, name) == value
        assert getattr(row, f"rec_{name}") is None  # RecCNN was not asked
    assert row.salient_share == pytest.approx(0.25)
    assert (row.target, row.settings_digest, row.run_id) == ("bpp=1", "5e77", "r1")
    assert row.measure_seconds is not None and row.measure_seconds > 0.25
    assert row.metadata_lost == ""


def test_ssimulacra2_is_measured_for_a_sample_of_the_photos_and_for_all_on_demand() -> None:
    element = coded()
    restored = nearer(element)
    source = element.salient.photo
    outside, inside = (
        dataclasses.replace(
            element,
            salient=dataclasses.replace(
                element.salient, photo=dataclasses.replace(source, source_sha256=f"{first:02x}" * 32)
            ),
        )
        for first in (32, 31)
    )
    row = measured(outside, restored).row
    assert (row.ssimulacra2, row.rec_ssimulacra2) == (None, None)
    for row in (measured(inside, restored).row, measured(outside, restored, score_all=True).row):
        assert row.ssimulacra2 == ssimulacra2(source.pixels, element.file.decoded)
        assert row.rec_ssimulacra2 == ssimulacra2(source.pixels, restored)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_score_that_the_encoder_measured_is_that_of_the_file(weighted: bool) -> None:
    element = coded("quality", 70.0, weighted)
    score = ssimulacra2(element.salient.photo.pixels, element.file.decoded)
    assert element.file.score == score
    labels = dataclasses.replace(LABELS, target=Target("quality", 70.0))
    row = measured(element, None, labels=labels).row
    assert row.ssimulacra2 == row.target_reached == score


def test_the_gain_of_restoring_is_in_the_row() -> None:
    element = coded()
    archived = measured(element, nearer(element))
    assert archived.row.rec_psnr_db is not None and archived.row.psnr_db is not None
    assert archived.row.rec_psnr_db > archived.row.psnr_db + 4
    assert not is_plain(archived)


def test_a_photo_that_restoring_harms_is_marked_to_be_restored_without() -> None:
    element = coded()
    worse = np.roll(element.file.decoded, 3, 0)
    archived = measured(element, worse)
    assert archived.row.rec_psnr_db == archived.row.psnr_db
    assert is_plain(archived)
    assert len(archived.jp2) == len(element.file.jp2)


@pytest.mark.parametrize("tune", ["visual", "psnr"])
def test_the_mark_goes_by_what_the_file_was_tuned_for(tune: Any) -> None:
    element = coded()
    pixels = element.salient.photo.pixels
    labels = dataclasses.replace(LABELS, tune=tune)
    fuzzy = ((pixels.astype(np.uint16) + np.roll(pixels, 1, 1)) // 2).astype(np.uint8)
    archived = measured(element, fuzzy, labels=labels)
    decoded = element.file.decoded
    worse = {
        "visual": ssimulacra2(pixels, fuzzy) < ssimulacra2(pixels, decoded),
        "psnr": psnr_s(pixels, fuzzy, corner()) < psnr_s(pixels, decoded, corner()),
    }
    assert is_plain(archived) == worse[tune]


@pytest.mark.parametrize("tune", ["visual", "psnr"])
def test_a_photo_of_which_a_sample_was_restored_has_no_figures_but_may_be_marked(tune: Any) -> None:
    element = coded()
    labels = dataclasses.replace(LABELS, tune=tune)
    for restored, harms in ((nearer(element), False), (np.roll(element.file.decoded, 3, 0), True)):
        shown = RestoredPhoto(element, None, 0.25, (restored,))
        archived: Archived = one(measure_photo, shown, run=labels)
        assert is_plain(archived) == harms
        assert archived.row.rec_psnr_db == (archived.row.psnr_db if harms else None)


def test_the_row_says_whether_comcnn_prefiltered_the_photo() -> None:
    plain = coded()
    file = encode(plain.salient, plain.salient.photo.pixels, encoder("bpp", 1), prefiltered=True)
    assert measured(plain, None).row.comcnn_used is False
    assert measured(dataclasses.replace(plain, file=file), None).row.comcnn_used is True


def test_a_file_that_is_there_already_is_not_written_again() -> None:
    assert not measured(dataclasses.replace(coded(), archived=True), None).write


def test_a_lossless_file_has_infinite_psnr_and_no_target_to_reach() -> None:
    labels = dataclasses.replace(LABELS, target=Target("lossless", 0))
    row = measured(coded("lossless", 0), None, labels=labels).row
    assert row.psnr_db == row.rec_psnr_db == math.inf and row.mse == 0
    assert (row.target, row.target_reached) == ("lossless", None)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Target("ratio", 4), "compression_ratio"),
        (Target("psnr", 30), "psnr_db"),
        (Target("jpeg-quality", 5), ""),
    ],
    ids=str,
)
def test_the_target_is_answered_in_its_own_unit(target: Target, name: str) -> None:
    row = measured(coded(), None, labels=dataclasses.replace(LABELS, target=target)).row
    assert row.target_reached == (getattr(row, name) if name else None)


def test_without_saliency_its_columns_are_empty_and_the_weighted_figures_plain() -> None:
    row = measured(coded(weighted=False), None).row
    assert (row.saliency_mean, row.salient_share) == (None, None)
    assert row.psnr_s_db == row.psnr_db


def test_metadata_that_were_lost_are_named() -> None:
    element = coded()
    metadata = dataclasses.replace(element.salient.photo.metadata, exif=b"no tiff")
    changed = dataclasses.replace(
        element.salient.photo, metadata=metadata, metadata_problems=("XMP is cut off",)
    )
    element = dataclasses.replace(element, salient=dataclasses.replace(element.salient, photo=changed))
    assert measured(element, None).row.metadata_lost == "XMP is cut off; EXIF: a JP2 cannot hold it"


def test_the_row_of_a_kept_source_says_why_and_counts_its_bytes() -> None:
    kept = KeptSource(
        SourceFile("/in/a.gif", "a.gif", 77, 1.5), "gif", "ab" * 32, Reason.ANIMATED, "an animation"
    )
    row = row_of_kept(kept, LABELS)
    assert (row.outcome, row.reason, row.archive_url) == ("kept", "an animation", "/archive/a.gif")
    assert (row.source_bytes, row.archive_bytes, row.compression_ratio) == (77, 77, 1.0)
    assert (row.psnr_db, row.width) == (None, None)


def test_a_row_names_camera_and_time_as_exif_does() -> None:
    block = exif.with_values(picture_files.exif_block(), {exif.MODEL: exif.Value(exif.ASCII, 6, b"X100V\0")})
    bare = salient(texture(97, 131, 3), source_bytes=60_000)
    told = dataclasses.replace(
        bare, photo=dataclasses.replace(bare.photo, metadata=PhotoMetadata(exif=block))
    )
    rows = [measured(one(encode_plain, each, encoder()), None).row for each in (told, bare)]
    assert [(row.camera, row.taken) for row in rows] == [("X100V", "2024-05-06T07:08:09"), (None, None)]
