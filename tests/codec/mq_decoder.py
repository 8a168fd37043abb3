"""The MQ decoder of ISO/IEC 15444-1 C.3, slow and simple, to compare the encoder with."""

from __future__ import annotations

from foveate.codec.tier1 import _STATES


class MqDecoder:
    """Decodes one codeword, extended with ones if it is truncated (D.4.1)."""

    def __init__(self, codeword: bytes, states: list[int], symbols: list[int]) -> None:
        """INITDEC (Figure C.10); `states` and `symbols` are those of the contexts, and change."""
        self.data, self.at = codeword, 0
        self.states, self.symbols = states, symbols
        self.c = self._byte(0) << 16
        self._byte_in()
        self.c <<= 7
        self.ct -= 7
        self.a = 0x8000

    def _byte(self, at: int) -> int:
        return self.data[at] if at < len(self.data) else 0xFF

    def _byte_in(self) -> None:
        """BYTEIN (Figure C.19)."""
        if self._byte(self.at) == 0xFF:
            if self._byte(self.at + 1) > 0x8F:
                self.c += 0xFF00
                self.ct = 8
            else:
                self.at += 1
                self.c += self._byte(self.at) << 9
                self.ct = 7
        else:
            self.at += 1
            self.c += self._byte(self.at) << 8
            self.ct = 8

    def decode(self, context: int) -> int:
        """DECODE (Figures C.15 to C.18): the next decision in a context."""
        probability, more, less, switch = _STATES[self.states[context]]
        symbol = self.symbols[context]
        self.a -= probability
        if self.c >> 16 < probability:
            rare = self.a >= probability
            self.a = probability
        else:
            self.c -= probability << 16
            if self.a & 0x8000:
                return symbol
            rare = self.a < probability
        self.states[context] = less if rare else more
        if rare and switch:
            self.symbols[context] = 1 - symbol
        while not self.a & 0x8000:
            if self.ct == 0:
                self._byte_in()
            self.a <<= 1
            self.c = self.c << 1 & 0xFFFFFFFF
            self.ct -= 1
        return 1 - symbol if rare else symbol
