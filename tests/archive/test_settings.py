"""Tests that digests differ exactly when archives would."""

from __future__ import annotations

import itertools

import pytest

from foveate.archive.roi_boxes import parse_box
from foveate.archive.roi_weights import RoiWeights
from foveate.archive.settings import CompressSettings, Target

BPP, PSNR, LOSSLESS = Target("bpp", 1.0), Target("psnr", 40.0), Target("lossless", 0.0)


def test_other_settings_have_other_digests() -> None:
    settings = [
        CompressSettings(),
        CompressSettings(Target("bpp", 2.0)),
        CompressSettings(Target("ratio", 1.0)),
        CompressSettings(LOSSLESS),
        CompressSettings(PSNR),
        CompressSettings(PSNR, roi_gain_db=6.0),
        CompressSettings(roi="none"),
        CompressSettings(roi="masks:m"),
        CompressSettings(roi="boxes:1,2,3,4"),
        CompressSettings(roi="boxes:1,2,3,4%"),
        CompressSettings(roi_gain_db=6.0),
        CompressSettings(roi_gain_db=0.0),
        CompressSettings(Target("bpp", 1.0), comcnn="on"),
        CompressSettings(Target("bpp", 1.0), comcnn="off"),
        CompressSettings(min_saving=0.1),
        CompressSettings(access=True),
        CompressSettings(tile_size=1024),
        CompressSettings(roi_weights=RoiWeights(faces=2)),
        CompressSettings(roi_weights=RoiWeights(writing=0)),
        CompressSettings(transcode=True),
    ]
    digests = [chosen.digest() for chosen in settings]
    assert len(set(digests)) == len(settings)
    assert all(len(digest) == 8 for digest in digests)


@pytest.mark.parametrize(
    "alike",
    [
        [CompressSettings(roi="none", roi_gain_db=gain) for gain in (0.0, 6.0, 12.0)],
        [CompressSettings(LOSSLESS, roi_gain_db=gain) for gain in (0.0, 12.0)],
        [CompressSettings(LOSSLESS, roi_weights=RoiWeights(faces=faces)) for faces in (1.0, 2.0)],
        [CompressSettings(roi="masks:m", roi_weights=RoiWeights(faces=faces)) for faces in (1.0, 2.0)],
        [CompressSettings(LOSSLESS, comcnn="auto"), CompressSettings(LOSSLESS, comcnn="off")],
        [CompressSettings(PSNR, comcnn="auto"), CompressSettings(PSNR, comcnn="off")],
        [CompressSettings(BPP, roi_gain_db=12), CompressSettings(Target("bpp", 1), roi_gain_db=12.0)],
        [CompressSettings(roi_gain_db=0.0), CompressSettings(roi_gain_db=-0.0)],
    ],
    ids=[
        "gain without saliency",
        "lossless gain",
        "lossless weights",
        "weights of masks",
        "lossless comcnn",
        "psnr comcnn",
        "numbers",
        "zero",
    ],
)
def test_what_has_no_say_makes_no_difference(alike: list[CompressSettings]) -> None:
    assert len({settings.digest() for settings in alike}) == 1


def test_every_mask_makes_a_digest_of_its_own() -> None:
    settings = CompressSettings(roi="masks:m")
    digests = [settings.digest(sha256) for sha256 in (b"", bytes(32), b"1" * 32)]
    assert all(first != second for first, second in itertools.combinations(digests, 2))


def test_the_folder_of_masks_is_known() -> None:
    assert CompressSettings(roi="masks:s3://b/m").mask_folder == "s3://b/m"
    assert CompressSettings().mask_folder is None and CompressSettings(roi="none").mask_folder is None


def test_the_boxes_are_known() -> None:
    settings = CompressSettings(roi="boxes:1,2,3,4;5%,6%,7%,8%")
    assert settings.boxes == (parse_box("1,2,3,4"), parse_box("5%,6%,7%,8%"))
    assert settings.mask_folder is None and CompressSettings().boxes == ()
