"""Tests the weights of structures as people write them."""

from __future__ import annotations

import pytest

from foveate.archive.roi_weights import DEFAULT_ROI_WEIGHTS, RoiWeights, parse_roi_weights


def test_weights_are_read_as_they_are_written() -> None:
    weights = RoiWeights(objects=0, faces=2.5, writing=1)
    assert str(weights) == "objects=0,faces=2.5,writing=1"
    assert parse_roi_weights(str(weights)) == weights
    assert weights.values == (0, 2.5, 1)


def test_structures_that_are_not_named_keep_their_defaults() -> None:
    assert parse_roi_weights("writing=0") == RoiWeights(writing=0)
    assert RoiWeights() == DEFAULT_ROI_WEIGHTS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cats=1", "expected NAME=WEIGHT"),
        ("faces", "expected NAME=WEIGHT"),
        ("faces=1,faces=2", "at most once"),
        ("", "expected NAME=WEIGHT"),
        ("faces=much", "must be a number"),
        ("faces=-1", "from 0 to 10"),
        ("faces=nan", "from 0 to 10"),
        ("objects=0,faces=0,writing=0", "above 0"),
    ],
)
def test_an_invalid_weight_is_rejected_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_roi_weights(text)
