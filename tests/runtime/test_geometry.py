"""Rotations, transforms and boxes: the properties that define them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from points2objects import Box9DoF, InputError
from points2objects.geometry import (
    BOX_EDGES,
    CORNER_SIGNS,
    FloatArray,
    is_rotation,
    project_to_so3,
    quaternion,
    rigid,
    rotation_about_y,
    transform_points,
)

matrices = hnp.arrays(float, (3, 3), elements=st.floats(-10, 10))


def _random_boxes(n: int, seed: int = 0) -> Box9DoF:
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(n, rng=rng).as_matrix().reshape(n, 3, 3)
    return Box9DoF(rotation, rng.normal(size=(n, 3)), rng.uniform(0.1, 2, (n, 3)))


@given(matrices)
def test_projection_is_the_nearest_rotation(matrix: FloatArray) -> None:
    nearest = project_to_so3(matrix)
    assert is_rotation(nearest, tolerance=1e-9)
    others = Rotation.random(50, rng=np.random.default_rng(0)).as_matrix()
    best = np.linalg.norm(matrix - nearest)
    assert (np.linalg.norm(matrix - others, axis=(-2, -1)) >= best - 1e-9).all()


def test_projection_keeps_rotations_and_survives_degenerate_matrices() -> None:
    rotations = Rotation.random(20, rng=np.random.default_rng(1)).as_matrix()
    np.testing.assert_allclose(project_to_so3(rotations), rotations, atol=1e-12)
    np.testing.assert_allclose(project_to_so3(3.0 * rotations), rotations, atol=1e-12)
    for matrix in (np.zeros((3, 3)), -np.eye(3), np.diag([1.0, 1.0, -1e-12]), np.ones((3, 3))):
        assert is_rotation(project_to_so3(matrix), tolerance=1e-9)
    assert project_to_so3(np.zeros((0, 3, 3))).shape == (0, 3, 3)


@given(st.floats(-7, 7), st.floats(-7, 7))
def test_turns_about_y_add_up(a: float, b: float) -> None:
    product = rotation_about_y(a) @ rotation_about_y(b)
    np.testing.assert_allclose(product, rotation_about_y(a + b), atol=1e-12)


def test_positive_turn_about_y_carries_minus_z_to_minus_x() -> None:
    turned = rotation_about_y(np.pi / 2) @ [0.0, 0.0, -1.0]
    np.testing.assert_allclose(turned, [-1, 0, 0], atol=1e-15)
    assert rotation_about_y(np.zeros(0)).shape == (0, 3, 3)


@given(hnp.arrays(float, (4,), elements=st.floats(-1, 1)))
def test_quaternion_matches_scipy(q: FloatArray) -> None:
    if np.linalg.norm(q) < 1e-3:
        q = np.array([0, 0, 0, 1.0])
    twin = Rotation.from_quat(q)
    ours = quaternion(twin.as_matrix())
    assert ours[3] >= 0
    assert np.linalg.norm(ours) == pytest.approx(1)
    assert (Rotation.from_quat(ours) * twin.inv()).magnitude() < 1e-7


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_quaternion_of_half_turns(axis: str) -> None:
    matrix = Rotation.from_euler(axis, 180, degrees=True).as_matrix()
    np.testing.assert_allclose(np.abs(quaternion(matrix)), np.eye(4)["xyz".index(axis)], atol=1e-9)
    assert quaternion(np.zeros((0, 3, 3))).shape == (0, 4)


def test_transform_of_points_one_set_and_many() -> None:
    boxes = _random_boxes(4)
    points = np.random.default_rng(2).normal(size=(5, 3))
    batch = transform_points(boxes.matrix(), points)
    assert batch.shape == (4, 5, 3)
    for i in range(4):
        by_hand = boxes.rotation[i] @ (boxes.scale[i] * points[2]) + boxes.translation[i]
        np.testing.assert_allclose(batch[i, 2], by_hand)
        np.testing.assert_allclose(transform_points(boxes[i].matrix(), points[2]), by_hand)
    assert transform_points(np.eye(4), np.zeros((0, 3))).shape == (0, 3)


def test_corners_span_the_box() -> None:
    box = Box9DoF(np.eye(3), np.array([1.0, 2, 3]), np.array([2.0, 4, 6]))
    corners = box.corners()
    np.testing.assert_allclose(corners.min(axis=0), [0, 0, 0])
    np.testing.assert_allclose(corners.max(axis=0), [2, 4, 6])
    # Every edge joins corners that differ along one axis alone.
    assert (np.count_nonzero(np.diff(CORNER_SIGNS[BOX_EDGES], axis=1), axis=-1) == 1).all()
    assert len({tuple(edge) for edge in BOX_EDGES}) == 12


def test_boxes_follow_a_similarity() -> None:
    boxes = _random_boxes(6)
    similarity = rigid(2.5 * Rotation.random(rng=np.random.default_rng(3)).as_matrix(), np.ones(3))
    carried = boxes.transformed(similarity)
    expected = transform_points(similarity, boxes.corners().reshape(-1, 3)).reshape(6, 8, 3)
    np.testing.assert_allclose(carried.corners(), expected, atol=1e-12)
    assert len(_random_boxes(0).transformed(similarity)) == 0


@pytest.mark.parametrize(
    ("rotation", "translation", "scale", "words"),
    [
        (np.diag([1.0, 1, -1]), np.zeros(3), np.ones(3), "determinant"),
        (np.full((3, 3), np.nan), np.zeros(3), np.ones(3), "orthonormal"),
        (np.full((3, 3), np.inf), np.zeros(3), np.ones(3), "orthonormal"),
        (np.eye(3), np.array([0, np.nan, 0]), np.ones(3), "finite"),
        (np.eye(3), np.zeros(3), np.array([1, 0.0, 1]), "positive"),
        (np.eye(3), np.zeros(3), np.array([1, np.inf, 1]), "positive"),
        (np.eye(3)[None], np.zeros(3), np.ones(3), "same number"),
        (np.eye(2), np.zeros(3), np.ones(3), "expected shape"),
    ],
)
def test_improper_boxes_are_refused(
    rotation: FloatArray, translation: FloatArray, scale: FloatArray, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        Box9DoF(rotation, translation, scale)
