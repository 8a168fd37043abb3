"""The settings of a compression run, and the digests by which an archive recognizes them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Literal

from foveate.archive.roi_boxes import RoiBox, parse_boxes
from foveate.archive.roi_weights import DEFAULT_ROI_WEIGHTS, RoiWeights
from foveate.codec.block_weights import Tune
from foveate.codec.encoder import Effort

TargetKind = Literal[
    "quality", "bpp", "ratio", "psnr", "roi-psnr", "ssim", "jpeg-quality", "slope", "lossless"
]
DEFAULT_QUALITY = 80.0  # of SSIMULACRA 2: hard to tell from the source side by side
Comcnn = Literal["auto", "on", "off"]

# Raised whenever the same settings would give other bytes: what was made before is then no longer up to date.
FORMAT_VERSION = 4


@dataclasses.dataclass(frozen=True)
class Target:
    """How small, or how good, an archive should be.

    `value` is a score of SSIMULACRA 2, bits per pixel of the whole file, source bytes over archive bytes, dB,
    dB weighted by saliency, SSIM, a JPEG quality from 1 to 100 whose file size is not to be exceeded, the
    weighted squared error that a byte must remove (`codec.goals.AtSlope`), or 0 for lossless.
    """

    kind: TargetKind
    value: float

    def __str__(self) -> str:
        return self.kind if self.kind == "lossless" else f"{self.kind}={self.value:g}"


@dataclasses.dataclass(frozen=True)
class CompressSettings:
    """Everything that determines an archive's bytes except the networks' weights.

    `roi` is "msroi", "none", "masks:FOLDER", or "boxes:" and what `emit_boxes` gives; `roi_weights` what the
    structures that the networks find are worth; `roi_gain_db` how many dB of squared error a salience of 1 is
    worth over one of 0; `tune` what else errors count for; `layers` how many quality layers a file has;
    `min_saving` the share of the source's bytes that must be saved for a photo not to be kept as it is;
    `key_id` names the key that all files are encrypted with, "" for none; `clean_jpeg` whether DnCNN takes
    the artifacts out of JPEG sources first; `effort` how much time an encode may take; `also` which sources
    are decoded on demand (`pictures.formats.ON_DEMAND`); `drop` what they may lose, though it keeps them
    otherwise (`pictures.formats.DROPPED`); `access` whether files are arranged for reading parts of them,
    `tile_size` the side of their tiles, 0 for the encoder's choice; `transcode` whether sources are JPEG 2000
    files whose codewords are cut.
    """

    target: Target = Target("quality", DEFAULT_QUALITY)
    roi: str = "msroi"
    roi_gain_db: float = 12.0
    comcnn: Comcnn = "auto"
    min_saving: float = 0.05
    tune: Tune = "visual"
    layers: int = 1
    key_id: str = ""
    clean_jpeg: bool = False
    effort: Effort = "normal"
    also: tuple[str, ...] = ()
    access: bool = False
    tile_size: int = 0
    roi_weights: RoiWeights = DEFAULT_ROI_WEIGHTS
    drop: tuple[str, ...] = ()
    transcode: bool = False

    @property
    def uses_comcnn(self) -> bool:
        """Whether ComCNN may be used: it trades bytes, so the target must be in bytes."""
        return self.comcnn != "off" and self.target.kind in ("bpp", "ratio", "jpeg-quality")

    @property
    def mask_folder(self) -> str | None:
        """The folder of masks, or None; only a file's record, and no table, knows its mask's content."""
        return self.roi.removeprefix("masks:") if self.roi.startswith("masks:") else None

    @property
    def boxes(self) -> tuple[RoiBox, ...]:
        """The boxes for all photos, or ()."""
        return parse_boxes(self.roi.removeprefix("boxes:")) if self.roi.startswith("boxes:") else ()

    def digest(self, mask_sha256: bytes = b"") -> bytes:
        """Eight bytes that differ for settings (or format versions) that would make different archives.

        With masks, `mask_sha256` makes them one photo's: they differ for another mask too. What has no say
        beside the other settings makes no difference.
        """
        orders = self.target.kind != "lossless" or self.layers > 1  # whether any weight has a say
        gain_db = float(self.roi_gain_db) or 0.0  # -0.0 is 0.0
        normal = dataclasses.replace(
            self,
            target=Target(self.target.kind, float(self.target.value)),
            roi_gain_db=gain_db if orders and self.roi != "none" else 0.0,
            comcnn=self.comcnn if self.uses_comcnn else "off",
            min_saving=float(self.min_saving),
            tune=self.tune if orders else "psnr",
            effort=self.effort if self.target.kind != "lossless" else "normal",
            also=tuple(sorted(self.also)),
            drop=tuple(sorted(self.drop)),
        )
        values = dataclasses.asdict(normal)
        if self.roi == "msroi" and orders:
            values["roi_weights"] = [float(value) for value in self.roi_weights.values]
        else:
            del values["roi_weights"]
        # Without these, digests are as they were before there were any.
        for later in ("key_id", "clean_jpeg", "effort", "also", "access", "tile_size", "drop", "transcode"):
            if values[later] in ("", False, "normal", (), 0):
                del values[later]
        text = json.dumps([FORMAT_VERSION, values], sort_keys=True)
        return hashlib.sha256(text.encode() + mask_sha256).digest()[:8]
