"""Reduce a mesh to a few hundred triangles, and give it normals with hard edges."""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.canonical import sample_surface
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, IntArray

CREASE_DEG = 40.0
"""Edges sharper than this stay hard."""


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
        InputError: Nothing is left within the budget.
    """
    vertices, faces = weld(vertices, faces)
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    points, corners = weld(vertices, _decimated(vertices, faces, triangles))
    if not 4 <= len(corners) <= triangles:
        raise InputError(
            f"a mesh of {len(faces)} triangles cannot be reduced to {triangles}; raise --triangles"
        )
    reference = sample_surface(vertices, faces, 2000, np.random.default_rng(0))
    error = _distance(reference, points, corners) / diagonal
    return LowPoly(*with_normals(points, corners), error)


def _decimated(vertices: FloatArray, faces: IntArray, triangles: int) -> IntArray:
    """Collapse edges until the budget is met, and return the faces left, over the same vertices.

    Pieces that resist because they are small and many are pruned; if that is not enough, the
    vertices are clustered regardless of how they connect.
    """
    import meshoptimizer

    if len(faces) <= triangles:
        return faces
    indices = np.ascontiguousarray(faces.ravel(), np.uint32)
    points = np.ascontiguousarray(vertices, np.float32)
    left = np.zeros_like(indices)
    for options in (0, meshoptimizer.SIMPLIFY_PRUNE):
        count = meshoptimizer.simplify(
            left, indices, points, len(indices), len(points), 12, 3 * triangles, 1.0, options
        )
        if count <= 3 * triangles:
            return left[:count].reshape(-1, 3).astype(np.int64)
    count = meshoptimizer.simplify_sloppy(
        left, indices, points, len(indices), len(points), 12, 3 * triangles, 1.0
    )
    return left[:count].reshape(-1, 3).astype(np.int64)


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
