"""ONNX to float TFLite with the archived onnx-tf; runs in the environment of `make onnx-tf`.

usage: via_onnx_tf.py model.onnx model.tflite OUTPUT...

It stands alone: nothing of this project is installed there. The network keeps its channels-first
layout inside; input and outputs are turned, so that the file has the same interface as any other.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def main(source: str, target: str, names: "list[str]") -> None:
    """Convert one file.

    Args:
        source: ONNX file, opset 17 or older, one input (1, c, h, w).
        target: TFLite file to write.
        names: Outputs, in order.
    """
    # By name, because the environment that checks this project's types has none of them.
    onnx, tf, backend = map(import_module, ("onnx", "tensorflow", "onnx_tf.backend"))
    model = onnx.load(source)
    (entry,) = model.graph.input
    _, channels, height, width = (d.dim_value for d in entry.type.tensor_type.shape.dim)
    network = backend.prepare(model).tf_module

    def serve(image: Any) -> "dict[str, Any]":
        found = network(**{entry.name: tf.transpose(image, [0, 3, 1, 2])})
        return {name: tf.transpose(found[name], [0, 2, 3, 1]) for name in names}

    module = tf.Module()
    module.network = network
    module.serve = tf.function(
        serve, [tf.TensorSpec([1, height, width, channels], tf.float32, name=entry.name)]
    )
    saved = str(Path(target).with_suffix(".saved"))
    tf.saved_model.save(module, saved, {"serving_default": module.serve.get_concrete_function()})
    converter = tf.lite.TFLiteConverter.from_saved_model(saved)
    Path(target).write_bytes(converter.convert())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
