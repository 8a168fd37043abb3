"""Convert the originals of the face and text networks into the weights that ship.

    python -m foveate.models.training.convert_detectors \\
        --faces face_detection_full_range_sparse.tflite --text ch_PP-OCRv4_det_infer.onnx --output DIR

writes DIR/faces.npz and DIR/writing.npz. Reading the second needs the package `onnx`; nothing else does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models import face_detector, text_detector
from foveate.models.array_files import write_arrays

Array = NDArray[np.floating[Any]]


def tflite_convolutions(path: Path) -> list[tuple[Array, Array]]:
    """Kernel and bias of each convolution of a TFLite file, in the order in which it runs them.

    The reference operators are asked for, as they unpack sparse kernels into tensors that can be read.
    """
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        str(path),
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.invoke()
    return [
        (interpreter.get_tensor(operator["inputs"][1]), interpreter.get_tensor(operator["inputs"][2]))
        for operator in interpreter._get_ops_details()
        if operator["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ]


def onnx_arrays(path: Path) -> dict[str, Array]:
    """The constants of an ONNX file by name. Raises ModuleNotFoundError without the package `onnx`."""
    import onnx  # type: ignore[import-not-found, unused-ignore]
    from onnx import numpy_helper  # type: ignore[import-not-found, unused-ignore]

    return {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in onnx.load(str(path)).graph.node
        if node.op_type == "Constant"
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Converts what is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--faces", type=Path, metavar="FILE", help="MediaPipe's full-range detector (.tflite)"
    )
    parser.add_argument("--text", type=Path, metavar="FILE", help="PP-OCRv4's detector (.onnx)")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    args = parser.parse_args(arguments)
    args.output.mkdir(parents=True, exist_ok=True)
    if args.faces:
        write_arrays(args.output / "faces.npz", face_detector.convert(tflite_convolutions(args.faces)))
    if args.text:
        write_arrays(args.output / "writing.npz", text_detector.convert(onnx_arrays(args.text)))


if __name__ == "__main__":
    main()
