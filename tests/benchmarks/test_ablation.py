"""Tests the comparison of the ablation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.ablation import WAYS, ablated
from benchmarks.restored import RATES
from foveate.models.tiling import Network
from tests import streams


def network(change: float) -> Network:
    """Adds a value to every sample; three times as much in RecCNN's inputs if ComCNN was used."""

    def predict(picture: Any, noise: Any) -> Any:
        used = noise.shape[-1] == 5 and noise[0, 0, 0, 4] > 0
        return picture + change * (3 if used else 1)

    return Network(predict, 16, "")


@pytest.mark.slow
def test_networks_that_change_nothing_bring_nothing() -> None:
    figures = np.array(ablated(streams.texture(160, 168, 3), *(network(0),) * 3))
    assert figures.shape == (len(RATES), len(WAYS))
    # One encoder that goes from rate to rate may end a hair apart from one that begins anew.
    np.testing.assert_allclose(figures, figures[:, :1].repeat(len(WAYS), 1), atol=0.003)


@pytest.mark.parametrize(
    ("changes", "worse"),
    [((0.1, 0, 0), (1, 3)), ((0, 0.1, 0), (4,)), ((0, 0, 0.1), (2, 3, 4))],
)
def test_each_network_acts_on_its_own_ways(
    changes: tuple[float, float, float], worse: tuple[int, ...]
) -> None:
    finest = ablated(streams.texture(160, 168, 3), *map(network, changes))[-1]
    assert tuple(way for way, figure in enumerate(finest) if figure < finest[0] - 1) == worse
    if len(worse) == 3:  # only what was trained together is told that ComCNN was used
        assert finest[4] < finest[3] - 1
