"""The parameters that the encoding stages share."""

from __future__ import annotations

import dataclasses

from foveate.archive.keys import ArchiveKey, stored_overhead
from foveate.archive.names import JP2_ENDING
from foveate.archive.settings import CompressSettings
from foveate.codec.record import ArchiveRecord
from foveate.sandbox.client import Limits
from foveate.transforms.elements import Photo, SalientPhoto


@dataclasses.dataclass(frozen=True)
class EncodeOptions:
    """Everything the encoding steps need to know besides the photo."""

    settings: CompressSettings
    weights_digest: bytes
    archive: str
    resume: bool  # look for files that an interrupted run left without a row
    key: ArchiveKey | None = None  # of an archive whose files are encrypted
    limits: Limits = dataclasses.field(default_factory=Limits)  # of what lies in the archive already

    def record(self, salient: SalientPhoto, prefiltered: bool) -> ArchiveRecord:
        """Foveate's record of a photo."""
        found = salient.found
        return ArchiveRecord(
            source_sha256=bytes.fromhex(salient.photo.source_sha256),
            settings_digest=self.settings.digest(salient.mask_sha256),
            weights_digest=self.weights_digest,
            prefiltered=prefiltered,
            saliency=salient.saliency,
            faces=found is not None and bool(found.found_faces),
            writing=found is not None and found.writing_share > 0,
        )

    def stored_overhead(self, photo: Photo) -> int:
        """How many more bytes a photo's file has when stored."""
        return stored_overhead(photo.source.relative_path + JP2_ENDING, self.key)
