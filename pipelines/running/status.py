"""Exit statuses of all commands."""

from __future__ import annotations

OK, RUN_FAILED, WRONG_USAGE, SOME_FAILED = 0, 1, 2, 3
INTERRUPTED = 130  # as in shells: 128 + SIGINT
