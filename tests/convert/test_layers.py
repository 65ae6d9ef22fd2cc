from typing import TYPE_CHECKING

import pytest

from p2o_convert.config import QuantiseConfig
from p2o_convert.graph import read_operators
from p2o_convert.layers import layer_errors
from p2o_convert.quantise import make_format
from p2o_convert.ranges import TensorRange, measure, ranges
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec

if TYPE_CHECKING:
    from p2o_convert.models import Models

pytestmark = pytest.mark.convert


def test_every_operator_is_ranked(converted: "Models", spec: ModelSpec, images: ByteArray) -> None:
    float32, int8 = converted.tflite["float32"], converted.tflite["int8"]
    found = layer_errors(float32, int8, images[:2], spec)
    # Those at the ends only change a tensor's type.
    assert [layer.layer for layer in found] == [
        o.outputs[0].name for o in read_operators(int8) if "QUANTIZE" not in o.kind
    ]
    assert all(0 < layer.own < 0.2 for layer in found if layer.kind != "PAD")
    # Only layers with weights can spoil the outputs by their weights.
    assert {"CONV_2D", "DEPTHWISE_CONV_2D"} == {f.kind for f in found if f.heads is not None}
    # The first layer reads the image, which int8 holds well: most of its error is its own.
    (first,) = (layer for layer in found if layer.layer == "norm")
    assert 0.5 * first.total < first.own < 1.01 * first.total
    # What is added on the way is more than what the last layer adds.
    (last,) = (layer for layer in found if layer.layer == "rotation")
    assert last.own < last.total


def test_a_layer_with_a_bad_range_is_the_one_that_is_blamed(
    converted: "Models", spec: ModelSpec, images: ByteArray
) -> None:
    float32 = converted.tflite["float32"]
    chosen = ranges(measure(float32, images, spec), spec)
    chosen["wide"] = TensorRange(0.0, chosen["wide"].high / 4)
    spoiled = make_format("int8", float32, chosen, spec)
    found = layer_errors(float32, spoiled, images[:2], spec)
    assert max(found, key=lambda layer: layer.own).layer == "wide"


def test_a_float_head_adds_nothing(converted: "Models", spec: ModelSpec, images: ByteArray) -> None:
    float32 = converted.tflite["float32"]
    chosen = ranges(measure(float32, images, spec), spec)
    mixed = make_format(
        "int8", float32, chosen, spec, QuantiseConfig(heads="dense", float_heads=("scale",))
    )
    found = {layer.layer: layer for layer in layer_errors(float32, mixed, images[:1], spec)}
    assert found["scale"].own < 1e-5 < found["rotation"].own


def test_the_network_as_it_is_has_no_error(
    converted: "Models", spec: ModelSpec, images: ByteArray
) -> None:
    float32 = converted.tflite["float32"]
    found = layer_errors(float32, float32, images[:1], spec)
    assert max(layer.total for layer in found) == 0
    # Alone, an operator may run on other kernels than inside the graph.
    assert max(layer.own for layer in found) < 1e-5
