"""Signed distance grids of CAD meshes, closed or not.

Closed meshes, overlapping parts included, get their sign by counting signed crossings along the
grid's columns, once per axis, with a majority vote; the distance itself is exact. A mesh whose
axes disagree is open, and a policy per class says what its inside is.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from p2o_shapedb.database import SDF_SIZE
from p2o_shapedb.solids.open_mesh import decisive, inside_by_flood, inside_by_winding_number
from p2o_shapedb.solids.orientation import outward
from p2o_shapedb.solids.solid_columns import (
    BoolArray,
    axis_votes,
    cell_centers,
    column_winding,
    inside_by_columns,
)
from points2objects.geometry import FloatArray, IntArray

CHECK_SIZE = 64
"""Cells per side on which the three axes are compared, so that every size has the same method."""


class OpenPolicy(str, Enum):
    """What the inside of an open mesh is.

    SHELL: what a flood from outside cannot reach. Keeps the cavity of a mug.
    FILL: where the winding number exceeds one half. Keeps furniture solid whose floor is missing.
    """

    SHELL = "shell"
    FILL = "fill"


OPEN_POLICY = {
    "bowl": OpenPolicy.SHELL,
    "mug": OpenPolicy.SHELL,
}
"""Policy per class; FILL for all others."""


@dataclass(frozen=True)
class SignedDistance:
    """A signed distance grid and how it came about.

    Attributes:
        grid: (d, d, d) float32 at the cell centres of the canonical cube, [x, y, z], negative
            inside; unit: side of the cube.
        method: "winding" for a closed mesh, "fill" or "shell" for an open one.
        disagreement: Share of cells where the three axes do not agree, 0..1.
    """

    grid: FloatArray
    method: str
    disagreement: float


def signed_distance(
    vertices: FloatArray, faces: IntArray, policy: OpenPolicy, size: int = SDF_SIZE
) -> SignedDistance:
    """Sample the signed distance of a mesh in the canonical cube.

    Args:
        vertices: (v, 3), within [-0.5, 0.5].
        faces: (f, 3).
        policy: What to do if the mesh is open.
        size: Cells per side.
    """
    solid = find_solid(vertices, faces, policy, size)
    distance = _distance(np.asarray(vertices, float), np.asarray(faces, np.int64), size)
    grid = np.where(solid.inside, -distance, distance).astype(np.float32)
    return SignedDistance(grid, solid.method, solid.disagreement)


@dataclass(frozen=True)
class Solid:
    """The inside of a mesh on a grid, and how it was found.

    Attributes:
        inside: (size, size, size), [x, y, z], at the cell centres of the canonical cube.
        method: See `SignedDistance`.
        disagreement: See `SignedDistance`.
    """

    inside: BoolArray
    method: str
    disagreement: float


def find_solid(vertices: FloatArray, faces: IntArray, policy: OpenPolicy, size: int) -> Solid:
    """Tell which cell centres of the canonical cube lie inside a mesh.

    Arguments as of `signed_distance`.
    """
    vertices = np.asarray(vertices, float)
    faces = outward(vertices, np.asarray(faces, np.int64))
    windings = [column_winding(vertices, faces, CHECK_SIZE, axis) for axis in range(3)]
    votes = axis_votes(windings)
    disagreement = float(np.mean((votes == 1) | (votes == 2)))
    tolerable = 2e-3 * max(float((votes >= 2).mean()), 0.05)
    if not _leaks(windings, votes) and disagreement <= tolerable and votes.max() >= 2:
        inside = votes >= 2 if size == CHECK_SIZE else inside_by_columns(vertices, faces, size)
        return Solid(inside, "winding", disagreement)
    if policy is OpenPolicy.FILL or decisive(vertices, faces):
        inside = _METHODS["fill"](vertices, faces, size)
        if inside.mean() > 1e-3:
            return Solid(inside, "fill", disagreement)
    return Solid(_METHODS["shell"](vertices, faces, size), "shell", disagreement)


_METHODS = {
    "winding": inside_by_columns,
    "fill": inside_by_winding_number,
    "shell": inside_by_flood,
}


def inside_by_method(method: str, vertices: FloatArray, faces: IntArray, size: int) -> BoolArray:
    """Tell which cell centres lie inside, by the method that `SignedDistance` names.

    Args:
        method: "winding", "fill" or "shell".
        vertices: (v, 3), within [-0.5, 0.5].
        faces: (f, 3).
        size: Cells per side.
    """
    vertices = np.asarray(vertices, float)
    return _METHODS[method](vertices, outward(vertices, np.asarray(faces, np.int64)), size)


def _leaks(windings: list[IntArray], votes: npt.NDArray[np.uint8]) -> bool:
    """Tell whether columns end inside where the other axes see no inside: the mesh is open."""
    for axis, winding in enumerate(windings):
        # The last cell centre can lie inside a closed mesh that fills the cube.
        open_end = float(np.mean(winding.take(-1, axis) != 0))
        if abs(open_end - float(np.mean(votes.take(-1, axis) >= 2))) > 5e-3:
            return True
    return False


def _distance(vertices: FloatArray, faces: IntArray, size: int) -> FloatArray:
    import igl

    points = cell_centers(size).reshape(-1, 3)
    squared = np.asarray(igl.point_mesh_squared_distance(points, vertices, faces)[0])
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)).reshape(size, size, size))
