"""Sample the winding number of an open mesh on a grid, quickly.

Its openings are closed with caps. The winding number of mesh and caps together is whole and comes
exactly from the columns of the grid; what the caps add to it is summed up and taken away again. An
opening has few edges compared to a mesh, and what its cap adds is smooth everywhere but near it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from p2o_shapedb.solids.solid_columns import BoolArray, cell_centers, column_winding
from p2o_shapedb.solids.surface_cells import touched_cells
from points2objects.geometry import FloatArray, IntArray

_COARSEST = 16
"""Cells per side of the grid on which every cell is summed up."""
_UNCLEAR = 0.05
"""Winding numbers this close to one half are summed up instead of interpolated."""
_SHIFT = (3.1e-6, 4.3e-6, 5.9e-6)
"""How far all is moved: of a point on a cap, the columns and the sum may see different sides."""
_FLAT = 1e-12
"""Area below which a cap is left out: openings between edges that lie on each other have such."""


@dataclass(frozen=True)
class CappedMesh:
    """A mesh that was closed.

    Attributes:
        vertices: (v, 3), within [-0.5, 0.5], moved by a little.
        faces: (f, 3), turned the same way within each connected piece, vertices shared.
        caps: (c, 3), which close every opening of the faces.
    """

    vertices: FloatArray
    faces: IntArray
    caps: IntArray

    @classmethod
    def of(cls, vertices: FloatArray, faces: IntArray) -> "CappedMesh":
        """Close a mesh whose faces share their vertices and are turned the same way."""
        triangles = [triangle for loop in _loops(_open_edges(faces)) for triangle in _halved(loop)]
        caps = np.array(triangles, np.int64).reshape(-1, 3)
        a, b, c = (vertices[caps[:, i]] for i in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
        return cls(vertices + _SHIFT, faces, caps[area > _FLAT])

    def winding(self, size: int) -> FloatArray:
        """Return the winding number at the cell centres of a grid, (size, size, size).

        To 0.01 where it is close to one half, to 0.1 elsewhere.
        """
        if not len(self.caps):
            return self._closed(size)
        winding = self._refined(size)
        unclear = np.abs(np.abs(winding) - 0.5) < _UNCLEAR
        if size > _COARSEST and unclear.any():
            points = cell_centers(size)[unclear]
            winding[unclear] = self._closed(size)[unclear] - self._of_caps(points)
        return winding

    def _refined(self, size: int) -> FloatArray:
        """Interpolate between the centres of a grid half as fine, where that is smooth."""
        closed = self._closed(size)
        if size <= _COARSEST or size % 2:
            points = cell_centers(size).reshape(-1, 3)
            return closed - self._of_caps(points).reshape(closed.shape)
        coarse = self._refined(size // 2)
        # The caps' part jumps at the caps only, the whole at the mesh only.
        winding = closed - _doubled(self._closed(size // 2) - coarse)
        at_caps = _near(touched_cells(self.vertices, self.caps, size // 2))
        winding[at_caps] = _doubled(coarse)[at_caps]
        at_both = at_caps & _near(touched_cells(self.vertices, self.faces, size // 2))
        winding[at_both] = closed[at_both] - self._of_caps(cell_centers(size)[at_both])
        return winding

    def _closed(self, size: int) -> FloatArray:
        """Return the winding number of mesh and caps, whole numbers, (size, size, size)."""
        every = np.concatenate([self.faces, self.caps])
        a, b, c = (column_winding(self.vertices, every, size, axis) for axis in range(3))
        # The median: a column may slip through where it meets an edge.
        return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c)).astype(float)

    def _of_caps(self, points: FloatArray) -> FloatArray:
        """Return the winding number of the caps alone at some points, (p,)."""
        import igl

        winding = igl.fast_winding_number(self.vertices, self.caps, np.ascontiguousarray(points))
        return np.asarray(winding, float).ravel()


def _open_edges(faces: IntArray) -> list[tuple[int, int]]:
    """Return the directed edges that no face passes the other way, (from, to)."""
    ends = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    low, high = ends.min(axis=1), ends.max(axis=1)
    apart = int(ends.max(initial=0)) + 1
    edges, which = np.unique(low * apart + high, return_inverse=True)
    ahead = np.where(ends[:, 0] < ends[:, 1], 1, -1)
    excess = np.bincount(which.ravel(), weights=ahead, minlength=len(edges)).astype(np.int64)
    some = np.repeat(np.arange(len(edges)), np.abs(excess))
    pairs = np.stack([edges[some] // apart, edges[some] % apart], axis=1)
    return [(a, b) for a, b in np.where(excess[some][:, None] > 0, pairs, pairs[:, ::-1]).tolist()]


def _loops(edges: list[tuple[int, int]]) -> list[list[int]]:
    """Trace directed edges into closed loops of vertices; as many enter a vertex as leave it."""
    leaving: dict[int, list[int]] = {}
    for start, end in edges:
        leaving.setdefault(start, []).append(end)
    loops = []
    for start in leaving:
        while leaving[start]:
            path, place = [start], {start: 0}
            while True:
                following = leaving[path[-1]].pop()
                if following in place:
                    # Cut off what has closed; what led there goes on from its first vertex.
                    loop = path[place[following] :]
                    loops.append(loop)
                    path = path[: place[following] + 1]
                    for vertex in loop[1:]:
                        del place[vertex]
                    if following == start:
                        break
                else:
                    place[following] = len(path)
                    path.append(following)
    return loops


def _halved(loop: list[int]) -> list[tuple[int, int, int]]:
    """Fill a loop with triangles that look the other way.

    Every second vertex is cut off, again and again: most triangles are small and lie near the
    edge, so that a tree can sum them up, other than those of a fan.
    """
    triangles = []
    while len(loop) > 2:
        for i in range(0, len(loop) - 1, 2):
            triangles.append((loop[(i + 2) % len(loop)], loop[i + 1], loop[i]))
        loop = loop[::2]
    return triangles


def _doubled(field: FloatArray) -> FloatArray:
    """Read a grid of cell centres linearly at those of one with twice the cells per side."""
    from scipy import ndimage

    # Beyond the outermost centres the field goes on as it came.
    wider = np.pad(field, 1, mode="reflect", reflect_type="odd")
    zoomed: Any = ndimage.zoom(wider, 2, order=1, mode="nearest", grid_mode=True)
    return np.asarray(zoomed[2:-2, 2:-2, 2:-2])


def _near(mask: BoolArray) -> BoolArray:
    """Mark cells and their neighbours, on a grid with twice the cells per side."""
    from scipy import ndimage

    widened = np.asarray(ndimage.binary_dilation(mask, np.ones((3, 3, 3), bool)), bool)
    return widened.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
