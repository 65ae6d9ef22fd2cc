"""Look into a .tflite file and write the model's contract into it."""

from collections import Counter
from typing import Any

import numpy as np

from p2o_convert.errors import ConversionError
from points2objects.errors import BundleError, InputError
from points2objects.interpreter import INPUT, SIGNATURE
from points2objects.metadata import SPEC_METADATA, read_metadata
from points2objects.spec import ModelSpec


def embed_spec(tflite: bytes, spec: ModelSpec) -> bytes:
    """Return the model with the spec as its only metadata and every buffer inside the flatbuffer.

    Other metadata goes: onnx2tf's lets phones run a float model in half precision, so that its
    numbers would differ from device to device. litert-quantizer appends weights behind the
    flatbuffer, where older readers do not find them.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = _unpack(tflite)
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(tflite, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    for old in model.metadata or []:
        model.buffers[old.buffer].data = None
    holder: Any = schema.BufferT()
    holder.data = np.frombuffer(spec.to_json().encode(), np.uint8)
    entry: Any = schema.MetadataT()
    entry.name = SPEC_METADATA.encode()
    entry.buffer = len(model.buffers)
    model.buffers.append(holder)
    model.metadata = [entry]
    model.description = f"points2objects {spec.name}".encode()
    return _pack(model)


def read_spec(tflite: bytes, name: str = "model") -> ModelSpec:
    """Read the spec that `embed_spec` wrote.

    Args:
        tflite: The file's bytes.
        name: What to call the file in an error.

    Raises:
        InputError: Not a TFLite file, or one without our metadata.
    """
    try:
        text = read_metadata(tflite, SPEC_METADATA)
        if text is not None:
            return ModelSpec.from_json(text.decode(errors="replace"))
    except BundleError as error:
        raise InputError(f"{name}: {error}") from error
    raise InputError(
        f"{name}: holds no {SPEC_METADATA} metadata, so it was not made by convert/to_tflite.py"
    )


def operators(tflite: bytes) -> dict[str, int]:
    """Count the operators of a model, most frequent first."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    model = _unpack(tflite)
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    found = Counter(
        names[codes[operator.opcodeIndex]]
        for graph in model.subgraphs
        for operator in graph.operators
    )
    return dict(found.most_common())


def float_tensors(tflite: bytes) -> list[str]:
    """Name every tensor that is float32: none in a fully quantised model."""
    from ai_edge_litert import schema_py_generated as schema

    return [
        tensor.name.decode()
        for graph in _unpack(tflite).subgraphs
        for tensor in graph.tensors
        if tensor.type == schema.TensorType.FLOAT32
    ]


def is_quantised(tflite: bytes) -> bool:
    """Tell whether any tensor is int8."""
    from ai_edge_litert import schema_py_generated as schema

    return any(
        tensor.type == schema.TensorType.INT8
        for graph in _unpack(tflite).subgraphs
        for tensor in graph.tensors
    )


def check_interface(tflite: bytes, spec: ModelSpec) -> None:
    """Check that names, order and shapes of input and outputs are what the runtime expects.

    Raises:
        ConversionError: The signature, a name, the order or a shape differs.
    """
    model = _unpack(tflite)
    signatures = {s.signatureKey.decode(): s for s in model.signatureDefs or []}
    if list(signatures) != [SIGNATURE]:
        raise ConversionError(f"expected the one signature {SIGNATURE!r}, got {list(signatures)}")
    graph = model.subgraphs[signatures[SIGNATURE].subgraphIndex]

    def described(maps: Any) -> dict[str, tuple[int, ...]]:
        return {m.name.decode(): tuple(map(int, graph.tensors[m.tensorIndex].shape)) for m in maps}

    size, cells = spec.input_size, spec.map_size
    want = {
        "inputs": [(INPUT, (1, size, size, 3))],
        "outputs": [(name, (1, cells, cells, c)) for name, c in spec.outputs.items()],
    }
    for side, expected in want.items():
        have = list(described(getattr(signatures[SIGNATURE], side)).items())
        if have != expected:
            raise ConversionError(f"TFLite {side}: expected {expected}, got {have}")


def _unpack(tflite: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(tflite, 0))


def _pack(model: Any) -> bytes:
    import flatbuffers  # type: ignore[import-untyped]

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
