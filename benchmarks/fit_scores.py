"""Fits the score model to training photos: `python -m benchmarks.fit_scores PHOTOS`.

Each photo is truncated at slopes over the whole useful range, decoded and scored by SSIMULACRA 2. Ridge
regression of the logarithm of 100 - score on `score_model.FEATURES` gives codec/score_model.json, and four
fifths of the photos say how well the others are predicted. Nothing but training photos may be in the folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.photos import gray, photo_paths, read_photo
from foveate.codec import allocation, openjpeg, score_model
from foveate.codec.block_weights import Emphasis
from foveate.codec.encoder import Encoder
from foveate.codec.quality_target import prospect_of
from foveate.codec.score_model import FEATURES, distance_of
from foveate.quality.color import Pixels
from foveate.quality.ssimulacra2 import ssimulacra2

THRESHOLDS = (1.2, 1.8, 2.3, 2.7, 3.1, 3.5, 3.9)  # log10 of weighted slopes
_SCORES = (20.0, 96.0)  # what is fitted
_GRAY_SHARE = 6  # one in so many photos is also fitted in gray
_RIDGE = 0.3
_PARTS = 5

Rows = NDArray[np.float64]  # features, then log(100 - score)


def rows_of(pixels: Pixels) -> Rows:
    """One row for each slope whose score is in the range that is fitted."""
    encoder = Encoder(pixels, Emphasis(tune="visual"))
    prospect = prospect_of(encoder)
    rows = []
    for threshold in THRESHOLDS:
        decoded = openjpeg.decode(allocation.encode(encoder.at_slope(10.0**threshold))).pixels
        score = ssimulacra2(pixels, decoded)
        if _SCORES[0] <= score <= _SCORES[1]:
            rows.append([*prospect.features(threshold), distance_of(score)])
    return np.array(rows).reshape(-1, len(FEATURES) + 1)


def fitted(rows: Rows) -> NDArray[np.float64]:
    """The coefficients, by least squares weighted so that high and low scores get similar errors."""
    features, distances = rows[:, :-1], rows[:, -1]
    weights = np.exp(distances) / np.exp(distances).mean()
    mean, spread = features.mean(0), features.std(0)
    mean[0], spread[0] = 0.0, 1.0
    spread[spread == 0] = 1.0
    scaled = (features - mean) / spread
    ridge = np.diag([0.0] + [_RIDGE] * (len(FEATURES) - 1))
    weighted = scaled.T * weights
    found = np.linalg.solve(weighted @ scaled + ridge, weighted @ distances) / spread
    found[0] -= float(found[1:] @ mean[1:])
    return np.asarray(found, np.float64)


def errors_of(coefficients: NDArray[np.float64], rows: Rows) -> NDArray[np.float64]:
    """Predicted minus real scores, in points."""
    return np.asarray(np.exp(rows[:, -1]) - np.exp(rows[:, :-1] @ coefficients), np.float64)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, fits, prints how well others are predicted, and writes the model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit_scores", description=__doc__)
    parser.add_argument("photos", type=Path, help="a folder of training photos")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth photo")
    parser.add_argument("--output", type=Path, default=score_model.HERE / "score_model.json")
    args = parser.parse_args(argv)
    found = []
    for number, path in enumerate(photo_paths(args.photos)[:: args.every]):
        photo = read_photo(path)
        found.append(rows_of(photo))
        if number % _GRAY_SHARE == 0:
            found.append(rows_of(gray(photo)))
    parts = [np.concatenate(found[part::_PARTS]) for part in range(_PARTS)]
    errors = np.concatenate(
        [
            errors_of(fitted(np.concatenate(parts[:part] + parts[part + 1 :])), parts[part])
            for part in range(_PARTS)
        ]
    )
    coefficients = fitted(np.concatenate(found))
    report = {
        "photos": len(found),
        "files": len(errors),
        "points_rms": round(float(np.sqrt((errors**2).mean())), 2),
        "within_4_points": round(float((np.abs(errors) <= 4).mean()), 3),
    }
    print(json.dumps(report))
    model = {
        "what": "log(100 - SSIMULACRA 2) by codec/score_model.py, fitted by python -m benchmarks.fit_scores",
        "cross_validated": report,
        "coefficients": dict(zip(FEATURES, np.round(coefficients, 5).tolist(), strict=True)),
    }
    args.output.write_text(json.dumps(model, indent=1) + "\n")


if __name__ == "__main__":
    main()
