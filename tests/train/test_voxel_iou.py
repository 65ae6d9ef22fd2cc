"""Volumetric IoU of placed shapes against analytic volumes."""

import numpy as np
import pytest

from p2o_train.metrics.voxel_iou import inside_points, is_inside, shape_iou, solid_volume
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, FloatArray, project_to_so3, rigid, rotation_about_y

SOLID = np.full((16, 16, 16), -1.0)


def _grid(size: int) -> FloatArray:
    axis = (np.arange(size) + 0.5) / size - 0.5
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)


def _ball(size: int = 32) -> FloatArray:
    return np.asarray(np.linalg.norm(_grid(size), axis=-1) - 0.5)


def _box(
    translation: tuple[float, float, float] = (0, 0, 0),
    scale: tuple[float, float, float] = (1, 1, 1),
) -> Box9DoF:
    return Box9DoF(np.eye(3), np.array(translation, float), np.array(scale, float))


def test_volume_of_a_ball_in_a_box_is_that_of_its_ellipsoid() -> None:
    volume = solid_volume(_ball(), _box((3, 2, 1), (1, 2, 3)))
    assert volume == pytest.approx(6 * np.pi / 6, rel=0.01)


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        (_box(), 1.0),
        (_box((0.5, 0, 0)), 1 / 3),
        (_box((2, 0, 0)), 0.0),
        (_box(scale=(0.5, 0.5, 0.5)), 0.125),
        (_box(scale=(2, 1, 1)), 0.5),
    ],
)
def test_solid_boxes_have_the_iou_of_boxes(other: Box9DoF, iou: float) -> None:
    assert shape_iou(SOLID, _box(), SOLID, other) == pytest.approx(iou, abs=1e-9)


def test_a_ball_in_a_solid_box_has_the_share_of_its_volume() -> None:
    assert shape_iou(_ball(), _box(), SOLID, _box()) == pytest.approx(np.pi / 6, rel=0.01)
    # The 16 cells of the other side sample the ball coarsely.
    assert shape_iou(SOLID, _box(), _ball(), _box()) == pytest.approx(np.pi / 6, rel=0.03)


def test_turning_a_round_shape_costs_nothing_and_a_flat_one_much() -> None:
    turned = Box9DoF(rotation_about_y(np.pi / 4), np.zeros(3), np.ones(3))
    assert shape_iou(_ball(), _box(), _ball(), turned) > 0.97
    slab = np.abs(_grid(32)[..., 0]) - 0.1
    assert shape_iou(slab, _box(), slab, turned) < 0.3


def test_iou_is_blind_to_rigid_motion() -> None:
    rng = np.random.default_rng(0)
    other = Box9DoF(rotation_about_y(0.5), np.array([0.1, 0.2, 0]), np.array([0.8, 1.1, 1]))
    motion = rigid(project_to_so3(rng.normal(size=(3, 3))), rng.normal(size=3))
    before = shape_iou(_ball(), _box(), _ball(), other)
    after = shape_iou(_ball(), _box().transformed(motion), _ball(), other.transformed(motion))
    assert after == pytest.approx(before, abs=1e-3)


def test_empty_shapes_do_not_overlap() -> None:
    assert shape_iou(-SOLID, _box(), -SOLID, _box()) == 0.0
    assert shape_iou(-SOLID, _box(), SOLID, _box()) == 0.0


def test_inside_is_that_of_the_shape_between_its_samples_too() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.6, 0.6, (4000, 3))
    radius = np.linalg.norm(points, axis=1)
    clear = np.abs(radius - 0.5) > 0.02
    np.testing.assert_array_equal(is_inside(_ball(), points)[clear], (radius < 0.5)[clear])


def test_inside_holds_up_to_the_cube_and_ends_there() -> None:
    points = np.array([[0.5, 0.5, 0.5], [0.499, -0.499, 0], [0.501, 0, 0], [0, -9, 0]])
    np.testing.assert_array_equal(is_inside(SOLID, points), [True, True, False, False])
    assert is_inside(SOLID, points[:0]).shape == (0,)


def test_axes_are_indexed_x_y_z() -> None:
    half = _grid(16)[..., 0]  # inside where x < 0
    assert (inside_points(half)[:, 0] < 0).all()
    np.testing.assert_array_equal(
        is_inside(half, np.array([[-0.2, 0.4, 0.4], [0.2, 0, 0]])), [1, 0]
    )


def test_shapes_that_are_no_cube_are_refused() -> None:
    with pytest.raises(InputError, match="sdf"):
        inside_points(np.zeros((4, 4, 5)))
    with pytest.raises(InputError, match="at least 2 cells"):
        is_inside(np.zeros((1, 1, 1)), np.zeros((1, 3)))
