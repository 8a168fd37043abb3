"""Stores the weights of converted networks in one file: named arrays in half precision, with a version."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT_VERSION = 1

Arrays = Mapping[str, NDArray[np.floating[Any]]]


def write_arrays(path: str | Path, arrays: Arrays) -> None:
    """Write arrays as one .npz file, in float16. Raises ValueError if one is too large for that."""
    halves = {name: arrays[name].astype(np.float16) for name in sorted(arrays)}
    if not all(np.isfinite(array).all() for array in halves.values()):
        raise ValueError("weights too large for float16")
    contents: dict[str, Any] = {"format_version": np.int32(FORMAT_VERSION), **halves}
    np.savez_compressed(path, **contents)


def read_arrays(path: str | Path) -> dict[str, NDArray[np.floating[Any]]]:
    """The other half of `write_arrays`.

    Raises FileNotFoundError, or ValueError for a file of another format or version.
    """
    try:
        with np.load(path) as stored:
            arrays = dict(stored)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: not a weights file ({error})") from error
    version = arrays.pop("format_version", None)
    if version is None or int(version) != FORMAT_VERSION:
        raise ValueError(f"{path}: weights of format {version}, expected {FORMAT_VERSION}")
    return arrays


def set_layer_weights(network: Any, arrays: Arrays, prefix: str = "") -> None:
    """Gives each layer of a Keras model its arrays, named `prefix` and "layer/kernel" or "layer/bias".

    Raises KeyError for a missing array, ValueError for one of another shape.
    """
    for layer in network.layers:
        if layer.weights:
            names = (f"{prefix}{layer.name}/{weight.name}" for weight in layer.weights)
            layer.set_weights([arrays[name].astype(np.float32) for name in names])


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a weights file, as hexadecimal digits: the name of the weights in archives and tables."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
