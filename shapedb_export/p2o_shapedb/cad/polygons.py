"""Cut faces of any number of corners into triangles, concave ones by ear clipping.

No library of ours does it for many faces at once; each face is cut in the plane that it lies in
for the most part.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError
from points2objects.geometry import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

MOST_CORNER_PAIRS = 20_000_000
"""Ear clipping looks at every pair of corners of a face; this many take some seconds."""
_CHUNK = 1 << 19


@dataclass(frozen=True)
class Polygons:
    """Faces of any number of corners.

    Attributes:
        corners: Vertex of every corner, the faces one after the other, (n,).
        counts: Corners of every face, (f,); their sum is n.
    """

    corners: IntArray
    counts: IntArray


@dataclass(frozen=True)
class Triangulated:
    """Triangles, in the order of the faces that they come from.

    Attributes:
        corners: Positions in `Polygons.corners`, (t, 3).
        faces: Face of every triangle, (t,).
    """

    corners: IntArray
    faces: IntArray


def triangulate(vertices: FloatArray, polygons: Polygons) -> Triangulated:
    """Cut faces into triangles; those of fewer than three corners vanish.

    Args:
        vertices: (v, 3).
        polygons: The faces.

    Raises:
        InputError: Corners that are not vertices, or a concave face of too many corners.
    """
    corners, counts = polygons.corners, polygons.counts
    if len(corners) and not 0 <= corners.min() <= corners.max() < len(vertices):
        raise InputError("has faces that point at missing vertices")
    starts = np.cumsum(counts) - counts
    order = np.argsort(counts, kind="stable")
    sizes, ends = np.unique(counts[order], return_counts=True)
    found: list[IntArray] = [np.zeros((0, 3), np.int64)]
    owners: list[IntArray] = [np.zeros(0, np.int64)]
    budget = MOST_CORNER_PAIRS
    for size, end, many in zip(sizes.tolist(), np.cumsum(ends), ends, strict=True):
        if size < 3:
            continue
        faces = order[end - many : end]
        step = max(_CHUNK // size, 1)
        for chunk in (faces[i : i + step] for i in range(0, len(faces), step)):
            places = starts[chunk, None] + np.arange(size)
            local, concave = _cut(vertices[corners[places]], budget)
            budget -= concave * size * size
            rows = np.arange(len(chunk))[:, None, None]
            found.append(places[rows, local].reshape(-1, 3))
            owners.append(np.repeat(chunk, size - 2))
    faces = np.concatenate(owners)
    by_face = np.argsort(faces, kind="stable")
    return Triangulated(np.concatenate(found)[by_face], faces[by_face])


def _cut(points: FloatArray, budget: int) -> tuple[IntArray, int]:
    """Cut faces of equally many corners; also return how many of them were concave.

    Args:
        points: (m, n, 3).
        budget: Pairs of corners that ear clipping may look at.
    """
    count, size = points.shape[:2]
    steps = np.arange(1, size - 1)
    fan = np.stack([np.zeros_like(steps), steps, steps + 1], axis=-1)
    triangles = np.tile(fan, (count, 1, 1))
    if size == 3:
        return triangles, 0
    with np.errstate(all="ignore"):  # what is not finite is refused later, where it is used
        flat = _flattened(points)
        area = _cross(flat[:, :1], flat[:, 1:-1], flat[:, 2:])
        concave = area.min(axis=1) < -1e-9 * np.abs(area).sum(axis=1)
        rows = np.flatnonzero(concave)
        if len(rows) * size * size > budget:
            raise InputError(
                f"has {len(rows)} concave faces of {size} corners, too many to cut; triangulate it "
                "when exporting"
            )
        if len(rows):
            triangles[rows] = _clip_ears(flat[rows])
    return triangles, len(rows)


def _flattened(points: FloatArray) -> FloatArray:
    """Project faces along the axis nearest to their normal, counter-clockwise, (m, n, 2)."""
    points = points - points[:, :1]
    normal = np.cross(points, np.roll(points, -1, axis=1)).sum(axis=1)  # Newell's
    axis = np.abs(normal).argmax(axis=1)
    seen = np.array([[1, 2], [2, 0], [0, 1]])[axis]
    flat = np.take_along_axis(points, seen[:, None, :], axis=2)
    backwards = np.take_along_axis(normal, axis[:, None], axis=1) < 0
    flat[..., 0] *= np.where(backwards, -1.0, 1.0)
    return np.asarray(flat)


def _cross(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """Return twice the signed area of triangles, positive if counter-clockwise."""
    ab, ac = b - a, c - a
    return np.asarray(ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0])


def _clip_ears(flat: FloatArray) -> IntArray:
    """Cut one ear after the other off all faces at once, the best-shaped first.

    A face that crosses itself has no right answer: where no ear is left, a straight corner goes,
    then one whose ear is not empty.

    Args:
        flat: (m, n, 2), counter-clockwise.

    Returns:
        Triangles as indices of corners, (m, n - 2, 3).
    """
    count, size = flat.shape[:2]
    rows = np.arange(count)
    left = np.tile(np.arange(size), (count, 1))
    quality = np.stack([_ear_quality(flat, np.full(count, i)) for i in range(size)], axis=1)
    triangles = np.zeros((count, size - 2, 3), np.int64)
    for step in range(size - 2):
        ear = quality.argmax(axis=1)
        remaining = size - step
        ring = np.stack([(ear - 1) % remaining, ear, (ear + 1) % remaining], axis=1)
        triangles[:, step] = np.take_along_axis(left, ring, axis=1)
        if remaining == 3:
            break
        keep = np.arange(remaining) != ear[:, None]
        left = left[keep].reshape(count, -1)
        flat = flat[keep].reshape(count, -1, 2)
        quality = quality[keep].reshape(count, -1)
        # Of all other corners only the two beside the cut can have become ears.
        for beside in ((ear - 1) % (remaining - 1), ear % (remaining - 1)):
            quality[rows, beside] = _ear_quality(flat, beside)
    return triangles


def _ear_quality(flat: FloatArray, at: IntArray) -> FloatArray:
    """Return how good it is to cut off one corner of each face, (m,): over 0 if it is an ear."""
    count, size = flat.shape[:2]
    rows = np.arange(count)
    a, b, c = (flat[rows, (at + step) % size][:, None] for step in (-1, 0, 1))
    x, y = flat[..., 0], flat[..., 1]
    inside = np.ones((count, size), bool)
    for start, end in ((a, b), (b, c), (c, a)):
        along = end - start
        side = along[..., 0] * (y - start[..., 1]) - along[..., 1] * (x - start[..., 0])
        # A face with a hole meets itself along a bridge: equal points are no obstacle.
        inside &= (side >= 0) & ((x != end[..., 0]) | (y != end[..., 1]))
    longest = np.maximum(((c - a) ** 2).sum(axis=2), 1e-300)[:, 0]
    turn = np.nan_to_num(_cross(a, b, c)[:, 0] / longest)
    worse = np.select([turn < 0, turn == 0], [-1e18, -1.0], -1e9)
    return np.where((turn > 0) & ~inside.any(axis=1), turn, worse)
