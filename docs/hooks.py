"""Adds pages to the site that lie elsewhere in the repository, and links to them.

Links in pages are as the repository has them, so that they work there too; here they become the site's.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
_REPORT = "demo/report.html"  # of the archive that `make demo` makes
_LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def pages_elsewhere() -> dict[str, str]:
    """Path in the repository → path in the site, of pages outside docs/."""
    cards = sorted((ROOT / "models" / "weights").glob("*.md"))
    return {f"models/weights/{card.name}": f"models/{card.name}" for card in cards} | {
        "CHANGELOG.md": "changelog.md"
    }


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that lie elsewhere, and the demo's report as it is."""
    for path, place in pages_elsewhere().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    if (ROOT / _REPORT).exists():
        files.append(File.generated(config, "demo-report.html", abs_src_path=str(ROOT / _REPORT)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns the repository's links into the site's."""
    elsewhere = pages_elsewhere()
    of_place = {place: path for path, place in elsewhere.items()}
    place = page.file.src_uri
    path = of_place.get(place, f"docs/{place}")

    def turned(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link[2]))
        aim = elsewhere.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        if aim is None:
            return link[0]
        return f"{link[1]}{posixpath.relpath(aim, posixpath.dirname(place) or '.')}{link[3]}"

    return _LINK.sub(turned, markdown)
