"""Checkpoint to ONNX: the network with the sigmoid that training leaves to the loss."""

import ast
import logging
from collections import Counter
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from p2o_convert.errors import ConversionError
from p2o_convert.quiet import quiet
from points2objects.errors import InputError
from points2objects.interpreter import INPUT
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

OPSET = 18
"""The dynamo exporter's own; it needs no version conversion afterwards."""


class ExportWrapper(nn.Module):
    """The network as the outside sees it: scores instead of logits, outputs in the spec's order."""

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network = network
        self.names = tuple(spec.outputs)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map a normalised image, (1, 3, s, s), to the maps of `spec.outputs`, (1, c, h, w)."""
        maps = dict(self.network(image))
        maps["heatmap"] = torch.sigmoid(maps["heatmap"])
        return tuple(maps[name] for name in self.names)


def export_onnx(network: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write the network as ONNX and check the file.

    The dynamo exporter is slower than the TorchScript one but knows every shape and folds padding
    into the convolutions; the other leaves a dozen operators that compute constants. Nodes are
    named after the modules they come from, and what else the exporter noted (file names, line
    numbers) is dropped.

    Raises:
        ConversionError: The outputs differ from the spec, or the graph is not valid ONNX.
    """
    wrapper = ExportWrapper(network, spec).eval()
    image = torch.zeros(1, 3, spec.input_size, spec.input_size)
    with quiet("torch.onnx"), torch.no_grad():
        torch.onnx.export(
            wrapper,
            (image,),
            str(path),
            input_names=[INPUT],
            output_names=list(spec.outputs),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model = name_nodes(use_same_padding(load_onnx(path)))
    want = {name: (1, c, spec.map_size, spec.map_size) for name, c in spec.outputs.items()}
    have = {output.name: _shape(output) for output in model.graph.output}
    if have != want:
        raise ConversionError(f"ONNX outputs: expected {want}, got {have}")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"onnx.checker: {error}") from error
    onnx.save(model, str(path))
    log.info("ONNX opset %d, %d nodes", OPSET, len(model.graph.node))


def name_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with each node named after its module, such as `body.merges.0.mix`.

    Later stages make their tensor names of these, so a layer can be followed from torch to int8.
    """
    renamed = onnx.ModelProto()
    renamed.CopyFrom(model)
    taken: Counter[str] = Counter()
    for node in renamed.graph.node:
        notes = {entry.key: entry.value for entry in node.metadata_props}
        scopes = ast.literal_eval(notes.get("pkg.torch.onnx.name_scopes", "[]"))
        # The last scope is the operator itself; the first two are the wrapper and the network.
        module = str(scopes[-2]).removeprefix("network").strip(".") if len(scopes) > 1 else ""
        module = module.removesuffix(".norm").removesuffix(".conv")
        name = module or node.op_type.lower()
        taken[name] += 1
        # A module's convolution comes first, its activation or sum after it.
        node.name = name if taken[name] == 1 else f"{name}.{node.op_type.lower()}{taken[name]}"
        del node.metadata_props[:]
    for value in [*renamed.graph.value_info, *renamed.graph.input, *renamed.graph.output]:
        del value.metadata_props[:]
    return renamed


def use_same_padding(model: onnx.ModelProto) -> onnx.ModelProto:
    """Say `SAME_UPPER` wherever the explicit padding of a convolution is just that.

    TFLite's convolutions pad that way by themselves; for explicit uneven padding onnx2tf puts a PAD
    operator, a copy of the whole tensor, in front of them.
    """
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(onnx.shape_inference.infer_shapes(model))
    graph = rewritten.graph
    shapes = {value.name: _shape(value) for value in [*graph.input, *graph.value_info]}
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        size = shapes.get(node.input[0], ())[2:]
        if node.op_type != "Conv" or not size or "pads" not in attributes:
            continue
        kernel, stride = attributes["kernel_shape"], attributes.get("strides", [1, 1])
        if list(attributes["pads"]) == _same_upper(size, kernel, stride) and all(
            d == 1 for d in attributes.get("dilations", [1, 1])
        ):
            kept = [a for a in node.attribute if a.name not in ("pads", "auto_pad")]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("auto_pad", "SAME_UPPER")])
    return rewritten


def downgrade(path: Path) -> None:
    """Rewrite a file of ours for readers that know no opset after 17.

    Of our operators only Resize has changed since; what it gained are options we do not use.

    Raises:
        ConversionError: It uses one of them.
    """
    model = load_onnx(path)
    unused = {"antialias": 0, "keep_aspect_ratio_policy": b"stretch"}
    for node in model.graph.node:
        if node.op_type != "Resize":
            continue
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if "axes" in attributes or any(
            attributes.get(name, value) != value for name, value in unused.items()
        ):
            raise ConversionError(f"ONNX: {node.name} resizes in a way that opset 17 lacks")
        kept = [a for a in node.attribute if a.name not in unused]
        del node.attribute[:]
        node.attribute.extend(kept)
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = min(opset.version, 17)
    model.ir_version = min(model.ir_version, 8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _same_upper(size: tuple[int, ...], kernel: list[int], stride: list[int]) -> list[int]:
    total = [
        max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)
    ]
    return [t // 2 for t in total] + [t - t // 2 for t in total]


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read an ONNX file.

    Raises:
        InputError: It is missing or damaged.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(str(path))
    except (OSError, DecodeError) as error:
        raise InputError(f"{path}: not a readable ONNX file ({error})") from error
    if not model.graph.output:
        raise InputError(f"{path}: not a readable ONNX file (its graph is empty)")
    return model
