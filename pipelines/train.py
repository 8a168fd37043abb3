"""Train the networks on folders of photos.

  msroi                 the saliency decoder; PHOTOS has images/ and masks/, with matching names
  restoration           ComCNN and RecCNN together through the wavelet stand-in, then RecCNN on real streams
  restoration-joint     the first step of restoration only
  restoration-codec     the second step only, starting from the RecCNN weights in --output; if ComCNN's are
                        there too, it prefilters a fifth of the photos
  comcnn-alone          ComCNN for files that will not be restored, as a baseline
  dncnn                 the network that cleans JPEGs before they are encoded

Run the same command again to resume an interrupted training.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import allocation, openjpeg
from foveate.codec.block_weights import Emphasis
from foveate.codec.coding import Coding, Pixels
from foveate.codec.encoder import Encoder
from foveate.models import comcnn, reccnn, tiling
from foveate.models.tiling import BadWeights, Network
from foveate.models.training.regions import CodedRegion, StoreMismatch
from foveate.pipelines import flag_types
from foveate.pipelines.logs import user_log

if TYPE_CHECKING:
    from foveate.models.training import restoration

WRONG_USAGE = 2
NETWORKS = ("msroi", "restoration", "restoration-joint", "restoration-codec", "comcnn-alone", "dncnn")
CODER = "foveate.codec.encoder"  # what `_code` codes with: regions of another coder are kept apart
_VALIDATION_RATES = (0.125, 0.25, 0.5, 1.0, 2.0)
_VALIDATION_SIDE = 384  # pixels
_RATES = (0.05, 3.0)  # bits per pixel of training photos, drawn evenly on a logarithmic scale
# Of training photos: weighted by saliency, tuned for the eye (the default), prefiltered by ComCNN.
_WEIGHTED_SHARE, _TUNED_SHARE, _PREFILTERED_SHARE = 0.5, 0.5, 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate train` takes to `parser`."""
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument(
        "--photos", type=Path, required=True, metavar="DIR", help="folder of training photos, with subfolders"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for weights and checkpoints"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="steps per stage (default: as for the shipped weights)"
    )
    parser.add_argument("--batch", type=int, help="patches per step (default: 16; dncnn: 32)")
    parser.add_argument(
        "--patch",
        type=int,
        help="side of a patch in pixels, a multiple of 32 (default: 96); dncnn: a multiple of 2 (default: "
        "50)",
    )
    parser.add_argument(
        "--size", choices=("fast", "best"), default="fast", help="restoration-codec: RecCNN's size"
    )
    parser.add_argument(
        "--loss",
        choices=("mse", "relative", "ms-ssim", "ssimulacra2"),
        default="mse",
        help="restoration-codec: the loss. mse: logarithm of the squared error (default); relative: squared "
        "error relative to that of the decoded region; ms-ssim: half mse and half 1 - MS-SSIM; ssimulacra2: "
        "relative and SSIMULACRA 2",
    )
    parser.add_argument(
        "--precision",
        choices=reccnn.PRECISIONS,
        default="float32",
        help="restoration-codec: number format of the features. bfloat16: several times as fast on "
        "processors with AVX-512 BF16 or AMX; auto: bfloat16 on such processors (default: %(default)s)",
    )
    parser.add_argument(
        "--rate", type=float, metavar="R", help="peak learning rate (default: as for the shipped weights)"
    )
    parser.add_argument(
        "--regions",
        type=flag_types.positive_count,
        metavar="N",
        help="restoration-codec: number of photo regions to encode and take patches from (default: 4000, "
        "which take 4 GB)",
    )
    parser.add_argument(
        "--region-store",
        type=Path,
        metavar="DIR",
        help="restoration-codec: where to keep those regions (default: in --output)",
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument(
        "--validation",
        type=Path,
        metavar="DIR",
        help="msroi: a folder to score at the end; restoration-codec: photos for choosing the best weights",
    )
    parser.add_argument(
        "--backbone", type=Path, metavar="FILE", help="msroi: the arrays of EfficientNet-Lite0 (.npz)"
    )
    parser.add_argument(
        "--fonts", type=Path, metavar="DIR", help="msroi: .ttf and .otf fonts for writing on photos"
    )
    parser.add_argument(
        "--cutouts", type=Path, metavar="DIR", help="msroi: transparent PNGs to paste into photos"
    )
    scoring = parser.add_mutually_exclusive_group()
    scoring.add_argument(
        "--folds", type=int, metavar="N", help="msroi: cross-validate in N folds instead (the papers use 10)"
    )
    scoring.add_argument(
        "--split",
        type=float,
        metavar="SHARE",
        help="msroi: train on this share of the photos and score the rest, for example 0.7",
    )


def run(args: argparse.Namespace) -> int:
    """Runs `foveate train`; returns the exit status."""
    logging.getLogger().setLevel(logging.INFO)
    multiple = 2 if args.network == "dncnn" else 32
    if args.patch is not None and (args.patch < multiple or args.patch % multiple):
        user_log.error(f"foveate train: --patch must be a multiple of {multiple}, not {args.patch}")
        return WRONG_USAGE
    if (args.folds is not None and args.folds < 2) or (args.split is not None and not 0 < args.split < 1):
        user_log.error("foveate train: --folds must be at least 2, and --split between 0 and 1")
        return WRONG_USAGE
    args.output.mkdir(parents=True, exist_ok=True)
    try:
        if args.network == "msroi":
            _train_msroi(args)
        elif args.network == "dncnn":
            _train_dncnn(args)
        else:
            _train_restoration(args)
    except (FileNotFoundError, BadWeights, StoreMismatch) as error:
        user_log.error(f"foveate train: {error}")
        return WRONG_USAGE
    return 0


def _train_msroi(args: argparse.Namespace) -> None:
    from foveate.models.training import msroi
    from foveate.models.training.compositions import read_material

    recipe = msroi.Recipe(
        backbone=args.backbone, material=read_material(args.fonts, args.cutouts), seed=args.seed
    )
    if args.steps:
        recipe = dataclasses.replace(recipe, steps=args.steps)
    images, masks, output = args.photos / "images", args.photos / "masks", args.output / "msroi.npz"
    if args.folds or args.split:
        scores = msroi.cross_validate(images, masks, output, recipe, _parts(args))
        print(*scores, msroi.mean_score(scores), sep="\n")
        return
    score = msroi.train(images, masks, output, recipe, args.validation)
    if score is not None:
        print(score)


def _parts(args: argparse.Namespace) -> Callable[[int], list[list[int]]]:
    """How --folds or --split divides a number of photos."""
    from foveate.models.training import msroi

    if args.folds:
        return functools.partial(msroi.folds, number=args.folds, seed=args.seed)
    return functools.partial(msroi.held_out, share=args.split, seed=args.seed)


def _train_restoration(args: argparse.Namespace) -> None:
    from foveate.models.training import restoration

    given = _given(args, "batch", "patch", "rate")
    if args.network == "comcnn-alone":
        restoration.train_comcnn_alone(
            args.photos, args.output, steps=args.steps or 2_000, seed=args.seed, **given
        )
        return
    if args.network != "restoration-codec":
        restoration.train_joint(args.photos, args.output, steps=args.steps or 12_000, seed=args.seed, **given)
    if args.network != "restoration-joint":
        restoration.train_on_codec(
            args.photos,
            args.output,
            _coding(args),
            steps=args.steps or 14_000,
            size=args.size,
            loss=args.loss,
            precision=args.precision,
            seed=args.seed + 1,
            validation=validation_regions(args.validation) if args.validation else None,
            **given,
        )


def _coding(args: argparse.Namespace) -> restoration.PatchSource:
    """The source of RecCNN's patches; if ComCNN's weights are in --output, it prefilters some of them."""
    from foveate.models.training import restoration

    weights = args.output / comcnn.WEIGHTS_FILE.name
    prefilter = comcnn.load(weights) if weights.exists() else None
    origin = f"{args.photos.resolve()}, {CODER}, ComCNN {prefilter.sha256 if prefilter else 'none'}"
    return restoration.PatchSource(
        functools.partial(code_region, prefilter=prefilter),
        origin,
        folder=args.region_store,
        **_given(args, "regions"),
    )


def _train_dncnn(args: argparse.Namespace) -> None:
    from foveate.models.training import dncnn

    given = _given(args, "batch", "patch", "rate")
    dncnn.train(args.photos, args.output, steps=args.steps or 3_000, seed=args.seed, **given)


def _given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The named arguments that were given."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def validation_regions(photos: Path) -> dict[float, list[CodedRegion]]:
    """The middle of every photo in a folder, encoded evenly at fixed rates; by bits per pixel."""
    from foveate.models.training.photos import load_photos

    middles = []
    for photo in load_photos(photos):
        side = min(_VALIDATION_SIDE, *(length // 32 * 32 for length in photo.shape[:2]))
        top, left = ((length - side) // 2 for length in photo.shape[:2])
        middles.append(np.ascontiguousarray(photo[top : top + side, left : left + side]))
    return {rate: [_plain_region(middle, rate) for middle in middles] for rate in _VALIDATION_RATES}


def _plain_region(pixels: NDArray[np.uint8], bits_per_pixel: float) -> CodedRegion:
    payload = int(bits_per_pixel * pixels.shape[0] * pixels.shape[1] / 8)
    decoded, cells = _code(pixels, Emphasis(), 64, payload)
    return CodedRegion(pixels, decoded, reccnn.with_prefiltered_flag(cells, False))


def code_region(
    region: NDArray[np.uint8], rng: np.random.Generator, prefilter: Network | None = None
) -> CodedRegion:
    """Encodes and decodes a region of a photo at a random rate and weighting, for RecCNN to learn from.

    Args:
      region: (n, n, 3) uint8.
      rng: makes all random choices.
      prefilter: ComCNN, which prefilters some of the regions by the plain file's noise map, as `compress`
        does.
    """
    size = region.shape[0]
    emphasis = Emphasis(tune="visual" if rng.random() < _TUNED_SHARE else "psnr")
    if rng.random() < _WEIGHTED_SHARE:
        saliency = np.clip(rng.normal(0.5, 0.6, (3, 3)), 0, 1).astype(np.float32)
        emphasis = dataclasses.replace(emphasis, saliency=saliency, gain_db=float(rng.uniform(3, 15)))
    block_size = int(rng.choice([32, 64]))
    rate = np.exp(rng.uniform(*np.log(_RATES)))
    code = functools.partial(
        _code, emphasis=emphasis, block_size=block_size, payload=int(rate * size * size / 8)
    )
    prefiltered = prefilter is not None and rng.random() < _PREFILTERED_SHARE
    decoded, cells = code(region)
    if prefilter is not None and prefiltered:
        decoded, cells = code(tiling.run(prefilter, region, cells))
    return CodedRegion(region, decoded, reccnn.with_prefiltered_flag(cells, prefiltered))


def _code(
    pixels: Pixels, emphasis: Emphasis, block_size: int, payload: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The decoded pixels and coding-noise map of a file of `payload` bytes besides its headers."""
    encoder = Encoder(pixels, emphasis, Coding(block_size=block_size))
    # A region has the headers of a whole photo, which would otherwise eat up low rates.
    choice = encoder.within(encoder.least_bytes + payload)
    decoded = openjpeg.decode(allocation.encode(choice)).pixels.astype(np.uint8)
    return decoded, choice.noise_map
