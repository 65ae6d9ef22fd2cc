"""Photographs teach where objects are and how far they reach, and nothing that nobody knows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from p2o_train.config import LossConfig
from p2o_train.data.photo_view import PhotoView
from p2o_train.geometry import BoxTensors, CellView
from p2o_train.network.heads import GRAVITY_GRID
from p2o_train.photo_loss import (
    level_rotations,
    photo_terms,
    projected_rectangles,
    rectangle_loss,
)
from p2o_train.photo_targets import PhotoTargets, make_photo_targets
from points2objects.camera import Camera, level_from_up
from points2objects.geometry import Box9DoF, FloatArray, rotation_about_y
from points2objects.place import encode_pose
from points2objects.spec import GravityEncoding, ModelSpec

SPEC = ModelSpec(*("t", ("chair", "table"), 2, "digest"), stride=8, gravity=GravityEncoding.POOLED)
UP = np.array([0.1, -0.95, -0.3]) / np.linalg.norm([0.1, -0.95, -0.3])
CAMERA = Camera.from_fov(60.0, 256, 256).with_gravity(UP)
BOX = Box9DoF(
    rotation_about_y(np.array([0.4])), np.array([[0.2, 0.3, -2.5]]), np.array([[0.6, 0.6, 0.4]])
)
POINTS: FloatArray = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 64, 3))


def placed_rectangle(exemplar: int = 0) -> FloatArray:
    """Return the rectangle, px, of an exemplar in BOX, by the runtime's own projection."""
    points = (POINTS[exemplar] * BOX.scale[0]) @ BOX.rotation[0].T + BOX.translation[0]
    pixels = CAMERA.project(points)[:, :2]
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])


def view_of(box: FloatArray, **changes: object) -> PhotoView:
    view = PhotoView(
        image=np.zeros((256, 256, 3), np.uint8),
        boxes=box[None],
        class_id=np.array([0]),
        weight=np.array([1.0]),
        ignore=np.array([False]),
        at_border=np.zeros((1, 4), dtype=bool),
        exhaustive=np.array([True, False]),
        valid=np.ones((256, 256), dtype=bool),
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def targets_of(*views: PhotoView) -> PhotoTargets:
    return make_photo_targets(views, SPEC, LossConfig())


def perfect_outputs(targets: PhotoTargets) -> dict[str, Tensor]:
    """Return what a network says that sees BOX, gravity and exemplar 0 as they are."""
    m = len(targets.image)
    cells = torch.stack([targets.row, targets.column], dim=1).numpy().astype(float)
    raw = encode_pose(BOX[np.zeros(m, dtype=int)], cells, CAMERA, SPEC)
    exemplar = torch.zeros(m, 4)
    exemplar[:, 0] = 1.0
    grid = torch.zeros(len(targets.images), 64, 4)
    grid[..., :3] = torch.from_numpy(UP - [0.0, -1.0, 0.0])
    made = {
        "rotation": torch.from_numpy(raw.rotation),
        "translation": torch.from_numpy(raw.translation),
        "scale": torch.from_numpy(raw.scale),
    }
    logits = torch.logit(targets.heatmap.clamp(1e-4, 1 - 1e-4))
    return {
        **{name: value.float() for name, value in made.items()},
        "heatmap": logits,
        "exemplar": exemplar,
        GRAVITY_GRID: grid,
    }


def terms(outputs: dict[str, Tensor], targets: PhotoTargets) -> tuple[float, float]:
    found = photo_terms(outputs, targets, torch.from_numpy(POINTS).float(), SPEC)
    return found.photo_key.item(), found.photo_box.item()


def test_a_placed_exemplar_that_fills_its_rectangle_costs_nothing() -> None:
    targets = targets_of(view_of(placed_rectangle()))
    key, box = terms(perfect_outputs(targets), targets)
    assert box == pytest.approx(0.0, abs=1e-5)
    assert key < 0.01


@pytest.mark.parametrize("edge", range(4))
@pytest.mark.parametrize("step", [-12.0, 12.0])
def test_an_edge_costs_unless_the_picture_cuts_it_off_and_the_object_reaches_there(
    edge: int, step: float
) -> None:
    rectangle = placed_rectangle()
    rectangle[edge] += step
    cut = np.zeros((1, 4), dtype=bool)
    cut[0, edge] = True
    seen, hidden = (
        targets_of(view_of(rectangle, at_border=border)) for border in (np.zeros_like(cut), cut)
    )
    label_lies_inside = (step > 0) == (edge < 2)
    assert terms(perfect_outputs(seen), seen)[1] > 0.05
    cost = terms(perfect_outputs(hidden), hidden)[1]
    assert cost == pytest.approx(0.0, abs=1e-5) if label_lies_inside else cost > 0.05


def test_what_a_label_is_worth_scales_its_losses() -> None:
    rectangle = placed_rectangle() + np.array([12.0, 0, 0, 0])
    full = targets_of(view_of(rectangle))
    half = targets_of(view_of(rectangle, weight=np.array([0.5])))
    outputs = perfect_outputs(full)
    assert terms(outputs, half)[1] == pytest.approx(terms(outputs, full)[1] / 2, rel=1e-5)


def test_the_heat_map_learns_only_where_somebody_knows() -> None:
    other = np.array([10.0, 10.0, 60.0, 60.0])
    view = replace(
        view_of(placed_rectangle()),
        boxes=np.stack([placed_rectangle(), other]),
        class_id=np.array([0, 0]),
        weight=np.ones(2),
        ignore=np.array([False, True]),
        at_border=np.zeros((2, 4), dtype=bool),
    )
    targets = targets_of(view)
    outputs = perfect_outputs(targets)
    logits = torch.zeros_like(outputs["heatmap"]).requires_grad_()
    found = photo_terms(
        {**outputs, "heatmap": logits}, targets, torch.from_numpy(POINTS).float(), SPEC
    )
    found.photo_key.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    chair, table = logits.grad[0]
    assert table.abs().max() == 0, "tables are not labelled exhaustively"
    assert chair[2:7, 2:7].abs().max() == 0, "inside a rectangle that is to be ignored"
    assert chair[30, 30] > 0, "an empty place is pushed down"
    (middle,) = chair[targets.heatmap[0, 0] == 1]
    assert middle < 0, "the middle of a rectangle is pulled up"


def test_an_object_of_a_class_that_is_not_exhaustive_still_teaches() -> None:
    targets = targets_of(view_of(placed_rectangle(), class_id=np.array([1])))
    known = targets.known[0, 1]
    assert known.max() == 1
    assert known[0, 0] == 0


def test_a_batch_without_an_object_teaches_that_there_is_none() -> None:
    empty = view_of(placed_rectangle(), ignore=np.array([True]))
    targets = targets_of(empty)
    outputs = perfect_outputs(targets)
    outputs["heatmap"] = torch.zeros_like(outputs["heatmap"])
    key, box = terms(outputs, targets)
    assert key > 0
    assert box == 0


def test_projected_rectangles_have_gradients() -> None:
    rotation = torch.from_numpy(BOX.rotation)
    view = CellView(
        torch.zeros(1, 2, dtype=torch.double),
        torch.from_numpy(CAMERA.level_rotation())[None],
        torch.from_numpy(CAMERA.K),
        8,
    )
    points = torch.from_numpy(POINTS[:1, :8])

    def edges(translation: Tensor, scale: Tensor) -> Tensor:
        return projected_rectangles(BoxTensors(rotation, translation, scale), points, view, 256)

    translation = torch.from_numpy(BOX.translation).requires_grad_()
    scale = torch.from_numpy(BOX.scale).requires_grad_()
    assert torch.autograd.gradcheck(edges, (translation, scale))


def test_a_rectangle_far_off_pulls_no_harder_than_one_that_is_off() -> None:
    true = torch.tensor([[100.0, 100, 140, 140]])
    far = (true + 4000.0).requires_grad_()
    rectangle_loss(far, true, torch.zeros(1, 4, dtype=torch.bool)).sum().backward()  # type: ignore[no-untyped-call]
    assert far.grad is not None
    assert far.grad.abs().max() == 0


def test_level_rotations_are_the_runtimes() -> None:
    rng = np.random.default_rng(0)
    ups = rng.normal(size=(20, 3)) + np.array([0, -2, 0])
    ups /= np.linalg.norm(ups, axis=1, keepdims=True)
    expected = np.stack([level_from_up(up) for up in ups])
    found = level_rotations(torch.from_numpy(ups)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)
