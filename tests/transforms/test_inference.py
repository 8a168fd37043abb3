"""Networks behind Beam's inference: loaded when first needed, and one bad element harms no other."""

from __future__ import annotations

import concurrent.futures
import functools
import time
from typing import Any

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from foveate.transforms.elements import Failure
from foveate.transforms.inference import Deferred, PhotoHandler, RunNetwork
from foveate.transforms.steps import FAILURES, BadInput


class Divider:
    """The smallest of networks."""

    def __call__(self, number: int) -> float:
        if number == 13:
            raise BadInput("thirteen is not taken")
        return 1 / number


def apply(network: Divider, number: int) -> float:
    return network(number)


def handler() -> PhotoHandler:
    return PhotoHandler("Divide", str, Divider, apply)


def test_a_network_is_loaded_when_first_needed_and_once() -> None:
    loads: list[int] = []

    def load() -> Divider:
        time.sleep(0.02)
        loads.append(1)
        return Divider()

    deferred = PhotoHandler("Divide", str, load, apply).load_model()
    assert not loads
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        networks = list(pool.map(lambda _: deferred.get(), range(16)))
    assert len(loads) == 1 and len(set(map(id, networks))) == 1


def test_an_empty_batch_loads_nothing() -> None:
    def load() -> Any:
        raise AssertionError("loaded")

    assert not list(PhotoHandler("Divide", str, load, apply).run_inference([], Deferred(load)))


def test_one_bad_element_fails_alone() -> None:
    results = list(handler().run_inference([2, 13, 0, 4], handler().load_model()))
    assert results[0] == 0.5 and results[3] == 0.25
    assert all(isinstance(result, Failure) for result in results[1:3])
    assert (results[1].url, results[1].step, results[1].message) == ("13", "Divide", "thirteen is not taken")
    assert "internal error" in results[2].step


def test_a_network_that_does_not_load_is_every_elements_failure() -> None:
    def load() -> Any:
        raise FileNotFoundError("no weights at /nowhere")

    broken = PhotoHandler("Divide", str, load, apply)
    results = list(broken.run_inference([1, 2], broken.load_model()))
    assert [result.message for result in results] == ["no weights at /nowhere"] * 2


def test_on_the_runner_results_and_failures_leave_apart() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        results = pipeline | beam.Create([2, 13, 4]) | "Divide all" >> RunNetwork(handler())
        failed = results[FAILURES] | "Urls" >> beam.Map(lambda failure: failure.url)
        assert_that(results.good, equal_to([0.5, 0.25]), label="good")
        assert_that(failed, equal_to(["13"]), label="failed")


def of_size(size: str) -> list[str]:
    return [size]


def test_pipelines_of_one_process_share_a_network() -> None:
    handlers = [PhotoHandler("x", str, functools.partial(of_size, size), apply) for size in ("a", "a", "b")]
    one, same, other = (handler.load_model().get() for handler in handlers)
    assert one is same and other == ["b"]
