"""Renders the HTML page of a report: a single file that requests nothing from the network."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from foveate.reports import figures
from foveate.reports.charts import SERIES, comparison_charts, report_charts
from foveate.reports.contents import Comparison, Report, restored_of_sample
from foveate.reports.gallery import GalleryEntry, LoadGallery, gallery_entries
from foveate.reports.vega import Chart, vega_script

HERE = pathlib.Path(__file__).parent


def render_page(found: Report | Comparison, load_gallery: LoadGallery | None = None) -> str:
    """A report or a comparison as an HTML page.

    Args:
        found: the figures.
        load_gallery: returns the pictures of a photo; without it, a report's page has no gallery.

    Every name is escaped, and the page's content security policy allows only its own scripts.
    """
    if isinstance(found, Comparison):
        charts = comparison_charts(found)
        return _rendered("comparison.html", charts, comparison=found, charts=charts, series=SERIES)
    sections = report_charts(found)
    entries = gallery_entries(found.gallery, load_gallery)
    return page_of(found, sections, entries)


def page_of(report: Report, sections: dict[str, list[Chart]], entries: Sequence[GalleryEntry]) -> str:
    """The page of a report from its figures, charts and pictures."""
    charts = [chart for section in sections.values() for chart in section]
    return _rendered(
        "page.html",
        charts,
        report=report,
        sections=sections,
        gallery=entries,
        cameras_known=any(camera.name for camera in report.cameras),
        scored=report.measure("ssimulacra2").decoded.photos > 0,
        restored_of_sample=restored_of_sample(report.measures),
        reconstructed=any(measure.mean_gain is not None for measure in report.measures),
    )


def _rendered(template: str, drawn: Sequence[Chart], **names: Any) -> str:
    scripts = [vega_script()] if drawn else []
    specs = {chart.name: chart.spec for chart in drawn}
    return render_template(template, ["page.css"], [*scripts, text_of("page.js")], specs, **names)


def render_template(
    template: str, styles: Sequence[str], scripts: Sequence[str], data: Any, **names: Any
) -> str:
    """A page of one file from a template beside this module.

    Args:
        template: extends `layout.html`.
        styles: names of style sheets beside this module.
        scripts: texts of all scripts that may run.
        data: given to scripts as JSON in the element `data`.
        names: whatever else the template shows; every text is escaped.
    """
    return (
        _environment()
        .get_template(template)
        .render(
            data=_script_json(data),
            style=Markup("".join(map(text_of, styles))),
            scripts=[Markup(script) for script in scripts],
            policy=_policy(scripts),
            **names,
        )
    )


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy: no network, no script but these."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _script_json(value: Any) -> Markup:
    """`value` as JSON that cannot end the script element around it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026"))


@functools.cache
def text_of(name: str) -> str:
    """A template, style sheet or script beside this module."""
    return (HERE / name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(text_of),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= figures.FILTERS
    return environment
