"""Makes JPEGs like those of cameras from photos: mosaic, noise, demosaicing, high quality, 4:2:2 or 4:2:0.

A published photo has been scaled, smoothed and coded coarsely; a camera's own file has not. What makes the
latter costly, noise spread by demosaicing, is added where it arises: in linear light, on the sensor.
"""

from __future__ import annotations

import dataclasses
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.photos import Photo

_FULL_WELL, _READ_NOISE = 25_000.0, 4.0  # electrons at ISO 100, of a common sensor
_MAKE, _MODEL, _ISO, _EXIF = 0x010F, 0x0110, 0x8827, 0x8769  # tags of EXIF 2.3
_SHARPENING = 0.4


@dataclasses.dataclass(frozen=True)
class Camera:
    """How a camera takes and writes photos.

    megapixels: of its files; 0 for as many as the photo has.
    iso: sensitivity: 100 is nearly noiseless, 1600 is for a dim room.
    quality, subsampling: of its JPEGs, in Pillow's terms.
    mirrored: whether photos are turned left to right, so that two cameras' files differ.
    """

    name: str
    megapixels: float
    iso: int
    quality: int
    subsampling: str
    mirrored: bool = False


CAMERAS = (
    Camera("day", 8.1, 100, 97, "4:2:2"),
    Camera("dim", 0.0, 1600, 92, "4:2:0", mirrored=True),
)
LEAST_MEGAPIXELS = 8.02  # so many have all files


def camera_file(photo: Image.Image, camera: Camera, seed: int) -> bytes:
    """The JPEG that a camera would write of a photo, with its EXIF.

    Args:
      photo: RGB, of sRGB samples.
      camera: that takes it.
      seed: of the noise.
    """
    megapixels = camera.megapixels or max(LEAST_MEGAPIXELS, photo.width * photo.height / 1e6)
    scale = math.sqrt(1e6 * megapixels / (photo.width * photo.height))
    sides = (2 * round(photo.width * scale / 2), 2 * round(photo.height * scale / 2))
    scaled = photo.resize(sides, Image.Resampling.LANCZOS)
    if camera.mirrored:
        scaled = scaled.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    taken = _taken(np.asarray(scaled), camera.iso, np.random.default_rng(seed))
    exif = Image.Exif()
    exif[_MAKE], exif[_MODEL] = "Foveate", f"made of a published photo: {camera.name}"
    exif.get_ifd(_EXIF)[_ISO] = camera.iso
    file = io.BytesIO()
    Image.fromarray(taken).save(
        file, "JPEG", quality=camera.quality, subsampling=camera.subsampling, exif=exif
    )
    return file.getvalue()


def _taken(photo: Photo, iso: int, random: np.random.Generator) -> Photo:
    """A photo through a Bayer sensor: (H, W, 3) uint8 with even sides."""
    mosaic = np.empty(photo.shape[:2], np.float32)
    light = _LIGHT[photo]
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = light[row::2, column::2, channel]
    electrons = _FULL_WELL * 100 / iso
    deviation = np.sqrt(mosaic / electrons + (_READ_NOISE / electrons) ** 2)
    mosaic = mosaic + deviation.astype(np.float32) * random.standard_normal(mosaic.shape, np.float32)
    coded = _coded(np.stack([_full(mosaic, channel) for channel in range(3)], axis=-1))
    soft = (coded + np.roll(coded, 1, 0) + np.roll(coded, 1, 1) + np.roll(coded, (1, 1), (0, 1))) / 4
    sharp = coded + _SHARPENING * (coded - soft)
    taken: Photo = np.rint(sharp.clip(0, 255)).astype(np.uint8)
    return taken


def _full(mosaic: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
    """One color at every place: the weighted mean of its samples in 3 x 3."""
    known = np.zeros_like(mosaic)
    for row, column in ((0, 0),) if channel == 0 else ((1, 1),) if channel == 2 else ((0, 1), (1, 0)):
        known[row::2, column::2] = 1
    return _spread(mosaic * known) / _spread(known)


def _spread(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    padded, half = np.pad(samples, 1, mode="reflect"), np.float32(0.5)
    across = padded[:, 1:-1] + half * (padded[:, :-2] + padded[:, 2:])
    spread: NDArray[np.float32] = across[1:-1] + half * (across[:-2] + across[2:])
    return spread


def _coded(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples from 0 to 255 on sRGB's curve (IEC 61966-2-1)."""
    light = light.clip(0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * curve).astype(np.float32)


def _of_samples() -> NDArray[np.float32]:
    coded = np.arange(256) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LIGHT = _of_samples()
