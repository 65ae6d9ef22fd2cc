"""Measure what values every tensor takes on real images: the ranges that int8 has to cover."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from p2o_convert.activations import ActivationReader
from p2o_convert.config import Method
from points2objects.geometry import ByteArray, FloatArray
from points2objects.interpreter import INPUT
from points2objects.spec import ModelSpec

KEPT = 1024
"""So many values of each tensor are kept of each image, besides its least and largest."""


@dataclass(frozen=True)
class TensorRange:
    """What a quantised tensor covers.

    Attributes:
        low: Least value.
        high: Largest value.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Seen:
    """Values of one tensor over all images.

    Attributes:
        low: Least of all values.
        high: Largest of all values.
        values: A sample of them, evenly spread over images and positions, (n,).
    """

    low: float
    high: float
    values: FloatArray


Measured = dict[str, Seen]
"""One entry per activation of the model, by tensor name."""


def measure(float_tflite: bytes, images: ByteArray, spec: ModelSpec) -> Measured:
    """Run a float model on images and note what each of its activations holds.

    The quantiser's own calibration is a moving average over the images, which clips the rare peaks
    of the heat-map: ten times the error.

    Args:
        float_tflite: What `export_tflite` made.
        images: Canonical views, (n, s, s, 3), RGB.
        spec: The model's contract.
    """
    reader = ActivationReader(float_tflite, spec)
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    kept: dict[str, list[FloatArray]] = {}
    for image in tqdm(images, desc="calibrating", unit="image", disable=None):
        reader.run(image)
        for name in reader.names:
            values = reader.read(name).ravel()
            lows[name] = min(lows.get(name, np.inf), float(values.min()))
            highs[name] = max(highs.get(name, -np.inf), float(values.max()))
            # An odd step walks through all channels, whose number is even.
            step = max(len(values) // KEPT, 1) | 1
            kept.setdefault(name, []).append(values[::step].copy())
    return {
        name: Seen(lows[name], highs[name], np.concatenate(kept[name])) for name in reader.names
    }


def ranges(
    measured: Measured, spec: ModelSpec, method: Method = "minmax", percentile: float = 99.99
) -> dict[str, TensorRange]:
    """Choose the range of every tensor.

    Args:
        measured: From `measure`.
        spec: The model's contract.
        method: How to choose.
        percentile: For "percentile", the share of values to cover, 50..100.
    """
    rules: dict[Method, Callable[[Seen], TensorRange]] = {
        "minmax": lambda seen: TensorRange(seen.low, seen.high),
        "percentile": lambda seen: _inner(seen, percentile),
        "mse": _least_error,
    }
    chosen = {name: rules[method](seen) for name, seen in measured.items()}
    chosen[INPUT] = input_range(spec)
    return chosen


def input_range(spec: ModelSpec) -> TensorRange:
    """Return what the input has to cover: black to white, whatever the pictures seen here.

    With one mean and one std for all channels the steps are those of the bytes. A mean between two
    bytes is then taken for the next one, so that 0 is a step.
    """
    black, white = np.zeros(3), np.full(3, 255.0)
    mean, std = np.array(spec.mean), np.array(spec.std)
    if np.ptp(mean) == np.ptp(std) == 0:
        mean = np.rint(mean)
    return TensorRange(float(((black - mean) / std).min()), float(((white - mean) / std).max()))


def _inner(seen: Seen, percentile: float) -> TensorRange:
    low, high = np.percentile(seen.values, [100 - percentile, percentile])
    # The end at 0 of what a ReLU leaves is no outlier.
    return TensorRange(
        seen.low if seen.low >= 0 else float(low), seen.high if seen.high <= 0 else float(high)
    )


def _least_error(seen: Seen) -> TensorRange:
    """Shrink the range until clipping costs more than finer steps gain."""
    best, least = TensorRange(seen.low, seen.high), np.inf
    for share in np.linspace(1.0, 0.3, 29):
        low, high = seen.low * share, seen.high * share
        step = max(high - low, 1e-12) / 255
        rounded = np.rint((np.clip(seen.values, low, high) - low) / step) * step + low
        error = float(np.mean((rounded - seen.values) ** 2))
        if error < least:
            best, least = TensorRange(low, high), error
    return best
