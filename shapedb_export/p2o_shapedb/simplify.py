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
    reference = sample_surface(vertices, faces, 2000, np.random.default_rng(0))
    found = []
    for left in _decimated(vertices, faces, triangles):
        points, corners = weld(vertices, left)
        if 4 <= len(corners) <= triangles:
            found.append((_distance(reference, points, corners), points, corners))
    if not found:
        raise InputError(
            f"a mesh of {len(faces)} triangles cannot be reduced to {triangles}; raise --triangles"
        )
    error, points, corners = min(found, key=lambda one: one[0])
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    return LowPoly(*with_normals(points, corners), error / diagonal)


def _decimated(vertices: FloatArray, faces: IntArray, triangles: int) -> list[IntArray]:
    """Return ways to meet the budget, each the faces left over the same vertices.

    Collapsing edges does it, unless a mesh has many small pieces; then pieces are pruned, or
    vertices are clustered regardless of how they connect.
    """
    import meshoptimizer

    if len(faces) <= triangles:
        return [faces]
    indices = np.ascontiguousarray(faces.ravel(), np.uint32)
    points = np.ascontiguousarray(vertices, np.float32)
    budget = (len(indices), len(points), 12, 3 * triangles, 1.0)

    def result(count: int) -> IntArray:
        return left[:count].reshape(-1, 3).astype(np.int64)

    left = np.zeros_like(indices)
    collapsed = result(meshoptimizer.simplify(left, indices, points, *budget))
    if len(collapsed) <= triangles:
        return [collapsed]
    prune = meshoptimizer.SIMPLIFY_PRUNE
    return [
        result(meshoptimizer.simplify(left, indices, points, *budget, prune)),
        result(meshoptimizer.simplify_sloppy(left, indices, points, *budget)),
    ]


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
