"""Round weights to int8 so that a layer's output changes least, not each weight by itself.

Rounding to the nearest step leaves an error in each weight, and what the output loses is the sum of
all of them: smooth inputs add them up, and edge filters live on sums that nearly vanish. Here the
error of each weight is made up for by those not yet rounded (GPTQ, Frantar et al. 2022, after
Hassibi and Stork 1993), as far as the inputs seen on real images allow; what remains on average
goes into the bias, which is nearly exact.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from p2o_convert.activations import ActivationReader
from p2o_convert.graph import Operator, constant_values, pack, read_operators, unpack
from points2objects.geometry import ByteArray, FloatArray
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

POSITIONS = 64
"""Cells of each map that are looked at, per image."""
DAMPING = 0.01
"""Added to the inputs' second moments, as a share of their mean: keeps rare inputs in check."""
STEPS = 127


@dataclass
class Moments:
    """Sums over the inputs of a layer's kernel, of n values each.

    Attributes:
        count: Inputs seen.
        first: Sum, (groups, n); one group for a dense layer, one per channel for a depthwise one.
        second: Sum of outer products, (groups, n, n).
    """

    count: int
    first: FloatArray
    second: FloatArray

    @property
    def mean(self) -> FloatArray:
        """Mean input, (groups, n)."""
        return self.first / self.count

    @property
    def covariance(self) -> FloatArray:
        """Covariance of the inputs, (groups, n, n); the bias takes care of their mean."""
        mean = self.mean
        return np.asarray(self.second / self.count - mean[:, :, None] * mean[:, None, :])


def round_weights(float_tflite: bytes, images: ByteArray, spec: ModelSpec) -> bytes:
    """Return the float model with weights on the int8 grid of their channel.

    The grid is that of the weights given: `quantise.make_format` must take the steps from them.

    Args:
        float_tflite: What `export_tflite` made.
        images: Canonical views to see inputs on, (n, s, s, 3), RGB.
        spec: The model's contract.
    """
    layers = [o for o in read_operators(float_tflite) if is_layer(o)]
    moments = input_moments(float_tflite, layers, images, spec)
    model = unpack(float_tflite)
    tensors = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    for layer in tqdm(layers, desc="rounding", unit="layer", disable=None):
        weight, bias = (tensors[layer.inputs[i].name] for i in (1, 2))
        rows = _as_rows(constant_values(model, weight), layer.kind)
        seen = moments[layer.inputs[0].name, layer.inputs[1].name]
        rounded = least_squares_rounding(rows, seen.covariance)
        shift = np.einsum("on,gn->og", rows - rounded, seen.mean)
        own = np.diagonal(shift) if layer.kind == "DEPTHWISE_CONV_2D" else shift[:, 0]
        _store(model, bias, constant_values(model, bias) + own)
        _store(model, weight, _as_weight(rounded, layer))
    return pack(model)


def is_layer(operator: Operator) -> bool:
    """Tell a convolution with weights and bias in the file, dense or depthwise."""
    return (
        operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")
        and len(operator.inputs) == 3
        and operator.inputs[1].constant
        and operator.inputs[2].constant
        and operator.options.dilationHFactor == operator.options.dilationWFactor == 1
    )


def least_squares_rounding(rows: FloatArray, covariance: FloatArray) -> FloatArray:
    """Round each row to its own 255 steps, with little change of its products with the inputs.

    Args:
        rows: Weights, (outputs, n).
        covariance: Of the inputs, (1, n, n) or one per output.
    """
    outputs, size = rows.shape
    step = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-12) / STEPS
    spread = np.einsum("gii->gi", covariance)
    damped = covariance + np.eye(size) * (DAMPING * spread.mean(axis=1)[:, None, None] + 1e-10)
    # Inputs that vary most are rounded first, while there are others left to make up for it.
    order = np.argsort(-spread.sum(axis=0), kind="stable")
    damped = damped[:, order][:, :, order]
    # Row i of the factor says how the others make up for an error of weight i.
    factor = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    factor = np.broadcast_to(factor, (outputs, size, size))
    left = rows[:, order].astype(np.float64)
    rounded = np.zeros_like(left)
    for i in range(size):
        value = left[:, i]
        rounded[:, i] = np.clip(np.rint(value / step[:, 0]), -STEPS, STEPS) * step[:, 0]
        error = (value - rounded[:, i]) / factor[:, i, i]
        left[:, i + 1 :] -= error[:, None] * factor[:, i, i + 1 :]
    result = np.zeros_like(rounded)
    result[:, order] = rounded
    return result


def input_moments(
    float_tflite: bytes, layers: list[Operator], images: ByteArray, spec: ModelSpec
) -> dict[tuple[str, str], Moments]:
    """Sum up the inputs of each layer's kernel over images, by names of input and weights."""
    reader = ActivationReader(float_tflite, spec)
    rng = np.random.default_rng(0)
    found: dict[tuple[str, str], Moments] = {}
    for image in tqdm(images, desc="watching layers", unit="image", disable=None):
        reader.run(image)
        for layer in layers:
            values = _patches(reader.read(layer.inputs[0].name)[0], layer, rng)
            if layer.kind == "DEPTHWISE_CONV_2D":
                grouped = values.transpose(2, 0, 1)
            else:
                grouped = values.reshape(1, len(values), -1)
            first, second = grouped.sum(axis=1), grouped.transpose(0, 2, 1) @ grouped
            key = layer.inputs[0].name, layer.inputs[1].name
            old = found.get(key)
            found[key] = (
                Moments(len(values), first, second)
                if old is None
                else Moments(old.count + len(values), old.first + first, old.second + second)
            )
    return found


def _patches(values: FloatArray, layer: Operator, rng: np.random.Generator) -> FloatArray:
    """Cut what the kernel sees at some outputs, (n, kernel cells, c), out of a map (h, w, c)."""
    from ai_edge_litert import schema_py_generated as schema

    kernel = layer.inputs[1].shape[1:3]
    stride = (layer.options.strideH, layer.options.strideW)
    out = layer.outputs[0].shape[1:3]
    if layer.options.padding == schema.Padding.SAME:
        need = [
            max((o - 1) * s + k - n, 0)
            for o, s, k, n in zip(out, stride, kernel, values.shape[:2], strict=True)
        ]
        values = np.pad(values, [*((n // 2, n - n // 2) for n in need), (0, 0)])
    count = min(POSITIONS, out[0] * out[1])
    row, column = np.divmod(rng.choice(out[0] * out[1], count, replace=False), out[1])
    rows = row[:, None, None] * stride[0] + np.arange(kernel[0])[:, None]
    columns = column[:, None, None] * stride[1] + np.arange(kernel[1])
    cut = values[rows, columns]
    return np.asarray(cut.reshape(count, kernel[0] * kernel[1], -1), np.float64)


def _as_rows(weight: FloatArray, kind: str) -> FloatArray:
    """Return one row of weights per output channel."""
    if kind == "DEPTHWISE_CONV_2D":
        return weight.reshape(-1, weight.shape[-1]).T
    return weight.reshape(len(weight), -1)


def _as_weight(rows: FloatArray, layer: Operator) -> FloatArray:
    rows = rows.T if layer.kind == "DEPTHWISE_CONV_2D" else rows
    return rows.reshape(layer.inputs[1].shape)


def _store(model: Any, tensor: Any, values: FloatArray) -> None:
    data = np.ascontiguousarray(values, np.float32)
    model.buffers[tensor.buffer].data = np.frombuffer(data.tobytes(), np.uint8)
