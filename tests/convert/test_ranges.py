from typing import TYPE_CHECKING

import numpy as np
import pytest

from p2o_convert.config import QuantiseConfig
from p2o_convert.ranges import Seen, TensorRange, measure, ranges
from points2objects.errors import InputError
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec

if TYPE_CHECKING:
    from p2o_convert.models import Models

RNG = np.random.default_rng(1)


def seen(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> Seen:
    return Seen(float(values.min()), float(values.max()), values.astype(np.float32))


def test_minmax_covers_everything(spec: ModelSpec) -> None:
    values = RNG.normal(size=1000)
    chosen = ranges({"a": seen(values)}, spec)
    assert chosen["a"] == TensorRange(float(values.min()), float(values.max()))


def test_percentile_leaves_out_the_ends_but_not_zero(spec: ModelSpec) -> None:
    values = np.append(RNG.uniform(0, 1, 9999), 100.0)
    chosen = ranges({"a": seen(values), "b": seen(-values)}, spec, "percentile", 99.9)
    assert chosen["a"].low == values.min()
    assert 0.99 < chosen["a"].high < 1
    assert chosen["b"].high == -values.min()
    assert -1 < chosen["b"].low < -0.99


def test_mse_clips_a_lone_outlier_and_keeps_a_full_range(spec: ModelSpec) -> None:
    lone = np.append(RNG.normal(0, 0.1, 200_000), 2.0)
    full = RNG.uniform(-1, 1, 10_000)
    chosen = ranges({"lone": seen(lone), "full": seen(full)}, spec, "mse")
    assert chosen["lone"].high < 1.8
    assert chosen["full"].high > 0.98


def test_the_input_holds_black_and_white_whatever_was_seen(spec: ModelSpec) -> None:
    chosen = ranges({"image": Seen(0.0, 0.1, np.zeros(1, np.float32))}, spec)["image"]
    assert chosen.low == pytest.approx(
        min(-m / s for m, s in zip(spec.mean, spec.std, strict=True))
    )
    assert chosen.high == pytest.approx(
        max((255 - m) / s for m, s in zip(spec.mean, spec.std, strict=True))
    )


@pytest.mark.parametrize("percentile", [50, 101])
def test_an_impossible_percentile_is_refused(percentile: float) -> None:
    with pytest.raises(InputError, match=r"--percentile must be in 50\.\.100"):
        QuantiseConfig(percentile=percentile)


@pytest.mark.convert
def test_measured_activations_are_those_of_torch(
    converted: "Models", spec: ModelSpec, images: ByteArray
) -> None:
    import torch

    from p2o_convert.activations import normalise

    measured = measure(converted.tflite["float32"], images[:3], spec)
    assert {"image", "norm", "down", "wide", "deep", *spec.outputs} <= set(measured)
    batch = torch.from_numpy(np.concatenate([normalise(i, spec) for i in images[:3]]))
    with torch.no_grad():
        stem = converted.network.get_submodule("stem")
        norm = converted.network.get_submodule("norm")
        padded = torch.nn.functional.pad(batch.permute(0, 3, 1, 2), (0, 1, 0, 1))
        values = torch.nn.functional.relu6(norm(stem(padded))).numpy()
    assert measured["norm"].low == pytest.approx(values.min(), abs=1e-5)
    assert measured["norm"].high == pytest.approx(values.max(), rel=1e-4)
    assert np.mean(measured["norm"].values) == pytest.approx(values.mean(), rel=0.1)


@pytest.mark.convert
def test_our_ranges_give_the_file_that_the_quantiser_s_own_would(
    converted: "Models", spec: ModelSpec, images: ByteArray
) -> None:
    """The quantiser's statistics of one image, where its moving average has nothing to average."""
    from litert_quantizer import algorithm_manager, quantizer, recipe

    from p2o_convert.activations import normalise
    from p2o_convert.quiet import quiet
    from points2objects.interpreter import INPUT, SIGNATURE

    tflite = converted.tflite["float32"]
    tool = quantizer.Quantizer(tflite)
    tool.load_quantization_recipe(
        recipe.static_wi8_ai8(algorithm_manager.AlgorithmName.MIN_MAX_UNIFORM_QUANT)
    )
    with quiet("litert-quantizer"):
        theirs = tool.calibrate({SIGNATURE: [{INPUT: normalise(images[0], spec)}]}, num_threads=1)
    mine = ranges(measure(tflite, images[:1], spec), spec)
    assert set(mine) == {name for name, value in theirs.items() if value}
    for name, chosen in mine.items():
        if name != INPUT:
            assert chosen.low == pytest.approx(float(np.ravel(theirs[name]["min"])[0]), abs=1e-6)
            assert chosen.high == pytest.approx(float(np.ravel(theirs[name]["max"])[0]), abs=1e-6)
