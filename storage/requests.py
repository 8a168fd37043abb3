"""Counts requests to object stores by kind, since stores charge for each.

In this process, and on other machines as Beam's counters.
"""

from __future__ import annotations

import collections
import threading
from typing import Literal

from apache_beam.metrics import Metrics

Kind = Literal["list", "look", "read", "write", "delete"]
COUNTER = "requests: "
"""The names of Beam's counters begin with this; they are in the namespace "foveate"."""

_lock = threading.Lock()
_made: collections.Counter[str] = collections.Counter()


def count_request(kind: Kind) -> None:
    """Counts a request: a page of a listing, a metadata request, a read, a write or a delete."""
    with _lock:
        _made[kind] += 1
    Metrics.counter("foveate", COUNTER + kind).inc()


def requests_made() -> collections.Counter[str]:
    """All requests of this process so far, by kind."""
    with _lock:
        return collections.Counter(_made)
