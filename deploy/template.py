"""Entry of the Dataflow flex template: its launcher gives every parameter as `--name=value`.

Foveate's own become the arguments of `foveate compress`, whatever else the launcher says goes to Beam.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from foveate.pipelines import cli, compress

# Between the values of what may be given several times.
SEPARATORS = {"sources": ",", "roi_box": ";", "metrics": ",", "exclude": ","}


class BadParameter(ValueError):  # noqa: N818 (reads as the sentence it ends up in)
    """A parameter whose value is not understood."""


def actions() -> dict[str, argparse.Action]:
    """Arguments of `foveate compress`, by the names of the template's parameters."""
    parser = argparse.ArgumentParser(add_help=False)
    compress.add_arguments(parser)
    return {action.dest: action for action in parser._actions}


def arguments_of(parameters: Sequence[str]) -> list[str]:
    """The arguments of `foveate compress` for a launcher's `--name=value`; an empty value counts as none.

    Raises:
      BadParameter: a switch that is neither "true" nor "false", or a source that reads as a flag.
    """
    known = actions()
    sources: list[str] = []
    flags: list[str] = []
    for parameter in parameters:
        name, _, value = parameter.removeprefix("--").partition("=")
        if name == "sources":
            sources += _values(name, value)
        elif name in known:
            flags += _flags(known[name], name, value)
        else:
            flags.append(parameter)
    if flag := next((source for source in sources if source.startswith("-")), None):
        raise BadParameter(f"{flag} is not a source")
    return [*sources, *flags]


def _flags(action: argparse.Action, name: str, value: str) -> Iterator[str]:
    option = action.option_strings[0]
    if action.nargs == 0:
        if value.lower() not in ("true", "false", ""):
            raise BadParameter(f"{name} must be true or false, not {value}")
        if value.lower() == "true":
            yield option
    else:
        yield from (f"{option}={part}" for part in _values(name, value))


def _values(name: str, value: str) -> list[str]:
    parts = value.split(SEPARATORS[name]) if name in SEPARATORS else [value]
    return [part.strip() for part in parts if part.strip()]


def main(parameters: Sequence[str]) -> int:
    """Describes the pipeline to the launcher; the exit status."""
    try:
        return cli.main(["compress", *arguments_of(parameters)])
    except BadParameter as error:
        print(f"foveate: {error}", file=sys.stderr)
        return cli.WRONG_USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
