"""Parts that all charts share: the drawing library, the style, and figures as a table.

Colors are the page's CSS variables, so that light and dark mode and print need no second drawing.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import altair as alt
import vl_convert

TICKS_WANTED = 4
NARROW, WIDE = 190, 340  # heights in pixels


@dataclasses.dataclass(frozen=True)
class Key:
    """One entry of a chart's legend: its text, and the CSS class with its color."""

    label: str
    style: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart: its title, a sentence on what it shows, its Vega-Lite specification, and its figures.

    `rows` are texts under `headings`, starting with the row's name.
    """

    name: str
    title: str
    sentence: str
    keys: tuple[Key, ...]
    spec: dict[str, Any]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@functools.cache
def vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script without any import, safe inside an HTML script element."""
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    # The stubs want a snippet; without one the bundle sets window.vegaEmbed.
    script = str(vl_convert.javascript_bundle(vl_version=version))  # type: ignore[call-arg]
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def data(values: list[dict[str, Any]]) -> Any:
    """Values as a chart's data."""
    return alt.Data(values=values)


def logarithmic(low: float, high: float) -> dict[str, Any]:
    """A logarithmic scale and axis for [low, high], with ticks at round numbers."""
    return {
        "scale": alt.Scale(type="log", domain=[low, high], nice=False),
        "axis": alt.Axis(values=ticks(low, high), format="~g"),
    }


def ticks(low: float, high: float) -> list[float]:
    """Round numbers within [low, high]: 1, 2, 5 times powers of ten, or finer if those are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), [tenth / 10 for tenth in range(10, 100)]):
        found = [digit * 10.0**power for power in powers for digit in digits]
        inside = [float(f"{tick:.3g}") for tick in found if low <= tick <= high]
        if len(inside) >= TICKS_WANTED:
            break
    return inside


def finished(chart: Any, height: int) -> dict[str, Any]:
    """The complete specification: as wide as its container, without frame, in the page's colors."""
    axis = {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "titlePadding": 8,
        "tickCount": 6,
    }
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
    chart = chart.properties(width="container", height=height).configure(
        background="transparent",
        font=font,
        view={"stroke": None},
        axis=axis,
        axisX={"grid": False},
        aria=False,
    )
    return dict(chart.to_dict())
