"""From peaks to boxes: the one place that knows what the pose heads mean.

`encode_pose` and `decode_pose` are exact inverses; training targets are made by the former, the
runtime runs the latter, and the losses run its torch twin in `p2o_train.geometry`.
"""

from dataclasses import dataclass

import numpy as np

from points2objects.camera import Camera
from points2objects.decode import Peaks
from points2objects.geometry import (
    Box9DoF,
    FloatArray,
    project_to_so3,
    rotation_about_y,
)
from points2objects.spec import ModelSpec, PoseEncoding, RotationEncoding

CAMERA_LEVEL: FloatArray = np.array([0.0, 1.0, 0.0])
"""Where the camera stands in the level frame."""

LOG_LIMIT = 6.0
"""Raw logs are clipped to this: e^6 = 400 camera heights is past anything worth placing."""

BIN_CENTERS: FloatArray = np.array([-np.pi / 2, np.pi / 2])
"""Middles of the two bins of `RotationEncoding.BINS`, radians."""

BIN_REACH = 2 * np.pi / 3
"""A bin holds the angles so near to its middle: the two overlap by 60 degrees on either side."""


@dataclass(frozen=True, eq=False)
class RawPose:
    """What the pose heads hold for n objects.

    Attributes:
        rotation: (n, 9); (n, 8) if the spec says bins.
        translation: (n, 3).
        scale: (n, 3).
    """

    rotation: FloatArray
    translation: FloatArray
    scale: FloatArray


def cell_centers(row: FloatArray, column: FloatArray, stride: int) -> FloatArray:
    """Return the pixel at the middle of each map cell, (n, 2)."""
    return np.stack([(column + 0.5) * stride, (row + 0.5) * stride], axis=-1)


def ray_azimuth(rays_level: FloatArray) -> FloatArray:
    """Return the turn about +y, radians, (n,), that carries -z to each ray laid flat, (n, 3)."""
    return np.asarray(np.arctan2(-rays_level[..., 0], -rays_level[..., 2]))


def encode_pose(
    boxes_level: Box9DoF, cells: FloatArray, camera: Camera, spec: ModelSpec
) -> RawPose:
    """Write boxes as the pose heads should hold them.

    Args:
        boxes_level: n boxes in the level frame (unit: camera height).
        cells: Row and column of each object's map cell, (n, 2).
        camera: Canonical camera, with its pose (only pitch and roll matter).
        spec: The model's contract.
    """
    rotation, scale = boxes_level.rotation, boxes_level.scale
    if spec.pose is PoseEncoding.DIRECT:
        translation = boxes_level.translation
    else:
        from_camera = boxes_level.translation - CAMERA_LEVEL
        distance = np.linalg.norm(from_camera, axis=-1, keepdims=True)
        points_camera = from_camera @ camera.level_rotation()
        pixels = points_camera @ camera.K.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        offset = (pixels - cell_centers(cells[:, 0], cells[:, 1], spec.stride)) / spec.stride
        translation = np.concatenate([offset, np.log(distance)], axis=-1)
        rotation = rotation_about_y(-ray_azimuth(from_camera)) @ rotation
        scale = np.log(scale / distance)
    return RawPose(encode_rotation(rotation, spec.rotation), translation, scale)


def decode_pose(raw: RawPose, cells: FloatArray, camera: Camera, spec: ModelSpec) -> Box9DoF:
    """Read boxes in the level frame out of the pose heads; inverse of `encode_pose`."""
    rotation = decode_rotation(np.asarray(raw.rotation, float), spec.rotation)
    translation = np.asarray(raw.translation, float)
    scale = np.asarray(raw.scale, float)
    if spec.pose is PoseEncoding.DIRECT:
        return Box9DoF(rotation, translation, np.maximum(scale, 1e-3))
    centers = cell_centers(cells[:, 0], cells[:, 1], spec.stride)
    rays_camera = camera.rays_camera(centers + translation[:, :2] * spec.stride)
    rays_level = rays_camera @ camera.level_rotation().T
    distance = np.exp(np.clip(translation[:, 2:], -LOG_LIMIT, LOG_LIMIT))
    return Box9DoF(
        rotation_about_y(ray_azimuth(rays_level)) @ rotation,
        CAMERA_LEVEL + distance * rays_level,
        distance * np.exp(np.clip(scale, -LOG_LIMIT, LOG_LIMIT)),
    )


def encode_rotation(rotation: FloatArray, encoding: RotationEncoding) -> FloatArray:
    """Write rotations, (n, 3, 3), as the rotation head should hold them, (n, channels).

    MATRIX holds the difference to the identity, so that an untrained head is a proper rotation
    and not a degenerate matrix (eq. 6). BINS holds for each bin two scores, not in it and in it,
    then the sine and the cosine less one of the angle from its middle; a tilt is lost.
    """
    if encoding is RotationEncoding.MATRIX:
        return np.asarray((rotation - np.eye(3)).reshape(-1, 9))
    offset = turn_about_y(rotation)[:, None] - BIN_CENTERS
    inside = np.where(np.cos(offset) >= np.cos(BIN_REACH), 1.0, -1.0)
    bins = np.stack([-inside, inside, np.sin(offset), np.cos(offset) - 1], axis=-1)
    return bins.reshape(-1, 8)


def decode_rotation(raw: FloatArray, encoding: RotationEncoding) -> FloatArray:
    """Read rotations, (n, 3, 3), out of the rotation head, (n, channels)."""
    if encoding is RotationEncoding.MATRIX:
        return project_to_so3(raw.reshape(-1, 3, 3) + np.eye(3))
    bins = raw.reshape(-1, 2, 4)
    best = (bins[:, :, 1] - bins[:, :, 0]).argmax(axis=1)
    _, _, sin, cos_less_one = bins[np.arange(len(bins)), best].T
    return rotation_about_y(np.arctan2(sin, cos_less_one + 1) + BIN_CENTERS[best])


def turn_about_y(rotation: FloatArray) -> FloatArray:
    """Return the angle, (n,), radians, of the turn about +y that is nearest to each rotation."""
    sine, cosine = rotation[:, 0, 2] - rotation[:, 2, 0], rotation[:, 0, 0] + rotation[:, 2, 2]
    return np.asarray(np.arctan2(sine, cosine))


def peak_pixels(peaks: Peaks, spec: ModelSpec) -> FloatArray:
    """Return where each object's centre is seen in the canonical view, (n, 2), px.

    RAY refines the cell's middle by its offset; DIRECT has nothing finer than the cell.
    """
    centers = cell_centers(peaks.row.astype(float), peaks.column.astype(float), spec.stride)
    if spec.pose is PoseEncoding.DIRECT:
        return centers
    return np.asarray(centers + peaks.translation[:, :2] * spec.stride)


def estimate_up(peaks: Peaks) -> FloatArray:
    """Return the up direction in the canonical camera that the peaks agree on, (3,).

    The gravity head holds the difference to (0, -1, 0); peaks vote with their scores. Without a
    peak the camera counts as level.
    """
    votes = peaks.gravity + np.array([0.0, -1.0, 0.0])
    up = (votes * peaks.score[:, None]).sum(axis=0) if len(peaks) else np.array([0.0, -1.0, 0.0])
    norm = float(np.linalg.norm(up))
    return up / norm if norm > 1e-6 else np.array([0.0, -1.0, 0.0])


def place_level(peaks: Peaks, camera: Camera, spec: ModelSpec) -> Box9DoF:
    """Return the peaks' boxes in the level frame of a canonical camera with a pose.

    They are as the network saw them, each by itself; `points2objects.settle` sets them down.
    """
    cells = np.stack([peaks.row, peaks.column], axis=-1).astype(float)
    return decode_pose(RawPose(peaks.rotation, peaks.translation, peaks.scale), cells, camera, spec)
