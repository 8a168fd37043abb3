"""Writes a report as JSON, and its JSON Schema, both from the dataclasses of `contents`."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import json
import math
import types
import typing
from typing import Any

from foveate.reports.contents import Comparison, Report

_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime.datetime: {"type": "string", "format": "date-time"},
}


def to_json(report: Report | Comparison) -> str:
    """`report` as a JSON object: its fields as keys, times in ISO 8601 UTC, NaN and infinities as null."""
    return json.dumps(_jsonable(dataclasses.asdict(report)), ensure_ascii=False, indent=2)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the output of `to_json`, for one archive or several compared."""
    definitions: dict[str, Any] = {}
    either = [_schema(kind, definitions) for kind in (Report, Comparison)]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "foveate report --json",
        "oneOf": either,
        "$defs": definitions,
    }


def schema_text() -> str:
    """`json_schema` as in docs/report.schema.json."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n"


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; dataclasses go into `definitions` by name."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        name = kind.__name__  # type: ignore[union-attr]  # a class, never an instance
        if name not in definitions:
            definitions[name] = {}  # stops at types that hold themselves
            definitions[name] = _object(kind, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(inner, definitions) for inner in arguments]}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple:  # tuple[X, ...]
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is collections.abc.Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if kind is float:  # JSON has no infinity: that of a lossless photo becomes null
        return {"type": ["number", "null"]}
    return {"type": "null"} if kind is type(None) else dict(_SCALARS[kind])


def _object(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind)]
    return {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "properties": {name: _schema(hints[name], definitions) for name in fields},
        "required": fields,
    }
