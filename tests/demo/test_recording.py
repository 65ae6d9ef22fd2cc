import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from p2o_demo.config import CaptureOptions, WorldUp
from p2o_demo.recording import is_recording, read_recording, yup_rotation
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, is_rotation, rigid, rotation_about_y

OPTIONS = CaptureOptions(fov_deg=60, world_up="+y", support_height=None)
K: FloatArray = np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]])


def pose_in_our_world(height: float) -> FloatArray:
    """A level camera at a height, turned a little about the vertical."""
    level_from_camera = np.diag([1.0, -1, -1])
    return rigid(rotation_about_y(0.4) @ level_from_camera, np.array([0.3, height, -0.2]))


def write_pose_folder(folder: Path, poses: FloatArray) -> Path:
    (folder / "images").mkdir(parents=True)
    for index in range(len(poses)):
        image = np.zeros((48, 64, 3), np.uint8)
        cv2.imwrite(str(folder / "images" / f"{index:03d}.png"), image)
    np.savetxt(folder / "K.txt", K)
    np.savetxt(folder / "poses.txt", poses.reshape(len(poses), 16))
    return folder


def session_frame(**changes: Any) -> dict[str, Any]:
    frame = {
        "file": "a.jpg",
        "K": K.tolist(),
        "world_from_camera": pose_in_our_world(1.4).tolist(),
        "support_height": 0.2,
        "timestamp_ns": 7,
    }
    return {**frame, **changes}


def write_session(folder: Path, session: dict[str, Any]) -> Path:
    (folder / "session.json").write_text(json.dumps(session), encoding="utf-8")
    return folder


@pytest.mark.parametrize("up", ["+x", "-x", "+y", "-y", "+z", "-z"])
def test_every_up_axis_is_carried_to_plus_y(up: WorldUp) -> None:
    rotation = yup_rotation(up)
    axis = np.eye(3)["xyz".index(up[1])] * (1 if up[0] == "+" else -1)
    assert is_rotation(rotation)
    np.testing.assert_allclose(rotation @ axis, [0, 1, 0], atol=1e-12)


def test_plus_y_world_is_left_as_it_is() -> None:
    np.testing.assert_array_equal(yup_rotation("+y"), np.eye(3))


def test_aligned_frame_of_a_pose_folder_becomes_our_world(tmp_path: Path) -> None:
    ours = np.stack([pose_in_our_world(1.4), pose_in_our_world(1.5)])
    # The recorder's world lies askew; the metadata carries it to +z up with the floor at 0.
    recorded_from_ours = rigid(np.linalg.qr(np.ones((3, 3)) + np.diag([1, 2, 4]))[0], np.ones(3))
    if np.linalg.det(recorded_from_ours) < 0:
        recorded_from_ours[:3, 2] *= -1
    zup_from_ours = rigid(np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), np.zeros(3))
    aligned_from_recorded = zup_from_ours @ np.linalg.inv(recorded_from_ours)
    folder = write_pose_folder(tmp_path / "clip", recorded_from_ours @ ours)
    (folder / "gt_boxes.json").write_text(
        json.dumps({"world_to_aligned": aligned_from_recorded.tolist()}), encoding="utf-8"
    )
    pictures = read_recording(folder, OPTIONS)
    assert is_recording(folder)
    for picture, pose in zip(pictures, ours, strict=True):
        np.testing.assert_allclose(picture.world_from_camera, pose, atol=1e-9)
        assert picture.support_height == 0.0


def test_options_say_where_the_plane_is_when_the_folder_does_not(tmp_path: Path) -> None:
    zup_from_ours = rigid(yup_rotation("+z").T, np.zeros(3))
    folder = write_pose_folder(tmp_path / "clip", (zup_from_ours @ pose_in_our_world(0.6))[None])
    with pytest.raises(InputError, match="pass its height along the up axis as --support-height"):
        read_recording(folder, OPTIONS)
    (picture,) = read_recording(folder, CaptureOptions(60, "+z", -0.9))
    camera = Camera(picture.K, 64, 48, picture.world_from_camera, picture.support_height)
    assert camera.height_above_support == pytest.approx(1.5)
    np.testing.assert_allclose(camera.up_camera, [0, -1, 0], atol=1e-12)


def test_number_of_poses_must_match_the_pictures(tmp_path: Path) -> None:
    folder = write_pose_folder(tmp_path / "clip", np.stack([np.eye(4)] * 3))
    (folder / "images" / "002.png").unlink()
    with pytest.raises(InputError, match=r"poses\.txt: expected 2 rows of 16 numbers"):
        read_recording(folder, OPTIONS)


@pytest.mark.parametrize(
    ("pose", "words"),
    [
        (np.full((4, 4), np.nan), "world_from_camera must be rigid"),
        (2 * np.eye(4), "world_from_camera must be rigid"),
        (pose_in_our_world(-0.5), "stands at height -0.500 m, not above the support plane"),
    ],
)
def test_bad_pose_is_refused_before_the_run_and_names_its_picture(
    tmp_path: Path, pose: FloatArray, words: str
) -> None:
    good = pose_in_our_world(1.4)
    folder = write_pose_folder(tmp_path / "clip", np.stack([good, good, pose]))
    with pytest.raises(InputError, match=rf"pose of 002\.png: camera: {words}"):
        read_recording(folder, CaptureOptions(60, "+y", 0.0))


@pytest.mark.parametrize(
    "aligned",
    [
        np.eye(3).tolist(),
        (2 * np.eye(4)).tolist(),
        [[1, 0, 0, float("nan")], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0.1, 1]],
        [[1, 0], [0]],
        "upright",
    ],
)
def test_alignment_must_be_rigid(tmp_path: Path, aligned: object) -> None:
    folder = write_pose_folder(tmp_path / "clip", pose_in_our_world(1.4)[None])
    text = json.dumps({"world_to_aligned": aligned})
    (folder / "gt_boxes.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"gt_boxes\.json: world_to_aligned must be a rigid 4x4"):
        read_recording(folder, OPTIONS)


def test_empty_poses_are_refused_without_a_warning(tmp_path: Path) -> None:
    folder = write_pose_folder(tmp_path / "clip", np.stack([np.eye(4)] * 3))
    (folder / "poses.txt").write_text("")
    with pytest.raises(InputError, match=r"poses\.txt: expected 3 rows of 16 numbers"):
        read_recording(folder, OPTIONS)


def test_session_is_read_as_written(tmp_path: Path) -> None:
    frames = [session_frame(), session_frame(file="b.jpg", timestamp_ns=40)]
    folder = write_session(tmp_path, {"points2objects_session": 1, "frames": frames})
    first, second = read_recording(folder, OPTIONS)
    assert first.path == tmp_path / "a.jpg"
    assert (first.timestamp_ns, second.timestamp_ns) == (7, 40)
    assert first.support_height == 0.2
    np.testing.assert_allclose(first.world_from_camera, pose_in_our_world(1.4))
    np.testing.assert_array_equal(first.K, K)


@pytest.mark.parametrize(
    ("session", "words"),
    [
        ({"frames": []}, "expected points2objects_session = 1, got None"),
        ({"points2objects_session": 1, "frames": []}, "expected a list of frames"),
        (
            {"points2objects_session": 1, "frames": [{"file": "a.jpg"}]},
            "frame 0: 'K' is missing",
        ),
        (
            {"points2objects_session": 1, "frames": [session_frame(support_height=3.0)]},
            "frame 0: camera: stands at height 1.400 m, not above the support plane",
        ),
        (
            {"points2objects_session": 1, "frames": [session_frame(world_from_camera=[[1]])]},
            "frame 0: world_from_camera: expected shape",
        ),
    ],
)
def test_malformed_session_is_refused(tmp_path: Path, session: dict[str, Any], words: str) -> None:
    folder = write_session(tmp_path, session)
    with pytest.raises(InputError, match=words):
        read_recording(folder, OPTIONS)


def test_session_must_be_json(tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not valid JSON"):
        read_recording(tmp_path, OPTIONS)


@pytest.mark.parametrize("missing", ["K.txt", "poses.txt"])
def test_half_a_pose_folder_is_told_what_is_missing(tmp_path: Path, missing: str) -> None:
    folder = write_pose_folder(tmp_path / "half", np.eye(4)[None])
    (folder / missing).unlink()
    assert is_recording(folder)
    options = CaptureOptions(fov_deg=60, world_up="+y", support_height=0.0)
    with pytest.raises(InputError, match=rf"{missing}: missing; a recording needs K.txt"):
        read_recording(folder, options)
