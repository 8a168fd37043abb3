"""Tests that the decoder finds in codewords what the encoder knew when it wrote them."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.codec import allocation
from foveate.codec.block_coder import Coding
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
