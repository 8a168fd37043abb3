"""Opens pages in a real browser, and records their requests and errors."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

PATIENCE_MS = 120_000  # a machine under load
DRAWN = (
    "document.querySelectorAll('[data-chart] svg.marks').length"
    " === document.querySelectorAll('[data-chart]').length"
)
FLAWS = ("serious", "critical")


@dataclasses.dataclass
class Visit:
    """An opened page, its network requests, and its errors."""

    page: Any
    requests: list[str]
    complaints: list[str]


def visit(browser: Any, page: pathlib.Path, width: int = 1280, **options: Any) -> Visit:
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    opened = Visit(context.new_page(), [], [])
    opened.page.set_default_timeout(PATIENCE_MS)
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on("dialog", lambda dialog: opened.complaints.append(f"a script ran: {dialog.message}"))
    opened.page.goto(page.as_uri())
    opened.page.wait_for_function(DRAWN)
    return opened


def flaws(page: Any) -> list[str]:
    """Findings of axe-core, each with the elements concerned."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']]}" for one in found if one["impact"] in FLAWS
    ]
