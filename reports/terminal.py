"""Prints a report or a comparison in the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich import markup
from rich.console import Console
from rich.table import Table

from foveate.reports.contents import (
    Comparison,
    Group,
    Measure,
    PhotoFigures,
    Report,
    restored_of_sample,
)
from foveate.reports.figures import (
    bytes_text,
    count_text,
    duration_text,
    gain_text,
    measure_text,
    money_text,
    month_text,
    share_text,
)

GROUPS_SHOWN = 12
PHOTOS_SHOWN = 5


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
    console.print(f"[bold]Cost[/] {cost_line(report)}")
    if report.lost_metadata:
        console.print(f"[bold]Lost metadata[/] {count_text(report.lost_metadata)} photos")
    cameras = report.cameras if any(camera.name for camera in report.cameras) else ()
    months = [
        dataclasses.replace(month, name=month_text(month.name)) for month in report.months if month.name
    ]
    tables = (
        measures_table(report.measures),
        groups_table("Folder", report.folders[:GROUPS_SHOWN], report.folders_total, "(top folder)"),
        groups_table("Camera", cameras[:GROUPS_SHOWN], report.cameras_total),
        groups_table("Format", report.formats[:GROUPS_SHOWN], report.formats_total),
        groups_table("Month", months[-GROUPS_SHOWN:], report.months_total),
        photos_table("Worst photos", report.worst[:PHOTOS_SHOWN]),
        photos_table("Slowest photos", report.slowest[:PHOTOS_SHOWN]),
        reasons_table(report),
        losses_table(report),
        failures_table(report),
        steps_table(report),
    )
    _print_tables(tables, console)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print figures of several reports side by side to `console`."""
    console.print(
        f"[bold]Photos in all {len(comparison.reports)}:[/] {count_text(comparison.common_photos)}; "
        "changes are against the first"
    )
    _print_tables((sides_table(comparison), compared_table(comparison), changed_table(comparison)), console)


def cost_line(report: Report) -> str:
    """The cost of the bytes before and after."""
    cost = report.cost
    return (
        f"per month {money_text(cost.before_per_month)} → {money_text(cost.after_per_month)}, saved "
        f"{money_text(cost.saved_per_year)} per year, at {cost.price_per_gb_month:g} per GB per month"
    )


def sides_table(comparison: Comparison) -> Table:
    """Counts, bytes and cost of each report."""
    table = borderless_table("", [plain_text(name) for name in comparison.names])
    reports = comparison.reports
    for outcome in ("sources", "compressed", "kept", "skipped", "failed"):
        counts = [getattr(report.accounting, outcome) for report in reports]
        table.add_row(outcome.capitalize(), *map(count_text, counts))
    table.add_row("Bytes before", *(bytes_text(report.sizes.before_bytes) for report in reports))
    table.add_row("Bytes after", *(bytes_text(report.sizes.after_bytes) for report in reports))
    table.add_row("Saved", *(share_text(report.sizes.saved_share) for report in reports))
    table.add_row("Cost per month", *(money_text(report.cost.after_per_month) for report in reports))
    return table


def compared_table(comparison: Comparison) -> Table:
    """The median of every measure, and the mean change of photos in both."""
    names = [plain_text(name) for name in comparison.names]
    columns = [names[0], *(heading for name in names[1:] for heading in (name, "change"))]
    table = borderless_table("Median of", columns)
    for measure in comparison.measures:
        if all(median is None for median in measure.medians):
            continue
        cells = [measure_text(measure.medians[0], measure.unit)]
        for median, change in zip(measure.medians[1:], measure.mean_changes[1:], strict=True):
            cells += [measure_text(median, measure.unit), gain_text(change, measure.unit)]
        table.add_row(f"{measure.label} [dim]{measure.unit}[/]", *cells)
    table.caption = "change: mean over photos compressed in both"
    return table


def changed_table(comparison: Comparison) -> Table:
    """The photos that changed most from the first report to the last."""
    table = borderless_table("Changed most", ["Bytes", "now", "PSNR-S", "now", "change"])
    for photo in comparison.changed[: 2 * PHOTOS_SHOWN]:
        table.add_row(
            plain_text(photo.relative_path),
            *(bytes_text(photo.first_bytes), bytes_text(photo.last_bytes)),
            *(measure_text(photo.first_score_db, "dB"), measure_text(photo.last_score_db, "dB")),
            gain_text(photo.change_db, "dB"),
        )
    return table


def photos_table(name: str, photos: Sequence[PhotoFigures]) -> Table:
    """Single photos and their costs."""
    table = borderless_table(name, ["After", "bpp", "Score", "PSNR", "PSNR-S", "Time"])
    for photo in photos:
        table.add_row(
            plain_text(photo.relative_path),
            *(bytes_text(photo.archive_bytes), measure_text(photo.bits_per_pixel, "bpp")),
            measure_text(photo.ssimulacra2, "points"),
            *(measure_text(photo.psnr_db, "dB"), measure_text(photo.psnr_s_db, "dB")),
            duration_text(photo.seconds),
        )
    return table


def _print_tables(tables: Sequence[Table], console: Console) -> None:
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
    if both and (restored := restored_of_sample(measures)):
        table.caption = f"Reconstructed: of {count_text(restored)} photos; gains compare the same photos"
    return table


def groups_table(name: str, groups: Sequence[Group], total: int, nameless: str = "(unknown)") -> Table:
    """The photos by folder, camera, format or month; `nameless` stands for ""."""
    sizes = ["Photos", "Before", "After", "Saved", "bpp"]
    table = borderless_table(name, [*sizes, "Score", "PSNR", "rec.", "PSNR-S"])
    for group in groups:
        before, after = group.source_bytes, group.archive_bytes
        saved = (before - after) / before if before else None
        quality = (group.mean_psnr_db, group.mean_rec_psnr_db, group.mean_psnr_s_db)
        table.add_row(
            plain_text(group.name or nameless),
            *(count_text(group.photos), bytes_text(before), bytes_text(after)),
            *(share_text(saved), measure_text(group.mean_bits_per_pixel, "bpp")),
            measure_text(group.mean_ssimulacra2, "points"),
            *(measure_text(value, "dB") for value in quality),
        )
    if total > len(groups):
        table.caption = f"{len(groups)} of {total:,}"
    return table


def reasons_table(report: Report) -> Table:
    """Why photos were kept or skipped."""
    table = borderless_table("Kept or skipped because", ["Outcome", "Photos", "Bytes"])
    for reason in report.reasons:
        text = plain_text(reason.reason or "not said")
        table.add_row(text, reason.outcome, count_text(reason.photos), bytes_text(reason.source_bytes))
    return table


def losses_table(report: Report) -> Table:
    """The metadata that photos lost, with one example each."""
    table = borderless_table("Lost metadata", ["Photos"])
    table.add_column("For example", overflow="fold")
    for loss in report.losses:
        said = f"{plain_text(loss.example)}: {plain_text(loss.details)}"
        table.add_row(plain_text(loss.name), count_text(loss.photos), said)
    if report.losses_total > len(report.losses):
        table.caption = f"{len(report.losses)} of {report.losses_total:,}"
    return table


def failures_table(report: Report) -> Table:
    """Failures by kind, with one example each."""
    table = borderless_table("Failed with", ["Step", "Photos"])
    table.add_column("For example", overflow="fold")
    for group in report.failures:
        example = group.examples[0]
        said = f"{plain_text(example.url)}: {plain_text(example.message)}"
        table.add_row(plain_text(group.error_type), plain_text(group.step), count_text(group.photos), said)
    return table


def steps_table(report: Report) -> Table:
    """The time of each step."""
    table = borderless_table("Step", ["Photos", "Total", "Per photo", "MP/s (one worker)"])
    for step in report.steps:
        seconds = (duration_text(step.total_seconds), duration_text(step.mean_seconds))
        speed = f"{step.megapixels_per_second:.1f}" if step.megapixels_per_second is not None else "–"
        table.add_row(step.name, count_text(step.photos), *seconds, speed)
    return table


def borderless_table(first: str, others: Sequence[str]) -> Table:
    """An empty table with a column of text and columns of figures."""
    table = Table(
        box=None, header_style="bold dim", pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left"
    )
    table.add_column(first, overflow="fold", min_width=17)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def plain_text(text: str) -> str:
    """`text` without markup and without control characters for terminals."""
    return markup.escape("".join(sign if sign.isprintable() else "\ufffd" for sign in text))
