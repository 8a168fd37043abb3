"""Tests RecCNN in pipelines: the shipped network, as every pipeline and watch round requests it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from foveate.codec.metadata import PhotoMetadata
from foveate.models import reccnn, tiling
from foveate.quality import sample
from foveate.storage.source import SourceFile
from foveate.transforms.elements import CodedFile, CodedPhoto, Photo, SalientPhoto
from foveate.transforms.run_reccnn import RecCnn, RestoreCoded, restore_coded
from tests.streams import texture

IN_SAMPLE, OUTSIDE = "00" * 32, "ff" * 32


def test_pipelines_of_one_process_share_the_shipped_network(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[object] = []
    load = tiling.load

    def counted(*arguments: Any) -> tiling.Network:
        loads.append(arguments)
        return load(*arguments)

    monkeypatch.setattr(tiling, "load", counted)
    RestoreCoded(RecCnn("best", "float32")).handler().load_model()  # lets go whatever other tests loaded
    rounds = [RestoreCoded(RecCnn("fast", "float32")) for _ in range(2)]
    networks = [stage.handler().load_model().get() for stage in rounds]
    other = RestoreCoded(RecCnn("fast", "bfloat16")).handler().load_model().get()
    assert networks[0] is networks[1] is not other
    assert len(loads) == 2


def coded(height: int, width: int, sha256: str) -> CodedPhoto:
    """A photo and what it might decode to, with a noise map, but without a file."""
    pixels = texture(height, width, 3)
    source = SourceFile("/photos/a.png", "a.png", 10**6, 0.0)
    photo = Photo(source, pixels, PhotoMetadata(), "png", 8, sha256, (), 0.0)
    noise = np.full((-(-height // 8), -(-width // 8), 4), 4.0, np.float32)
    return CodedPhoto(SalientPhoto(photo, None, 0.0), CodedFile(b"", pixels // 16 * 16, noise, False, 0.0))


def test_of_a_large_photo_a_sample_is_restored_and_of_one_in_eight_all() -> None:
    network = reccnn.load()
    small, large = (coded(height, 1300, OUTSIDE) for height in (100, 1220))
    assert restore_coded(network, small).windows == ()
    element = restore_coded(network, large)
    whole = restore_coded(network, large, restore_all=True).restored
    assert element.restored is None and whole is not None
    for at, window in zip(sample.windows(whole), element.windows, strict=True):
        assert np.abs(window.astype(int) - whole[at]).max() <= 1
    photo = dataclasses.replace(large.salient.photo, source_sha256=IN_SAMPLE)
    chosen = dataclasses.replace(large, salient=dataclasses.replace(large.salient, photo=photo))
    restored = restore_coded(network, chosen).restored
    assert restored is not None and np.array_equal(restored, whole)
