"""The charts of a report as Vega-Lite specifications, and the script that draws them.

Colours are the page's CSS variables, so that light, dark and paper need no second drawing.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import statistics
from typing import Any

import altair as alt
import vl_convert

from pipelines.reporting.aggregate import LOGARITHMIC, Histogram, Measure, Report, ScatterPoint

DECODED = "var(--decoded)"
RECONSTRUCTED = "var(--reconstructed)"
HISTOGRAMS_SHOWN = ("compression_ratio", "bits_per_pixel", "psnr_db", "psnr_s_db", "ssim", "ms_ssim")
MEDIAN_PHOTOS = 15  # photos that a median line wants at least for each of its points
MEDIAN_GROUPS = 8
TICKS_WANTED = 4
NINE_IN_TEN_PHOTOS = 20


@dataclasses.dataclass(frozen=True)
class Chart:
    """One figure: what it is called, what it shows in a sentence, and its Vega-Lite specification."""

    name: str
    title: str
    sentence: str
    two_series: bool
    spec: dict[str, Any]


@functools.cache
def vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script without any import, safe inside an HTML script element."""
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    # The stubs want a snippet; without one the bundle sets window.vegaEmbed.
    script = str(vl_convert.javascript_bundle(vl_version=version))  # type: ignore[call-arg]
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def distribution_charts(report: Report) -> list[Chart]:
    """A histogram for each of `HISTOGRAMS_SHOWN` that has values."""
    found = {histogram.name: histogram for histogram in report.histograms}
    return [histogram_chart(found[name], report.measure(name)) for name in HISTOGRAMS_SHOWN if name in found]


def histogram_chart(histogram: Histogram, measure: Measure) -> Chart:
    """Bars for the decoded photos and, over them, an outline for the reconstructed ones."""
    edges, counts = histogram.edges, histogram.decoded
    bars = [{"a": a, "b": b, "n": n} for (a, b), n in zip(itertools.pairwise(edges), counts, strict=True)]
    unit = f" ({histogram.unit})" if histogram.unit else ""
    if histogram.name in LOGARITHMIC:
        scale = alt.Scale(type="log", domain=[edges[0], edges[-1]], nice=False)
        axis = alt.Axis(values=_ticks(edges[0], edges[-1]), format="~g")
    else:
        scale, axis = alt.Scale(zero=False, nice=False), alt.Axis()
    x = alt.X("a:Q", title=histogram.label + unit, scale=scale, axis=axis)
    tooltip = [
        alt.Tooltip("a:Q", title="from", format=".4~g"),
        alt.Tooltip("b:Q", title="to", format=".4~g"),
        alt.Tooltip("n:Q", title="photos", format=",d"),
    ]
    bar = alt.Chart(alt.Data(values=bars)).mark_rect(color=DECODED, opacity=0.75, stroke="var(--card)")
    layers = [
        bar.encode(
            x=x,
            x2="b:Q",
            y=alt.Y("n:Q", title="photos", axis=alt.Axis(tickMinStep=1, format=",d")),
            tooltip=tooltip,
        )
    ]
    if histogram.reconstructed:
        counts = (*histogram.reconstructed, histogram.reconstructed[-1])
        steps = [{"a": a, "n": n} for a, n in zip(edges, counts, strict=True)]
        line = alt.Chart(alt.Data(values=steps)).mark_line(
            color=RECONSTRUCTED, interpolate="step-after", strokeWidth=2
        )
        layers.append(line.encode(x="a:Q", y="n:Q"))
    return Chart(
        name=histogram.name,
        title=histogram.label,
        sentence=_histogram_sentence(measure),
        two_series=histogram.reconstructed is not None,
        spec=_finished(alt.layer(*layers), height=190),
    )


def scatter_chart(points: tuple[ScatterPoint, ...]) -> Chart:
    """PSNR against the rate: one dot a decoded photo, and one for what RecCNN makes of it."""
    values = [
        {"f": p.relative_path, "b": round(p.bits_per_pixel, 4), "p": round(p.psnr_db, 2)}
        | ({} if p.rec_psnr_db is None else {"r": round(p.rec_psnr_db, 2)})
        for p in points
    ]
    rates = [point.bits_per_pixel for point in points]
    low, high = min(rates) / 1.08, max(rates) * 1.08
    x = alt.X(
        "b:Q",
        title="bits per pixel (logarithmic)",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=_ticks(low, high), format="~g"),
    )
    tooltip = [
        alt.Tooltip("f:N", title="photo"),
        alt.Tooltip("b:Q", title="bpp"),
        alt.Tooltip("p:Q", title="PSNR, dB"),
        alt.Tooltip("r:Q", title="reconstructed, dB"),
    ]
    base = alt.Chart(alt.Data(values=values))
    both = any(point.rec_psnr_db is not None for point in points)
    series = [("p", DECODED, "circle")] + ([("r", RECONSTRUCTED, "diamond")] if both else [])
    scale = alt.Scale(zero=False)
    layers = [
        base.transform_filter(f"isValid(datum.{field})")
        .mark_point(filled=True, color=colour, opacity=0.4, size=20, shape=shape)
        .encode(x=x, y=alt.Y(f"{field}:Q", title="PSNR (dB)", scale=scale), tooltip=tooltip)
        for field, colour, shape in series
    ]
    for field, colour, _ in series:
        if not (medians := _medians(values, field)):
            continue
        curve = alt.Chart(alt.Data(values=medians))
        halo = curve.mark_line(color="var(--card)", strokeWidth=6, interpolate="monotone")
        line = curve.mark_line(color=colour, strokeWidth=3, interpolate="monotone")
        layers += [layer.encode(x="b:Q", y="m:Q") for layer in (halo, line)]
    qualities = [point.psnr_db for point in points]
    sentence = (
        f"{len(points):,} photos between {min(rates):.3g} and {max(rates):.3g} bits per pixel, "
        f"decoded at {min(qualities):.1f} to {max(qualities):.1f} dB"
        f"{'; the lines are medians at like rates.' if len(points) >= MEDIAN_PHOTOS * 2 else '.'}"
    )
    return Chart("scatter", "Quality against rate", sentence, both, _finished(alt.layer(*layers), height=360))


def _medians(values: list[dict[str, Any]], field: str) -> list[dict[str, float]]:
    """The median of `field` over groups of photos of like rate, at each group's median rate."""
    ordered = sorted((value["b"], value[field]) for value in values if field in value)
    groups = max(1, min(MEDIAN_GROUPS, len(ordered) // MEDIAN_PHOTOS))
    if groups < 2:
        return []
    cuts = [len(ordered) * group // groups for group in range(groups + 1)]
    chunks = [ordered[a:b] for a, b in itertools.pairwise(cuts)]
    medians = ([statistics.median(column) for column in zip(*chunk, strict=True)] for chunk in chunks)
    return [{"b": rate, "m": quality} for rate, quality in medians]


def _histogram_sentence(measure: Measure) -> str:
    unit = f" {measure.unit}" if measure.unit in ("dB", "bpp") else measure.unit
    digits = ".1f" if unit == " dB" else ".4f" if "SSIM" in measure.label else ".3g"
    found = measure.decoded
    if found.median is None or found.p05 is None or found.p95 is None:
        return "Lossless throughout."
    text = f"Median {found.median:{digits}}{unit}"
    if found.photos >= NINE_IN_TEN_PHOTOS:
        text += f"; nine in ten between {found.p05:{digits}} and {found.p95:{digits}}"
    if measure.reconstructed and measure.reconstructed.median is not None:
        text += f"; reconstructed, median {measure.reconstructed.median:{digits}}{unit}"
    if found.lossless:
        text += f"; {found.lossless:,} lossless left out"
    return text + "."


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers within [low, high]: 1, 2, 5 times powers of ten, or finer where those are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), [tenth / 10 for tenth in range(10, 100)]):
        ticks = [digit * 10.0**power for power in powers for digit in digits]
        inside = [float(f"{tick:.3g}") for tick in ticks if low <= tick <= high]
        if len(inside) >= TICKS_WANTED:
            break
    return inside


def _finished(chart: Any, height: int) -> dict[str, Any]:
    """The specification: as wide as its place, without frame, in the page's colours."""
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
