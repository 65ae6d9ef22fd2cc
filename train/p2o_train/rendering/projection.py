"""OpenGL's matrices for our cameras. Clip space: x right, y up, depth -1..1 away from the eye."""

import numpy as np

from points2objects.camera import Camera
from points2objects.geometry import FloatArray

NEAR, FAR = 0.02, 60.0
"""Clipping distances in camera heights."""


def clip_from_camera(K: FloatArray, width: int, height: int) -> FloatArray:
    """Return the perspective projection of a pinhole camera, (4, 4); row 0 of the image is up."""
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[0, 2] = 2 * K[0, 0] / width, 2 * K[0, 2] / width - 1
    matrix[1, 1], matrix[1, 2] = -2 * K[1, 1] / height, 1 - 2 * K[1, 2] / height
    matrix[2, 2], matrix[2, 3] = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    matrix[3, 2] = 1.0
    return matrix


def clip_from_level(camera: Camera) -> FloatArray:
    """Return the projection of points in the camera's world, (4, 4)."""
    return np.asarray(
        clip_from_camera(camera.K, camera.width, camera.height) @ np.linalg.inv(camera.pose)
    )


def looking_along(forward: FloatArray, eye: FloatArray) -> FloatArray:
    """Return the rigid view, (4, 4), of an eye that looks along a direction; -z is forward."""
    forward = forward / np.linalg.norm(forward)
    up = np.array([0.0, 1.0, 0.0]) if abs(forward[1]) < 0.99 else np.array([1.0, 0.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    view = np.eye(4)
    view[:3, :3] = np.stack([right, np.cross(right, forward), -forward])
    view[:3, 3] = -view[:3, :3] @ eye
    return view


def orthographic(half: float, near: float, far: float) -> FloatArray:
    """Return a parallel projection of a square of side 2 `half`, (4, 4)."""
    matrix = np.diag([1 / half, 1 / half, -2 / (far - near), 1.0])
    matrix[2, 3] = -(far + near) / (far - near)
    return matrix
