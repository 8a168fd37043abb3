"""Measures a photo's file and makes its row."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Iterator

import numpy as np

from foveate.archive.in_sample import is_in_sample
from foveate.archive.keys import stored_name, stored_overhead
from foveate.archive.losses import emit_losses
from foveate.archive.names import JP2_ENDING, archive_url
from foveate.archive.rows import MetricsRow, RunLabels, make_row
from foveate.archive.settings import Target
from foveate.codec import jp2
from foveate.codec.block_weights import Tune
from foveate.codec.walk import codestream_span
from foveate.pictures import exif
from foveate.quality import sample
from foveate.quality.measures import Measures, measure
from foveate.quality.psnr import alpha_error
from foveate.transforms.elements import (
    Archived,
    CodedFile,
    Photo,
    Pixels,
    RestoredPhoto,
    SalientPhoto,
)
from foveate.transforms.steps import PhotoStage

_NAMES = {"icc": "ICC profile", "exif": "EXIF", "dpi": "resolution"}  # as readers of sources have them


def measure_photo(element: RestoredPhoto, run: RunLabels, score_all: bool = False) -> Iterator[Archived]:
    """Measures a photo's file, as decoded and as restored, and makes its metrics row.

    If a photo measures better without RecCNN, its file says so, and it will be restored without it.
    SSIMULACRA 2 is measured if it is the target, and otherwise for one photo in eight (the same ones in every
    run) or for all. The gain from restoring is measured only on photos that were restored whole.
    """
    start = time.perf_counter()
    salient, file = element.coded.salient, element.coded.file
    photo = salient.photo
    in_sample = score_all or is_in_sample(photo.source_sha256)
    scored = in_sample or run.target.kind == "quality"
    plain = measure(photo.pixels, file.decoded, salient.saliency, scored=scored and file.score is None)
    if file.score is not None:
        plain = dataclasses.replace(plain, ssimulacra2=file.score)
    recovered = _recovered(salient, file, element.restored, plain, scored=in_sample)
    if _harms(element, plain, recovered, run.tune):
        if not element.coded.archived:  # what is there already stays as it is
            file = dataclasses.replace(file, jp2=jp2.marked_for_plain_decode(file.jp2))
        recovered = plain
    row = _row(salient, file, plain, recovered, run)
    row = dataclasses.replace(row, measure_seconds=element.reccnn_seconds + time.perf_counter() - start)
    yield Archived(photo.source, row.archive_url, file.jp2, row, write=not element.coded.archived)


def _harms(element: RestoredPhoto, plain: Measures, recovered: Measures | None, tune: Tune) -> bool:
    """Whether RecCNN makes a photo worse.

    By the SSIMULACRA 2 of a sample if it is tuned for people, otherwise by saliency-weighted PSNR.
    """
    salient, decoded = element.coded.salient, element.coded.file.decoded
    pixels = salient.photo.pixels
    if recovered is not None and tune != "visual":
        return recovered.psnr_s_db < plain.psnr_s_db
    if recovered is not None and sample.is_whole(pixels):
        score, plain_score = recovered.ssimulacra2, plain.ssimulacra2
        if score is not None and plain_score is not None:
            return score < plain_score
    windows = sample.windows(pixels)
    restored = element.windows
    if element.restored is not None:
        restored = tuple(element.restored[at] for at in windows)
    if not restored:
        return False
    plainly = [decoded[at] for at in windows]
    if tune == "visual":
        return sample.score(pixels, restored) < sample.score(pixels, plainly)
    with_, without = (sample.weighted_error(pixels, copy, salient.saliency) for copy in (restored, plainly))
    return with_ > without


def _recovered(
    salient: SalientPhoto, coded: CodedFile, restored: Pixels | None, plain: Measures, *, scored: bool
) -> Measures | None:
    """The measures after restoring: unchanged for lossless files, None without RecCNN or for a sample."""
    if restored is not None:
        return measure(salient.photo.pixels, restored, salient.saliency, scored=scored)
    return plain if coded.noise is None else None


def _row(
    salient: SalientPhoto, coded: CodedFile, plain: Measures, recovered: Measures | None, run: RunLabels
) -> MetricsRow:
    photo = salient.photo
    height, width, channels = photo.pixels.shape
    archive_bytes = len(coded.jp2) + stored_overhead(photo.source.relative_path + JP2_ENDING, run.key)
    lost = (_NAMES[field] for field in jp2.unkept_metadata(photo.metadata, channels))
    raw_bytes = height * width * channels * photo.pixels.dtype.itemsize
    saliency = salient.saliency
    return make_row(
        photo.source,
        run,
        "compressed",
        archive_url=stored_name(archive_url(run.archive, photo.source), run.key),
        source_format=photo.source_format,
        archive_bytes=archive_bytes,
        source_sha256=photo.source_sha256,
        width=width,
        height=height,
        channels=channels,
        bit_depth=photo.bit_depth,
        compression_ratio=photo.source.size_bytes / archive_bytes,
        raw_ratio=raw_bytes / archive_bytes,
        bits_per_pixel=8 * archive_bytes / (height * width),
        **dataclasses.asdict(plain),
        **{
            f"rec_{name}": None if recovered is None else value
            for name, value in dataclasses.asdict(recovered or plain).items()
        },
        saliency_mean=None if saliency is None else float(saliency.mean()),
        salient_share=None if saliency is None else float(np.mean(saliency > 0.5)),
        target_reached=_reached(run.target, photo, archive_bytes, plain),
        comcnn_used=coded.prefiltered,
        metadata_lost=emit_losses(
            (*photo.metadata_problems, *(f"{name}: a JP2 cannot hold it" for name in lost))
        ),
        read_seconds=photo.read_seconds,
        saliency_seconds=salient.saliency_seconds,
        encode_seconds=coded.encode_seconds,
        measure_seconds=0.0,
        codestream_sha256=hashlib.sha256(coded.jp2[slice(*codestream_span(coded.jp2))]).hexdigest(),
        camera=exif.camera(photo.metadata.exif) if photo.metadata.exif else None,
        taken=_taken(photo),
        cleaned_psnr_db=photo.cleaned_psnr_db,
        alpha_max_error=alpha_error(photo.pixels, coded.decoded),
        faces=None if salient.found is None else len(salient.found.found_faces),
        writing_share=None if salient.found is None else salient.found.writing_share,
    )


def _taken(photo: Photo) -> str | None:
    """When the photo was taken, in ISO 8601, according to the camera's clock."""
    time = exif.taken(photo.metadata.exif) if photo.metadata.exif else None
    return time.isoformat() if time else None


def _reached(target: Target, photo: Photo, archive_bytes: int, plain: Measures) -> float | None:
    """The value reached, in the target's own unit; None for a JPEG quality and "lossless"."""
    if target.kind == "bpp":
        height, width = photo.pixels.shape[:2]
        bits_per_pixel: float = 8 * archive_bytes / (height * width)
        return bits_per_pixel
    if target.kind == "ratio":
        return photo.source.size_bytes / archive_bytes
    measured = {
        "quality": plain.ssimulacra2,
        "psnr": plain.psnr_db,
        "roi-psnr": plain.psnr_s_db,
        "ssim": plain.ssim,
    }
    return measured.get(target.kind)


@dataclasses.dataclass
class MeasureFiles(PhotoStage):
    """`RestoredPhoto` → `Archived`: the file with its metrics row."""

    run: RunLabels
    score_all: bool = False  # whether SSIMULACRA 2 is measured for all photos
    step = "measure"

    def work(self) -> Callable[[RestoredPhoto], Iterator[Archived]]:
        """`measure_photo`."""
        return functools.partial(measure_photo, run=self.run, score_all=self.score_all)
