"""Reads the documentation for tests: pages, code blocks with their marks, links and headings.

A mark is a comment before a block: `<!-- run: files -->` (it runs, in order, and leaves these files),
`<!-- form -->` (it shows how; it parses), `<!-- cloud -->` (likewise, and needs a cloud). `blocks: cloud` at
the top of a page marks all of its blocks.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKED = ("README.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")))
OTHERS = (
    "CONTRIBUTING.md",
    "SECURITY.md",
    ".github/pull_request_template.md",
    "examples/README.md",
    *sorted(f"models/weights/{card.name}" for card in (ROOT / "models" / "weights").glob("*.md")),
)

_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>run|form|cloud)(?:: (?P<files>[^>]*))? -->\n\s*)?"
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_PAGE_MARK = re.compile(r"\A---\nblocks: (\w+)\n---\n")
_HEREDOC = re.compile(r"(<<'?END'?[^\n]*\n).*?^END$", re.MULTILINE | re.DOTALL)
_OPERATORS = frozenset({"|", "||", "&&", ";", ">", ">>", "<", "<<", "&", "(", ")"})


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, what it is marked as ("" for nothing), what it should leave."""

    page: str
    line: int
    language: str
    mark: str
    files: tuple[str, ...]
    text: str

    def commands(self) -> Iterator[list[str]]:
        """The words of each simple command of a shell block, without comments, redirections and heredocs."""
        text = _HEREDOC.sub(r"\1", self.text).replace("\\\n", " ")
        for line in text.splitlines():
            words: list[str] = []
            skip = False
            for word in _words(line):
                if word in _OPERATORS:
                    skip = ">" in word or "<" in word
                    if not skip and words:
                        yield words
                        words = []
                elif skip:
                    skip = False
                else:
                    words.append(word)
            if words:
                yield words


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # a quotation that goes on over lines: Python in `python3 -c`
        return []


def blocks(page: str) -> list[Block]:
    """The code blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    default = _PAGE_MARK.match(text)
    return [
        Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            found["language"],
            found["mark"] or (default[1] if default else ""),
            tuple((found["files"] or "").split()),
            "".join(line.removeprefix(found["indent"]) for line in found["text"].splitlines(keepends=True)),
        )
        for found in _FENCE.finditer(text)
    ]


def prose(page: str) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))


def code_spans(page: str) -> list[str]:
    """Text between backticks within a page's lines."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def links(page: str) -> list[str]:
    """Targets of a page's links and pictures, without those on the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", prose(page)))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: str) -> set[str]:
    """The ids of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[`*\\]|\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in plain}
