"""Tests networks behind Beam's inference: loaded when first needed, and one bad element affects no other."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import gc
import time
import weakref
from typing import Any, ClassVar

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive.rows import Failure
from foveate.models.loading import Deferred
from foveate.storage.errors import BadInput
from foveate.transforms.networks import NetworkStage, PhotoHandler
from foveate.transforms.steps import FAILURES
from tests.photos import Number


class Divider:
    """The smallest of networks."""

    def __call__(self, number: int) -> float:
        if number == 13:
            raise BadInput("thirteen is not taken")
        return 1 / number


def apply(network: Divider, number: Number) -> float:
    return network(number.value)


def numbers(*values: int) -> list[Number]:
    return [Number(value) for value in values]


def handler() -> PhotoHandler:
    return PhotoHandler("Divide", Divider, apply)


class Divide(NetworkStage):
    def handler(self) -> PhotoHandler:
        return handler()


def test_a_network_is_loaded_when_first_needed_and_once() -> None:
    loads: list[int] = []

    def load() -> Divider:
        time.sleep(0.02)
        loads.append(1)
        return Divider()

    deferred = PhotoHandler("Divide", load, apply).load_model()
    assert not loads
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        networks = list(pool.map(lambda _: deferred.get(), range(16)))
    assert len(loads) == 1 and len(set(map(id, networks))) == 1


def test_an_empty_batch_loads_nothing() -> None:
    def load() -> Any:
        raise AssertionError("loaded")

    assert not list(PhotoHandler("Divide", load, apply).run_inference([], Deferred(load)))


def test_one_bad_element_fails_alone() -> None:
    results = list(handler().run_inference(numbers(2, 13, 0, 4), handler().load_model()))
    assert results[0] == 0.5 and results[3] == 0.25
    assert all(isinstance(result, Failure) for result in results[1:3])
    assert (results[1].url, results[1].step, results[1].message) == ("13", "Divide", "thirteen is not taken")
    assert "internal error" in results[2].step


def test_a_network_that_does_not_load_is_every_elements_failure() -> None:
    def load() -> Any:
        raise FileNotFoundError("no weights at /nowhere")

    broken = PhotoHandler("Divide", load, apply)
    results = list(broken.run_inference(numbers(1, 2), broken.load_model()))
    assert [result.message for result in results] == ["no weights at /nowhere"] * 2


def test_on_the_runner_results_and_failures_leave_apart() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        results = pipeline | beam.Create(numbers(2, 13, 4)) | "Divide all" >> Divide()
        failed = results[FAILURES] | "Urls" >> beam.Map(lambda failure: failure.url)
        assert_that(results.good, equal_to([0.5, 0.25]), label="good")
        assert_that(failed, equal_to(["13"]), label="failed")


class Loads:
    """Counts how often each network was loaded; a class attribute, since handlers are pickled."""

    of: ClassVar[list[tuple[str, str]]] = []


def load_sized(size: str, precision: str) -> Divider:
    Loads.of.append((size, precision))
    return Divider()


def sized(size: str, precision: str = "float32") -> PhotoHandler:
    """A new handler, as every pipeline and every round of a watch makes."""
    return PhotoHandler("Sized", functools.partial(load_sized, size, precision=precision), apply)


@dataclasses.dataclass
class RunSized(NetworkStage):
    size: str

    def handler(self) -> PhotoHandler:
        return sized(self.size)


def test_pipelines_of_one_process_load_a_network_once() -> None:
    Loads.of.clear()
    for _ in range(3):
        with TestPipeline(runner="FnApiRunner") as pipeline:
            results = pipeline | beam.Create(numbers(2, 4)) | RunSized("fast")
            assert_that(results.good, equal_to([0.5, 0.25]))
    assert Loads.of == [("fast", "float32")]


def test_another_size_or_precision_is_another_network_and_replaces_the_former() -> None:
    Loads.of.clear()
    former = weakref.ref(sized("former").load_model().get())
    assert sized("former").load_model().get() is former()
    for handler in (sized("best"), sized("best", "bfloat16"), sized("best", "bfloat16")):
        handler.load_model().get()
    assert Loads.of == [("former", "float32"), ("best", "float32"), ("best", "bfloat16")]
    gc.collect()
    assert former() is None
