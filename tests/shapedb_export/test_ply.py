import itertools
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from p2o_shapedb.cad.meshes import RawMesh, load_mesh
from points2objects.errors import InputError

# A box of 1 x 2 x 3: area 22.
CORNERS = [(x, y, z) for x in (0.0, 1.0) for y in (0.0, 2.0) for z in (0.0, 3.0)]
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
MIXED: list[tuple[int, ...]] = [*QUADS[:4], (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
SIZES = {"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I"}
SIZES |= {"float": "f", "double": "d"}

Rows = Sequence[Sequence[Any]]
Part = tuple[str, list[str], Rows]

VERTEX: Part = ("vertex", ["float x", "float y", "float z"], CORNERS)


def faces(rows: Rows = QUADS, kind: str = "list uchar int vertex_indices") -> Part:
    return ("face", [kind], [[row] for row in rows])


def ply(parts: Sequence[Part], form: str = "binary_little_endian", comment: str = "x") -> bytes:
    """Write elements: their name, properties, and rows of numbers or of lists."""
    head = f"ply\nformat {form} 1.0\ncomment {comment}\n"
    order = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}[form]
    body = b""
    for name, properties, rows in parts:
        head += f"element {name} {len(rows)}\n" + "".join(f"property {p}\n" for p in properties)
        for row in rows:
            for kind, value in zip(properties, row, strict=True):
                words = kind.split()
                values = [len(value), *value] if words[0] == "list" else [value]
                kinds = [words[1], *[words[2]] * len(value)] if words[0] == "list" else words[:1]
                if order:
                    body += struct.pack(order + "".join(SIZES[k] for k in kinds), *values)
                else:
                    body += " ".join(str(v) for v in values).encode() + b" "
            body += b"" if order else b"\n"
    return (head + "end_header\n").encode("latin-1") + body


def load(folder: Path, content: bytes) -> RawMesh:
    (folder / "a.ply").write_bytes(content)
    return load_mesh(folder / "a.ply")


def area(mesh: RawMesh) -> float:
    corners = mesh.vertices[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(cross, axis=1).sum()) / 2


def is_the_box(mesh: RawMesh) -> bool:
    same_size = np.ptp(mesh.vertices, axis=0).tolist() == [1, 2, 3]
    return same_size and area(mesh) == pytest.approx(22)


FORMS = ("binary_little_endian", "binary_big_endian", "ascii")
LISTS = ("uchar int", "int int", "uint uint", "uchar ushort", "short short", "uchar char")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [QUADS, MIXED])
def test_every_form_is_read_with_faces_first_or_last(form: str, rows: Rows, tmp_path: Path) -> None:
    for kinds, name in itertools.product(LISTS, ("vertex_indices", "vertex_index")):
        parts = (VERTEX, faces(rows, f"list {kinds} {name}"))
        assert is_the_box(load(tmp_path, ply(parts, form)))
        assert is_the_box(load(tmp_path, ply(parts[::-1], form)))


@pytest.mark.parametrize("form", FORMS)
def test_other_properties_and_elements_are_passed_over(form: str, tmp_path: Path) -> None:
    vertex: Part = (
        "vertex",
        ["double nx", "double x", "double y", "double z", "uchar flag", "list uchar short more"],
        [(1, x, y, z, 9, (1, 2)[: i % 3]) for i, (x, y, z) in enumerate(CORNERS)],
    )
    face: Part = (
        "face",
        ["uchar flag", "list uchar int vertex_indices", "float quality"],
        [(1, quad, 0.5) for quad in MIXED],
    )
    edge: Part = ("edge", ["int vertex1", "int vertex2"], [(0, 1), (1, 2)])
    assert is_the_box(load(tmp_path, ply((edge, vertex, face), form)))


def test_line_ends_and_comments_are_any(tmp_path: Path) -> None:
    text = ply((VERTEX, faces()), "ascii", "chaise caf\u00e9 end_header")
    for end in (b"\r\n", b"\r"):
        assert is_the_box(load(tmp_path, text.replace(b"\n", end)))
    head, mark, body = ply((VERTEX, faces()), comment="\u00e9").partition(b"end_header\n")
    assert is_the_box(load(tmp_path, (head + mark).replace(b"\n", b"\r\n") + body))


def strips(rows: Rows, form: str = "binary_little_endian") -> bytes:
    return ply((VERTEX, faces(rows, "list int int vertex_indices")), form).replace(
        b"element face", b"element tristrips"
    )


@pytest.mark.parametrize("form", FORMS)
def test_strips_become_triangles_of_one_side(form: str, tmp_path: Path) -> None:
    quads = [(a, b, d, c) for a, b, c, d in QUADS]
    joined = list(itertools.chain.from_iterable((*quad, -1) for quad in quads))
    for rows in (quads, [joined], [joined[:-1]], [[-1, *joined]], [joined[:10], joined[10:]]):
        mesh = load(tmp_path, strips(rows, form))
        assert len(mesh.faces) == 12
        assert is_the_box(mesh)
        corners = mesh.vertices[mesh.faces]
        assert np.linalg.det(corners).sum() / 6 == pytest.approx(6)  # none is turned over


COLOR = [255, 0, 51]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "values"),
    [("uchar", COLOR), ("float", [1.0, 0.0, 0.2]), ("ushort", [65535, 0, 13107]), ("int", COLOR)],
)
def test_colours_of_vertices_and_faces_are_read(
    form: str, kind: str, values: list[float], tmp_path: Path
) -> None:
    channels = [f"{kind} {name}" for name in ("red", "green", "blue")]
    vertex = (VERTEX[0], VERTEX[1] + channels, [[*corner, *values] for corner in CORNERS])
    mesh = load(tmp_path, ply((vertex, faces(MIXED)), form))
    assert mesh.has_color
    assert (mesh.colors == COLOR).all()
    face = ("face", ["list uchar int vertex_indices", *channels], [[q, *values] for q in MIXED])
    mesh = load(tmp_path, ply((VERTEX, face), form))
    assert is_the_box(mesh)
    assert (mesh.colors == COLOR).all()


def test_a_texture_is_read_from_vertices_or_corners(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[200, 60, 20], [0, 0, 0]]], np.uint8)).save(tmp_path / "wood.png")
    comment = "TextureFile wood.png"
    for names in (("s", "t"), ("u", "v"), ("texture_u", "texture_v")):
        uv = [f"float {name}" for name in names]
        vertex = (VERTEX[0], VERTEX[1] + uv, [[*corner, 0.25, 0.5] for corner in CORNERS])
        mesh = load(tmp_path, ply((vertex, faces()), comment=comment))
        assert (mesh.colors == [200, 60, 20]).all()
    face = (
        "face",
        ["list uchar int vertex_indices", "list uchar float texcoord"],
        [[quad, [0.25, 0.5] * len(quad)] for quad in MIXED],
    )
    mesh = load(tmp_path, ply((VERTEX, face), comment=comment))
    assert is_the_box(mesh)
    assert (mesh.colors == [200, 60, 20]).all()
    mesh = load(tmp_path, ply((VERTEX, face), comment="TextureFile gone.png"))
    assert not mesh.has_color
    assert "no such file" in mesh.repairs[0]


SPLAT = [f"float {name}" for name in ("x", "y", "z", "f_dc_0", "opacity", "scale_0", "rot_0")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (ply([("vertex", SPLAT, [[0.0] * 7] * 9)]), "is a Gaussian splat: points without"),
        (ply([("vertex", SPLAT, [[0.0] * 7] * 9), faces([])]), "is a Gaussian splat"),
        (
            ply([("chunk", ["float min_x"], [[0.0]]), ("vertex", ["uint packed_position"], [[1]])]),
            "is a Gaussian splat",
        ),
        (ply([VERTEX]), "holds 8 points and no triangles; mesh it first"),
        (ply([VERTEX, ("range_grid", ["list uchar int vertex_indices"], [[[0]]])]), "range scan"),
        (ply([VERTEX, faces()])[:-1], "is truncated"),
        (ply([VERTEX, faces(MIXED)])[:-1], "is truncated: not all of its 8 faces"),
        (ply([VERTEX, faces(MIXED)], "ascii")[:-4], "is truncated"),
        (ply([VERTEX, faces([(0, 1, 8)] * 5)]), "point at missing vertices"),
        (ply([VERTEX, faces([(0, 1, -1)] * 5)]), "point at missing vertices"),
        (ply([VERTEX, faces()], "ascii").replace(b"2.0", b"2,0"), "decimal comma"),
        (ply([VERTEX, faces()], "ascii").replace(b"2.0", b"two"), "expected a number, got 'two'"),
        (ply([VERTEX, faces()]).replace(b"float y", b"float q"), "vertices without x, y and z"),
        (ply([VERTEX, faces()]).replace(b"float y", b"quad y"), "broken at 'property quad y'"),
        (ply([VERTEX, faces()]).replace(b"binary_little", b"packed"), "names no format"),
        (ply([VERTEX, VERTEX, faces()]), "two elements 'vertex'"),
        (ply([VERTEX, faces()]).replace(b"face 6", b"face 999999999"), "more than are read"),
        (ply([VERTEX, faces()]).replace(b"face 6", b"face 3999999"), "claims 3999999 faces"),
        (ply([VERTEX, faces()], "ascii").replace(b"4 0 1 3 2", b"4e9 0 1 3 2"), "is truncated"),
        (ply([VERTEX, faces()], "ascii").replace(b"4 0 1 3 2", b"4 0 1.5 3 2"), "no whole numbers"),
        (b"ply\n" + b"x" * 100, "is no PLY file: it has no header"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_gets_one_clear_line(
    content: bytes, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words) as error:
        load(tmp_path, content)
    assert "\n" not in str(error.value)
