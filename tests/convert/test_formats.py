"""Every format of the small network: what stays float, what it costs, what repairs it."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from p2o_convert.config import FORMATS, ConvertConfig, QuantiseConfig
from p2o_convert.flatbuffer import float_tensors, operators
from p2o_convert.graph import constant_values, pack, private_tensors, read_operators, unpack
from p2o_convert.parity import Stage, compare_stages
from p2o_convert.quantise import make_format
from p2o_convert.ranges import TensorRange, measure, ranges
from points2objects.errors import InputError
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMap

if TYPE_CHECKING:
    from p2o_convert.models import Models

pytestmark = pytest.mark.convert


@pytest.fixture(scope="module")
def chosen(converted: "Models", spec: ModelSpec, images: ByteArray) -> dict[str, TensorRange]:
    return ranges(measure(converted.tflite["float32"], images, spec), spec)


def errors(reference: bytes, tflite: bytes, images: ByteArray, spec: ModelSpec) -> dict[str, float]:
    """Return the relative error of every head."""
    from p2o_convert.stages import tflite_predictor

    stages = [
        Stage(str(i), tflite_predictor(t, spec, 1), 0) for i, t in enumerate((reference, tflite))
    ]
    (step,) = compare_stages(stages, images)
    return {name: head.relative for name, head in step.heads.items()}


def test_formats_are_ordered_by_what_they_lose(
    converted: "Models", spec: ModelSpec, images: ByteArray
) -> None:
    float32 = converted.tflite["float32"]
    worst = {
        name: max(errors(float32, tflite, images[:4], spec).values())
        for name, tflite in converted.tflite.items()
    }
    assert list(worst) == list(FORMATS)
    assert worst["float32"] == 0
    assert 0 < worst["float16"] < 1e-3 < worst["int16x8"] < worst["int8"] < 0.1
    assert worst["dynamic"] < 0.1
    assert worst["int8-float-io"] == pytest.approx(worst["int8"], rel=0.2)
    assert worst["int8-int8-io"] == worst["int8"]


def test_half_precision_weights_stay_constants(converted: "Models") -> None:
    kinds = {
        tensor.dtype
        for operator in read_operators(converted.tflite["float16"])
        for tensor in operator.inputs
        if tensor.constant and "weight" in tensor.name
    }
    assert kinds == {"FLOAT16"}


def test_dynamic_quantises_weights_only(converted: "Models") -> None:
    layers = [o for o in read_operators(converted.tflite["dynamic"]) if "CONV" in o.kind]
    assert layers
    assert {layer.inputs[1].dtype for layer in layers} == {"INT8"}
    assert {layer.outputs[0].dtype for layer in layers} == {"FLOAT32"}


def test_a_float_head_is_float_and_the_others_are_not_converted(
    converted: "Models",
    spec: ModelSpec,
    images: ByteArray,
    chosen: dict[str, TensorRange],
) -> None:
    from p2o_convert.stages import tflite_predictor

    float32 = converted.tflite["float32"]
    options = QuantiseConfig(heads="dense", float_heads=("scale",))
    tflite = make_format("int8-int8-io", float32, chosen, spec, options)
    maps = tflite_predictor(tflite, spec, 1)(images[0])
    kinds = {n: m.values.dtype for n, m in maps.items() if isinstance(m, OutputMap)}
    assert kinds == {n: np.dtype("float32" if n == "scale" else "int8") for n in spec.outputs}
    # The features are turned into float once, for the head.
    assert operators(tflite)["DEQUANTIZE"] == 1
    plain = errors(float32, converted.tflite["int8"], images[:4], spec)
    mixed = errors(float32, tflite, images[:4], spec)
    assert mixed["scale"] < plain["scale"]
    assert mixed["rotation"] == plain["rotation"]


def test_what_belongs_to_a_head_is_what_only_it_reads(converted: "Models") -> None:
    assert private_tensors(converted.tflite["float32"], "heatmap") == {"heads.heatmap", "heatmap"}


def test_an_unknown_head_is_named(
    converted: "Models", spec: ModelSpec, chosen: dict[str, TensorRange]
) -> None:
    with pytest.raises(InputError, match="--float-heads: no head 'depth'; the model has heatmap"):
        make_format(
            "int8",
            converted.tflite["float32"],
            chosen,
            spec,
            QuantiseConfig(heads="dense", float_heads=("depth",)),
        )


def test_float_layers_are_those_whose_names_start_so(
    converted: "Models", spec: ModelSpec, chosen: dict[str, TensorRange]
) -> None:
    float32 = converted.tflite["float32"]
    options = QuantiseConfig(float_layers=("norm", "do"))
    layers = {
        o.outputs[0].name: o
        for o in read_operators(make_format("int8", float32, chosen, spec, options))
    }
    kinds = {name: layers[name].inputs[1].dtype for name in ("norm", "down", "wide", "deep")}
    assert kinds == {"norm": "FLOAT32", "down": "FLOAT32", "wide": "INT8", "deep": "INT8"}
    with pytest.raises(InputError, match="--float-layers: no layer's name starts with 'up'"):
        make_format("int8", float32, chosen, spec, QuantiseConfig(float_layers=("up",)))


def test_the_bias_of_a_dead_channel_survives(
    converted: "Models", spec: ModelSpec, images: ByteArray
) -> None:
    """Its weights are nearly 0, so their step is, and a bias in such steps overflows."""
    from p2o_convert.activations import ActivationReader

    model = unpack(converted.tflite["float32"])
    tensors = {t.name.decode(): t for t in model.subgraphs[0].tensors}
    for name, value in (("wide.weight", 1e-12), ("wide.bias", 2.5)):
        values = constant_values(model, tensors[name]).copy()
        values[3] = value
        data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers[tensors[name].buffer].data = data
    float32 = pack(model)
    found = ranges(measure(float32, images, spec), spec)
    reader = ActivationReader(make_format("int8", float32, found, spec), spec)
    reader.run(images[0])
    assert reader.read("wide")[..., 3] == pytest.approx(2.5, abs=reader.step("wide"))


def test_layers_carry_the_names_of_their_modules(converted: "Models") -> None:
    for tflite in (converted.tflite["float32"], converted.tflite["int8"]):
        names = {o.outputs[0].name for o in read_operators(tflite)}
        assert {"norm", "down", "wide", "deep", "rotation"} <= names
        assert "wide.weight" in {t.name for o in read_operators(tflite) for t in o.inputs}
        assert float_tensors(converted.tflite["int8-int8-io"]) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"formats": ("int7",)}, "--formats: expected float32, .* or all, got 'int7'"),
        ({"formats": ()}, "--formats: expected .*, got none"),
        ({"ship": "float16"}, r"--ship must be one of --formats \(float32 int8\), got 'float16'"),
    ],
)
def test_wrong_formats_are_named(options: dict[str, tuple[str, ...]], words: str) -> None:
    from pathlib import Path

    with pytest.raises(InputError, match=words):
        ConvertConfig(run=Path("run"), out=Path("out"), **options)  # type: ignore[arg-type]


def test_all_formats_are_all_and_float32_is_always_made() -> None:
    from pathlib import Path

    every = ConvertConfig(run=Path("run"), out=Path("out"), formats=("all",))
    assert every.formats == tuple(FORMATS)
    one = ConvertConfig(run=Path("run"), out=Path("out"), formats=("float16",))
    assert one.formats == ("float32", "float16")
    assert (every.shipped, one.shipped) == ("int8", "float16")
