"""The model's contract: what is written is read, and nothing impossible is accepted."""

import json
from dataclasses import replace
from typing import Any

import pytest

from points2objects import BundleError, ModelSpec, PoseEncoding


@pytest.mark.parametrize("pose", PoseEncoding)
def test_json_gives_back_the_spec(spec: ModelSpec, pose: PoseEncoding) -> None:
    sizes_m = ((0.5, 1.5), (0.1, 0.2))
    spec = replace(spec, pose=pose, score_threshold=0.1, sizes_m=sizes_m)
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_outputs_follow_classes_and_exemplars(spec: ModelSpec) -> None:
    assert spec.map_size == 64
    assert spec.outputs["heatmap"] == 2
    assert spec.outputs["exemplar"] == 4
    assert next(iter(spec.outputs)) == "heatmap"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ()}, "classes must be distinct"),
        ({"classes": ("mug", "mug")}, "classes must be distinct"),
        ({"exemplars_per_class": 0}, "exemplars_per_class must be a whole number from 1 .*, got 0"),
        ({"stride": 3}, "multiple of stride"),
        ({"score_threshold": 1.0}, "score_threshold must be in 0..1"),
        ({"std": (0.0, 1.0, 1.0)}, "std positive"),
        ({"mean": (1.0, 1.0)}, "three numbers"),
        ({"sizes_m": ((0.1, 0.2),)}, "sizes_m must be 2 pairs of lengths"),
        ({"sizes_m": ((0.1, 0.2), (0.3, 0.2))}, "sizes_m must be 2 pairs of lengths"),
        ({"fov_deg": 180.0}, "fov_deg must be in 1..179"),
        ({"schema_version": 2}, "reads schema 1, got 2"),
        ({"vote_radius": 3000}, "vote_radius must be a whole number from 0 to 8, got 3000"),
        ({"vote_radius": 8, "max_objects": 1000}, "would read more than 20000 cells"),
        ({"vote_radius": 0.5}, "vote_radius must be a whole number"),
        ({"max_objects": 10**9}, "max_objects must be a whole number from 1 to 1000"),
        ({"max_objects": 2.5}, "max_objects must be a whole number"),
        ({"max_objects": True}, "max_objects must be a whole number .*, got True"),
        ({"exemplars_per_class": 10_000, "input_size": 2048}, "are more than 67108864 numbers"),
        ({"input_size": 1 << 30}, "input_size must be a whole number from 1 to 2048"),
        ({"stride": 4.0}, "stride must be a whole number"),
        ({"mean": (float("nan"),) * 3}, "mean must be a finite number, got nan"),
        ({"mean": ("a", "b", "c")}, "mean must be a finite number, got 'a'"),
        ({"mean": (1e30,) * 3}, "mean in 0..255"),
        ({"std": (float("inf"),) * 3}, "std must be a finite number"),
        ({"std": (1e-300,) * 3}, "std positive"),
        ({"fov_deg": float("nan")}, "fov_deg must be a finite number"),
        ({"score_threshold": "0.5"}, "score_threshold must be a finite number"),
        ({"class_thresholds": (None, 0.5)}, "class_thresholds must be a finite number, got None"),
        ({"sizes_m": (("a", "b"),) * 2}, "sizes_m must be a finite number, got 'a'"),
        ({"sizes_m": ((1.0,), (1.0, 2.0))}, "sizes_m must be 2 pairs of lengths"),
        ({"shapedb_digest": 5}, "shapedb_digest must be text, got 5"),
        ({"name": [1]}, r"name must be text, got \[1\]"),
        ({"classes": ("mug", 3)}, "a class must be text, got 3"),
    ],
)
def test_impossible_specs_are_refused(spec: ModelSpec, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        replace(spec, **change)


@pytest.mark.parametrize(
    "change",
    [{"unknown": 1}, {"pose": "polar"}, {"classes": 7}, {"sizes_m": 3}, {"pose": [1]}],
)
def test_json_that_is_no_spec_is_refused(spec: ModelSpec, change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="not a valid spec"):
        ModelSpec.from_json(json.dumps({**json.loads(spec.to_json()), **change}))
    with pytest.raises(BundleError, match="not a valid spec"):
        ModelSpec.from_json("[]")


@pytest.mark.parametrize("text", ['{"mean": NaN}', "[" * 200_000, '{"a": 1e999}', " " * (1 << 21)])
def test_json_that_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match="model spec: not a valid spec"):
        ModelSpec.from_json(text)
