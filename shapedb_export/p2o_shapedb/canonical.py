"""Bring a mesh into canonical pose, and sample its surface there."""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.cad.meshes import RawMesh
from p2o_shapedb.database import SDF_SIZE, CanonicalMesh
from p2o_shapedb.fixed_order import rounded, transformed, turn_about_y
from points2objects.geometry import FloatArray, IntArray


@dataclass(frozen=True)
class Canonical:
    """A mesh in the canonical cube and its natural size.

    Attributes:
        mesh: Fills [-0.5, 0.5]^3 along every axis; +y up, facing -z.
        extent_m: (3,), metres along the canonical axes.
    """

    mesh: CanonicalMesh
    extent_m: FloatArray


def canonicalise(raw: RawMesh, turn_deg: float) -> Canonical:
    """Turn a mesh to face -z, centre its bounding box and scale each axis to one.

    The paper writes "centroid"; its authors' code centres the bounding box, which is what a box
    label needs.

    Args:
        raw: Mesh with +y up, metres.
        turn_deg: Turn about +y that makes it face -z: 180 for a mesh that faces +z.
    """
    vertices = transformed(raw.vertices, turn_about_y(turn_deg))
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    extent = high - low
    unit = np.clip(rounded((vertices - (low + high) / 2) / extent), -0.5, 0.5)
    mesh = CanonicalMesh(
        unit.astype(np.float32), raw.faces.astype(np.int32), raw.colors, raw.has_color
    )
    return Canonical(mesh, extent)


def sample_surface(
    vertices: FloatArray, faces: IntArray, count: int, rng: np.random.Generator
) -> FloatArray:
    """Draw points evenly by area, (count, 3).

    Triangles are visited in order at even steps of accumulated area, so the number of points on
    each part is as close to its share as whole numbers allow.
    """
    a, b, c = (np.asarray(vertices, float)[faces[:, i]] for i in range(3))
    area = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1))
    steps = (np.arange(count) + rng.uniform(size=count)) / count * area[-1]
    pick = np.minimum(np.searchsorted(area, steps), len(faces) - 1)
    u, v = rng.uniform(size=(2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return np.asarray(a[pick] + u * (b[pick] - a[pick]) + v * (c[pick] - a[pick]))


def surface_points(
    canonical: Canonical, sdf: FloatArray, count: int, rng: np.random.Generator
) -> FloatArray:
    """Draw points of the outer surface, even by metric area, (count, 3), canonical.

    CAD parts overlap; points of one part deep inside another are no surface, and are left out.

    Args:
        canonical: The mesh.
        sdf: Its signed distances, (32, 32, 32).
        count: Number of points.
        rng: Source of randomness.
    """
    metric = canonical.mesh.vertices * canonical.extent_m
    points = sample_surface(metric, canonical.mesh.faces, 6 * count, rng) / canonical.extent_m
    outer = points[interpolate(sdf, points) > -0.6 / SDF_SIZE]
    pool = outer if len(outer) >= count else points
    return np.asarray(pool[np.linspace(0, len(pool) - 1, count).round().astype(int)])


def interpolate(grid: FloatArray, points: FloatArray) -> FloatArray:
    """Read a grid of cell centres over the canonical cube at points, (n, 3), trilinearly."""
    from scipy.ndimage import map_coordinates

    cells = (points + 0.5) * grid.shape[0] - 0.5
    return np.asarray(map_coordinates(np.asarray(grid, float), cells.T, order=1, mode="nearest"))
