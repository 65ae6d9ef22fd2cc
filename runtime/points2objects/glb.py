"""Read exemplar packs from, and write scenes to, binary glTF 2.0, with NumPy alone.

Reading covers what packs hold: triangle meshes, plain float or KHR_mesh_quantization, node
hierarchies. Writing makes plain float meshes, which every viewer opens.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError, check_shape
from points2objects.glb_container import COMPONENTS, join_chunks, split_chunks

Color = tuple[float, float, float, float]
_COMPONENT_CODES = {np.dtype(name): code for code, name in COMPONENTS.items()}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_TRIANGLES = 4
_READABLE_EXTENSIONS = {"KHR_mesh_quantization"}


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh of one colour.

    Attributes:
        vertices: (v, 3) float32.
        normals: (v, 3) float32, unit length.
        faces: (f, 3) uint32, counter-clockwise seen from outside.
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
        if self.faces.size and int(self.faces.max()) >= len(self.vertices):
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


@dataclass(frozen=True, eq=False)
class Instance:
    """One placed mesh: `x_world = rotate(rotation, scale * x_mesh) + translation`.

    Attributes:
        mesh: What to draw; instances of the same `Mesh` object share its data in the file.
        translation: (3,), m.
        rotation: (4,), unit quaternion x y z w.
        scale: (3,), positive.
        name: Name of the node.
        extras: JSON values for the node.
    """

    mesh: Mesh
    translation: npt.NDArray[np.floating[Any]]
    rotation: npt.NDArray[np.floating[Any]]
    scale: npt.NDArray[np.floating[Any]]
    name: str
    extras: Mapping[str, Any]


def decode_glb(data: bytes, name: str) -> GlbFile:
    """Read the triangle meshes of a binary glTF's default scene.

    Args:
        data: The file.
        name: What to call it in messages.

    Raises:
        InputError: Not a GLB, truncated, or made with features this reader does not know.
    """
    try:
        text, chunk = split_chunks(data)
        document, binary = json.loads(text), chunk or b""
        unknown = set(document.get("extensionsRequired", ())) - _READABLE_EXTENSIONS
        if unknown:
            raise ValueError(f"it needs {', '.join(sorted(unknown))}")
        meshes = tuple(_read_nodes(document, binary))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{name}: not a GLB this version reads ({error}); export it again as plain or "
            "KHR_mesh_quantization triangles (export_pack.py: --compression none)"
        ) from error
    asset = document.get("asset", {})
    return GlbFile(meshes, asset.get("extras", {}), asset.get("copyright", ""))


def encode_glb(
    instances: Sequence[Instance], extras: Mapping[str, Any], copyright_line: str = ""
) -> bytes:
    """Return a binary glTF with one node per instance; metres, +Y up.

    Args:
        instances: May be empty: the file is then an empty scene.
        extras: JSON values for `asset.extras`.
        copyright_line: Credits for `asset.copyright`.
    """
    writer = _Writer()
    nodes = [
        {
            "name": instance.name,
            "mesh": writer.add_mesh(instance.mesh),
            "translation": [float(v) for v in instance.translation],
            "rotation": [float(v) for v in instance.rotation],
            "scale": [float(v) for v in instance.scale],
            "extras": dict(instance.extras),
        }
        for instance in instances
    ]
    asset: dict[str, Any] = {"version": "2.0", "generator": "points2objects"}
    if copyright_line:
        asset["copyright"] = copyright_line
    asset["extras"] = dict(extras)
    scene: dict[str, Any] = {"name": "scene"}
    document: dict[str, Any] = {"asset": asset, "scene": 0, "scenes": [scene]}
    if nodes:  # glTF forbids empty arrays.
        scene["nodes"] = list(range(len(nodes)))
        document |= {"nodes": nodes} | writer.tables()
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return join_chunks(text.encode(), bytes(writer.binary))


def unit_normals(
    vertices: npt.NDArray[np.float32], faces: npt.NDArray[np.uint32]
) -> npt.NDArray[np.float32]:
    """Return area-weighted vertex normals, (v, 3), of vertices (v, 3) and faces (f, 3)."""
    corners = vertices[faces].astype(np.float64)
    per_face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros(vertices.shape)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], per_face)
    return _unit(normals)


def _unit(vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Normalise (v, 3); a vector without a direction becomes +y, which viewers accept."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    safe = np.where(lengths > 1e-20, vectors, [0.0, 1.0, 0.0])
    return np.asarray(safe / np.where(lengths > 1e-20, lengths, 1.0), dtype=np.float32)


def _read_nodes(document: dict[str, Any], binary: bytes) -> list[Mesh]:
    """Walk the default scene depth first, so that the order of a flat pack is kept."""
    nodes = document.get("nodes", [])
    found: list[Mesh] = []

    def visit(index: int, scene_from_parent: npt.NDArray[np.float64]) -> None:
        node = nodes[index]
        scene_from_node = scene_from_parent @ _node_matrix(node)
        if "mesh" in node:
            found.append(_read_mesh(document, binary, node, scene_from_node))
        for child in node.get("children", ()):
            visit(child, scene_from_node)

    for root in document["scenes"][document.get("scene", 0)].get("nodes", ()):
        visit(root, np.eye(4))
    return found


def _node_matrix(node: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    if "matrix" in node:
        return np.array(node["matrix"], dtype=float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(node.get("scale", (1.0, 1.0, 1.0)))
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix


def _read_mesh(
    document: dict[str, Any],
    binary: bytes,
    node: Mapping[str, Any],
    scene_from_node: npt.NDArray[np.float64],
) -> Mesh:
    linear = scene_from_node[:3, :3]
    all_vertices, all_normals, all_faces, count = [], [], [], 0
    primitives = document["meshes"][node["mesh"]]["primitives"]
    for primitive in primitives:
        if primitive.get("mode", _TRIANGLES) != _TRIANGLES:
            raise ValueError("a mesh that is not made of triangles")
        attributes = primitive["attributes"]
        local = _read_accessor(document, binary, attributes["POSITION"])
        vertices = (local @ linear.T + scene_from_node[:3, 3]).astype(np.float32)
        faces = (
            _read_accessor(document, binary, primitive["indices"])
            if "indices" in primitive
            else np.arange(len(vertices))
        )
        faces = faces.reshape(-1, 3).astype(np.uint32)
        normals = (
            _unit(_read_accessor(document, binary, attributes["NORMAL"]) @ np.linalg.inv(linear))
            if "NORMAL" in attributes
            else unit_normals(vertices, faces)
        )
        all_vertices.append(vertices)
        all_normals.append(normals)
        all_faces.append(faces + np.uint32(count))
        count += len(vertices)
    return Mesh(
        np.concatenate(all_vertices),
        np.concatenate(all_normals),
        np.concatenate(all_faces),
        _base_color(document, primitives[0]),
        node.get("name", ""),
        node.get("extras", {}),
    )


def _base_color(document: Mapping[str, Any], primitive: Mapping[str, Any]) -> Color:
    if "material" not in primitive:
        return Mesh.color
    surface = document["materials"][primitive["material"]].get("pbrMetallicRoughness", {})
    r, g, b, a = surface.get("baseColorFactor", (1.0, 1.0, 1.0, 1.0))
    return (float(r), float(g), float(b), float(a))


def _read_accessor(document: Mapping[str, Any], binary: bytes, index: int) -> npt.NDArray[Any]:
    """Return an accessor's values, (n, width); normalised integers come as -1..1 or 0..1."""
    accessor = document["accessors"][index]
    if "sparse" in accessor or "bufferView" not in accessor:
        raise ValueError("sparse accessors")
    view = document["bufferViews"][accessor["bufferView"]]
    dtype, width = np.dtype(COMPONENTS[accessor["componentType"]]), _WIDTHS[accessor["type"]]
    values: npt.NDArray[Any] = np.ndarray(
        (accessor["count"], width),
        dtype,
        binary,
        view.get("byteOffset", 0) + accessor.get("byteOffset", 0),
        (view.get("byteStride", dtype.itemsize * width), dtype.itemsize),
    )
    if accessor.get("normalized", False):
        return np.maximum(values / np.iinfo(dtype).max, -1.0)
    return values.astype(np.uint32 if width == 1 else np.float64)


class _Writer:
    """Collects meshes and their bytes; each mesh and each colour is written once."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []
        self._meshes: list[dict[str, Any]] = []
        self._mesh_index: dict[int, int] = {}
        self._materials: dict[Color, int] = {}

    def add_mesh(self, mesh: Mesh) -> int:
        if id(mesh) not in self._mesh_index:
            self._mesh_index[id(mesh)] = len(self._meshes)
            vertices = np.asarray(mesh.vertices, dtype="<f4")
            wide = len(vertices) > 65535
            position = self._add_array(vertices, _ARRAY_BUFFER, "VEC3")
            self._accessors[position]["min"] = vertices.min(axis=0).tolist()
            self._accessors[position]["max"] = vertices.max(axis=0).tolist()
            attributes = {
                "POSITION": position,
                "NORMAL": self._add_array(mesh.normals.astype("<f4"), _ARRAY_BUFFER, "VEC3"),
            }
            faces = mesh.faces.reshape(-1).astype("<u4" if wide else "<u2")
            primitive = {
                "attributes": attributes,
                "indices": self._add_array(faces, _ELEMENT_ARRAY_BUFFER, "SCALAR"),
                "material": self._materials.setdefault(mesh.color, len(self._materials)),
            }
            self._meshes.append({"name": mesh.name, "primitives": [primitive]})
        return self._mesh_index[id(mesh)]

    def tables(self) -> dict[str, Any]:
        materials = [
            {
                "pbrMetallicRoughness": {
                    "baseColorFactor": list(color),
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.9,
                },
                "doubleSided": True,
            }
            for color in self._materials
        ]
        return {
            "meshes": self._meshes,
            "materials": materials,
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": len(self.binary)}],
        }

    def _add_array(self, array: npt.NDArray[Any], target: int, kind: str) -> int:
        self.binary += b"\0" * (-len(self.binary) % 4)
        self._views.append(
            {
                "buffer": 0,
                "byteOffset": len(self.binary),
                "byteLength": array.nbytes,
                "target": target,
            }
        )
        self._accessors.append(
            {
                "bufferView": len(self._views) - 1,
                "componentType": _COMPONENT_CODES[array.dtype],
                "count": len(array),
                "type": kind,
            }
        )
        self.binary += array.tobytes()
        return len(self._accessors) - 1
