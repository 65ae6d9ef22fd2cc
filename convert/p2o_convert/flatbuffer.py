"""Look into a .tflite file and write the model's contract into it."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from p2o_convert.errors import ConversionError
from p2o_convert.graph import kind_of, pack, read_operators, unpack
from points2objects.errors import BundleError, InputError
from points2objects.heads import HEADS_METADATA, graph_outputs, read_heads
from points2objects.interpreter import INPUT, SIGNATURE
from points2objects.metadata import SPEC_METADATA, read_metadata
from points2objects.spec import ModelSpec

WEIGHT_NAME = re.compile(r"(?P<layer>.+)_(conv|depthwise)_(filter|bias)")
"""What onnx2tf calls the constants of a convolution."""


def embed_spec(tflite: bytes, spec: ModelSpec, heads: bytes | None = None) -> bytes:
    """Return the model with its contract as metadata and every buffer inside the flatbuffer.

    Other metadata goes: onnx2tf's lets phones run a float model in half precision, so that its
    numbers would differ from device to device. litert-quantizer appends weights behind the
    flatbuffer, where older readers do not find them.

    Args:
        tflite: The file's bytes.
        spec: The model's contract.
        heads: Weights from `points2objects.heads.heads_to_bytes`, if it has heads of its own;
            those that the file carries when None.
    """
    from ai_edge_litert import schema_py_generated as schema

    heads = heads or read_metadata(tflite, HEADS_METADATA)
    model = unpack(tflite)
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(tflite, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    for old in model.metadata or []:
        model.buffers[old.buffer].data = None
    model.metadata = []
    notes = {SPEC_METADATA: spec.to_json().encode()}
    for name, data in (notes | ({HEADS_METADATA: heads} if heads else {})).items():
        holder: Any = schema.BufferT()
        holder.data = np.frombuffer(data, np.uint8)
        entry: Any = schema.MetadataT()
        entry.name = name.encode()
        entry.buffer = len(model.buffers)
        model.buffers.append(holder)
        model.metadata.append(entry)
    model.description = f"points2objects {spec.name}".encode()
    return pack(model)


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


def name_layers(tflite: bytes) -> bytes:
    """Return the model with its tensors named after the layers that write them.

    onnx2tf names a tensor after whatever reads it first. Weights carry their node's name, which
    `export_onnx` took from the module; so a convolution's output gets that name too.
    """
    model = unpack(tflite)
    graph = model.subgraphs[0]
    fixed = {int(i) for i in (*graph.inputs, *graph.outputs)}
    for operator in graph.operators:
        layer = ""
        for index, role in zip(operator.inputs[1:], ("weight", "bias"), strict=False):
            match = WEIGHT_NAME.fullmatch(graph.tensors[index].name.decode())
            if match:
                layer = match["layer"]
                graph.tensors[index].name = f"{layer}.{role}".encode()
        index = int(operator.outputs[0])
        if index not in fixed:
            own = graph.tensors[index].name.decode()
            name = layer or own.removesuffix("_output_nhwc").replace("_input_nhwc", ".input")
            graph.tensors[index].name = name.encode()
    names = [tensor.name for tensor in graph.tensors]
    return pack(model) if len(set(names)) == len(names) else tflite


def order_outputs(tflite: bytes, names: Iterable[str]) -> bytes:
    """Return the model with its outputs in a given order, its tensors named as in the signature.

    TensorFlow sorts outputs by name, and calls the tensors `serving_default_image:0` and the like.
    """
    model = unpack(tflite)
    (signature,) = model.signatureDefs
    by_name = {entry.name.decode(): entry for entry in signature.outputs}
    wanted = [name for name in names if name in by_name]
    if len(wanted) != len(by_name):
        raise ConversionError(f"TFLite outputs: expected {wanted}, got {sorted(by_name)}")
    signature.outputs = [by_name[name] for name in wanted]
    graph = model.subgraphs[signature.subgraphIndex]
    graph.outputs = [int(entry.tensorIndex) for entry in signature.outputs]
    for entry in (*signature.inputs, *signature.outputs):
        graph.tensors[entry.tensorIndex].name = entry.name
    return pack(model)


def keep_integer_outputs(tflite: bytes, outputs: Iterable[str]) -> bytes:
    """Return the model without the conversion to float behind some of its outputs.

    The quantiser gives all outputs one type. Where a head is float, the others would be turned into
    float as well.
    """
    model = unpack(tflite)
    graph = model.subgraphs[0]
    named = {o.name.decode(): int(o.tensorIndex) for o in model.signatureDefs[0].outputs}
    wanted = {named[name] for name in outputs}
    source = {
        int(operator.outputs[0]): int(operator.inputs[0])
        for operator in graph.operators
        if kind_of(model, operator) == "DEQUANTIZE" and int(operator.outputs[0]) in wanted
    }
    # What a float layer reads as well has to stay float for it.
    read = {int(i) for operator in graph.operators for i in operator.inputs}
    for entry in model.signatureDefs[0].outputs:
        entry.tensorIndex = source.get(int(entry.tensorIndex), int(entry.tensorIndex))
    # The quantiser may name another tensor here than in the signature, if a float layer reads it.
    graph.outputs = [int(entry.tensorIndex) for entry in model.signatureDefs[0].outputs]
    source = {result: integers for result, integers in source.items() if result not in read}
    graph.operators = [o for o in graph.operators if int(o.outputs[0]) not in source]
    kept = [i for i in range(len(graph.tensors)) if i not in source]
    new = {old: position for position, old in enumerate(kept)} | {-1: -1}
    graph.tensors = [graph.tensors[i] for i in kept]
    for holder in (graph, *graph.operators):
        holder.inputs = [new[int(i)] for i in holder.inputs]
        holder.outputs = [new[int(i)] for i in holder.outputs]
    for entry in (*model.signatureDefs[0].inputs, *model.signatureDefs[0].outputs):
        entry.tensorIndex = new[int(entry.tensorIndex)]
    return pack(model)


def operators(tflite: bytes) -> dict[str, int]:
    """Count the operators of a model, most frequent first."""
    return dict(Counter(operator.kind for operator in read_operators(tflite)).most_common())


def float_tensors(tflite: bytes) -> list[str]:
    """Name every tensor that is float32: none in a fully quantised model."""
    from ai_edge_litert import schema_py_generated as schema

    return [
        tensor.name.decode()
        for graph in unpack(tflite).subgraphs
        for tensor in graph.tensors
        if tensor.type == schema.TensorType.FLOAT32
    ]


def tensor_types(tflite: bytes) -> set[str]:
    """Return the names of all types that tensors have: FLOAT32, INT8, ..."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
    graphs = unpack(tflite).subgraphs
    return {names[tensor.type] for graph in graphs for tensor in graph.tensors}


def check_interface(tflite: bytes, spec: ModelSpec) -> None:
    """Check that names, order and shapes of input and outputs are what the runtime expects.

    Raises:
        ConversionError: The signature, a name, the order or a shape differs.
    """
    model = unpack(tflite)
    signatures = {s.signatureKey.decode(): s for s in model.signatureDefs or []}
    if list(signatures) != [SIGNATURE]:
        raise ConversionError(f"expected the one signature {SIGNATURE!r}, got {list(signatures)}")
    graph = model.subgraphs[signatures[SIGNATURE].subgraphIndex]

    def described(maps: Any) -> dict[str, tuple[int, ...]]:
        return {m.name.decode(): tuple(map(int, graph.tensors[m.tensorIndex].shape)) for m in maps}

    size, cells = spec.input_size, spec.map_size
    wanted = graph_outputs(spec, read_heads(tflite, spec))
    want = {
        "inputs": [(INPUT, (1, size, size, 3))],
        "outputs": [(name, (1, cells, cells, c)) for name, c in wanted.items()],
    }
    for side, expected in want.items():
        have = list(described(getattr(signatures[SIGNATURE], side)).items())
        if have != expected:
            raise ConversionError(f"TFLite {side}: expected {expected}, got {have}")
