"""Create a key for `foveate compress --encrypt-key`: 32 random bytes, as 64 hexadecimal digits in a file.

Keep a copy apart from the archive: without the key, nobody can recover the photos. An equivalent command:
(umask 077; openssl rand -hex 32 > FILE)
"""

from __future__ import annotations

import argparse
import os

from foveate.archive import encryption
from foveate.pipelines.logs import user_log
from foveate.pipelines.running.status import WRONG_USAGE

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate keygen` takes to `parser`."""
    parser.add_argument("file", metavar="FILE", help="the file to create; an existing file is never replaced")
    parser.epilog = "Exit status: 0 all well, 2 the file already exists or cannot be written."


def run(args: argparse.Namespace) -> int:
    """Runs `foveate keygen`; returns the exit status."""
    key = encryption.new_key()
    try:
        descriptor = os.open(args.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{key.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        user_log.error(f"foveate keygen: {args.file}: {error.strerror}")
        return WRONG_USAGE
    user_log.info(f"Wrote key {encryption.key_id(key).hex()} to {args.file}. Keep a copy somewhere else.")
    return 0
