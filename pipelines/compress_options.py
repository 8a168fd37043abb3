"""The flags of `foveate compress`, and the options that they give.

Flags about sources are in `source_flags`, those of watch mode in `watching`, those of planning in
`running.plans`, and those that several commands share in `running.arguments` and `running.key`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from typing import get_args

from foveate.archive.keys import ArchiveKey
from foveate.archive.names import JPEG2000_EXTENSIONS
from foveate.archive.roi_boxes import emit_boxes
from foveate.archive.rows import RunLabels
from foveate.archive.settings import DEFAULT_QUALITY, Comcnn, CompressSettings, Target, TargetKind
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pipelines import flag_types, metrics_flag, source_flags, watching
from foveate.pipelines.running import plans, runner
from foveate.pipelines.running.arguments import (
    add_limits,
    add_reccnn,
    add_roi_weights,
    limits_of,
    output_folder,
)
from foveate.pipelines.running.key import add_key, key_of
from foveate.pipelines.weights_digest import weights_digest
from foveate.sandbox.client import Limits
from foveate.transforms.arrivals import Watched
from foveate.transforms.encode_options import EncodeOptions
from foveate.transforms.frames import DicomFrames
from foveate.transforms.run_reccnn import RecCnn

_VALUED_TARGETS: tuple[TargetKind, ...] = tuple(kind for kind in get_args(TargetKind) if kind != "lossless")


@dataclasses.dataclass(frozen=True)
class CompressOptions:
    """The options of a run; see `add_arguments`."""

    sources: tuple[str, ...]
    archive: str
    settings: CompressSettings
    reccnn: RecCnn | None  # None: not measured, not used
    force: bool
    limits: Limits
    dicom_frames: DicomFrames
    run_id: str
    plan: plans.How = "auto"
    key: ArchiveKey | None = None
    watch: watching.Watch | None = None
    sinks: tuple[metrics_flag.Sink, ...] = ()
    score_all: bool = False  # measure SSIMULACRA 2 for every photo
    restore_all: bool = False  # measure every photo as restored, too
    replace_edited: bool = False  # replace archived files whose tags were edited
    exclude: tuple[str, ...] = ()  # patterns of paths below the sources
    sidecars: bool = False  # also copy files of other kinds

    @property
    def trusts_tables(self) -> bool:
        """Whether photos that the tables call up to date are skipped: the tables know nothing of masks."""
        return not self.force and self.settings.mask_folder is None

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions of the files to process."""
        return JPEG2000_EXTENSIONS if self.settings.transcode else PICTURE_EXTENSIONS

    @functools.cached_property
    def labels(self) -> RunLabels:
        """The columns that all rows of the run share."""
        return RunLabels(
            archive=self.archive,
            target=self.settings.target,
            settings_digest=self.settings.digest().hex(),
            weights_digest=weights_digest(self.settings, self.reccnn).hex(),
            foveate_version=runner.version(),
            run_id=self.run_id,
            tune=self.settings.tune,
            key=self.key,
        )

    def encoder(self) -> EncodeOptions:
        """The parameters of the encoding stages."""
        weights = bytes.fromhex(self.labels.weights_digest)
        return EncodeOptions(self.settings, weights, self.archive, not self.force, self.key, self.limits)

    def watched(self) -> Watched:
        """Where to watch, and how to tell that a photo is done."""
        return Watched(
            sources=self.sources,
            extensions=self.extensions,
            archive=self.archive,
            dicom_frames=self.dicom_frames,
            settings_digest=self.labels.settings_digest,
            weights_digest=self.labels.weights_digest,
            rest_seconds=self.watch.seconds if self.watch else 0.0,
            trust_tables=self.settings.mask_folder is None,
            exclude=self.exclude,
            every_kind=self.sidecars,
        )


# ---------------------------------------------------------------- flags


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `foveate compress` to `parser`."""
    parser.add_argument(
        "sources", nargs="+", metavar="SRC", help="a photo, a folder, a glob, or a URL (gs://, s3://)"
    )
    parser.add_argument("--output", required=True, metavar="DEST", help="the archive: a folder or a URL")
    _add_targets(
        parser.add_argument_group(f"size or quality (one of these; default: --quality {DEFAULT_QUALITY:g})")
    )
    add_allocation(parser.add_argument_group("where the bits go"))
    _add_networks(parser.add_argument_group("networks"))
    source_flags.add_arguments(parser.add_argument_group("sources"))
    _add_processing(parser.add_argument_group("processing"))
    watching.add_arguments(parser)
    parser.epilog = (
        "Other flags are Beam's (--runner, --direct_num_workers, --temp_location, ...).\n"
        "Exit status: 0 all well, 1 the run failed, 2 wrong usage, 3 some photos failed (see "
        "DEST/_foveate/failures)."
    )


def _add_targets(group: argparse._ArgumentGroup) -> None:
    one = group.add_mutually_exclusive_group()
    one.add_argument(
        "--quality",
        type=flag_types.score,
        metavar="Q",
        help="SSIMULACRA 2 score to reach, so that all photos look equally good: 90 is visually lossless, 80 "
        "is hard to tell from the source side by side, 70 is high quality, 50 medium",
    )
    add_byte_targets(one)
    one.add_argument(
        "--psnr",
        type=flag_types.positive,
        metavar="DB",
        help="the smallest file with a PSNR of at least DB dB",
    )
    one.add_argument(
        "--roi-psnr",
        type=flag_types.positive,
        metavar="DB",
        help="like --psnr, with errors weighted by saliency",
    )
    one.add_argument(
        "--ssim",
        type=flag_types.similarity,
        metavar="S",
        help="the smallest file with a structural similarity of at least S",
    )
    one.add_argument(
        "--slope",
        type=flag_types.positive,
        metavar="E",
        help="keep every coding pass that removes at least E squared error per byte (samples from 0 to 255): "
        "similar quality for all photos, without a search",
    )
    one.add_argument(
        "--jpeg-quality",
        type=flag_types.quality,
        metavar="Q",
        help="no more bytes than a JPEG of quality Q",
    )
    one.add_argument(
        "--lossless", action="store_true", help="keep every pixel bit for bit (reversible 5/3 wavelet)"
    )


def add_byte_targets(one: argparse._MutuallyExclusiveGroup) -> None:
    """Adds the flags that limit the bytes of a file."""
    one.add_argument(
        "--bpp",
        type=flag_types.positive,
        metavar="B",
        help="at most B bits per pixel, counting every byte of the file",
    )
    one.add_argument(
        "--ratio", type=flag_types.positive, metavar="R", help="at most 1/R of the source file's bytes"
    )


def add_roi(group: argparse._ArgumentGroup) -> None:
    """Adds the flags that say what matters in a photo."""
    what = group.add_mutually_exclusive_group()
    what.add_argument(
        "--roi",
        type=flag_types.roi,
        metavar="WHAT",
        help="what matters. msroi: the objects, faces and writing that the networks find (default); none: "
        "treat the whole photo alike; masks:DIR: grayscale masks at DIR/<relative path>.png, white is "
        "important",
    )
    what.add_argument(
        "--roi-box",
        type=flag_types.box,
        action="append",
        metavar="X,Y,W,H",
        help="favor this box in every photo instead: left, top, width and height, each in pixels of the "
        "upright photo or in percent of its width or height (10%%,200,50%%,300). May be repeated. Boxes are "
        "clipped to the photo; a photo that no box touches is coded evenly",
    )
    add_roi_weights(group)
    group.add_argument(
        "--roi-gain",
        type=flag_types.decibels,
        default=12.0,
        metavar="DB",
        help="how much more errors count in the most salient places (default: %(default)g dB)",
    )
    group.add_argument(
        "--tune",
        choices=("visual", "psnr"),
        default="visual",
        help="visual: allow larger errors where people notice them less, in texture and fine color "
        "(default); psnr: minimize squared error, for measuring and editing",
    )
    group.add_argument(
        "--layers",
        type=flag_types.layers,
        default=1,
        metavar="N",
        help="number of quality layers, salient places first: viewers can show a file while it is still "
        "loading, and a file can be cut after any layer (default: %(default)s)",
    )


def add_allocation(group: argparse._ArgumentGroup) -> None:
    """Adds the flags that say where the bits of a file go."""
    add_roi(group)
    add_arrangement(group)
    group.add_argument(
        "--tile-size",
        type=flag_types.tile_size,
        default=0,
        metavar="N",
        help="split photos into tiles of N x N pixels (a multiple of 64 from 128 to 4096), for readers that "
        "can only decode whole tiles; tiles of 1024 cost about 1%% more bytes (default: one tile, or tiles "
        "of up to 4096 for photos above 33 megapixels)",
    )
    group.add_argument(
        "--effort",
        choices=("fast", "normal", "best"),
        default="normal",
        help="fast: with --quality, use the predicted settings without measuring and correcting them; best: "
        "encode with several quantization steps and keep the best; with --tune visual, also correct the "
        "weights after a first try. best takes about five times as long and saves about 3%% of the bytes "
        "(default: %(default)s)",
    )


def add_arrangement(group: argparse._ArgumentGroup) -> None:
    """Adds the flags that say how a file's packets are arranged."""
    group.add_argument(
        "--access",
        action="store_true",
        help="arrange files for image servers (IIIF) and viewers that read only parts of them: resolution by "
        "resolution, in small precincts, with TLM and PLT markers (docs/access.md). Costs 0.3%% more bytes; "
        "files with --layers can then no longer be cut after a layer",
    )


def _add_networks(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--comcnn",
        choices=("auto", "on", "off"),
        default="auto",
        help="the prefiltering network. auto: use it at the qualities where it helps, except on photos with "
        "more than 300 MB of samples (default); on: always use it",
    )
    add_reccnn(
        group,
        "measure what the reconstruction network will recover. fast (default); best: ten times as slow; off: "
        "do not measure, which saves time and implies --comcnn off",
    )
    group.add_argument(
        "--clean-jpeg",
        action="store_true",
        help="first remove the artifacts of coarse JPEG sources with a network. Figures are then measured "
        "against the cleaned photo, and a column of the table says how far that is from the source",
    )


def _add_processing(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--min-saving",
        type=flag_types.share,
        default=0.05,
        metavar="SHARE",
        help="keep a photo unchanged unless compressing it saves this share of its bytes "
        "(default: %(default)g)",
    )
    group.add_argument(
        "--measure",
        choices=("sample", "ssimulacra2", "all"),
        default="sample",
        help="which photos to measure in full. sample: one in eight (default); ssimulacra2: measure "
        "SSIMULACRA 2, a measure of what people see, for every photo (0.06 seconds per megapixel); all: also "
        "measure what restoring gains, even for photos above 1.5 megapixels (0.2 seconds per megapixel)",
    )
    plans.add_arguments(group)
    group.add_argument(
        "--replace-edited",
        action="store_true",
        help="when a photo is compressed again (--force, other settings), replace its archived file even if "
        "its tags have been edited since; without this flag, such a photo fails and its file stays",
    )
    add_limits(group)
    add_key(
        group,
        "encrypt every file of the archive (AES-256-GCM) with the key in this file, which `foveate keygen` "
        "creates; restore, verify, inspect and report need it too. File names and the tables in _foveate/ "
        "stay readable. Without the key, the photos cannot be recovered",
    )
    metrics_flag.add_arguments(group)


# ---------------------------------------------------------------- what was asked for


def parse_options(args: argparse.Namespace) -> CompressOptions:
    """The options that parsed arguments ask for.

    Raises:
      BadKey: the key file holds no key.
    """
    comcnn: Comcnn = "off" if args.reccnn == "off" and args.comcnn == "auto" else args.comcnn
    key = key_of(args)
    settings = CompressSettings(
        target=_target(args),
        roi=f"boxes:{emit_boxes(args.roi_box)}" if args.roi_box else args.roi or "msroi",
        roi_gain_db=args.roi_gain,
        roi_weights=args.roi_weights,
        comcnn=comcnn,
        min_saving=args.min_saving,
        tune=args.tune,
        layers=args.layers,
        key_id=key.key_id if key else "",
        clean_jpeg=args.clean_jpeg,
        effort=args.effort,
        also=args.also,
        drop=args.drop,
        access=args.access,
        tile_size=args.tile_size,
    )
    return CompressOptions(
        sources=tuple(args.sources),
        archive=output_folder(args.output),
        settings=settings,
        reccnn=None if args.reccnn == "off" else RecCnn(args.reccnn, args.precision),
        force=args.force,
        limits=limits_of(args),
        dicom_frames=args.dicom_frames,
        run_id=runner.new_run_id(),
        plan=args.plan,
        key=key,
        watch=watching.Watch.of(args),
        sinks=tuple(args.metrics or ()),
        score_all=args.measure in ("ssimulacra2", "all"),
        restore_all=args.measure == "all",
        replace_edited=args.replace_edited,
        exclude=tuple(args.exclude or ()),
        sidecars=args.sidecars == "copy",
    )


def _target(args: argparse.Namespace) -> Target:
    if args.lossless:
        return Target("lossless", 0.0)
    for kind in _VALUED_TARGETS:
        value = getattr(args, kind.replace("-", "_"))
        if value is not None:
            return Target(kind, float(value))
    return Target("quality", DEFAULT_QUALITY)
