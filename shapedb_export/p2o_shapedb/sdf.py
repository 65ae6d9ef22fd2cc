"""Signed distance grids of CAD meshes, closed or not.

Closed meshes, overlapping parts included, get their sign by counting signed crossings along the
grid's columns, once per axis, with a majority vote; the distance itself is exact. A mesh whose
axes disagree is open, and a policy per class says what its inside is.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from p2o_shapedb.database import SDF_SIZE
from points2objects.geometry import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

CHECK_SIZE = 64
"""Cells per side on which the three axes are compared."""

FLOOD_SIZE = 64
"""Cells per side of the flood fill that tells what an open sheet encloses."""


class OpenPolicy(str, Enum):
    """What the inside of an open mesh is.

    SHELL: what a flood from outside cannot reach. Keeps the cavity of a mug.
    FILL: where the winding number exceeds one half. Keeps furniture solid whose floor is missing.
    """

    SHELL = "shell"
    FILL = "fill"


OPEN_POLICY = {
    "bowl": OpenPolicy.SHELL,
    "mug": OpenPolicy.SHELL,
}
"""Policy per class; FILL for all others."""


@dataclass(frozen=True)
class SignedDistance:
    """A signed distance grid and how it came about.

    Attributes:
        grid: (d, d, d) float32 at the cell centres of the canonical cube, [x, y, z], negative
            inside; unit: side of the cube.
        method: "winding" for a closed mesh, "fill" or "shell" for an open one.
        disagreement: Share of cells where the three axes do not agree, 0..1.
    """

    grid: FloatArray
    method: str
    disagreement: float


def signed_distance(
    vertices: FloatArray, faces: IntArray, policy: OpenPolicy, size: int = SDF_SIZE
) -> SignedDistance:
    """Sample the signed distance of a mesh in the canonical cube.

    Args:
        vertices: (v, 3), within [-0.5, 0.5].
        faces: (f, 3).
        policy: What to do if the mesh is open.
        size: Cells per side.
    """
    vertices, faces = np.asarray(vertices, float), np.asarray(faces, np.int64)
    disagreement, leaks = _closedness(vertices, faces)
    if disagreement == 0.0 and not leaks:
        return _with_sign(vertices, faces, inside_by_columns(vertices, faces, size), "winding", 0.0)
    occupied = inside_by_columns(vertices, faces, CHECK_SIZE)
    tolerable = 2e-3 * max(float(occupied.mean()), 0.05)
    if not leaks and disagreement <= tolerable and occupied.any():
        inside = inside_by_columns(vertices, faces, size)
        return _with_sign(vertices, faces, inside, "winding", disagreement)
    if policy is OpenPolicy.FILL:
        inside = inside_by_winding_number(vertices, faces, size)
        if inside.mean() > 1e-3:
            return _with_sign(vertices, faces, inside, "fill", disagreement)
    inside = inside_by_flood(vertices, faces, size)
    return _with_sign(vertices, faces, inside, "shell", disagreement)


def cell_centers(size: int) -> FloatArray:
    """Return the cell centres of the canonical cube, (size, size, size, 3)."""
    ticks = (np.arange(size) + 0.5) / size - 0.5
    return np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1)


def inside_by_columns(vertices: FloatArray, faces: IntArray, size: int) -> BoolArray:
    """Tell which cell centres lie inside, (size, size, size), by a vote of the three axes."""
    votes = sum((column_winding(vertices, faces, size, axis) != 0).astype(int) for axis in range(3))
    return np.asarray(votes) >= 2


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
        (size, size, size), indexed [x, y, z].
    """
    order = ((1, 2, 0), (2, 0, 1), (0, 1, 2))[axis]
    # In units of cells, centres at whole numbers; the nudge keeps vertices off the columns.
    cells = (vertices[:, order] + 0.5) * size - 0.5 + np.array([1.2345e-6, 2.3456e-6, 0.0])
    a, b, c = (cells[faces[:, i]] for i in range(3))
    doubled = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    steep = np.abs(doubled) > 1e-12  # triangles along the columns cross none
    a, b, c, doubled = a[steep], b[steep], c[steep], doubled[steep]

    low = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c)[:, :2]).astype(int), 0)
    high = np.minimum(np.floor(np.maximum(np.maximum(a, b), c)[:, :2]).astype(int), size - 1)
    span = np.maximum(high - low + 1, 0)
    count = span[:, 0] * span[:, 1]
    triangle = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count)
    u = low[triangle, 0] + within % np.maximum(span[triangle, 0], 1)
    v = low[triangle, 1] + within // np.maximum(span[triangle, 0], 1)

    a, b, c, doubled = a[triangle], b[triangle], c[triangle], doubled[triangle]
    at_a = ((b[:, 0] - u) * (c[:, 1] - v) - (c[:, 0] - u) * (b[:, 1] - v)) / doubled
    at_b = ((c[:, 0] - u) * (a[:, 1] - v) - (a[:, 0] - u) * (c[:, 1] - v)) / doubled
    at_c = 1.0 - at_a - at_b
    hit = (at_a >= 0) & (at_b >= 0) & (at_c >= 0)
    height = (at_a * a[:, 2] + at_b * b[:, 2] + at_c * c[:, 2])[hit]
    first_above = np.clip(np.ceil(height).astype(int), 0, size)
    steps = np.zeros((size, size, size + 1), np.int32)
    # A face that looks up the column ends the inside, one that looks down begins it.
    np.add.at(steps, (u[hit], v[hit], first_above), -np.sign(doubled[hit]).astype(np.int32))
    winding = np.cumsum(steps[:, :, :size], axis=2)
    return np.moveaxis(winding, (0, 1, 2), order)


def inside_by_winding_number(vertices: FloatArray, faces: IntArray, size: int) -> BoolArray:
    """Tell which cell centres an open mesh surrounds, (size, size, size).

    Triangles are turned the same way within each connected piece first, and pieces outwards.
    """
    import igl

    oriented = _oriented(vertices, faces)
    points = cell_centers(size).reshape(-1, 3)
    winding = igl.fast_winding_number(vertices, oriented, points)
    inside = np.abs(np.asarray(winding)).reshape(size, size, size) > 0.5
    return np.asarray(inside, bool)


def inside_by_flood(vertices: FloatArray, faces: IntArray, size: int) -> BoolArray:
    """Tell which cell centres a flood from outside does not reach, (size, size, size).

    Close to the sheet, where the flood's coarse cells cannot tell, the winding number decides.
    """
    from scipy import ndimage

    sheet = touched_cells(vertices, faces, FLOOD_SIZE)
    labels: Any = ndimage.label(~np.pad(sheet, 1))[0]  # type: ignore[index,unused-ignore]
    enclosed = (labels != labels[0, 0, 0])[1:-1, 1:-1, 1:-1]
    nearest = ((np.arange(size) + 0.5) * FLOOD_SIZE / size).astype(int)
    cells = np.ix_(nearest, nearest, nearest)
    near_sheet = ndimage.binary_dilation(sheet)[cells]
    return np.where(
        near_sheet, inside_by_winding_number(vertices, faces, size), enclosed[cells]
    ).astype(bool)


def _with_sign(
    vertices: FloatArray, faces: IntArray, inside: BoolArray, method: str, disagreement: float
) -> SignedDistance:
    import igl

    points = cell_centers(inside.shape[0]).reshape(-1, 3)
    squared: Any = igl.point_mesh_squared_distance(points, vertices, faces)[0]
    distance = np.sqrt(np.maximum(squared, 0.0)).reshape(inside.shape)
    return SignedDistance(
        np.where(inside, -distance, distance).astype(np.float32), method, disagreement
    )


def _closedness(vertices: FloatArray, faces: IntArray) -> tuple[float, bool]:
    """Return the share of cells where the axes disagree, and whether a column never closes."""
    windings = [column_winding(vertices, faces, CHECK_SIZE, axis) for axis in range(3)]
    votes = np.sum([winding != 0 for winding in windings], axis=0)
    disagreement = float(np.mean((votes == 1) | (votes == 2)))
    open_ends = [float(np.mean(w.take(-1, axis) != 0)) for axis, w in enumerate(windings)]
    # The last cell centre can lie inside a closed mesh that fills the cube; compare there too.
    leaks = any(
        abs(end - float(np.mean(w.take(-1, axis) * 0 + (votes.take(-1, axis) >= 2)))) > 5e-3
        for axis, (w, end) in enumerate(zip(windings, open_ends, strict=True))
    )
    return disagreement, leaks


def _oriented(vertices: FloatArray, faces: IntArray) -> IntArray:
    import igl

    _, first, inverse = np.unique(
        np.round(vertices, 6), axis=0, return_index=True, return_inverse=True
    )
    welded = first[inverse.ravel()][faces]
    keep = (
        (welded[:, 0] != welded[:, 1])
        & (welded[:, 1] != welded[:, 2])
        & (welded[:, 2] != welded[:, 0])
    )
    turned, piece = igl.bfs_orient(np.ascontiguousarray(welded[keep]))
    turned, piece = np.asarray(turned, np.int64), np.asarray(piece).ravel()
    a, b, c = (vertices[turned[:, i]] for i in range(3))
    center = np.stack([np.bincount(piece, weights=(a + b + c)[:, i]) for i in range(3)], axis=1) / (
        3 * np.bincount(piece)[:, None]
    )
    shift = center[piece]
    volume = np.bincount(
        piece, weights=np.einsum("ij,ij->i", a - shift, np.cross(b - shift, c - shift))
    )
    return np.where((volume < 0)[piece][:, None], turned[:, ::-1], turned)


def touched_cells(vertices: FloatArray, faces: IntArray, size: int) -> BoolArray:
    """Mark the cells that any triangle touches, by sampling it at under half a cell's spacing."""
    corners = np.asarray(vertices, float)[faces]
    edge = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    splits = np.maximum(np.ceil(edge * size / 0.45).astype(int), 1)
    touched = np.zeros((size, size, size), bool)
    for split in np.unique(splits):
        i, j = (g.ravel() for g in np.meshgrid(*[np.arange(split + 1)] * 2, indexing="ij"))
        keep = i + j <= split
        weights = np.stack([i[keep], j[keep], split - i[keep] - j[keep]], axis=-1) / split
        for some in np.array_split(corners[splits == split], 1 + (splits == split).sum() // 2000):
            points = (weights @ some).reshape(-1, 3)
            cells = np.clip(((points + 0.5) * size).astype(int), 0, size - 1)
            touched[cells[:, 0], cells[:, 1], cells[:, 2]] = True
    return touched
