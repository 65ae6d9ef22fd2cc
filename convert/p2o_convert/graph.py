"""A .tflite graph as records: its operators in order and the tensors between them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from points2objects.geometry import FloatArray


@dataclass(frozen=True)
class Tensor:
    """One tensor of a graph.

    Attributes:
        name: Unique within the graph.
        shape: As stored.
        dtype: "FLOAT32", "INT8", ...
        constant: Whether the file holds its values.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool


@dataclass(frozen=True)
class Operator:
    """One operator of a graph.

    Attributes:
        index: Position in the graph.
        kind: Builtin name, such as "CONV_2D".
        version: Of the operator, as the file says.
        activation: Fused activation, such as "RELU6"; "NONE" for operators without.
        inputs: Left-out optional inputs are skipped.
        outputs: What it writes.
        options: The schema's own option table, or None.
    """

    index: int
    kind: str
    version: int
    activation: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Any


def unpack(tflite: bytes) -> Any:
    """Return a .tflite as the schema's mutable object tree."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(tflite, 0))


def pack(model: Any) -> bytes:
    """Write what `unpack` read."""
    import flatbuffers  # type: ignore[import-untyped]

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def kind_of(model: Any, operator: Any) -> str:
    """Return the builtin name of an operator of an unpacked model."""
    from ai_edge_litert import schema_py_generated as schema

    code = model.operatorCodes[operator.opcodeIndex]
    return _name(schema.BuiltinOperator, max(code.builtinCode, code.deprecatedBuiltinCode))


def read_operators(tflite: bytes) -> tuple[Operator, ...]:
    """List the operators of the first graph."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(tflite)
    graph = model.subgraphs[0]
    tensors = [
        Tensor(
            name=tensor.name.decode(),
            shape=tuple(int(size) for size in ([] if tensor.shape is None else tensor.shape)),
            dtype=_name(schema.TensorType, tensor.type),
            constant=_holds_data(model.buffers[tensor.buffer]),
        )
        for tensor in graph.tensors
    ]
    return tuple(
        Operator(
            index=index,
            kind=kind_of(model, operator),
            version=int(model.operatorCodes[operator.opcodeIndex].version),
            activation=_name(
                schema.ActivationFunctionType,
                getattr(operator.builtinOptions, "fusedActivationFunction", 0),
            ),
            inputs=tuple(tensors[i] for i in operator.inputs if i >= 0),
            outputs=tuple(tensors[i] for i in operator.outputs),
            options=operator.builtinOptions,
        )
        for index, operator in enumerate(graph.operators)
    )


def private_tensors(tflite: bytes, output: str) -> frozenset[str]:
    """Name what only one output of the model depends on: the activations of that head."""
    operators = read_operators(tflite)
    graph = unpack(tflite).subgraphs[0]
    outputs = [graph.tensors[int(i)].name.decode() for i in graph.outputs]
    reaches = {name: {name} for name in outputs}
    for operator in reversed(operators):
        led_to = set().union(*(reaches.get(t.name, set()) for t in operator.outputs))
        for tensor in operator.inputs:
            reaches.setdefault(tensor.name, set()).update(led_to)
    return frozenset(
        tensor.name
        for operator in operators
        for tensor in operator.outputs
        if reaches[tensor.name] == {output}
    )


def constant_values(model: Any, tensor: Any) -> FloatArray:
    """Return the values of a float32 constant of an unpacked model."""
    values = np.frombuffer(model.buffers[tensor.buffer].data, np.float32)
    return values.reshape([int(size) for size in tensor.shape])


def _holds_data(buffer: Any) -> bool:
    # litert-quantizer keeps weights behind the flatbuffer and notes only where.
    return (buffer.data is not None and len(buffer.data) > 0) or buffer.offset > 1


def _name(enum: Any, value: int) -> str:
    names: dict[str, Any] = vars(enum)
    return next(name for name, number in names.items() if number == value)
