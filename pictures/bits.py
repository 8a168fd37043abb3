"""Reads bits of headers that are not aligned to bytes."""

from __future__ import annotations


class CannotBeRead(ValueError):  # noqa: N818
    """Coded data without the expected header, or with one that is truncated or of another kind."""


class Bits:
    """Reads bits, the highest of each byte first, and Exp-Golomb numbers (ITU-T H.265, 9.2).

    Raises CannotBeRead if none are left; `name` says what they belong to.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._left, self._name = 8 * len(data), name
        self._bits = int.from_bytes(data)

    def take(self, count: int = 1) -> int:
        """The next bits as a number."""
        if count > self._left:
            raise CannotBeRead(f"{self._name} is cut off")
        self._left -= count
        return self._bits >> self._left & (1 << count) - 1

    def number(self) -> int:
        """The next unsigned Exp-Golomb number; a signed one has as many bits."""
        zeros = 0
        while not self.take():
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def skip_numbers(self, count: int) -> None:
        """Passes over Exp-Golomb numbers."""
        for _ in range(count):
            self.number()
