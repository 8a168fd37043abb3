"""Pins the bytes of archives: they only change on purpose, with a new format version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden.cases import CASES, digests

EXPECTED = Path(__file__).with_name("digests.json")


def test_every_case_has_an_expected_digest() -> None:
    assert list(json.loads(EXPECTED.read_text())) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_archive_has_the_same_bytes_as_ever(name: str) -> None:
    expected = json.loads(EXPECTED.read_text())[name]
    assert digests(CASES[name]) == expected, "if this is intended: raise FORMAT_VERSION, then `make golden`"
