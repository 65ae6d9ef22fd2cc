"""What cameras are doubted for, and what they are not."""

import re
from dataclasses import replace

import numpy as np
import pytest

from points2objects import Camera
from points2objects.camera import OPENCV_FROM_OPENGL
from points2objects.geometry import FloatArray, rigid, rotation_about_y
from points2objects.plausible import doubt_of_intrinsics, doubts_of_session


def seen(width: int, height: int, cx: float, cy: float, f: float = 500) -> Camera:
    return Camera(np.array([[f, 0, cx], [0, f, cy], [0, 0, 1]]), width, height)


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (seen(640, 480, 320, 240), None),
        (seen(640, 480, 335, 228), None),  # a sensor that sits a little off
        (seen(640, 480, 100, 260), None),  # a crop
        (seen(640, 480, 640, 480), "fits a picture of about 1280x960, and this one is 640x480; m"),
        (seen(640, 480, 160, 120), "about 320x240, .* multiply its first two rows by 2, or"),
        (seen(480, 640, 320, 240), "about 640x480, .* the picture was turned"),
        (seen(640, 480, 240, 320), "about 480x640, .* the picture was turned"),
        (seen(480, 640, 323, 238), "the picture was turned"),
        (seen(480, 480, 240, 240), None),
    ],
)  # fmt: skip
def test_intrinsics_of_another_size_or_orientation_are_doubted(
    camera: Camera, words: str | None
) -> None:
    doubt = doubt_of_intrinsics(camera)
    if words is None:
        assert doubt is None
    else:
        assert doubt is not None
        assert re.search(words, doubt)


def tilted(pitch: float, height: float = 1.4, roll: float = 0.0, yaw: float = 0.0) -> Camera:
    """A camera that looks down by `pitch` radians."""
    cos, sin = np.cos(pitch), np.sin(pitch)
    down = np.array([[1, 0, 0], [0, -cos, -sin], [0, sin, -cos]])
    about_axis = np.array(
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    )
    pose = rigid(rotation_about_y(yaw) @ down @ about_axis, np.array([0, height, 0]))
    return replace(seen(640, 480, 320, 240), world_from_camera=pose)


def as_opengl(camera: Camera) -> Camera:
    return replace(camera, world_from_camera=camera.pose @ OPENCV_FROM_OPENGL)


PITCHES: FloatArray = np.array([0.1, 0.4, 0.8])


@pytest.mark.parametrize("roll", [0.0, np.pi / 2, -np.pi / 2, np.pi])
def test_poses_with_opengl_axes_are_doubted_however_the_phone_was_held(roll: float) -> None:
    cameras = [tilted(pitch, roll=roll, yaw=pitch) for pitch in PITCHES]
    assert doubts_of_session(cameras) == []
    (doubt,) = doubts_of_session([as_opengl(camera) for camera in cameras])
    assert "all cameras look away from the support plane: are the axes OpenGL's" in doubt


def test_level_cameras_with_opengl_axes_are_doubted_for_being_upside_down() -> None:
    cameras = [tilted(pitch) for pitch in (-0.05, 0.0, 0.05)]
    assert doubts_of_session(cameras) == []
    assert len(doubts_of_session([as_opengl(camera) for camera in cameras])) == 1


def test_one_camera_that_looks_down_is_enough() -> None:
    assert doubts_of_session([tilted(-0.4), tilted(-0.2), tilted(0.2)]) == []


@pytest.mark.parametrize(
    ("height", "words"),
    [(150, "cameras stand 150 m"), (1400, "centimetres or millimetres"), (0.01, "only 0.01 m")],
)
def test_poses_in_another_unit_are_doubted(height: float, words: str) -> None:
    (doubt,) = doubts_of_session([tilted(pitch, height) for pitch in PITCHES])
    assert words in doubt


def test_cameras_without_poses_are_not_doubted() -> None:
    assert doubts_of_session([]) == []
    assert doubts_of_session([seen(640, 480, 320, 240)]) == []
