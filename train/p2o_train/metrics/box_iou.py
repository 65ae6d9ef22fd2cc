"""Exact intersection over union of oriented 9-DoF boxes, many pairs at a time.

The volume of the intersection is the flux of `x / 3` through its surface (divergence theorem).
That surface is the part of each box's faces that lies inside the other box, so twelve polygons
are clipped per pair and no hull is needed.
"""

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError
from points2objects.geometry import CORNER_SIGNS, Box9DoF, FloatArray, IntArray, rotation_about_y

CONTINUOUS_STEPS = 24
"""Yaw steps of 360 degrees that stand for a continuous symmetry."""

FACES: IntArray = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)
"""Corner indices of the faces -x +x -y +y -z +z, (6, 4), counter-clockwise seen from outside."""

# Faces of the two boxes that lie in one plane (equal boxes, a common floor) would be counted
# twice or not at all, as rounding decides. Growing the first box by this share unties them; a tie
# at exactly this distance does not occur in data.
_UNTIE = 1e-8
_CHUNK = 8192


def pair_iou(first: Box9DoF, second: Box9DoF) -> FloatArray:
    """Return the IoU of the i-th first with the i-th second box, (n,), 0..1, to about 1e-7."""
    if first.translation.shape != second.translation.shape or first.translation.ndim != 2:
        raise InputError(
            "pair_iou: expected two lists of n boxes each, got "
            f"{first.translation.shape} and {second.translation.shape}"
        )
    overlap = intersection_volume(first, second)
    union = first.scale.prod(axis=-1) + second.scale.prod(axis=-1) - overlap
    return np.asarray(np.clip(overlap / union, 0.0, 1.0))


def symmetric_iou(truth: Box9DoF, predicted: Box9DoF, symmetry: IntArray) -> FloatArray:
    """Return the IoU of each true with each predicted box, the best over the true one's symmetry.

    A shape of order s looks the same after 1/s of a turn about its own y axis, so no image tells
    those poses apart. The box is turned rigidly; one of order 4 has x and z sides that are equal
    up to measurement. A solid of revolution is tried in 15 degree steps, starting from the turn
    that aligns it with the prediction.

    Args:
        truth: n boxes.
        predicted: m boxes in the same frame.
        symmetry: Order of each true shape, (n,): 1, 2, 4, or 0 for continuous.

    Returns:
        (n, m), 0..1.
    """
    n, m = len(truth), len(predicted)
    rows, columns = np.divmod(np.arange(n * m), max(m, 1))
    best = np.zeros(n * m)
    for order in np.unique(symmetry):
        pairs = np.flatnonzero(symmetry[rows] == order)
        mine, theirs = truth[rows[pairs]], predicted[columns[pairs]]
        start = aligning_turn(mine.rotation, theirs.rotation) if order == 0 else np.zeros(1)
        for turn in _distinct_turns(int(order)):
            iou = pair_iou(turned_about_own_y(mine, start + turn), theirs)
            best[pairs] = np.maximum(best[pairs], iou)
    return best.reshape(n, m)


def turned_about_own_y(boxes: Box9DoF, angle: FloatArray | float) -> Box9DoF:
    """Turn boxes rigidly about their own y axes, by one angle or one each, radians."""
    return Box9DoF(boxes.rotation @ rotation_about_y(angle), boxes.translation, boxes.scale)


def aligning_turn(rotation: FloatArray, target: FloatArray) -> FloatArray:
    """Return the turn about its own y, (n,), that takes each rotation nearest to its target.

    Maximises the trace of `(rotation R_y)^T target`, hence minimises the geodesic angle.
    """
    relative = np.swapaxes(rotation, -1, -2) @ target
    sine = relative[..., 0, 2] - relative[..., 2, 0]
    cosine = relative[..., 0, 0] + relative[..., 2, 2]
    return np.asarray(np.arctan2(sine, cosine))


def symmetry_turns(order: int) -> FloatArray:
    """Return the yaw angles, radians, that leave a shape of that order unchanged; 0 among them.

    Raises:
        InputError: The order is negative.
    """
    if order < 0:
        raise InputError(f"symmetry: expected an order of 1, 2, 4, or 0 (continuous), got {order}")
    steps = order or CONTINUOUS_STEPS
    return np.asarray(np.arange(steps) * (2 * np.pi / steps))


def _distinct_turns(order: int) -> FloatArray:
    """Keep one of each two turns half a circle apart: a box is its own image under that one."""
    turns = symmetry_turns(order)
    return turns[: len(turns) // 2] if len(turns) % 2 == 0 else turns


def intersection_volume(first: Box9DoF, second: Box9DoF) -> FloatArray:
    """Return the volume shared by the i-th first and the i-th second box, (n,).

    Exact up to a relative 1e-7, for boxes whose longest side is up to 1e4 times the shortest.
    """
    volume = np.zeros(len(first))
    radii = np.linalg.norm(first.scale, axis=-1) + np.linalg.norm(second.scale, axis=-1)
    gaps = np.linalg.norm(first.translation - second.translation, axis=-1)
    near = np.flatnonzero(gaps < radii / 2)
    for start in range(0, len(near), _CHUNK):
        chunk = near[start : start + _CHUNK]
        volume[chunk] = _clipped_volume(first[chunk], second[chunk])
    return volume


def _clipped_volume(first: Box9DoF, second: Box9DoF) -> FloatArray:
    """Sum the flux through both boxes' clipped faces, in the second box's unit-cube frame."""
    relative = np.swapaxes(second.rotation, -1, -2) @ first.rotation
    offset = np.einsum(
        "nji,nj->ni", second.rotation, first.translation - second.translation
    )  # first's centre, along second's axes
    grown = first.scale * (1 + _UNTIE)
    linear = relative * (grown[:, None, :] / second.scale[:, :, None])
    shift = offset / second.scale
    back = np.swapaxes(relative, -1, -2) * (second.scale[:, None, :] / grown[:, :, None])

    cube = CORNER_SIGNS[FACES]
    first_faces = cube @ np.swapaxes(linear, -1, -2)[:, None] + shift[:, None, None]
    second_faces = (cube - shift[:, None, None]) @ np.swapaxes(back, -1, -2)[:, None]
    inside_second = _clip_to_unit_cube(first_faces.reshape(-1, 4, 3))
    inside_first = _clip_to_unit_cube(second_faces.reshape(-1, 4, 3))

    n, vertices = len(shift), inside_second.shape[1]
    inside_second = inside_second.reshape(n, 6 * vertices, 3)
    inside_first = inside_first.reshape(n, 6 * vertices, 3)
    inside_first = inside_first @ np.swapaxes(linear, -1, -2) + shift[:, None]
    polygons = np.stack([inside_second, inside_first], axis=1).reshape(n, 12, vertices, 3)
    volume = _flux(polygons).sum(axis=1) * second.scale.prod(axis=-1)
    smaller = np.minimum(first.scale.prod(axis=-1), second.scale.prod(axis=-1))
    return np.asarray(np.clip(volume, 0.0, smaller))


def _flux(polygons: FloatArray) -> FloatArray:
    """Return the volume of the cone from the origin over each polygon, (..., v, 3) -> (...)."""
    corner, left, right = polygons[..., :1, :], polygons[..., 1:-1, :], polygons[..., 2:, :]
    return np.asarray((np.cross(left, right) * corner).sum(axis=(-1, -2)) / 6)


def _clip_to_unit_cube(polygons: FloatArray) -> FloatArray:
    """Clip convex polygons, (n, v, 3), by the unit cube about the origin; (n, v + 6, 3).

    Unused vertices repeat a used one; a polygon with nothing left is all zeros.
    """
    for axis in range(3):
        for sign in (-1.0, 1.0):
            polygons = _clip(polygons, 0.5 - sign * polygons[..., axis])
    return polygons


def _clip(polygons: FloatArray, depth: FloatArray) -> FloatArray:
    """Keep the part of convex polygons, (n, v, 3), where depth, (n, v), is not negative.

    Sutherland-Hodgman for all at once: each edge offers its first vertex, if inside, and its
    crossing, if it has one. A plane adds at most one vertex to a convex polygon.
    """
    n, vertices, _ = polygons.shape
    following, depth_following = np.roll(polygons, -1, axis=1), np.roll(depth, -1, axis=1)
    inside = depth >= 0
    crosses = inside != (depth_following >= 0)
    step = np.where(crosses, depth - depth_following, 1.0)
    crossing = polygons + (depth / step)[..., None] * (following - polygons)
    offered = np.stack([polygons, crossing], axis=2).reshape(n, 2 * vertices, 3)
    used = np.stack([inside, crosses], axis=2).reshape(n, 2 * vertices)

    order: npt.NDArray[np.intp] = np.argsort(~used, axis=1, kind="stable")[:, : vertices + 1]
    kept = np.take_along_axis(offered, order[..., None], axis=1)
    is_used = np.take_along_axis(used, order, axis=1)
    filler = np.where(is_used[:, :1, None], kept[:, :1], 0.0)
    return np.where(is_used[..., None], kept, filler)
