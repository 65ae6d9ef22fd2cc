"""Read an OFF file, as Geomview defines it and as others write it: ModelNet, MeshLab, CGAL."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from p2o_shapedb.cad.mesh_colors import colors_to_bytes
from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.cad.polygons import Polygons
from p2o_shapedb.cad.surface import Surface
from p2o_shapedb.cad.text_file import decode_text, to_floats, to_wholes
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray, IntArray

_KEYWORD = re.compile(r"\s*((?:ST|C|N|4|n)*)(?i:OFF)(?=[\s\d]|$)")
_LINES_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class OffHeader:
    """What an OFF file begins with.

    Attributes:
        prefixes: What stands before OFF: "ST", "C", "N", "4".
        vertices: Number of vertices.
        faces: Number of faces.
    """

    prefixes: frozenset[str]
    vertices: int
    faces: int

    @property
    def position_width(self) -> int:
        """Numbers of a vertex's position."""
        return 4 if "4" in self.prefixes else 3


def read_off(data: bytes, limits: LoadLimits) -> Surface:
    """Read the bytes of an .off file; normals and texture coordinates are left out.

    Raises:
        InputError: Broken, or larger than the limits.
    """
    if re.match(rb"\s*\w*OFF\s+BINARY", data[:64]):
        raise InputError("is a binary OFF file, which is not read; save it as text, PLY or GLB")
    text = decode_text(data, limits)
    if "#" in text:
        text = re.sub(r"#[^\n]*", "", text)
    header, rest = _header(text, limits)
    # The shortest vertex takes 6 bytes, the shortest face 8.
    least = 6 * header.vertices + 8 * header.faces
    if least > len(text) + 8:
        raise InputError(
            f"is truncated: it claims {header.vertices} vertices and {header.faces} faces, which "
            f"take {least} bytes, and has {len(text)}"
        )
    lines = [line for line in rest.split("\n") if line and not line.isspace()]
    if len(lines) < header.vertices + header.faces:
        return _free_form(rest.split(), header)
    body = lines[header.vertices : header.vertices + header.faces]
    vertices = _vertex_table(lines[: header.vertices], header)
    polygons, face_colors = _faces(body)
    return Surface(
        _positions(vertices, header), polygons, _vertex_colors(vertices, header), face_colors
    )


def _header(text: str, limits: LoadLimits) -> tuple[OffHeader, str]:
    keyword = _KEYWORD.match(text)
    prefixes = frozenset(re.findall("ST|C|N|4|n", keyword.group(1))) if keyword else frozenset()
    rest = text[keyword.end() :] if keyword else text
    if "n" in prefixes:
        raise InputError("has vertices of any number of dimensions (nOFF); only 3 are read")
    # The number of edges may be missing; the keyword, too.
    counts = re.match(r"\s*(\d+)[ \t]+(\d+)(?:[ \t]+-?\d+)?[ \t]*(?:\n|$)", rest)
    counts = counts or re.match(r"\s*(\d+)\s+(\d+)\s+\d+(?=\s|$)", rest)
    if counts is None:
        raise InputError("is no OFF file: it does not begin with OFF and two numbers")
    vertices, faces = (int(word[:18]) for word in counts.groups())
    if vertices > 3 * limits.vertices or faces > limits.triangles:
        raise InputError(
            f"claims {vertices} vertices and {faces} faces; at most {limits.vertices} and "
            f"{limits.triangles} are read"
        )
    return OffHeader(prefixes, vertices, faces), rest[counts.end() :]


def _vertex_table(lines: Sequence[str], header: OffHeader) -> FloatArray:
    """Return the numbers of every vertex, (v, width); NaN where a line has fewer."""
    tables = []
    for start in range(0, len(lines), _LINES_AT_ONCE):
        rows = [line.split()[:16] for line in lines[start : start + _LINES_AT_ONCE]]
        widths = np.array([len(row) for row in rows])
        if widths.min() < header.position_width:
            first = int(widths.argmin())
            raise InputError(
                f"vertex {start + first}: expected {header.position_width} numbers, got "
                f"{' '.join(rows[first])[:40]!r}"
            )
        table = np.full((len(rows), 16), np.nan)
        words = list(itertools.chain.from_iterable(rows))
        table[np.arange(16) < widths[:, None]] = to_floats(words, "a vertex")
        tables.append(table)
    return np.concatenate([np.zeros((0, 16)), *tables])


def _positions(table: FloatArray, header: OffHeader) -> FloatArray:
    if header.position_width == 3:
        return table[:, :3]
    with np.errstate(all="ignore"):  # a point at infinity is refused if a face uses it
        return np.asarray(table[:, :3] / table[:, 3:4])


def _vertex_colors(table: FloatArray, header: OffHeader) -> ByteArray | None:
    """Return the colours of the vertices, (v, 3), or None.

    By Geomview they stand behind the normal and before the texture coordinates. Files without C
    in their keyword have them, too: MeshLab writes red, green, blue and alpha after the position.
    """
    start = header.position_width + 3 * ("N" in header.prefixes)
    width = int(np.isfinite(table).all(axis=0).argmin()) if len(table) else 0
    given = width - start - 2 * ("ST" in header.prefixes)
    colors = table[:, start : start + 3]
    if given < 3 or ("C" not in header.prefixes and header.prefixes):
        return None
    if "C" not in header.prefixes and given == 3 and not (colors.min() >= 0 and colors.max() > 1):
        return None  # a normal
    return colors_to_bytes(colors)


def _faces(lines: Sequence[str]) -> tuple[Polygons, ByteArray | None]:
    """Read faces and, behind their corners, colours: one index of a colour map, or 3 or 4 parts."""
    corners: list[IntArray] = [np.zeros(0, np.int64)]
    counts: list[int] = []
    colors: list[FloatArray] = []
    for start in range(0, len(lines), _LINES_AT_ONCE):
        rows = [line.split() for line in lines[start : start + _LINES_AT_ONCE]]
        sizes = to_wholes([row[0] for row in rows], "a face").tolist()
        for number, (row, size) in enumerate(zip(rows, sizes, strict=True), start):
            if not 0 <= size < len(row):
                raise InputError(
                    f"face {number}: expected {size} corners, got {' '.join(row[1:])[:40]!r}"
                )
        flat = [word for row, size in zip(rows, sizes, strict=True) for word in row[1 : size + 1]]
        corners.append(to_wholes(flat, "a face"))
        counts += sizes
        table = np.full((len(rows), 3), np.nan)
        behind = [row[size + 1 : size + 4] for row, size in zip(rows, sizes, strict=True)]
        has_color = np.array([len(words) == 3 for words in behind])
        words = [word for words in behind if len(words) == 3 for word in words]
        table[has_color] = to_floats(words, "a face's colour").reshape(-1, 3)
        colors.append(table)
    polygons = Polygons(np.concatenate(corners), np.array(counts, np.int64))
    return polygons, colors_to_bytes(np.concatenate([np.zeros((0, 3)), *colors]))


def _free_form(words: Sequence[str], header: OffHeader) -> Surface:
    """Read a file whose lines do not matter, which the format allows; colours are left out."""
    extra = {"C": 4, "N": 3, "ST": 2}
    width = header.position_width + sum(extra.get(prefix, 0) for prefix in header.prefixes)
    table = to_floats(words[: width * header.vertices], "a vertex")
    if len(table) < width * header.vertices:
        raise InputError(
            f"is truncated: it has {len(table) // width} of {header.vertices} vertices"
        )
    numbers = to_wholes(words[width * header.vertices :], "a face").tolist()
    corners: list[int] = []
    counts: list[int] = []
    place = 0
    for number in range(header.faces):
        size = numbers[place] if place < len(numbers) else -1
        if not 0 <= size <= len(numbers) - place - 1:
            raise InputError(f"is truncated: it has {number} of {header.faces} faces")
        corners += numbers[place + 1 : place + 1 + size]
        counts.append(size)
        place += 1 + size
    polygons = Polygons(np.array(corners, np.int64), np.array(counts, np.int64))
    return Surface(_positions(table.reshape(-1, width), header), polygons)
