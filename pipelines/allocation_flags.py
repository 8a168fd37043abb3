"""The flags that say where the bits of a file go: --roi, --tune, --layers, --access, ..."""

from __future__ import annotations

import argparse

from foveate.archive.roi_boxes import emit_boxes
from foveate.pipelines import flag_types
from foveate.pipelines.shared_flags import add_roi_weights


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
        "with --tune visual, under 1%% with --tune psnr (default: %(default)s)",
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


def add_arrangement(group: argparse._ArgumentGroup) -> None:
    """Adds the flags that say how a file's packets are arranged."""
    group.add_argument(
        "--access",
        action="store_true",
        help="arrange files for image servers (IIIF) and viewers that read only parts of them: resolution by "
        "resolution, in small precincts, with TLM and PLT markers (docs/access.md). Costs 0.3%% more bytes; "
        "files with --layers can then no longer be cut after a layer",
    )


def roi_of(args: argparse.Namespace) -> str:
    """What matters according to the flags of `add_roi`, as in `CompressSettings.roi`."""
    return f"boxes:{emit_boxes(args.roi_box)}" if args.roi_box else args.roi or "msroi"
