"""The --encrypt-key flag."""

from __future__ import annotations

import argparse

from foveate.archive.keys import ArchiveKey


def add_key(group: argparse._ActionsContainer, purpose: str) -> None:
    """Adds --encrypt-key, the same for all commands."""
    group.add_argument("--encrypt-key", metavar="FILE", help=purpose)


def key_of(args: argparse.Namespace) -> ArchiveKey | None:
    """The key that a command line names, or None.

    Raises:
      BadKey: the file has no key.
    """
    named: str | None = args.encrypt_key
    return None if named is None else ArchiveKey.read(named)
