"""Posed recordings: folders of pictures whose cameras are known.

Two layouts are read.

`session.json`, the project's own: poses in our world (+y up, metres) of cameras with OpenCV axes.

    {"points2objects_session": 1,
     "frames": [{"file": "images/0001.jpg", "K": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
                 "world_from_camera": [[...], [...], [...], [0, 0, 0, 1]],
                 "support_height": 0.0, "timestamp_ns": 0}, ...]}

`K.txt` and `poses.txt` beside `images/`: one K for all; row i of the poses is the 4x4
camera-to-world matrix of the i-th picture by name. Where up is and where the plane lies comes from
`world_to_aligned` in `gt_boxes.json` (a frame with +z up and the floor at z = 0), or else from
`--world-up` and `--support-height`.
"""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p2o_demo.config import CaptureOptions, WorldUp
from p2o_demo.pictures import list_pictures
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, is_rotation, rigid

SESSION_SCHEMA = 1

YUP_FROM_ZUP: FloatArray = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass(frozen=True)
class PosedPicture:
    """A picture of a recording, not yet read.

    Attributes:
        path: The picture.
        K: (3, 3), pixels.
        world_from_camera: (4, 4), rigid, world +y up, metres; camera axes OpenCV's.
        support_height: Height of the support plane in that world, m.
        timestamp_ns: Time of capture.
    """

    path: Path
    K: FloatArray
    world_from_camera: FloatArray
    support_height: float
    timestamp_ns: int


def is_recording(folder: Path) -> bool:
    """Tell whether a folder is a posed recording rather than a mere folder of pictures."""
    return any((folder / name).is_file() for name in ("session.json", "K.txt", "poses.txt"))


def read_recording(folder: Path, options: CaptureOptions) -> list[PosedPicture]:
    """Read a posed recording of either layout, pictures in order.

    Raises:
        InputError: A file is missing or malformed, or nothing tells where the plane is.
    """
    if (folder / "session.json").is_file():
        return _read_session(folder / "session.json")
    return _read_pose_folder(folder, options)


def _read_session(path: Path) -> list[PosedPicture]:
    session = _read_json(path)
    if session.get("points2objects_session") != SESSION_SCHEMA:
        raise InputError(
            f"{path}: expected points2objects_session = {SESSION_SCHEMA}, "
            f"got {session.get('points2objects_session')}; see docs/architecture.md"
        )
    frames = session.get("frames")
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{path}: expected a list of frames, got none; see docs/architecture.md")
    return [_session_frame(path, index, frame) for index, frame in enumerate(frames)]


def _session_frame(path: Path, index: int, frame: Any) -> PosedPicture:
    try:
        picture = PosedPicture(
            path=path.parent / str(frame["file"]),
            K=np.array(frame["K"], dtype=float),
            world_from_camera=np.array(frame["world_from_camera"], dtype=float),
            support_height=float(frame["support_height"]),
            timestamp_ns=int(frame["timestamp_ns"]),
        )
        _check_camera(picture)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: frame {index}: {reason}; see docs/architecture.md") from error
    return picture


def _read_pose_folder(folder: Path, options: CaptureOptions) -> list[PosedPicture]:
    images = folder / "images" if (folder / "images").is_dir() else folder
    paths = list_pictures(images)
    K = _read_matrix(folder / "K.txt", 3, 3)
    poses = _read_matrix(folder / "poses.txt", len(paths), 16).reshape(-1, 4, 4)
    world_from_recorded, support_height = _alignment(folder, options)
    pictures = [
        PosedPicture(path, K, world_from_recorded @ pose, support_height, round(index * 1e9 / 30))
        for index, (path, pose) in enumerate(zip(paths, poses, strict=True))
    ]
    for picture in pictures:
        try:
            _check_camera(picture)
        except InputError as error:
            raise InputError(f"{folder}: pose of {picture.path.name}: {error}") from error
    return pictures


def _check_camera(picture: PosedPicture) -> None:
    """Check K and the pose now, so that a long run does not end on its last frame."""
    Camera(picture.K, 1, 1, picture.world_from_camera, picture.support_height)


def _alignment(folder: Path, options: CaptureOptions) -> tuple[FloatArray, float]:
    """Return the rigid transform from a recording's world to ours, (4, 4), and the plane there."""
    path = folder / "gt_boxes.json"
    known = _read_json(path).get("world_to_aligned") if path.is_file() else None
    if known is not None:
        return rigid(YUP_FROM_ZUP, np.zeros(3)) @ _rigid_matrix(path, known), 0.0
    if options.support_height is None:
        raise InputError(
            f"{folder}: nothing says where the support plane is; pass its height along the up "
            "axis as --support-height (and that axis as --world-up)"
        )
    return rigid(yup_rotation(options.world_up), np.zeros(3)), options.support_height


def _rigid_matrix(path: Path, known: Any) -> FloatArray:
    refused = InputError(
        f"{path}: world_to_aligned must be a rigid 4x4 matrix (rotation, translation)"
    )
    try:
        aligned = np.array(known, dtype=float)
    except (TypeError, ValueError) as error:
        raise refused from error
    if (
        aligned.shape != (4, 4)
        or not np.isfinite(aligned).all()
        or not is_rotation(aligned[:3, :3])
        or not np.array_equal(aligned[3], [0, 0, 0, 1])
    ):
        raise refused
    return aligned


def yup_rotation(up: WorldUp) -> FloatArray:
    """Return the rotation, (3, 3), that carries a world's up axis to +y."""
    axis = "xyz".index(up[1])
    sign = 1.0 if up[0] == "+" else -1.0
    rows = np.zeros((3, 3))
    rows[1, axis] = sign
    rows[0, (axis - 1) % 3] = 1.0
    rows[2] = np.cross(rows[0], rows[1])
    return rows


def _read_matrix(path: Path, rows: int, columns: int) -> FloatArray:
    if not path.is_file():
        raise InputError(f"{path}: missing; a recording needs K.txt, poses.txt and images/")
    try:
        with warnings.catch_warnings():
            # An empty file is refused by its shape below.
            warnings.simplefilter("ignore", UserWarning)
            matrix = np.atleast_2d(np.loadtxt(path, dtype=float))
    except ValueError as error:
        raise InputError(f"{path}: not a table of numbers ({error})") from error
    if matrix.shape != (rows, columns):
        raise InputError(
            f"{path}: expected {rows} rows of {columns} numbers, got {matrix.shape}; "
            "there must be one pose for each picture"
        )
    return matrix


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object")
    return content
