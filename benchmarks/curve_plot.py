"""The curves as a picture: mean PSNR and MS-SSIM of all codecs over bits per pixel."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import vl_convert

from benchmarks.fidelity import CODECS

_COLORS = ("#1f2933", "#d6336c", "#862e9c", "#adb5bd", "#5c940d", "#1971c2", "#e67700")
_PANELS = (("psnr", "mean PSNR, dB"), ("ms_ssim", "mean MS-SSIM, −10 log10(1 − x)"))


def curves_svg(points: Sequence[dict[str, float | str]]) -> str:
    """An SVG of two panels from the points of `fidelity.mean_curves`."""
    rates = sorted({float(point["bits_per_pixel"]) for point in points})
    colors = alt.Scale(domain=list(CODECS), range=list(_COLORS))
    x = alt.X(
        "bits_per_pixel:Q",
        title="bits per pixel",
        scale=alt.Scale(type="log", domain=[rates[0], rates[-1]]),
        axis=alt.Axis(values=rates, format="~g"),
    )
    panels = [
        alt.Chart(alt.Data(values=list(points)))
        .mark_line(point=alt.OverlayMarkDef(size=16), strokeWidth=1.5)
        .encode(
            x=x,
            y=alt.Y(f"{figure}:Q", title=title, scale=alt.Scale(zero=False)),
            color=alt.Color("codec:N", title=None, scale=colors, sort=list(CODECS)),
        )
        .properties(width=320, height=300)
        for figure, title in _PANELS
    ]
    chart = alt.hconcat(*panels).configure(background="white")
    return str(vl_convert.vegalite_to_svg(chart.to_dict()))
