"""Removes artifacts from JPEG sources before they are coded again (DnCNN)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from foveate.quality.psnr import psnr
from foveate.transforms.elements import Photo
from foveate.transforms.networks import NetworkStage, PhotoHandler

if TYPE_CHECKING:
    from foveate.models.tiling import Network


# Up to 75, and what tables are rounded by, DnCNN gains 0.9 dB and more in the mean and loses on one of the 47
# validation photos; at 85 it loses on nine.
_FINEST_QUALITY = 76


def clean_jpeg(network: Network, photo: Photo) -> Photo:
    """A JPEG's photo without its artifacts, and how far that is from the JPEG.

    Fine JPEGs, in which the network could not tell artifacts from detail, stay as they are, and all others.
    """
    from foveate.models import dncnn

    if photo.jpeg_quality is None or photo.jpeg_quality > _FINEST_QUALITY:
        return photo
    cleaned = dncnn.clean(network, photo.pixels)
    return dataclasses.replace(photo, pixels=cleaned, cleaned_psnr_db=psnr(photo.pixels, cleaned))


class CleanJpegs(NetworkStage):
    """`Photo` → `Photo`, cleaned where its source is a coarse JPEG."""

    def handler(self) -> PhotoHandler:
        """DnCNN."""
        from foveate.models import dncnn

        return PhotoHandler("DnCNN", dncnn.load, clean_jpeg)
