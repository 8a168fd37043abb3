"""Evaluates conditions on a report's figures (`--fail-if 'psnr_s.p05 < 34'`)."""

from __future__ import annotations

import dataclasses
import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence

from foveate.reports.contents import GateResult

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(
    r"\s*([A-Za-z_][\w.]*)\s*(<=|>=|==|!=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(%?)\s*",
    re.ASCII,
)
_NEAREST = 5


class BadGate(ValueError):  # noqa: N818
    """A text that is not a condition, or whose figure does not exist; the message says what is valid."""


@dataclasses.dataclass(frozen=True)
class Gate:
    """One condition: `figure` `comparison` `limit`; `text` as it was written."""

    text: str
    figure: str
    comparison: str
    limit: float


def parse_gate(text: str) -> Gate:
    """`FIGURE < NUMBER`, with <, <=, >, >=, == or !=; a number may be in percent (%).

    Raises:
      BadGate: the text does not have this form.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise BadGate(f"{text!r} is not a condition; write, e.g., 'psnr_s.p05 < 34' or 'failed_share > 1%'")
    figure, comparison, number, percent = found.groups()
    return Gate(text.strip(), figure, comparison, float(number) / (100 if percent else 1))


def check_names(gates: Sequence[Gate], names: Sequence[str]) -> None:
    """Raises `BadGate` for the first gate whose figure is not among `names`; the message lists them."""
    for gate in gates:
        if gate.figure not in names:
            near = difflib.get_close_matches(gate.figure, names, _NEAREST, 0.5)
            nearest = f"; nearest: {', '.join(near)}" if near else ""
            raise BadGate(f"there is no figure {gate.figure!r}{nearest}. There are: {', '.join(names)}")


def judge(gates: Sequence[Gate], figures: Mapping[str, float | None]) -> tuple[GateResult, ...]:
    """The result of each gate; figures without a value (nothing was measured) do not fail."""
    return tuple(_judged(gate, figures[gate.figure]) for gate in gates)


def _judged(gate: Gate, value: float | None) -> GateResult:
    failed = value is not None and _COMPARE[gate.comparison](value, gate.limit)
    return GateResult(gate.text, gate.figure, value, failed)
