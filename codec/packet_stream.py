"""A codestream parsed down to the codewords in its packets."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from foveate.codec import codestream, layout, packets
from foveate.codec.codestream import Codestream
from foveate.codec.layout import Layout
from foveate.codec.packets import Codewords, Layers


@dataclasses.dataclass(frozen=True, eq=False)
class PacketStream:
    """A codestream, the geometry of its code-blocks, and what its packets contain of each.

    header_bytes: of packet headers, by layer.
    """

    stream: Codestream
    layout: Layout
    codewords: Codewords
    layers: Layers
    header_bytes: NDArray[np.int64]

    @classmethod
    def parse(cls, data: bytes) -> PacketStream:
        """Parses a codestream; raises like `codestream.parse`, `lay_out` and `packets.parse`."""
        stream = codestream.parse(data)
        geometry = layout.lay_out(stream)
        return cls(stream, geometry, *packets.parse(stream, geometry))

    def upto(self, layers: int) -> PacketStream:
        """The same with only the first layers."""
        return dataclasses.replace(
            self, layers=self.layers.upto(layers), header_bytes=self.header_bytes[:layers]
        )

    @property
    def passes(self) -> NDArray[np.uint8]:
        """Coding passes of each block in all layers: (blocks,)."""
        passes: NDArray[np.uint8] = self.layers.passes[-1]
        return passes

    @property
    def sizes(self) -> NDArray[np.int32]:
        """Bytes of each block in all layers: (blocks,)."""
        sizes: NDArray[np.int32] = self.layers.sizes[-1]
        return sizes
