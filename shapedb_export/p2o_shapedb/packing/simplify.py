"""Reduce a mesh to the fewest triangles that still look and measure like it."""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.packing.normals import crease_normals, fitted_normals
from p2o_shapedb.packing.refit import refit
from p2o_shapedb.packing.surface_error import Reference, SurfaceError, Tolerance, project
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, IntArray

_STEP = 1.15
"""Ratio of neighbouring triangle counts that the search distinguishes."""


@dataclass(frozen=True)
class LowPoly:
    """A mesh for display.

    Attributes:
        vertices: (v, 3), in the space of the input.
        normals: (v, 3), unit.
        faces: (f, 3).
        error: How far it is from the input.
    """

    vertices: FloatArray
    normals: FloatArray
    faces: IntArray
    error: SurfaceError


def simplify_within(vertices: FloatArray, faces: IntArray, tolerance: Tolerance) -> LowPoly:
    """Find the smallest mesh within a tolerance, or the best one of `tolerance.triangles`.

    Args:
        vertices: (v, 3), at natural proportions: distances count the same along all axes.
        faces: (f, 3).
        tolerance: How far it may be from the input.

    Raises:
        InputError: Nothing is left within `tolerance.triangles`.
    """
    reference = Reference(*weld(vertices, faces))
    most = min(tolerance.triangles, len(reference.faces))
    steps = max(int(np.ceil(np.log(most / 12) / np.log(_STEP))), 0)
    budgets = [round(most / _STEP**step) for step in range(steps, 0, -1)]
    best: LowPoly | None = None
    low, high = 0, len(budgets)
    while low < high:
        middle = (low + high) // 2
        found = _reduced(reference, budgets[middle])
        if found is not None and tolerance.accepts(found.error):
            best, high = found, middle
        else:
            low = middle + 1
    return best or simplify(reference, most)


def simplify(reference: Reference, triangles: int) -> LowPoly:
    """Reduce a mesh to at most so many triangles, with vertices and normals fitted to it.

    Raises:
        InputError: Nothing is left within the budget.
    """
    found = _reduced(reference, triangles)
    if found is None:
        raise InputError(
            f"a mesh of {len(reference.faces)} triangles cannot be reduced to {triangles}; "
            "raise --triangles"
        )
    return found


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


def _reduced(reference: Reference, triangles: int) -> LowPoly | None:
    """Return the best of the ways to meet the budget; None when none does."""
    if len(reference.faces) <= triangles:
        shaded = crease_normals(reference.vertices, reference.faces)
        return LowPoly(*shaded, reference.error(*shaded))
    found = []
    for left in _decimated(reference.vertices, reference.faces, triangles):
        points, corners = weld(reference.vertices, left)
        if 4 <= len(corners) <= triangles:
            found.append(_fitted(reference, points, corners))
    return min(found, key=lambda one: one.error.mean) if found else None


def _fitted(reference: Reference, vertices: FloatArray, faces: IntArray) -> LowPoly:
    """Fit the vertices and normals of a decimated mesh to the reference."""
    samples = reference.sample(seed=0)
    low, high = reference.vertices.min(axis=0), reference.vertices.max(axis=0)
    moved = np.clip(refit(vertices, faces, samples), low, high)
    # The box is what gets placed in a scene, so the mesh must fill it to the edge.
    moved_low, moved_high = moved.min(axis=0), moved.max(axis=0)
    scale = (high - low) / np.maximum(moved_high - moved_low, 1e-12)
    moved = np.clip((moved - moved_low) * scale + low, low, high)
    fall = project(samples.points, moved, faces)
    shaded = fitted_normals(moved, faces, fall.face, fall.weights, samples.normals)
    return LowPoly(*shaded, reference.error(*shaded))


def _decimated(vertices: FloatArray, faces: IntArray, triangles: int) -> list[IntArray]:
    """Return ways to meet the budget, each the faces left over the same vertices.

    Collapsing edges does it, unless a mesh has many small pieces; then pieces are pruned, or
    vertices are clustered regardless of how they connect.
    """
    import meshoptimizer

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
