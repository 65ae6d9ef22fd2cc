"""Pictures that come with boxes in the camera's frame, as foreign datasets have them."""

import numpy as np
import pytest

from p2o_train.data.level import LEAST_HEIGHT, level_view
from points2objects.geometry import Box9DoF

K = np.array([[100.0, 0, 64], [0, 100, 64], [0, 0, 1]])
UPRIGHT = np.diag([1.0, -1.0, -1.0])[None]


@pytest.mark.parametrize(("share", "above"), [(0.045, False), (0.055, True), (-0.5, False)])
def test_a_camera_must_stand_a_twentieth_of_the_distance_over_the_plane(
    share: float, above: bool
) -> None:
    """Lower, the height, which is the level frame's unit, would be lost in the boxes' errors."""
    assert LEAST_HEIGHT == 0.05
    # In the camera's frame y points down: the box's lowest corner lies `share * 4` under it.
    side, distance = 0.2, 4.0
    center = np.array([[0.0, share * distance - side / 2, 0.0]])
    center[0, 2] = np.sqrt(distance**2 - center[0, 1] ** 2)
    box = Box9DoF(UPRIGHT, center, np.full((1, 3), side))
    view = level_view(np.zeros((128, 128, 3), np.uint8), K, box)
    assert bool(view.above) is above
    if above:
        assert view.boxes.corners()[..., 1].min() == pytest.approx(0, abs=1e-9)
