"""Encodes photos as JP2 files and decodes them: the recipe of every file that Foveate writes.

pixels, Emphasis ─▶ Encoder ─▶ choice that meets the goal ─▶ codestream ─▶ file around it ─▶ decoded back
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.codec import allocation, jp2, noise, openjpeg
from foveate.codec.allocation import Choice
from foveate.codec.block_weights import Emphasis
from foveate.codec.coding import Coding, Pixels
from foveate.codec.encoder import Effort, Encoder
from foveate.codec.errors import BadCodestream, BudgetTooSmall, UnsupportedCodestream
from foveate.codec.foreign_color import as_straight_rgb, check_color
from foveate.codec.goals import AtLeast, AtMost, Goal, Lossless, NearScore
from foveate.codec.jp2 import Jp2
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.openjpeg import Decoded
from foveate.codec.packet_stream import PacketStream
from foveate.codec.parameters import Size
from foveate.codec.quality_search import QualityGoal
from foveate.codec.quality_target import ScoreGoal, nearest_to_score
from foveate.codec.record import SALIENCY_BYTES, ArchiveRecord, saliency_bytes_within
from foveate.codec.regions import Region

if TYPE_CHECKING:
    from foveate.codec.transcoder import Transcoder

MOST_LAYERS = 50  # a tile has at most 255 tile-parts, one per layer
_NEARLY_LOSSLESS = 0.3  # of the bytes of all samples: where a file takes more, a lossless one may take less
_MOST_TOLERANCE_DB = 1.0
_SCORE_TOLERANCE, _CORRECTIONS = 2.0, 2  # points of a score, and how often a slope is corrected


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a photo becomes a file.

    layers: quality layers of about twice the bytes each, salient places first; at most `MOST_LAYERS`.
    effort: as for `Encoder`.
    threads: that code at once; the bytes are the same for any number.
    access: whether the file is for reading parts of it: precincts, TLM and PLT (`arrangement`).
    tile_size: side of square tiles in pixels, as `tile_sizes.is_tile_size` allows; 0 for one tile, or for as
        many as a giant needs.
    """

    goal: Goal
    emphasis: Emphasis = dataclasses.field(default_factory=Emphasis)
    layers: int = 1
    effort: Effort = "normal"
    threads: int = 1
    access: bool = False
    tile_size: int = 0

    def coding(self, *, reversible: bool = False) -> Coding:
        """How its photos are coded."""
        return Coding(
            reversible=reversible, tile_size=self.tile_size or None, access=self.access, threads=self.threads
        )

    def encoder(self, pixels: Pixels) -> Encoder:
        """The encoder of a photo that may lose some of it."""
        return Encoder(pixels, self.emphasis, self.coding(), self.effort)


@dataclasses.dataclass(frozen=True)
class Boxes:
    """Everything in a file besides its codestream."""

    metadata: PhotoMetadata = dataclasses.field(default_factory=PhotoMetadata)
    record: ArchiveRecord | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedFile:
    """A file, and what it decodes to.

    jp2: the file.
    pixels: what it decodes to: (H, W, C), of the source's type.
    noise: its coding-noise map (`noise.noise_map`), None where nothing was lost.
    score: of the goal `NearScore`, None where it was not measured.
    """

    jp2: bytes
    pixels: Pixels
    noise: NDArray[np.float32] | None
    score: float | None = None


def encode_file(pixels: Pixels, recipe: Recipe, boxes: Boxes | None = None) -> EncodedFile:
    """Encodes a photo as a JP2 file, and decodes it as a check.

    Args:
      pixels: (H, W, C) uint8 or uint16; C = 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha.
      recipe: the goal and what matters.
      boxes: what else the file holds.

    Raises:
      BudgetTooSmall: the bytes asked for do not even hold headers and boxes.
      ValueError: the pixels' shape or type is not one of those.
    """
    boxes = boxes or Boxes()
    goal = recipe.goal
    if isinstance(goal, AtLeast | NearScore):
        if isinstance(goal, AtLeast):
            found = _of_quality(pixels, goal, recipe, boxes)
        else:
            found = _of_score(pixels, goal, recipe, boxes)
        if found is None:
            return _lossless(pixels, recipe, boxes)
        return _or_lossless(found, pixels, recipe, boxes)
    if isinstance(goal, Lossless):
        return _lossless(pixels, recipe, boxes)
    if isinstance(goal, AtMost):
        if goal.bytes > _NEARLY_LOSSLESS * pixels.nbytes:
            lossless = _lossless(pixels, recipe, boxes)
            if len(lossless.jp2) <= goal.bytes:
                return lossless
        choice, file = within(recipe.encoder(pixels), goal.bytes, boxes, recipe.layers)
        return _decoded_back(choice, file)
    slope = goal.of_samples(int(np.iinfo(pixels.dtype).max))
    choice = recipe.encoder(pixels).at_slope(slope, recipe.layers)
    return _or_lossless(_decoded_back(choice, wrapped(choice, boxes)), pixels, recipe, boxes)


def _or_lossless(found: EncodedFile, pixels: Pixels, recipe: Recipe, boxes: Boxes) -> EncodedFile:
    """The file, or a lossless one if that is smaller."""
    if len(found.jp2) <= _NEARLY_LOSSLESS * pixels.nbytes:
        return found
    return min(_lossless(pixels, recipe, boxes), found, key=lambda encoded: len(encoded.jp2))


def _lossless(pixels: Pixels, recipe: Recipe, boxes: Boxes) -> EncodedFile:
    """A lossless file, in which saliency affects only the order of layers."""
    emphasis = recipe.emphasis if recipe.layers > 1 else Emphasis()
    choice = Encoder(pixels, emphasis, recipe.coding(reversible=True)).whole(recipe.layers)
    encoded = _decoded_back(choice, wrapped(choice, boxes))
    if not np.array_equal(encoded.pixels, pixels):
        raise AssertionError("a lossless file does not decode to its source")
    return encoded


def within(source: Encoder, budget: int, boxes: Boxes, layers: int = 1) -> tuple[Choice, bytes]:
    """The best file of at most `budget` bytes.

    Raises:
      BudgetTooSmall: not even headers and boxes fit.
    """
    saliency_bytes = saliency_bytes_within(budget)
    overhead = jp2.overhead(
        source.coder.pixels.shape[2],
        metadata=boxes.metadata,
        record=boxes.record,
        saliency_bytes=saliency_bytes,
    )
    choice = chosen_within(source, budget, overhead, layers)
    return choice, wrapped(choice, boxes, saliency_bytes)


def chosen_within(source: Encoder | Transcoder, budget: int, overhead: int, layers: int) -> Choice:
    """The best choice for a file of at most `budget` bytes, of which boxes take `overhead`.

    Raises:
      BudgetTooSmall: not even headers and boxes fit.
    """
    try:
        return source.within(budget - overhead, layers)
    except BudgetTooSmall as error:
        least = overhead + source.least_bytes
        message = f"{budget} bytes asked for, but headers and metadata alone take {least}"
        raise BudgetTooSmall(message) from error


def wrapped(choice: Choice, boxes: Boxes, saliency_bytes: int = SALIENCY_BYTES) -> bytes:
    """The file of a choice; one with several layers can be cut after any of them."""
    return jp2.wrap(
        allocation.encode(choice),
        metadata=boxes.metadata,
        record=boxes.record,
        saliency_bytes=saliency_bytes,
        open_ended=len(choice.points) > 1 and not choice.candidates.access,
    )


def _of_quality(pixels: Pixels, goal: AtLeast, recipe: Recipe, boxes: Boxes) -> EncodedFile | None:
    """The smallest file of a quality; None if only a lossless one reaches it."""
    wanted = goal.decibels(goal.value)
    tolerance = min(goal.decibels(goal.value + goal.tolerance) - wanted, _MOST_TOLERANCE_DB)
    good_enough: _Trial | None = None

    def quality(choice: Choice) -> float:
        nonlocal good_enough
        trial = _tried(choice, wrapped(choice, boxes))
        reached = goal.decibels(goal.measure(trial.pixels))
        if reached >= wanted:
            good_enough = trial
        return reached

    source, aim = recipe.encoder(pixels), QualityGoal(wanted, tolerance, goal.usual_psnr_db)
    choice = source.of_quality(aim, quality, recipe.layers)
    if choice is None or good_enough is None:
        return None
    if good_enough.choice is choice:
        return good_enough.encoded()
    return _decoded_back(choice, wrapped(choice, boxes))


def _of_score(pixels: Pixels, goal: NearScore, recipe: Recipe, boxes: Boxes) -> EncodedFile:
    """The file that comes closest to a score."""
    trials: list[tuple[_Trial, float]] = []

    def score(choice: Choice) -> float:
        trial = _tried(choice, wrapped(choice, boxes))
        reached = goal.measure(trial.pixels)
        trials.append((trial, reached))
        return reached

    aim = ScoreGoal(goal.value, _SCORE_TOLERANCE, 0 if recipe.effort == "fast" else _CORRECTIONS)
    choice = nearest_to_score(recipe.encoder(pixels), aim, score, recipe.layers)
    for trial, reached in trials:
        if trial.choice is choice:
            return dataclasses.replace(trial.encoded(), score=reached)
    return _decoded_back(choice, wrapped(choice, boxes))


@dataclasses.dataclass(frozen=True, eq=False)
class _Trial:
    """A choice, its file and what that decodes to; its noise map is made only if it becomes the result."""

    choice: Choice
    jp2: bytes
    pixels: Pixels

    def encoded(self) -> EncodedFile:
        is_lossless = self.choice.candidates.stream.reversible
        return EncodedFile(self.jp2, self.pixels, None if is_lossless else self.choice.noise_map)


def _decoded_back(choice: Choice, file: bytes) -> EncodedFile:
    """Decodes a file as a check."""
    return _tried(choice, file).encoded()


def _tried(choice: Choice, file: bytes) -> _Trial:
    """Decodes a file on its own, without the encoder's knowledge."""
    try:
        pixels = openjpeg.decode(file).pixels
    except BadCodestream as error:
        if openjpeg.says_no_memory(str(error)):
            raise MemoryError(f"not enough memory to decode the file for checking it: {error}") from error
        raise
    return _Trial(choice, file, pixels)


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedFile:
    """Everything needed to restore a photo.

    decoded: its pixels and what OpenJPEG said of them.
    metadata, record: of the file's boxes.
    noise: its coding-noise map (`noise.noise_map`), None where RecCNN has nothing to do or to go by.
    note: what it lacks to go by, "" where nothing was lost or the record says that RecCNN does not help.
    """

    decoded: Decoded
    metadata: PhotoMetadata
    record: ArchiveRecord | None
    noise: NDArray[np.float32] | None
    note: str

    @property
    def prefiltered(self) -> bool:
        """Whether ComCNN prefiltered the photo, as far as its record tells."""
        return self.record is not None and self.record.prefiltered


def decode_file(
    data: bytes,
    *,
    reduce: int = 0,
    layers: int = 0,
    max_pixels: int | None = None,
    region: Region | None = None,
) -> DecodedFile:
    """Decodes a JP2 file or a bare codestream, ours or another's.

    Args:
      data: the file.
      reduce: how many of the finest resolutions to leave out; there is no noise map then.
      layers: how many quality layers to decode; 0 for all.
      max_pixels: refuse a picture (or region) of more pixels than this.
      region: what to decode, inside of the picture, at full size; None for all of it. It has a noise map if
        it begins at a whole cell.

    Raises:
      BadCodestream: the data are malformed or cut off.
      UnsupportedCodestream: something named in the message is not supported, or there are too many pixels.
      ValueError: `reduce` or `layers` is out of range.
    """
    parsed = jp2.parse(data)
    decoded = openjpeg.decode(data, reduce=reduce, layers=layers, max_pixels=max_pixels, region=region)
    check_color(parsed, decoded.pixels.shape[2])
    straight = as_straight_rgb(decoded.pixels, decoded.bit_depth, parsed)
    decoded = dataclasses.replace(decoded, pixels=straight)
    found, note = None, "restored without RecCNN: its resolution is reduced"
    # The mark is for the whole file; what has fewer layers is coarser.
    if parsed.record is not None and parsed.record.plain_decode and not layers:
        note = ""
    elif not reduce:
        found, note = _noise_of(parsed, layers)
    if found is not None and region is not None:
        found = _noise_in(found, region)
    return DecodedFile(decoded, parsed.metadata, parsed.record, found, note)


def _noise_of(parsed: Jp2, layers: int) -> tuple[NDArray[np.float32] | None, str]:
    """The coding-noise map of the first layers (0: all), or None and why not: "" where nothing was lost.

    Raises:
      BadCodestream: packets are missing; OpenJPEG takes a tile that ends behind any packet for whole.
    """
    try:
        whole = PacketStream.parse(parsed.codestream)
        why_not = _unusual(parsed, whole.stream.size)
        if why_not:
            return None, f"restored without RecCNN: {why_not}"
        passes = whole.upto(layers).passes if layers else whole.passes
        if whole.stream.reversible and _has_every_bit_plane(whole, passes):
            return None, ""
        return noise.noise_map(whole.stream, whole.layout, whole.codewords.zero_planes, passes), ""
    except UnsupportedCodestream as error:
        return None, f"restored without RecCNN: {error}"


def _noise_in(noise_map: NDArray[np.float32], region: Region) -> NDArray[np.float32] | None:
    """The cells of a region; None if it does not start at a whole cell."""
    if region.left % noise.CELL or region.top % noise.CELL:
        return None
    rows = slice(region.top // noise.CELL, -(-region.bottom // noise.CELL))
    return noise_map[rows, region.left // noise.CELL : -(-region.right // noise.CELL)]


def _unusual(parsed: Jp2, size: Size) -> str:
    """Why the cells of a noise map would not align with the picture's pixels; "" if they do."""
    if parsed.has_palette or any((c.dx, c.dy) != (1, 1) for c in size.components):
        return "it has a palette or subsampled components"
    if size.x0 % noise.CELL or size.y0 % noise.CELL:
        return "its image area does not start at a whole cell"
    return ""


def _has_every_bit_plane(whole: PacketStream, passes: NDArray[np.uint8]) -> bool:
    """Whether the blocks that a file has are whole: with the reversible transform, nothing was lost then."""
    planes = whole.layout.blocks.planes.astype(np.int64) - whole.codewords.zero_planes
    return bool(np.all((passes >= 3 * planes - 2) | (whole.passes == 0)))
