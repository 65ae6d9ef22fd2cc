"""Targets say what the outputs should be, in the runtime's own terms."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from p2o_train.batches import TrainingData
from p2o_train.config import LossConfig, TrainConfig
from p2o_train.data.sample import Sample
from p2o_train.symmetry import symmetry_turns
from p2o_train.targets import (
    MAX_POSITIVE_RADIUS,
    Targets,
    gaussian_radius,
    make_targets,
    splat,
)
from p2o_train.total import loss_terms
from points2objects.decode import decode
from points2objects.geometry import Box9DoF
from points2objects.place import RawPose, decode_pose, encode_pose, place_level
from points2objects.spec import ModelSpec, PoseEncoding, RotationEncoding
from points2objects.tensors import OutputMap

Rotation = Literal["bins", "matrix", "svd", "points"]


def spec_of(data: TrainingData, pose: PoseEncoding = PoseEncoding.RAY) -> ModelSpec:
    shapedb = data.shapedb
    return ModelSpec("t", shapedb.classes, shapedb.exemplars_per_class, shapedb.digest, pose=pose)


def targets_of(
    data: TrainingData, samples: list[Sample], spec: ModelSpec, radius: float = 1.0
) -> Targets:
    config = LossConfig(positive_radius=radius, point_count=16)
    return make_targets(samples, data.shapedb, spec, config, np.random.default_rng(0))


def perfect_outputs(targets: Targets, samples: list[Sample], spec: ModelSpec) -> dict[str, Tensor]:
    """Return what a faultless network would say at the positive cells."""
    rotation = []
    boxes = Box9DoF(targets.rotation.numpy(), targets.translation.numpy(), targets.scale.numpy())
    for i, row, column, owner in zip(
        targets.image, targets.row, targets.column, targets.object_id, strict=True
    ):
        cell = np.array([[row, column]], dtype=float)
        raw = encode_pose(boxes[owner.numpy()[None]], cell, samples[int(i)].camera, spec)
        rotation.append(raw.rotation[0])
    shape = torch.zeros(len(targets.image), spec.outputs["exemplar"])
    k = spec.exemplars_per_class
    for m, owner in enumerate(targets.object_id.tolist()):
        first = int(targets.class_id[owner]) * k
        labels = targets.soft_labels[owner].clamp(1e-4, 1 - 1e-4)
        shape[m, first : first + k] = torch.logit(labels)
    return {
        "heatmap": torch.logit(targets.heatmap.clamp(1e-4, 1 - 1e-4)),
        "rotation": torch.from_numpy(np.array(rotation, np.float32)),
        "translation": targets.raw_translation,
        "scale": targets.raw_scale,
        "gravity": targets.gravity[targets.image],
        "exemplar": shape,
    }


@pytest.mark.parametrize("pose", list(PoseEncoding))
def test_centre_targets_decode_to_the_true_boxes(
    noise_data: TrainingData, pose: PoseEncoding
) -> None:
    spec, sample = spec_of(noise_data, pose), noise_data.train[0]
    targets = targets_of(noise_data, [sample], spec, radius=0.0)
    outputs = perfect_outputs(targets, [sample], spec)
    size = spec.map_size
    maps = {name: np.zeros((size, size, c), np.float32) for name, c in spec.outputs.items()}
    maps["heatmap"] = targets.heatmap[0].permute(1, 2, 0).numpy()
    for name in spec.outputs.keys() - {"heatmap"}:
        maps[name][targets.row.numpy(), targets.column.numpy()] = outputs[name].numpy()
    peaks = decode({name: OutputMap(values) for name, values in maps.items()}, spec, 0.99)
    boxes = place_level(peaks, sample.camera, spec)
    assert len(peaks) == len(sample)
    order = [int(np.abs(boxes.translation - t).sum(1).argmin()) for t in sample.boxes.translation]
    np.testing.assert_allclose(boxes[np.array(order)].matrix(), sample.boxes.matrix(), atol=1e-4)
    np.testing.assert_array_equal(peaks.class_id[order], sample.class_id)
    expected = noise_data.shapedb.exemplar_id[sample.model_index]
    np.testing.assert_array_equal(peaks.exemplar_id[order], expected)


def formulation(pose: PoseEncoding, rotation: Rotation) -> TrainConfig:
    ray = pose is PoseEncoding.RAY
    loss = LossConfig(positive_radius=1.0 if ray else 0.0, point_count=16)
    return TrainConfig(rotation=rotation, pose=pose.value, loss=loss)


@pytest.mark.parametrize("pose", list(PoseEncoding))
@pytest.mark.parametrize("rotation", ["matrix", "svd", "points"])
def test_true_outputs_have_no_pose_loss(
    noise_data: TrainingData, pose: PoseEncoding, rotation: Rotation
) -> None:
    spec, samples = spec_of(noise_data, pose), [noise_data.train[i] for i in range(3)]
    config = formulation(pose, rotation)
    targets = targets_of(noise_data, samples, spec, radius=config.loss.positive_radius)
    outputs = perfect_outputs(targets, samples, spec)
    terms = loss_terms(outputs, targets, None, spec, config).numbers()
    for name in ("points", "scale", "offset", "distance", "gravity", "translation"):
        assert terms[name] == pytest.approx(0, abs=1e-4), name
    assert terms["key"] < 1.0


def test_boxes_collide_where_the_runtime_sets_them_down(noise_data: TrainingData) -> None:
    spec, samples = spec_of(noise_data), [noise_data.train[i] for i in range(4)]
    config = formulation(PoseEncoding.RAY, "svd")
    targets = targets_of(noise_data, samples, spec)
    sdf = torch.from_numpy(noise_data.shapedb.sdf)

    def collision(**change: Tensor) -> Tensor:
        outputs = perfect_outputs(targets, samples, spec) | change
        return loss_terms(outputs, targets, sdf, spec, config).collision

    huge = targets.raw_scale + 1.2
    assert collision() == 0
    assert collision(scale=huge) > 1e-3
    # A wrong distance along the ray is undone before anything is shown, so it does not count.
    farther = targets.raw_translation.clone()
    farther[:, 2] += 0.2 * torch.arange(len(farther)).cos()
    torch.testing.assert_close(collision(scale=huge, translation=farther), collision(scale=huge))


@pytest.mark.parametrize("pose", list(PoseEncoding))
@pytest.mark.parametrize("rotation", ["bins", "matrix", "svd", "points"])
def test_every_formulation_leads_to_the_true_boxes(
    noise_data: TrainingData, pose: PoseEncoding, rotation: Rotation
) -> None:
    """Descent on the raw heads themselves: no network, only what the losses say."""
    bins = RotationEncoding.BINS if rotation == "bins" else RotationEncoding.MATRIX
    spec = replace(spec_of(noise_data, pose), rotation=bins)
    samples = [noise_data.train[i] for i in range(2)]
    config = formulation(pose, rotation)
    config = replace(config, loss=replace(config.loss, points=10.0))
    targets = targets_of(noise_data, samples, spec, radius=0.0)
    fixed = perfect_outputs(targets, samples, spec)
    raw = {
        name: torch.zeros(len(targets.image), spec.outputs[name], requires_grad=True)
        for name in ("rotation", "translation", "scale")
    }
    optimizer = torch.optim.Adam(raw.values(), lr=0.2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, 100)
    for _ in range(100):
        optimizer.zero_grad()
        terms = loss_terms({**fixed, **raw}, targets, None, spec, config)
        terms.total(config.loss).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    values = {name: value.detach().numpy() for name, value in raw.items()}
    for n in range(len(targets)):
        cell = np.array([[targets.row[n], targets.column[n]]], dtype=float)
        one = RawPose(*(values[name][n : n + 1] for name in raw))
        box = decode_pose(one, cell, samples[int(targets.image[n])].camera, spec)
        np.testing.assert_allclose(box.translation[0], targets.translation[n], atol=0.06)
        np.testing.assert_allclose(box.scale[0], targets.scale[n], atol=0.02)
        group = targets.rotation[n] @ symmetry_turns(targets.symmetry[n : n + 1])[0]
        off = np.linalg.norm(group.numpy() - box.rotation, axis=(1, 2)).min()
        # A round object is known to 15 degrees only: the group has 24 turns.
        assert off < (0.4 if targets.symmetry[n] == 0 else 0.2)


def test_positive_cells_start_with_the_centres_and_weigh_one_per_object(
    noise_data: TrainingData,
) -> None:
    spec, samples = spec_of(noise_data), [noise_data.train[i] for i in range(3)]
    targets = targets_of(noise_data, samples, spec, radius=1.5)
    n = len(targets)
    assert n == sum(len(sample) for sample in samples)
    assert targets.object_id[:n].tolist() == list(range(n))
    peaks = targets.heatmap[
        targets.image[:n], targets.class_id, targets.row[:n], targets.column[:n]
    ]
    assert (peaks == 1).all()
    assert (targets.heatmap == 1).sum() == n
    weights = torch.zeros(n).index_add(0, targets.object_id, targets.weight)
    torch.testing.assert_close(weights, torch.ones(n))
    assert len(targets.image) == 9 * n


def test_objects_off_the_map_leave_no_trace(noise_data: TrainingData) -> None:
    spec, sample = spec_of(noise_data), noise_data.train[0]
    for away in ([-60.0, 0.0, 0.0], [0.0, 0.0, 9.0]):
        boxes = sample.boxes
        gone = replace(
            sample, boxes=Box9DoF(boxes.rotation, boxes.translation + np.array(away), boxes.scale)
        )
        targets = targets_of(noise_data, [gone], spec)
        assert len(targets) == 0
        assert targets.heatmap.max() == 0


def test_a_batch_without_objects_still_teaches_the_heat_map(noise_data: TrainingData) -> None:
    spec, sample = spec_of(noise_data), noise_data.train[0]
    none = np.zeros(0, dtype=int)
    empty = replace(
        sample,
        boxes=sample.boxes[none],
        class_id=none,
        model_index=none,
        visible_fraction=np.zeros(0),
        mirrored=np.zeros(0, dtype=bool),
    )
    targets = targets_of(noise_data, [empty], spec)
    outputs = {
        name: torch.zeros(0, c, requires_grad=True)
        for name, c in spec.outputs.items()
        if name != "heatmap"
    }
    heatmap = torch.zeros(1, 2, 64, 64, requires_grad=True)
    sdf = torch.from_numpy(noise_data.shapedb.sdf)
    terms = loss_terms({"heatmap": heatmap, **outputs}, targets, sdf, spec, TrainConfig())
    terms.total(LossConfig()).backward()  # type: ignore[no-untyped-call]
    assert heatmap.grad is not None
    assert heatmap.grad.abs().sum() > 0


def test_splats_merge_by_maximum_and_stop_at_the_edge() -> None:
    heatmap = np.zeros((8, 8), np.float32)
    splat(heatmap, np.array([0, 0]), 3)
    splat(heatmap, np.array([2, 2]), 2)
    assert heatmap[0, 0] == heatmap[2, 2] == 1
    assert heatmap.max() == 1
    assert heatmap[7].max() == 0
    single = np.zeros((3, 3), np.float32)
    splat(single, np.array([1, 1]), 0)
    assert single.sum() == 1


@pytest.mark.parametrize("overlap", [0.3, 0.7])
def test_boxes_moved_by_the_radius_keep_the_promised_overlap(overlap: float) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.uniform(2, 40, (50, 2))
    for (h, w), r in zip(sizes, gaussian_radius(sizes, overlap), strict=True):
        both_along = (h - r) * (w - r) / (2 * h * w - (h - r) * (w - r))
        inwards = (h - 2 * r) * (w - 2 * r) / (h * w)
        outwards = h * w / ((h + 2 * r) * (w + 2 * r))
        assert min(both_along, inwards, outwards) == pytest.approx(overlap, abs=1e-6)


def test_large_objects_teach_at_more_cells(noise_data: TrainingData) -> None:
    spec, sample = spec_of(noise_data), noise_data.train[1]
    only = replace(
        sample,
        boxes=sample.boxes[:1],
        class_id=sample.class_id[:1],
        model_index=sample.model_index[:1],
        visible_fraction=sample.visible_fraction[:1],
        mirrored=sample.mirrored[:1],
    )
    counts = []
    for factor in (0.05, 1.0, 3.0):
        scale = np.full((1, 3), factor * np.linalg.norm(only.boxes.translation - [0, 1, 0]) / 3)
        sized = replace(only, boxes=replace(only.boxes, scale=scale))
        targets = targets_of(noise_data, [sized], spec)
        counts.append(len(targets.image))
        reach = torch.hypot(
            (targets.row - targets.row[0]).float(), (targets.column - targets.column[0]).float()
        )
        assert reach.max() <= MAX_POSITIVE_RADIUS
        assert targets.weight.sum() == pytest.approx(1)
        assert targets.weight.argmax() == 0
    assert counts[0] == 5 < counts[1] < counts[2] <= 49
    assert len(targets_of(noise_data, [sized], spec, radius=0).image) == 1


def test_point_moments_are_at_true_scale(noise_data: TrainingData) -> None:
    spec, sample = spec_of(noise_data), noise_data.train[1]
    targets = targets_of(noise_data, [sample], spec)
    points = noise_data.shapedb.points[sample.model_index[0]] * sample.boxes.scale[0]
    np.testing.assert_allclose(targets.point_mean[0], points.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(targets.point_moment[0], points.T @ points / 512, atol=1e-6)


def test_the_centre_cell_is_the_one_that_the_centre_falls_into(noise_data: TrainingData) -> None:
    spec, samples = spec_of(noise_data), [noise_data.train[i] for i in range(4)]
    targets = targets_of(noise_data, samples, spec)
    pixels = np.concatenate(
        [sample.camera.project(sample.boxes.translation)[:, :2] for sample in samples]
    )
    share = pixels / spec.stride % 1
    assert (share > 0.5).any()
    assert (share < 0.5).any()
    n = len(targets)
    np.testing.assert_array_equal(targets.column[:n], pixels[:, 0] // spec.stride)
    np.testing.assert_array_equal(targets.row[:n], pixels[:, 1] // spec.stride)


def test_cells_beside_a_small_object_weigh_as_under_a_gaussian_of_0_8_cells(
    noise_data: TrainingData,
) -> None:
    """The object's own, of a sixth of a cell, would leave them nothing: exp(-18) for exp(-0.78)."""
    spec, sample = spec_of(noise_data), noise_data.train[1]
    small = replace(sample, boxes=replace(sample.boxes, scale=np.full((len(sample), 3), 0.01)))
    targets = targets_of(noise_data, [small], spec)
    first = targets.object_id == 0
    away = torch.hypot(
        (targets.row - targets.row[0]).float(), (targets.column - targets.column[0]).float()
    )
    beside = targets.weight[first & (away == 1)]
    assert len(beside) == 4
    np.testing.assert_allclose(beside / targets.weight[0], np.exp(-0.5 / 0.64), rtol=1e-5)
