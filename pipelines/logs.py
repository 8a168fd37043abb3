"""What a command says while it works, on standard error: sentences for people, or JSON for log collectors."""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

from foveate.storage.redaction import redacted

# What is said to whoever started the command; other loggers speak of what happens within.
SAY = logging.getLogger("foveate.say")
# What Beam says as a warning, once per network, worker or run, and nothing follows from it.
_NO_NEWS = (
    "Resource module is not available",
    "Really starting service",
    "Really destroying service",
    "crcmod package not found",  # older Beam, for files that are not read here
)


def add_logging(parser: argparse.ArgumentParser) -> None:
    """Adds what every command takes about what it says."""
    group = parser.add_argument_group("what is said, on standard error")
    group.add_argument("--quiet", action="store_true", help="only what goes wrong")
    group.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="json: a line of JSON for everything, as log collectors read it (default: %(default)s)",
    )


def set_up_logging(log_format: str = "text", quiet: bool = False) -> None:
    """Sets how everything in this process speaks; may be called again."""
    as_json = log_format == "json"
    general = _handler(_Json() if as_json else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[general], force=True)
    SAY.handlers = [_handler(_Json() if as_json else logging.Formatter("%(message)s"))]
    SAY.propagate = False
    SAY.setLevel(logging.WARNING if quiet else logging.INFO)
    logging.captureWarnings(True)
    # Google's libraries speak of Python's end of life whenever they are imported.
    warnings.filterwarnings("ignore", "You are using a Python version", FutureWarning)


def speaks_json() -> bool:
    """Whether lines of JSON were asked for: then no bar is drawn."""
    return any(isinstance(handler.formatter, _Json) for handler in SAY.handlers)


def format_in(arguments: Sequence[str]) -> str:
    """The --log-format among arguments that are not parsed yet: what is imported to parse them may speak."""
    asked = " ".join(arguments).replace("--log-format=", "--log-format ")
    return "json" if "--log-format json" in asked else "text"


def is_news(record: logging.LogRecord) -> bool:
    """Whether a handler should let a record pass: what is no news has no consequence."""
    return not record.getMessage().startswith(_NO_NEWS)


def _handler(formatter: logging.Formatter) -> logging.Handler:
    handler = _StandardError()
    handler.setFormatter(formatter)
    handler.addFilter(is_news)
    return handler


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now, not to what it was when the handler was made."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    def format(self, record: logging.LogRecord) -> str:
        """The record as its formatter has it, without the secrets that it may carry."""
        return redacted(super().format(record))

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # a plain attribute there
        return sys.stderr


class _Json(logging.Formatter):
    """One JSON object a record: severity, time, message as Cloud Logging names them, logger, and `fields`."""

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


set_up_logging()
