"""Rotations, rigid transforms and 9-DoF boxes.

Frames are right-handed and named in ARCHITECTURE: object, camera, level, world. A transform
`b_from_a` takes column vectors in frame a to frame b.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError, check_shape

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
ByteArray = npt.NDArray[np.uint8]

CORNER_SIGNS: FloatArray = np.array(
    [[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]
)
"""Corners of the unit cube in the object frame, (8, 3): x slowest, z fastest."""

BOX_EDGES: IntArray = np.array(
    [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]]
)
"""Pairs of corner indices, (12, 2): four edges along z, four along y, four along x."""


@dataclass(frozen=True, eq=False)
class Box9DoF:
    """One box, or n of them: `x_frame = rotation @ (scale * x_object) + translation`.

    Attributes:
        rotation: (..., 3, 3), orthonormal with determinant +1.
        translation: (..., 3), box centre, in the length unit of the frame.
        scale: (..., 3), full side lengths along the object's own axes, positive.
    """

    rotation: FloatArray
    translation: FloatArray
    scale: FloatArray

    def __post_init__(self) -> None:
        check_shape("rotation", self.rotation, "... 3 3")
        check_shape("translation", self.translation, "... 3")
        check_shape("scale", self.scale, "... 3")
        lead = self.rotation.shape[:-2]
        if self.translation.shape[:-1] != lead or self.scale.shape[:-1] != lead:
            raise InputError(
                "box: rotation, translation and scale must hold the same number of boxes, got "
                f"{self.rotation.shape}, {self.translation.shape}, {self.scale.shape}"
            )
        if not is_rotation(self.rotation):
            raise InputError("box: rotation must be orthonormal with determinant +1")
        positive = np.isfinite(self.scale).all() and (self.scale > 0).all()
        if not (np.isfinite(self.translation).all() and positive):
            raise InputError("box: translation must be finite and scale positive")

    def __len__(self) -> int:
        return len(self.translation)

    def __getitem__(self, index: "int | slice | IntArray | npt.NDArray[np.bool_]") -> "Box9DoF":
        return Box9DoF(self.rotation[index], self.translation[index], self.scale[index])

    def matrix(self) -> FloatArray:
        """Return `frame_from_object`, (..., 4, 4), scale included."""
        matrix = np.zeros((*self.translation.shape[:-1], 4, 4))
        matrix[..., :3, :3] = self.rotation * self.scale[..., None, :]
        matrix[..., :3, 3] = self.translation
        matrix[..., 3, 3] = 1.0
        return matrix

    def corners(self) -> FloatArray:
        """Return the corners, (..., 8, 3), ordered like `CORNER_SIGNS`."""
        return transform_points(self.matrix(), CORNER_SIGNS)

    def transformed(self, frame_from_box: FloatArray) -> "Box9DoF":
        """Carry the boxes into another frame by one similarity transform, (4, 4)."""
        linear = frame_from_box[:3, :3]
        factor = float(np.cbrt(np.linalg.det(linear)))
        return Box9DoF(
            (linear / factor) @ self.rotation,
            transform_points(frame_from_box, self.translation),
            self.scale * factor,
        )


def is_rotation(rotation: FloatArray, tolerance: float = 1e-4) -> bool:
    """Tell whether all matrices, (..., 3, 3), are orthonormal with determinant +1."""
    # False for NaN, and before products that could overflow.
    if not (np.abs(rotation) < 2).all():
        return False
    gram = np.swapaxes(rotation, -1, -2) @ rotation
    return bool(
        (np.abs(gram - np.eye(3)) < tolerance).all() and (np.linalg.det(rotation) > 0).all()
    )


def transform_points(b_from_a: FloatArray, points_a: FloatArray) -> FloatArray:
    """Apply affine transforms, (..., 4, 4), to points (..., 3) or, one set each, (..., p, 3)."""
    linear, offset = b_from_a[..., :3, :3], b_from_a[..., :3, 3]
    return (
        np.asarray(points_a @ np.swapaxes(linear, -1, -2) + offset[..., None, :])
        if (points_a.ndim > 1)
        else np.asarray(linear @ points_a + offset)
    )


def rigid(rotation: FloatArray, translation: FloatArray) -> FloatArray:
    """Assemble `b_from_a`, (4, 4), from its linear part (3, 3) and offset (3,)."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, translation
    return matrix


def rotation_about_y(angle: float | FloatArray) -> FloatArray:
    """Return rotations about +y by angles in radians, (..., 3, 3); -z turns towards -x."""
    angle = np.asarray(angle, dtype=float)
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., 0, 0] = matrix[..., 2, 2] = np.cos(angle)
    matrix[..., 0, 2] = np.sin(angle)
    matrix[..., 2, 0] = -np.sin(angle)
    matrix[..., 1, 1] = 1.0
    return matrix


def project_to_so3(matrix: FloatArray) -> FloatArray:
    """Return the rotation nearest to each matrix in the Frobenius norm (paper, eq. 6).

    Args:
        matrix: Any finite matrices, (..., 3, 3).

    Returns:
        Rotations, (..., 3, 3): `U diag(1, 1, det(U V^T)) V^T`.
    """
    U, _, Vt = np.linalg.svd(np.asarray(matrix, dtype=float))
    sign = np.ones((*U.shape[:-2], 3))
    sign[..., 2] = np.sign(np.linalg.det(U @ Vt))
    return np.asarray((U * sign[..., None, :]) @ Vt)


def quaternion(rotation: FloatArray) -> FloatArray:
    """Return the unit quaternions x y z w, (..., 4) with w >= 0, of rotations (..., 3, 3)."""
    m = np.asarray(rotation, dtype=float)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    x2, y2, z2 = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    xy, xz, yz = (
        m[..., 0, 1] + m[..., 1, 0],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 1, 2] + m[..., 2, 1],
    )
    # Each row is the quaternion times four times one of its components; the longest is accurate.
    rows = np.stack(
        [
            np.stack([1 + xx - yy - zz, xy, xz, x2], axis=-1),
            np.stack([xy, 1 - xx + yy - zz, yz, y2], axis=-1),
            np.stack([xz, yz, 1 - xx - yy + zz, z2], axis=-1),
            np.stack([x2, y2, z2, 1 + xx + yy + zz], axis=-1),
        ],
        axis=-2,
    )
    lengths = np.linalg.norm(rows, axis=-1)
    best = np.argmax(lengths, axis=-1)[..., None]
    row = np.take_along_axis(rows, best[..., None], axis=-2)[..., 0, :]
    unit = row / np.take_along_axis(lengths, best, axis=-1)
    return np.asarray(np.where(unit[..., 3:] < 0, -unit, unit))
