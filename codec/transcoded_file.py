"""Makes JPEG 2000 files from JPEG 2000 files without re-encoding: the counterpart of `file`.

file ─▶ packets ─▶ Transcoder ─▶ choice that meets the goal ─▶ codestream ─▶ its own boxes around it
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.codec import allocation
from foveate.codec.allocation import Choice
from foveate.codec.coding import Pixels
from foveate.codec.envelope import Envelope
from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.file import EncodedFile, Recipe, chosen_within
from foveate.codec.goals import AtLeast, AtMost, AtSlope, Lossless
from foveate.codec.jp2 import parse
from foveate.codec.packet_stream import PacketStream
from foveate.codec.quality_search import QualityGoal
from foveate.codec.record import SALIENCY_BYTES, ArchiveRecord, saliency_bytes_within
from foveate.codec.transcoder import Transcoder


class Back(NamedTuple):
    """A decoded file: pixels like those of its source, and its noise map if it is lossy."""

    pixels: Pixels
    noise: NDArray[np.float32] | None


class Source(NamedTuple):
    """A file to transcode.

    data: its bytes.
    pixels: (H, W, C) what it decodes to.
    record: that the new file gets, None for none.
    decode: decodes a file as `pixels` were.
    """

    data: bytes
    pixels: Pixels
    record: ArchiveRecord | None
    decode: Callable[[bytes], Back]


def transcode_file(source: Source, recipe: Recipe) -> EncodedFile:
    """Truncates and reorders a file's code-blocks, and decodes the result as a check.

    Without loss it has every coding pass of the source: in the source's layers, or if the recipe asks for
    several, in those.

    Args:
      source: the file.
      recipe: the goal and what matters. Goals are bytes of the whole file, a slope, a quality of decoded
        pixels, or no loss; tiles cannot be changed.

    Raises:
      BudgetTooSmall: the bytes asked for do not even hold headers and boxes.
      BadCodestream: the file is damaged.
      UnsupportedCodestream: it is of a kind that is not read, or that can only be rearranged.
    """
    envelope, goal, parsed = Envelope.of(source.data), recipe.goal, parse(source.data)
    if parsed.has_palette and not isinstance(goal, Lossless):
        raise UnsupportedCodestream("a picture of palette colors, whose indices cannot be cut: only lossless")
    packets = PacketStream.parse(parsed.codestream)
    coder = Transcoder(packets, recipe.emphasis, source.pixels, access=recipe.access, threads=recipe.threads)

    def wrapped(choice: Choice, saliency_bytes: int = SALIENCY_BYTES) -> bytes:
        open_ended = len(choice.points) > 1 and not recipe.access
        return envelope.around(
            allocation.encode(choice), source.record, saliency_bytes, open_ended=open_ended
        )

    if isinstance(goal, AtMost):
        saliency_bytes = saliency_bytes_within(goal.bytes)
        overhead = envelope.overhead(source.record, saliency_bytes)
        choice = chosen_within(coder, goal.bytes, overhead, recipe.layers)
        return _decoded_back(wrapped(choice, saliency_bytes), source)
    if isinstance(goal, AtSlope):
        choice = coder.at_slope(goal.of_samples(coder.peak), recipe.layers)
        return _decoded_back(wrapped(choice), source)
    if isinstance(goal, AtLeast):
        found = _of_quality(coder, goal, recipe.layers, lambda choice: _decoded_back(wrapped(choice), source))
        if found is not None:
            return found
    if recipe.layers > 1:
        data = wrapped(coder.whole(recipe.layers))
    else:
        open_ended = len(coder.layers.passes) > 1 and not recipe.access
        data = envelope.around(coder.reordered(), source.record, open_ended=open_ended)
    back = _decoded_back(data, source)
    if not np.array_equal(back.pixels, source.pixels):
        raise AssertionError("a file with all coding passes does not decode to its source")
    return EncodedFile(back.jp2, back.pixels, None)


def _of_quality(
    coder: Transcoder, goal: AtLeast, layers: int, encoded: Callable[[Choice], EncodedFile]
) -> EncodedFile | None:
    """The smallest file of a quality; None if it takes all of the source."""
    wanted = goal.decibels(goal.value)
    tried: list[tuple[Choice, EncodedFile]] = []

    def quality(choice: Choice) -> float:
        tried.append((choice, encoded(choice)))
        return goal.decibels(goal.measure(tried[-1][1].pixels))

    tolerance = goal.decibels(goal.value + goal.tolerance) - wanted
    choice = coder.of_quality(QualityGoal(wanted, tolerance, goal.usual_psnr_db), quality, layers)
    return next((file for other, file in tried if other is choice), None)


def _decoded_back(data: bytes, source: Source) -> EncodedFile:
    """Decodes a file on its own, without the transcoder's knowledge."""
    back = source.decode(data)
    return EncodedFile(data, back.pixels, back.noise)
