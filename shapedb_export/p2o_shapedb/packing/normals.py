"""Shading normals: by the creases of a fine mesh, or fitted to those of another surface."""

import numpy as np

from points2objects.geometry import FloatArray, IntArray

CREASE_DEG = 40.0
"""Edges of a fine mesh sharper than this are hard."""

MERGE_DEG = 45.0
"""Fitted normals at one vertex that differ by less become one."""


def crease_normals(
    vertices: FloatArray, faces: IntArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Split vertices along creases and return vertices, unit normals and faces.

    A corner's normal is the area-weighted mean over those triangles at its vertex that are within
    `CREASE_DEG` of its own; corners that agree share a vertex again.
    """
    weighted = _area_vectors(vertices, faces)
    flat = unit(weighted)
    corner_vertex = faces.ravel()
    normals: FloatArray = np.zeros((len(corner_vertex), 3))
    limit = np.cos(np.radians(CREASE_DEG))
    for corners in _corners_of_vertices(corner_vertex, len(vertices)):
        around = corners // 3
        alike = flat[around] @ flat[around].T >= limit
        normals[corners] = alike @ weighted[around]
    normals = unit(normals)
    keys = np.concatenate([corner_vertex[:, None], np.round(normals * 127).astype(int)], axis=1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return vertices[corner_vertex[first]], normals[first], inverse.reshape(-1, 3)


def fitted_normals(
    vertices: FloatArray,
    faces: IntArray,
    face: IntArray,
    weights: FloatArray,
    wanted: FloatArray,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Give a coarse mesh the normals that make it look like the fine one.

    Each triangle gets the three corner normals whose interpolation is nearest to the samples that
    fall on it; corners that then nearly agree at a vertex are merged. A rounded surface becomes
    smooth however coarse its triangles are, and an edge stays hard where the fine mesh has one.

    Args:
        vertices: (v, 3), the coarse mesh.
        faces: (f, 3).
        face: (n,), the triangle on which each sample of the fine surface falls.
        weights: (n, 3), where in that triangle, barycentric.
        wanted: (n, 3), the fine surface's unit normals there.

    Returns:
        Vertices (w, 3), split where normals differ; their unit normals (w, 3); faces (f, 3).
    """
    area = _area_vectors(vertices, faces)
    flat = unit(area)
    along = np.einsum("nd,nd->n", flat[face], wanted)
    # Samples at right angles fell on this triangle for want of one that shows their side.
    seen = np.abs(along) > 0.3
    face, weights = face[seen], weights[seen]
    wanted = wanted[seen] * np.sign(along[seen])[:, None]

    # Ridge regression per triangle towards its mean normal: one sample's worth of trust in it.
    mean = flat.copy()
    np.add.at(mean, face, wanted)
    left = np.broadcast_to(np.eye(3) / 3, (len(faces), 3, 3)).copy()
    right = np.broadcast_to(unit(mean)[:, None] / 3, (len(faces), 3, 3)).copy()
    np.add.at(left, face, weights[:, :, None] * weights[:, None, :])
    np.add.at(right, face, weights[:, :, None] * wanted[:, None, :])
    fitted = unit(np.linalg.solve(left, right))
    outlandish = np.einsum("fcd,fd->fc", fitted, flat) < 0.2
    fitted = np.where(outlandish[..., None], flat[:, None], fitted)
    return _merged(vertices, faces, fitted.reshape(-1, 3), np.linalg.norm(area, axis=1))


def _merged(
    vertices: FloatArray, faces: IntArray, normals: FloatArray, area: FloatArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Merge the corners of a vertex whose normals agree, largest triangle first."""
    weighted = normals * np.repeat(area, 3)[:, None]
    limit = np.cos(np.radians(MERGE_DEG))
    corner_vertex = faces.ravel()
    group = np.zeros(len(corner_vertex), np.int64)
    owners: list[int] = []
    merged: list[FloatArray] = []
    for corners in _corners_of_vertices(corner_vertex, len(vertices)):
        left = corners[np.argsort(-area[corners // 3], kind="stable")]
        while len(left):
            near = normals[left] @ normals[left[0]] >= limit
            group[left[near]] = len(merged)
            owners.append(int(corner_vertex[left[0]]))
            merged.append(weighted[left[near]].sum(axis=0))
            left = left[~near]
    return vertices[owners], unit(np.array(merged)), group.reshape(-1, 3)


def _corners_of_vertices(corner_vertex: IntArray, vertices: int) -> list[IntArray]:
    order = np.argsort(corner_vertex, kind="stable")
    starts = np.searchsorted(corner_vertex[order], np.arange(1, vertices))
    return np.split(order, starts)


def _area_vectors(vertices: FloatArray, faces: IntArray) -> FloatArray:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def unit(vectors: FloatArray) -> FloatArray:
    """Normalise along the last axis; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-30))
