"""Tests that the decoder finds in codewords what the encoder knew."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.codec import allocation
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.packet_stream import PacketStream
from foveate.codec.transcoder import Transcoder
from tests import streams


@pytest.mark.parametrize("reversible", [True, False])
def test_lengths_and_gains_of_passes_are_those_of_the_encoder(reversible: bool) -> None:
    encoder = Encoder(streams.texture(200, 150, 3), coding=Coding(reversible=reversible))
    data = allocation.encode(encoder.whole())
    coder = Transcoder(PacketStream.parse(data))
    coder.whole()
    found, expected = coder.passes, encoder.coder.passes
    assert np.array_equal(found.number, PacketStream.parse(data).passes)
    within = np.arange(found.lengths.shape[1]) < found.number[:, None]
    ours, theirs = found.lengths, expected.lengths[:, : found.lengths.shape[1]]
    assert (ours == theirs)[within].mean() > 0.99
    assert (ours <= theirs + 2)[within].all()
    # Of the 9/7 the encoder knows what lies below a step, the decoder takes its middle.
    gains, true = found.gains, expected.gains[:, : found.gains.shape[1]]
    assert np.abs(gains - true)[within].max() <= (1e-6 if reversible else 0.02) * expected.energy.max()
    assert found.energy.sum() == pytest.approx(expected.energy.sum(), rel=1e-6 if reversible else 1e-3)


@pytest.mark.parametrize("name", ["offset", "long blocks", "all styles", "bypass in small blocks"])
def test_a_block_that_is_not_worth_more_stops_early_and_is_right_up_to_there(name: str) -> None:
    stream = PacketStream.parse(streams.foreign(streams.FOREIGN[name]))
    whole, some = Transcoder(stream), Transcoder(stream, threads=3)
    whole.whole()
    choice = some.at_slope(5000.0)
    number = some.passes.number
    assert 0 < number.sum() < 0.9 * whole.passes.number.sum()
    assert (choice.layers.passes[-1] <= number).all()
    within = np.arange(whole.passes.lengths.shape[1]) < number[:, None]
    assert np.array_equal(some.passes.lengths[within], whole.passes.lengths[within])
    gains, true = some.passes.gains[within].sum(), whole.passes.gains[within].sum()
    assert gains == pytest.approx(true, rel=0.1)
    left, true = some.passes.energy.sum() - gains, whole.passes.energy.sum() - true
    assert true / 3 < left < 3 * true
