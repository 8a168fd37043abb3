"""When ComCNN is called for."""

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


def test_coarsely_coded_photos_are_prepared_and_fine_ones_are_not() -> None:
    assert prefilter.prefilter_where_coarse(NETWORK, coded(0.3)).prefiltered is not None
    assert prefilter.prefilter_where_coarse(NETWORK, coded(6)).prefiltered is None
    assert prefilter.prefilter_always(NETWORK, coded(6)).prefiltered is not None


def test_giants_are_not_prepared_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = coded(0.3)
    monkeypatch.setattr(prefilter, "_MOST_BYTES", photo.salient.photo.pixels.nbytes - 1)
    assert prefilter.prefilter_where_coarse(NETWORK, photo).prefiltered is None
    assert prefilter.prefilter_always(NETWORK, photo).prefiltered is not None
