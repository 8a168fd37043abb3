"""Tests that sizes and costs in the model cards are those of the networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving import multiply_accumulates
from foveate.models import comcnn, dncnn, reccnn
from foveate.models.tiling import WEIGHTS


def costs(model: Any) -> tuple[str, str]:
    """Parameters, and thousands of multiply-accumulates a pixel, as a card gives them."""
    return f"{model.count_params():,}", f"{multiply_accumulates(model) / 1000:.3g} kMAC per pixel"


def row(card: str, name: str) -> list[str]:
    """The cells of a row of a card's first table."""
    lines = (WEIGHTS / card).read_text().splitlines()
    return [cell.strip() for cell in next(line for line in lines if line.startswith(f"| {name}")).split("|")]


@pytest.mark.parametrize(
    ("card", "place", "model"),
    [
        ("restoration.md", 2, lambda: reccnn.build("fast")),
        ("restoration.md", 3, lambda: reccnn.build("best")),
        ("restoration.md", 4, comcnn.build),
        ("dncnn.md", 2, dncnn.build),
    ],
)
def test_a_card_says_what_a_network_has(card: str, place: int, model: Any) -> None:
    assert (row(card, "parameters")[place], row(card, "cost")[place]) == costs(model())


def test_every_file_of_weights_has_a_card() -> None:
    cards = "".join(card.read_text() for card in WEIGHTS.glob("*.md"))
    files: list[Path] = [file for file in WEIGHTS.iterdir() if file.suffix != ".md"]
    assert files and all(f"`{file.name}`" in cards for file in files)
