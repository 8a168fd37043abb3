"""Formats figures for reports and messages."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable

from foveate.reports.contents import GateResult

NOTHING = "–"


def bytes_text(count: float | None) -> str:
    """Bytes in decimal units with three figures: `1.19 GB`."""
    if count is None:
        return NOTHING
    if abs(count) < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        count /= 1000
        if abs(count) < 999.5 or unit == "PB":
            break
    return f"{count:.{max(0, 2 - math.floor(math.log10(max(abs(count), 1))))}f} {unit}"


def count_text(count: int | None) -> str:
    """A count with thousands separators: `12,345`."""
    return NOTHING if count is None else f"{count:,}"


def share_text(share: float | None) -> str:
    """A share in percent: `87.9 %`."""
    return NOTHING if share is None else f"{100 * share:.1f} %"


def measure_text(value: float | None, unit: str = "") -> str:
    """A measure with digits to suit its unit; infinite PSNR is `lossless`."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "lossless"
    digits = {"points": 1, "dB": 2, "bpp": 3, "×": 2}.get(unit, 4)
    return f"{value:.{digits}f}"


def gain_text(value: float | None, unit: str = "") -> str:
    """A difference with its sign: `+0.46`."""
    if value is None:
        return NOTHING
    text = measure_text(abs(value), unit)
    sign = "" if not text.strip("0.") else "+" if value > 0 else "−"
    return sign + text


def signed(write: Callable[[float], str]) -> Callable[[float | None], str]:
    """A difference with its sign, its size formatted by `write`."""

    def text(value: float | None) -> str:
        if value is None:
            return NOTHING
        size = write(abs(value))
        if size.startswith("<"):
            return size if value > 0 else f"> −{size[2:]}"
        sign = "" if not any(digit in "123456789" for digit in size) else "+" if value > 0 else "−"
        return sign + size

    return text


def duration_text(seconds: float | None) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def time_text(time: datetime.datetime | None) -> str:
    """A time to the minute, in UTC."""
    return NOTHING if time is None else f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"


def money_text(amount: float | None) -> str:
    """An amount of money, without a currency: `1,234`, `12.34`, `0.012`, `< 0.001`."""
    if amount is None:
        return NOTHING
    size = abs(amount)
    if size == 0 or size >= 1000:
        return f"{amount:,.0f}"
    if size < 0.001:
        return "< 0.001" if amount > 0 else "> -0.001"
    return f"{amount:.{2 if size >= 0.1 else 3}f}"


def month_text(month: str) -> str:
    """`2024-05` as `May 2024`; anything else unchanged."""
    try:
        return f"{datetime.datetime.strptime(month, '%Y-%m'):%b %Y}"
    except ValueError:
        return month


def gate_text(gate: GateResult) -> str:
    """The result of a `--fail-if` condition, in words: `failed, since psnr_s.p05 < 34: it is 33.2`."""
    if gate.value is None:
        return f"{gate.figure} has no value here, which passes (fails if {gate.condition})"
    value = f"{100 * gate.value:.6g}%" if gate.condition.endswith("%") else f"{gate.value:.6g}"
    if gate.failed:
        return f"failed, since {gate.condition}: it is {value}"
    return f"{gate.figure} is {value}, which passes (fails if {gate.condition})"


FILTERS: dict[str, Callable[..., str]] = {
    "bytes": bytes_text,
    "number": count_text,
    "share": share_text,
    "measure": measure_text,
    "gain": gain_text,
    "signed_bytes": signed(bytes_text),
    "signed_money": signed(money_text),
    "signed_number": signed(lambda count: f"{count:,.0f}"),
    "signed_share": signed(share_text),
    "signed_points": signed(lambda share: f"{100 * share:.1f} points"),
    "duration": duration_text,
    "time": time_text,
    "money": money_text,
    "month": month_text,
    "gate": gate_text,
}
