"""Compiles inner loops with numba, and provides a fused multiply-add.

Nothing is fused or reordered but what a function says, so that results do not depend on the processor.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import event
from numba.core.caching import FunctionCache
from numba.extending import intrinsic


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function as machine code, compiled on the first call; it releases Python's lock.

    The code is kept beside the module, or else in the user's cache folder, so that only the first process on
    a machine waits for it. Where neither can be written (a read-only container), each process compiles for
    itself. Numba renews kept code when the function's own file changes, not when a function it calls in
    another file does.
    """
    return _compiled(function, "python")


def compiled_without_checks(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `compiled`, but dividing by zero gives infinity: only then are loops that divide vectorized."""
    return _compiled(function, "numpy")


def compiled_inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `compiled`, for functions that inner loops call: they only use arrays, and make none.

    Numba counts references to the arrays that a function is given, which takes longer than a few decisions
    of a coder. These functions do without, since their callers hold the arrays.
    """
    return _compiled(function, "python", _nrt=False)


def compiled_inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `compiled_inner`, for small functions: always made part of those that call them."""
    return _compiled(function, "python", _nrt=False, forceinline=True)


def _compiled(function: Callable[..., Any], error_model: str, **options: Any) -> Callable[..., Any]:
    result = numba.njit(nogil=True, error_model=error_model, **options)(function)
    with contextlib.suppress(RuntimeError):  # numba's "no locator available": nowhere to keep the code
        result._cache = _Cache(function)  # as `enable_caching` does
    return result  # type: ignore[no-any-return]


class _Cache(FunctionCache):  # type: ignore[misc]  # numba is untyped
    """Numba's cache, which survives renames.

    The index of kept code pickles the types of arguments, and cannot be read any more when a class among them
    has another name since. Numba reads it before it compares the age of the source.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kept code for a signature, or None; an index that names missing classes is emptied."""
        try:
            return super().load_overload(sig, target_context)
        except (AttributeError, ImportError):
            self.flush()
            return None


class Compilations(event.Listener):  # type: ignore[misc]  # numba is untyped
    """Listens to numba and collects the loops that it compiles.

    names: of the functions, in the order in which they were begun; those it calls in turn among them.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._going_on = 0
        self._lock = threading.Lock()

    @property
    def going_on(self) -> bool:
        """Whether anything is being compiled right now."""
        return self._going_on > 0

    def on_start(self, event: Any) -> None:
        """Notes a function that numba begins to compile."""
        with self._lock:
            self._going_on += 1
            self.names.append(event.data["dispatcher"].py_func.__qualname__)

    def on_end(self, event: Any) -> None:
        """Notes that it is done."""
        with self._lock:
            self._going_on -= 1


@contextlib.contextmanager
def compilations() -> Iterator[Compilations]:
    """Watches what this process compiles; loops that are loaded from where they are kept do not count."""
    with event.install_listener("numba:compile", Compilations()) as watched:
        yield watched


def _fused(typing_context, a, b, c):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


# In compiled functions, fused(a, b, c) is a * b + c in float32, rounded once. A processor without such an
# instruction computes it in software, with the same result.
fused: Callable[..., Any] = intrinsic(_fused)


@intrinsic
def leading_zeros(typing_context, x):  # type: ignore[no-untyped-def]
    """In compiled functions: of a uint32 above 0, the zero bits above its highest one."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint32(types.uint32), generate


@intrinsic
def trailing_zeros(typing_context, x):  # type: ignore[no-untyped-def]
    """In compiled functions: of an int64 that is not 0, the zero bits below its lowest one."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate
