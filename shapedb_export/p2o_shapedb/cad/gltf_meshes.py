"""Flatten the scene of a glTF file into coloured parts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p2o_shapedb.cad.gltf_document import (
    GltfDocument,
    Record,
    item,
    items,
    numbers,
    open_gltf,
    read_accessor,
    uri_bytes,
    view_bytes,
    whole,
)
from p2o_shapedb.cad.mesh_colors import ImageReader, sample_nearest, srgb_from_linear, to_bytes
from p2o_shapedb.cad.mesh_part import MeshFile, MeshPart
from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.fixed_order import transformed
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray, IntArray

_TRIANGLES, _STRIP, _FAN = 4, 5, 6


def read_gltf(path: Path, limits: LoadLimits) -> MeshFile:
    """Read a .glb or .gltf file, every instance of every mesh at its place.

    Colours are material times texture times vertex colour; the last two at the vertices.

    Raises:
        InputError: Broken, larger than the limits, or a node that is in two places.
    """
    reader = _Reader(open_gltf(path, limits))
    parts = tuple(part for node in placed_nodes(reader.document.json) for part in reader.read(node))
    return MeshFile(parts, tuple(dict.fromkeys(reader.notes)))


@dataclass(frozen=True)
class PlacedNode:
    """A node that shows a mesh.

    Attributes:
        mesh: Index of the mesh.
        file_from_node: (4, 4).
        skinned: Whether a skin moves it.
        mended: Whether a transform above it was not finite and is left out.
    """

    mesh: Any
    file_from_node: FloatArray
    skinned: bool
    mended: bool


def placed_nodes(document: Record) -> Iterator[PlacedNode]:
    """Walk the scene from its roots; without scenes, from every node that is no one's child.

    Raises:
        InputError: A node is reached twice, be it by two parents or in a circle.
    """
    start: FloatArray = np.eye(4)
    waiting = [(root, start, False) for root in reversed(_roots(document))]
    seen: set[int] = set()
    while waiting:
        index, file_from_parent, mended = waiting.pop()
        node = item(document, "nodes", index)
        if index in seen:
            raise InputError(f"node {index} is reached twice; the nodes should form a tree")
        seen.add(index)
        with np.errstate(all="ignore"):
            file_from_node = transformed(file_from_parent, _node_matrix(node).T)
        if not np.isfinite(file_from_node).all():
            file_from_node, mended = file_from_parent, True
        children = reversed(items(node, "children"))
        waiting += [(child, file_from_node, mended) for child in children]
        if "mesh" in node:
            yield PlacedNode(node["mesh"], file_from_node, "skin" in node, mended)


def _roots(document: Record) -> list[Any]:
    if items(document, "scenes"):
        return items(item(document, "scenes", document.get("scene", 0)), "nodes")
    count = len(items(document, "nodes"))
    children = {
        str(child) for i in range(count) for child in items(item(document, "nodes", i), "children")
    }
    roots = [i for i in range(count) if str(i) not in children]
    if count and not roots:
        raise InputError("its nodes form a circle; they should form a tree")
    return roots


def _node_matrix(node: Record) -> FloatArray:
    if "matrix" in node:
        return numbers(node, "matrix", (0.0,) * 16).reshape(4, 4).T
    x, y, z, w = numbers(node, "rotation", (0.0, 0.0, 0.0, 1.0))
    norm = float(np.hypot(np.hypot(x, y), np.hypot(z, w)))
    x, y, z, w = np.array([x, y, z, w]) / norm if norm > 0 else (0.0, 0.0, 0.0, 1.0)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * numbers(node, "scale", (1.0, 1.0, 1.0))
    matrix[:3, 3] = numbers(node, "translation", (0.0, 0.0, 0.0))
    return matrix


class _Reader:
    """Reads the primitives of one file within its budget of vertices, triangles and pixels."""

    def __init__(self, document: GltfDocument) -> None:
        self.document = document
        self.notes: list[str] = []
        self._parts_left = document.limits.parts
        self._vertices_left = document.limits.vertices
        self._triangles_left = document.limits.triangles
        self._images = ImageReader(document.limits.image_pixels)
        self._textures: dict[str, ByteArray | None] = {}

    def read(self, node: PlacedNode) -> Iterator[MeshPart]:
        """Yield the parts of a node's mesh, placed."""
        if node.skinned:
            self.notes.append("skin not applied: the mesh is in its bind pose")
        if node.mended:
            self.notes.append("a node's transform is not finite, and left out")
        mesh = item(self.document.json, "meshes", node.mesh)
        for index in range(len(items(mesh, "primitives"))):
            part = self._part(item(mesh, "primitives", index))
            if part is not None:
                yield part.moved(node.file_from_node)

    def _part(self, primitive: Record) -> MeshPart | None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise InputError(f"has more than {self.document.limits.parts} parts")
        mode = whole(primitive, "mode", _TRIANGLES)
        if mode not in (_TRIANGLES, _STRIP, _FAN):
            self.notes.append("points or lines not read")
            return None
        attributes = primitive.get("attributes")
        if not isinstance(attributes, dict) or "POSITION" not in attributes:
            raise InputError("has a primitive without positions")
        position = read_accessor(self.document, attributes["POSITION"], self._vertices_left)
        if position.shape[1] != 3:
            raise InputError("has positions that are not three numbers each")
        self._vertices_left -= len(position)
        faces = self._faces(primitive, mode, len(position))
        self._triangles_left -= len(faces)
        colors = self._colors(primitive, attributes, len(position))
        with np.errstate(invalid="ignore"):  # some NaN count as invalid when cast
            return MeshPart(np.asarray(position, float), faces, colors)

    def _faces(self, primitive: Record, mode: int, vertex_count: int) -> IntArray:
        most = 3 * self._triangles_left if mode == _TRIANGLES else self._triangles_left + 2
        order = np.arange(vertex_count)
        if "indices" in primitive:
            indices = read_accessor(self.document, primitive["indices"], most)
            if indices.shape[1] != 1 or indices.dtype.kind not in "iu":
                raise InputError("has indices that are no whole numbers")
            order = indices[:, 0].astype(np.int64)
        elif vertex_count > most:
            raise InputError(f"has more than {self.document.limits.triangles} triangles")
        if mode == _TRIANGLES:
            if len(order) % 3:
                self.notes.append("an incomplete last triangle not read")
            return order[: len(order) // 3 * 3].reshape(-1, 3)
        if mode == _FAN:
            first = np.broadcast_to(order[:1], (max(len(order) - 2, 0),))
            return np.stack([first, order[1:-1], order[2:]], axis=-1)
        strip = np.stack([order[:-2], order[1:-1], order[2:]], axis=-1)
        strip[1::2] = strip[1::2, ::-1]
        return strip

    def _colors(self, primitive: Record, attributes: Record, count: int) -> ByteArray | None:
        """Return the colours of a primitive's vertices, (v, 3), or None without material."""
        own = self._attribute(attributes, "COLOR_0", count, (3, 4))
        if "material" not in primitive and own is None:
            return None
        material: Record = {}
        if "material" in primitive:
            material = item(self.document.json, "materials", primitive["material"])
        factor, texture = _base_color(material)
        colors = np.tile(srgb_from_linear(factor), (count, 1))
        if own is not None:
            colors = colors * srgb_from_linear(np.asarray(own[:, :3], float))
        if texture is not None:
            image = self._texture(texture)
            uv = self._attribute(
                attributes, f"TEXCOORD_{whole(texture, 'texCoord', 0)}", count, (2,)
            )
            if image is not None and uv is not None:
                colors = colors * sample_nearest(image, _transformed(texture, uv)) / 255.0
        return to_bytes(colors)

    def _attribute(
        self, attributes: Record, name: str, count: int, widths: tuple[int, ...]
    ) -> FloatArray | None:
        """Read an attribute of looks; a broken one is noted and left out."""
        if name not in attributes:
            return None
        try:
            values = read_accessor(self.document, attributes[name], count)
        except InputError as error:
            self.notes.append(f"{name} not read: {error}")
            return None
        if len(values) != count or values.shape[1] not in widths:
            self.notes.append(f"{name} not read: it does not fit the positions")
            return None
        return values

    def _texture(self, texture: Record) -> ByteArray | None:
        key = str(texture.get("index"))
        if key not in self._textures:
            if len(self._textures) >= self.document.limits.texture_files:
                self.notes.append(f"only {len(self._textures)} textures read")
                return None
            try:
                self._textures[key] = self._images.decode(self._image_bytes(texture))
            except InputError as error:
                self.notes.append(f"texture {key[:10]} not read: {error}")
                self._textures[key] = None
        return self._textures[key]

    def _image_bytes(self, reference: Record) -> bytes:
        document = self.document
        texture = item(document.json, "textures", reference.get("index"))
        source = texture.get("source")
        for extension in _records(texture.get("extensions")):
            source = extension.get("source", source)
        image = item(document.json, "images", source)
        if "uri" in image:
            return uri_bytes(document, image["uri"])
        return bytes(view_bytes(document, image.get("bufferView")))


def _base_color(material: Record) -> tuple[FloatArray, Record | None]:
    """Return a material's linear colour, (3,), and its reference to a texture."""
    names = ("baseColorFactor", "baseColorTexture")
    record = material.get("pbrMetallicRoughness")
    extensions = material.get("extensions")
    if record is None and isinstance(extensions, dict):
        record = extensions.get("KHR_materials_pbrSpecularGlossiness")
        names = ("diffuseFactor", "diffuseTexture")
    if not isinstance(record, dict):
        return np.ones(3), None
    texture = record.get(names[1])
    return (
        numbers(record, names[0], (1.0, 1.0, 1.0, 1.0))[:3],
        texture if isinstance(texture, dict) else None,
    )


def _transformed(texture: Record, uv: FloatArray) -> FloatArray:
    """Apply KHR_texture_transform: scale, turn, shift."""
    extensions = texture.get("extensions")
    transform = extensions.get("KHR_texture_transform") if isinstance(extensions, dict) else None
    if not isinstance(transform, dict):
        return uv
    angle = numbers({"rotation": [transform.get("rotation", 0.0)]}, "rotation", (0.0,))[0]
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    scaled = uv * numbers(transform, "scale", (1.0, 1.0))
    return np.asarray(scaled @ turn.T + numbers(transform, "offset", (0.0, 0.0)))


def _records(value: Any) -> list[Record]:
    return [v for v in value.values() if isinstance(v, dict)] if isinstance(value, dict) else []
