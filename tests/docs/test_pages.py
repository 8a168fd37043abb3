"""Tests that commands, flags, targets and links in the documentation exist, and pages are up to date."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os.path
import re
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from docs import generate
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pipelines.cli import COMMANDS, command
from tests.docs.markdown import MARKED, OTHERS, ROOT, Block, anchors, blocks, code_spans, links

PAGES = (*MARKED, *OTHERS)
OTHERS_FLAGS = {"--worker_pool"}  # of other programs, that pages name


@functools.cache
def known_flags() -> frozenset[str]:
    """Those of our commands and of the benchmarks."""
    ours = {flag for name in COMMANDS for flag in command(name)[1]._option_string_actions}
    sources = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    return frozenset(
        ours | {"--version"} | set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', sources)) | OTHERS_FLAGS
    )


@functools.cache
def beams_flags() -> frozenset[str]:
    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    pending = list(PipelineOptions.__subclasses__())
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if "_add_argparse_args" in vars(kind):
            with contextlib.suppress(argparse.ArgumentError):
                kind._add_argparse_args(parser)
    return frozenset(parser._option_string_actions)


@functools.cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def parses(words: list[str]) -> str:
    """Why a command line is invalid, "" if it is valid."""
    if len(words) < 2 or words[1] not in COMMANDS:
        return "no such command"
    if "--help" in words:
        return ""
    module, parser = command(words[1])

    def refuse(message: str) -> None:
        raise ValueError(message)

    parser.error = refuse  # type: ignore[assignment, method-assign]
    try:
        _, unknown = parser.parse_known_args(words[2:])
        if unknown:
            if not hasattr(module, "parse_beam_flags"):
                return f"unknown: {unknown}"
            module.parse_beam_flags(parser, unknown)
    except ValueError as error:
        return str(error)
    return ""


def wrong_commands(block: Block) -> list[str]:
    found = []
    for words in block.commands():
        if words[0] == "foveate" and (problem := parses(words)):
            found.append(f"{block.page}:{block.line}: {' '.join(words)}: {problem}")
        if words[0] == "make" and words[1:] and words[1] not in targets():
            found.append(f"{block.page}:{block.line}: no target {words[1]}")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_is_one(page: str) -> None:
    assert not [problem for block in blocks(page) for problem in wrong_commands(block)]


def test_a_command_line_with_a_typo_is_invalid() -> None:
    text = "foveate compress photos --output a --bp 1\nfoveate squeeze x\nmake demmo\n"
    text += (
        "foveate compress photos --output a \\\n    --tune sim | head\nfoveate report a --json > b # a note\n"
    )
    problems = wrong_commands(Block("page", 1, "sh", "form", (), text))
    assert len(problems) == 4
    assert "--bp" in problems[0]


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_and_target_that_a_page_names_exists(page: str) -> None:
    unknown = []
    for span in code_spans(page):
        words = span.split()
        if words[0] == "make" and len(words) > 1 and words[1] not in targets():
            unknown.append(span)
        if words[0] != "foveate" and not words[0].startswith("--"):
            continue  # another program's
        flags = set(re.findall(r"(?:^|\s)(--[a-z][a-z0-9_-]*)", span))
        known = known_flags()
        if words[0] == "foveate" and len(words) > 1 and words[1] in COMMANDS:
            known = frozenset(command(words[1])[1]._option_string_actions)
        unknown += [f"{flag} in {span}" for flag in flags - known - beams_flags()]
    assert not unknown


@pytest.mark.parametrize("page", MARKED)
def test_every_shell_block_says_whether_it_runs(page: str) -> None:
    shells = [block for block in blocks(page) if block.language in ("sh", "bash", "shell", "console")]
    assert not [f"{page}:{block.line}" for block in shells if not block.mark]


@pytest.mark.parametrize("page", (*PAGES, "CHANGELOG.md"))
def test_every_link_leads_somewhere(page: str) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = os.path.normpath(Path(page).parent / path) if path else page
        there = (ROOT / target).exists() and not target.startswith("..")
        if not there or (anchor and target.endswith(".md") and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_pages_that_follow_from_the_code_are_up_to_date() -> None:
    for name, text in generate.pages().items():
        written = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert written == text, f"docs/{name} is out of date: python -m docs.generate writes it anew"
    assert not generate.descriptions_of_nothing()


def test_the_page_on_formats_names_every_ending_that_is_looked_at() -> None:
    named = {span for span in code_spans("docs/formats.md") if span in PICTURE_EXTENSIONS}
    assert named == PICTURE_EXTENSIONS


def test_the_site_has_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = set(re.findall(r"(\S+\.md)$", nav, re.MULTILINE))
    cards = {f"models/{Path(page).name}" for page in OTHERS if page.startswith("models/")}
    assert listed == {page.removeprefix("docs/") for page in MARKED[1:]} | cards | {"changelog.md"}
