"""Collisions of predicted solids against analytic overlaps."""

import numpy as np
import pytest

from p2o_train.metrics.collisions import collisions
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, FloatArray

SOLID = np.full((20, 20, 20), -1.0)


def _row(x: list[float], size: float = 1.0) -> Box9DoF:
    n = len(x)
    translation = np.zeros((n, 3))
    translation[:, 0] = x
    return Box9DoF(np.tile(np.eye(3), (n, 1, 1)), translation, np.full((n, 3), size))


def _ball(size: int = 20) -> FloatArray:
    axis = (np.arange(size) + 0.5) / size - 0.5
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
    return np.asarray(np.linalg.norm(grid, axis=0) - 0.5)


def test_each_overlapping_pair_counts_once_with_its_volume() -> None:
    found = collisions(_row([0, 0.75, 3]), np.stack([SOLID] * 3))
    assert found.volume == pytest.approx([0.25])
    assert found.pair.tolist() == [[0, 1]]
    assert len(collisions(_row([0, 0.75, 1.5]), np.stack([SOLID] * 3))) == 2


def test_volume_is_in_cubic_units_of_the_frame() -> None:
    assert collisions(_row([0, 1.5], 2.0), np.stack([SOLID] * 2)).volume == pytest.approx([2.0])


def test_boxes_may_overlap_where_their_solids_do_not() -> None:
    corner = Box9DoF(
        np.tile(np.eye(3), (2, 1, 1)), np.array([[0, 0, 0], [0.8, 0.8, 0.8]]), np.ones((2, 3))
    )
    assert len(collisions(corner, np.stack([SOLID] * 2))) == 1
    assert len(collisions(corner, np.stack([_ball()] * 2))) == 0


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_objects_never_collide(n: int) -> None:
    assert len(collisions(_row([0.0] * n), SOLID[None].repeat(n, axis=0))) == 0


def test_shapes_and_boxes_must_pair_up() -> None:
    with pytest.raises(InputError, match="sdfs"):
        collisions(_row([0, 1]), SOLID[None])
