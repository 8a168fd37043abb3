"""Makes many small photos of varied sizes and formats, some of them bad; reproducible by their seed."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from benchmarks import bombs, hostile_files

_SIDE = 600  # of the picture that all are drawn from
_LEAST, _MOST = 48, 160  # pixels a side
_FORMATS: dict[str, dict[str, object]] = {
    "jpg": {"format": "JPEG", "quality": 95},
    "png": {"format": "PNG", "compress_level": 1},
    "webp": {"format": "WEBP", "quality": 90, "method": 0},
    "tif": {"format": "TIFF"},
}
_BOMB_SIDE, _INFLATED, _SMALL = 1000, 1 << 26, 100_000
_OTHER_TYPES = (
    b"",
    b"no photo\n" * 40,
    b"\x7fELF\x02\x01\x01" + bytes(300),
    b"%PDF-1.7\n%\xe2\xe3\n",
    bytes(999),
)


@dataclasses.dataclass(frozen=True)
class SoakPhoto:
    """A file to be compressed.

    damage: how it is bad, "" for a good one.
    hopeless: whether it contains no whole picture and so must not be compressed.
    """

    name: str
    data: bytes = dataclasses.field(repr=False)
    damage: str = ""
    hopeless: bool = False


def soak_photos(count: int, bad_share: float, seed: int = 1) -> Iterator[SoakPhoto]:
    """Photos in folders of a hundred; bad ones in all ways in turn, spread at random."""
    generator = np.random.default_rng(seed)
    bad = set(generator.choice(count, round(count * bad_share), replace=False).tolist())
    picture, bombs, turn = _picture(generator), _bombs(), 0
    for number in range(count):
        ending = list(_FORMATS)[number % len(_FORMATS)]
        name = f"{number // 100:03}/{number:06}"
        good = SoakPhoto(f"{name}.{ending}", _photo(picture, generator, ending))
        if number not in bad:
            yield good
            continue
        yield _spoilt(good, name, turn, bombs)
        turn += 1


def _spoilt(good: SoakPhoto, name: str, turn: int, bombs: list[tuple[str, bytes]]) -> SoakPhoto:
    """A bad file instead of a photo, or made from it: its structure stays legible, its picture does not."""
    way, index = turn % 4, turn // 4
    if way == 0:
        cut = len(good.data) * (1 + index % 6) // 10
        return SoakPhoto(good.name, good.data[:cut], "cut", hopeless=True)
    if way == 1:
        data = _OTHER_TYPES[index % len(_OTHER_TYPES)]
        return SoakPhoto(good.name, data, "of another type", hopeless=True)
    if way == 2:
        bomb, data = bombs[index % len(bombs)]
        ending = bomb.rpartition(".")[2]
        return SoakPhoto(f"{name}.{ending}", data, f"bomb {bomb}", hopeless=bomb.startswith("header."))
    return SoakPhoto(good.name, hostile_files.flipped(good.data, 1, index), "flipped bits")


def _bombs() -> list[tuple[str, bytes]]:
    """Small files that expand hugely, through pixels or metadata."""
    found = bombs.bombs(_BOMB_SIDE, _INFLATED) | bombs.metadata_bombs(_INFLATED)
    wanted = tuple(f".{ending}" for ending in _FORMATS)
    return [(name, data) for name, data in found.items() if name.endswith(wanted) and len(data) < _SMALL]


def _picture(generator: np.random.Generator) -> Image.Image:
    """Coarse and fine structures, and noise: (600, 600, 3)."""
    layers = [
        np.asarray(
            Image.fromarray(generator.integers(0, 255, (side, side, 3), np.uint8)).resize(
                (_SIDE, _SIDE), Image.Resampling.BICUBIC
            ),
            np.float32,
        )
        for side in (6, 40, 150)
    ]
    mixed = 0.5 * layers[0] + 0.35 * layers[1] + 0.15 * layers[2]
    mixed += generator.normal(0, 3, (_SIDE, _SIDE, 1)).astype(np.float32)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def _photo(picture: Image.Image, generator: np.random.Generator, ending: str) -> bytes:
    """A part of a picture, of random size and place."""
    width, height = (int(side) for side in generator.integers(_LEAST, _MOST + 1, 2))
    left, top = (int(start) for start in generator.integers(0, _SIDE - _MOST, 2))
    part = picture.crop((left, top, left + width, top + height))
    if generator.random() < 0.1:
        part = part.convert("L")
    file = io.BytesIO()
    part.save(file, **_FORMATS[ending])  # type: ignore[arg-type]  # options of several types
    return file.getvalue()
