"""Decide what the inside of an open mesh is."""

from typing import Any

import numpy as np

from p2o_shapedb.orientation import weld
from p2o_shapedb.solid_columns import BoolArray, cell_centers
from points2objects.geometry import FloatArray, IntArray

COARSE = 32
"""Cells per side on which the winding number is computed first."""

DECISIVE = 16
"""Cells per side that tell whether it is decisive."""


def inside_by_winding_number(vertices: FloatArray, faces: IntArray, size: int) -> BoolArray:
    """Tell which cell centres an open mesh surrounds, (size, size, size).

    Triangles are turned the same way within each connected piece first, and pieces outwards.
    """
    oriented = _oriented(vertices, faces)
    if size < 2 * COARSE or size % COARSE:
        winding = _winding(vertices, oriented, cell_centers(size).reshape(-1, 3))
        return np.asarray(winding.reshape(size, size, size) > 0.5)
    # Away from the sheet the winding number hardly changes, so one value does for a block.
    coarse = _winding(vertices, oriented, cell_centers(COARSE).reshape(-1, 3))
    coarse = coarse.reshape(COARSE, COARSE, COARSE)
    unclear = _widened(touched_cells(vertices, faces, COARSE)) | (np.abs(coarse - 0.5) < 0.2)
    inside = _enlarged(coarse > 0.5, size)
    fine = _enlarged(unclear, size)
    inside[fine] = _winding(vertices, oriented, cell_centers(size)[fine]) > 0.5
    return inside


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
    points = cell_centers(size)[on_sheet]
    if len(points):
        inside[on_sheet] = _winding(vertices, _oriented(vertices, faces), points) > 0.5
    return np.asarray(inside, bool)


def decisive(vertices: FloatArray, faces: IntArray) -> bool:
    """Tell whether the winding number says clearly what is inside: the holes are small.

    In an open bowl it takes every value between 0 and 1; in a mug with a crack in its wall only
    near the crack.
    """
    winding = _winding(vertices, _oriented(vertices, faces), cell_centers(DECISIVE).reshape(-1, 3))
    inside = int((winding > 0.5).sum())
    unclear = int(((winding > 0.2) & (winding < 0.8)).sum())
    return inside > 0 and unclear <= 0.02 * inside


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
        same = corners[splits == split]
        for some in np.array_split(same, 1 + len(same) * len(weights) // 1_000_000):
            points = (weights @ some).reshape(-1, 3)
            cells = np.clip(((points + 0.5) * size).astype(int), 0, size - 1)
            touched[cells[:, 0], cells[:, 1], cells[:, 2]] = True
    return touched


def _winding(vertices: FloatArray, oriented: IntArray, points: FloatArray) -> FloatArray:
    import igl

    winding = igl.fast_winding_number(vertices, oriented, np.ascontiguousarray(points))
    return np.asarray(np.abs(np.asarray(winding)).ravel())


def _widened(mask: BoolArray) -> BoolArray:
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask, np.ones((3, 3, 3), bool)))


def _enlarged(mask: BoolArray, size: int) -> BoolArray:
    times = size // len(mask)
    return mask.repeat(times, axis=0).repeat(times, axis=1).repeat(times, axis=2)


def _oriented(vertices: FloatArray, faces: IntArray) -> IntArray:
    import igl

    welded = weld(vertices, faces)
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
