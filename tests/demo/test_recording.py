import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from p2o_demo.config import CaptureOptions, WorldUp
from p2o_demo.listing import LeftOut
from p2o_demo.pose_folder import yup_rotation
from p2o_demo.recording import is_recording, read_recording
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, is_rotation, rigid, rotation_about_y

OPTIONS = CaptureOptions(fov_deg=60, world_up="+y", support_height=None)
K: FloatArray = np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]])


def pose_in_our_world(height: float) -> FloatArray:
    """A level camera at a height, turned a little about the vertical."""
    level_from_camera = np.diag([1.0, -1, -1])
    return rigid(rotation_about_y(0.4) @ level_from_camera, np.array([0.3, height, -0.2]))


def rotation_about_x(angle: float) -> FloatArray:
    """A turn of the camera about its own x axis; a negative one looks down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return rigid(np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]), np.zeros(3))


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
        np.testing.assert_allclose(picture.camera.pose, pose, atol=1e-9)
        assert picture.camera.support_height == 0.0


def test_options_say_where_the_plane_is_when_the_folder_does_not(tmp_path: Path) -> None:
    zup_from_ours = rigid(yup_rotation("+z").T, np.zeros(3))
    folder = write_pose_folder(tmp_path / "clip", (zup_from_ours @ pose_in_our_world(0.6))[None])
    with pytest.raises(InputError, match="pass its height along the up axis as --support-height"):
        read_recording(folder, OPTIONS)
    (picture,) = read_recording(folder, CaptureOptions(60, "+z", -0.9))
    assert (picture.camera.width, picture.camera.height) == (64, 48)
    assert picture.camera.height_above_support == pytest.approx(1.5)
    np.testing.assert_allclose(picture.camera.up_camera, [0, -1, 0], atol=1e-12)


def test_number_of_poses_must_match_the_pictures(tmp_path: Path) -> None:
    folder = write_pose_folder(tmp_path / "clip", np.stack([np.eye(4)] * 3))
    (folder / "images" / "002.png").unlink()
    with pytest.raises(InputError, match=r"poses\.txt: expected 2 rows of 16 numbers"):
        read_recording(folder, OPTIONS)


BAD_POSES = [
    (np.full((4, 4), np.nan), "tracking was lost"),
    (np.full((4, 4), np.inf), "tracking was lost"),
    (np.zeros((4, 4)), "world_from_camera must be rigid"),
    (2 * np.eye(4), "world_from_camera must be rigid"),
    (pose_in_our_world(-0.5), "stands at height -0.500 m, not above the support plane"),
]


@pytest.mark.parametrize(("pose", "words"), BAD_POSES)
def test_bad_pose_costs_its_frame_alone_and_names_its_picture(
    tmp_path: Path, pose: FloatArray, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = pose_in_our_world(1.4)
    folder = write_pose_folder(tmp_path / "clip", np.stack([good, good, pose]))
    left_out = LeftOut()
    pictures = read_recording(folder, CaptureOptions(60, "+y", 0.0), left_out)
    assert [picture.path.name for picture in pictures] == ["000.png", "001.png"]
    assert left_out.count == 1
    (record,) = caplog.records
    assert "pose of 002.png: camera: " in record.getMessage()
    assert words in record.getMessage()


@pytest.mark.parametrize(("pose", "words"), BAD_POSES)
def test_recording_of_bad_poses_alone_is_refused(
    tmp_path: Path, pose: FloatArray, words: str
) -> None:
    folder = write_pose_folder(tmp_path / "clip", np.stack([pose] * 3))
    words = rf"pose of 000\.png: camera: .*{words}.* none of the other 2 frames either"
    with pytest.raises(InputError, match=words):
        read_recording(folder, CaptureOptions(60, "+y", 0.0))


def test_poses_belong_to_pictures_by_number(tmp_path: Path) -> None:
    poses = np.stack([pose_in_our_world(1 + 0.1 * index) for index in range(12)])
    folder = write_pose_folder(tmp_path / "clip", poses)
    for index in range(12):
        (folder / "images" / f"{index:03d}.png").rename(folder / "images" / f"{index}.png")
    pictures = read_recording(folder, CaptureOptions(60, "+y", 0.0))
    for index, picture in enumerate(pictures):
        assert picture.path.name == f"{index}.png"
        assert picture.camera.height_above_support == pytest.approx(1 + 0.1 * index)


@pytest.mark.parametrize("between", [", ", ",", ";", "\t", ";  "])
def test_numbers_may_stand_between_commas(tmp_path: Path, between: str) -> None:
    folder = write_pose_folder(tmp_path / "clip", pose_in_our_world(1.4)[None])
    for name, table in (("K.txt", K), ("poses.txt", pose_in_our_world(1.4).reshape(1, 16))):
        lines = [between.join(map(repr, row)) for row in table.tolist()]
        (folder / name).write_text("\ufeff# exported\n\n" + "\r\n".join(lines), "utf-8")
    (picture,) = read_recording(folder, CaptureOptions(60, "+y", 0.0))
    np.testing.assert_array_equal(picture.camera.K, K)


def test_decimal_commas_are_refused(tmp_path: Path) -> None:
    folder = write_pose_folder(tmp_path / "clip", pose_in_our_world(1.4)[None])
    (folder / "K.txt").write_text("50,0 0,0 32,0\n0,0 50,0 24,0\n0,0 0,0 1,0\n")
    with pytest.raises(InputError, match=r"K\.txt: expected 3 rows of 3 numbers, got \(3, 6\)"):
        read_recording(folder, CaptureOptions(60, "+y", 0.0))


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[50, 0.02, 32], [0, 50, 24], [0, 0, 1]], r"K must be \[fx 0 cx; 0 fy cy; 0 0 1\]"),
        ([[-50, 0, 32], [0, 50, 24], [0, 0, 1]], "focal lengths must be positive"),
        ([[float("nan"), 0, 32], [0, 50, 24], [0, 0, 1]], "focal lengths must be positive"),
    ],
)
def test_impossible_intrinsics_are_refused_by_its_file(
    tmp_path: Path, matrix: list[list[float]], words: str
) -> None:
    folder = write_pose_folder(tmp_path / "clip", pose_in_our_world(1.4)[None])
    np.savetxt(folder / "K.txt", matrix)
    with pytest.raises(InputError, match=rf"K\.txt: camera: {words}"):
        read_recording(folder, CaptureOptions(60, "+y", 0.0))


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (6.0, r"the principal point \(192, 144\) lies outside of the picture, 64x48"),
        (2.0, "K fits a picture of about 128x96, and this one is 64x48; multiply .* by 0.5"),
        (0.5, "K fits a picture of about 32x24, and this one is 64x48; multiply .* by 2"),
    ],
)
def test_intrinsics_of_another_size_are_refused(tmp_path: Path, factor: float, words: str) -> None:
    folder = write_pose_folder(tmp_path / "clip", pose_in_our_world(1.4)[None])
    np.savetxt(folder / "K.txt", np.diag([factor, factor, 1]) @ K)
    with pytest.raises(InputError, match=words):
        read_recording(folder, CaptureOptions(60, "+y", 0.0))
    write_session(folder, {"points2objects_session": 1, "frames": [
        session_frame(file="images/000.png", K=(np.diag([factor, factor, 1]) @ K).tolist())
    ]})  # fmt: skip
    with pytest.raises(InputError, match=words):
        read_recording(folder, OPTIONS)


def test_picture_that_was_turned_without_its_intrinsics_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((64, 48, 3), np.uint8))
    folder = write_session(tmp_path, {"points2objects_session": 1, "frames": [session_frame()]})
    words = "K fits a picture of about 64x48, and this one is 48x64: the picture was turned"
    with pytest.raises(InputError, match=words):
        read_recording(folder, OPTIONS)


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (np.diag([1.0, -1, -1, 1]), "all cameras look away from the support plane: .* OpenGL"),
        (np.eye(4), None),
    ],
)
def test_poses_with_opengl_axes_are_doubted(
    tmp_path: Path, recorded: FloatArray, words: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    down = rotation_about_x(-0.3)
    poses = np.stack([pose_in_our_world(1.4) @ down @ recorded] * 3)
    folder = write_pose_folder(tmp_path / "clip", poses)
    assert len(read_recording(folder, CaptureOptions(60, "+y", 0.0))) == 3
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (words is not None)
    assert words is None or re.search(words, said[0])


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([0, 33, 66], "are the time stamps in nanoseconds"),
        ([90, 33_000_000, 7], "time stamps go back"),
        ([0, 0, 0], None),
        ([0, 33_000_000, 66_000_000], None),
    ],
)
def test_odd_time_stamps_are_doubted(
    tmp_path: Path, times: list[int], words: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((48, 64, 3), np.uint8))
    frames = [session_frame(timestamp_ns=time) for time in times]
    read_recording(
        write_session(tmp_path, {"points2objects_session": 1, "frames": frames}), OPTIONS
    )
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (words is not None)
    assert words is None or words in said[0]


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd.png",
        "../a.jpg",
        "images/../../a.jpg",
        "C:/a.jpg",
        "C:\\a.jpg",
        "..\\a.jpg",
        "\\\\server\\a.jpg",
    ],
)
def test_session_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "session").mkdir()
    frames = [session_frame(), session_frame(file=name)]
    folder = write_session(tmp_path / "session", {"points2objects_session": 1, "frames": frames})
    with pytest.raises(InputError, match=r"frame 1: file .* lies outside of the session's folder"):
        read_recording(folder, OPTIONS)


def test_a_way_back_inside_the_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.jpg"), np.zeros((48, 64, 3), np.uint8))
    frames = [session_frame(file="images/../images/a.jpg")]
    folder = write_session(tmp_path, {"points2objects_session": 1, "frames": frames})
    assert len(read_recording(folder, OPTIONS)) == 1


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
    frames = [session_frame(), session_frame(file="b.jpg", timestamp_ns=40_000_000)]
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(tmp_path / name), np.zeros((48, 64, 3), np.uint8))
    folder = write_session(tmp_path, {"points2objects_session": 1, "frames": frames})
    first, second = read_recording(folder, OPTIONS)
    assert first.path == tmp_path / "a.jpg"
    assert (first.timestamp_ns, second.timestamp_ns) == (7, 40_000_000)
    assert first.camera.support_height == 0.2
    np.testing.assert_allclose(first.camera.pose, pose_in_our_world(1.4))
    np.testing.assert_array_equal(first.camera.K, K)


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
        *(
            ({"points2objects_session": 1, "frames": [session_frame(**{key: value})]}, words)
            for key, value, words in [
                ("timestamp_ns", 1.5, "frame 0: timestamp_ns: expected whole nanoseconds"),
                ("timestamp_ns", True, "frame 0: timestamp_ns: expected whole nanoseconds"),
                ("timestamp_ns", "7", "frame 0: timestamp_ns: expected whole nanoseconds"),
                ("timestamp_ns", -1, "frame 0: timestamp_ns: expected 0 or more"),
                ("timestamp_ns", 2**63, "frame 0: timestamp_ns: expected 0 or more"),
                ("support_height", "0", "frame 0: support_height: expected a number"),
                ("support_height", True, "frame 0: support_height: expected a number"),
                ("support_height", float("nan"), "support_height must be finite"),
                ("support_height", 10**400, "support_height: 10+... is too large"),
                ("K", [[10**400] * 3] * 3, "frame 0: K: expected rows of numbers"),
                ("K", [[1, 2], [3]], "frame 0: K: expected rows of numbers"),
                ("K", {"fx": 1}, "frame 0: K: expected rows of numbers"),
                ("file", 7, "frame 0: file must be a name, got 7"),
                ("file", "a\0.jpg", "frame 0: "),
            ]
        ),
        ({"points2objects_session": 1, "frames": [7]}, "frame 0: .*see docs/architecture.md"),
        ({"points2objects_session": 1, "frames": [None]}, "frame 0: .*see docs/architecture.md"),
    ],
)
def test_malformed_session_is_refused(tmp_path: Path, session: dict[str, Any], words: str) -> None:
    folder = write_session(tmp_path, session)
    with pytest.raises(InputError, match=words):
        read_recording(folder, OPTIONS)


@pytest.mark.parametrize("text", ["{", "[" * 200_000, b"\xff\xfe{}", "NaN"])
def test_session_must_be_json(tmp_path: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "session.json").write_bytes(data)
    with pytest.raises(InputError, match=r"not valid JSON|expected a JSON object"):
        read_recording(tmp_path, OPTIONS)


@pytest.mark.parametrize("missing", ["K.txt", "poses.txt"])
def test_half_a_pose_folder_is_told_what_is_missing(tmp_path: Path, missing: str) -> None:
    folder = write_pose_folder(tmp_path / "half", np.eye(4)[None])
    (folder / missing).unlink()
    assert is_recording(folder)
    options = CaptureOptions(fov_deg=60, world_up="+y", support_height=0.0)
    with pytest.raises(InputError, match=rf"{missing}: missing; a recording needs K.txt"):
        read_recording(folder, options)
