"""Compiles all inner loops ahead of time: `python -m foveate.compile`. Otherwise the first photo waits.

They are kept beside the modules, or in the user's cache folder where these cannot be written.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

import foveate
from foveate.api import Pixels, SaliencyMap
from foveate.codec import bit_usage
from foveate.codec.jp2 import parse
from foveate.codec.packet_stream import PacketStream
from foveate.compiled import compilations

_SIDE = 150  # pixels: measures have several scales, of even and of odd sides


def compile_all() -> int:
    """Runs every compiled loop on small pictures; returns how many functions had to be compiled."""
    rng = np.random.default_rng(0)
    mask = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    with compilations() as compiled:
        for kind in (np.uint8, np.uint16):
            for channels in (1, 2, 3, 4):
                noise = rng.integers(0, np.iinfo(kind).max, (_SIDE, _SIDE + 11, channels), kind)
                _use(noise, mask)
    return len(compiled.names)


def _use(pixels: Pixels, mask: SaliencyMap) -> None:
    """Does everything to a photo of this type except running networks."""
    requests: tuple[dict[str, Any], ...] = (
        {"bpp": 4, "saliency": mask, "layers": 2, "effort": "best"},
        {"bpp": 4, "tune": "psnr"},
        {"psnr": 20},
        {"lossless": True},
    )
    for request in requests:
        data = foveate.encode(pixels, **request)
        decoded = foveate.decode(data)
        foveate.measure(pixels, decoded, saliency=mask)
        foveate.inspect(data)
        bit_usage.bits_per_pixel(PacketStream.parse(parse(data).codestream), 8, 8)
        foveate.transcode(data, max_bytes=len(data) // 2, saliency=mask, access=True)


def main() -> int:
    """Compiles everything, and prints how long that took."""
    print("Compiling (once, about a minute)", flush=True)
    start = time.monotonic()
    count = compile_all()
    seconds = time.monotonic() - start
    print(f"Compiled {count} functions in {seconds:.0f} s" if count else "Everything is compiled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
