from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from p2o_convert.delegates import GPU, NNAPI, objection, readiness
from p2o_convert.graph import Operator, Tensor

if TYPE_CHECKING:
    from p2o_convert.models import Models

MAP = Tensor("map", (1, 8, 8, 4), "INT8", constant=False)
SIZE = Tensor("size", (2,), "INT32", constant=True)
RESIZE = Operator(
    index=0,
    kind="RESIZE_BILINEAR",
    version=3,
    activation="NONE",
    inputs=(MAP, SIZE),
    outputs=(MAP,),
    options=SimpleNamespace(alignCorners=False, halfPixelCenters=True),
)


def test_what_a_delegate_knows_is_accepted() -> None:
    assert objection(GPU, RESIZE) == ""
    assert objection(NNAPI, RESIZE) == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "TOPK_V2"}, "TOPK_V2 is not supported"),
        ({"version": 4}, "version 4 is newer than 3"),
        ({"outputs": (replace(MAP, dtype="INT16"),)}, "tensors of type INT16"),
        (
            {"options": SimpleNamespace(alignCorners=True, halfPixelCenters=True)},
            "align_corners together with half_pixel_centers",
        ),
        ({"activation": "SIGN_BIT"}, "fused SIGN_BIT"),
    ],
)
def test_each_rule_of_the_gpu_is_checked(change: dict[str, object], reason: str) -> None:
    assert objection(GPU, replace(RESIZE, **change)) == reason  # type: ignore[arg-type]


def test_nnapi_wants_constant_sizes() -> None:
    loose = replace(RESIZE, inputs=(MAP, replace(SIZE, constant=False)))
    assert objection(NNAPI, loose) == "a shape that is not constant"


def test_constants_in_half_precision_cost_nothing() -> None:
    weights = Tensor("w", (3, 3), "FLOAT16", constant=True)
    unpacked = replace(RESIZE, kind="DEQUANTIZE", version=9, inputs=(weights,))
    assert objection(NNAPI, unpacked) == ""
    assert objection(NNAPI, replace(unpacked, inputs=(MAP,))) != ""


@pytest.mark.convert
def test_the_network_runs_on_accelerators_and_16_bit_activations_do_not(
    converted: "Models",
) -> None:
    for name in ("float32", "float16", "int8-int8-io"):
        ready = readiness(converted.tflite[name])
        assert ready.fallbacks == (), name
        assert ready.xnnpack == ready.operators, name
    # What makes int8 of the bytes stays on the CPU: a pass over the picture.
    ready = readiness(converted.tflite["int8"])
    assert [(f.delegate, f.layer, f.reason) for f in ready.fallbacks] == [
        ("NNAPI", "image_quantized", "input of type UINT8, not FLOAT32")
    ]
    assert ready.xnnpack == ready.operators - 1
    wide = readiness(converted.tflite["int16x8"])
    assert wide.xnnpack < wide.operators
    assert {fallback.delegate for fallback in wide.fallbacks} == {"GPU", "NNAPI"}
    assert "tensors of type INT16" in {fallback.reason for fallback in wide.fallbacks}
