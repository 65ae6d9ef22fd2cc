"""Which layers lose what: each operator of a quantised model against its float twin.

The error of an activation has two parts: what came in with the inputs, and what the operator added
by rounding its weights and its output. To tell them apart each operator also runs alone, as a model
of its own cut out of the file, beside its float twin on the same inputs. What that means for the
outputs is another matter: a filter whose sum nearly vanishes can spoil them all with an error that
looks small where it is made. So the float model also runs with the rounded weights of one layer at
a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from p2o_convert.activations import ActivationReader, dequantise_values, quantise_values
from p2o_convert.graph import Operator, pack, read_operators, unpack
from p2o_convert.quiet import quiet
from p2o_convert.stages import tflite_predictor
from points2objects.geometry import ByteArray, FloatArray
from points2objects.spec import ModelSpec


@dataclass(frozen=True)
class LayerError:
    """How far one operator's output is from the float model's.

    Attributes:
        layer: Name of the tensor it writes, which is that of the module it came from.
        kind: Of operator.
        own: Relative L2 error that it adds itself, by rounding its weights and its output.
        total: Relative L2 error of its output with everything before it quantised too.
        step: Quantisation step of its output; 0 when that is float.
        heads: Relative L2 error of the model's outputs, root mean square over the heads, with only
            this operator's weights rounded; None for operators without.
    """

    layer: str
    kind: str
    own: float
    total: float
    step: float
    heads: float | None = None


class _Single:
    """One operator, cut out of a model."""

    def __init__(self, tflite: bytes, operator: Operator) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with quiet("interpreter"):
            self._interpreter = Interpreter(model_content=cut_out(tflite, operator.index))
            self._interpreter.allocate_tensors()
        self.inputs = {d["name"]: d for d in self._interpreter.get_input_details()}
        (self._output,) = self._interpreter.get_output_details()

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the operator's output, in real units, for inputs in real units."""
        for name, details in self.inputs.items():
            values = quantise_values(inputs[name], details)
            self._interpreter.set_tensor(details["index"], values)
        self._interpreter.invoke()
        values = self._interpreter.get_tensor(self._output["index"])
        return dequantise_values(values, self._output)


class _Twins:
    """One operator of a quantised model, and the same of the float model, each alone.

    `sources` says what the tensors that the first reads are called in the second.
    """

    def __init__(
        self,
        float_tflite: bytes,
        exact: Operator,
        tflite: bytes,
        rough: Operator,
        sources: Mapping[str, str],
    ) -> None:
        self._exact, self._rough = _Single(float_tflite, exact), _Single(tflite, rough)
        self._sources = {name: sources.get(name, name) for name in self._rough.inputs}

    def run(self, reader: ActivationReader) -> tuple[FloatArray, FloatArray]:
        """Return both outputs for what the float model has there, rounded as the other reads it."""
        inputs = {}
        for name, details in self._rough.inputs.items():
            values = quantise_values(reader.read(self._sources[name]), details)
            inputs[name] = dequantise_values(values, details)
        named = {self._sources[name]: values for name, values in inputs.items()}
        return self._exact.run(named), self._rough.run(inputs)


def layer_errors(
    float_tflite: bytes, quantised: bytes, images: ByteArray, spec: ModelSpec
) -> tuple[LayerError, ...]:
    """Compare every operator that both models have, by the name of its output.

    Operators that only change the type of a tensor are passed over.

    Args:
        float_tflite: What the other was made of.
        quantised: With integer activations.
        images: Canonical views, (n, s, s, 3), RGB; a few are enough.
        spec: The model's contract.
    """
    exact, rough = ActivationReader(float_tflite, spec), ActivationReader(quantised, spec)
    known = {operator.outputs[0].name: operator for operator in read_operators(float_tflite)}
    readable, sources = set(exact.names), _sources(quantised)
    compared = [
        operator
        for operator in read_operators(quantised)
        if operator.outputs[0].name in known
        and all(t.constant or sources.get(t.name, t.name) in readable for t in operator.inputs)
    ]
    twins = [
        _Twins(float_tflite, known[o.outputs[0].name], quantised, o, sources) for o in compared
    ]
    sums = np.zeros((len(compared), 3))
    for image in tqdm(images, desc="ranking layers", unit="image", disable=None):
        exact.run(image)
        rough.run(image)
        for row, (operator, twin) in enumerate(zip(compared, twins, strict=True)):
            want = exact.read(operator.outputs[0].name)
            total = rough.read(operator.outputs[0].name) - want
            own = np.subtract(*twin.run(exact))
            sums[row] += [np.square(own).sum(), np.square(total).sum(), np.square(want).sum()]
    own, total = np.sqrt(sums[:, :2] / np.maximum(sums[:, 2:], 1e-20)).T
    heads = weight_errors(float_tflite, quantised, compared, images, spec)
    return tuple(
        LayerError(
            layer=operator.outputs[0].name,
            kind=operator.kind,
            own=float(own[row]),
            total=float(total[row]),
            step=rough.step(operator.outputs[0].name),
            heads=heads.get(operator.outputs[0].name),
        )
        for row, operator in enumerate(compared)
    )


def _sources(tflite: bytes) -> dict[str, str]:
    """Return what each tensor that only changes another's type was made of."""
    made: dict[str, str] = {}
    for operator in read_operators(tflite):
        if operator.kind in ("QUANTIZE", "DEQUANTIZE"):
            source = operator.inputs[0].name
            made[operator.outputs[0].name] = made.get(source, source)
    return made


def weight_errors(
    float_tflite: bytes,
    quantised: bytes,
    operators: Sequence[Operator],
    images: ByteArray,
    spec: ModelSpec,
) -> dict[str, float]:
    """Run the float model with the rounded weights of one operator at a time.

    Returns:
        Layer -> relative L2 error of the outputs, root mean square over the heads.
    """
    wanted = _outputs(float_tflite, images, spec)
    size = {name: sum(np.square(maps[name]).sum() for maps in wanted) for name in spec.outputs}
    found = {}
    layers = [
        operator
        for operator in operators
        if len(operator.inputs) > 1
        and operator.inputs[1].constant
        and operator.inputs[1].dtype == "INT8"
    ]
    for layer in tqdm(layers, desc="rounding one by one", unit="layer", disable=None):
        changed = with_weights_of(float_tflite, quantised, layer)
        lost = dict.fromkeys(spec.outputs, 0.0)
        for have, maps in zip(_outputs(changed, images, spec), wanted, strict=True):
            for name, values in have.items():
                lost[name] += float(np.square(values - maps[name]).sum())
        shares = [lost[name] / max(float(size[name]), 1e-20) for name in spec.outputs]
        found[layer.outputs[0].name] = float(np.sqrt(np.mean(shares)))
    return found


def with_weights_of(float_tflite: bytes, quantised: bytes, layer: Operator) -> bytes:
    """Return the float model with one layer's weights and bias as the quantised model has them."""
    exact, rough = unpack(float_tflite), unpack(quantised)
    by_name = {t.name.decode(): t for t in exact.subgraphs[0].tensors}
    for tensor in rough.subgraphs[0].tensors:
        name = tensor.name.decode()
        if name not in {constant.name for constant in layer.inputs[1:]}:
            continue
        raw = rough.buffers[tensor.buffer].data.tobytes()
        bits = {"INT8": np.int8, "INT32": np.int32, "INT64": np.int64}
        dtype = next(bits[c.dtype] for c in layer.inputs if c.name == name)
        scale = np.asarray(tensor.quantization.scale, np.float64)
        shape = [1] * len(tensor.shape)
        shape[int(tensor.quantization.quantizedDimension)] = -1
        values = np.frombuffer(raw, dtype).reshape(tensor.shape) * scale.reshape(shape)
        data = values.astype(np.float32).tobytes()
        exact.buffers[by_name[name].buffer].data = np.frombuffer(data, np.uint8)
    return pack(exact)


def _outputs(tflite: bytes, images: ByteArray, spec: ModelSpec) -> list[dict[str, FloatArray]]:
    predict = tflite_predictor(tflite, spec, 1)
    return [{name: output.real() for name, output in predict(i).items()} for i in images]


def cut_out(tflite: bytes, index: int) -> bytes:
    """Return a model of one operator of another, its activations as inputs and outputs."""
    model = unpack(tflite)
    graph = model.subgraphs[0]
    operator = graph.operators[index]
    graph.operators = [operator]
    model.operatorCodes = [model.operatorCodes[operator.opcodeIndex]]
    operator.opcodeIndex = 0
    kept = [int(i) for i in dict.fromkeys((*operator.inputs, *operator.outputs)) if i >= 0]
    new = {old: position for position, old in enumerate(kept)}
    graph.tensors = [graph.tensors[i] for i in kept]
    buffers: list[Any] = [model.buffers[0]]
    for tensor in graph.tensors:
        buffer = model.buffers[tensor.buffer]
        filled = buffer.data is not None and len(buffer.data) > 0
        tensor.buffer = len(buffers) if filled else 0
        buffers += [buffer] if filled else []
    constant = {position for position, tensor in enumerate(graph.tensors) if tensor.buffer}
    operator.inputs = [new.get(int(i), -1) for i in operator.inputs]
    operator.outputs = [new[int(i)] for i in operator.outputs]
    graph.inputs = [i for i in dict.fromkeys(operator.inputs) if i >= 0 and i not in constant]
    graph.outputs = list(operator.outputs)
    model.buffers = buffers
    model.metadata = model.signatureDefs = None
    return pack(model)
