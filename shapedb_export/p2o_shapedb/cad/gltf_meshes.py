"""Flatten the scene of a glTF file into coloured parts."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from p2o_shapedb.cad.gltf_document import (
    GltfDocument,
    Record,
    compressed,
    item,
    items,
    numbers,
    open_gltf,
    read_accessor,
    uri_bytes,
    view_bytes,
    whole,
)
from p2o_shapedb.cad.gltf_nodes import PlacedNode, SceneNodes, extension, walk_scene
from p2o_shapedb.cad.gltf_pose import Skin, Target, instances, morph_weights, read_skin, targets
from p2o_shapedb.cad.mesh_colors import ImageReader, sample_nearest, srgb_from_linear, to_bytes
from p2o_shapedb.cad.mesh_part import MeshFile, MeshPart
from p2o_shapedb.cad.model_folder import LoadLimits
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray, IntArray

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_MOST_JOINT_SETS = 8


def read_gltf(path: Path, limits: LoadLimits) -> MeshFile:
    """Read a .glb or .gltf file, every instance of every mesh at its place.

    Colours are material times texture times vertex colour; the last two at the vertices.

    Raises:
        InputError: Broken, larger than the limits, or a node that is in two places.
    """
    document = open_gltf(path, limits)
    scene = walk_scene(document.json, limits.parts)
    reader = _Reader(document, scene)
    parts = tuple(part for node in scene.shown for part in reader.read(node))
    return MeshFile(parts, tuple(dict.fromkeys(reader.notes)))


class _Reader:
    """Reads the primitives of one file within its budget of vertices, triangles and pixels."""

    def __init__(self, document: GltfDocument, scene: SceneNodes) -> None:
        self.document = document
        self.notes = list(document.notes)
        if scene.hidden:
            self.notes.append(f"{scene.hidden} hidden meshes left out (KHR_node_visibility)")
        self._scene = scene
        self._skins: dict[str, Skin] = {}
        self._parts_left = document.limits.parts
        self._vertices_left = document.limits.vertices
        self._triangles_left = document.limits.triangles
        self._images = ImageReader(document.limits.image_pixels)
        self._textures: dict[str, ByteArray | None] = {}

    def read(self, placed: PlacedNode) -> Iterator[MeshPart]:
        """Yield the parts of a node's mesh, posed and placed, once per instance."""
        if placed.mended:
            self.notes.append("a node's transform is not finite, and left out")
        mesh = item(self.document.json, "meshes", placed.node["mesh"])
        weights = morph_weights(placed.node, mesh)
        self._vertices_left -= len(weights)  # a file may have very many, in very many nodes
        skin = self._skin(placed.node)
        for file_from_node in instances(self.document, placed):
            for index in range(len(items(mesh, "primitives"))):
                primitive = item(mesh, "primitives", index)
                part = self._part(primitive, targets(primitive, weights))
                if part is not None:
                    posed = self._skinned(part, primitive, skin) if skin else None
                    yield posed or part.moved(file_from_node)

    def _skin(self, node: Record) -> Skin | None:
        if "skin" not in node:
            return None
        key = str(node["skin"])
        if key not in self._skins:
            self._skins[key] = read_skin(self.document, node["skin"], self._scene)
        return self._skins[key]

    def _skinned(self, part: MeshPart, primitive: Record, skin: Skin) -> MeshPart | None:
        """Return a part moved by its joints, or None if it hangs on none."""
        joints, weights = [], []
        attributes, count = primitive["attributes"], len(part.vertices)
        for number in itertools.count():
            names = (f"JOINTS_{number}", f"WEIGHTS_{number}")
            if not all(name in attributes for name in names):
                break
            pair = [read_accessor(self.document, attributes[name], count) for name in names]
            if any(values.shape != (count, 4) for values in pair) or pair[0].dtype.kind not in "ui":
                raise InputError("has a skin whose joints or weights do not fit the vertices")
            joints.append(pair[0].astype(np.int64))
            weights.append(pair[1].astype(float))
            if len(joints) > _MOST_JOINT_SETS:
                raise InputError(f"has vertices of more than {4 * _MOST_JOINT_SETS} joints")
        if not joints:
            self.notes.append("a mesh with a skin, but without joints, placed by its node")
            return None
        moved = skin.moved(
            part.vertices, np.concatenate(joints, axis=1), np.concatenate(weights, axis=1)
        )
        faces = part.faces[:, ::-1] if moved.mirrored else part.faces
        return MeshPart(moved.positions, faces, part.colors)

    def _part(self, primitive: Record, morphs: list[Target]) -> MeshPart | None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise InputError(f"has more than {self.document.limits.parts} parts")
        mode = whole(primitive, "mode", _TRIANGLES)
        if mode not in (_TRIANGLES, _STRIP, _FAN):
            splat = any("splat" in name for name in primitive.get("extensions") or ())
            self.notes.append(f"{'Gaussian splats' if splat else 'points or lines'} not read")
            return None
        attributes = primitive.get("attributes")
        if not isinstance(attributes, dict) or "POSITION" not in attributes:
            raise InputError("has a primitive without positions")
        self._check_uncompressed(primitive, attributes)
        position = read_accessor(self.document, attributes["POSITION"], self._vertices_left)
        if position.shape[1] != 3:
            raise InputError("has positions that are not three numbers each")
        self._vertices_left -= len(position)
        faces = self._faces(primitive, mode, len(position))
        self._triangles_left -= len(faces)
        colors = self._colors(primitive, attributes, len(position))
        with np.errstate(invalid="ignore"):  # some NaN count as invalid when cast
            vertices = self._morphed(np.asarray(position, float), morphs)
        return MeshPart(vertices, faces, colors)

    def _check_uncompressed(self, primitive: Record, attributes: Record) -> None:
        """Refuse what only a compressed copy of holds data; `extensionsRequired` may not say so."""
        draco = "KHR_draco_mesh_compression"
        if extension(primitive, draco):
            used = [
                attributes["POSITION"],
                *([primitive["indices"]] if "indices" in primitive else []),
            ]
            for index in used:
                if "bufferView" not in item(self.document.json, "accessors", index):
                    raise compressed(draco)

    def _morphed(self, position: FloatArray, morphs: list[Target]) -> FloatArray:
        """Return vertices moved by the morph targets that show by default."""
        for target in morphs:
            moves = read_accessor(self.document, target.accessor, self._vertices_left)
            if moves.shape != position.shape:
                raise InputError("has a morph target that does not fit the positions")
            self._vertices_left -= len(moves)
            position = position + target.weight * moves
        return position

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
        for record in _records(texture.get("extensions")):
            source = record.get("source", source)
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
