"""Foveate: photo archives as standard JPEG 2000 files, with the bits where people look.

Everything below is loaded when first used: `import foveate` alone takes no time, and TensorFlow is imported
only by `restore`, `saliency` and `structures`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foveate.api import decode, encode, inspect, measure, restore, saliency, structures
    from foveate.codec.errors import BadCodestream, BudgetTooSmall, UnsupportedCodestream
    from foveate.codec.metadata import PhotoMetadata
    from foveate.models.structures import Structures
    from foveate.quality.measures import Measures
    from foveate.reports.inspection.examination import Inspection
    from foveate.transcoding import transcode

__version__: str

__all__ = [
    "BadCodestream",
    "BudgetTooSmall",
    "Inspection",
    "Measures",
    "PhotoMetadata",
    "Structures",
    "UnsupportedCodestream",
    "decode",
    "encode",
    "inspect",
    "measure",
    "restore",
    "saliency",
    "structures",
    "transcode",
]

_ELSEWHERE = {  # the others are in foveate.api
    "BadCodestream": "foveate.codec.errors",
    "BudgetTooSmall": "foveate.codec.errors",
    "UnsupportedCodestream": "foveate.codec.errors",
    "PhotoMetadata": "foveate.codec.metadata",
    "Structures": "foveate.models.structures",
    "Measures": "foveate.quality.measures",
    "Inspection": "foveate.reports.inspection.examination",
    "transcode": "foveate.transcoding",
}


def __getattr__(name: str) -> Any:
    """Loads a part of the API, or the version, on first use (PEP 562)."""
    if name == "__version__":
        globals()[name] = import_module("importlib.metadata").version(__name__)
        return globals()[name]
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_ELSEWHERE.get(name, "foveate.api")), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
