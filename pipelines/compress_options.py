"""The flags of `foveate compress`, and the options that they give.

Its groups of flags are in files of their own: `target_flags`, `allocation_flags`, `source_flags`,
`metrics_flag`, `key_flag`, `shared_flags`; those of watch mode are in `watching`, those of planning in
`running.plans`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from typing import Any

from foveate.archive.keys import ArchiveKey
from foveate.archive.names import JPEG2000_EXTENSIONS
from foveate.archive.rows import RunLabels
from foveate.archive.settings import DEFAULT_QUALITY, Comcnn, CompressSettings
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pipelines import flag_types, metrics_flag, source_flags, watching
from foveate.pipelines.allocation_flags import add_allocation, roi_of
from foveate.pipelines.key_flag import add_key, key_of
from foveate.pipelines.running import plans, runner
from foveate.pipelines.shared_flags import (
    add_limits,
    add_reccnn,
    limits_of,
    output_folder,
)
from foveate.pipelines.target_flags import add_targets, target_of
from foveate.pipelines.weights_digest import weights_digest
from foveate.sandbox.client import Limits
from foveate.transforms.arrivals import Watched
from foveate.transforms.encode_options import EncodeOptions
from foveate.transforms.frames import DicomFrames
from foveate.transforms.run_reccnn import RecCnn


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
    add_targets(
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
        "measure what the reconstruction network recovers. fast (default); best: takes ten times as long; "
        "off: do not measure, which saves time and implies --comcnn off",
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
    settings = settings_of(
        args,
        key,
        comcnn=comcnn,
        clean_jpeg=args.clean_jpeg,
        effort=args.effort,
        also=args.also,
        drop=args.drop,
        tile_size=args.tile_size,
    )
    return options_of(
        args,
        settings,
        key,
        dicom_frames=args.dicom_frames,
        score_all=args.measure in ("ssimulacra2", "all"),
        restore_all=args.measure == "all",
        replace_edited=args.replace_edited,
        exclude=tuple(args.exclude or ()),
        sidecars=args.sidecars == "copy",
    )


def settings_of(args: argparse.Namespace, key: ArchiveKey | None, **more: Any) -> CompressSettings:
    """The settings of the flags that `compress` and `transcode` share, and `more` of one of them."""
    return CompressSettings(
        target=target_of(args),
        roi=roi_of(args),
        roi_gain_db=args.roi_gain,
        roi_weights=args.roi_weights,
        min_saving=args.min_saving,
        tune=args.tune,
        layers=args.layers,
        key_id=key.key_id if key else "",
        access=args.access,
        **more,
    )


def options_of(
    args: argparse.Namespace, settings: CompressSettings, key: ArchiveKey | None, **more: Any
) -> CompressOptions:
    """The options of the flags that `compress` and `transcode` share, and `more` of one of them."""
    return CompressOptions(
        sources=tuple(args.sources),
        archive=output_folder(args.output),
        settings=settings,
        reccnn=None if args.reccnn == "off" else RecCnn(args.reccnn, args.precision),
        force=args.force,
        limits=limits_of(args),
        run_id=runner.new_run_id(),
        plan=args.plan,
        key=key,
        watch=watching.Watch.of(args),
        sinks=tuple(args.metrics or ()),
        **more,
    )
