"""Exact 3D IoU against hand-worked values, Monte Carlo and a half-space twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, HalfspaceIntersection

from p2o_train.metrics.box_iou import (
    intersection_volume,
    pair_iou,
    symmetric_iou,
    symmetry_turns,
    turned_about_own_y,
)
from points2objects.errors import InputError
from points2objects.geometry import (
    Box9DoF,
    FloatArray,
    project_to_so3,
    rigid,
    rotation_about_y,
)


def _box(
    translation: tuple[float, float, float] = (0, 0, 0),
    scale: tuple[float, float, float] = (1, 1, 1),
    yaw: float = 0.0,
) -> Box9DoF:
    return Box9DoF(
        rotation_about_y(np.array([yaw])), np.array([translation], float), np.array([scale], float)
    )


def _random_boxes(rng: np.random.Generator, n: int, spread: float = 0.4) -> Box9DoF:
    return Box9DoF(
        project_to_so3(rng.normal(size=(n, 3, 3))),
        rng.normal(scale=spread, size=(n, 3)),
        rng.uniform(0.2, 1.5, size=(n, 3)),
    )


def _half_spaces(box: Box9DoF) -> FloatArray:
    """`A x + b <= 0` of one box, (6, 4)."""
    normals = np.concatenate([box.rotation[0].T, -box.rotation[0].T])
    reach = np.concatenate([box.scale[0], box.scale[0]]) / 2
    return np.column_stack([normals, -(normals @ box.translation[0]) - reach])


def _twin_volume(first: Box9DoF, second: Box9DoF) -> float:
    planes = np.concatenate([_half_spaces(first), _half_spaces(second)])
    widest = linprog(
        [0, 0, 0, -1],
        np.column_stack([planes[:, :3], np.ones(12)]),
        -planes[:, 3],
        bounds=[(None, None)] * 3 + [(0, None)],
    )
    if not widest.success or widest.x[3] < 1e-6:
        return 0.0
    return float(ConvexHull(HalfspaceIntersection(planes, widest.x[:3]).intersections).volume)


@pytest.mark.parametrize(
    ("other", "volume"),
    [
        (_box(), 1.0),
        (_box((0.5, 0, 0)), 0.5),
        (_box((0.5, 0.25, -0.5)), 0.5 * 0.75 * 0.5),
        (_box((1, 0, 0)), 0.0),
        (_box((1, 1, 1)), 0.0),
        (_box((5, 0, 0)), 0.0),
        (_box(scale=(0.5, 0.5, 0.5)), 0.125),
        (_box((0, 0.25, 0), (0.5, 0.5, 0.5)), 0.125),
        (_box((0, 0.25, 0), (1, 0.5, 1)), 0.5),
        (_box(scale=(9, 9, 9)), 1.0),
        (_box(scale=(2, 0.1, 2)), 0.1),
        (_box(yaw=np.pi / 2), 1.0),
        (_box(yaw=np.pi / 4), 2 * (np.sqrt(2) - 1)),  # a regular octagon of unit in-width
        (_box(scale=(1, 1, 1e-4)), 1e-4),
    ],
)
def test_volume_with_the_unit_cube_is_the_one_worked_out_by_hand(
    other: Box9DoF, volume: float
) -> None:
    assert intersection_volume(_box(), other) == pytest.approx([volume], rel=1e-7, abs=1e-7)
    assert intersection_volume(other, _box()) == pytest.approx([volume], rel=1e-7, abs=1e-7)


def test_volume_equals_that_of_the_half_space_twin() -> None:
    rng = np.random.default_rng(0)
    first, second = _random_boxes(rng, 60), _random_boxes(rng, 60)
    twin = [_twin_volume(first[i : i + 1], second[i : i + 1]) for i in range(60)]
    assert np.count_nonzero(twin) > 40
    np.testing.assert_allclose(intersection_volume(first, second), twin, atol=2e-6)


def test_volume_equals_the_share_of_random_points_in_both() -> None:
    rng = np.random.default_rng(1)
    first, second = _random_boxes(rng, 8, 0.2), _random_boxes(rng, 8, 0.2)
    unit = rng.uniform(-0.5, 0.5, size=(200_000, 3))
    for i, volume in enumerate(intersection_volume(first, second)):
        points = (unit * first.scale[i]) @ first.rotation[i].T + first.translation[i]
        local = (points - second.translation[i]) @ second.rotation[i] / second.scale[i]
        share = (np.abs(local) < 0.5).all(axis=1).mean()
        assert volume == pytest.approx(share * first.scale[i].prod(), rel=0.02, abs=2e-3)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_iou_is_symmetric_and_blind_to_rigid_motion_and_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = _random_boxes(rng, 4), _random_boxes(rng, 4)
    iou = pair_iou(first, second)
    np.testing.assert_allclose(pair_iou(second, first), iou, atol=1e-7)
    motion = rigid(
        rng.uniform(0.1, 10) * project_to_so3(rng.normal(size=(3, 3))), rng.normal(size=3)
    )
    moved = pair_iou(first.transformed(motion), second.transformed(motion))
    np.testing.assert_allclose(moved, iou, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), tiny=st.sampled_from([0.0, 1e-15, 1e-12, 1e-10, 1e-8]))
def test_nearly_equal_boxes_have_iou_one(seed: int, tiny: float) -> None:
    rng = np.random.default_rng(seed)
    boxes = _random_boxes(rng, 8)
    shaken = Box9DoF(
        project_to_so3(boxes.rotation + tiny * rng.normal(size=(8, 3, 3))),
        boxes.translation + tiny * rng.normal(size=(8, 3)),
        boxes.scale * (1 + tiny * rng.normal(size=(8, 3))),
    )
    np.testing.assert_allclose(pair_iou(boxes, shaken), 1.0, atol=1e-6)


@pytest.mark.parametrize(("order", "yaw"), [(2, np.pi), (4, np.pi / 2), (4, np.pi), (0, 0.7)])
def test_turns_by_the_symmetry_cost_nothing(order: int, yaw: float) -> None:
    truth = _box((0.3, 0.2, -1), (0.6, 0.9, 0.6), yaw=0.4)
    iou = symmetric_iou(truth, turned_about_own_y(truth, yaw), np.array([order]))
    assert iou[0, 0] == pytest.approx(1.0, abs=1e-6)


def test_each_truth_uses_its_own_symmetry() -> None:
    long = _box(scale=(2, 1, 1))
    truth = Box9DoF(
        np.repeat(long.rotation, 3, 0),
        np.repeat(long.translation, 3, 0),
        np.repeat(long.scale, 3, 0),
    )
    iou = symmetric_iou(truth, turned_about_own_y(long, np.pi / 2), np.array([1, 2, 4]))
    np.testing.assert_allclose(iou[:, 0], [1 / 3, 1 / 3, 1.0], atol=1e-7)


def test_orders_of_symmetry_give_their_turns() -> None:
    np.testing.assert_allclose(symmetry_turns(1), [0])
    np.testing.assert_allclose(symmetry_turns(4), np.arange(4) * np.pi / 2)
    assert len(symmetry_turns(0)) == 24
    with pytest.raises(InputError, match="order of 1, 2, 4"):
        symmetry_turns(-1)


def test_lists_of_different_length_are_refused() -> None:
    boxes = _random_boxes(np.random.default_rng(3), 3)
    with pytest.raises(InputError, match="two lists of n boxes"):
        pair_iou(boxes, boxes[:2])
