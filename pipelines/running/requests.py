"""Reports how many requests a run has sent to object stores, which charge for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines
from foveate.storage.requests import COUNTER, requests_made

_NAMES = {
    "list": ("listing", "listings"),
    "look": ("metadata request", "metadata requests"),
    "read": ("read", "reads"),
    "write": ("write", "writes"),
    "delete": ("delete", "deletes"),
}


class RequestTally:
    """Counts requests from its creation on."""

    def __init__(self) -> None:
        self._before = requests_made()

    def total(self, counts: Mapping[str, int], beam_flags: Sequence[str]) -> dict[str, int]:
        """The requests of this process, and of workers in others, by kind.

        Args:
          counts: Beam's counters of the run, which hold those of all workers.
          beam_flags: which engine ran it.
        """
        made = requests_made() - self._before
        if not engines.works_in_this_process(beam_flags):
            made.update({kind: counts.get(COUNTER + kind, 0) for kind in _NAMES})
        return {kind: made[kind] for kind in _NAMES if made[kind]}


def say_requests(requests: Mapping[str, int], run_id: str) -> None:
    """Says how many requests of each kind there were, if any."""
    if requests:
        parts = [f"{count:,} {_NAMES[kind][count != 1]}" for kind, count in requests.items()]
        said = f"Requests to object stores: {', '.join(parts)}"
        user_log.info(said, extra={"fields": {"run": run_id, "requests": dict(requests)}})
