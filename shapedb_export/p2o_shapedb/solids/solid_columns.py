"""Find the inside of a closed mesh by counting signed crossings along the columns of a grid.

Exact for closed meshes, parts that overlap and intersect included, and many times faster than
winding numbers.
"""

import numpy as np
import numpy.typing as npt

from points2objects.geometry import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

_AXES = ((1, 2, 0), (2, 0, 1), (0, 1, 2))
_ROWS_AT_ONCE = 1_000_000
"""Rows in memory, as pairs of triangle and column; large triangles have thousands each."""


def cell_centers(size: int) -> FloatArray:
    """Return the cell centres of the canonical cube, (size, size, size, 3)."""
    ticks = (np.arange(size) + 0.5) / size - 0.5
    return np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1)


def inside_by_columns(vertices: FloatArray, faces: IntArray, size: int) -> BoolArray:
    """Tell which cell centres lie inside, (size, size, size), by a vote of the three axes."""
    return axis_votes([column_winding(vertices, faces, size, axis) for axis in range(3)]) >= 2


def axis_votes(windings: list[IntArray]) -> npt.NDArray[np.uint8]:
    """Count the axes along which a cell centre is inside, 0..3, (size, size, size)."""
    votes = np.zeros(windings[0].shape, np.uint8)
    for winding in windings:
        votes += winding != 0
    return votes


def column_winding(vertices: FloatArray, faces: IntArray, size: int, axis: int) -> IntArray:
    """Count signed surface crossings along the columns of one axis up to each cell centre.

    For a closed mesh this is the winding number at the centre: 0 outside, 1 inside, 2 where two
    parts overlap.

    Args:
        vertices: (v, 3), within [-0.5, 0.5].
        faces: (f, 3), counter-clockwise from outside.
        size: Cells per side.
        axis: Direction of the columns: 0, 1 or 2.

    Returns:
        (size, size, size) int32, indexed [x, y, z].
    """
    order = _AXES[axis]
    # In units of cells, centres at whole numbers; the nudge keeps vertices off the columns.
    cells = (vertices[:, order] + 0.5) * size - 0.5 + np.array([1.2345e-6, 2.3456e-6, 0.0])
    corners = cells[faces]
    a, b, c = corners[:, 0, :2], corners[:, 1, :2], corners[:, 2, :2]
    low = np.ceil(np.minimum(np.minimum(a, b), c)).astype(np.int64)
    high = np.floor(np.maximum(np.maximum(a, b), c)).astype(np.int64)
    low, high = np.maximum(low, 0), np.minimum(high, size - 1)
    span = np.maximum(high - low + 1, 0)
    count = span[:, 0] * span[:, 1]
    steps = np.zeros(size * size * (size + 1), np.int32)
    for some in runs(count):
        where, sign = _crossings(corners[some], low[some], span[some], count[some], size)
        # A face that looks up the column ends the inside, one that looks down begins it.
        np.subtract.at(steps, where, sign)
    layers = steps.reshape(size, size, size + 1)
    winding = np.zeros((size, size, size), np.int32)
    np.cumsum(layers[:, :, :size], axis=2, out=winding)
    return np.moveaxis(winding, (0, 1, 2), order)


def runs(count: IntArray) -> list[IntArray]:
    """Split triangles into runs that need a bounded number of rows together.

    Args:
        count: Rows that each triangle needs, (f,); those that need none are left out.
    """
    reaching = np.flatnonzero(count)
    if not len(reaching):
        return []
    run = (np.cumsum(count[reaching]) - count[reaching]) // _ROWS_AT_ONCE
    return np.split(reaching, np.flatnonzero(np.diff(run)) + 1)


def _crossings(
    corners: FloatArray, low: IntArray, span: IntArray, count: IntArray, size: int
) -> tuple[IntArray, IntArray]:
    """Return the flat index of the first centre above each crossing, and which way it looks."""
    triangle = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count)
    u = low[triangle, 0] + within % span[triangle, 0]
    v = low[triangle, 1] + within // span[triangle, 0]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    doubled = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    # Triangles along the columns cross none: their reciprocal becomes NaN, and no test holds.
    inverse = 1.0 / np.where(np.abs(doubled) > 1e-12, doubled, np.nan)
    # Barycentric coordinates are linear in (u, v): the weights are made once per triangle.
    along_b = np.stack([c[:, 1] - a[:, 1], a[:, 0] - c[:, 0]], axis=1) * inverse[:, None]
    along_c = np.stack([a[:, 1] - b[:, 1], b[:, 0] - a[:, 0]], axis=1) * inverse[:, None]
    du, dv = u - a[triangle, 0], v - a[triangle, 1]
    at_b = along_b[triangle, 0] * du + along_b[triangle, 1] * dv
    at_c = along_c[triangle, 0] * du + along_c[triangle, 1] * dv
    hit = (at_b >= 0) & (at_c >= 0) & (at_b + at_c <= 1)
    triangle, u, v, at_b, at_c = triangle[hit], u[hit], v[hit], at_b[hit], at_c[hit]
    base = a[triangle, 2]
    height = base + at_b * (b[triangle, 2] - base) + at_c * (c[triangle, 2] - base)
    above = np.clip(np.ceil(height).astype(np.int64), 0, size)
    return (u * size + v) * (size + 1) + above, np.sign(doubled).astype(np.int32)[triangle]
