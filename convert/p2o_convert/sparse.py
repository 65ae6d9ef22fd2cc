"""Cut output heads off a float TFLite, to be evaluated in float at the peaks only.

What the decoder reads of pose and exemplars are a few cells around each peak. Without these heads
the network is shorter, and their rounding is spared; their weights travel as metadata, and
`points2objects.heads` computes what they would have put out.
"""

import logging
from typing import Any

import numpy as np

from p2o_convert.flatbuffer import embed_spec
from p2o_convert.graph import constant_values, kind_of, pack, unpack
from points2objects.errors import InputError
from points2objects.heads import FEATURES, KERNEL_CELLS, Head, Layer, heads_to_bytes
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

DENSE = ("heatmap",)
"""Outputs that the network makes at every cell, as peaks are searched there."""

KERNEL = (3, 3)


def sparse_heads(spec: ModelSpec) -> list[str]:
    """Name the outputs that are read at peaks only."""
    return [name for name in spec.outputs if name not in DENSE]


def cut_heads(float_tflite: bytes, spec: ModelSpec) -> bytes:
    """Return the model with its features as an output instead of what is read at peaks only.

    Args:
        float_tflite: float32, with every output of the spec.
        spec: The model's contract.

    Raises:
        InputError: A head is not a 3x3 convolution and 1x1 convolutions of shared features.
    """
    model = unpack(float_tflite)
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    tensors = {entry.name.decode(): int(entry.tensorIndex) for entry in signature.outputs}
    writers = {int(operator.outputs[0]): operator for operator in graph.operators}
    chains = {name: _chain(model, writers, tensors[name], name) for name in sparse_heads(spec)}
    sources = {int(chain[0].inputs[0]) for chain in chains.values()}
    if len(sources) != 1:
        raise InputError("--heads sparse: the heads do not read the same features; use dense")
    heads = {
        name: Head(tuple(_layer(model, operator) for operator in chain))
        for name, chain in chains.items()
    }
    (features,) = sources
    entry: Any = type(signature.outputs[0])()
    entry.name, entry.tensorIndex = FEATURES.encode(), features
    signature.outputs = [e for e in signature.outputs if e.name.decode() in DENSE] + [entry]
    graph.outputs = [int(e.tensorIndex) for e in signature.outputs]
    gone = {id(operator) for chain in chains.values() for operator in chain}
    graph.operators = [operator for operator in graph.operators if id(operator) not in gone]
    _drop_unused(model)
    log.info("%d heads are evaluated at peaks: %s", len(heads), ", ".join(heads))
    return embed_spec(pack(model), spec, heads_to_bytes(heads))


def _chain(model: Any, writers: dict[int, Any], output: int, name: str) -> list[Any]:
    """Return a head's convolutions, first to last.

    Raises:
        InputError: It holds something else.
    """
    chain: list[Any] = []
    position = output
    while not chain or _kernel(model, chain[0]) == (1, 1):
        operator = writers.get(position)
        kind = "input" if operator is None else kind_of(model, operator)
        if operator is None or kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            raise _foreign(name, f"{kind} where a convolution should be")
        chain.insert(0, operator)
        position = int(operator.inputs[0])
    activations = [operator.builtinOptions.fusedActivationFunction for operator in chain]
    if activations != [*[0] * (len(chain) - 2), _relu(), 0]:
        raise _foreign(name, "other activations than one ReLU before the last convolution")
    if not all(_is_plain(model, operator, first=operator is chain[0]) for operator in chain):
        raise _foreign(name, "a convolution of another size, stride or padding")
    return chain


def _is_plain(model: Any, operator: Any, first: bool) -> bool:
    """Tell a convolution at every cell: 3x3 with zero padding if it is the first, else 1x1."""
    from ai_edge_litert import schema_py_generated as schema

    options = operator.builtinOptions
    strides = (options.strideH, options.strideW, options.dilationHFactor, options.dilationWFactor)
    depthwise = kind_of(model, operator) == "DEPTHWISE_CONV_2D"
    if not first:
        return strides == (1, 1, 1, 1) and not depthwise
    return (
        strides == (1, 1, 1, 1)
        and _kernel(model, operator) == KERNEL
        and options.padding == schema.Padding.SAME
        and (not depthwise or options.depthMultiplier in (0, 1))
    )


def _layer(model: Any, operator: Any) -> Layer:
    """Read a convolution's weights, in the order that `points2objects.heads` computes with."""
    tensors = model.subgraphs[0].tensors
    weight, bias = (constant_values(model, tensors[int(i)]) for i in operator.inputs[1:3])
    if kind_of(model, operator) == "DEPTHWISE_CONV_2D":
        weight = weight.reshape(KERNEL_CELLS, -1)
    elif _kernel(model, operator) == KERNEL:
        weight = weight.transpose(1, 2, 3, 0).reshape(KERNEL_CELLS, weight.shape[3], -1)
    else:
        weight = weight.reshape(len(weight), -1).T
    return Layer(np.ascontiguousarray(weight), bias)


def _drop_unused(model: Any) -> None:
    """Take tensors and weights out that no operator and no output uses any more."""
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    used = {int(i) for o in graph.operators for i in (*o.inputs, *o.outputs) if i >= 0}
    kept = sorted(used | {int(i) for i in (*graph.inputs, *graph.outputs)})
    new = {old: position for position, old in enumerate(kept)} | {-1: -1}
    graph.tensors = [graph.tensors[i] for i in kept]
    for holder in (graph, *graph.operators):
        holder.inputs = [new[int(i)] for i in holder.inputs]
        holder.outputs = [new[int(i)] for i in holder.outputs]
    for entry in (*signature.inputs, *signature.outputs):
        entry.tensorIndex = new[int(entry.tensorIndex)]
    held = {int(t.buffer) for t in graph.tensors} | {int(m.buffer) for m in model.metadata or []}
    for index, buffer in enumerate(model.buffers):
        if index not in held:
            buffer.data = None


def _kernel(model: Any, operator: Any) -> tuple[int, int]:
    shape = model.subgraphs[0].tensors[int(operator.inputs[1])].shape
    return int(shape[1]), int(shape[2])


def _relu() -> int:
    from ai_edge_litert import schema_py_generated as schema

    return int(schema.ActivationFunctionType.RELU)


def _foreign(name: str, what: str) -> InputError:
    return InputError(f"--heads sparse: the head {name!r} holds {what}; use --heads dense")
