"""Tests when ComCNN is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from foveate.models.tiling import Network
from foveate.transforms import prefilter
from foveate.transforms.elements import CodedPhoto
from foveate.transforms.encode import encode_plain
from tests.photos import encoder, one, salient
from tests.streams import texture


def coded(bpp: float) -> CodedPhoto:
    result: CodedPhoto = one(encode_plain, salient(texture(120, 131, 3)), encoder("bpp", bpp))
    return result


def brighter(picture: Any, noise: Any) -> Any:
    return np.asarray(picture) + 1 / 255


NETWORK = Network(brighter, 8, "")


def test_photos_are_prefiltered_between_too_coarse_and_too_fine() -> None:
    helped = [prefilter.prefilter_where_it_helps(NETWORK, coded(bpp)).prefiltered for bpp in (0.3, 1, 8)]
    assert [filtered is not None for filtered in helped] == [False, True, False]
    assert prefilter.prefilter_always(NETWORK, coded(8)).prefiltered is not None


def test_giants_are_not_prefiltered_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = coded(1)
    monkeypatch.setattr(prefilter, "_MOST_BYTES", photo.salient.photo.pixels.nbytes - 1)
    assert prefilter.prefilter_where_it_helps(NETWORK, photo).prefiltered is None
    assert prefilter.prefilter_always(NETWORK, photo).prefiltered is not None
