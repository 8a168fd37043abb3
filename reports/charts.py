"""Draws the charts of reports and comparisons, as Vega-Lite specifications."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

import altair as alt

from foveate.reports.contents import (
    LOGARITHMIC,
    ComparedHistogram,
    Comparison,
    Group,
    Histogram,
    Measure,
    Report,
    ScatterPoint,
)
from foveate.reports.figures import bytes_text, count_text, measure_text, month_text, share_text
from foveate.reports.vega import NARROW, WIDE, Chart, Key, data, finished, logarithmic

HISTOGRAMS_SHOWN = (
    "ssimulacra2",
    "compression_ratio",
    "bits_per_pixel",
    "psnr_db",
    "psnr_s_db",
    "ssim",
    "ms_ssim",
)
SERIES = 6  # colors that tell reports apart; after these they come again
MEDIAN_PHOTOS = 15  # photos that a median line wants at least for each of its points
MEDIAN_GROUPS = 8
NINE_IN_TEN_PHOTOS = 20
FEW, MANY = 5, 150  # photos
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [4, 6])
_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_BOTH = (Key("decoded", "decoded"), Key("restored", "reconstructed"))


def report_charts(report: Report) -> dict[str, list[Chart]]:
    """The charts of a report by section: distributions, rate, months."""
    found = {histogram.name: histogram for histogram in report.histograms}
    shown = [name for name in HISTOGRAMS_SHOWN if name in found]
    months = [month for month in report.months if month.name]
    return {
        "distributions": [histogram_chart(found[name], report.measure(name)) for name in shown],
        "rate": [scatter_chart(report.scatter)] if report.scatter else [],
        "months": [months_chart(months)] if len(months) > 1 else [],
    }


def comparison_charts(comparison: Comparison) -> list[Chart]:
    """The distributions of all reports, overlaid."""
    found = {histogram.name: histogram for histogram in comparison.histograms}
    shown = [found[name] for name in HISTOGRAMS_SHOWN if name in found]
    medians = {measure.name: measure.medians for measure in comparison.measures}
    return [compared_chart(histogram, comparison.names, medians[histogram.name]) for histogram in shown]


# ---------------------------------------------------------------- distributions


def histogram_chart(histogram: Histogram, measure: Measure) -> Chart:
    """Bars for the decoded photos, overlaid with an outline for the reconstructed ones."""
    bars = [
        {"a": a, "b": b, "n": n}
        for (a, b), n in zip(itertools.pairwise(histogram.edges), histogram.decoded, strict=True)
    ]
    tooltip = [
        alt.Tooltip("a:Q", title="from", format=".4~g"),
        alt.Tooltip("b:Q", title="to", format=".4~g"),
        alt.Tooltip("n:Q", title="photos", format=",d"),
    ]
    bar = alt.Chart(data(bars)).mark_rect(color="var(--decoded)", opacity=0.75, stroke="var(--card)")
    series = [histogram.decoded] + ([histogram.reconstructed] if histogram.reconstructed else [])
    layers = [bar.encode(x=_bins(histogram), x2="b:Q", y=_photos_axis(*series), tooltip=tooltip)]
    layers += [_outline(histogram.edges, counts, "var(--reconstructed)", [1, 0]) for counts in series[1:]]
    keys = _BOTH[: len(series)]
    return Chart(
        name=histogram.name,
        title=histogram.label,
        sentence=_histogram_sentence(measure),
        keys=keys if len(keys) > 1 else (),
        spec=finished(alt.layer(*layers), NARROW),
        headings=(_with_unit(histogram), *(f"{key.label}, photos" for key in keys)),
        rows=_bin_rows(histogram, series),
    )


def compared_chart(
    histogram: ComparedHistogram, names: Sequence[str], medians: Sequence[float | None]
) -> Chart:
    """An outline for each report, with its own color and dash."""
    axes = {"x": _bins(histogram), "y": _photos_axis(*histogram.counts)}
    layers = [
        _outline(histogram.edges, counts, f"var(--series-{place % SERIES})", _DASHES[place % SERIES], **axes)
        for place, counts in enumerate(histogram.counts)
    ]
    said = ", ".join(
        f"{name} {measure_text(median, histogram.unit)} ({count_text(sum(counts))} photos)"
        for name, median, counts in zip(names, medians, histogram.counts, strict=True)
    )
    return Chart(
        name=histogram.name,
        title=histogram.label,
        sentence=f"Medians: {said}.",
        keys=tuple(Key(name, f"series-{place % SERIES}") for place, name in enumerate(names)),
        spec=finished(alt.layer(*layers), NARROW),
        headings=(_with_unit(histogram), *names),
        rows=_bin_rows(histogram, histogram.counts),
    )


def _outline(
    edges: Sequence[float],
    counts: Sequence[int],
    color: str,
    dash: list[int],
    x: Any = "a:Q",
    y: Any = "n:Q",
) -> Any:
    """A stepped line over bins; over bars, it shares their axes."""
    steps = [{"a": a, "n": n} for a, n in zip(edges, (*counts, counts[-1]), strict=True)]
    line = alt.Chart(data(steps)).mark_line(
        color=color, interpolate="step-after", strokeWidth=2, strokeDash=dash
    )
    return line.encode(x=x, y=y)


def _bins(histogram: Histogram | ComparedHistogram) -> Any:
    edges = histogram.edges
    look = {"scale": alt.Scale(zero=False, nice=False), "axis": alt.Axis()}
    if histogram.name in LOGARITHMIC:
        look = logarithmic(edges[0], edges[-1])
    return alt.X("a:Q", title=_with_unit(histogram), **look)


def _photos_axis(*series: Sequence[int]) -> Any:
    """Counts from 0; with every whole number if they are few, since Vega would label halves."""
    most = max(map(max, series))
    few = {"values": list(range(most + 1))} if most <= FEW else {}
    return alt.Y("n:Q", title="photos", axis=alt.Axis(format=",d", **few))


def _with_unit(histogram: Histogram | ComparedHistogram) -> str:
    return histogram.label + (f" ({histogram.unit})" if histogram.unit else "")


def _bin_rows(
    histogram: Histogram | ComparedHistogram, series: Sequence[Sequence[int]]
) -> tuple[tuple[str, ...], ...]:
    edges = [measure_text(edge, histogram.unit) for edge in histogram.edges]
    return tuple(
        (f"{a} to {b}", *(count_text(counts[place]) for counts in series))
        for place, (a, b) in enumerate(itertools.pairwise(edges))
    )


def _histogram_sentence(measure: Measure) -> str:
    unit = f" {measure.unit}" if measure.unit in ("dB", "bpp", "points") else measure.unit
    digits = ".1f" if unit in (" dB", " points") else ".4f" if "SSIM" in measure.label else ".3g"
    found = measure.decoded
    if found.median is None or found.p05 is None or found.p95 is None:
        return "Lossless throughout."
    text = f"Median {found.median:{digits}}{unit}"
    if found.photos >= NINE_IN_TEN_PHOTOS:
        text += f"; nine in ten between {found.p05:{digits}} and {found.p95:{digits}}"
    if measure.reconstructed and measure.reconstructed.median is not None:
        text += f"; restored, median {measure.reconstructed.median:{digits}}{unit}"
    if found.lossless:
        text += f"; {found.lossless:,} lossless left out"
    return text + "."


# ---------------------------------------------------------------- quality against rate


def scatter_chart(points: tuple[ScatterPoint, ...]) -> Chart:
    """PSNR against the rate: one dot per decoded photo, and one for its reconstruction."""
    values = [
        {"f": p.relative_path, "b": round(p.bits_per_pixel, 4), "p": round(p.psnr_db, 2)}
        | ({} if p.rec_psnr_db is None else {"r": round(p.rec_psnr_db, 2)})
        for p in points
    ]
    rates = [point.bits_per_pixel for point in points]
    x = alt.X(
        "b:Q", title="bits per pixel (logarithmic)", **logarithmic(min(rates) / 1.08, max(rates) * 1.08)
    )
    tooltip = [
        alt.Tooltip("f:N", title="photo"),
        alt.Tooltip("b:Q", title="bpp"),
        alt.Tooltip("p:Q", title="PSNR, dB"),
        alt.Tooltip("r:Q", title="restored, dB"),
    ]
    base = alt.Chart(data(values))
    both = any(point.rec_psnr_db is not None for point in points)
    series = [("p", "var(--decoded)", "circle"), ("r", "var(--reconstructed)", "diamond")][: 1 + both]
    scale = alt.Scale(zero=False)
    size, opacity = (20, 0.4) if len(points) > MANY else (60, 0.8)
    layers = [
        base.transform_filter(f"isValid(datum.{field})")
        .mark_point(filled=True, color=color, opacity=opacity, size=size, shape=shape)
        .encode(x=x, y=alt.Y(f"{field}:Q", title="PSNR (dB)", scale=scale), tooltip=tooltip)
        for field, color, shape in series
    ]
    medians = {field: like_rates(values, field) for field, _, _ in series}
    for field, color, _ in series:
        if len(medians[field]) > 1:
            curve = alt.Chart(data(medians[field]))
            halo = curve.mark_line(color="var(--card)", strokeWidth=6, interpolate="monotone")
            line = curve.mark_line(color=color, strokeWidth=3, interpolate="monotone")
            layers += [layer.encode(x="b:Q", y="m:Q") for layer in (halo, line)]
    return Chart(
        name="scatter",
        title="Quality against rate",
        sentence=_scatter_sentence(points),
        keys=_BOTH if both else (),
        spec=finished(alt.layer(*layers), WIDE),
        headings=("Photos, at a median of", *(f"{key.label}, median PSNR" for key in _BOTH[: 1 + both])),
        rows=_rate_rows(list(medians.values())),
    )


def like_rates(values: list[dict[str, Any]], field: str) -> list[dict[str, float]]:
    """Groups of photos of similar rate: the median rate (b), the median of `field` (m), how many (n)."""
    ordered = sorted((value["b"], value[field]) for value in values if field in value)
    groups = max(1, min(MEDIAN_GROUPS, len(ordered) // MEDIAN_PHOTOS))
    cuts = [len(ordered) * group // groups for group in range(groups + 1)]
    chunks = [ordered[a:b] for a, b in itertools.pairwise(cuts) if b > a]
    medians = ([statistics.median(column) for column in zip(*chunk, strict=True)] for chunk in chunks)
    return [
        {"b": rate, "m": quality, "n": len(chunk)}
        for chunk, (rate, quality) in zip(chunks, medians, strict=True)
    ]


def _rate_rows(series: list[list[dict[str, float]]]) -> tuple[tuple[str, ...], ...]:
    """A row for each group of similar rate; reconstructed photos have no more groups than decoded ones."""
    return tuple(
        (
            f"{count_text(int(group[0]['n']))} at {measure_text(group[0]['b'], 'bpp')} bpp",
            *(f"{measure_text(one['m'], 'dB')} dB" if one else "" for one in group),
        )
        for group in itertools.zip_longest(*series)
        if group[0]
    )


def _scatter_sentence(points: tuple[ScatterPoint, ...]) -> str:
    rates = [point.bits_per_pixel for point in points]
    qualities = [point.psnr_db for point in points]
    low, high = f"{min(rates):.3g}", f"{max(rates):.3g}"
    return (
        f"{len(points):,} photos {f'between {low} and' if low != high else 'at'} {high} bits per pixel, "
        f"decoded at {min(qualities):.1f} to {max(qualities):.1f} dB"
        f"{'; the lines are medians at like rates.' if len(points) >= MEDIAN_PHOTOS * 2 else '.'}"
    )


# ---------------------------------------------------------------- by month


def months_chart(months: Sequence[Group]) -> Chart:
    """A column for each month's bytes: archived ones below saved ones."""
    largest = max(months, key=lambda month: month.source_bytes)
    unit, scale = next(
        (name, size) for name, size in _UNITS if largest.source_bytes >= size or name == _UNITS[-1][0]
    )
    values = [  # the month's middle, which is in that month in every time zone
        {"t": f"{month.name}-15", "k": label, "o": order, "g": count / scale}
        for month in months
        for order, label, count in (
            (0, "archived", month.archive_bytes),
            (1, "saved", max(0, month.source_bytes - month.archive_bytes)),
        )
    ]
    colors = alt.Scale(domain=["archived", "saved"], range=["var(--decoded)", "var(--saved)"])
    chart = alt.Chart(data(values)).mark_bar(stroke="var(--card)", strokeWidth=0.5)
    chart = chart.encode(
        x=alt.X("yearmonth(t):T", title=None, axis=alt.Axis(format="%b %Y", labelAngle=0, labelOverlap=True)),
        y=alt.Y("g:Q", title=unit),
        color=alt.Color("k:N", scale=colors, legend=None),
        order=alt.Order("o:Q"),
        tooltip=[
            alt.Tooltip("t:T", title="month", format="%B %Y"),
            alt.Tooltip("k:N", title="bytes"),
            alt.Tooltip("g:Q", title=unit, format=".4~g"),
        ],
    )
    return Chart(
        name="months",
        title="Bytes by month",
        sentence=f"From {month_text(months[0].name)} to {month_text(months[-1].name)}; most in "
        f"{month_text(largest.name)}, {bytes_text(largest.source_bytes)}, of which "
        f"{share_text(_saved_share(largest))} is saved.",
        keys=(Key("archived", "decoded"), Key("saved", "saved")),
        spec=finished(chart, NARROW),
        headings=("Month", "Before", "Archived"),
        rows=tuple(
            (month_text(month.name), bytes_text(month.source_bytes), bytes_text(month.archive_bytes))
            for month in months
        ),
    )


def _saved_share(group: Group) -> float | None:
    saved = group.source_bytes - group.archive_bytes
    return saved / group.source_bytes if group.source_bytes else None
