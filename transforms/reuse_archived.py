"""Reuses the files that an interrupted run left in the archive without a row."""

from __future__ import annotations

import numpy as np

from foveate.archive.keys import from_store, stored_name
from foveate.archive.names import archive_url
from foveate.pictures.picture import full_range
from foveate.sandbox.client import check_integrity, decode_archive
from foveate.storage.files import read_if_there
from foveate.transforms.elements import CodedFile, SalientPhoto
from foveate.transforms.encode_options import EncodeOptions


def already_archived(salient: SalientPhoto, encoder: EncodeOptions) -> CodedFile | None:
    """The file that an interrupted run made from the same source with the same settings, or None."""
    url = stored_name(archive_url(encoder.archive, salient.photo.source), encoder.key)
    try:
        data = read_if_there(url, encoder.limits.file_bytes)
        if data is None:
            return None
        data = from_store(data, url, encoder.key)
        found = check_integrity(data, encoder.limits)
        record, wanted = found.record, encoder.record(salient, False)
        if record is None or not record.made_of(wanted.source_sha256):
            return None
        if not record.made_with(wanted.settings_digest, wanted.weights_digest):
            return None
        # Tags that somebody wrote into the file are no reason to make it again; damage is.
        if found.damage or found.cut_after is not None:
            return None
        back = decode_archive(data, encoder.limits)
    except ValueError:  # damaged or foreign: it is made again
        return None
    pixels = full_range(back.decoded.pixels, back.decoded.bit_depth)
    source = salient.photo.pixels
    if (pixels.shape, pixels.dtype) != (source.shape, source.dtype):
        return None
    if encoder.settings.target.kind == "lossless" and not np.array_equal(pixels, source):
        return None
    return CodedFile(data, pixels, back.noise, record.prefiltered, 0.0)
