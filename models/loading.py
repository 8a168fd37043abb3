"""Loads networks when first needed, and shares them within a process."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any


class Deferred:
    """A network that is loaded on first use, so that a run with nothing to do stays fast."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._network: Any = None

    def get(self) -> Any:
        """The network, loaded once."""
        with self._lock:
            if self._network is None:
                self._network = self._load()
            return self._network


_Key = tuple[Callable[..., Any], tuple[Any, ...], tuple[tuple[str, Any], ...]]
_shared: dict[str, tuple[_Key, Deferred]] = {}
_sharing = threading.Lock()


def shared(name: str, load: Callable[[], Any]) -> Deferred:
    """The network called `name`, the same object for every pipeline and every watch round of a process.

    One network is kept per name: requesting another one under the same name (`best` after `fast`) releases
    the former, so that a long-lived process does not accumulate them.

    Args:
      name: of the network, such as "RecCNN".
      load: a function, or a `functools.partial` of one with hashable arguments; two partials are the same
        network if function and arguments are equal.
    """
    key: _Key = (load, (), ())
    if isinstance(load, functools.partial):
        key = (load.func, load.args, tuple(sorted(load.keywords.items())))
    with _sharing:
        known = _shared.get(name)
        if known is None or known[0] != key:
            known = _shared[name] = (key, Deferred(load))
        return known[1]
