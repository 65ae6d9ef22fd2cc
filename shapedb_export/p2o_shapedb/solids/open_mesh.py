"""Decide what the inside of an open mesh is."""

from typing import Any

import numpy as np

from p2o_shapedb.fixed_order import dots
from p2o_shapedb.solids.orientation import weld
from p2o_shapedb.solids.solid_columns import BoolArray
from p2o_shapedb.solids.surface_cells import touched_cells
from p2o_shapedb.solids.winding_number import CappedMesh
from points2objects.geometry import FloatArray, IntArray

DECISIVE = 16
"""Cells per side on which it is told whether the winding number is decisive."""

_FLAT = 0.6
"""Length of a piece's summed area vectors per area above which it is a sheet: half a ball has 0.5,
a plane 1."""


def inside_by_winding_number(vertices: FloatArray, faces: IntArray, size: int) -> BoolArray:
    """Tell which cell centres an open mesh surrounds, (size, size, size).

    Triangles are turned the same way within each connected piece first, and pieces outwards;
    cloth that has both its sides is left out.
    """
    return _winding(vertices, faces, size) > 0.5


def inside_by_flood(vertices: FloatArray, faces: IntArray, size: int) -> BoolArray:
    """Tell which cell centres a flood from outside does not reach, (size, size, size).

    In the cells that the sheet touches, where the flood cannot tell, the winding number decides.
    """
    from scipy import ndimage

    # An odd multiple of a coarse grid has its cell centres among its own.
    factor = 1 if size >= 96 else 3
    sheet = touched_cells(vertices, faces, factor * size)
    labels: Any = ndimage.label(~np.pad(sheet, 1))[0]  # type: ignore[index,unused-ignore]
    enclosed = (labels != labels[0, 0, 0])[1:-1, 1:-1, 1:-1] & ~sheet
    middle = slice(factor // 2, None, factor)
    inside = enclosed[middle, middle, middle].copy()
    on_sheet = sheet[middle, middle, middle]
    if on_sheet.any():
        inside[on_sheet] = _winding(vertices, faces, size)[on_sheet] > 0.5
    return np.asarray(inside, bool)


def decisive(vertices: FloatArray, faces: IntArray) -> bool:
    """Tell whether the winding number says clearly what is inside: the holes are small.

    In an open bowl it takes every value between 0 and 1; in a mug with a crack in its wall only
    near the crack.
    """
    winding = _winding(vertices, faces, DECISIVE)
    inside = int((winding > 0.5).sum())
    unclear = int(((winding > 0.2) & (winding < 0.8)).sum())
    return inside > 0 and unclear <= 0.02 * inside


def _winding(vertices: FloatArray, faces: IntArray, size: int) -> FloatArray:
    vertices = np.asarray(vertices, float)
    return np.abs(CappedMesh.of(vertices, _oriented(vertices, faces)).winding(size))


def _oriented(vertices: FloatArray, faces: IntArray) -> IntArray:
    import igl

    welded = weld(vertices, faces)
    keep = (
        (welded[:, 0] != welded[:, 1])
        & (welded[:, 1] != welded[:, 2])
        & (welded[:, 2] != welded[:, 0])
    )
    single, two_sided = _once(welded[keep])
    turned, piece = igl.bfs_orient(np.ascontiguousarray(single))
    turned, piece = np.asarray(turned, np.int64), np.asarray(piece).ravel()
    cloth = _cloth(vertices, turned, piece, two_sided)
    turned, piece = turned[~cloth], piece[~cloth]
    a, b, c = (vertices[turned[:, i]] for i in range(3))
    count = np.maximum(np.bincount(piece), 1)
    center = np.stack([np.bincount(piece, weights=(a + b + c)[:, i]) for i in range(3)], axis=1)
    shift = (center / (3 * count[:, None]))[piece]
    volume = np.bincount(piece, weights=dots(a - shift, np.cross(b - shift, c - shift)))
    return np.where((volume < 0)[piece][:, None], turned[:, ::-1], turned)


def _once(welded: IntArray) -> tuple[IntArray, BoolArray]:
    """Keep each face once; also tell which of them are there in both directions.

    A sheet that has its faces several times would weigh more than its openings.
    """
    _, first, group = np.unique(
        np.sort(welded, axis=1), axis=0, return_index=True, return_inverse=True
    )
    i, j, k = welded.T
    up, group = (i - j) * (j - k) * (k - i) > 0, group.ravel()
    both = (np.bincount(group, weights=up) > 0) & (np.bincount(group, weights=~up) > 0)
    order = np.argsort(first)
    return welded[first[order]], np.asarray(both[order])


def _cloth(
    vertices: FloatArray, faces: IntArray, piece: IntArray, two_sided: BoolArray
) -> BoolArray:
    """Mark the faces of pieces that are nearly flat and have two sides: they surround nothing."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1)
    total = np.bincount(piece, weights=area)
    sums = np.stack([np.bincount(piece, weights=normal[:, i]) for i in range(3)], axis=1)
    flat = np.linalg.norm(sums, axis=1) > _FLAT * total
    double = np.bincount(piece, weights=area * two_sided) > 0.5 * total
    return np.asarray((flat & double)[piece])
