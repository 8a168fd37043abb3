"""Draws the curves: mean figures of all codecs over bits per pixel.

What ComCNN adds is too little to be seen, and is left to the tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import vl_convert

from benchmarks.fidelity import REFERENCE, TUNED
from benchmarks.restored import PLAIN, Way

_COLORS = {
    REFERENCE: "#1f2933",
    PLAIN: "#d6336c",
    Way("fast").name: "#f08c00",
    Way("best").name: "#c92a2a",
    TUNED: "#862e9c",
    "JPEG": "#adb5bd",
    "WebP": "#5c940d",
    "JPEG XL": "#1971c2",
    "AVIF": "#0b7285",
}
_PANELS = {
    "ssimulacra2": "mean SSIMULACRA 2 (nothing favored)",
    "psnr": "mean PSNR, dB (nothing favored)",
    "ms_ssim": "mean MS-SSIM, −10 log10(1 − x) (nothing favored)",
    "psnr_s": "mean PSNR-S, dB (MS-ROI's map favored)",
}


def curves_svg(points: Sequence[dict[str, float | str]]) -> str:
    """An SVG with a panel for each figure among the points of `fidelity.mean_curves`."""
    rates = sorted({float(point["bits_per_pixel"]) for point in points})
    points = [point for point in points if point["codec"] in _COLORS]
    names = [name for name in _COLORS if any(point["codec"] == name for point in points)]
    colors = alt.Scale(domain=names, range=[_COLORS[name] for name in names])
    x = alt.X(
        "bits_per_pixel:Q",
        title="bits per pixel",
        scale=alt.Scale(type="log", domain=[rates[0], rates[-1]]),
        axis=alt.Axis(values=rates, format="~g"),
    )
    panels = [
        alt.Chart(alt.Data(values=[point for point in points if point["figure"] == figure]))
        .mark_line(point=alt.OverlayMarkDef(size=16), strokeWidth=1.5)
        .encode(
            x=x,
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
            color=alt.Color("codec:N", title=None, scale=colors, sort=names),
        )
        .properties(width=300, height=320)
        for figure, title in _PANELS.items()
        if any(point["figure"] == figure for point in points)
    ]
    chart = (
        alt.concat(*panels, columns=2)
        .configure(background="white")
        .configure_axis(labelFontSize=14, titleFontSize=12)
        .configure_legend(orient="bottom", columns=2, labelFontSize=14, labelLimit=400, columnPadding=30)
    )
    return str(vl_convert.vegalite_to_svg(chart.to_dict()))
