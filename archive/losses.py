"""Formats the metadata that photos lost, for the metrics table's column `metadata_lost`.

The column holds one "name: details" for each kind of loss, one after the other, with "; " between; names are
of a small vocabulary, so that they can be counted.
"""

from __future__ import annotations

from collections.abc import Iterable

BETWEEN = "; "


def emit_losses(losses: Iterable[str]) -> str:
    """The column's text for losses such as "preview: 312 bytes"."""
    return BETWEEN.join(loss.replace(BETWEEN, ", ") for loss in losses)


def loss_names(column: str) -> tuple[str, ...]:
    """The distinct names in the column's text."""
    return tuple(dict.fromkeys(loss.partition(": ")[0] for loss in column.split(BETWEEN) if loss))
