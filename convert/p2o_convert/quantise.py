"""Float TFLite to its smaller formats: float16 or int8 weights, or int8 throughout."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from p2o_convert.config import FORMATS, QuantiseConfig
from p2o_convert.ends import portable_ends
from p2o_convert.errors import ConversionError
from p2o_convert.flatbuffer import (
    check_interface,
    embed_spec,
    float_tensors,
    keep_integer_outputs,
    operators,
)
from p2o_convert.graph import constant_values, kind_of, private_tensors, read_operators, unpack
from p2o_convert.quiet import quiet
from p2o_convert.ranges import TensorRange
from points2objects.errors import InputError
from points2objects.heads import HEADS_METADATA, graph_outputs, read_heads
from points2objects.metadata import read_metadata
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""Axis of the weights that is the output channel."""

BIAS_STEPS = 2**30
"""A bias must fit into so many steps: it is stored as int32."""

NOTHING_FLOAT = QuantiseConfig(float_heads=(), float_layers=())

LEVELS = {"int8": 255, "int8-float-io": 255, "int8-int8-io": 255, "int16x8": 65535}

INTEGER_ENDS = ("int8", "int8-int8-io")
"""Quantised up to their ends. int8 then gets those that every reader takes."""


def make_format(
    name: str,
    float_tflite: bytes,
    ranges: Mapping[str, TensorRange],
    spec: ModelSpec,
    options: QuantiseConfig = NOTHING_FLOAT,
    rounded: bytes | None = None,
) -> bytes:
    """Make one of `FORMATS` of the float model.

    Args:
        name: Of the format.
        float_tflite: What `export_tflite` made.
        ranges: What each activation has to cover; formats with float activations need none.
        spec: The model's contract.
        options: Its float heads and layers count here, for the integer formats.
        rounded: The same model with weights from `rounding.round_weights`, for int8 weights.

    Raises:
        InputError: There is no such head or layer.
        ConversionError: A tensor stayed float, or the interface changed.
    """
    if name == "float32":
        return float_tflite
    check_heads(options.float_heads, spec)
    tool = _tool(name, rounded if rounded and name != "float16" else float_tflite)
    values = None
    if name in LEVELS:
        _leave_float(tool, name, float_tflite, options)
        values = _statistics(float_tflite, ranges, LEVELS[name])
    with quiet("litert-quantizer"):
        result = tool.quantize(values, enable_progress_report=False, enable_progress_bar=False)
    if result.quantized_model is None:
        raise ConversionError(f"{name}: litert-quantizer returned no model")
    heads = read_metadata(float_tflite, HEADS_METADATA)
    tflite = embed_spec(bytes(result.quantized_model), spec, heads)
    if name == "int8-int8-io" and options.float_heads:
        outputs = graph_outputs(spec, read_heads(float_tflite, spec))
        tflite = keep_integer_outputs(tflite, set(outputs) - set(options.float_heads))
    left = float_tensors(tflite)
    if name in INTEGER_ENDS and left and not (options.float_heads or options.float_layers):
        raise ConversionError(f"{name}: {len(left)} tensors stayed float32, first {left[0]!r}")
    if name == "int8":
        tflite = portable_ends(tflite)
    check_interface(tflite, spec)
    log.info("TFLite %s: %d operators", name, sum(operators(tflite).values()))
    return tflite


def check_heads(names: Sequence[str], spec: ModelSpec) -> None:
    """Check that a model has the heads that shall stay float.

    Raises:
        InputError: It has not.
    """
    unknown = [head for head in names if head not in spec.outputs]
    if unknown:
        raise InputError(
            f"--float-heads: no head {unknown[0]!r}; the model has {', '.join(spec.outputs)}"
        )


def _tool(name: str, float_tflite: bytes) -> Any:
    """Return litert-quantizer with the recipe of a format."""
    from litert_quantizer import algorithm_manager, qtyping, quantizer, recipe

    algorithm = algorithm_manager.AlgorithmName
    tool = quantizer.Quantizer(float_tflite)
    if name == "float16":
        weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        tool.update_quantization_recipe(
            regex=".*",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            op_config=qtyping.OpQuantizationConfig(
                weight_tensor_config=weights,
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            ),
            algorithm_key=algorithm.FLOAT_CASTING,
        )
        return tool
    recipes = {
        "dynamic": recipe.dynamic_wi8_afp32,
        "int8": recipe.static_wi8_ai8,
        "int8-float-io": recipe.static_wi8_ai8,
        "int8-int8-io": recipe.static_wi8_ai8,
        "int16x8": recipe.static_wi8_ai16,
    }
    assert set(recipes) < set(FORMATS)
    tool.load_quantization_recipe(recipes[name](algorithm.MIN_MAX_UNIFORM_QUANT))
    return tool


def _leave_float(tool: Any, name: str, float_tflite: bytes, options: QuantiseConfig) -> None:
    """Keep layers, and the model's input and outputs where the format or a float head asks so.

    Raises:
        InputError: No layer's name starts as the options say.
    """
    from litert_quantizer import algorithm_manager, qtyping

    kinds = qtyping.TFLOperationName
    sides = [kinds.INPUT, kinds.OUTPUT] if name not in INTEGER_ENDS else []
    # The quantiser knows one rule for all outputs; those of a float head are float.
    rules = [(".*", side) for side in (sides or ([kinds.OUTPUT] if options.float_heads else []))]
    groups = [private_tensors(float_tflite, head) for head in options.float_heads]
    for start in options.float_layers:
        written = {o.outputs[0].name for o in read_operators(float_tflite)}
        groups.append(frozenset(layer for layer in written if layer.startswith(start)))
        if not groups[-1]:
            raise InputError(
                f"--float-layers: no layer's name starts with {start!r}; they are like "
                f"{', '.join(sorted(written)[:3])} (report.json lists all)"
            )
    for group in groups:
        names = "|".join(re.escape(tensor) for tensor in sorted(group))
        rules.append((f"^({names});$", kinds.ALL_SUPPORTED))
    for regex, kind in rules:
        tool.update_quantization_recipe(
            regex=regex,
            operation_name=kind,
            algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE,
        )


def _statistics(
    float_tflite: bytes, ranges: Mapping[str, TensorRange], levels: int
) -> dict[str, dict[str, Any]]:
    """Return the least and largest value of activations and weights, as the quantiser wants them.

    A dead channel has weights of next to nothing and a bias. The quantiser would give it a step so
    small that the bias overflows, so its range is widened until the bias fits.
    """
    model = unpack(float_tflite)
    graph = model.subgraphs[0]
    found = {
        name: {
            "min": np.full((1, 1, 1, 1), seen.low, np.float32),
            "max": np.full((1, 1, 1, 1), seen.high, np.float32),
        }
        for name, seen in ranges.items()
    }
    for operator in graph.operators:
        axis = CHANNEL_AXIS.get(kind_of(model, operator))
        if axis is None or len(operator.inputs) < 3 or operator.inputs[2] < 0:
            continue
        source, weight, bias = (graph.tensors[i] for i in operator.inputs[:3])
        values = np.abs(constant_values(model, weight))
        largest = values.max(axis=tuple(i for i in range(values.ndim) if i != axis), keepdims=True)
        span = ranges[source.name.decode()]
        step = max(max(span.high, 0.0) - min(span.low, 0.0), 1e-9) / levels
        needed = np.abs(constant_values(model, bias)) * 127 / (BIAS_STEPS * step)
        largest = np.maximum(largest, needed.reshape(largest.shape)).astype(np.float32)
        found[weight.name.decode()] = {"min": -largest, "max": largest}
    return found
