"""Turn a low-poly mesh into the few integers that a pack stores."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from points2objects.errors import check_shape
from points2objects.geometry import FloatArray, IntArray

HALF_SIDE = 2000
"""Stored coordinate of a face of the canonical cube: steps of 1/4000 of a side."""


@dataclass(frozen=True, eq=False)
class PackedMesh:
    """A mesh of small integers, in the order that a graphics card reads best.

    Attributes:
        positions: (v, 3) int16, canonical cube, -2000..2000.
        normals: (v, 3) int8, unit length is 127.
        faces: (f, 3) uint32.
    """

    positions: npt.NDArray[np.int16]
    normals: npt.NDArray[np.int8]
    faces: npt.NDArray[np.uint32]

    def __post_init__(self) -> None:
        sizes = check_shape("positions", self.positions, "v 3")
        check_shape("normals", self.normals, "v 3", sizes)
        check_shape("faces", self.faces, "f 3")

    def vertices(self) -> FloatArray:
        """Return the positions as a reader sees them, (v, 3), canonical."""
        return self.positions / (2.0 * HALF_SIDE)


def quantise(vertices: FloatArray, normals: FloatArray, faces: IntArray) -> PackedMesh:
    """Round a mesh of the canonical cube, join what became equal, and order it for drawing.

    Args:
        vertices: (v, 3), canonical, -0.5..0.5.
        normals: (v, 3), unit.
        faces: (f, 3).
    """
    import meshoptimizer

    rows = np.concatenate([np.rint(vertices * 2 * HALF_SIDE), np.rint(normals * 127)], axis=1)
    rows, joined = np.unique(rows.astype(np.int16), axis=0, return_inverse=True)
    corners = joined.ravel()[faces]
    _, places = np.unique(rows[:, :3], axis=0, return_inverse=True)
    a, b, c = places.ravel()[corners].T
    corners = corners[(a != b) & (b != c) & (c != a)]
    indices = np.ascontiguousarray(corners.ravel(), np.uint32)
    ordered = np.zeros_like(indices)
    meshoptimizer.optimize_vertex_cache(ordered, indices, len(indices), len(rows))
    # Vertices in the order of their first use: reading them is a walk forwards.
    used, first, inverse = np.unique(ordered, return_index=True, return_inverse=True)
    walk = np.argsort(first)
    position_of = np.argsort(walk)
    rows = rows[used[walk]]
    return PackedMesh(
        rows[:, :3],
        rows[:, 3:].astype(np.int8),
        position_of[inverse.ravel()].astype(np.uint32).reshape(-1, 3),
    )
