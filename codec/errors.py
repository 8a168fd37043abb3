"""Errors in JPEG 2000 files, and in requests that a file cannot meet."""

from __future__ import annotations


class BadCodestream(ValueError):  # noqa: N818
    """The data are not well-formed JPEG 2000; the message says what is wrong and, where known, where."""


class UnsupportedCodestream(ValueError):  # noqa: N818
    """The data are legal JPEG 2000, but use something unsupported; the message names it."""


class BudgetTooSmall(ValueError):  # noqa: N818
    """Not even headers and metadata fit into the requested bytes."""
