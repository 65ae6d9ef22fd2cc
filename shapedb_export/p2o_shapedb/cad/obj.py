"""Read an OBJ file: its faces by material, with colours from vertices, materials and textures."""

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from p2o_shapedb.cad.mesh_colors import GREY, ImageReader, sample_nearest, to_bytes
from p2o_shapedb.cad.mesh_part import MeshFile, MeshPart
from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.cad.mtl import Material, Materials, parse_materials
from p2o_shapedb.cad.polygons import Polygons, triangulate
from p2o_shapedb.cad.side_reader import SideReader
from p2o_shapedb.cad.surface import check_triangles, split_vertices
from p2o_shapedb.cad.text_file import decode_text, to_floats
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray, IntArray

_LINES_AT_ONCE = 1 << 16


def read_obj(path: Path, data: bytes, limits: LoadLimits) -> MeshFile:
    """Read the bytes of an .obj file.

    Materials and textures come from the model's own folder only; those that do not are noted and
    left out. Where a material has no texture, colours of vertices win over its own.

    Raises:
        InputError: Broken, or larger than the limits.
    """
    parsed = parse_obj(decode_text(data, limits), limits)
    side = SideReader(path, limits)
    lost = int(np.isnan(parsed.vertices).any(axis=1).sum())
    if lost:
        side.notes.append(f"{lost} vertices are no numbers")
    painter = _Painter(parsed, side, ImageReader(limits.image_pixels))
    materials = Materials(_materials(parsed.libraries, side))
    cut = triangulate(parsed.vertices, parsed.polygons)
    owner = parsed.material_of_face[cut.faces]
    order = np.argsort(owner, kind="stable")
    numbers, counts = np.unique(owner, return_counts=True)
    if len(numbers) > limits.parts:
        raise InputError(f"has {len(numbers)} materials; at most {limits.parts} are read")
    parts = []
    for number, end, count in zip(numbers.tolist(), np.cumsum(counts), counts, strict=True):
        material = None
        if number:
            name = parsed.materials[number - 1]
            material = materials.find(name)
            if material is None:
                side.notes.append(f"material {name[:40]!r} not found")
        parts.append(painter.part(cut.corners[order[end - count : end]], material))
    return MeshFile(tuple(parts), tuple(dict.fromkeys(side.notes)))


@dataclass(frozen=True)
class ParsedObj:
    """The statements of an OBJ file.

    Attributes:
        vertices: (v, 3).
        colors: (v, 3) 0..1, or None.
        uv: Texture coordinates, (t, 2).
        polygons: Its faces.
        uv_of_corner: Texture coordinate of every corner, 0 for none, otherwise one more than its
            index.
        material_of_face: 0 for none, otherwise one more than the index in `materials`.
        materials: Names of the materials used.
        libraries: What follows each `mtllib`.
    """

    vertices: FloatArray
    colors: FloatArray | None
    uv: FloatArray
    polygons: Polygons
    uv_of_corner: IntArray
    material_of_face: IntArray
    materials: tuple[str, ...]
    libraries: tuple[str, ...]


def parse_obj(text: str, limits: LoadLimits) -> ParsedObj:
    """Read the statements of an OBJ file.

    Raises:
        InputError: A vertex or a face is broken, or there are too many.
    """
    if "\\" in text:
        text = re.sub(r"\\[ \t]*\n", " ", text)
    points, uv, faces = _Rows("a vertex", 3, 7), _Rows("a texture coordinate", 1, 2), _Faces()
    names: dict[str, int] = {"": 0}
    libraries: dict[str, None] = {}
    material = 0
    for line, (key, rest) in _statements(text):
        if key == "v":
            points.add(rest)
        elif key == "vt":
            uv.add(rest)
        elif key in ("f", "fo"):  # the latter is a face in old files
            try:
                faces.add(rest, material, len(points), len(uv))
            except (ValueError, OverflowError) as error:
                number = text.count("\n", 0, line) + 1
                raise InputError(
                    f"line {number}: expected a face like 'f 1 2 3', got 'f {rest[:40]}'"
                ) from error
        elif key == "usemtl":
            material = names.setdefault(rest.strip(" \t\f\v"), len(names))
        elif key == "mtllib":
            libraries[rest.strip(" \t\f\v")] = None
        if len(points) > 3 * limits.vertices:
            raise InputError(f"has more than {3 * limits.vertices} vertices")
    return _parsed(points, uv, faces, tuple(names)[1:], tuple(libraries), limits)


def _statements(text: str) -> Iterator[tuple[int, tuple[str, str]]]:
    for line in re.finditer(r"[^\n]+", text):
        words = line.group().split(None, 1)
        if len(words) == 2 and words[0][0] != "#":
            key, rest = words
            key = key.lower()
            # Names may hold a "#", as 3ds Max's do; "1.#IND" is a number.
            if "#" in rest and key in ("v", "vt", "f", "fo"):
                rest = re.split(r"(?:^|\s)#", rest)[0]
            yield line.start(), (key, rest)


class _Rows:
    """Lines of numbers, turned into arrays a few at a time so that they take little memory."""

    def __init__(self, name: str, least: int, most: int) -> None:
        self._name, self._least, self._most = name, least, most
        self._waiting: list[str] = []
        self._chunks: list[FloatArray] = []
        self._done = 0

    def __len__(self) -> int:
        return self._done + len(self._waiting)

    def add(self, line: str) -> None:
        self._waiting.append(line)
        if len(self._waiting) >= _LINES_AT_ONCE:
            self._convert()

    def chunks(self) -> list[FloatArray]:
        """Return the numbers, (n, width) each; NaN where a line has fewer."""
        self._convert()
        return self._chunks

    def _convert(self) -> None:
        rows = [line.split(None, self._most)[: self._most] for line in self._waiting]
        if not rows:
            return
        widths = np.array([len(row) for row in rows])
        if widths.min() < self._least:
            first = self._done + int(widths.argmin())
            raise InputError(
                f"{self._name} (number {first + 1}): expected {self._least} numbers, got "
                f"{' '.join(rows[int(widths.argmin())])[:40]!r}"
            )
        values = to_floats([word for row in rows for word in row], self._name)
        table = np.full((len(rows), int(widths.max())), np.nan)
        table[np.arange(table.shape[1]) < widths[:, None]] = values
        self._chunks.append(table)
        self._done += len(rows)
        self._waiting = []


@dataclass
class _Faces:
    """Corners of faces, counted from 1 as the file does."""

    vertices: "array[int]" = field(default_factory=lambda: array("q"))
    uv: "array[int]" = field(default_factory=lambda: array("q"))
    counts: "array[int]" = field(default_factory=lambda: array("q"))
    materials: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, rest: str, material: int, vertex_count: int, uv_count: int) -> None:
        """Add a face; negative indices count back from what was read so far."""
        words = rest.split()
        if "/" in rest:
            split = [word.split("/") for word in words]
            first = [int(word[0]) for word in split]
            second = [int(word[1]) if len(word) > 1 and word[1] else 0 for word in split]
        else:
            first, second = [int(word) for word in words], [0] * len(words)
        if "-" in rest:
            first = [i if i >= 0 else max(vertex_count + 1 + i, 0) for i in first]
            second = [i if i >= 0 else max(uv_count + 1 + i, 0) for i in second]
        self.vertices.extend(first)
        self.uv.extend(second)
        self.counts.append(len(words))
        self.materials.append(material)


def _parsed(
    points: _Rows,
    uv: _Rows,
    faces: _Faces,
    materials: tuple[str, ...],
    libraries: tuple[str, ...],
    limits: LoadLimits,
) -> ParsedObj:
    chunks = points.chunks()
    vertices = np.concatenate([np.zeros((0, 3)), *(chunk[:, :3] for chunk in chunks)])
    colors = None
    if chunks and all(chunk.shape[1] >= 6 for chunk in chunks):
        colors = np.concatenate([chunk[:, 3:6] for chunk in chunks])
        # Written as 0..1, or as bytes.
        colors = None if np.isnan(colors).any() else colors / (255.0 if colors.max() > 1 else 1.0)
    uv_rows = [np.pad(chunk, ((0, 0), (0, 2)))[:, :2] for chunk in uv.chunks()]
    coordinates = np.concatenate([np.zeros((0, 2)), *uv_rows])
    counts = np.array(faces.counts, np.int64)
    check_triangles(counts, limits)
    uv_of_corner = np.array(faces.uv, np.int64)
    uv_of_corner[uv_of_corner > len(coordinates)] = 0
    return ParsedObj(
        vertices=vertices,
        colors=colors,
        uv=coordinates,
        polygons=Polygons(np.array(faces.vertices, np.int64) - 1, counts),
        uv_of_corner=uv_of_corner,
        material_of_face=np.array(faces.materials, np.int64),
        materials=materials,
        libraries=libraries,
    )


def library_names(rest: str) -> Iterable[tuple[str, ...]]:
    """List what `mtllib` may mean: one name, which may hold spaces, else several names."""
    words = rest.split()
    return [(rest,)] if len(words) < 2 else [(rest,), tuple(words)]


def _materials(libraries: tuple[str, ...], side: SideReader) -> dict[str, Material]:
    found: dict[str, Material] = {}
    for library in libraries:
        *others, last = library_names(library)
        names = next((names for names in others if side.there(names)), last)
        for name in names:
            data = side.read(name)
            if data is not None:
                found = parse_materials(decode_text(data, side.limits)) | found
    return found


class _Painter:
    """Makes the parts of one file, each texture decoded once."""

    def __init__(self, parsed: ParsedObj, side: SideReader, images: ImageReader) -> None:
        self._parsed, self._side, self._images = parsed, side, images
        self._textures: dict[str, ByteArray | None] = {}

    def part(self, corners: IntArray, material: Material | None) -> MeshPart:
        """Return the triangles of one material; `corners` are positions among all corners."""
        parsed = self._parsed
        vertices = parsed.polygons.corners[corners]
        texture = material.texture if material else None
        image = self._texture(texture.name) if texture else None
        tags = parsed.uv_of_corner[corners] if image is not None else np.zeros_like(corners)
        split = split_vertices(vertices, tags)
        colors = self._plain(material, split.vertices, hidden=image is not None)
        if image is not None and texture is not None:
            with_uv = split.tags > 0
            uv = texture.placed(parsed.uv[split.tags[with_uv] - 1])
            seen = sample_nearest(image, uv) / 255.0
            if colors is not None:
                colors[with_uv] *= seen
            elif with_uv.any():
                colors = np.tile(np.array(GREY) / 255.0, (len(split.tags), 1))
                colors[with_uv] = seen
        found = None if colors is None else to_bytes(np.nan_to_num(colors))
        return MeshPart(parsed.vertices[split.vertices], split.faces, found)

    def _plain(
        self, material: Material | None, vertices: IntArray, hidden: bool
    ) -> FloatArray | None:
        """Return the colours without texture, (n, 3), or None where the file gives none."""
        if material and material.texture and material.is_black:
            if hidden:
                self._side.notes.append("a black Kd beside a texture taken for white")
            return None
        if self._parsed.colors is not None and not hidden:
            return np.asarray(self._parsed.colors[vertices])
        if material is None or material.diffuse is None:
            return None
        return np.tile(material.diffuse, (len(vertices), 1))

    def _texture(self, name: str) -> ByteArray | None:
        if name not in self._textures:
            data = self._side.read(name)
            self._textures[name] = None
            try:
                self._textures[name] = None if data is None else self._images.decode(data)
            except InputError as error:
                self._side.notes.append(f"texture not read: {error}")
        return self._textures[name]
