from dataclasses import replace

import numpy as np
import pytest

from p2o_train.data.sample import Sample
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF


def empty_sample() -> Sample:
    return Sample(
        image=np.zeros((4, 4, 3), np.uint8),
        camera=Camera.from_fov(60, 4, 4).with_gravity(np.array([0, -1.0, -0.3])),
        boxes=Box9DoF(np.zeros((0, 3, 3)), np.zeros((0, 3)), np.zeros((0, 3))),
        class_id=np.zeros(0, int),
        model_index=np.zeros(0, int),
        visible_fraction=np.zeros(0),
        mirrored=np.zeros(0, bool),
    )


def test_a_sample_may_hold_no_object() -> None:
    assert len(empty_sample()) == 0


def test_a_sample_says_what_is_wrong() -> None:
    sample = empty_sample()
    with pytest.raises(InputError, match="expected a uint8 image"):
        replace(sample, image=np.zeros((4, 4, 3)))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="4x4 px, the image 5x4"):
        replace(sample, image=np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(InputError, match="class_id"):
        replace(sample, class_id=np.zeros(2, int))


def test_a_sample_lives_in_the_level_frame() -> None:
    sample = empty_sample()
    pose = sample.camera.pose.copy()
    pose[1, 3] = 1.5
    with pytest.raises(InputError, match=r"must stand at \(0, 1, 0\)"):
        replace(sample, camera=replace(sample.camera, world_from_camera=pose))
