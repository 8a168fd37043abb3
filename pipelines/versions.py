"""Encodes one photo at several targets, and with other codecs at the same size, for `compare`."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable
from typing import Any

from apache_beam.pvalue import TaggedOutput

from foveate.archive.rows import KeptSource
from foveate.archive.settings import CompressSettings, Target
from foveate.codec.errors import BudgetTooSmall
from foveate.pictures.peers import PEERS, PeerFiles
from foveate.pipelines.logs import printable
from foveate.reports.viewer.versions import (
    PhotoInVersions,
    Version,
    peer_colors,
    version_of_ours,
    version_of_peer,
)
from foveate.sandbox.client import Limits
from foveate.storage.errors import BadInput
from foveate.storage.source import SourceFile
from foveate.transforms.elements import Photo, SalientPhoto
from foveate.transforms.encode import encode
from foveate.transforms.encode_options import EncodeOptions
from foveate.transforms.map_saliency import DrawSaliency, FindStructures
from foveate.transforms.read import read_photo

_CODEC_NAMES = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF", "jpegxl": "JPEG XL"}
_PIXELS_AT_ONCE = 60_000_000  # that encoders work on: with some 40 bytes of memory for each


@dataclasses.dataclass(frozen=True)
class Comparer:
    """Makes the versions of photos.

    settings: of compress, in all but the target.
    targets: one for each version.
    flags: of compress, that stand for the settings.
    beside: names of other codecs (`pictures.peers.PEERS`).
    limits: of one photo.
    """

    settings: CompressSettings
    targets: tuple[Target, ...]
    flags: str
    beside: tuple[str, ...]
    limits: Limits

    def compare(self, source: SourceFile) -> PhotoInVersions | KeptSource:
        """Reads a photo and makes its versions; a file that compress would keep has none.

        Raises:
          BadInput, BadPicture: as of `read_photo`, or no version can be made.
        """
        (found,) = read_photo(source, self.limits, self.settings.also)
        if isinstance(found, TaggedOutput):
            kept: KeptSource = found.value
            return kept
        photo: Photo = found
        salient = self._salient(photo)
        with concurrent.futures.ThreadPoolExecutor(_threads(photo)) as pool:
            ours = list(pool.map(lambda target: self._ours(salient, target), self.targets))
            made = [version for version in ours if isinstance(version, Version)]
            if not made:
                raise BadInput("; ".join(str(version) for version in ours))
            peers = list(pool.map(lambda codec: _peers(codec, photo, made), self.beside))
        notes = [version for version in ours if isinstance(version, str)]
        versions: list[Version] = []
        for at, version in enumerate(made):
            versions.append(version)
            for codec, of_codec in zip(self.beside, peers, strict=True):
                peer = of_codec[at]
                if peer is not None:
                    versions.append(peer)
                else:
                    notes.append(f"{_CODEC_NAMES[codec]} cannot be as small as {version.name}.")
        return PhotoInVersions(
            name=printable(source.relative_path),
            source_format=photo.source_format,
            source_bytes=source.size_bytes,
            pixels=photo.pixels,
            icc=photo.metadata.icc,
            saliency=salient.saliency,
            versions=tuple(versions),
            notes=tuple(notes),
        )

    def _salient(self, photo: Photo) -> SalientPhoto:
        if self.settings.roi == "msroi":
            handler = FindStructures(self.settings.roi_weights).handler()
            found: SalientPhoto = handler.work(handler.load_model().get(), photo)
            return found
        work: Callable[[Photo], Any] = DrawSaliency(self.settings, self.limits).work()
        (salient,) = work(photo)
        drawn: SalientPhoto = salient
        return drawn

    def _ours(self, salient: SalientPhoto, target: Target) -> Version | str:
        """The version of a target, made as compress makes it; or why there is none, in a sentence."""
        name = f"Quality {target.value:g}" if target.kind == "quality" else f"{target.value:g} bpp"
        settings = dataclasses.replace(self.settings, target=target)
        encoder = EncodeOptions(settings, bytes(8), archive="", resume=False, limits=self.limits)
        try:
            coded = encode(salient, salient.photo.pixels, encoder, prefiltered=False)
        except BudgetTooSmall as error:
            return f"{name} cannot be made: {error}."
        networks = "--comcnn off" if target.kind == "bpp" else ""
        flags = " ".join(filter(None, (f"--{target.kind} {target.value:g}", networks, self.flags)))
        saved = 1 - len(coded.jp2) / salient.source.size_bytes
        detail = "compress would keep the source" if saved < settings.min_saving else ""
        pixels = salient.photo.pixels
        return version_of_ours(name, detail, flags, pixels, coded.jp2, coded.decoded, coded.score)


def _peers(codec: str, photo: Photo, ours: list[Version]) -> list[Version | None]:
    """A codec's versions, each of no more bytes than one of ours."""
    colors = peer_colors(photo.pixels)
    files = tuple(PeerFiles(peer, colors) for peer in PEERS[codec])
    name = _CODEC_NAMES[codec]
    return [version_of_peer(name, files, version, photo.pixels, photo.metadata) for version in ours]


def _threads(photo: Photo) -> int:
    """As many encoders as there are cores for, and memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _PIXELS_AT_ONCE // photo.pixels[..., 0].size))
