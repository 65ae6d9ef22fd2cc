from pathlib import Path

import pytest

from p2o_demo.foreign import pose_files


@pytest.mark.parametrize(
    ("pictures", "marks", "app"),
    [
        ("images", ["transforms.json"], "nerfstudio"),
        (".", ["odometry.csv", "camera_matrix.csv"], "Stray Scanner"),
        ("keyframes/images", ["keyframes/corrected_cameras/1.json"], "Polycam"),
        (".", ["mesh_info.json"], "Polycam"),
        ("rgbd", ["metadata"], "Record3D"),
        (".", ["frame_00000.json", "info.json"], "3D Scanner App"),
        (".", ["frame-000000.pose.txt"], "7-Scenes"),
        ("rgb", ["groundtruth.txt"], "TUM RGB-D"),
        ("color", ["intrinsic/intrinsic_color.txt", "pose/0.txt"], "ScanNet"),
        ("lowres_wide", ["lowres_wide.traj"], "ARKitScenes"),
        ("images", ["sparse/0/images.bin"], "COLMAP"),
        ("shots", ["my_poses.npy"], "another app"),
        ("shots", ["pose/0001.txt"], "another app"),
    ],
)
def test_poses_of_other_apps_are_noticed(
    tmp_path: Path, pictures: str, marks: list[str], app: str
) -> None:
    (tmp_path / pictures).mkdir(parents=True, exist_ok=True)
    for mark in marks:
        (tmp_path / mark).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / mark).touch()
    line = pose_files(tmp_path / pictures)
    assert line is not None
    assert f"looks like poses of {app}, which are not read" in line
    assert "\n" not in line


@pytest.mark.parametrize("name", ["session.json", "poses.txt"])
def test_pictures_folder_of_an_own_recording_leads_to_the_recording(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / name).touch()
    line = pose_files(tmp_path / "images")
    assert line is not None
    assert f"{name} has poses; pass --source {tmp_path} for them" in line


def test_a_plain_folder_holds_no_poses(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "notes.txt", "purpose.txt.bak", "camera.jpg"):
        (tmp_path / "photos" / name).touch()
    assert pose_files(tmp_path / "photos") is None
