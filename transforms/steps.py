"""Runs a function per photo as a Beam step: results are passed on, problems become failure rows.

A failure leaves a step as a tagged output, which runs on every engine. No photo stops a run.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

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
    message = str(error) or repr(error)
    if isinstance(error, MemoryError):  # libraries word it in many ways, or not at all
        message = f"not enough memory; fewer workers at a time leave more for each ({message})"
    return Failure(url, step, type(error).__name__, redacted(message), now)


def attempt(url: str, step: str, work: Callable[[], Any]) -> tuple[Any, Failure | None]:
    """The result of `work`, or the failure row of what it raised."""
    try:
        return work(), None
    except (
        *BAD_INPUT,
        BadInput,
        FileNotFoundError,
        PermissionError,
        IsADirectoryError,
        ConnectionError,
        MemoryError,
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
        """The type that it is registered for."""
        return Element


beam.coders.registry.register_coder(Element, ElementCoder)


class PhotoStep(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Applies a function to each element: passes on its outputs, and tags its errors "failures"."""

    def __init__(self, step: str, work: Callable[[Any], Iterable[Any]]) -> None:
        self.step, self.work = step, work
        self.seconds = Metrics.distribution(NAMESPACE, f"{step}-milliseconds")

    def process(self, element: Any) -> Iterator[Any]:
        """Yields what `work` makes of an element, or its failure row."""
        start = time.perf_counter()
        outputs, failed = attempt(element.source.url, self.step, lambda: list(self.work(element)))
        self.seconds.update(int(1000 * (time.perf_counter() - start)))
        if failed:
            yield beam.pvalue.TaggedOutput(FAILURES, failed)
        else:
            yield from outputs


@dataclasses.dataclass
class PhotoStage(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """A stage that treats photos one by one; outputs: "good" (the main one), "failures", and its own tags.

    A stage is a dataclass whose fields are its parameters. It says what it is called in failures and metrics
    (`step`), which other outputs it has (`tags`), what its main output holds (`output`), and by `work` which
    pure function it applies.
    """

    step: ClassVar[str]
    tags: ClassVar[tuple[str, ...]] = ()
    output: ClassVar[Any] = Element

    def work(self) -> Callable[[Any], Iterable[Any]]:
        """The function of one element, with the stage's parameters bound."""
        raise NotImplementedError

    def expand(self, elements: Any) -> Any:
        """Applies `work` to every element."""
        applied = beam.ParDo(PhotoStep(self.step, self.work())).with_output_types(self.output)
        return elements | f"{self.step} each" >> applied.with_outputs(FAILURES, *self.tags, main="good")


def split_failures(elements: Any, label: str) -> Any:
    """Separates `Failure` elements from others: outputs `None` (the main one) and "failures"."""
    typed = beam.FlatMap(_tag_failures).with_output_types(Element)
    return elements | f"Set failures apart: {label}" >> typed.with_outputs(FAILURES, main="good")


def _tag_failures(element: Any) -> Iterator[Any]:
    yield beam.pvalue.TaggedOutput(FAILURES, element) if isinstance(element, Failure) else element
