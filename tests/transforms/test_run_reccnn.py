"""RecCNN in the pipelines: the shipped network, as every pipeline and every watch round asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from foveate.models import tiling
from foveate.transforms.run_reccnn import RecCnn, RestoreCoded


def test_pipelines_of_one_process_share_the_shipped_network(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[object] = []
    load = tiling.load

    def counted(*arguments: Any) -> tiling.Network:
        loads.append(arguments)
        return load(*arguments)

    monkeypatch.setattr(tiling, "load", counted)
    RestoreCoded(RecCnn("best", "float32")).handler().load_model()  # lets go whatever other tests loaded
    rounds = [RestoreCoded(RecCnn("fast", "float32")) for _ in range(2)]
    networks = [stage.handler().load_model().get() for stage in rounds]
    other = RestoreCoded(RecCnn("fast", "bfloat16")).handler().load_model().get()
    assert networks[0] is networks[1] is not other
    assert len(loads) == 2
