"""Read CAD files: one triangle soup with vertex colours, or one clear line why not."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p2o_shapedb.cad.gltf_meshes import read_gltf
from p2o_shapedb.cad.mesh_part import MeshPart
from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.cad.plain_formats import read_plain
from points2objects.errors import InputError, check_shape
from points2objects.geometry import ByteArray, FloatArray, IntArray

EXTENSIONS = (".glb", ".gltf", ".obj", ".ply", ".off", ".stl")
GREY = (170, 170, 170)
LARGEST = 1e9
"""Coordinates beyond are taken for damage; squares of them still fit."""

DEFAULT_LIMITS = LoadLimits()


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
        key: Path below the root, with forward slashes; overrides and `--held-out` use it.
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
            if _is_cad(path):
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
        others = Counter(path.parent.name for path in sorted(root.glob("*/*")) if _is_cad(path))
        told = ", ".join(f"{name} ({count})" for name, count in others.items())
        hint = (
            f"its folders with CAD are {told}: name those that you mean, as in --classes "
            f"{' '.join(others)}; each needs --exemplars-per-class models or more that teach, and "
            "licences in index.json or --exemplars any"
            if others
            else "expected <class>/*.{glb,gltf,obj,ply,off,stl}"
        )
        raise InputError(f"--cad {root}: no CAD files of {', '.join(classes)}; {hint}")
    return tuple(found)


def _is_cad(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS


def _read_index(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        return {str(entry["path"]): entry for entry in json.loads(path.read_text("utf-8"))}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected a JSON list of objects with 'path' ({error})"
        ) from error


def load_mesh(path: Path, limits: LoadLimits = DEFAULT_LIMITS) -> RawMesh:
    """Read one CAD file, its scene flattened into one mesh.

    Broken looks (a texture that is missing or lies in another folder) are noted in `repairs`;
    broken geometry is an error. See docs/shape-loading.md.

    Args:
        path: A file with one of `EXTENSIONS`.
        limits: What reading it may cost.

    Raises:
        InputError: Unreadable, over the limits, without triangles, with NaN, or flat.
    """
    read = read_gltf if path.suffix.lower() in (".glb", ".gltf") else read_plain
    try:
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            raise InputError("cannot read it: no such file")
        if size > limits.file_bytes:
            raise InputError(f"is {size} bytes long; at most {limits.file_bytes} are read")
        found = read(path, limits)
        parts = [part for part in found.parts if len(part.faces)]
        if not parts:
            raise InputError("holds no triangles")
        return clean(_joined(parts, found.notes), str(path))
    except InputError as error:
        line = " ".join(str(error).split())
        raise InputError(line if line.startswith(str(path)) else f"{path}: {line}") from error
    except (MemoryError, OSError) as error:
        reason = " ".join(str(error).split()) or "it takes more memory than there is"
        raise InputError(f"{path}: cannot read it as a mesh ({reason})") from error


def clean(mesh: RawMesh, name: str) -> RawMesh:
    """Drop triangles without area and unused vertices, and note how many.

    Args:
        mesh: The mesh.
        name: What to call it in the message.

    Raises:
        InputError: NaN, indices out of range, nothing left, or no thickness along an axis.
    """
    if len(mesh.faces) and not 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices):
        raise InputError(f"{name}: has triangles that point at missing vertices")
    corners = mesh.vertices[mesh.faces]
    if not (np.abs(corners) < LARGEST).all():  # false for NaN, too
        raise InputError(f"{name}: has vertices that are NaN, infinite or beyond {LARGEST:g}")
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    faces = mesh.faces[area > 1e-12 * max(float(area.max(initial=0.0)), 1e-30)]
    if len(faces) < 4:
        raise InputError(f"{name}: has {len(faces)} triangles with an area, too few for a solid")
    used, faces = np.unique(faces, return_inverse=True)
    vertices = mesh.vertices[used]
    extent = np.ptp(vertices, axis=0)
    if extent.min() < 1e-4 * extent.max():
        raise InputError(f"{name}: is flat along {'xyz'[int(extent.argmin())]}, so has no volume")
    dropped = len(mesh.faces) - len(faces.reshape(-1, 3))
    note = (f"dropped {dropped} of {len(mesh.faces)} triangles: they have no area",)
    repairs = mesh.repairs + (note if dropped else ())
    return RawMesh(vertices, faces.reshape(-1, 3), mesh.colors[used], mesh.has_color, repairs)


def _joined(parts: list[MeshPart], notes: tuple[str, ...]) -> RawMesh:
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return RawMesh(
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate([p.faces + o for p, o in zip(parts, offsets, strict=True)]),
        colors=np.concatenate([_colors(part) for part in parts]),
        has_color=any(part.colors is not None for part in parts),
        repairs=notes,
    )


def _colors(part: MeshPart) -> ByteArray:
    if part.colors is not None:
        return part.colors
    return np.tile(np.array([GREY], np.uint8), (len(part.vertices), 1))
