"""Reads damaged files: each must give a result or a typed error, in bounded time and memory.

    python -m benchmarks.fuzz [--inputs N] [--seed S] [--decode] [--save FOLDER]

Generates a corpus of random structures (`benchmarks.structures`) and small coded pictures, damages it by
flipped bits, cuts, splices and edited header fields, and reads each file with `codec.jp2`,
`codec.codestream`, `codec.layout`, `codec.packets` (also writing it again) and `codec.noise`. A child process
does so, with limits of time and memory for each input; inputs that exceed them, crash it, or raise anything
but BadCodestream and UnsupportedCodestream are saved. The same seed gives the same inputs. `--decode` also
hands them to OpenJPEG. Prints outcomes, the slowest input and the peak of memory; exit status 1 if anything
is saved.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import multiprocessing
import resource
import struct
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benchmarks import structures
from foveate.codec import allocation, codestream, jp2, noise, openjpeg, packets
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.layout import lay_out
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.packet_stream import PacketStream
from foveate.codec.record import ArchiveRecord

SECONDS = 20.0  # for one input
MEMORY_BYTES = 4 << 30  # beyond the program itself
CORPUS_STRUCTURES = 32
LARGEST_STRUCTURE = 6000  # bytes: small inputs are damaged in more places
_MAX_CELLS_EMITTED = 1 << 24
_VALUES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Target = Callable[[bytes], str]


@dataclasses.dataclass
class Findings:
    """Outcomes of the inputs."""

    outcomes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    slowest_seconds: float = 0.0
    slowest_input: int = -1
    peak_bytes: int = 0
    failures: list[tuple[int, str]] = dataclasses.field(default_factory=list)  # input, what happened

    def add(self, index: int, outcome: str, seconds: float, peak_bytes: int) -> None:
        """Counts one input."""
        self.outcomes[outcome] += 1
        self.peak_bytes = max(self.peak_bytes, peak_bytes)
        if seconds > self.slowest_seconds:
            self.slowest_seconds, self.slowest_input = seconds, index
        if outcome.startswith("failed"):
            self.failures.append((index, outcome))


# Inputs ---------------------------------------------------------------------------------------------


@functools.cache
def corpus() -> tuple[bytes, ...]:
    """Sound codestreams and JP2 files."""
    found: list[bytes] = []
    seed = 0
    while len(found) < CORPUS_STRUCTURES:
        data = structures.random_structure(seed).data
        if len(data) <= LARGEST_STRUCTURE:
            found.append(data)
        seed += 1
    rng = np.random.default_rng(0)
    metadata = PhotoMetadata(
        exif=b"II*\0" + bytes(40), xmp=b"<x:xmpmeta/>", icc=bytes(128), dpi=(72.0, 300.0)
    )
    record = ArchiveRecord(bytes(32), bytes(8), saliency=np.full((3, 4), 0.5, np.float32))
    for shape, bits, reversible in (
        ((37, 61, 3), 8, False),
        ((50, 21, 1), 8, True),
        ((20, 30, 4), 16, False),
    ):
        noisy = rng.integers(0, 1 << bits, shape)
        pixels = noisy.astype(np.uint8) if bits == 8 else noisy.astype(np.uint16)
        coding = Coding(block_size=16, reversible=reversible)
        coded = allocation.encode(Encoder(pixels, coding=coding).whole(layers=3))
        found += [coded, jp2.wrap(coded, metadata=metadata, record=record)]
    return tuple(found)


def damaged(seed: int, index: int) -> bytes:
    """One input: a file of the corpus, damaged one to three times, and often mended at the end."""
    rng = np.random.default_rng([seed, index])
    data = _any_of_corpus(rng)
    for _ in range(int(rng.integers(1, 4))):
        damage = (_flip, _flip_in_head, _overwrite, _edit_field, _edit_segments, _cut, _splice)[
            rng.integers(7)
        ]
        data = damage(rng, data)
    return _mended(data) if rng.random() < 0.6 else data


def _mended(data: bytes) -> bytes:
    """Extends the last tile-part to the end and adds the end marker, so that other damage is reached."""
    last = data.rfind(b"\xff\x90\x00\x0a")
    if last < 0 or data[:1] != b"\xff":
        return data
    return data[: last + 6] + bytes(4) + data[last + 10 :] + b"\xff\xd9"


def _any_of_corpus(rng: np.random.Generator) -> bytes:
    return corpus()[rng.integers(len(corpus()))]


def _place(rng: np.random.Generator, data: bytes) -> int:
    return int(rng.integers(0, max(1, len(data))))


def _flip(rng: np.random.Generator, data: bytes) -> bytes:
    broken = np.frombuffer(data, np.uint8).copy()
    for _ in range(int(rng.integers(1, 9)) if len(broken) else 0):
        broken[_place(rng, data)] ^= 1 << rng.integers(8)
    return broken.tobytes()


def _flip_in_head(rng: np.random.Generator, data: bytes) -> bytes:
    head = int(rng.integers(20, 300))
    return _flip(rng, data[:head]) + data[head:]


def _overwrite(rng: np.random.Generator, data: bytes) -> bytes:
    at, length = _place(rng, data), int(rng.integers(1, 40))
    filling = rng.choice([bytes(length), b"\xff" * length, rng.bytes(length)])
    return data[:at] + bytes(filling) + data[at + length :]


def _edit_field(rng: np.random.Generator, data: bytes) -> bytes:
    """Sets a number of 1, 2 or 4 bytes near a marker to one from the edge of its range."""
    markers = [i for i in range(len(data) - 1) if data[i] == 0xFF and 0x4F <= data[i + 1] <= 0x93]
    at = (int(rng.choice(markers)) if markers else 0) + int(rng.integers(2, 48))
    width = int(rng.choice([1, 2, 4]))
    value = int(rng.choice(_VALUES)) & ((1 << 8 * width) - 1)
    return data[:at] + value.to_bytes(width) + data[at + width :]


def _edit_segments(rng: np.random.Generator, data: bytes) -> bytes:
    """Removes a marker segment, repeats it, or inserts one from another stream."""
    bounds, others = _segments(data), _segments(other := _any_of_corpus(rng))
    if not bounds or not others:
        return data
    start, end = bounds[rng.integers(len(bounds))]
    first, last = others[rng.integers(len(others))]
    middle = (b"", data[start:end] * 2, data[start:end] + other[first:last])[rng.integers(3)]
    return data[:start] + middle + data[end:]


def _segments(data: bytes) -> list[tuple[int, int]]:
    """Where marker segments of the main header begin and end, and whatever looks like one behind it."""
    found, at = [], data.find(b"\xff\x4f\xff\x51") + 2
    while 2 <= at < len(data) - 4 and data[at] == 0xFF:
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        found.append((at, end))
        at = end
    return found


def _cut(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: _place(rng, data)] + (b"\xff\xd9" if rng.random() < 0.5 else b"")


def _splice(rng: np.random.Generator, data: bytes) -> bytes:
    other = _any_of_corpus(rng)
    return data[: _place(rng, data)] + other[_place(rng, other) :]


# What is done with them -----------------------------------------------------------------------------


def read(data: bytes) -> str:
    """Reads an input to the end if possible; returns how far it got."""
    step = "boxes"
    try:
        found = jp2.parse(data).codestream
        step = "headers"
        stream = codestream.parse(found)
        step = "packets"
        geometry = lay_out(stream)
        source = PacketStream(stream, geometry, *packets.parse(stream, geometry))
        step = "writing"
        merged = source.layers.merged()
        if source.layers.passes.size <= _MAX_CELLS_EMITTED:
            emitted = packets.emit(geometry, source.codewords, merged)
            if len(emitted.data) != packets.emitted_size(geometry, source.codewords, merged):
                return "failed: the predicted size of what is written is wrong"
        step = "noise"
        noise.noise_map(stream, geometry, source.codewords.zero_planes, source.passes)
    except (BadCodestream, UnsupportedCodestream) as error:
        return f"{type(error).__name__} in {step}"
    except Exception as error:  # any other exception is a bug, and the run must go on
        return f"failed: {type(error).__name__} in {step}: {error}"
    return "read"


def read_and_decode(data: bytes) -> str:
    """Like `read`, and lets OpenJPEG decode it."""
    outcome = read(data)
    try:
        openjpeg.decode(data, max_pixels=1 << 20)
    except (BadCodestream, UnsupportedCodestream) as error:
        return f"{outcome}; {type(error).__name__} by OpenJPEG"
    except Exception as error:  # as above
        return f"failed: {type(error).__name__} by OpenJPEG: {error}"
    return f"{outcome}; decoded"


# The run --------------------------------------------------------------------------------------------


def run(
    inputs: int,
    seed: int,
    target: Target = read,
    *,
    seconds: float = SECONDS,
    memory_bytes: int = MEMORY_BYTES,
) -> Findings:
    """Hands damaged inputs to a target in a child process, a new one after each that died or hung.

    Args:
      inputs: how many.
      seed: of the damage.
      target: turns an input into an outcome.
      seconds: for each input.
      memory_bytes: that the child may use beyond what it starts with.
    """
    corpus()
    findings = Findings()
    context = multiprocessing.get_context("fork")  # with the corpus and the compiled loops
    target(corpus()[0])
    begun = 0
    while begun < inputs:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_work, args=(theirs, target, seed, begun, inputs, memory_bytes))
        child.start()
        theirs.close()
        begun, reason = _collect(ours, findings, begun, inputs, seconds)
        child.kill()
        child.join()
        if reason:
            findings.add(begun, reason, seconds, 0)
            begun += 1
    return findings


def _work(pipe: Connection, target: Target, seed: int, first: int, last: int, memory_bytes: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for index in range(first, last):
        data = damaged(seed, index)
        begun = time.perf_counter()
        outcome = target(data)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        pipe.send((outcome, time.perf_counter() - begun, peak))


def _collect(
    pipe: Connection, findings: Findings, index: int, inputs: int, seconds: float
) -> tuple[int, str]:
    """Counts what a child reports; gives the input where it stopped, and why unless it was the last one."""
    while index < inputs:
        if not pipe.poll(seconds):
            return index, f"failed: not done in {seconds:g} seconds"
        try:
            findings.add(index, *pipe.recv())
        except EOFError:
            return index, "failed: the process died"
        index += 1
    return index, ""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--inputs", type=int, default=20_000, help="how many damaged inputs")
    parser.add_argument("--seed", type=int, default=1, help="of the damage")
    parser.add_argument("--decode", action="store_true", help="also decode each by OpenJPEG")
    parser.add_argument("--save", type=Path, default=Path("fuzz"), help="where failing inputs go")
    options = parser.parse_args(argv)
    begun = time.perf_counter()
    findings = run(options.inputs, options.seed, read_and_decode if options.decode else read)
    elapsed = time.perf_counter() - begun
    for outcome, count in findings.outcomes.most_common():
        print(f"{count:9d}  {outcome[:100]}")
    print(f"{sum(findings.outcomes.values()):9d}  inputs in {elapsed:.0f} s")
    print(f"slowest: input {findings.slowest_input}, {findings.slowest_seconds * 1000:.0f} ms")
    print(f"peak memory: {findings.peak_bytes / 1e6:.0f} MB, the program itself included")
    for index, outcome in findings.failures:
        options.save.mkdir(parents=True, exist_ok=True)
        path = options.save / f"seed{options.seed}-input{index}.j2k"
        path.write_bytes(damaged(options.seed, index))
        print(f"{path}: {outcome}")
    return 1 if findings.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
