import json

import numpy as np
import pytest

from p2o_convert.delegates import Fallback, Readiness
from p2o_convert.layers import LayerError
from p2o_convert.parity import HeadError, Stage, Step, compare_stages, first_broken
from p2o_convert.report import ConversionReport, bars, steps_table, verdict
from points2objects.errors import InputError
from points2objects.geometry import ByteArray
from points2objects.tensors import OutputMap, OutputMaps

RNG = np.random.default_rng(0)
IMAGES: ByteArray = RNG.integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)


def doubled(image: ByteArray) -> OutputMaps:
    return {"a": OutputMap(image.astype(np.float32) * 2), "b": OutputMap(np.ones((2, 2, 1)))}


def off_by_one(image: ByteArray) -> OutputMaps:
    return {"a": OutputMap(image.astype(np.float32) * 2 + 1), "b": OutputMap(np.ones((2, 2, 1)))}


def test_errors_are_those_of_the_definition() -> None:
    (step,) = compare_stages([Stage("x", doubled, 0), Stage("y", off_by_one, 0.1)], IMAGES)
    a = IMAGES.astype(float) * 2
    head = step.heads["a"]
    assert step.name == "x -> y"
    assert head.largest == 1
    assert head.mean == 1
    assert head.relative == pytest.approx(np.sqrt(a.size) / np.linalg.norm(a))
    assert head.cosine == pytest.approx(
        (a * (a + 1)).sum() / np.linalg.norm(a) / np.linalg.norm(a + 1)
    )
    assert step.heads["b"].relative == 0
    assert step.heads["b"].cosine == pytest.approx(1.0)


def test_quantised_maps_are_compared_in_real_units() -> None:
    def quantised(image: ByteArray) -> OutputMaps:
        values = (image.astype(np.int16) - 128).astype(np.int8)
        return {"a": OutputMap(values, 2.0, -128), "b": OutputMap(np.ones((2, 2, 1)))}

    (step,) = compare_stages([Stage("x", doubled, 0), Stage("y", quantised, 0)], IMAGES)
    assert step.heads["a"].largest == 0


def test_the_first_broken_step_is_named_even_for_nan() -> None:
    def nan(image: ByteArray) -> OutputMaps:
        maps = dict(doubled(image))
        maps["b"] = OutputMap(np.full((2, 2, 1), np.nan))
        return maps

    stages = [Stage("x", doubled, 0), Stage("y", nan, 1e9), Stage("z", off_by_one, 0.0)]
    steps = compare_stages(stages, IMAGES)
    broken = first_broken(steps)
    assert broken is not None
    assert broken is steps[0]
    assert broken.broken == ["b"]
    assert "x -> y breaks its limit first: b has relative L2 error nan" in verdict(tuple(steps))
    assert "nan (!)" in steps_table(tuple(steps))


def test_an_all_zero_head_is_no_error() -> None:
    def zero(image: ByteArray) -> OutputMaps:
        return {"a": OutputMap(np.zeros((2, 2, 1)))}

    (step,) = compare_stages([Stage("x", zero, 0), Stage("y", zero, 1e-3)], IMAGES)
    assert step.heads["a"] == HeadError(0, 0, 0, 1)
    assert not step.broken


def test_stages_can_be_made_of_an_earlier_one() -> None:
    stages = [
        Stage("float", doubled, 0),
        Stage("first", off_by_one, 1),
        Stage("second", off_by_one, 1, made_of="float"),
    ]
    first, second = compare_stages(stages, IMAGES)
    assert (first.name, second.name) == ("float -> first", "float -> second")
    assert first.heads == second.heads


def report() -> ConversionReport:
    return ConversionReport(
        model="tiny",
        shipped="int8",
        options={"converter": "onnx2tf", "equalise": True, "float_heads": ()},
        steps=(Step("torch -> onnx", 1e-3, {"scale": HeadError(1.0, 0.5, float("nan"), 0.9)}),),
        sizes={"onnx": 2000, "float32": 1500},
        operators={"float32": {"CONV_2D": 3}},
        ends={"int8": "in: uint8 RGB, bytes as they are; out: float32"},
        scores={
            "float32": {"map50": 0.5, "classes": ["a"], "errors": {"shape_iou": 0.25}},
            "int8": {
                "map50": 0.485,
                "errors": {"shape_iou": 0.2},
                "agreement": {"peaks": 9, "found": 0.9, "same_exemplar": 0.96},
            },
        },
        scored_images=7,
        calibration="20 pictures",
        parity_images=4,
        layers=(
            LayerError("stem", "CONV_2D", 0.01, 0.02, 0.1, 0.3),
            LayerError("sum", "ADD", 0.5, 0.6, 0.1),
        ),
        ranked="int8",
        delegates={
            "int8": Readiness(4, 3, (Fallback("GPU", "sum", "ADD", "3 inputs"),)),
        },
        fingerprint="ff",
        versions={"torch": "2"},
    )


def test_the_report_is_json() -> None:
    values = json.loads(report().to_json())
    assert values["first_broken"] == "torch -> onnx"
    assert values["steps"][0]["heads"]["scale"]["relative"] is None
    assert values["layers"][1]["heads"] is None
    assert values["delegates"]["int8"]["fallbacks"][0]["reason"] == "3 inputs"
    assert len(values["bars"]) == 1


def test_the_report_is_a_page() -> None:
    page = report().to_markdown()
    assert "3 CONV_2D" in page
    assert "in: uint8 RGB, bytes as they are; out: float32" in page
    assert "same 7 validation images" in page
    assert "classes" not in page
    assert "errors.shape_iou" in page
    assert "converter onnx2tf, equalise yes, float_heads none" in page
    # By the damage to the outputs the stem comes first, by its own error the sum.
    assert page.index("| stem") < page.index("| sum") < page.rindex("| stem")
    assert "GPU leaves sum (ADD) to the CPU: 3 inputs" in page


def test_the_report_comes_back() -> None:
    again = ConversionReport.from_json(report().to_json())
    assert again.to_json() == report().to_json()
    assert again.to_markdown() == report().to_markdown()
    with pytest.raises(InputError, match=r"not the report of a conversion .*convert the run again"):
        ConversionReport.from_json("{}")


def test_the_bars_are_those_of_the_task() -> None:
    (line,) = bars(report().scores)
    assert "mAP@0.5 -1.5 points (missed, at most -1)" in line
    assert "the same exemplar for 96.0 % (kept, at least 95)" in line
