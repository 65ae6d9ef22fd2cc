"""The ends of an integer model: bytes in and floats out, which every reader takes.

Inside, activations are int8. Readers differ in what they take at the ends: LiteRT.js knows float32,
int32 and uint8 only, and an app has bytes. A uint8 tensor of the same step whose zero point lies
128 higher holds the same values, so nothing between the ends changes by a bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p2o_convert.graph import kind_of, pack, unpack
from points2objects.geometry import ByteArray
from points2objects.heads import HeadMap
from points2objects.interpreter import Interpreter, byte_levels, takes_bytes
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMaps

UINT8_FROM_INT8 = 128
"""What a zero point grows by when int8 values are counted from 0."""

INT8_DEQUANTIZE_VERSION = 2


@dataclass(frozen=True)
class Ends:
    """What goes into a model and what comes out.

    Attributes:
        takes: Type of the input.
        scale: Step of an integer input; 0 if it is float.
        zero_point: Its value for 0.
        gives: Type of each output, by its name in the signature.
    """

    takes: str
    scale: float
    zero_point: int
    gives: dict[str, str]


def read_ends(tflite: bytes) -> Ends:
    """Read the types at the ends of a model."""
    model = unpack(tflite)
    tensors, (signature,) = model.subgraphs[0].tensors, model.signatureDefs
    image = tensors[signature.inputs[0].tensorIndex]
    scale, zero_point = _quantisation(image)
    return Ends(
        takes=_type_name(image),
        scale=scale,
        zero_point=zero_point,
        gives={o.name.decode(): _type_name(tensors[o.tensorIndex]) for o in signature.outputs},
    )


def describe_ends(tflite: bytes, spec: ModelSpec) -> str:
    """Say how a picture goes in and what comes out, for someone without our runtime."""
    ends = read_ends(tflite)
    taken = f"{ends.takes} {_normalised(spec)}"
    if ends.scale:
        sign = "-" if ends.zero_point < 0 else "+"
        steps = f"round({_normalised(spec)} / {ends.scale:.6g}) {sign} {abs(ends.zero_point)}"
        as_is = ends.takes == "uint8" and takes_bytes(
            byte_levels(spec, ends.scale, ends.zero_point)
        )
        taken = "uint8 RGB, bytes as they are" if as_is else f"{ends.takes} {steps}"
    return f"in: {taken}; out: {' and '.join(sorted(set(ends.gives.values())))}"


def _normalised(spec: ModelSpec) -> str:
    mean, std = (
        f"{values[0]:g}"
        if len(set(values)) == 1
        else "(" + ", ".join(f"{v:g}" for v in values) + ")"
        for values in (spec.mean, spec.std)
    )
    return f"(RGB - {mean}) / {std}"


def portable_ends(tflite: bytes) -> bytes:
    """Return an int8 model with uint8 in and float32 out, and the same between them.

    An end of any other type stays as it is.
    """
    model = unpack(tflite)
    _take_bytes(model)
    _give_floats(model)
    return pack(model)


def largest_differences(
    old: bytes, new: bytes, images: Sequence[ByteArray] | ByteArray, spec: ModelSpec
) -> dict[str, float]:
    """Return the largest absolute difference of each of the network's outputs on some images."""
    interpreters = [Interpreter(tflite, spec) for tflite in (old, new)]
    largest: dict[str, float] = {}
    for image in images:
        before, after = (_network_maps(interpreter.run(image)) for interpreter in interpreters)
        for name, values in before.items():
            apart = np.abs(values.real() - after[name].real()).max()
            # Unlike max, it lets no NaN pass for 0.
            largest[name] = float(np.maximum(largest.get(name, 0.0), apart))
    return largest


def _network_maps(maps: OutputMaps) -> OutputMaps:
    """Return what the network put out itself, whatever is made of it."""
    return {
        name: made.features if isinstance(made, HeadMap) else made for name, made in maps.items()
    }


def _take_bytes(model: Any) -> None:
    """Let an int8 input be uint8."""
    from ai_edge_litert import schema_py_generated as schema

    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    (index,) = (int(i) for i in graph.inputs)
    image = graph.tensors[index]
    if image.type != schema.TensorType.INT8:
        return
    scale, zero_point = _quantisation(image)
    readers = [o for o in graph.operators if index in {int(i) for i in o.inputs}]
    if all(kind_of(model, reader) == "DEQUANTIZE" for reader in readers):
        # The first layers are float, so nothing reads the integers: they may be of any type.
        image.type = schema.TensorType.UINT8
        image.quantization.zeroPoint = [zero_point + UINT8_FROM_INT8]
        return
    shape, name = image.shape, image.name
    image.name = name + b"_quantized"
    taken = _add_tensor(graph, name, shape, schema.TensorType.UINT8)
    graph.tensors[taken].quantization = _per_tensor(scale, zero_point + UINT8_FROM_INT8)
    graph.operators.insert(0, _operator(model, "QUANTIZE", 1, taken, index))
    graph.inputs = [taken]
    signature.inputs[0].tensorIndex = taken


def _give_floats(model: Any) -> None:
    """Let int8 outputs be float32; a float layer that reads one has it in float already."""
    from ai_edge_litert import schema_py_generated as schema

    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    floats = {
        int(operator.inputs[0]): int(operator.outputs[0])
        for operator in graph.operators
        if kind_of(model, operator) == "DEQUANTIZE"
    }
    for entry in signature.outputs:
        index = int(entry.tensorIndex)
        tensor = graph.tensors[index]
        if tensor.type != schema.TensorType.INT8:
            continue
        if index not in floats:
            name = tensor.name + b"_dequant"
            floats[index] = _add_tensor(graph, name, tensor.shape, schema.TensorType.FLOAT32)
            made = _operator(model, "DEQUANTIZE", INT8_DEQUANTIZE_VERSION, index, floats[index])
            graph.operators.append(made)
        entry.tensorIndex = floats[index]
    graph.outputs = [int(entry.tensorIndex) for entry in signature.outputs]


def _add_tensor(graph: Any, name: bytes, shape: Any, kind: int) -> int:
    """Append an activation and return its index."""
    from ai_edge_litert import schema_py_generated as schema

    tensor: Any = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.hasRank = name, shape, kind, True
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _per_tensor(scale: float, zero_point: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    quantisation: Any = schema.QuantizationParametersT()
    quantisation.scale, quantisation.zeroPoint = [scale], [zero_point]
    return quantisation


def _operator(model: Any, kind: str, version: int, source: int, result: int) -> Any:
    """Make an operator of one input and one output, its code added to the model if it is new."""
    from ai_edge_litert import schema_py_generated as schema

    number = int(getattr(schema.BuiltinOperator, kind))
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    if number not in codes:
        code: Any = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = version
        model.operatorCodes.append(code)
        codes.append(number)
    operator: Any = schema.OperatorT()
    operator.opcodeIndex = codes.index(number)
    operator.inputs, operator.outputs = [source], [result]
    return operator


def _quantisation(tensor: Any) -> tuple[float, int]:
    """Return the step and the zero point of a tensor; 0 and 0 if it is float."""
    held = tensor.quantization
    if held is None or held.scale is None or len(held.scale) == 0:
        return 0.0, 0
    return float(held.scale[0]), int(held.zeroPoint[0])


def _type_name(tensor: Any) -> str:
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
    return str(names[tensor.type]).lower()
