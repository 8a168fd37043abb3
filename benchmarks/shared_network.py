"""Compares one network per process with a shared one: python -m benchmarks.shared_network each|shared N.

Each process restores N photos of a megapixel with RecCNN. The shared network lives in a separate process
(Beam's MultiProcessShared, as `share_model_across_processes` does), and pixels cross to it and back.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from typing import Any

import numpy as np

SHAPE = (1024, 1024, 3)


class Served:
    """RecCNN behind a method that can be called from other processes."""

    def __init__(self) -> None:
        from foveate.models import reccnn

        self.network = reccnn.load()

    def restore(self, pixels: Any, noise: Any) -> Any:
        """Restored pixels."""
        from foveate.models.reccnn import restore_pixels

        return restore_pixels(self.network, pixels, noise, False)


def shared(folder: str) -> Any:
    """Asks the shared process for predictions; the first one starts it."""
    from apache_beam.utils.multi_process_shared import MultiProcessShared

    return MultiProcessShared(Served, "reccnn", path=folder, spawn_process=True).acquire()


def work(how: str, photos: int, folder: str) -> None:
    """The work of one process."""
    served: Any = Served() if how == "each" else shared(folder)
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 255, SHAPE, np.uint8)
    noise = np.full((SHAPE[0] // 8, SHAPE[1] // 8, 4), 3.0, np.float32)
    for _ in range(photos):
        served.restore(pixels, noise)


def main() -> int:
    """Starts two processes, and waits for them."""
    how, photos = sys.argv[1], int(sys.argv[2])
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        # It has to be there, and to stay: two processes that start it at once may wait for ever.
        network = shared(folder) if how == "shared" else None
        processes = [context.Process(target=work, args=(how, photos, folder)) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        del network  # now its process may end
    return max(abs(process.exitcode or 0) for process in processes)


if __name__ == "__main__":
    sys.exit(main())
