"""Read OBJ, PLY, OFF and STL files with trimesh, their claims checked first."""

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from p2o_shapedb.cad.mesh_colors import ImageReader, sample_nearest, to_bytes
from p2o_shapedb.cad.mesh_part import MeshFile, MeshPart
from p2o_shapedb.cad.model_folder import LoadLimits, ModelFolder
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray

_PLY_SIZES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "int32", "uint32", "float", "float32"), 4),
    **dict.fromkeys(("double", "float64", "int64", "uint64"), 8),
}
_PLY_HEADER_BYTES = 65536
_LINE_BYTES = 20_000


def read_plain(path: Path, limits: LoadLimits) -> MeshFile:
    """Read an .obj, .ply, .off or .stl file.

    Materials and textures come from the model's own folder only; those that do not are noted
    and left out.

    Raises:
        InputError: Broken, or longer than the limits.
    """
    import trimesh

    kind = path.suffix.lower().lstrip(".")
    data = path.read_bytes()
    is_text = {"obj": _obj_text, "off": _off_text, "ply": _ply_text, "stl": _stl_text}[kind]
    if is_text(data, limits):
        _check_text(data, kind, limits)
    resolver = _resolver(path, limits)
    # It would print tracebacks about what `notes` says in a line.
    library = logging.getLogger("trimesh")
    level = library.level
    library.setLevel(logging.CRITICAL)
    try:
        with np.errstate(all="ignore"):  # what overflows is refused for it later
            loaded = trimesh.load(
                trimesh.util.wrap_as_stream(data), file_type=kind, resolver=resolver, process=False
            )
    except Exception as error:  # each of trimesh's readers has exceptions of its own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"cannot read it as a mesh ({reason})") from error
    finally:
        library.setLevel(level)
    scene = loaded if isinstance(loaded, trimesh.Scene) else trimesh.Scene(loaded)
    images = ImageReader(limits.image_pixels)
    notes = list(resolver.notes)
    parts = []
    for node in sorted(scene.graph.nodes_geometry):
        file_from_part, name = scene.graph[node]
        part = scene.geometry[name]
        if isinstance(part, trimesh.Trimesh) and len(part.faces):
            colors = _vertex_colors(part, images, notes)
            faces = np.asarray(part.faces, np.int64)
            found = MeshPart(np.asarray(part.vertices, float), faces, colors)
            parts.append(found.moved(np.asarray(file_from_part)))
    if sum(len(part.faces) for part in parts) > limits.triangles:
        raise InputError(f"has more than {limits.triangles} triangles")
    return MeshFile(tuple(parts), tuple(dict.fromkeys(notes)))


def _check_text(data: bytes, kind: str, limits: LoadLimits) -> None:
    if len(data) > limits.text_bytes:
        raise InputError(
            f"is {len(data)} bytes of text; at most {limits.text_bytes} are read: save it as a "
            "binary format"
        )
    gaps = len(data) - len(data.translate(None, b" \t\r\n\v\f"))
    if kind != "stl" and gaps > limits.text_values:  # STL is indented, and takes less
        raise InputError(
            f"has {gaps} words; at most {limits.text_values} are read: save it as a binary format"
        )
    # Polygons of a million corners take trimesh minutes; a backslash joins lines in OBJ.
    if re.search(rb"\n[^\n]{%d}" % _LINE_BYTES, data) or data.count(b"\\\n") > _LINE_BYTES:
        raise InputError(f"has a line of more than {_LINE_BYTES} bytes")
    if b"\0" in data:
        raise InputError("should be text, but holds zero bytes")


def _obj_text(data: bytes, limits: LoadLimits) -> bool:
    # A face of n corners becomes n - 2 triangles, so bytes bound triangles; lines bound vertices.
    if data.count(b"\nf") > limits.triangles or data.count(b"\nv") > 3 * limits.vertices:
        raise InputError(f"has more than {limits.triangles} faces or {limits.vertices} vertices")
    return True


def _off_text(data: bytes, limits: LoadLimits) -> bool:
    header = re.search(rb"OFF\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)", data[:4096])
    if header is None:
        raise InputError("is no OFF file: it does not begin with OFF and two numbers")
    vertices, faces = (int(word[:18]) for word in header.groups())
    # The shortest vertex takes 6 bytes, the shortest face 8.
    _check_counts(vertices, faces, 6 * vertices + 8 * faces, len(data) + 8, limits)
    return True


def _ply_text(data: bytes, limits: LoadLimits) -> bool:
    end = data.find(b"end_header", 0, _PLY_HEADER_BYTES)
    if not data.startswith(b"ply") or end < 0:
        raise InputError("is no PLY file: it has no header")
    counts: dict[str, int] = {}
    least = 0
    name = ""
    ascii_form = b"format ascii" in data[:end]
    for line in data[:end].decode("latin-1").splitlines():
        words = line.split()
        is_element = bool(words) and "element" in words[0]
        if is_element and len(words) == 3 and words[2].isdecimal():
            name = words[1]
            if name in counts:
                raise InputError(f"its header has two elements {name[:20]!r}")
            counts[name] = int(words[2][:18])
        elif is_element:
            raise InputError(f"its header is broken at {line[:40]!r}")
        elif words and "property" in words[0] and len(words) > 2:
            # Text has at least a digit and a space; a list at least its length.
            size = _PLY_SIZES.get(words[2] if words[1] == "list" else words[1], 1)
            least += counts.get(name, 0) * (2 if ascii_form else size)
    if sum(counts.values()) > limits.vertices + limits.triangles:
        raise InputError(f"claims {sum(counts.values())} elements, more than are read")
    vertices, faces = counts.get("vertex", 0), counts.get("face", 0)
    _check_counts(vertices, faces, least, len(data) - end, limits)
    return ascii_form


def _stl_text(data: bytes, limits: LoadLimits) -> bool:
    count = int.from_bytes(data[80:84], "little")
    if len(data) >= 84 and len(data) == 84 + 50 * count:
        _check_counts(3 * count, count, 0, 0, limits)
        return False
    if not data.lstrip()[:5].lower() == b"solid":
        raise InputError(
            f"is no STL file, or truncated: its header claims {count} triangles, "
            f"{84 + 50 * count} bytes, and it has {len(data)}"
        )
    _check_counts(0, data.count(b"endfacet"), 0, 0, limits)
    return True


def _check_counts(vertices: int, faces: int, least: int, have: int, limits: LoadLimits) -> None:
    if vertices > 3 * limits.vertices or faces > limits.triangles:
        raise InputError(
            f"claims {vertices} vertices and {faces} faces; at most {limits.vertices} and "
            f"{limits.triangles} are read"
        )
    if least > have:
        raise InputError(
            f"is truncated: it claims {vertices} vertices and {faces} faces, which take "
            f"{least} bytes, and has {have}"
        )


def _resolver(path: Path, limits: LoadLimits) -> Any:
    """Return what gives trimesh the files that a model names, and nothing else."""
    from trimesh.resolvers import Resolver

    folder = ModelFolder.of(path, limits)

    class FolderResolver(Resolver):  # type: ignore[misc,unused-ignore]
        """Reads in the model's folder only, and notes what it refuses."""

        def __init__(self) -> None:
            self.notes: list[str] = []
            self._files_left = limits.texture_files
            self._bytes_left = limits.file_bytes

        def get(self, key: Any) -> bytes:
            name = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
            self._files_left -= 1
            try:
                if self._files_left < 0:
                    raise InputError(f"more than {limits.texture_files} files")
                data = replace(folder, max_bytes=self._bytes_left).read(name.strip(), path)
            except InputError as error:
                self.notes.append(f"material or texture not read: {error}")
                # What trimesh expects of a file that is missing.
                raise FileNotFoundError(str(error)) from error
            self._bytes_left -= len(data)
            return data

        def keys(self) -> list[str]:
            return []

        def write(self, name: str, data: Any) -> None:
            raise NotImplementedError

        def namespaced(self, namespace: str) -> Any:
            return self

    return FolderResolver()


def _vertex_colors(part: Any, images: ImageReader, notes: list[str]) -> ByteArray | None:
    """Return colours per vertex, (v, 3) uint8 sRGB, from vertex colours, texture or material."""
    visual = part.visual
    if visual.kind in ("vertex", "face"):
        return np.asarray(visual.vertex_colors, np.uint8)[:, :3]
    material = getattr(visual, "material", None)
    if visual.kind != "texture" or material is None:
        return None
    colors = np.tile(_unit_rgb(getattr(material, "diffuse", None)), (len(part.vertices), 1))
    image = getattr(material, "image", None)
    if image is not None and visual.uv is not None and len(visual.uv) == len(part.vertices):
        try:
            pixels = images.pixels(image)
        except InputError as error:
            notes.append(f"texture not read: {error}")
        else:
            uv = np.asarray(visual.uv, float)[:, :2] * [1.0, -1.0] + [0.0, 1.0]
            colors = colors * sample_nearest(pixels, uv) / 255.0
    return to_bytes(colors)


def _unit_rgb(factor: Any) -> FloatArray:
    if factor is None:
        return np.ones(3)
    values = np.asarray(factor)
    scale = 255.0 if np.issubdtype(values.dtype, np.integer) else 1.0
    return np.clip(values[:3].astype(float) / scale, 0.0, 1.0)
