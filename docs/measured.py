"""Single figures of the measurements, from benchmarks.json and benchmarks-saliency.json."""

from __future__ import annotations

import dataclasses
import functools
import json
import statistics
from pathlib import Path
from typing import Any, Protocol

Sections = dict[str, Any]

_FILES = ("benchmarks.json", "benchmarks-saliency.json")


class NotMeasured(Exception):  # noqa: N818 (reads as the sentence it ends up in)
    """The section that a figure is of has not been measured."""


@functools.cache
def measured() -> Sections:
    """All sections by name."""
    sections: Sections = {}
    for name in _FILES:
        sections |= json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
    return sections


class Value(Protocol):
    """What a figure is taken from."""

    def value(self, sections: Sections) -> float:
        """The figure, with its sign.

        Raises:
          NotMeasured: there is no such section.
          ValueError: the section has no such figure.
        """


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a section's table.

    caption: how the table's caption begins.
    row: the first cell of the row, or its first cells.
    column: the head of the column.
    """

    section: str
    caption: str
    row: str | tuple[str, ...]
    column: str

    def value(self, sections: Sections) -> float:
        """See Value."""
        wanted = [self.row] if isinstance(self.row, str) else list(self.row)
        for row in table(sections, self.section, self.caption, self.column):
            if list(row.values())[: len(wanted)] == wanted:
                return number(row[self.column])
        raise ValueError(f"docs/benchmarks.json has no {self}")


@dataclasses.dataclass(frozen=True)
class Column:
    """The largest number of a table's column, or the mean of it.

    weights: the column that says how often each row counts in the mean; "" for the largest.
    """

    section: str
    caption: str
    column: str
    weights: str = ""

    def value(self, sections: Sections) -> float:
        """See Value."""
        rows = table(sections, self.section, self.caption, self.column)
        numbers = [number(row[self.column]) for row in rows]
        if not self.weights:
            return max(numbers)
        return statistics.fmean(numbers, [number(row[self.weights]) for row in rows])


@dataclasses.dataclass(frozen=True)
class Raw:
    """A figure that a section keeps unrounded: the keys that lead to it. A list counts as its mean."""

    section: str
    keys: tuple[str, ...]

    def value(self, sections: Sections) -> float:
        """See Value."""
        found = _section(sections, self.section)["figures"]
        for key in self.keys:
            if key not in found:
                raise ValueError(f"docs/benchmarks.json has no {self}")
            found = found[key]
        return statistics.fmean(found) if isinstance(found, list) else float(found)


@dataclasses.dataclass(frozen=True)
class Less:
    """One figure less another."""

    one: Value
    other: Value

    def value(self, sections: Sections) -> float:
        """See Value."""
        return self.one.value(sections) - self.other.value(sections)


@dataclasses.dataclass(frozen=True)
class Share:
    """One figure in percent of another."""

    one: Value
    other: Value

    def value(self, sections: Sections) -> float:
        """See Value."""
        return 100 * self.one.value(sections) / self.other.value(sections)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number in prose. It is shown without its sign, which is for the prose to say.

    form: of the number, as `format` takes it.
    """

    of: Value
    form: str = ".1f"

    def text(self, sections: Sections) -> str | None:
        """The number; None if the section was not measured.

        Raises:
          ValueError: the section has no such figure.
        """
        try:
            return format(abs(self.of.value(sections)), self.form)
        except NotMeasured:
            return None


def table(sections: Sections, name: str, caption: str, column: str = "") -> list[dict[str, str]]:
    """The rows of a section's table: cells by the heads of their columns.

    Args:
      sections: as measured.
      name: of the section.
      caption: how the table's caption begins.
      column: that the table has, if several captions begin alike.

    Raises:
      NotMeasured: there is no such section.
      ValueError: the section has no such table.
    """
    for found in _section(sections, name)["tables"]:
        if found["caption"].startswith(caption) and (not column or column in found["head"]):
            head = found["head"]
            return [dict(zip(head, row, strict=True)) for row in found["rows"]]
    raise ValueError(f"docs/benchmarks.json has no table {caption} with {column or 'any column'} in {name}")


def number(cell: str) -> float:
    """A cell's number, with the sign, without the percent sign."""
    return float(cell.replace(",", "").rstrip("%"))


def _section(sections: Sections, name: str) -> dict[str, Any]:
    if name not in sections:
        raise NotMeasured(name)
    section: dict[str, Any] = sections[name]
    return section
