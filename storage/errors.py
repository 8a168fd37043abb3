"""Errors that a person can fix: a bad source, or an output that cannot be written."""

from __future__ import annotations

from foveate.storage.redaction import redacted


class BadInput(ValueError):  # noqa: N818 (reads as the sentence it ends up in)
    """One source has a problem that only a person can fix; the message says what it is."""


class CannotGoOn(RuntimeError):  # noqa: N818 (reads as the sentence it ends up in)
    """No more photos can be written, so the run ends."""


def cannot_be(done: str, url: str, error: Exception) -> str:
    """The sentence for a place that cannot be "listed", "written" or "used", without secrets in URLs."""
    return redacted(f"{url} cannot be {done}: {error}")
