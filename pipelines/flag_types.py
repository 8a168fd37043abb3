"""Types of command-line flags: each parses a text or says what is wrong with it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from foveate.archive.roi_boxes import RoiBox, parse_box
from foveate.archive.roi_weights import RoiWeights, parse_roi_weights
from foveate.codec.file import MOST_LAYERS
from foveate.codec.regions import Region
from foveate.codec.tile_sizes import is_tile_size
from foveate.pictures.formats import DROPPED, ON_DEMAND
from foveate.pictures.peers import PEERS


def number(text: str) -> float:
    """Any number."""
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number, not {text}") from error


def positive(text: str) -> float:
    """A finite number above 0."""
    value = number(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return value


def score(text: str) -> float:
    """Above 0 and below 100."""
    value = number(text)
    if not 0 < value < 100:
        raise argparse.ArgumentTypeError(f"must be above 0 and below 100, not {text}")
    return value


def scores(text: str) -> tuple[float, ...]:
    """Scores separated by commas, ascending."""
    return tuple(sorted({score(one) for one in text.split(",")}))


def rates(text: str) -> tuple[float, ...]:
    """Numbers above 0 separated by commas, ascending."""
    return tuple(sorted({positive(one) for one in text.split(",")}))


def peers(text: str) -> tuple[str, ...]:
    """Names of other codecs separated by commas, in the order of `pictures.peers.PEERS`."""
    names = set(text.split(","))
    if unknown := names.difference(PEERS):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(PEERS)}, not {', '.join(sorted(unknown))}")
    return tuple(name for name in PEERS if name in names)


def decibels(text: str) -> float:
    """From 0 to 40 dB."""
    value = number(text)
    if not 0 <= value <= 40:
        raise argparse.ArgumentTypeError(f"must be from 0 to 40 dB, not {text}")
    return value


def share(text: str) -> float:
    """At least 0 and below 1."""
    value = number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, not {text}")
    return value


def similarity(text: str) -> float:
    """Between 0 and 1."""
    value = number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, not {text}")
    return value


def whole(text: str, most: int) -> int:
    """A whole number from 1 to `most`."""
    value = number(text)
    if not (1 <= value <= most and value.is_integer()):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {most}, not {text}")
    return int(value)


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, not {text}")
    return int(text)


def positive_count(text: str) -> int:
    """A whole number above 0."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text}")
    return int(text)


def layers(text: str) -> int:
    """A number of quality layers: at most as many as a tile can have tile-parts, less a reserve."""
    return whole(text, MOST_LAYERS)


def tile_size(text: str) -> int:
    """The side of square tiles in pixels, or 0."""
    value = number(text)
    if not (value and value.is_integer() and is_tile_size(int(value))):
        raise argparse.ArgumentTypeError(f"must be a multiple of 64 from 128 to 4096, not {text}")
    return int(value)


def quality(text: str) -> int:
    """From 1 to 100."""
    return whole(text, 100)


def roi(text: str) -> str:
    """`msroi`, `none` or `masks:FOLDER`."""
    if text not in ("msroi", "none") and not (text.startswith("masks:") and len(text) > 6):
        raise argparse.ArgumentTypeError(f"must be msroi, none or masks:FOLDER, not {text}")
    return text


def box(text: str) -> Any:
    """A box of `--roi-box`."""
    box: RoiBox
    try:
        box = parse_box(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return box


def roi_weights(text: str) -> RoiWeights:
    """Weights of structures."""
    try:
        return parse_roi_weights(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def region(text: str) -> Region:
    """A part of a picture: left, top, width and height in whole pixels."""
    fields = text.split(",")
    if len(fields) != 4 or not all(field.strip().isdecimal() and len(field) < 10 for field in fields):
        raise argparse.ArgumentTypeError(f"must be left,top,width,height in whole pixels, not {text}")
    found = Region(*map(int, fields))
    if not (found.width and found.height):
        raise argparse.ArgumentTypeError(f"must have a width and a height above 0, not {text}")
    return found


def on_demand(text: str) -> tuple[str, ...]:
    """Names of formats that are decoded only on demand, separated by commas; sorted."""
    return _names_of(text, ON_DEMAND)


def dropped(text: str) -> tuple[str, ...]:
    """Names of parts that pictures may lose, separated by commas; sorted."""
    return _names_of(text, DROPPED)


def _names_of(text: str, known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(sorted(set(text.split(","))))
    if unknown := set(names).difference(known):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(known)}, not {', '.join(sorted(unknown))}")
    return names
