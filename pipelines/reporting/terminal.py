"""A report in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import markup
from rich.console import Console
from rich.table import Table

from pipelines.reporting.aggregate import Group, Measure, Report
from pipelines.reporting.figures import (
    bytes_text,
    count_text,
    duration_text,
    gain_text,
    measure_text,
    share_text,
)

FOLDERS_SHOWN = 12


def print_report(report: Report, console: Console) -> None:
    """Print `report`'s figures as tables to `console`."""
    ends = report.accounting
    sizes = report.sizes
    outcomes = ("compressed", "kept", "skipped", "failed")
    sum_ = " + ".join(f"{count_text(getattr(ends, outcome))} {outcome}" for outcome in outcomes)
    console.print(f"[bold]{count_text(ends.sources)} sources[/] = {sum_}")
    console.print(
        f"[bold]{bytes_text(sizes.before_bytes)}[/] → [bold]{bytes_text(sizes.after_bytes)}[/], "
        f"saved {bytes_text(sizes.saved_bytes)} ({share_text(sizes.saved_share)})"
    )
    tables = (
        measures_table(report.measures),
        groups_table("Folder", report.folders[:FOLDERS_SHOWN], report.folders_total),
        groups_table("Format", report.formats, report.formats_total),
        reasons_table(report),
        failures_table(report),
        steps_table(report),
    )
    for table in tables:
        if table.row_count:
            console.print()
            console.print(table)


def measures_table(measures: Sequence[Measure]) -> Table:
    """Mean, median, 5 and 95 % of every measure that has values, decoded and reconstructed."""
    both = any(measure.mean_gain is not None for measure in measures)
    names = ["Mean", "Median", "5 %", "95 %", "Lossless"] + (["Reconstructed", "Gain"] if both else [])
    table = borderless_table("Measure", names)
    for measure in measures:
        found, unit = measure.decoded, measure.unit
        if not found.photos:
            continue
        values = [measure_text(value, unit) for value in (found.mean, found.median, found.p05, found.p95)]
        values.append(count_text(found.lossless) if found.lossless else "")
        if both:
            rec = measure.reconstructed
            values += [measure_text(rec.mean, unit), gain_text(measure.mean_gain, unit)] if rec else []
        table.add_row(f"{measure.label} [dim]{unit}[/]", *values)
    return table


def groups_table(name: str, groups: Sequence[Group], total: int) -> Table:
    """The photos by folder or by format."""
    table = borderless_table(name, ["Photos", "Before", "After", "Saved", "bpp", "PSNR", "rec.", "PSNR-S"])
    for group in groups:
        before, after = group.source_bytes, group.archive_bytes
        saved = (before - after) / before if before else None
        quality = (group.mean_psnr_db, group.mean_rec_psnr_db, group.mean_psnr_s_db)
        table.add_row(
            plain_text(group.name or "(top folder)"),
            *(count_text(group.photos), bytes_text(before), bytes_text(after)),
            *(share_text(saved), measure_text(group.mean_bits_per_pixel, "bpp")),
            *(measure_text(value, "dB") for value in quality),
        )
    if total > len(groups):
        table.caption = f"the {len(groups)} largest of {total:,}"
    return table


def reasons_table(report: Report) -> Table:
    """Why photos were kept or skipped."""
    table = borderless_table("Kept or skipped because", ["Outcome", "Photos", "Bytes"])
    for reason in report.reasons:
        text = plain_text(reason.reason or "not said")
        table.add_row(text, reason.outcome, count_text(reason.photos), bytes_text(reason.source_bytes))
    return table


def failures_table(report: Report) -> Table:
    """Failures by kind, one example each."""
    table = borderless_table("Failed with", ["Step", "Photos"])
    table.add_column("For example", overflow="fold")
    for group in report.failures:
        example = group.examples[0]
        said = f"{plain_text(example.url)}: {plain_text(example.message)}"
        table.add_row(plain_text(group.error_type), plain_text(group.step), count_text(group.photos), said)
    return table


def steps_table(report: Report) -> Table:
    """What each step cost."""
    table = borderless_table("Step", ["Photos", "In all", "A photo", "MP/s (one worker)"])
    for step in report.steps:
        seconds = (duration_text(step.total_seconds), duration_text(step.mean_seconds))
        speed = f"{step.megapixels_per_second:.1f}" if step.megapixels_per_second is not None else "–"
        table.add_row(step.name, count_text(step.photos), *seconds, speed)
    return table


def borderless_table(first: str, others: Sequence[str]) -> Table:
    """An empty table of one column of text and others of figures."""
    table = Table(
        box=None, header_style="bold dim", pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left"
    )
    table.add_column(first, overflow="fold", min_width=17)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def plain_text(text: str) -> str:
    """`text` as it is: no markup, and no control characters that a terminal would obey."""
    return markup.escape("".join(sign if sign.isprintable() else "\ufffd" for sign in text))
