"""How well MS-ROI finds what matters: the shipped weights against what needs no decoder, on photos with
masks.

    python -m benchmarks.saliency FOLDER [--weights FILE]

FOLDER holds images/ and masks/ of the same stems. Prints mean absolute error, best F-measure (beta² = 0.3)
and seconds a photo, for a centre prior, the plain class-activation map and the network.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import msroi
from models.training.msroi import Score, read_pairs, score_maps

PRIOR_WIDTH = 0.25  # standard deviation of the centre prior, in sides of the photo

Photos = Sequence[NDArray[np.uint8]]
Maps = list[NDArray[np.float32]]


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line for each way of making maps."""
    parser = argparse.ArgumentParser(description="Score MS-ROI against baselines on photos with masks.")
    parser.add_argument("folder", type=Path, help="holds images/ and masks/ of the same stems")
    parser.add_argument("--weights", type=Path, default=msroi.WEIGHTS)
    arguments = parser.parse_args(argv)
    print(f"{'maps':<24} {'MAE':>7} {'max F':>7} {'s/photo':>8}")
    for name, score, seconds in compare(arguments.folder, arguments.weights):
        print(f"{name:<24} {score.mean_absolute_error:7.4f} {score.max_f:7.4f} {seconds:8.4f}")


def compare(folder: Path, weights: Path) -> list[tuple[str, Score, float]]:
    """Name, score and seconds a photo of each way of making maps."""
    pairs = read_pairs(folder / "images", folder / "masks")
    photos, masks = [photo for photo, _ in pairs], [mask for _, mask in pairs]
    model = msroi.load(weights)
    msroi.saliency(model, photos[0])  # the first call traces the network
    ways: dict[str, Callable[[Photos], Maps]] = {
        "centre prior": lambda some: [centre_prior(*photo.shape[:2]) for photo in some],
        "class-activation map": lambda some: msroi.class_activation_maps(model, some),
        "MS-ROI": lambda some: msroi.saliency_maps(model, some),
    }
    results = []
    for name, way in ways.items():
        start = time.perf_counter()
        maps = way(photos)
        seconds = (time.perf_counter() - start) / len(photos)
        results.append((name, score_maps(maps, masks), seconds))
    return results


def centre_prior(height: int, width: int) -> NDArray[np.float32]:
    """A Gaussian about the middle of the photo, (height, width) float32 with its peak near one."""
    rows, columns = (((np.arange(side) + 0.5) / side - 0.5) / PRIOR_WIDTH for side in (height, width))
    return np.exp(-0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2)).astype(np.float32)


if __name__ == "__main__":
    main()
