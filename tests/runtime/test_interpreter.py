"""The interpreter runs a genuine small network, float and quantised."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from points2objects import BundleError, InputError, ModelSpec
from points2objects.bundle import Bundle
from points2objects.interpreter import Interpreter, apply_table, input_table
from points2objects.tensors import OutputMap

ModelWriter = Callable[..., bytes]


def _levels(spec: ModelSpec) -> np.ndarray:
    """Return what each byte of each channel is to the network, (3, 256)."""
    mean, std = np.array(spec.mean)[:, None], np.array(spec.std)[:, None]
    return np.asarray((np.arange(256)[None] - mean) / std)


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
    scale, levels = 5 / 255, _levels(spec)
    for dtype, zero_point in ((np.int8, -15), (np.uint8, 113)):
        table = input_table(spec, {"dtype": dtype, "quantization": (scale, zero_point)})
        assert table is not None
        assert table.dtype == dtype
        real = (table.astype(float) - zero_point) * scale
        assert np.abs(real - np.clip(levels, -2.2, 2.78)).max() <= scale / 2 + 1e-6


@pytest.mark.parametrize(
    ("mean", "std", "zero_point"),
    [(127.0, 128.0, 127), (0.0, 255.0, 0), (127.5, 127.5, 127), (127.5, 127.5, 128)],
)
def test_bytes_go_in_as_they_are_where_they_are_the_steps(
    spec: ModelSpec, mean: float, std: float, zero_point: int
) -> None:
    """Rounding to even would merge every other two bytes where the mean lies between two."""
    grey = replace(spec, mean=(mean, mean, mean), std=(std, std, std))
    scale = float(np.float32(1 / std))
    details = {"dtype": np.uint8, "quantization": (scale, zero_point)}
    assert input_table(grey, details) is None
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(apply_table(None, image)[0], image)
    signed = input_table(grey, {"dtype": np.int8, "quantization": (scale, zero_point - 128)})
    assert signed is not None
    np.testing.assert_array_equal(signed, np.tile(np.arange(-128, 128), (3, 1)))
    # One grey level beside, or steps of another size: then they are not.
    for other in ((scale, zero_point + 1 + (mean == 127.5)), (scale * 1.01, zero_point)):
        assert input_table(grey, {"dtype": np.uint8, "quantization": other}) is not None


def test_a_byte_input_gives_what_the_int8_one_gives(
    spec: ModelSpec, write_model: ModelWriter
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    old, new = (
        Interpreter(write_model(spec, True, byte_input=taken), spec).run(image)
        for taken in (False, True)
    )
    for name, output in old.items():
        np.testing.assert_array_equal(new[name].real(), output.real())


def test_the_default_takes_a_picture_s_bytes_even_if_they_lie_apart() -> None:
    bundle = Bundle.load()
    interpreter = Interpreter(bundle.model, bundle.spec)
    assert interpreter.quantised
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    interpreter.run(image[:, ::-1])
    index = interpreter._input["index"]
    np.testing.assert_array_equal(interpreter._interpreter.get_tensor(index)[0], image[:, ::-1])


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
