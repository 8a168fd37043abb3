"""Checks that each part planted into odd files is carried, named with its bytes, or keeps the file.

    python -m benchmarks.accounting [--files 1000] [--seed 1] [--save FOLDER]
    python -m benchmarks.accounting --cost PHOTO...

Plants parts with recognizable bytes into sound files (`benchmarks.odd_files`) and decodes these. A file that
becomes a picture has to account for each of the parts: by carrying its bytes, or by a `metadata_lost` that
counts them. Prints the outcomes; the exit status is 1 if a byte is lost unnamed.

With `--cost`, measures what this costs for plain JPEGs: the processor time of reading a photo without
decoding its pixels (walk, classification, metadata, orientation), as a share of compressing the photo with
`--bpp 1 --roi none`, the fastest of all targets. The status is 1 if a share is above 1 %.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import simplejpeg

import foveate
from benchmarks.odd_files import PLANTERS, odd_file
from foveate.archive.losses import loss_names
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import dicom, dicom_dataset
from foveate.pictures.formats import BadPicture, NotForJpeg2000, decode_picture

_BYTES = re.compile(r"([\d,]+) bytes")
_ALSO = ("heic", "jxl")
_SHOWN = 12
_MOST_SHARE = 0.01


def outcome_of(data: bytes, tokens: Sequence[bytes]) -> str:
    """The outcome in one word, or "unnamed: ..." if some tokens are neither carried nor counted."""
    try:
        metadata, problems = account(data)
    except NotForJpeg2000:
        return "kept"
    except BadPicture as error:
        return f"refused: {error}"
    missing = sum(len(token) for token in tokens if not _is_carried(token, metadata))
    named = sum(named_bytes(problem) for problem in problems)
    if missing > named:
        return f"unnamed: {missing - named} of {missing} bytes; {problems}"
    return "named" if missing else "carried"


def account(data: bytes) -> tuple[PhotoMetadata, tuple[str, ...]]:
    """The metadata that a file's picture carries, and what is lost of it.

    Raises:
      BadPicture: the file is broken.
      NotForJpeg2000: it is kept unchanged.
    """
    if dicom_dataset.is_dicom(data):  # losses are known without the extra that decodes the file
        return PhotoMetadata(), dicom.losses(data)
    picture = decode_picture(data, also=_ALSO)
    return picture.metadata, picture.metadata_problems


def named_bytes(problem: str) -> int:
    """The number of bytes that a loss names."""
    return sum(int(number.replace(",", "")) for number in _BYTES.findall(problem))


def _is_carried(token: bytes, metadata: PhotoMetadata) -> bool:
    """Whether the metadata contain a token, as bytes or as text."""
    fields = (getattr(metadata, field.name) for field in dataclasses.fields(metadata))
    if any(isinstance(value, bytes) and token in value for value in fields):
        return True
    return any(token in (text.encode(), text.encode("latin-1", "replace")) for _, text in metadata.texts)


def names_of(data: bytes) -> tuple[str, ...]:
    """The names under which a file's losses are counted; () if it does not become a picture."""
    try:
        return loss_names("; ".join(account(data)[1]))
    except (BadPicture, NotForJpeg2000):
        return ()


@dataclasses.dataclass(frozen=True)
class Cost:
    """Processor time for one photo: of reading it without its pixels, and of compressing it."""

    accounting_seconds: float
    whole_seconds: float

    @property
    def share(self) -> float:
        """The share of the total that accounting takes."""
        return self.accounting_seconds / self.whole_seconds


def cost_of(data: bytes, repeats: int = 9) -> Cost:
    """The cost for an upright JPEG of three components: the least of several runs."""
    read = _least(lambda: decode_picture(data), repeats)
    pixels_alone = _least(lambda: simplejpeg.decode_jpeg(data, "RGB", strict=True), repeats)
    pixels = decode_picture(data).pixels
    coded = _least(lambda: foveate.encode(pixels, bpp=1), 2)
    return Cost(max(0.0, read - pixels_alone), read + coded)


def _least(work: Callable[[], object], repeats: int) -> float:
    """The least processor time of several runs of some work, in seconds."""
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def _print_costs(photos: Sequence[Path]) -> int:
    """Prints the cost for each photo; the exit status."""
    costs = {photo.name: cost_of(photo.read_bytes()) for photo in photos}
    for name, cost in costs.items():
        print(
            f"{name}: {1000 * cost.accounting_seconds:.2f} ms, {cost.share:.2%} of {cost.whole_seconds:.2f} s"
        )
    return int(any(cost.share > _MOST_SHARE for cost in costs.values()))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--files", type=int, default=1000, help="of each format")
    parser.add_argument("--seed", type=int, default=1, help="of the files")
    parser.add_argument(
        "--save", type=Path, default=Path("odd"), help="where files go whose parts are unnamed"
    )
    parser.add_argument("--cost", nargs="+", type=Path, metavar="PHOTO", help="measure the cost for JPEGs")
    options = parser.parse_args(argv)
    if options.cost:
        return _print_costs(options.cost)
    begun, wrong = time.perf_counter(), 0
    for form in PLANTERS:
        outcomes: collections.Counter[str] = collections.Counter()
        for index in range(options.files):
            data, tokens = odd_file(form, options.seed, index)
            outcome = outcome_of(data, tokens)
            outcomes[outcome.partition(":")[0]] += 1
            if outcome.startswith("unnamed"):
                wrong += 1
                options.save.mkdir(parents=True, exist_ok=True)
                (options.save / f"{index}.{form}").write_bytes(data)
                if wrong <= _SHOWN:
                    print(f"{index}.{form}: {outcome[:300]}", file=sys.stderr)
        print(f"{form:5}" + "  ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))
    print(f"{wrong} files with unnamed losses; {time.perf_counter() - begun:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
