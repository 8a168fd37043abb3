"""Valid sizes of square tiles, and the size that very large pictures need."""

from __future__ import annotations

_UNIT, _LEAST_TILE, _LARGEST_TILE = 64, 128, 4096  # pixels of a side
_MOST_IN_ONE_TILE = 2 * _LARGEST_TILE**2


def is_tile_size(side: int) -> bool:
    """Whether tiles may have this many pixels per side: 64 times 2 to 64, or 0 for the default."""
    return side == 0 or (side % _UNIT == 0 and _LEAST_TILE <= side <= _LARGEST_TILE)


def tile_side(height: int, width: int) -> int | None:
    """The side of square tiles for a photo; None for a single tile.

    The largest side that leaves no tile with less than half of it, else the one whose least tile is largest.
    """
    if height * width <= _MOST_IN_ONE_TILE:
        return None
    sides = range(_LARGEST_TILE, _LARGEST_TILE // 2, -_UNIT)

    def least(side: int) -> int:
        return min((length - 1) % side + 1 for length in (height, width) if length > side)

    return next((side for side in sides if 2 * least(side) >= side), max(sides, key=least))
