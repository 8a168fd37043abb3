"""The autoencoder that benchmarks compare with: its bytes decode to what was encoded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import autoencoder
from benchmarks.autoencoder import Table
from tests import streams

LEAST = -40


def _table(seed: int) -> Table:
    probabilities = np.random.default_rng(seed).random(81) ** 8 + 1e-12
    return Table(LEAST, probabilities / probabilities.sum())


@given(
    st.integers(0, 5),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 5, 30, 60]),
)
@settings(max_examples=50, deadline=None)
def test_integers_survive_the_coder_but_for_those_beyond_their_table(
    height: int, width: int, seed: int, reach: int
) -> None:
    rng = np.random.default_rng(seed)
    integers = rng.integers(-reach, reach + 1, (height, width, 3)).astype(np.int32)
    tables = [_table(seed + channel) for channel in range(3)]
    data = autoencoder.code(integers, tables)
    found = autoencoder.decoded(data, integers.shape, tables)
    np.testing.assert_array_equal(found, np.clip(integers, LEAST, -LEAST))


def test_likely_integers_take_fewer_bytes() -> None:
    likely, unlikely = np.zeros((64, 64, 1), np.int32), np.full((64, 64, 1), 9, np.int32)
    table = [Table(-1, np.array([0.05, 0.9, *[0.005] * 10]))]
    assert len(autoencoder.code(likely, table)) < 64 * 64 * 0.16 / 8 + 8
    assert len(autoencoder.code(unlikely, table)) > 64 * 64 * 7 / 8


@pytest.mark.parametrize("size", [(1, 1), (16, 33), (50, 70)])
def test_photos_of_any_size_come_back_in_that_size(size: tuple[int, int]) -> None:
    network = autoencoder.load()
    photo = streams.texture(*size, 3)
    data = autoencoder.encode(network, photo, 2)
    assert autoencoder.decode(network, data).shape == photo.shape
    assert autoencoder.encode(network, photo, 2) == data


def test_a_higher_rate_takes_more_bytes_and_comes_nearer() -> None:
    network = autoencoder.load()
    photo = streams.texture(160, 200, 3)
    coded = [autoencoder.encode(network, photo, rate) for rate in range(autoencoder.RATES)]
    assert [len(data) for data in coded] == sorted(len(data) for data in coded)
    errors = [
        np.mean(np.square(photo - autoencoder.decode(network, data).astype(np.float32))) for data in coded
    ]
    assert errors == sorted(errors, reverse=True)


def test_tables_agree_with_the_bits_that_training_counts() -> None:
    prior = autoencoder.load().prior
    integers = np.random.default_rng(3).integers(-3, 4, (1, 2, 2, autoencoder.LATENTS))
    counted = float(prior.bits(integers.astype(np.float32), np.array([1]))[0])
    found = 0.0
    for channel, table in enumerate(autoencoder.tables(prior, 1)):
        rows = np.clip(integers[..., channel].ravel() - table.least, 0, len(table.probabilities) - 1)
        found -= np.log2(table.probabilities[rows]).sum()
    assert found == pytest.approx(counted, rel=0.01)
