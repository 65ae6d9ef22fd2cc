"""Reduce a mesh to a few hundred triangles, and give it normals with hard edges."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from p2o_shapedb.canonical import sample_surface
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, IntArray

CREASE_DEG = 40.0
"""Edges sharper than this stay hard."""

AGGRESSIVENESS = (7.0, 5.0, 3.0)
"""Settings of the decimation to try: none is best for every mesh, and one in ten fails badly."""


@dataclass(frozen=True)
class LowPoly:
    """A mesh for display.

    Attributes:
        vertices: (v, 3), in the space of the input.
        normals: (v, 3), unit.
        faces: (f, 3).
        error: Mean distance between the two surfaces, in diagonals of the bounding box.
    """

    vertices: FloatArray
    normals: FloatArray
    faces: IntArray
    error: float


def simplify(vertices: FloatArray, faces: IntArray, triangles: int) -> LowPoly:
    """Reduce a mesh to at most so many triangles and compute normals.

    Args:
        vertices: (v, 3), at natural proportions: distances count the same along all axes.
        faces: (f, 3).
        triangles: Most triangles to keep.

    Raises:
        InputError: The mesh has more separate pieces than triangles to share out.
    """
    vertices, faces = weld(vertices, faces)
    reference = sample_surface(vertices, faces, 2000, np.random.default_rng(0))
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    candidates = _candidates(vertices, faces, triangles)
    if not candidates:
        raise InputError(f"a mesh cannot be reduced to {triangles} triangles; raise --triangles")
    errors = [_distance(reference, *candidate) / diagonal for candidate in candidates]
    best = int(np.argmin(errors))
    points, normals, corners = with_normals(*candidates[best])
    return LowPoly(points, normals, corners, errors[best])


def _candidates(
    vertices: FloatArray, faces: IntArray, triangles: int
) -> list[tuple[FloatArray, IntArray]]:
    """Return the ways to meet the budget; the mesh itself if it does."""
    import fast_simplification

    if len(faces) <= triangles:
        return [(vertices, faces)]
    found = []
    for aggressiveness in AGGRESSIVENESS:
        target = triangles
        for _ in range(6):  # pieces of few triangles resist, so the count can miss the target
            reduced: Any = fast_simplification.simplify(
                np.ascontiguousarray(vertices, np.float32),
                np.ascontiguousarray(faces, np.int32),
                target_count=target,
                agg=aggressiveness,
            )
            points, corners = weld(np.asarray(reduced[0], float), np.asarray(reduced[1]))
            if len(corners) <= triangles:
                break
            target = int(target * 0.85)
        if 4 <= len(corners) <= triangles:
            found.append((points, corners))
    return found or _largest_pieces(vertices, faces, triangles)


def _largest_pieces(
    vertices: FloatArray, faces: IntArray, triangles: int
) -> list[tuple[FloatArray, IntArray]]:
    """Drop the smallest pieces of a mesh that is made of too many, then decimate the rest."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(len(vertices),) * 2)
    count, label = connected_components(graph, directed=False)
    if count < 2:
        return []
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    share = np.bincount(label[faces[:, 0]], weights=area, minlength=count)
    keep = np.argsort(-share)[: max(1, min(count - 1, triangles // 12))]
    kept = faces[np.isin(label[faces[:, 0]], keep)]
    return _candidates(*weld(vertices, kept), triangles)


def weld(vertices: FloatArray, faces: IntArray) -> tuple[FloatArray, IntArray]:
    """Merge vertices at the same place; drop collapsed triangles and unused vertices."""
    vertices = np.asarray(vertices, float)
    step = 1e-6 * max(float(np.ptp(vertices, axis=0).max()), 1e-12)
    _, first, inverse = np.unique(
        np.round(vertices / step).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    merged = first[inverse.ravel()][faces]
    a, b, c = merged.T
    merged = merged[(a != b) & (b != c) & (c != a)]
    used, corners = np.unique(merged, return_inverse=True)
    return vertices[used], corners.reshape(-1, 3)


def with_normals(vertices: FloatArray, faces: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Split vertices along creases and return vertices, unit normals and faces.

    A corner's normal is the area-weighted mean over those triangles at its vertex that are within
    `CREASE_DEG` of its own; corners that agree share a vertex again.
    """
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    weighted = np.cross(b - a, c - a)
    unit = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-30)
    corner_vertex = faces.ravel()
    order = np.argsort(corner_vertex, kind="stable")
    starts = np.searchsorted(corner_vertex[order], np.arange(len(vertices) + 1))
    normals = np.zeros((len(corner_vertex), 3))
    limit = np.cos(np.radians(CREASE_DEG))
    for vertex in range(len(vertices)):
        corners = order[starts[vertex] : starts[vertex + 1]]
        around = corners // 3
        alike = unit[around] @ unit[around].T >= limit
        normals[corners] = alike @ weighted[around]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    keys = np.concatenate([corner_vertex[:, None], np.round(normals * 127).astype(int)], axis=1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return vertices[corner_vertex[first]], normals[first], inverse.reshape(-1, 3)


def _distance(reference: FloatArray, vertices: FloatArray, faces: IntArray) -> float:
    """Return the mean distance of points, (n, 3), to a mesh."""
    import igl

    corners = np.ascontiguousarray(faces, np.int64)
    squared = igl.point_mesh_squared_distance(reference, np.asarray(vertices, float), corners)[0]
    return float(np.sqrt(np.maximum(np.asarray(squared), 0.0)).mean())
