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
        ({"exemplars_per_class": 0}, "must be positive"),
        ({"stride": 3}, "multiple of stride"),
        ({"score_threshold": 1.0}, "score_threshold must be in 0..1"),
        ({"std": (0.0, 1.0, 1.0)}, "std positive"),
        ({"mean": (1.0, 1.0)}, "three numbers"),
        ({"sizes_m": ((0.1, 0.2),)}, "sizes_m must be 2 pairs of lengths"),
        ({"sizes_m": ((0.1, 0.2), (0.3, 0.2))}, "sizes_m must be 2 pairs of lengths"),
        ({"fov_deg": 180.0}, "fov_deg must be in 1..179"),
        ({"schema_version": 2}, "reads schema 1, got 2"),
    ],
)
def test_impossible_specs_are_refused(spec: ModelSpec, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        replace(spec, **change)


@pytest.mark.parametrize(
    "change", [{"unknown": 1}, {"pose": "polar"}, {"classes": 7}, {"stride": "four"}]
)
def test_json_that_is_no_spec_is_refused(spec: ModelSpec, change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="not a valid spec"):
        ModelSpec.from_json(json.dumps({**json.loads(spec.to_json()), **change}))
    with pytest.raises(BundleError, match="not a valid spec"):
        ModelSpec.from_json("[]")
