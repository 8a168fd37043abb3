"""How a step treats one photo: what comes out goes on, what is wrong with it becomes a failure row.

A failure leaves a step as a tagged output, which runs on every engine. No photo stops a run.
"""

from __future__ import annotations

import datetime
import logging
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from foveate.archive.rows import Failure
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.pictures.picture import BadPicture
from foveate.storage.errors import BadInput, CannotGoOn
from foveate.storage.redaction import redacted

FAILURES = "failures"
NAMESPACE = "foveate"
BAD_INPUT = (BadPicture, BadCodestream, UnsupportedCodestream)

_log = logging.getLogger("foveate")


def failure(url: str, step: str, error: BaseException) -> Failure:
    """The failure row of an error."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Failure(url, step, type(error).__name__, redacted(str(error) or repr(error)), now)


def attempt(url: str, step: str, work: Callable[[], Any]) -> tuple[Any, Failure | None]:
    """What `work` returns, or the failure row of what it raised."""
    try:
        return work(), None
    except (
        *BAD_INPUT,
        BadInput,
        FileNotFoundError,
        PermissionError,
        IsADirectoryError,
        ConnectionError,
    ) as error:
        return None, failure(url, step, error)
    except CannotGoOn:
        raise
    except Exception as error:  # a bug of ours or of a library must be seen, yet not stop the other photos
        _log.exception("internal error at step %s of %s", step, url)
        return None, failure(url, f"{step} (internal error)", error)


class Element:
    """Any dataclass of `transforms.elements`, for Beam's type hints: it chooses their coder."""


class ElementCoder(beam.coders.Coder):  # type: ignore[misc]  # Beam is untyped
    """Pickles an element that has to leave its process, and does not weigh it.

    Beam's own coders pickle what they sample to learn its size: at every step a copy of all pixels, twice.
    """

    def encode(self, value: Any) -> bytes:
        """The element's bytes."""
        return pickle.dumps(value, protocol=5)

    def decode(self, encoded: bytes) -> Any:
        """The other half of `encode`."""
        return pickle.loads(encoded)

    def estimate_size(self, value: Any) -> int:
        """One, whatever the element."""
        return 1

    def is_deterministic(self) -> bool:
        """No: pickles are no keys."""
        return False

    def to_type_hint(self) -> type[Element]:
        """What it is registered for."""
        return Element


beam.coders.registry.register_coder(Element, ElementCoder)


class PhotoStep(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Applies a function to each element; its outputs go on, its errors to the tag "failures"."""

    def __init__(self, step: str, url_of: Callable[[Any], str], work: Callable[[Any], Iterable[Any]]) -> None:
        self.step, self.url_of, self.work = step, url_of, work
        self.seconds = Metrics.distribution(NAMESPACE, f"{step}-milliseconds")

    def process(self, element: Any) -> Iterator[Any]:
        """Yields what `work` makes of an element, or its failure row."""
        start = time.perf_counter()
        url = self.url_of(element)
        outputs, failed = attempt(url, self.step, lambda: list(self.work(element)))
        self.seconds.update(int(1000 * (time.perf_counter() - start)))
        if failed:
            yield beam.pvalue.TaggedOutput(FAILURES, failed)
        else:
            yield from outputs


def step(
    name: str,
    url_of: Callable[[Any], str],
    work: Callable[[Any], Iterable[Any]],
    *tags: str,
    output: Any = Element,
) -> Any:
    """The transform of a `PhotoStep`; outputs: "good" (the main one), "failures", and the tags of `work`.

    `output` is the type of what the main one holds, where that is no `Element`.
    """
    typed = beam.ParDo(PhotoStep(name, url_of, work)).with_output_types(output)
    return typed.with_outputs(FAILURES, *tags, main="good")


def split_failures(elements: Any, label: str) -> Any:
    """Separates `Failure` elements from others: outputs `None` (the main one) and "failures"."""
    typed = beam.FlatMap(_tag_failures).with_output_types(Element)
    return elements | f"Set failures apart: {label}" >> typed.with_outputs(FAILURES, main="good")


def _tag_failures(element: Any) -> Iterator[Any]:
    yield beam.pvalue.TaggedOutput(FAILURES, element) if isinstance(element, Failure) else element
