"""Turn faces of any number of corners, with colours per vertex or face, into a mesh part."""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.cad.mesh_part import MeshPart
from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.cad.polygons import Polygons, triangulate
from points2objects.errors import InputError, check_shape
from points2objects.geometry import ByteArray, FloatArray, IntArray


@dataclass(frozen=True)
class Surface:
    """What a file says of its faces.

    Attributes:
        vertices: (v, 3).
        polygons: The faces.
        vertex_colors: (v, 3) uint8 sRGB, or None.
        face_colors: (f, 3) uint8 sRGB, or None; they win over those of vertices.
    """

    vertices: FloatArray
    polygons: Polygons
    vertex_colors: ByteArray | None = None
    face_colors: ByteArray | None = None

    def __post_init__(self) -> None:
        sizes = check_shape("vertices", self.vertices, "v 3") | {"f": len(self.polygons.counts)}
        if self.vertex_colors is not None:
            check_shape("vertex_colors", self.vertex_colors, "v 3", sizes)
        if self.face_colors is not None:
            check_shape("face_colors", self.face_colors, "f 3", sizes)

    def part(self, limits: LoadLimits) -> MeshPart:
        """Return its triangles; vertices between faces of different colours come several times.

        Raises:
            InputError: Broken faces, or more than the limits allow.
        """
        check_triangles(self.polygons.counts, limits)
        cut = triangulate(self.vertices, self.polygons)
        corners = self.polygons.corners[cut.corners]
        if self.face_colors is None:
            return MeshPart(self.vertices, corners, self.vertex_colors)
        packed = self.face_colors.astype(np.int64) @ [1 << 16, 1 << 8, 1]
        split = split_vertices(corners, np.repeat(packed[cut.faces, None], 3, axis=1))
        colors = split.tags[:, None] >> np.array([16, 8, 0]) & 255
        return MeshPart(self.vertices[split.vertices], split.faces, colors.astype(np.uint8))


def check_triangles(counts: IntArray, limits: LoadLimits) -> None:
    """Refuse faces that make too many triangles, before any is made.

    Raises:
        InputError: More than the limits allow.
    """
    total = int(np.maximum(counts - 2, 0).sum())
    if total > limits.triangles:
        raise InputError(f"has {total} triangles; at most {limits.triangles} are read")


@dataclass(frozen=True)
class SplitVertices:
    """Vertices, one for each vertex and tag that occur together.

    Attributes:
        faces: Triangles of the new vertices, (t, 3).
        vertices: Old vertex of each, (n,).
        tags: Tag of each, (n,).
    """

    faces: IntArray
    vertices: IntArray
    tags: IntArray


def split_vertices(corners: IntArray, tags: IntArray) -> SplitVertices:
    """Give every corner's vertex and tag one new vertex.

    Args:
        corners: Vertices of triangles, (t, 3).
        tags: What else the corners have (a colour, a texture coordinate), (t, 3), not negative.
    """
    width = int(tags.max(initial=0)) + 1
    keys, faces = np.unique(corners.astype(np.int64) * width + tags, return_inverse=True)
    return SplitVertices(faces.reshape(-1, 3), keys // width, keys % width)
