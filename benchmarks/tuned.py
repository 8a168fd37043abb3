"""Measures the gain of tuning for the eye and its cost in PSNR, beside other codecs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import curves
from benchmarks.fidelity import HOW, REFERENCE, TUNED, Measured, bd_rates, codecs_of, mean_at
from benchmarks.tables import Bar, Section, Table, number

_RATES = (0.25, 0.5, 1.0)
_LIMIT, _GOAL = -18.0, -25.0  # percent, in SSIMULACRA 2
_SIMILAR_LIMIT = -22.0  # percent, in MS-SSIM
_LOSS_RATE, _MOST_LOSS_DB = 0.5, 0.35  # of PSNR


def visual_section(photos: Sequence[Measured]) -> Section:
    """BD-rates in SSIMULACRA 2 and MS-SSIM, and SSIMULACRA 2 itself, of all codecs.

    Args:
      photos: curves of each photo, of OpenJPEG and Foveate's tuned files among them.
    """
    mine, similar = (bd_rates(photos, TUNED, figure) for figure in ("ssimulacra2", "ms_ssim"))
    theirs, ours = (mean_at(photos, codec, _LOSS_RATE, "psnr") for codec in (REFERENCE, TUNED))
    bars = (
        Bar("BD-rate in SSIMULACRA 2, whole files", curves.mean(mine), _LIMIT, "%", True),
        Bar("the goal", curves.mean(mine), _GOAL, "%", True),
        Bar("BD-rate in MS-SSIM, whole files", curves.mean(similar), _SIMILAR_LIMIT, "%", True),
        Bar(f"PSNR given up at {_LOSS_RATE:g} bpp", theirs - ours, _MOST_LOSS_DB, "dB", True),
    )
    text = (
        "`--roi none --tune visual`. SSIMULACRA 2 is a score of at most 100: 90 is visually lossless, 70 "
        "high and 50 medium quality. BD-rates are over SSIMULACRA 2 and -10 log10(1 - MS-SSIM), in the "
        f"range that OpenJPEG's files reach from 0.125 to 2 bits per pixel. {HOW}"
    )
    head = (
        *("codec", "BD-rate, SSIMULACRA 2, %", "BD-rate, MS-SSIM, %", "BD-rate, PSNR, %"),
        *(f"at {rate:g} bpp" for rate in _RATES),
    )
    caption = f"BD-rates against OpenJPEG, and mean SSIMULACRA 2, {len(photos)} photos"
    table = Table(caption, head, tuple(_row(photos, codec) for codec in codecs_of(photos)))
    figures = {"percent": mine, "ms_ssim_percent": similar}
    return Section("visual", "Nothing favored: what people see", text, (table,), bars, figures)


def _row(photos: Sequence[Measured], codec: str) -> tuple[str, ...]:
    percents = (curves.mean(bd_rates(photos, codec, figure)) for figure in ("ssimulacra2", "ms_ssim", "psnr"))
    scores = (mean_at(photos, codec, rate, "ssimulacra2") for rate in _RATES)
    return (codec, *(number(v, "+.1f") for v in percents), *(number(v, ".1f") for v in scores))
