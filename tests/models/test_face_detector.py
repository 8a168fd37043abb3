"""Tests the face network with random weights: its shapes, and the conversion of the original's arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from foveate.models import face_detector, faces
from foveate.models.array_files import read_arrays, write_arrays


def original(seed: int = 0) -> list[tuple[Any, Any]]:
    """Random convolutions in the original's order and layout."""
    generator = np.random.default_rng(seed)
    network = face_detector.build()
    found = []
    for name in face_detector._names():
        kernel, bias = network.get_layer(name).get_weights()
        found.append(
            (
                generator.normal(0, 0.1, np.transpose(kernel, (3, 0, 1, 2)).shape).astype(np.float32),
                generator.normal(0, 0.1, bias.shape).astype(np.float32),
            )
        )
    return found


def test_every_convolution_has_its_place() -> None:
    arrays = face_detector.convert(original())
    network = face_detector.load(arrays)
    assert {
        f"{layer.name}/{part}" for layer in network.layers if layer.weights for part in ("kernel", "bias")
    } == set(arrays)
    assert network.count_params() == sum(array.size for array in arrays.values())


def test_it_scores_a_place_for_every_four_pixels() -> None:
    found = face_detector.build()(np.zeros((2, 64, 96, 3), np.float32))
    assert found["scores"].shape == (2, 16, 24, 1) and found["boxes"].shape == (2, 16, 24, 16)


def test_another_number_of_convolutions_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        face_detector.convert(original()[:-1])


def test_its_cost_is_what_its_layers_add_up_to() -> None:
    from benchmarks.serving import multiply_accumulates

    expected = multiply_accumulates(face_detector.build()) * 192 * 192
    assert face_detector.multiply_accumulates(192, 192) == pytest.approx(expected, rel=0.01)


def test_weights_without_an_array_are_refused(tmp_path: Any) -> None:
    arrays = read_arrays(faces.WEIGHTS)
    arrays.pop("stem/kernel")
    write_arrays(tmp_path / "faces.npz", arrays)
    with pytest.raises(ValueError, match="stem/kernel"):
        faces.load(tmp_path / "faces.npz")
