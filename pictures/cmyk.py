"""Converts CMYK pictures to sRGB by their color profile, on request, since the inks are lost."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from foveate.pictures.picture import NotForJpeg2000, Pixels, reading, with_channels
from foveate.pictures.reasons import Reason

CONVERTED = "CMYK: converted to sRGB by the picture's profile, which is dropped"


def srgb_of_cmyk_jpeg(data: bytes, profile: bytes | None) -> Pixels:
    """(H, W, 3) uint8 of a JPEG in CMYK or YCCK; relative colorimetric, with the black points aligned.

    Raises:
      BadPicture: it cannot be decoded.
      NotForJpeg2000: nothing states the colors of its inks.
    """
    if profile is None or profile[16:20] != b"CMYK":
        raise NotForJpeg2000(Reason.COLOR, "a CMYK or YCCK JPEG without a color profile")
    with reading("JPEG"):
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as inks:
            converted = ImageCms.profileToProfile(
                inks,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        return with_channels(np.array(converted))
