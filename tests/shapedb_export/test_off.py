from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.cad.meshes import RawMesh, load_mesh
from points2objects.errors import InputError

# A box of 1 x 2 x 3: area 22.
CORNERS = [(x, y, z) for x in (0, 1) for y in (0, 2) for z in (0, 3)]
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def off(head: str = "OFF", behind_vertex: str = "", behind_face: str = "") -> str:
    vertices = "".join(f"{x} {y} {z}{behind_vertex}\n" for x, y, z in CORNERS)
    faces = "".join(f"4 {' '.join(map(str, quad))}{behind_face}\n" for quad in QUADS)
    return f"{head}\n8 6 12\n{vertices}{faces}"


def load(folder: Path, content: str | bytes) -> RawMesh:
    (folder / "a.off").write_bytes(content.encode() if isinstance(content, str) else content)
    return load_mesh(folder / "a.off")


def area(mesh: RawMesh) -> float:
    corners = mesh.vertices[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(cross, axis=1).sum()) / 2


@pytest.mark.parametrize(
    "text",
    [
        off(), off().replace("OFF\n8", "OFF8"), off().replace("OFF\n8", "OFF 8"),
        off().replace("12\n", "\n"), off().replace("OFF\n", ""), off().replace("OFF", "off"),
        off().replace("OFF\n", "OFF\n# made by hand\n\n"), off().replace("\n", "\r\n"),
        off().replace("\n", "\r"), "\ufeff" + off(), off().replace("\n", "  # a comment\n"),
        off().replace("\n", "\n\n"), off() + "\n\n", off().replace("\n", " "),
        off("NOFF", " 0 0 1"), off("STOFF", " 0.5 0.5"), off("STNOFF", " 0 0 1 0.5 0.5"),
        off(behind_face=" 7"), off(behind_vertex=" 0 0 -1"),
    ],
)  # fmt: skip
def test_all_ways_of_writing_it_are_read(text: str, tmp_path: Path) -> None:
    mesh = load(tmp_path, text)
    assert np.ptp(mesh.vertices, axis=0).tolist() == [1, 2, 3]
    assert area(mesh) == pytest.approx(22)
    assert not mesh.has_color


def test_homogeneous_vertices_are_divided(tmp_path: Path) -> None:
    vertices = "".join(f"{2 * x} {2 * y} {2 * z} 2\n" for x, y, z in CORNERS)
    faces = "".join(f"4 {' '.join(map(str, quad))}\n" for quad in QUADS)
    assert area(load(tmp_path, f"4OFF 8 6 0\n{vertices}{faces}")) == pytest.approx(22)


def test_faces_may_have_any_number_of_corners(tmp_path: Path) -> None:
    outline = [(0, 0), (3, 0), (3, 1), (1, 1), (1, 3), (0, 3)]
    vertices = "".join(f"{x} {y} {z}\n" for z in (0, 2) for x, y in outline)
    sides = [(i, (i + 1) % 6, (i + 1) % 6 + 6, i + 6) for i in range(6)]
    faces = "6 5 4 3 2 1 0\n6 8 9 10 11 6 7\n"
    faces += "".join(f"4 {a} {b} {c} {d}\n" for a, b, c, d in sides[:4])
    faces += "".join(f"3 {a} {b} {c}\n3 {a} {c} {d}\n" for a, b, c, d in sides[4:])
    text = f"OFF\n12 10 0\n{vertices}{faces}"
    for content in (text, text.replace("\n", " ")):  # lines, or none
        mesh = load(tmp_path, content)
        assert len(mesh.faces) == 4 + 4 + 12
        assert area(mesh) == pytest.approx(2 * 5 + 2 * 12)


RED = (255, 0, 51)


@pytest.mark.parametrize(
    "text",
    [
        off("COFF", " 255 0 51 255"), off("COFF", " 255 0 51"), off("COFF", " 1.0 0.0 0.2 1.0"),
        off("COFF8", " 1 0 0.2 1").replace("COFF8\n8", "COFF8"),
        off("NCOFF", " 0 0 1 255 0 51 255"), off("CNOFF", " 0 0 1 255 0 51 255"),
        off("STCOFF", " 255 0 51 255 0.5 0.5"), off("STCNOFF", " 0 0 1 1 0 .2 1 0.5 0.5"),
        off("OFF", " 255 0 51 255"), off("OFF", " 255 0 51"),
        off(behind_face=" 255 0 51"), off(behind_face=" 255 0 51 255"),
        off(behind_face=" 1.0 0.0 0.2"), off("NOFF", " 0 0 1", " 1 0 0.2 1"),
    ],
)  # fmt: skip
def test_colours_of_vertices_and_faces_are_read(text: str, tmp_path: Path) -> None:
    mesh = load(tmp_path, text)
    assert mesh.has_color
    assert (mesh.colors == RED).all()
    assert area(mesh) == pytest.approx(22)


def test_faces_of_different_colours_do_not_bleed(tmp_path: Path) -> None:
    lines = off().splitlines()
    lines[-1] += " 0 0 255"
    lines[-2] += " 0 255 0 128"
    mesh = load(tmp_path, "\n".join(lines))
    of_face = mesh.colors[mesh.faces]
    assert (of_face == of_face[:, :1]).all()
    assert (of_face[-2:] == [0, 0, 255]).all()
    assert (of_face[-4:-2] == [0, 255, 0]).all()
    assert (of_face[:-4] == 170).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PLY\n", "is no OFF file: it does not begin with OFF and two numbers"),
        (b"OFF BINARY\n\0\0\0\x08", "is a binary OFF file, which is not read"),
        (off("nOFF").encode(), "any number of dimensions"),
        (off().replace(" 2 ", " 2,5 ").encode(), "decimal comma"),
        (off().replace("4 0 1 3 2", "9 0 1 3 2").encode(), "expected 9 corners, got '0 1 3 2'"),
        (off().replace("4 0 1 3 2", "-1 0 1 3 2").encode(), "face 0: expected -1 corners"),
        (off().replace("4 0 1 3 2", "4 0 1 3 8").encode(), "point at missing vertices"),
        (off().replace("0 0 0\n", "0 0\n").encode(), "vertex 0: expected 3 numbers, got '0 0'"),
        (off()[:60].encode(), "is truncated"),
        (b"OFF\n8 6 0\n" + b"1 " * 30, "is truncated: it has 8 of 8|is truncated"),
        (b"OFF\n99999999999 5 0\n", "claims 99999999999 vertices and 5 faces; at most"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_gets_one_clear_line(
    content: bytes, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words) as error:
        load(tmp_path, content)
    assert "\n" not in str(error.value)
