"""The interpreter runs a genuine small network, float and quantised."""

from collections.abc import Callable

import numpy as np
import pytest

from points2objects import BundleError, InputError, ModelSpec
from points2objects.interpreter import Interpreter
from points2objects.tensors import OutputMap

ModelWriter = Callable[..., bytes]


def _spot_image(row: int, column: int) -> np.ndarray:
    image = np.full((256, 256, 3), (124, 116, 104), np.uint8)
    image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = (255, 0, 0)
    return image


@pytest.mark.parametrize("quantised", [False, True])
def test_maps_are_the_networks_own(
    spec: ModelSpec, write_model: ModelWriter, quantised: bool
) -> None:
    interpreter = Interpreter(write_model(spec, quantised), spec)
    maps = interpreter.run(_spot_image(10, 40))
    assert interpreter.quantised is quantised
    assert list(maps) == list(spec.outputs)
    heat = maps["heatmap"].real()
    assert [int(i) for i in np.unravel_index(heat.argmax(), heat.shape)] == [10, 40, 0]
    red = (np.array([255, 0, 0]) - spec.mean) / spec.std
    expected = 1 / (1 + np.exp(5.0 - red @ [2, -1, -1]))
    assert heat[10, 40, 0] == pytest.approx(expected, abs=0.02 if quantised else 1e-5)
    distance = maps["translation"].real()[..., 2]
    np.testing.assert_allclose(distance, np.log(2), atol=0.01 if quantised else 1e-6)
    assert isinstance(maps["scale"], OutputMap)
    assert (maps["scale"].values.dtype == np.int8) is quantised


def test_maps_outlive_the_next_run(spec: ModelSpec, write_model: ModelWriter) -> None:
    interpreter = Interpreter(write_model(spec), spec)
    first = interpreter.run(_spot_image(10, 40))["heatmap"]
    assert isinstance(first, OutputMap)
    kept = first.values.copy()
    interpreter.run(_spot_image(50, 5))
    np.testing.assert_array_equal(first.values, kept)


def test_quantised_input_is_the_rounded_normalised_image(
    spec: ModelSpec, write_model: ModelWriter
) -> None:
    interpreter = Interpreter(write_model(spec, True), spec)
    scale, zero_point = 5 / 255, -15
    levels = (np.arange(256)[None] - np.array(spec.mean)[:, None]) / np.array(spec.std)[:, None]
    real = (interpreter._table.astype(float) - zero_point) * scale
    assert np.abs(real - np.clip(levels, -2.2, 2.78)).max() <= scale / 2 + 1e-6


def test_what_is_no_model_is_refused(spec: ModelSpec) -> None:
    with pytest.raises(BundleError, match=r"refuses it .*convert the checkpoint again"):
        Interpreter(b"not a model", spec)
    with pytest.raises(BundleError, match="no readable model"):
        Interpreter("nowhere.tflite", spec)


def test_tensors_must_be_the_specs(spec: ModelSpec, write_model: ModelWriter) -> None:
    with pytest.raises(BundleError, match="expected one input 'image'"):
        Interpreter(write_model(spec, rename="picture"), spec)
    with pytest.raises(BundleError, match="expected an output 'scale'"):
        Interpreter(write_model(spec, outputs=False), spec)
    other = ModelSpec("other", ("chair", "mug", "sofa"), 2, spec.shapedb_digest)
    with pytest.raises(BundleError, match="expected an output 'heatmap' of shape"):
        Interpreter(write_model(spec), other)


def test_image_must_be_canonical(spec: ModelSpec, write_model: ModelWriter) -> None:
    with pytest.raises(InputError, match=r"image: expected shape \(256 256 3\)"):
        Interpreter(write_model(spec), spec).run(np.zeros((128, 256, 3), np.uint8))
