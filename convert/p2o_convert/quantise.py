"""Float TFLite to full int8: per-channel weights, activation ranges from real images."""

import logging
from collections.abc import MutableMapping
from typing import Any

import numpy as np
from tqdm import tqdm

from p2o_convert.errors import ConversionError
from p2o_convert.flatbuffer import check_interface, embed_spec, float_tensors, operators
from p2o_convert.quiet import quiet
from points2objects.geometry import ByteArray, FloatArray
from points2objects.interpreter import INPUT, SIGNATURE
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

Ranges = dict[str, MutableMapping[str, Any]]
"""Least and largest value of each tensor, as litert-quantizer names them."""


def quantise(
    float_tflite: bytes, images: ByteArray, spec: ModelSpec, float_io: bool = False
) -> bytes:
    """Quantise weights and activations to int8.

    Args:
        float_tflite: What `export_tflite` made.
        images: Canonical views to calibrate with, (n, s, s, 3), RGB.
        spec: The model's contract.
        float_io: Keep input and outputs float32; the graph inside is int8 all the same.

    Raises:
        ConversionError: A tensor stayed float, or the interface changed.
    """
    from litert_quantizer import algorithm_manager, qtyping, quantizer, recipe

    min_max = algorithm_manager.AlgorithmName.MIN_MAX_UNIFORM_QUANT
    tool = quantizer.Quantizer(float_tflite)
    tool.load_quantization_recipe(recipe.static_wi8_ai8(min_max))
    if float_io:
        for side in ("INPUT", "OUTPUT"):
            tool.update_quantization_recipe(
                regex=".*",
                operation_name=qtyping.TFLOperationName(side),
                algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE,
            )
    ranges = calibrate(tool, images, spec)
    with quiet("litert-quantizer"):
        result = tool.quantize(ranges, enable_progress_report=False, enable_progress_bar=False)
    if result.quantized_model is None:
        raise ConversionError("int8: litert-quantizer returned no model")
    tflite = embed_spec(bytes(result.quantized_model), spec)
    check_interface(tflite, spec)
    left = float_tensors(tflite)
    if left and not float_io:
        raise ConversionError(f"int8: {len(left)} tensors stayed float32, first {left[0]!r}")
    log.info("TFLite int8: %d operators", sum(operators(tflite).values()))
    return tflite


def calibrate(tool: Any, images: ByteArray, spec: ModelSpec) -> Ranges:
    """Measure the true range of every tensor over all images.

    The quantiser's own calibration is a moving average over the samples, which clips the rare peaks
    of the heat-map: ten times the error. So each image is calibrated alone and we merge.

    Args:
        tool: A litert-quantizer `Quantizer` with its recipe loaded.
        images: Canonical views, (n, s, s, 3), RGB.
        spec: The model's contract.
    """
    merged: Ranges = {}
    for image in tqdm(images, desc="calibrating", unit="image", disable=None):
        sample = {SIGNATURE: [{INPUT: normalise(image, spec)}]}
        with quiet("litert-quantizer"):
            seen = tool.calibrate(sample, num_threads=1)
        for name, value in seen.items():
            if not value:
                merged.setdefault(name, {})
                continue
            old = merged.get(name) or value
            merged[name] = {
                "min": np.minimum(old["min"], value["min"]),
                "max": np.maximum(old["max"], value["max"]),
            }
    # A picture of the user's may be brighter than any seen here, but never more than white.
    limits = normalise(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), spec)
    shape = np.shape(merged[INPUT]["min"])
    merged[INPUT] = {
        "min": np.full(shape, limits.min(), np.float32),
        "max": np.full(shape, limits.max(), np.float32),
    }
    return merged


def normalise(image: ByteArray, spec: ModelSpec) -> FloatArray:
    """Make the network's input, (1, h, w, 3) float32, of an image (h, w, 3)."""
    mean, std = np.asarray(spec.mean, np.float32), np.asarray(spec.std, np.float32)
    return np.asarray(((image.astype(np.float32) - mean) / std)[None], np.float32)
