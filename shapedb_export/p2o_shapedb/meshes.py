"""Read CAD files: one triangle soup with vertex colours, or one clear line why not."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from points2objects.errors import InputError, check_shape
from points2objects.geometry import ByteArray, FloatArray, IntArray

EXTENSIONS = (".glb", ".gltf", ".obj", ".ply", ".off", ".stl")
GREY = (170, 170, 170)


@dataclass(frozen=True)
class RawMesh:
    """A mesh as its file has it.

    Attributes:
        vertices: (v, 3), in the file's frame and unit (metres, +y up for glTF).
        faces: (f, 3).
        colors: (v, 3) uint8 sRGB.
        has_color: Whether the file gives colours; otherwise they are grey.
        repairs: What was mended or left unread, one phrase each: "dropped 3 triangles without
            area".
    """

    vertices: FloatArray
    faces: IntArray
    colors: ByteArray
    has_color: bool
    repairs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes = check_shape("vertices", self.vertices, "v 3")
        check_shape("faces", self.faces, "f 3")
        check_shape("colors", self.colors, "v 3", sizes)


@dataclass(frozen=True)
class CadFile:
    """A CAD file and what is known about it.

    Attributes:
        path: The file.
        class_name: Its class: the name of its folder.
        key: Path below the root, with forward slashes; `overrides.tsv` uses it.
        source: Where it comes from.
        licence: Its licence, or "unknown".
        attribution: Who to credit; may be empty.
        ship: Whether derived meshes may be committed and packed.
    """

    path: Path
    class_name: str
    key: str
    source: str
    licence: str
    attribution: str
    ship: bool

    @property
    def name(self) -> str:
        """The file's stem with nothing that a file name cannot hold."""
        return re.sub(r"[^A-Za-z0-9._-]+", "_", self.path.stem)


def find_cad(root: Path, classes: tuple[str, ...]) -> tuple[CadFile, ...]:
    """List the CAD files `<root>/<class>/*` of some classes, sorted.

    `<root>/index.json`, when there, is a list of objects with `path` (below the root) and any of
    `source`, `licence`, `title`, `creator`, `ship`. Files it does not name count as not shippable.

    Raises:
        InputError: The root is missing, or holds no CAD file of these classes.
    """
    if not root.is_dir():
        raise InputError(f"--cad {root}: no such folder")
    index = _read_index(root / "index.json")
    found = []
    for class_name in classes:
        for path in sorted((root / class_name).glob("*")):
            if path.suffix.lower() in EXTENSIONS:
                known = index.get(f"{class_name}/{path.name}", {})
                credit = [known.get("title"), known.get("creator")]
                found.append(
                    CadFile(
                        path=path,
                        class_name=class_name,
                        key=f"{class_name}/{path.name}",
                        source=str(known.get("source") or root.name),
                        licence=str(known.get("licence") or "unknown"),
                        attribution=" by ".join(str(word) for word in credit if word),
                        ship=bool(known.get("ship", False)),
                    )
                )
    if not found:
        raise InputError(
            f"--cad {root}: no CAD files; expected <class>/*.{{glb,gltf,obj,ply,off,stl}} with "
            f"class one of {', '.join(classes)}"
        )
    return tuple(found)


def _read_index(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        return {str(entry["path"]): entry for entry in json.loads(path.read_text("utf-8"))}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected a JSON list of objects with 'path' ({error})"
        ) from error


def load_mesh(path: Path) -> RawMesh:
    """Read one CAD file, its scene flattened into one mesh.

    Raises:
        InputError: Unreadable, without triangles, with NaN, or flat.
    """
    import trimesh

    try:
        loaded = trimesh.load(path, process=False)
    except Exception as error:  # each of trimesh's readers has exceptions of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot read it as a mesh ({reason})") from error
    scene = loaded if isinstance(loaded, trimesh.Scene) else trimesh.Scene(loaded)
    pieces = []
    for node in sorted(scene.graph.nodes_geometry):
        world_from_part, name = scene.graph[node]
        part = scene.geometry[name]
        if isinstance(part, trimesh.Trimesh) and len(part.faces):
            pieces.append(_piece(part, np.asarray(world_from_part)))
    if not pieces:
        raise InputError(f"{path}: holds no triangles")
    offsets = np.cumsum([0, *(len(piece.vertices) for piece in pieces[:-1])])
    mesh = RawMesh(
        vertices=np.concatenate([piece.vertices for piece in pieces]),
        faces=np.concatenate([p.faces + o for p, o in zip(pieces, offsets, strict=True)]),
        colors=np.concatenate([piece.colors for piece in pieces]),
        has_color=any(piece.has_color for piece in pieces),
    )
    return clean(mesh, str(path))


def clean(mesh: RawMesh, name: str) -> RawMesh:
    """Drop triangles without area and unused vertices.

    Args:
        mesh: The mesh.
        name: What to call it in the message.

    Raises:
        InputError: NaN, indices out of range, nothing left, or no thickness along an axis.
    """
    if not np.isfinite(mesh.vertices).all():
        raise InputError(f"{name}: has vertices that are NaN or infinite")
    if len(mesh.faces) and not 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices):
        raise InputError(f"{name}: has triangles that point at missing vertices")
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    faces = mesh.faces[area > 1e-12 * max(float(area.max(initial=0.0)), 1e-30)]
    if len(faces) < 4:
        raise InputError(f"{name}: has {len(faces)} triangles with an area, too few for a solid")
    used, faces = np.unique(faces, return_inverse=True)
    vertices = mesh.vertices[used]
    extent = np.ptp(vertices, axis=0)
    if extent.min() < 1e-4 * extent.max():
        raise InputError(f"{name}: is flat along {'xyz'[int(extent.argmin())]}, so has no volume")
    return RawMesh(vertices, faces.reshape(-1, 3), mesh.colors[used], mesh.has_color)


def _piece(part: Any, world_from_part: FloatArray) -> RawMesh:
    vertices = np.asarray(part.vertices, float) @ world_from_part[:3, :3].T + world_from_part[:3, 3]
    faces = np.asarray(part.faces, np.int64)
    if np.linalg.det(world_from_part[:3, :3]) < 0:
        faces = faces[:, ::-1]  # a mirroring transform turns the mesh inside out
    colors = _vertex_colors(part)
    grey = np.tile(np.array([GREY], np.uint8), (len(vertices), 1))
    return RawMesh(vertices, faces, grey if colors is None else colors, colors is not None)


def _vertex_colors(part: Any) -> ByteArray | None:
    """Return colours per vertex, (v, 3) uint8 sRGB, from vertex colours, texture or material."""
    visual = part.visual
    if visual.kind in ("vertex", "face"):
        return np.asarray(visual.vertex_colors, np.uint8)[:, :3]
    material = getattr(visual, "material", None)
    if visual.kind != "texture" or material is None:
        return None
    factor, image = _material(material)
    colors = np.tile(factor, (len(part.vertices), 1))
    if image is not None and visual.uv is not None and len(visual.uv) == len(part.vertices):
        uv = np.nan_to_num(np.asarray(visual.uv, float))[:, :2] % 1.0
        height, width = image.shape[:2]
        column = np.minimum((uv[:, 0] * width).astype(int), width - 1)
        row = np.minimum(((1.0 - uv[:, 1]) * height).astype(int), height - 1)
        colors = colors * image[row, column] / 255.0
    return np.clip(np.round(colors), 0, 255).astype(np.uint8)


def _material(material: Any) -> tuple[FloatArray, ByteArray | None]:
    """Return a material's plain colour, (3,) sRGB 0..255, and its texture, (h, w, 3)."""
    if hasattr(material, "baseColorFactor"):
        factor, image = material.baseColorFactor, material.baseColorTexture
        linear = _unit_rgb(factor)
        # glTF factors are linear light, textures and our colours sRGB.
        srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    else:
        factor, image = getattr(material, "diffuse", None), getattr(material, "image", None)
        srgb = _unit_rgb(factor)
    return srgb * 255.0, None if image is None else np.asarray(image.convert("RGB"), np.uint8)


def _unit_rgb(factor: Any) -> FloatArray:
    if factor is None:
        return np.ones(3)
    values = np.asarray(factor)
    scale = 255.0 if np.issubdtype(values.dtype, np.integer) else 1.0
    return np.clip(values[:3].astype(float) / scale, 0.0, 1.0)
