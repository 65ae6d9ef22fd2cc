from typing import TYPE_CHECKING

import numpy as np
import pytest

from p2o_convert.rounding import STEPS, least_squares_rounding
from points2objects.geometry import ByteArray, FloatArray
from points2objects.spec import ModelSpec

if TYPE_CHECKING:
    from p2o_convert.models import Models

RNG = np.random.default_rng(2)


def output_error(rows: FloatArray, rounded: FloatArray, covariance: FloatArray) -> float:
    """Return the mean squared change of the products with the inputs."""
    change = rows - rounded
    return float(np.einsum("on,gnm,om->", change, covariance, change))


def smooth_inputs(size: int) -> FloatArray:
    """Return the covariance of neighbouring pixels: nearly the same value everywhere."""
    apart = np.abs(np.arange(size)[:, None] - np.arange(size))
    return np.asarray(0.95**apart)[None]


def nearest(rows: FloatArray) -> FloatArray:
    step = np.abs(rows).max(axis=1, keepdims=True) / STEPS
    return np.asarray(np.rint(rows / step) * step)


def test_rounded_weights_lie_on_the_steps_of_their_row() -> None:
    rows = RNG.normal(size=(5, 12)) * RNG.uniform(0.01, 10, (5, 1))
    rounded = least_squares_rounding(rows, smooth_inputs(12))
    steps = rounded / (np.abs(rows).max(axis=1, keepdims=True) / STEPS)
    assert np.rint(steps) == pytest.approx(steps, abs=1e-6)
    assert np.abs(steps).max() <= STEPS + 1e-6


def test_the_output_changes_less_than_with_each_weight_rounded_alone() -> None:
    rows, covariance = RNG.normal(size=(64, 9)), smooth_inputs(9)
    mine = output_error(rows, least_squares_rounding(rows, covariance), covariance)
    assert mine < 0.5 * output_error(rows, nearest(rows), covariance)


def test_it_is_close_to_the_best_choice_of_up_and_down() -> None:
    rows, covariance = RNG.normal(size=(1, 6)), smooth_inputs(6)
    step = np.abs(rows).max() / STEPS
    low = np.floor(rows / step)
    best = min(
        output_error(rows, (low + choice) * step, covariance) for choice in np.ndindex(*[2] * 6)
    )
    mine = output_error(rows, least_squares_rounding(rows, covariance), covariance)
    assert mine <= 3 * best


def test_independent_inputs_leave_nothing_to_gain() -> None:
    rows = RNG.normal(size=(4, 8))
    assert least_squares_rounding(rows, np.eye(8)[None]) == pytest.approx(nearest(rows))


def test_inputs_that_never_vary_and_rows_of_zeros_do_no_harm() -> None:
    rows = np.vstack([np.zeros(4), RNG.normal(size=4)])
    assert np.isfinite(least_squares_rounding(rows, np.zeros((1, 4, 4)))).all()
    one = least_squares_rounding(rows, np.zeros((2, 4, 4)))
    assert (one[0] == 0).all()


@pytest.mark.convert
def test_the_moments_are_those_of_what_the_kernels_see(
    converted: "Models",
    spec: ModelSpec,
    images: ByteArray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Mean output of a linear layer = weights times mean input, plus bias: padding and all."""
    from p2o_convert import rounding
    from p2o_convert.activations import ActivationReader
    from p2o_convert.graph import constant_values, read_operators, unpack

    monkeypatch.setattr(rounding, "POSITIONS", 10**6)
    tflite = converted.tflite["float32"]
    layers = [o for o in read_operators(tflite) if rounding.is_layer(o)]
    linear = [layer for layer in layers if layer.activation == "NONE"]
    assert {layer.kind for layer in linear} == {"CONV_2D", "DEPTHWISE_CONV_2D"}
    moments = rounding.input_moments(tflite, linear, images[:2], spec)
    model = unpack(tflite)
    tensors = {t.name.decode(): t for t in model.subgraphs[0].tensors}
    reader = ActivationReader(tflite, spec)
    for layer in linear:
        outputs = []
        for image in images[:2]:
            reader.run(image)
            outputs.append(reader.read(layer.outputs[0].name)[0].mean(axis=(0, 1)))
        weight, bias = (constant_values(model, tensors[layer.inputs[i].name]) for i in (1, 2))
        mean = moments[layer.inputs[0].name, layer.inputs[1].name].mean
        if layer.kind == "CONV_2D":
            product = weight.reshape(len(weight), -1) @ mean[0]
        else:
            product = (weight.reshape(-1, weight.shape[-1]).T * mean).sum(axis=1)
        assert product + bias == pytest.approx(np.mean(outputs, axis=0), abs=1e-4)


@pytest.mark.convert
def test_rounding_the_network_keeps_its_function_and_helps_int8(
    converted: "Models", spec: ModelSpec, images: ByteArray
) -> None:
    from p2o_convert.parity import Stage, compare_stages
    from p2o_convert.quantise import make_format
    from p2o_convert.ranges import measure, ranges
    from p2o_convert.rounding import round_weights
    from p2o_convert.stages import tflite_predictor

    float32 = converted.tflite["float32"]
    rounded = round_weights(float32, images[:16], spec)
    chosen = ranges(measure(float32, images, spec), spec)
    files = {
        "float32": float32,
        "rounded": rounded,
        "nearest": converted.tflite["int16x8"],
        "least squares": make_format("int16x8", float32, chosen, spec, rounded=rounded),
    }
    stages = [Stage(n, tflite_predictor(t, spec, 1), 1, "float32") for n, t in files.items()]
    steps = compare_stages(stages, images[16:])
    total = [sum(head.relative for head in step.heads.values()) for step in steps]
    assert total[0] < 0.1
    # With 16-bit activations the weights' error is left, and these lay on their steps already.
    assert total[2] == pytest.approx(total[0], rel=0.05)
    assert total[2] < 0.7 * total[1]
