"""The page of the Python API, from its signatures and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import foveate

_INTRODUCTION = """\
# Python

```python
import foveate

jp2 = foveate.encode(pixels, bpp=0.5, saliency=mask)
pixels = foveate.decode(jp2)
better = foveate.restore(jp2)
mask = foveate.saliency(pixels, faces=2)
found = foveate.structures(pixels)
info = foveate.inspect(jp2)
figures = foveate.measure(original, pixels)
```

Arrays in, bytes out. These functions start no pipeline and log nothing; only `restore`, `saliency` and
`structures` load TensorFlow. They write the same files as [`foveate compress`](commands.md#compress), but
without a record of the source. They decode in the calling process: for files that you don't trust, use the
[commands](commands.md), which decode in [isolation](safety.md).
"""
_SECTION = re.compile(r"^(Args|Returns|Raises|Example):\n", re.MULTILINE)
_ITEM = re.compile(r"^(\w[\w, ]*): ", re.MULTILINE)


def api_page() -> str:
    """Every public function, then the errors and the types."""
    public = [getattr(foveate, name) for name in foveate.__all__]
    functions = sorted(  # as in the file, those of other modules last
        filter(inspect.isfunction, public),
        key=lambda f: (f.__module__ != "foveate.api", f.__code__.co_firstlineno),
    )
    errors = [value for value in public if isinstance(value, type) and issubclass(value, Exception)]
    types = [value for value in public if isinstance(value, type) and value not in errors]
    parts = [_INTRODUCTION]
    parts += ["\n".join(_function(function)) for function in functions]
    parts += ["## Errors\n", "All are `ValueError`s.\n", *(_error(error) for error in errors)]
    parts += ["## Types\n", *("\n".join(_type(kind)) for kind in types)]
    return "\n".join(parts)


def _function(function: Callable[..., Any]) -> Iterator[str]:
    yield f"## {function.__name__}\n"
    yield f"```python\n{_signature(function)}\n```\n"
    yield from _described(function)


def _signature(function: Callable[..., Any]) -> str:
    """As one would write it: on a line of its own each, where one line does not hold them."""
    signature = inspect.signature(function)
    words = [_parameter(parameter) for parameter in signature.parameters.values()]
    keywords = [p.kind is inspect.Parameter.KEYWORD_ONLY for p in signature.parameters.values()]
    if True in keywords:
        words.insert(keywords.index(True), "*")
    end = f") -> {signature.return_annotation}"
    line = f"foveate.{function.__name__}({', '.join(words)}{end}"
    if len(line) <= 100:
        return line
    lines = textwrap.indent("\n".join(f"{word}," for word in words), "    ")
    return f"foveate.{function.__name__}(\n{lines}\n{end}"


def _parameter(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"
    return f"{parameter.name}: {parameter.annotation}{default}"


def _described(thing: Any) -> Iterator[str]:
    text, *sections = _SECTION.split(inspect.getdoc(thing) or "")
    yield _text(text)
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        body = textwrap.dedent(body).strip("\n")
        if title == "Example":
            yield f"```pycon\n{body}\n```\n"
        elif title in ("Args", "Raises"):
            yield f"**{ {'Args': 'Arguments', 'Raises': 'Errors'}[title] }**\n"
            yield _items(body)
        else:
            yield f"**{title}**: {_text(body)}"


def _items(body: str) -> str:
    """`name: meaning` lines, each perhaps continued, as a list."""
    _, *found = _ITEM.split(body)
    pairs = zip(found[::2], found[1::2], strict=True)
    return "".join(f"- {_names(names)}: {' '.join(meaning.split())}\n" for names, meaning in pairs)


def _names(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _text(text: str) -> str:
    """Paragraphs; what lists fields line by line becomes a list."""
    paragraphs = [paragraph for paragraph in text.strip().split("\n\n") if paragraph]
    whole = [_items(p) if _ITEM.match(p) and "\n" in p else f"{' '.join(p.split())}\n" for p in paragraphs]
    return "\n".join(whole)


def _error(error: type[Exception]) -> str:
    return f"- `{error.__name__}`: {' '.join((inspect.getdoc(error) or '').split())}\n"


def _type(kind: type) -> Iterator[str]:
    yield f"### {kind.__name__}\n"
    yield from _described(kind)
    fields = ", ".join(f"`{field.name}`" for field in dataclasses.fields(kind))
    yield f"Fields: {fields}.\n"
