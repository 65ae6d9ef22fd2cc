"""Volumetric IoU of placed shapes, on the signed distances of the shape database.

This is the per-object measure: one true and one predicted shape, each in its box. The paper's table
1 compares whole scenes, see `p2o_train.metrics.scene_voxels`.
"""

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError, check_shape
from points2objects.geometry import Box9DoF, FloatArray, transform_points


def shape_iou(
    truth_sdf: FloatArray, truth: Box9DoF, predicted_sdf: FloatArray, predicted: Box9DoF
) -> float:
    """Return the IoU of two solids, 0..1.

    The cells of the true shape's grid sample the intersection; each solid's own volume comes
    from its own grid, so a prediction that leaves the true box is charged in full.

    Args:
        truth_sdf: Signed distances in the true object's cube, (d, d, d), negative inside.
        truth: Its box; one, not a list.
        predicted_sdf: The same of the predicted exemplar, (e, e, e).
        predicted: Its box in the same frame.
    """
    common = shared_volume(truth_sdf, truth, predicted_sdf, predicted)
    union = solid_volume(truth_sdf, truth) + solid_volume(predicted_sdf, predicted) - common
    return float(np.clip(common / union, 0.0, 1.0)) if union > 0 else 0.0


def solid_volume(sdf: FloatArray, box: Box9DoF) -> float:
    """Return the volume of a shape, (d, d, d), in its box, cubic units of the box's frame."""
    return float((sdf < 0).mean() * box.scale.prod())


def shared_volume(
    first_sdf: FloatArray, first: Box9DoF, second_sdf: FloatArray, second: Box9DoF
) -> float:
    """Return the volume of the first shape's inside cells whose centres lie in the second."""
    points = transform_points(first.matrix(), inside_points(first_sdf))
    local = ((points - second.translation) @ second.rotation) / second.scale
    share = is_inside(second_sdf, local).sum() / first_sdf.size
    return float(share * first.scale.prod())


def inside_points(sdf: FloatArray) -> FloatArray:
    """Return the centres of the cells inside a shape, (p, 3), in the canonical cube."""
    check_shape("sdf", sdf, "d d d")
    return np.asarray((np.argwhere(sdf < 0) + 0.5) / sdf.shape[0] - 0.5)


def is_inside(sdf: FloatArray, points: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell which canonical points, (p, 3), lie in a shape, (d, d, d), by trilinear interpolation.

    Between the outermost cell centres and the cube's sides the outermost value holds; beyond
    the cube nothing is inside.

    Returns:
        (p,) bool.
    """
    size = check_shape("sdf", sdf, "d d d")["d"]
    if size < 2:
        raise InputError(f"sdf: expected at least 2 cells along each axis, got {size}")
    cell = np.clip((points + 0.5) * size - 0.5, 0, size - 1)
    low = np.minimum(cell.astype(np.int64), size - 2)
    part = cell - low
    value = np.zeros(len(points))
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, part, 1 - part).prod(axis=1)
        value += weight * sdf[tuple((low + corner).T)]
    return np.asarray((value < 0) & (np.abs(points) <= 0.5).all(axis=1))
