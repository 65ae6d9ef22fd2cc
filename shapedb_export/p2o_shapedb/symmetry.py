"""Measure how a shape looks the same after a turn about y or a mirror."""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.canonical import Canonical
from p2o_shapedb.fixed_order import transformed, turn_about_y
from points2objects.geometry import FloatArray

TOLERANCE = 0.025
"""A map keeps the shape if 99 % of its surface lands within this share of the largest side."""

SQUARE_RATIO = 1.02
"""A shape whose sides x and z differ by more is neither round nor four-fold, however tall it is:
the tolerance is a share of the largest side, which in a bottle is its height."""

ANY_ANGLES_DEG = (23.0, 31.0, 45.0, 77.0)
"""Turns that only a solid of revolution survives; 2-, 3-, 4-, 5- and 6-fold shapes fail one."""


@dataclass(frozen=True)
class Symmetry:
    """Symmetry of the metric shape.

    Attributes:
        order: Of the rotations about y: 1, 2, 4, or 0 for a solid of revolution.
        mirror_axis: 0 for x -> -x, 2 for z -> -z, 0 if both, -1 if neither.
    """

    order: int
    mirror_axis: int


def measure_symmetry(canonical: Canonical, points: FloatArray) -> Symmetry:
    """Find the symmetries of a shape at its natural size.

    Args:
        canonical: The mesh and its size.
        points: Points of its surface, (n, 3), canonical.
    """
    import igl

    vertices = np.asarray(canonical.mesh.vertices * canonical.extent_m, float)
    faces = np.asarray(canonical.mesh.faces, np.int64)
    metric = points * canonical.extent_m
    limit = TOLERANCE * float(canonical.extent_m.max())

    def keeps(linear: FloatArray) -> bool:
        moved = np.ascontiguousarray(transformed(metric, linear))
        squared = np.asarray(igl.point_mesh_squared_distance(moved, vertices, faces)[0])
        return float(np.quantile(squared, 0.99)) <= limit**2

    def turn_keeps(angle_deg: float) -> bool:
        return keeps(turn_about_y(angle_deg))

    x, _, z = canonical.extent_m
    order = 1
    if turn_keeps(180.0):
        order = 2
        if max(x, z) <= SQUARE_RATIO * min(x, z) and turn_keeps(90.0):
            order = 0 if all(turn_keeps(angle) for angle in ANY_ANGLES_DEG) else 4
    if keeps(np.diag([-1.0, 1.0, 1.0])):
        return Symmetry(order, 0)
    return Symmetry(order, 2 if keeps(np.diag([1.0, 1.0, -1.0])) else -1)
