"""Recordings as `K.txt` and `poses.txt` beside `images/`.

One K for all; row i of the poses is the 4x4 camera-to-world matrix of the i-th picture in the order
of the numbers in their names. Where up is and where the plane lies comes from `world_to_aligned` in
`gt_boxes.json` (a frame with +z up and the floor at z = 0), or else from `--world-up` and
`--support-height`.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from p2o_demo.config import CaptureOptions, WorldUp
from p2o_demo.listing import LeftOut, in_order_of_poses, list_pictures
from p2o_demo.names import displayed
from p2o_demo.posed import PosedPicture, posed_picture, usable
from p2o_demo.session import MOST_BYTES, read_json
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, is_rotation, rigid

YUP_FROM_ZUP: FloatArray = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
FRAMES_PER_SECOND = 30
"""Assumed: the layout has no time stamps."""


def read_pose_folder(
    folder: Path, options: CaptureOptions, left_out: LeftOut
) -> list[PosedPicture]:
    """Read a recording, pictures in order; frames that cannot be used are left out with a line.

    Raises:
        InputError: A file is missing or malformed, the names do not tell which pose is whose,
            nothing tells where the plane is, or no frame can be used.
    """
    images = folder / "images" if (folder / "images").is_dir() else folder
    paths = in_order_of_poses(list_pictures(images))
    K = _read_matrix(folder / "K.txt", 3, 3)
    _check_intrinsics(folder / "K.txt", K)
    poses = _read_matrix(folder / "poses.txt", len(paths), 16).reshape(-1, 4, 4)
    world_from_recorded, support_height = _alignment(folder, options)
    with np.errstate(invalid="ignore"):  # of a frame in which tracking was lost
        world_from_camera = world_from_recorded @ poses
    makers = [
        functools.partial(_picture, folder, path, K, pose, support_height, index)
        for index, (path, pose) in enumerate(zip(paths, world_from_camera, strict=True))
    ]
    return usable(makers, left_out)


def _picture(
    folder: Path,
    path: Path,
    K: FloatArray,
    world_from_camera: FloatArray,
    support_height: float,
    index: int,
) -> PosedPicture:
    time_ns = round(index * 1e9 / FRAMES_PER_SECOND)
    try:
        return posed_picture(path, K, world_from_camera, support_height, time_ns)
    except InputError as error:
        raise InputError(f"{displayed(folder)}: pose of {displayed(path.name)}: {error}") from error


def _check_intrinsics(path: Path, K: FloatArray) -> None:
    side = int(np.clip(np.nan_to_num(2 * np.abs(K[:2]).max()), 1, 1e9)) + 1
    try:
        Camera(K, side, side)
    except InputError as error:
        raise InputError(f"{displayed(path)}: {error}") from error


def _alignment(folder: Path, options: CaptureOptions) -> tuple[FloatArray, float]:
    """Return the rigid transform from a recording's world to ours, (4, 4), and the plane there."""
    path = folder / "gt_boxes.json"
    known = read_json(path).get("world_to_aligned") if path.is_file() else None
    if known is not None:
        return rigid(YUP_FROM_ZUP, np.zeros(3)) @ _rigid_matrix(path, known), 0.0
    if options.support_height is None:
        raise InputError(
            f"{displayed(folder)}: nothing says where the support plane is; pass its height along "
            "the up axis as --support-height (and that axis as --world-up)"
        )
    return rigid(yup_rotation(options.world_up), np.zeros(3)), options.support_height


def _rigid_matrix(path: Path, known: Any) -> FloatArray:
    refused = InputError(
        f"{displayed(path)}: world_to_aligned must be a rigid 4x4 matrix (rotation, translation)"
    )
    try:
        aligned = np.array(known, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
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
    """Read a table of numbers with blanks, tabs, commas or semicolons between them."""
    if not path.is_file():
        raise InputError(
            f"{displayed(path)}: missing; a recording needs K.txt, poses.txt and images/"
        )
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{displayed(path)}: {path.stat().st_size} bytes; too large to be one")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        table = [line.split("#")[0].replace(",", " ").replace(";", " ").split() for line in lines]
        numbers = [[float(number) for number in row] for row in table if row]
        matrix = np.array(numbers, dtype=float).reshape(len(numbers), len(next(iter(numbers), [])))
    except ValueError as error:
        raise InputError(
            f"{displayed(path)}: not a table of numbers ({str(error)[:120]})"
        ) from error
    if matrix.shape != (rows, columns):
        raise InputError(
            f"{displayed(path)}: expected {rows} rows of {columns} numbers, got {matrix.shape}; "
            "there must be one pose for each picture"
        )
    return matrix
