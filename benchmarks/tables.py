"""Results of a benchmark: tables, the bars that figures must meet, and their printed forms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of text under a head; the first column is aligned left."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Bar:
    """A limit for a figure: at most, or at least."""

    what: str
    value: float
    limit: float
    unit: str
    at_most: bool

    @property
    def met(self) -> bool:
        """Whether the figure meets the limit; NaN does not."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclasses.dataclass(frozen=True)
class Section:
    """One benchmark's results.

    `figures` has those of the tables and more as numbers, ready for JSON.
    """

    name: str
    title: str
    text: str
    tables: tuple[Table, ...]
    bars: tuple[Bar, ...]
    figures: dict[str, Any]


def section_from(saved: dict[str, Any]) -> Section:
    """The inverse of `dataclasses.asdict`, after JSON."""
    tables = tuple(
        Table(t["caption"], tuple(t["head"]), tuple(tuple(row) for row in t["rows"])) for t in saved["tables"]
    )
    bars = tuple(Bar(**bar) for bar in saved["bars"])
    return Section(saved["name"], saved["title"], saved["text"], tables, bars, saved["figures"])


def plain_text(section: Section) -> str:
    """For the terminal."""
    lines = [section.title, "", section.text]
    for table in section.tables:
        lines += ["", table_text(table)]
    lines += ["", *_bar_lines(section)] if section.bars else []
    return "\n".join([*lines, ""])


def table_text(table: Table) -> str:
    """A table with aligned columns, under its caption."""
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    lines = [table.caption]
    for row in (table.head, *table.rows):
        cells = [cell.ljust(w) if not i else cell.rjust(w) for i, (cell, w) in enumerate(_with(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _with(row: tuple[str, ...], widths: list[int]) -> Iterator[tuple[str, int]]:
    return zip(row, widths, strict=True)


def markdown(section: Section) -> str:
    """A chapter of a document."""
    lines = [f"## {section.title}", "", section.text]
    for table in section.tables:
        rule = ["---", *["---:"] * (len(table.head) - 1)]
        lines += ["", f"{table.caption}:", "", *(_row(cells) for cells in (table.head, rule, *table.rows))]
    lines += ["", *(f"- {line}" for line in _bar_lines(section))] if section.bars else []
    return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bar_lines(section: Section) -> Iterator[str]:
    for bar in section.bars:
        unit = f" {bar.unit}" if bar.unit else ""
        limit = f"{'at most' if bar.at_most else 'at least'} {bar.limit:g}{unit}"
        yield f"{'met' if bar.met else 'NOT met'}: {bar.what}: {bar.value:.2f}{unit} ({limit})"


def number(value: float, form: str = ".2f") -> str:
    """A figure in a table's cell; a dash for one that there is not."""
    return "–" if math.isnan(value) else format(value, form)
