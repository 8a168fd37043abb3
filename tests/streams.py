"""Small irregular codestreams for tests: by our encoder and, where it is installed, by opj_compress."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import codestream, packets
from foveate.codec.allocation import Choice
from foveate.codec.block_weights import Emphasis
from foveate.codec.codestream import Codestream
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.layout import Layout
from foveate.codec.packets import Layers
from tests.tools import tool

SLOPES = (30_000.0, 9_000.0, 2_000.0, 600.0, 150.0, 40.0, 0.0)  # of 8 bits per sample


def texture(height: int, width: int, channels: int, bits: int = 8) -> NDArray[Any]:
    """(H, W, C) uint8 or uint16: waves of all lengths, an edge, grain that grows to the right."""
    rng = np.random.default_rng(height * 7919 + width)
    y, x = np.mgrid[:height, :width] / max(height, width)
    planes = []
    for channel in range(channels):
        plane = 0.45 + 0.2 * np.sin(5 * x + 3 * y + channel) + 0.1 * np.sin(90 * x * y + channel)
        plane = np.where(x + 0.3 * y > 0.55, plane, 0.8 * plane + 0.1)
        planes.append(plane + (0.02 + 0.2 * x) * rng.standard_normal((height, width)) * 0.4)
    peak = (1 << bits) - 1
    values = np.clip(np.stack(planes, 2), 0, 1) * peak
    pixels: NDArray[Any] = values.round().astype(np.uint8 if bits <= 8 else np.uint16)
    return pixels


def with_ramp(pixels: NDArray[Any]) -> NDArray[Any]:
    """The same picture with an alpha channel, its last one, that grows to the right."""
    ramp = np.linspace(0, np.iinfo(pixels.dtype).max, pixels.shape[1]).astype(pixels.dtype)
    changed = pixels.copy()
    changed[:, :, -1] = ramp
    return changed


# height, width, channels, bits, block size, reversible
SHAPES = (
    (1, 1, 1, 8, 64, False),
    (1, 1, 4, 16, 32, True),
    (1, 5000, 3, 8, 64, False),
    (5000, 1, 1, 16, 32, False),
    (97, 131, 1, 8, 64, False),
    (61, 203, 2, 8, 32, True),
    (150, 149, 3, 8, 32, False),
    (33, 70, 3, 16, 4, True),
    (127, 65, 4, 8, 64, False),
    (101, 130, 4, 16, 32, False),
    (257, 300, 3, 8, 64, True),
)


@functools.cache
def layered(
    height: int, width: int, channels: int, bits: int = 8, block_size: int = 64, reversible: bool = False
) -> bytes:
    """A codestream of a layer for each of `SLOPES` over a texture."""
    pixels = texture(height, width, channels, bits)
    return coded(pixels, slopes=SLOPES, block_size=block_size, reversible=reversible)


def coded(
    pixels: NDArray[Any],
    *,
    slopes: Sequence[float] = (0.0,),
    emphasis: Emphasis | None = None,
    **coding: Any,
) -> bytes:
    """A codestream in one tile-part a tile, of a layer for each slope at which blocks are cut; 0 cuts none.

    Slopes are in units of 8-bit samples whatever the picture's depth; `coding` is as for `Coding`.
    """
    choice = cut(Encoder(pixels, emphasis, Coding(**coding)), slopes)
    candidates = choice.candidates
    emitted = packets.emit(candidates.layout, candidates.codewords, choice.layers)
    parts = tile_parts(candidates.layout, emitted.data, emitted.bounds)
    return codestream.emit(candidates.stream, len(slopes), parts)


def cut(encoder: Encoder, slopes: Sequence[float]) -> Choice:
    """A choice of a layer for each slope at which blocks are cut, all of them coded to the end."""
    everything = encoder.whole()
    scale = ((1 << encoder.coder.bit_depth) - 1) ** 2 / 255**2
    points = [
        everything.candidates.points_above(np.log10(slope * scale)) if slope else everything.points[0]
        for slope in slopes
    ]
    return Choice(everything.candidates, np.stack(points), -np.inf)


# What other encoders make of a picture, as options of opj_compress.
FOREIGN = {
    "tiles": "-t 50,37 -r 40,10,3",
    "tiles and offsets": "-t 50,41 -T 3,5 -d 11,7 -r 20,5",
    "offset": "-d 13,29 -r 30,8,2 -I",
    "precincts": "-c [64,64],[32,32],[16,16] -r 20,5,1",
    "LRCP with SOP and EPH": "-p LRCP -SOP -EPH -r 20,5,2 -I",
    "RLCP": "-p RLCP -c [32,32] -r 20,5,2 -I",
    "RPCL": "-p RPCL -c [32,64],[64,32] -t 64,80 -r 20,5,2",
    "PCRL": "-p PCRL -c [64,64],[32,32] -b 16,32 -SOP -r 20,5,2 -I",
    "CPRL": "-p CPRL -c [32,32],[16,16] -t 90,90 -EPH -r 20,5,2",
    "tile-parts by resolution": "-p RLCP -TP R -t 70,90 -r 20,5,2",
    "tile-parts by layer": "-p LRCP -TP L -r 20,5,2 -I",
    "tile-parts by component": "-p CPRL -TP C -t 100,64 -r 20,5",
    "PLT and TLM": "-PLT -TLM -t 64,64 -r 10,2",
    "one resolution": "-n 1 -r 4,2",
    "long blocks": "-b 4,1024 -r 10,3",
    "reset and causal contexts": "-M 10 -r 10,3",
    "segmentation symbols": "-M 32 -r 10,3 -I",
    "progression changes": "-POC T1=0,0,3,3,3,RLCP/T1=3,0,3,6,3,CPRL -c [32,32] -r 20,5,2",
    "progression changes in a tile": "-t 131,60 -POC T1=0,0,3,6,1,RPCL/T1=0,1,3,6,3,PCRL -r 20,5,2",
    "bypass": "-M 1 -r 20,5,1",
    "bypass in small blocks": "-M 1 -b 16,16 -r 40,20,10,5,3,2 -I",
    "a segment each pass": "-M 4 -r 20,5,2",
    "all styles": "-M 63 -t 64,64 -SOP -EPH -r 20,5,1",
    "raised component": "-ROI c=0,U=5 -r 20,5",
    "chroma of half size": "-F 131,97,3,8,u@1x1:2x2:2x2 -r 10,3 -I",
    "chroma of half width in tiles": "-F 131,97,3,8,u@1x1:2x1:2x1 -t 33,47 -p PCRL -c [32,32] -r 10,3",
}


@functools.cache
def foreign(options: str) -> bytes:
    """A codestream of a 131 x 97 RGB texture by opj_compress; skips the test if it is not installed."""
    return compress(texture(97, 131, 3), options)


def compress(pixels: NDArray[np.uint8], options: str) -> bytes:
    """Codes (H, W, 3) pixels with opj_compress, or their subsampled planes where -F says so."""
    program = tool("opj_compress")
    height, width, _ = pixels.shape
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.ppm", Path(folder) / "out.j2k"
        content = b"P6\n%d %d\n255\n" % (width, height) + pixels.tobytes()
        if "-F" in options:
            source = source.with_suffix(".raw")
            dx, dy = (2, 2) if "2x2" in options else (2, 1)
            content = b"".join(
                p.tobytes() for p in (pixels[..., 0], *pixels[::dy, ::dx, 1:].transpose(2, 0, 1))
            )
        source.write_bytes(content)
        command = [program, "-i", str(source), "-o", str(target), *options.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert target.exists(), f"{options}: {done.stdout} {done.stderr}"
        return target.read_bytes()


def everything(layers: Layers) -> NDArray[np.int32]:
    """How many layers of a stream each layer of the same one holds up to its end, by block."""
    count, blocks = layers.passes.shape
    return np.repeat(np.arange(1, count + 1, dtype=np.int32)[:, None], blocks, 1)


def random_choice(layers: Layers, count: int, seed: int) -> NDArray[np.int32]:
    """The same at random: (count, blocks), from none to all of the layers, non-decreasing."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(layers.passes) + 1, (count, layers.passes.shape[1]))
    return np.sort(chosen, 0).astype(np.int32)


def chosen(layers: Layers, upto: NDArray[np.int32]) -> Layers:
    """The layers that hold so many of the given ones up to their ends: (layers, blocks)."""
    every = np.arange(upto.shape[1])
    passes = np.vstack([np.zeros_like(layers.passes[:1]), layers.passes])
    sizes = np.vstack([np.zeros_like(layers.sizes[:1]), layers.sizes])
    return Layers(passes[upto, every], sizes[upto, every])


def tile_parts(layout: Layout, data: bytes, bounds: NDArray[np.int64]) -> Sequence[tuple[int, bytes]]:
    """Emitted packets as one tile-part a tile, for `codestream.emit`."""
    return [(tile, data[bounds[tile, 0] : bounds[tile, -1]]) for tile in range(layout.tiles)]


def component_samples(stream: Codestream) -> int:
    """The number of samples of all components."""
    size = stream.size
    return sum(
        (-(-size.x1 // c.dx) - -(-size.x0 // c.dx)) * (-(-size.y1 // c.dy) - -(-size.y0 // c.dy))
        for c in size.components
    )
