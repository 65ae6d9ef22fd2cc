"""Meshes, and how to read them from binary glTF 2.0 with NumPy alone.

Reading covers what packs hold: triangle meshes, plain float or KHR_mesh_quantization, node
hierarchies. The file may come from anywhere: every index, offset and count is checked against what
is there before anything is allocated, so that a small file cannot take much memory or time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError, check_shape
from points2objects.glb_container import COMPONENTS, split_chunks
from points2objects.strict_json import as_items, as_table, as_text, as_whole, parse_json

MOST_JSON_BYTES = 8 << 20
MOST_VALUES = 8_000_000
"""Numbers that all meshes of a file may hold together, counted once for each use: 64 MB."""
PART_VALUES, NODE_VALUES = 800, 100
"""What a part of a mesh and a node count as besides, for the time that they take."""
MOST_METRES = 1e6
"""Farthest coordinate, in the scene's unit."""

Color = tuple[float, float, float, float]

_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_TRIANGLES = 4
_READABLE_EXTENSIONS = {"KHR_mesh_quantization"}
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading a broken document may raise; `InputError` is a `ValueError`."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh of one colour.

    Attributes:
        vertices: (v, 3) float32, finite.
        normals: (v, 3) float32, unit length.
        faces: (f, 3) uint32, counter-clockwise seen from outside; at least one.
        color: Linear RGBA, 0..1.
        name: Name of the mesh.
        extras: JSON values that travel with it (class, source, licence, attribution, ...).
    """

    vertices: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]
    faces: npt.NDArray[np.uint32]
    color: Color = (0.8, 0.8, 0.8, 1.0)
    name: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = check_shape("vertices", self.vertices, "v 3")
        check_shape("normals", self.normals, "v 3", sizes)
        check_shape("faces", self.faces, "f 3")
        if not len(self.faces):
            raise InputError(f"mesh {self.name}: has no triangles")
        if not (np.isfinite(self.vertices).all() and np.isfinite(self.normals).all()):
            raise InputError(f"mesh {self.name}: vertices and normals must be finite numbers")
        if len(self.color) != 4 or not all(0 <= value <= 1 for value in self.color):
            raise InputError(f"mesh {self.name}: colour must be RGBA in 0..1, got {self.color}")
        if int(self.faces.max()) >= len(self.vertices):
            raise InputError(f"mesh {self.name}: a face names a vertex that is not there")


@dataclass(frozen=True, eq=False)
class GlbFile:
    """What `decode_glb` finds in a file.

    Attributes:
        meshes: One per mesh node of the scene, node transforms applied; name and extras are the
            node's.
        extras: `asset.extras`.
        copyright: `asset.copyright`, or "".
    """

    meshes: tuple[Mesh, ...]
    extras: Mapping[str, Any]
    copyright: str


def decode_glb(data: bytes, name: str) -> GlbFile:
    """Read the triangle meshes of a binary glTF's default scene.

    Args:
        data: The file.
        name: What to call it in messages.

    Raises:
        InputError: Not a GLB, truncated, damaged, larger than a pack can be, or made with features
            that this reader does not know.
    """
    try:
        text, chunk = split_chunks(data)
        reader = _Reader(as_table("the document", parse_json(text, MOST_JSON_BYTES)), chunk or b"")
        # Numbers that overflow become infinite, and `Mesh` refuses those.
        with np.errstate(all="ignore"):
            return reader.file()
    except _DAMAGE as error:
        raise InputError(
            f"{name}: not a GLB this version reads ({_reason(error)}); export it again as plain or "
            "KHR_mesh_quantization triangles (export_pack.py: --compression none)"
        ) from error


def unit_normals(
    vertices: npt.NDArray[np.float32], faces: npt.NDArray[np.uint32]
) -> npt.NDArray[np.float32]:
    """Return area-weighted vertex normals, (v, 3), of vertices (v, 3) and faces (f, 3)."""
    corners = vertices[faces].astype(np.float64)
    per_face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros(vertices.shape)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], per_face)
    return unit_vectors(normals)


def unit_vectors(vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Normalise (v, 3); a vector without a direction becomes +y, which viewers accept."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    safe = np.where(lengths > 1e-20, vectors, [0.0, 1.0, 0.0])
    return np.asarray(safe / np.where(lengths > 1e-20, lengths, 1.0), dtype=np.float32)


@dataclass(frozen=True)
class _Span:
    """Where the values of an accessor lie."""

    dtype: np.dtype[Any]
    count: int
    width: int
    start: int
    stride: int


class _Reader:
    """One file; counts what has been read of it."""

    def __init__(self, document: Mapping[str, Any], binary: bytes) -> None:
        self._document = document
        self._binary = binary
        self._left = MOST_VALUES

    def file(self) -> GlbFile:
        unknown = set(self._document.get("extensionsRequired", ())) - _READABLE_EXTENSIONS
        if unknown:
            raise ValueError(f"it needs {', '.join(sorted(map(str, unknown)))}")
        asset = as_table("asset", self._document.get("asset", {}))
        return GlbFile(
            tuple(self._mesh(node, matrix) for node, matrix in self._nodes()),
            as_table("asset.extras", asset.get("extras", {})),
            as_text("asset.copyright", asset.get("copyright", "")),
        )

    def _nodes(self) -> Iterator[tuple[Mapping[str, Any], npt.NDArray[np.float64]]]:
        """Walk the default scene depth first, so that the order of a flat pack is kept."""
        scene = self._entry("scenes", self._document.get("scene", 0))
        waiting = self._placed(scene.get("nodes", []), np.eye(4))
        seen: set[int] = set()
        while waiting:
            index, scene_from_parent = waiting.pop()
            node = self._entry("nodes", index)
            if index in seen:
                raise ValueError(f"node {index} is named twice; nodes must form a tree")
            seen.add(index)
            scene_from_node = scene_from_parent @ _node_matrix(node)
            if "mesh" in node:
                yield node, scene_from_node
            waiting += self._placed(node.get("children", []), scene_from_node)

    def _placed(
        self, children: Any, scene_from_parent: npt.NDArray[np.float64]
    ) -> list[tuple[Any, npt.NDArray[np.float64]]]:
        """Return nodes that a node names, last first, with where they stand."""
        indices = as_items("a list of nodes", children)
        self._count(NODE_VALUES * len(indices))
        return [(index, scene_from_parent) for index in reversed(indices)]

    def _mesh(self, node: Mapping[str, Any], scene_from_node: npt.NDArray[np.float64]) -> Mesh:
        primitives = as_items("primitives", self._entry("meshes", node["mesh"])["primitives"])
        vertices, normals, faces, count = [], [], [], 0
        for primitive in primitives:
            part = self._primitive(as_table("a primitive", primitive), scene_from_node)
            vertices.append(part[0])
            normals.append(part[1])
            faces.append(part[2] + np.uint32(count))
            count += len(part[0])
        if not primitives:
            raise ValueError("a mesh without primitives")
        return Mesh(
            np.concatenate(vertices),
            np.concatenate(normals),
            np.concatenate(faces),
            self._base_color(primitives[0]),
            as_text("a node's name", node.get("name", "")),
            as_table("a node's extras", node.get("extras", {})),
        )

    def _primitive(
        self, primitive: Mapping[str, Any], scene_from_node: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Return vertices and normals in the scene, and faces."""
        if primitive.get("mode", _TRIANGLES) != _TRIANGLES:
            raise ValueError("a mesh that is not made of triangles")
        self._count(PART_VALUES)
        linear = scene_from_node[:3, :3]
        attributes = as_table("attributes", primitive["attributes"])
        local = self._vectors(attributes["POSITION"])
        placed = local @ linear.T + scene_from_node[:3, 3]
        if not (np.abs(placed) <= MOST_METRES).all():
            raise ValueError(f"vertices that are no numbers or beyond {MOST_METRES:g}")
        vertices = placed.astype(np.float32)
        faces = self._faces(primitive, len(vertices))
        if "NORMAL" not in attributes:
            return vertices, unit_normals(vertices, faces), faces
        if not abs(np.linalg.det(linear)) > 1e-30:
            raise ValueError("a node that scales its mesh to nothing")
        normals = self._vectors(attributes["NORMAL"]) @ np.linalg.inv(linear)
        return vertices, unit_vectors(normals), faces

    def _faces(self, primitive: Mapping[str, Any], n_vertices: int) -> npt.NDArray[np.uint32]:
        if "indices" not in primitive:
            corners: npt.NDArray[Any] = np.arange(n_vertices)
        else:
            span = self._span(primitive["indices"])
            if span.width != 1 or span.dtype.kind != "u":
                raise ValueError("indices that are no whole numbers")
            corners = self._values(span)
        if corners.max(initial=0) >= n_vertices:
            raise ValueError("a face names a vertex that is not there")
        return corners.reshape(-1, 3).astype(np.uint32)

    def _vectors(self, index: Any) -> npt.NDArray[np.float64]:
        """Return an accessor's vectors, (n, 3); normalised integers come as -1..1 or 0..1."""
        span = self._span(index)
        if span.width != 3:
            raise ValueError("positions or normals that are no VEC3")
        values = self._values(span).astype(np.float64)
        if not self._entry("accessors", index).get("normalized", False):
            return values
        return np.maximum(values / np.iinfo(span.dtype).max, -1.0)

    def _count(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise ValueError(f"more meshes than a pack can have: over {MOST_VALUES} numbers")

    def _values(self, span: _Span) -> npt.NDArray[Any]:
        """Return a view of the file, (n, width); counts it, so that repeats are not free."""
        self._count(span.count * span.width)
        shape, strides = (span.count, span.width), (span.stride, span.dtype.itemsize)
        return np.ndarray(shape, span.dtype, self._binary, span.start, strides)

    def _span(self, index: Any) -> _Span:
        """Find the values of an accessor and check that they lie inside the file."""
        accessor = self._entry("accessors", index)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise ValueError("sparse accessors")
        view = self._entry("bufferViews", accessor["bufferView"])
        if view.get("buffer", 0) != 0:
            raise ValueError("a buffer outside the file")
        dtype = np.dtype(COMPONENTS[as_whole("componentType", accessor["componentType"])])
        width = _WIDTHS[as_text("an accessor's type", accessor["type"])]
        count = as_whole("an accessor's count", accessor["count"], least=1)
        size = dtype.itemsize * width
        stride = as_whole("byteStride", view.get("byteStride", size), least=size)
        offset = as_whole("byteOffset", accessor.get("byteOffset", 0))
        start = as_whole("byteOffset", view.get("byteOffset", 0))
        length = as_whole("byteLength", view["byteLength"])
        if start + length > len(self._binary) or offset + stride * (count - 1) + size > length:
            raise ValueError(f"accessor {index} reaches beyond its bytes")
        return _Span(dtype, count, width, start + offset, stride)

    def _base_color(self, primitive: Mapping[str, Any]) -> Color:
        if "material" not in primitive:
            return Mesh.color
        material = self._entry("materials", primitive["material"])
        surface = as_table("a material", material.get("pbrMetallicRoughness", {}))
        r, g, b, a = map(float, surface.get("baseColorFactor", (1.0, 1.0, 1.0, 1.0)))
        return (r, g, b, a)

    def _entry(self, name: str, index: Any) -> Mapping[str, Any]:
        entries = as_items(name, self._document[name])
        if as_whole(f"an index into {name}", index) >= len(entries):
            raise ValueError(f"it names number {index} of {len(entries)} {name}")
        return as_table(f"an entry of {name}", entries[index])


def _node_matrix(node: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    if "matrix" in node:
        return np.array(node["matrix"], dtype=float).reshape(4, 4).T
    x, y, z, w = map(float, node.get("rotation", (0.0, 0.0, 0.0, 1.0)))
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(node.get("scale", (1.0, 1.0, 1.0)), dtype=float)
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
