"""Imports TensorFlow without the messages that it prints to standard error whatever its log level."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_one_at_a_time = threading.Lock()  # standard error belongs to the whole process


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Wraps an import of TensorFlow or Keras, and discards whatever native code prints to standard error.

    Errors are exceptions, and pass through.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _one_at_a_time:
        saved = os.dup(2)
        silence = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(silence, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(silence)
