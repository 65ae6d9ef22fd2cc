"""Read a PLY file: faces or strips, colours of vertices or faces, or a texture beside it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from p2o_shapedb.cad.mesh_colors import ImageReader, sample_nearest
from p2o_shapedb.cad.mesh_part import MeshPart
from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.cad.ply_elements import Array, Columns, Header, Lists, read_elements, read_header
from p2o_shapedb.cad.polygons import Polygons, triangulate
from p2o_shapedb.cad.side_reader import SideReader
from p2o_shapedb.cad.surface import Surface, check_triangles, split_vertices
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray, IntArray

_UV = (("texture_u", "texture_v"), ("u", "v"), ("s", "t"))
_COLORS = (
    ("red", "green", "blue"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("r", "g", "b"),
)
_INDICES = ("vertex_indices", "vertex_index")


def read_ply(path: Path, data: bytes, limits: LoadLimits) -> tuple[MeshPart, tuple[str, ...]]:
    """Read the bytes of a .ply file; also return what was left unread.

    Raises:
        InputError: Broken, larger than the limits, or points without faces.
    """
    header = read_header(data, limits)
    _check_has_faces(header)
    elements = read_elements(data, header, limits)
    vertex, face = elements.get("vertex", Columns()), elements.get("face", Columns())
    if not all(axis in vertex.numbers for axis in "xyz"):
        raise InputError("has vertices without x, y and z")
    with np.errstate(invalid="ignore"):  # some NaN count as invalid when cast
        vertices = np.stack([vertex.numbers[axis].astype(float) for axis in "xyz"], axis=1)
    polygons = _faces(elements)
    side = SideReader(path, limits)
    if header.texture:
        textured = _textured(vertices, polygons, (vertex, face), (side, header.texture))
        if textured is not None:
            return textured, tuple(side.notes)
    own, theirs = _colors(vertex.numbers), _colors(face.numbers)
    if theirs is not None and len(theirs) != len(polygons.counts):
        theirs = None
    surface = Surface(vertices, polygons, own, None if own is not None else theirs)
    return surface.part(limits), tuple(side.notes)


def _check_has_faces(header: Header) -> None:
    counts = {element.name: element.count for element in header.elements}
    if counts.get("face") or counts.get("tristrips"):
        return
    names = {prop.name for element in header.elements for prop in element.properties}
    if names & {"f_dc_0", "rot_0", "packed_position", "packed_rotation"}:
        raise InputError(
            "is a Gaussian splat: points without triangles; export a mesh from the program that "
            "made it"
        )
    if "range_grid" in counts:
        raise InputError(
            "is a range scan: points without triangles; mesh it first, e.g. in MeshLab"
        )
    raise InputError(
        f"holds {counts.get('vertex', 0)} points and no triangles; mesh it first, e.g. in MeshLab"
    )


def _faces(elements: Mapping[str, Columns]) -> Polygons:
    """Return the faces, and strips behind them as triangles."""
    corners: list[IntArray] = [np.zeros(0, np.int64)]
    counts: list[IntArray] = [np.zeros(0, np.int64)]
    for name in ("face", "tristrips"):
        lists = elements.get(name, Columns()).lists
        indices = next((lists[key] for key in _INDICES if key in lists), None)
        if indices is None:
            continue
        values = _whole(indices.values)
        if name == "face":
            corners.append(values)
            counts.append(indices.counts)
        else:
            triangles = _strips(Lists(values, indices.counts))
            corners.append(triangles.reshape(-1))
            counts.append(np.full(len(triangles), 3))
    return Polygons(np.concatenate(corners), np.concatenate(counts))


def _whole(values: Array) -> IntArray:
    with np.errstate(invalid="ignore"):
        found = values.astype(np.int64)
    if values.dtype.kind == "f" and not (found == values).all():
        raise InputError("has faces whose indices are no whole numbers")
    return found


def _strips(strips: Lists) -> IntArray:
    """Return the triangles of strips, (t, 3); -1 ends one, and a list ends one, too."""
    values = np.asarray(strips.values)
    ends = np.zeros(len(values) + 1, bool)
    ends[np.cumsum(strips.counts)] = True
    strip = np.cumsum((values < 0) | ends[:-1])  # a number for each strip
    valid = values >= 0
    whole = valid[:-2] & valid[1:-1] & valid[2:]
    whole &= (strip[:-2] == strip[1:-1]) & (strip[:-2] == strip[2:])
    first = np.flatnonzero(whole)
    triangles = np.stack([values[first], values[first + 1], values[first + 2]], axis=-1)
    # Every other triangle of a strip is turned the other way.
    start = np.searchsorted(strip, strip[first])
    start += ~valid[start]
    odd = (first - start) % 2 == 1
    triangles[odd] = triangles[odd, ::-1]
    return triangles.reshape(-1, 3)


def _colors(numbers: Mapping[str, Array]) -> ByteArray | None:
    """Return colours, (n, 3): bytes, 16 bits, or shares of one."""
    names = next((names for names in _COLORS if all(name in numbers for name in names)), None)
    if names is None:
        return None
    parts = np.stack([numbers[name] for name in names], axis=1)
    if not len(parts):
        return None
    values, scale = np.nan_to_num(parts.astype(float)), 1.0
    if values.max() > 255:
        scale = 255.0 / 65535.0
    elif parts.dtype.kind == "f" and values.max() <= 1.0:
        scale = 255.0
    return np.asarray(np.clip(np.round(values * scale), 0, 255), np.uint8)


def _textured(
    vertices: FloatArray,
    polygons: Polygons,
    elements: tuple[Columns, Columns],
    texture: tuple[SideReader, str],
) -> MeshPart | None:
    """Return the part in the colours of its texture, or None if that or its coordinates lack."""
    vertex, face = elements
    side, name = texture
    names = next((names for names in _UV if all(n in vertex.numbers for n in names)), None)
    per_corner = face.lists.get("texcoord")
    if names is None and per_corner is None:
        return None
    data = side.read(name)
    if data is None:
        return None
    try:
        image = ImageReader(side.limits.image_pixels).decode(data)
    except InputError as error:
        side.notes.append(f"texture not read: {error}")
        return None
    check_triangles(polygons.counts, side.limits)
    cut = triangulate(vertices, polygons)
    corners = polygons.corners[cut.corners]
    if names is not None:
        uv = np.stack([vertex.numbers[n] for n in names], axis=1).astype(float)
        return MeshPart(vertices, corners, sample_nearest(image, _downwards(uv)))
    assert per_corner is not None
    if len(per_corner.values) != 2 * len(polygons.corners):
        side.notes.append("texture not read: its coordinates do not fit the faces")
        return None
    uv = per_corner.values.reshape(-1, 2).astype(float)
    distinct, tag = np.unique(uv, axis=0, return_inverse=True)
    split = split_vertices(corners, tag.reshape(-1)[cut.corners])
    colors = sample_nearest(image, _downwards(distinct[split.tags]))
    return MeshPart(vertices[split.vertices], split.faces, colors)


def _downwards(uv: FloatArray) -> FloatArray:
    return np.asarray(uv * [1.0, -1.0] + [0.0, 1.0])
