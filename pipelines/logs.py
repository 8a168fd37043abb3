"""Logging to standard error: sentences for people, or JSON lines for log collectors.

Nothing is set up by importing this: only the command line does that, in `set_up_logging`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TextIO, cast

from foveate.storage.errors import CannotGoOn
from foveate.storage.redaction import redacted

# Messages to the person who started the command; other loggers report internals.
user_log = logging.getLogger("foveate.user")
# Harmless warnings that Beam repeats for each network, worker or run.
_NOISE = (
    "Resource module is not available",
    "Really starting service",
    "Really destroying service",
    "crcmod package not found",  # older Beam, for files that are not read here
)


def add_logging(parser: argparse.ArgumentParser) -> None:
    """Adds the logging flags, which every command has."""
    group = parser.add_argument_group("logging (on standard error)")
    group.add_argument("--quiet", action="store_true", help="only report errors")
    group.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="json: one JSON object per line, for log collectors (default: %(default)s)",
    )


def set_up_logging(log_format: str = "text", quiet: bool = False) -> None:
    """Sends all log records of this process to standard error, in place of other handlers; repeatable."""
    as_json = log_format == "json"
    general = _handler(_Json() if as_json else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[general], force=True)
    user_log.handlers = [_handler(_Json() if as_json else logging.Formatter("%(message)s"))]
    user_log.propagate = False
    user_log.setLevel(logging.WARNING if quiet else logging.INFO)
    logging.captureWarnings(True)
    # Google's libraries warn about Python's end of life whenever they are imported.
    warnings.filterwarnings("ignore", "You are using a Python version", FutureWarning)


def printable(name: str) -> str:
    """A printable form of a name: not every file name is valid text."""
    return name.encode("utf-8", "backslashreplace").decode()


def speaks_json() -> bool:
    """Whether JSON lines were asked for: then no progress bar is drawn."""
    return any(isinstance(handler.formatter, _Json) for handler in user_log.handlers)


def format_in(arguments: Sequence[str]) -> str:
    """The --log-format among unparsed arguments: modules imported to parse them may already log."""
    asked = " ".join(arguments).replace("--log-format=", "--log-format ")
    return "json" if "--log-format json" in asked else "text"


def is_relevant(record: logging.LogRecord) -> bool:
    """Whether a handler should pass a record on: no noise, and no error that the command itself reports."""
    return not record.getMessage().startswith(_NOISE) and not _ends_the_run(record)


def _ends_the_run(record: logging.LogRecord) -> bool:
    """Whether an engine logs, with a traceback, the error that the command will report in a sentence."""
    if not record.name.startswith("apache_beam"):
        return False
    error = record.exc_info[1] if record.exc_info else None
    while error is not None and not isinstance(error, CannotGoOn):
        error = error.__cause__ or error.__context__
    return error is not None or f"{CannotGoOn.__name__}: " in record.getMessage()


@contextlib.contextmanager
def without_printed_tracebacks() -> Iterator[None]:
    """Drops the tracebacks that Beam's local worker prints to standard error, since it also logs them."""
    stream = sys.stderr
    with contextlib.redirect_stderr(cast(TextIO, _WithoutTracebacks(stream))):
        yield


class _WithoutTracebacks:
    """A stream that drops whole tracebacks."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._dropped = False

    def write(self, text: str) -> int:
        """Writes a text and returns its length; drops the newline after a traceback, too."""
        former, self._dropped = self._dropped, text.startswith("Traceback (most recent call")
        return len(text) if self._dropped or (former and text == "\n") else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _handler(formatter: logging.Formatter) -> logging.Handler:
    handler = _StandardError()
    handler.setFormatter(formatter)
    handler.addFilter(is_relevant)
    return handler


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to the current standard error, not to that of when the handler was created."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    def format(self, record: logging.LogRecord) -> str:
        """The formatted record, without any secrets in it."""
        return redacted(super().format(record))

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # a plain attribute there
        return sys.stderr


class _Json(logging.Formatter):
    """One JSON object per record: severity, time and message as in Cloud Logging, logger, and `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat()
        entry: dict[str, Any] = {
            "severity": record.levelname,
            "time": time,
            "message": record.getMessage(),
            "logger": record.name,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
