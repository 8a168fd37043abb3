"""Digests the networks that made an archive's files: another network makes them out of date."""

from __future__ import annotations

import hashlib

from foveate.archive.settings import CompressSettings
from foveate.transforms.run_reccnn import RecCnn


def weights_digest(settings: CompressSettings, recovery: RecCnn | None) -> bytes:
    """Eight bytes for the weights of all networks that shape the archive's bytes; zeros if none does."""
    from foveate.models import comcnn, dncnn, reccnn, structures, tiling

    hashes = []
    if settings.clean_jpeg:
        hashes.append(tiling.weights_sha256(dncnn.WEIGHTS_FILE))
    if settings.roi == "msroi":
        hashes.append(structures.weights_sha256(settings.roi_weights.values))
    if settings.target.kind != "lossless":
        if settings.uses_comcnn:
            hashes.append(tiling.weights_sha256(comcnn.WEIGHTS_FILE))
        if recovery is not None:
            hashes.append(tiling.weights_sha256(reccnn.weights_file(recovery.size)))
    return hashlib.sha256("".join(hashes).encode()).digest()[:8] if hashes else bytes(8)
