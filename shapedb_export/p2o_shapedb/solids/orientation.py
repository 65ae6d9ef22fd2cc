"""Turn the faces of CAD the way a solid has them: pieces inside out, sheets with two sides."""

from typing import Any

import numpy as np
import numpy.typing as npt

from p2o_shapedb.fixed_order import dots
from points2objects.geometry import FloatArray, IntArray

_CLOSED = 1e-4
"""A piece is taken for closed if its area vectors add up to less than this share of its area."""
_EMPTY = 1e-7
"""Volume below which a closed piece may be a skin that has each face once per side."""
_PROBES = 24
"""Vertices of a piece that are looked up to tell whether it lies inside another."""


def outward(vertices: FloatArray, faces: IntArray) -> IntArray:
    """Return the faces with closed pieces turned outwards, (g, 3).

    A closed piece that is inside out is turned, unless it lies inside another: then it lines a
    cavity. Of a closed piece that has every face twice, once per side, one copy is kept. Pieces
    that are open stay as they are.

    Args:
        vertices: (v, 3).
        faces: (f, 3).
    """
    welded = weld(vertices, faces)
    piece = pieces(welded, len(vertices))
    volume, closed = _volumes(vertices, faces, piece)
    empty = closed & (np.abs(volume) <= _EMPTY)
    if empty[piece].any():
        kept, turned = _one_side(welded, np.where(empty[piece], piece, -1))
        faces, piece = np.where(turned[:, None], faces[:, ::-1], faces)[kept], piece[kept]
        volume, closed = _volumes(vertices, faces, piece)
    if float(volume[closed].sum()) < 0:
        faces, volume = faces[:, ::-1], -volume
    wrong = closed & (volume < 0)
    if wrong.any():
        solid = faces[(closed & (volume > 0))[piece]]
        wrong[_enclosed(vertices, faces, piece, np.flatnonzero(wrong), solid)] = False
    return np.where(wrong[piece][:, None], faces[:, ::-1], faces)


def weld(vertices: FloatArray, faces: IntArray) -> IntArray:
    """Return the faces with vertices at the same place (to 1e-6) replaced by the first of them.

    Args:
        vertices: (v, 3), within [-0.5, 0.5].
        faces: (f, 3).
    """
    # One whole number per place: sorting those is far quicker than sorting rows.
    x, y, z = np.round((vertices + 0.5) * 1e6).astype(np.int64).T
    _, first, inverse = np.unique((x << 42) + (y << 21) + z, return_index=True, return_inverse=True)
    return np.asarray(first[inverse.ravel()][faces])


def pieces(welded: IntArray, vertex_count: int) -> IntArray:
    """Number the connected pieces of a mesh from 0; return the number of each face, (f,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.concatenate([welded[:, [0, 1]], welded[:, [1, 2]]])
    edges = coo_array((np.ones(len(ends), np.int8), ends.T), (vertex_count, vertex_count))
    labels: Any = connected_components(edges, directed=False)[1]
    return np.asarray(np.unique(labels[welded[:, 0]], return_inverse=True)[1].ravel())


def _volumes(
    vertices: FloatArray, faces: IntArray, piece: IntArray
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the signed volume of each piece and whether it is closed."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    area = np.bincount(piece, weights=np.linalg.norm(normal, axis=1))
    sums = np.stack([np.bincount(piece, weights=normal[:, i]) for i in range(3)], axis=1)
    volume = np.bincount(piece, weights=dots(a, normal)) / 6.0
    return volume, np.linalg.norm(sums, axis=1) <= _CLOSED * area


def _one_side(
    welded: IntArray, piece: IntArray
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Tell which faces to keep, and which of them to turn, of closed pieces with two sides.

    Args:
        welded: Faces, (f, 3).
        piece: Number of each face's piece, (f,); -1 for pieces that are left alone.
    """
    import igl

    kept, turned = np.ones(len(welded), bool), np.zeros(len(welded), bool)
    rows = np.flatnonzero(piece >= 0)
    _, first, group, copies = np.unique(
        np.sort(welded[rows], axis=1),
        axis=0,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    single = np.bincount(piece[rows], weights=copies[group.ravel()] < 2) > 0
    ones = rows[np.sort(first)]
    ones = ones[~single[piece[ones]]]
    ends = np.sort(welded[ones][:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, edge, uses = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    ragged = np.bincount(
        np.repeat(piece[ones], 3), weights=uses[edge.ravel()] != 2, minlength=len(single)
    )
    ones = ones[ragged[piece[ones]] == 0]
    if not len(ones):
        return kept, turned
    kept[np.isin(piece, piece[ones])] = False
    kept[ones] = True
    consistent = np.asarray(igl.bfs_orient(np.ascontiguousarray(welded[ones]))[0])
    # A turned face has its corners in the other cyclic order.
    same = [(consistent == np.roll(welded[ones], k, axis=1)).all(axis=1) for k in range(3)]
    turned[ones] = ~np.any(same, axis=0)
    return kept, turned


def _enclosed(
    vertices: FloatArray, faces: IntArray, piece: IntArray, wrong: IntArray, solid: IntArray
) -> IntArray:
    """Return those of some pieces that lie within solid faces with all their vertices."""
    import igl

    if not len(solid):
        return wrong[:0]
    probes = [np.unique(faces[piece == number]) for number in wrong]
    probes = [
        ids[np.linspace(0, len(ids) - 1, min(len(ids), _PROBES)).astype(int)] for ids in probes
    ]
    points = vertices[np.concatenate(probes)]
    winding = np.asarray(igl.fast_winding_number(vertices, np.ascontiguousarray(solid), points))
    owner = np.repeat(np.arange(len(wrong)), [len(ids) for ids in probes])
    outside = np.bincount(owner, weights=winding <= 0.5, minlength=len(wrong))
    return np.asarray(wrong[outside == 0])
