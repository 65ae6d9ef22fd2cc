"""Read CAD files: one triangle soup with vertex colours, or one clear line why not."""

import hashlib
import itertools
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from p2o_shapedb.cad.gltf_meshes import read_gltf
from p2o_shapedb.cad.mesh_colors import GREY
from p2o_shapedb.cad.mesh_part import MeshPart
from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.cad.model_search import EXTENSIONS as EXTENSIONS
from p2o_shapedb.cad.model_search import alike_folders, unread_line, walk
from p2o_shapedb.cad.plain_formats import read_plain
from points2objects.errors import InputError, check_shape
from points2objects.geometry import ByteArray, FloatArray, IntArray

LARGEST = 1e9
"""Coordinates beyond are taken for damage; squares of them still fit."""

DEFAULT_LIMITS = LoadLimits()
_MOST_LETTERS = 160
_MOST_NAMED = 12
_MOST_NOTES = 20


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
        """Its path below the class, without suffix and with nothing that names cannot hold."""
        below = PurePosixPath(self.key.split("/", 1)[-1]).with_suffix("")
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", str(below))
        if len(name) <= _MOST_LETTERS:
            return name
        return f"{name[:_MOST_LETTERS]}-{hashlib.sha256(self.key.encode()).hexdigest()[:8]}"


def find_cad(root: Path, classes: tuple[str, ...]) -> tuple[CadFile, ...]:
    """List the CAD files below `<root>/<class>` for some classes, sorted.

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
        folder = root / class_name
        for path in walk(folder) if folder.is_dir() else ():
            if path.suffix.lower() in EXTENSIONS:
                key = path.relative_to(root).as_posix()
                known = index.get(key, {})
                credit = [known.get("title"), known.get("creator")]
                found.append(
                    CadFile(
                        path=path,
                        class_name=class_name,
                        key=key,
                        source=str(known.get("source") or root.name),
                        licence=str(known.get("licence") or "unknown"),
                        attribution=" by ".join(str(word) for word in credit if word),
                        ship=bool(known.get("ship", False)),
                    )
                )
    if not found:
        raise InputError(
            f"--cad {root}: no CAD files of {', '.join(classes)}; expected "
            f"<class>/*.{{glb,gltf,obj,ply,off,stl}}{_what_is_there(root, classes)}"
        )
    return tuple(found)


def _what_is_there(root: Path, classes: tuple[str, ...]) -> str:
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    if not folders:
        return "; it holds no folders"
    more = ", .." if len(folders) > _MOST_NAMED else ""
    alike = [(name, one) for one in classes for name in alike_folders(root, one)]
    counts = Counter(p.parent.name for p in root.glob("*/*") if p.suffix.lower() in EXTENSIONS)
    meant = sorted(counts)
    advice = (
        f": name those that you mean, as in --classes {' '.join(meant)}; each needs "
        "--exemplars-per-class models or more that teach, and licences in index.json or "
        "--exemplars any"
        if meant
        else ""
    )
    if alike:
        advice = f": rename {alike[0][0]!r} to {alike[0][1]!r}"
    below = itertools.chain.from_iterable(walk(root / one) for one in classes if one in folders)
    unread = unread_line(root, below)
    named = [f"{name} ({counts[name]})" if name in counts else name for name in folders]
    there = f"; the folders there are {', '.join(named[:_MOST_NAMED])}{more}{advice}"
    return f"{there}; {unread}" if unread else there


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
        with np.errstate(all="ignore"):  # what overflows is refused for it afterwards
            found = read(path, limits)
        parts = [part for part in found.parts if len(part.faces)]
        if not parts:
            raise InputError("; ".join(("holds no triangles", *found.notes[:3])))
        return clean(_joined(parts, _shortened(found.notes)), str(path))
    except InputError as error:
        line = " ".join(str(error).split())
        raise InputError(line if line.startswith(str(path)) else f"{path}: {line}") from error
    except (MemoryError, OSError) as error:
        reason = " ".join(str(error).split()) or "it takes more memory than there is"
        raise InputError(f"{path}: cannot read it as a mesh ({reason})") from error
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        # What a reader should have refused itself must not end a build of a thousand files.
        reason = f"{type(error).__name__}: {error}"[:200]
        reason = " ".join(reason.split())
        raise InputError(f"{path}: cannot read it as a mesh ({reason})") from error


def _shortened(notes: tuple[str, ...]) -> tuple[str, ...]:
    more = len(notes) - _MOST_NOTES
    return notes if more <= 0 else (*notes[:_MOST_NOTES], f"and {more} notes more")


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
