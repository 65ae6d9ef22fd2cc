"""Which operators an accelerator would leave to the CPU, and how many XNNPACK takes here.

The compatibility analyser of current TensorFlow and ai-edge-litert answers "compatible" for any
model, so this module holds the delegates' own rules for the operators such a network has. Sources,
in the TensorFlow repository:

- GPU: tensorflow/lite/tools/versioning/gpu_compatibility.cc (kinds, options) and
  tensorflow/lite/delegates/gpu/common/model_builder.cc (largest operator version)
- NNAPI: tensorflow/lite/delegates/nnapi/nnapi_delegate.cc, `NNAPIDelegateKernel::Validate`, for
  Android 11 (API level 30, NNAPI 1.3) and later. Android 15 deprecates NNAPI.

XNNPACK needs no table: the interpreter says what it took.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from p2o_convert.graph import Operator, read_operators
from p2o_convert.quiet import quiet

_EIGHT_BIT_OR_FLOAT = frozenset({"FLOAT32", "FLOAT16", "INT8", "UINT8", "INT32"})
_GPU_ACTIVATIONS = frozenset({"NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH"})


@dataclass(frozen=True)
class Delegate:
    """What an accelerator's delegate accepts.

    Attributes:
        name: For people.
        versions: Kinds of operator, each with the largest version it knows.
        types: Tensor types.
        check: Says what else is wrong with an operator, or "".
    """

    name: str
    versions: Mapping[str, int]
    types: frozenset[str]
    check: Callable[[Operator], str]


@dataclass(frozen=True)
class Fallback:
    """One operator that a delegate would leave to the CPU.

    Attributes:
        delegate: Its name.
        layer: The operator's output tensor.
        kind: Of operator.
        reason: In words.
    """

    delegate: str
    layer: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Readiness:
    """How ready a model is for accelerators.

    Attributes:
        operators: How many there are.
        xnnpack: How many of them XNNPACK runs on this machine.
        fallbacks: What GPU and NNAPI would leave to the CPU.
    """

    operators: int
    xnnpack: int
    fallbacks: tuple[Fallback, ...] = field(default=())


def readiness(tflite: bytes) -> Readiness:
    """Check every operator of a model against every delegate."""
    operators = read_operators(tflite)
    found = []
    for delegate in DELEGATES:
        for operator in operators:
            reason = objection(delegate, operator)
            if reason:
                layer = operator.outputs[0].name
                found.append(Fallback(delegate.name, layer, operator.kind, reason))
    return Readiness(len(operators), count_xnnpack(tflite), tuple(found))


def objection(delegate: Delegate, operator: Operator) -> str:
    """Say why a delegate would not run an operator; "" when it would."""
    # Constants in half precision are unpacked when the model is loaded.
    if operator.kind == "DEQUANTIZE" and operator.inputs[0].constant:
        return ""
    if operator.kind not in delegate.versions:
        return f"{operator.kind} is not supported"
    largest = delegate.versions[operator.kind]
    if operator.version > largest:
        return f"version {operator.version} is newer than {largest}"
    alien = {t.dtype for t in (*operator.inputs[:2], *operator.outputs)} - delegate.types
    if alien:
        return f"tensors of type {', '.join(sorted(alien))}"
    return delegate.check(operator)


def count_xnnpack(tflite: bytes) -> int:
    """Count the operators that the interpreter hands to XNNPACK on this machine."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet("interpreter"):
        interpreter = Interpreter(model_content=tflite, num_threads=1)
        interpreter.allocate_tensors()
    # Private, but there is no other way: a delegate's part of the graph is listed as one operator
    # behind those it replaces, so what it took is whatever leads from its inputs to its outputs.
    listed = interpreter._get_ops_details()
    plain = [o for o in listed if o["op_name"] != "DELEGATE"]
    taken = 0
    for part in (o for o in listed if o["op_name"] == "DELEGATE"):
        wanted = {int(i) for i in part["outputs"]}
        given = {int(i) for i in part["inputs"]}
        for operator in reversed(plain):
            if wanted & {int(i) for i in operator["outputs"]}:
                taken += 1
                wanted |= {int(i) for i in operator["inputs"]} - given
    return taken


def _gpu_check(operator: Operator) -> str:
    options, inputs = operator.options, operator.inputs
    if operator.activation not in _GPU_ACTIVATIONS:
        return f"fused {operator.activation}"
    if operator.kind == "DEPTHWISE_CONV_2D":
        multiplier, channels = options.depthMultiplier, inputs[0].shape[-1]
        if multiplier != 1 and channels != 1:
            return f"{multiplier} outputs per channel"
    if operator.kind == "RESIZE_BILINEAR" and options.alignCorners and options.halfPixelCenters:
        return "align_corners together with half_pixel_centers"
    if operator.kind in ("ADD", "MUL") and len(inputs) != 2:
        return f"{len(inputs)} inputs"
    if operator.kind == "PAD" and inputs[1].shape not in ((3, 2), (4, 2)):
        return f"padding of shape {inputs[1].shape}"
    if operator.kind in ("MEAN", "SUM") and not inputs[1].constant:
        return "axes that are not constant"
    return ""


def _nnapi_check(operator: Operator) -> str:
    needs_constant = {
        "RESIZE_BILINEAR": 1,
        "TRANSPOSE": 1,
        "RESHAPE": 1,
        "RESIZE_NEAREST_NEIGHBOR": 1,
    }
    position = needs_constant.get(operator.kind)
    if position is not None and not operator.inputs[position].constant:
        return "a shape that is not constant"
    if operator.kind == "CONV_2D" and len(operator.inputs) != 3:
        return "no bias"
    if operator.kind == "QUANTIZE" and operator.inputs[0].dtype != "FLOAT32":
        return f"input of type {operator.inputs[0].dtype}, not FLOAT32"
    return ""


GPU = Delegate(
    "GPU",
    {
        "ADD": 2,
        "AVERAGE_POOL_2D": 2,
        "CONCATENATION": 2,
        "CONV_2D": 6,
        "DEPTHWISE_CONV_2D": 6,
        "DEQUANTIZE": 3,
        "FULLY_CONNECTED": 9,
        "LOGISTIC": 2,
        "MAX_POOL_2D": 2,
        "MEAN": 3,
        "MUL": 3,
        "PAD": 2,
        "QUANTIZE": 2,
        "RELU": 2,
        "RELU6": 2,
        "RESHAPE": 1,
        "RESIZE_BILINEAR": 3,
        "RESIZE_NEAREST_NEIGHBOR": 3,
        "TRANSPOSE": 2,
    },
    _EIGHT_BIT_OR_FLOAT,
    _gpu_check,
)

NNAPI = Delegate(
    "NNAPI",
    {
        "ADD": 2,
        "AVERAGE_POOL_2D": 2,
        "CONCATENATION": 2,
        "CONV_2D": 5,
        "DEPTHWISE_CONV_2D": 3,
        "DEQUANTIZE": 2,
        "FULLY_CONNECTED": 5,
        "LOGISTIC": 2,
        "MAX_POOL_2D": 2,
        "MUL": 3,
        "PAD": 2,
        "QUANTIZE": 2,
        "RELU": 2,
        "RELU6": 2,
        "RESHAPE": 1,
        "RESIZE_BILINEAR": 3,
        "RESIZE_NEAREST_NEIGHBOR": 3,
        "TRANSPOSE": 2,
    },
    _EIGHT_BIT_OR_FLOAT,
    _nnapi_check,
)

DELEGATES = (GPU, NNAPI)
