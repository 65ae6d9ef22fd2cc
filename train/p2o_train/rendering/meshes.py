"""Meshes ready to draw: few triangles, normals with creases, and parts that can be coloured."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from p2o_shapedb.database import CanonicalMesh
from points2objects.errors import check_shape
from points2objects.geometry import CORNER_SIGNS, ByteArray, FloatArray, IntArray

CREASE_COSINE = 0.7
PALETTE_SIZE = 4
COARSE_TRIANGLES = 400


@dataclass(frozen=True)
class RenderMesh:
    """Triangles in the canonical cube as the renderer takes them.

    Attributes:
        positions: (v, 3) float32.
        normals: (v, 3) float32, unit in the metric shape, written in cube coordinates.
        colors: (v, 3) uint8 RGB.
        parts: (v,) uint8, index of a part's colour in a palette of four.
        faces: (f, 3) int32.
        outline: (f, 3) int32, the same triangles, over one vertex for each place: for passes that
            need no normals, where shared vertices save most of the work.
        coarse: (g, 3) int32, fewer of them: for soft shadows.
        has_color: Whether `colors` come from the model.
    """

    positions: FloatArray
    normals: FloatArray
    colors: ByteArray
    parts: ByteArray
    faces: IntArray
    outline: IntArray
    coarse: IntArray
    has_color: bool

    def __post_init__(self) -> None:
        sizes = check_shape("positions", self.positions, "v 3")
        check_shape("normals", self.normals, "v 3", sizes)
        check_shape("colors", self.colors, "v 3", sizes)
        check_shape("parts", self.parts, "v", sizes)
        sizes |= check_shape("faces", self.faces, "f 3")
        check_shape("outline", self.outline, "f 3", sizes)
        check_shape("coarse", self.coarse, "g 3")


def prepare_mesh(mesh: CanonicalMesh, extent: FloatArray, max_triangles: int) -> RenderMesh:
    """Simplify a canonical mesh and give it parts and normals.

    Args:
        mesh: Mesh in the canonical cube.
        extent: Natural size (3,), m: normals and simplification belong to the metric shape.
        max_triangles: Larger meshes are simplified to about this many.
    """
    welded = weld(mesh.vertices * extent, mesh.faces)
    parts = part_of_vertex(welded.faces, len(welded.vertices))
    faces = simplify(welded.vertices, welded.faces, max_triangles)
    normals = corner_normals(welded.vertices, faces)
    corner = faces.ravel()
    first, vertex = _distinct(corner, normals)
    place = np.zeros(len(welded.vertices), np.int32)
    place[corner[first]] = np.arange(len(first), dtype=np.int32)
    source = welded.source[corner[first]]
    positions = np.asarray(mesh.vertices[source], np.float32)
    outline = place[faces]
    # A normal transforms with the inverse of the stretch from the cube to the metric shape.
    return RenderMesh(
        positions=positions,
        normals=np.asarray(normals[first] * extent, np.float32),
        colors=mesh.colors[source],
        parts=parts[corner[first]],
        faces=vertex.reshape(-1, 3),
        outline=outline,
        coarse=simplify(positions, outline, COARSE_TRIANGLES, allowed=0.02),
        has_color=mesh.has_color,
    )


def _distinct(corner: IntArray, normals: FloatArray) -> tuple[IntArray, IntArray]:
    """Join face corners of one vertex and normal.

    Args:
        corner: Vertex of each corner, (c,).
        normals: Unit normal of each corner, (c, 3).

    Returns:
        First corner of each distinct pair, (v,), and the pair of each corner, (c,) int32.
    """
    steps = np.round(normals * 100 + 100).astype(np.int64)
    keys = corner.astype(np.int64) << 24 | steps @ np.array([1 << 16, 1 << 8, 1])
    _, first, pair = np.unique(keys, return_index=True, return_inverse=True)
    return first, pair.astype(np.int32)


@dataclass(frozen=True)
class Welded:
    """A mesh whose coincident vertices are one.

    Attributes:
        vertices: (u, 3).
        faces: (f, 3), into `vertices`; degenerate faces are dropped.
        source: (u,), index of one original vertex at each place.
    """

    vertices: FloatArray
    faces: IntArray
    source: IntArray


def weld(vertices: FloatArray, faces: IntArray) -> Welded:
    """Join vertices that lie within 1e-5 of the mesh's size."""
    step = 1e-5 * float(np.ptp(vertices, axis=0).max())
    steps = np.round((vertices - vertices.min(0)) / step).astype(np.int64)
    keys = steps @ np.array([1 << 40, 1 << 20, 1])
    _, source, renamed = np.unique(keys, return_index=True, return_inverse=True)
    joined = renamed.reshape(-1)[faces]
    a, b, c = joined.T
    joined = joined[(a != b) & (b != c) & (c != a)]
    return Welded(vertices[source], joined.astype(np.int32), source)


def part_of_vertex(faces: IntArray, count: int) -> ByteArray:
    """Number the connected pieces of a mesh by size, modulo the palette; alike pieces share one.

    Args:
        faces: (f, 3).
        count: Number of vertices, v.

    Returns:
        (v,), 0 for the largest pieces.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, piece = connected_components(graph, directed=False)
    size = np.bincount(piece)
    # Legs of one chair have equally many vertices, and should look alike.
    rank = np.unique(-size, return_inverse=True)[1] % PALETTE_SIZE
    return np.asarray(rank[piece], np.uint8)


def simplify(
    vertices: FloatArray, faces: IntArray, max_triangles: int, allowed: float = 1.0
) -> IntArray:
    """Collapse edges until about `max_triangles` are left; returns faces over the same vertices.

    Args:
        vertices: (v, 3).
        faces: (f, 3).
        max_triangles: How many to aim at.
        allowed: Largest error, as a share of the mesh's size; it may leave more triangles.
    """
    if len(faces) <= max_triangles:
        return faces
    import meshoptimizer

    points = np.ascontiguousarray(vertices, np.float32)
    indices = np.ascontiguousarray(faces, np.uint32).ravel()
    target = 3 * max_triangles
    tries: list[tuple[Callable[..., int], float]] = [(meshoptimizer.simplify, min(allowed, 0.05))]
    if allowed > 0.05:
        tries.append((meshoptimizer.simplify_sloppy, 0.05))
    for function, error in tries:
        out = np.zeros_like(indices)
        count = function(out, indices, points, target_index_count=target, target_error=error)
        indices = np.ascontiguousarray(out[:count]) if count else indices
        if len(indices) <= 1.5 * target:
            break
    return indices.reshape(-1, 3).astype(np.int32)


def corner_normals(vertices: FloatArray, faces: IntArray) -> FloatArray:
    """Return a unit normal for each face corner, (3 f, 3), smooth except across creases."""
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    weighted = np.cross(b - a, c - a)
    unit = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-20)
    corner_vertex = faces.ravel()
    corner_face = np.repeat(np.arange(len(faces)), 3)
    order = np.argsort(corner_vertex, kind="stable")
    counts = np.bincount(corner_vertex, minlength=len(vertices))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    # Every pair of corners at one vertex: corner `left` may take the normal of `right`'s face.
    repeats = counts[corner_vertex]
    left = np.repeat(np.arange(corner_vertex.size), repeats)
    within = np.arange(left.size) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    right = order[starts[corner_vertex[left]] + within]
    smooth = (unit[corner_face[left]] * unit[corner_face[right]]).sum(1) > CREASE_COSINE
    normals = unit[corner_face] * 1e-12
    for axis in range(3):
        normals[:, axis] += np.bincount(
            left[smooth], weighted[corner_face[right[smooth]], axis], corner_vertex.size
        )
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30))


def primitive(kind: str) -> RenderMesh:
    """Make a "box", "cylinder", "cone" or "ball" that fills the canonical cube."""
    if kind == "box":
        vertices = CORNER_SIGNS
        quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
        faces = np.array([[q[0], q[i], q[i + 1]] for q in quads for i in (1, 2)])
    else:
        height = np.linspace(-0.5, 0.5, 13 if kind == "ball" else 2)
        radius = {
            "cylinder": np.full_like(height, 0.5),
            "cone": 0.5 - 0.49 * (height + 0.5),
            "ball": np.sqrt(np.maximum(0.25 - height**2, 1e-6)),
        }[kind]
        vertices, faces = _revolve(radius, height)
    colors = np.full((len(vertices), 3), 160, np.uint8)
    mesh = CanonicalMesh(vertices.astype(np.float32), faces.astype(np.int32), colors, False)
    return prepare_mesh(mesh, np.ones(3), max_triangles=10_000)


def _revolve(radius: FloatArray, height: FloatArray) -> tuple[FloatArray, IntArray]:
    segments = 28
    angle = np.arange(segments) * 2 * np.pi / segments
    ring = np.stack([np.cos(angle), 0 * angle, -np.sin(angle)], -1)
    rings = [r * ring + [0, y, 0] for r, y in zip(radius, height, strict=True)]
    ends = [np.array([[0, height[0], 0]]), np.array([[0, height[-1], 0]])]
    vertices = np.concatenate([*rings, *ends])
    faces, bottom = [], len(rings) * segments
    for i in range(segments):
        j = (i + 1) % segments
        for level in range(0, bottom - segments, segments):
            a, b, c, d = level + i, level + j, level + segments + i, level + segments + j
            faces += [[a, b, d], [a, d, c]]
        last = bottom - segments
        faces += [[bottom, j, i], [bottom + 1, last + i, last + j]]
    return vertices, np.array(faces)
