"""How loops over packets and blocks are compiled: with numba, kept on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, made on the first call; it lets other threads run.

    The code is kept beside the module, else in the user's cache folder, so that only the first process of a
    machine waits for it. Where neither can be written (a read-only container) each process compiles for
    itself.
    """
    try:
        result: Callable[..., Any] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba's "no locator available": nowhere to keep the code
        result = numba.njit(nogil=True)(function)
    return result
