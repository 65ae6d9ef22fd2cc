"""Cross-layer equalisation: make the channels of a tensor alike, so that one int8 step fits all.

Int8 has one step per activation tensor, and channels with small values lose theirs to the largest.
Scaling channel c by s in the convolution that makes it and by 1 / s in those that read it changes
nothing in float (Nagel et al. 2019). Sums, resizing and ReLU let the scale through, so tensors
that they tie together share it. ReLU6 does not, so what it writes stays as it is: growing only the
channels that stay below 6 on the images seen is off by up to 1.5 % on others.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import numpy_helper
from tqdm import tqdm

from p2o_convert.activations import normalise
from points2objects.geometry import ByteArray, FloatArray
from points2objects.interpreter import INPUT
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

PASSES_SCALE = ("Add", "Relu", "Resize", "MaxPool", "AveragePool")
LEAST_USE = 1 / 64
"""A channel that uses less of its tensor's range is scaled as if it used this much."""


@dataclass
class Group:
    """Tensors that must keep one scale per channel.

    Attributes:
        tensors: Names.
        producers: Convolutions that write one of them.
        readers: Convolutions that read one of them.
        fused: Inputs of a ReLU, which the interpreter computes with what is before it; they are
            never quantised.
        fixed: Whether something else reads or writes them too, so that they stay as they are.
    """

    tensors: set[str] = field(default_factory=set)
    producers: list[onnx.NodeProto] = field(default_factory=list)
    readers: list[onnx.NodeProto] = field(default_factory=list)
    fused: set[str] = field(default_factory=set)
    fixed: bool = False


def equalise(model: onnx.ModelProto, images: ByteArray, spec: ModelSpec) -> onnx.ModelProto:
    """Return the model with equalised channels; in float it computes the same.

    Args:
        model: As `export_onnx` writes it: batch norms folded, weights as initializers.
        images: Canonical views to measure the channels with, (n, s, s, 3), RGB.
        spec: The model's contract.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    groups = [g for g in find_groups(changed) if not g.fixed and g.producers and g.readers]
    largest = channel_maxima(changed, groups, images, spec)
    weights = {tensor.name: tensor for tensor in changed.graph.initializer}
    for group in groups:
        scale = _scale(group, largest)
        for node in group.producers:
            for name in node.input[1:]:
                _multiply(weights[name], scale, axis=0)
        for node in group.readers:
            _multiply(weights[node.input[1]], 1 / scale, axis=0 if _is_depthwise(node) else 1)
    log.info("equalised %d groups of tensors", len(groups))
    return changed


def find_groups(model: onnx.ModelProto) -> list[Group]:
    """Sort the activations of a graph into groups that share a scale per channel."""
    graph = model.graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    used = Counter(name for node in graph.node for name in node.input)
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    outside = {value.name for value in [*graph.input, *graph.output]}
    for node in graph.node:
        activations = [name for name in node.input if name and name not in weights]
        if node.op_type in PASSES_SCALE:
            for name in activations:
                leader[find(name)] = find(node.output[0])
            # A constant summand would have to be scaled as well.
            if node.op_type == "Add" and len(activations) < 2:
                outside.add(node.output[0])
        elif not _can_scale(node, weights, used):
            outside |= {*activations, *node.output}
    groups: dict[str, Group] = {}
    for node in graph.node:
        for name in (*node.input, *node.output):
            if name and name not in weights:
                groups.setdefault(find(name), Group()).tensors.add(name)
        if node.op_type == "Conv":
            groups[find(node.input[0])].readers.append(node)
            groups.setdefault(find(node.output[0]), Group()).producers.append(node)
        if node.op_type == "Relu":
            groups[find(node.input[0])].fused.add(node.input[0])
    for name in outside:
        groups.setdefault(find(name), Group()).fixed = True
    return list(groups.values())


def channel_maxima(
    model: onnx.ModelProto, groups: Sequence[Group], images: ByteArray, spec: ModelSpec
) -> dict[str, FloatArray]:
    """Measure the largest absolute value of every channel of every tensor, name -> (c,)."""
    import onnxruntime

    names = sorted(set().union(*(group.tensors for group in groups)))
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    known = {output.name for output in watched.graph.output}
    watched.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in known
    )
    onnxruntime.disable_telemetry_events()
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    largest: dict[str, FloatArray] = {}
    for image in tqdm(images, desc="measuring channels", unit="image", disable=None):
        feed = {INPUT: normalise(image, spec).transpose(0, 3, 1, 2)}
        for name, values in zip(names, session.run(names, feed), strict=True):
            found = np.abs(np.asarray(values)).max(axis=(0, 2, 3))
            largest[name] = np.maximum(largest[name], found) if name in largest else found
    return largest


def _scale(group: Group, largest: dict[str, FloatArray]) -> FloatArray:
    """Return the factor of each channel, (c,), that makes it as large as the largest."""
    use = np.max(
        [
            largest[name] / max(float(largest[name].max()), 1e-12)
            for name in group.tensors - group.fused
        ],
        axis=0,
    )
    return np.asarray(1 / np.clip(use, LEAST_USE, 1), np.float32)


def _can_scale(
    node: onnx.NodeProto, weights: Mapping[str, tuple[int, ...]], used: Mapping[str, int]
) -> bool:
    """Tell a convolution, dense or depthwise, whose weights are constant and its own."""
    own = all(name in weights and used[name] == 1 for name in node.input[1:])
    if node.op_type != "Conv" or not own:
        return False
    return _groups(node) in (1, weights[node.input[1]][0])


def _is_depthwise(node: onnx.NodeProto) -> bool:
    return _groups(node) > 1


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _multiply(tensor: onnx.TensorProto, factor: FloatArray, axis: int) -> None:
    values = numpy_helper.to_array(tensor)
    shape = [-1 if i == axis else 1 for i in range(values.ndim)]
    product = np.asarray(values * factor.reshape(shape), np.float32)
    tensor.CopyFrom(numpy_helper.from_array(product, tensor.name))
