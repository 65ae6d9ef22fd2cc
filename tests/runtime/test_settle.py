"""Settling moves boxes along their rays only, onto the plane, and keeps one box in one place."""

from dataclasses import replace

import numpy as np
import pytest

from points2objects import Box9DoF, Camera, ModelSpec
from points2objects.decode import Peaks
from points2objects.geometry import FloatArray, IntArray, rigid, rotation_about_y
from points2objects.place import CAMERA_LEVEL
from points2objects.settle import (
    SIZE_MARGIN,
    STANDING_FACTOR,
    Placed,
    distinct,
    of_known_size,
    one_reading_each,
    rest_on_support,
)


def _standing(seed: int, count: int = 6) -> Box9DoF:
    """Draw boxes that stand on the plane of the level frame, in front of the camera."""
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.1, 0.8, (count, 3))
    center = np.stack([rng.uniform(-1, 1, count), scale[:, 1] / 2, rng.uniform(-4, -1, count)], 1)
    return Box9DoF(rotation_about_y(rng.uniform(-3, 3, count)), center, scale)


def _peaks(class_id: IntArray) -> Peaks:
    n = len(class_id)
    none = np.zeros((n, 3))
    return Peaks(
        class_id, np.ones(n), class_id, class_id, np.zeros((n, 9)), none, none, none, class_id
    )


def _placed(boxes: list[Box9DoF], class_id: list[int]) -> Placed:
    """Put single boxes into one scene, the best first."""
    joined = Box9DoF(
        np.concatenate([box.rotation for box in boxes]),
        np.concatenate([box.translation for box in boxes]),
        np.concatenate([box.scale for box in boxes]),
    )
    return Placed(_peaks(np.array(class_id)), joined)


def _seen_at(boxes: Box9DoF, factor: FloatArray) -> Box9DoF:
    """Scale boxes about the camera: what a network says that errs in distance alone."""
    from_camera = boxes.translation - CAMERA_LEVEL
    return replace(
        boxes,
        translation=CAMERA_LEVEL + factor[:, None] * from_camera,
        scale=factor[:, None] * boxes.scale,
    )


@pytest.mark.parametrize("seed", range(5))
def test_an_error_in_distance_alone_is_undone(seed: int) -> None:
    true = _standing(seed)
    error = np.random.default_rng(seed).uniform(0.7, 1.4, len(true))
    settled = rest_on_support(_seen_at(true, error))
    np.testing.assert_allclose(settled.translation, true.translation, atol=1e-9)
    np.testing.assert_allclose(settled.scale, true.scale, atol=1e-9)
    np.testing.assert_array_equal(settled.rotation, true.rotation)


def test_no_pixel_moves() -> None:
    camera = Camera.from_fov(60, 256, 256).with_gravity(np.array([0.05, -0.9, -0.4]))
    boxes = _seen_at(_standing(1), np.full(6, 1.3))
    before, after = (camera.project(b.corners()) for b in (boxes, rest_on_support(boxes)))
    np.testing.assert_allclose(before[..., :2], after[..., :2], atol=1e-9)


def test_tilted_boxes_touch_the_plane_with_their_lowest_corner() -> None:
    boxes = _standing(2)
    tilt = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    settled = rest_on_support(replace(boxes, rotation=boxes.rotation @ tilt))
    np.testing.assert_allclose(settled.corners()[..., 1].min(axis=1), 0, atol=1e-9)


def test_what_stands_on_a_table_stays_there() -> None:
    on_table = _seen_at(_standing(3), np.full(6, 0.99 / STANDING_FACTOR))
    settled = rest_on_support(on_table)
    np.testing.assert_array_equal(settled.translation, on_table.translation)
    np.testing.assert_array_equal(settled.scale, on_table.scale)


def test_a_box_above_the_camera_stays_there() -> None:
    above = replace(_standing(4), translation=np.tile([0.0, 3.0, -2.0], (6, 1)))
    np.testing.assert_array_equal(rest_on_support(above).translation, above.translation)


def test_of_two_boxes_in_one_place_the_better_stays() -> None:
    box = _standing(5, 1)
    beside = replace(box, translation=np.add(box.translation, [1.0, 0, 0]))
    again = replace(box, translation=box.translation + 0.2 * box.scale)
    boxes = _placed([box, beside, again], [2, 2, 2]).boxes
    assert distinct(boxes, np.array([2, 2, 2])).tolist() == [0, 1]
    assert distinct(boxes, np.array([2, 2, 3])).tolist() == [0, 1, 2]


def test_of_two_classes_in_one_place_the_better_reading_stays() -> None:
    mug = Box9DoF(np.eye(3)[None], np.array([[0.0, 0.05, -1.0]]), np.array([[0.1, 0.1, 0.08]]))
    bowl = replace(mug, translation=np.add(mug.translation, [0.01, 0, 0.02]), scale=1.3 * mug.scale)
    assert one_reading_each(_placed([mug, bowl], [3, 1])).peaks.class_id.tolist() == [3]
    assert one_reading_each(_placed([bowl, mug], [1, 3])).peaks.class_id.tolist() == [1]


def test_a_chair_under_a_table_stays() -> None:
    table = Box9DoF(np.eye(3)[None], np.array([[0.0, 0.37, -3.0]]), np.array([[1.4, 0.74, 0.8]]))
    chair = Box9DoF(np.eye(3)[None], np.array([[0.2, 0.45, -2.72]]), np.array([[0.45, 0.9, 0.5]]))
    assert len(one_reading_each(_placed([table, chair], [5, 2]))) == 2
    assert len(one_reading_each(_placed([chair, table], [2, 5]))) == 2


def test_things_that_touch_are_two() -> None:
    bottle = Box9DoF(np.eye(3)[None], np.array([[0.0, 0.15, -1.0]]), np.array([[0.07, 0.3, 0.07]]))
    boxes = Box9DoF(
        np.repeat(bottle.rotation, 2, 0),
        np.concatenate([bottle.translation, np.add(bottle.translation, [0.07, 0, 0])]),
        np.repeat(bottle.scale, 2, 0),
    )
    assert distinct(boxes, np.array([0, 0])).tolist() == [0, 1]


def test_a_small_box_inside_a_large_one_of_its_class_is_the_same_object() -> None:
    large = Box9DoF(np.eye(3)[None], np.array([[0.0, 0.4, -3.0]]), np.array([[2.0, 0.8, 1.0]]))
    beside = np.add(large.translation, [0.6, 0, 0])
    small = replace(large, translation=beside, scale=large.scale / 4)
    boxes = _placed([large, small], [4, 4]).boxes
    assert distinct(boxes, np.array([4, 4])).tolist() == [0]
    assert distinct(boxes[::-1], np.array([4, 4])).tolist() == [0]


def test_sizes_count_in_metres_and_with_a_margin(spec: ModelSpec) -> None:
    spec = replace(spec, sizes_m=((0.6, 1.2), (0.1, 0.2)))
    limit_m = np.array([0.6 / SIZE_MARGIN, 1.2 * SIZE_MARGIN, 0.1 / SIZE_MARGIN, 0.2 * SIZE_MARGIN])
    beyond = np.array([-1, 1, -1, 1])
    class_id = np.array([0, 0, 1, 1])
    camera = Camera.from_fov(60, 256, 256).with_gravity(np.array([0.0, -1.0, 0.0]))
    higher = replace(camera, world_from_camera=rigid(np.eye(3), np.array([0, 2.5, 0])))
    for view, height_m in ((camera, 1.0), (higher, 2.5)):
        for factor, kept in ((1.01, 0), (0.99, 4)):
            diagonal = limit_m * factor**beyond / height_m
            sides = np.repeat(diagonal[:, None] / np.sqrt(3), 3, axis=1)
            boxes = Box9DoF(np.tile(np.eye(3), (4, 1, 1)), np.zeros((4, 3)), sides)
            placed = Placed(_peaks(class_id), boxes)
            assert len(of_known_size(placed, view, spec)) == kept
            assert len(of_known_size(placed, view, replace(spec, sizes_m=()))) == 4


def test_nothing_settles_as_nothing() -> None:
    empty = _standing(6)[np.zeros(0, dtype=int)]
    assert len(rest_on_support(empty)) == 0
    assert distinct(empty, np.zeros(0, dtype=np.int64)).tolist() == []
    assert len(one_reading_each(Placed(_peaks(np.zeros(0, dtype=np.int64)), empty))) == 0
