"""How far a simplified mesh is from the one it was made of."""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.packing.normals import crease_normals, unit
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, IntArray

TAIL_PERCENTILE = 99.9


@dataclass(frozen=True)
class SurfaceError:
    """Distances between two surfaces, both ways, in diagonals of the bounding box.

    Attributes:
        mean: The larger of the two directions' mean distances.
        tail: The larger of their 99.9th percentiles.
        worst: The largest distance of any sample.
        normal_deg: Mean angle between the shading normals, degrees.
    """

    mean: float
    tail: float
    worst: float
    normal_deg: float


@dataclass(frozen=True)
class Tolerance:
    """How far simplification may go.

    Attributes:
        mean: Largest `SurfaceError.mean`.
        tail: Largest `SurfaceError.tail`.
        worst: Largest `SurfaceError.worst`: legs too thin to count in the tail must stay too.
        normal_deg: Largest `SurfaceError.normal_deg`.
        triangles: Most triangles, whatever the error.
    """

    mean: float = 0.0012
    tail: float = 0.008
    worst: float = 0.02
    normal_deg: float = 7.0
    triangles: int = 1500

    def __post_init__(self) -> None:
        bounds = (self.mean, self.tail, self.worst, self.normal_deg)
        if min(bounds) <= 0 or self.triangles < 12:
            raise InputError(
                f"tolerance: the bounds must be positive and triangles at least 12, got {bounds} "
                f"and {self.triangles}"
            )

    def accepts(self, error: SurfaceError) -> bool:
        """Say whether an error is within all bounds."""
        return (
            error.mean <= self.mean
            and error.tail <= self.tail
            and error.worst <= self.worst
            and error.normal_deg <= self.normal_deg
        )


@dataclass(frozen=True)
class Samples:
    """Points of a surface and the shading normals there.

    Attributes:
        points: (n, 3).
        normals: (n, 3), unit.
    """

    points: FloatArray
    normals: FloatArray


@dataclass(frozen=True)
class Projection:
    """Where points fall on a mesh.

    Attributes:
        distance: (n,), how far each point is from the mesh.
        face: (n,), the triangle it falls on.
        weights: (n, 3), barycentric coordinates of the closest point in that triangle.
    """

    distance: FloatArray
    face: IntArray
    weights: FloatArray


class Reference:
    """A mesh that simplified ones are compared with; builds its search tree once."""

    def __init__(self, vertices: FloatArray, faces: IntArray, samples: int = 8000) -> None:
        """Keep a welded mesh, (v, 3) and (f, 3), at natural proportions; `samples` each way."""
        import igl

        self.vertices = np.ascontiguousarray(vertices, float)
        self.faces = np.ascontiguousarray(faces, np.int64)
        self.diagonal = float(np.linalg.norm(np.ptp(self.vertices, axis=0)))
        self._shaded = crease_normals(self.vertices, self.faces)
        self._samples = samples
        self._tree = igl.AABB()
        self._tree.init(self.vertices, self.faces)
        self._test = self.sample(seed=1)

    def sample(self, seed: int) -> Samples:
        """Draw points evenly by area, each with its shading normal."""
        return sample_shaded(*self._shaded, self._samples, np.random.default_rng(seed))

    def error(self, vertices: FloatArray, normals: FloatArray, faces: IntArray) -> SurfaceError:
        """Compare a mesh, (v, 3), (v, 3) and (f, 3), with this one."""
        there = project(self._test.points, vertices, faces)
        back_points = sample_shaded(
            vertices, normals, faces, self._samples, np.random.default_rng(2)
        ).points
        squared, _, _ = self._tree.squared_distance(self.vertices, self.faces, back_points)
        back = np.sqrt(np.maximum(squared, 0))
        shaded = unit(np.einsum("nc,ncd->nd", there.weights, normals[faces[there.face]]))
        # CAD winds its triangles as it likes, so a normal and its opposite count as the same.
        cosine = np.abs(np.einsum("nd,nd->n", shaded, self._test.normals))
        both = (there.distance / self.diagonal, back / self.diagonal)
        return SurfaceError(
            mean=float(max(way.mean() for way in both)),
            tail=float(max(np.percentile(way, TAIL_PERCENTILE) for way in both)),
            worst=float(max(way.max() for way in both)),
            normal_deg=float(np.degrees(np.arccos(np.clip(cosine, 0, 1)).mean())),
        )


def sample_shaded(
    vertices: FloatArray,
    normals: FloatArray,
    faces: IntArray,
    count: int,
    rng: np.random.Generator,
) -> Samples:
    """Draw points of a mesh evenly by area, with the normals interpolated there."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1))
    steps = (np.arange(count) + rng.uniform(size=count)) / count * area[-1]
    pick = np.minimum(np.searchsorted(area, steps), len(faces) - 1)
    u, v = rng.uniform(size=(2, count))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], axis=1)
    corners = faces[pick]
    return Samples(
        np.einsum("nc,ncd->nd", weights, vertices[corners]),
        unit(np.einsum("nc,ncd->nd", weights, normals[corners])),
    )


def project(points: FloatArray, vertices: FloatArray, faces: IntArray) -> Projection:
    """Find the closest place on a mesh, (v, 3) and (f, 3), to each point, (n, 3)."""
    import igl

    squared, face, closest = igl.point_mesh_squared_distance(
        points, np.asarray(vertices, float), np.ascontiguousarray(faces, np.int64)
    )
    face = np.asarray(face, np.int64)
    a, b, c = (vertices[faces[face][:, i]] for i in range(3))
    ab, ac, offset = b - a, c - a, np.asarray(closest) - a
    bb, bc, cc = (np.einsum("nd,nd->n", *pair) for pair in ((ab, ab), (ab, ac), (ac, ac)))
    pb, pc = np.einsum("nd,nd->n", offset, ab), np.einsum("nd,nd->n", offset, ac)
    area = bb * cc - bc * bc
    safe = np.where(area > 1e-24, area, 1.0)
    v = np.where(area > 1e-24, (cc * pb - bc * pc) / safe, 1 / 3)
    w = np.where(area > 1e-24, (bb * pc - bc * pb) / safe, 1 / 3)
    weights = np.clip(np.stack([1 - v - w, v, w], axis=1), 0, 1)
    weights /= weights.sum(axis=1, keepdims=True)
    return Projection(np.sqrt(np.maximum(np.asarray(squared), 0)), face, weights)
