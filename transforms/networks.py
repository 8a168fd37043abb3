"""Runs networks through Beam's inference, with one handler that takes and returns our own elements.

Loading, sharing between threads and metrics are `RunInference`'s. One element is one batch: from 128 x 128
pixels on RecCNN gains nothing by more (processor time a photo, batches of 8), and MS-ROI, which would gain
6 ms a photo, would depend on which photos share its batch: 3 of 41 maps changed, and so would files
with the engine that made the batches.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from foveate.models.loading import Deferred, shared
from foveate.transforms.steps import Element, attempt, split_failures


class PhotoHandler(ModelHandler[Any, Any, Deferred]):  # type: ignore[misc]  # Beam is untyped
    """Applies `work(network, element)` to each element; exceptions become `Failure` elements."""

    def __init__(
        self,
        step: str,
        load: Callable[[], Any],
        work: Callable[[Any, Any], Any],
    ) -> None:
        super().__init__()
        self.step, self.load, self.work = step, load, work

    def load_model(self) -> Deferred:
        """The network, not yet loaded; the same one for every pipeline of a process."""
        return shared(self.step, self.load)

    def run_inference(
        self, batch: Sequence[Any], model: Deferred, inference_args: Mapping[str, Any] | None = None
    ) -> Iterator[Any]:
        """One result or failure for each element."""
        for element in batch:
            work = functools.partial(self._apply, model, element)
            result, failed = attempt(element.source.url, self.step, work)
            yield failed or result

    def _apply(self, model: Deferred, element: Any) -> Any:
        return self.work(model.get(), element)

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """Photos one by one."""
        return {"min_batch_size": 1, "max_batch_size": 1}

    def get_num_bytes(self, batch: Sequence[Any]) -> int:
        """Zero: to measure it, Beam would pickle the batch, a copy of all pixels."""
        return 0

    def get_metrics_namespace(self) -> str:
        """Where Beam counts this network's batches and times."""
        return f"foveate-{self.step}"


@dataclasses.dataclass
class NetworkStage(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """A stage in which a network processes photos one by one; outputs: "good" (main) and "failures".

    A stage is a dataclass whose fields are its parameters; `handler` says which network does what.
    """

    def handler(self) -> PhotoHandler:
        """The network and the function that applies it to one element."""
        raise NotImplementedError

    def expand(self, elements: Any) -> Any:
        """Runs inference, then separates the failures."""
        handler = self.handler()
        results = elements | f"Run {handler.step}" >> RunInference(handler).with_output_types(Element)
        return split_failures(results, handler.step)
