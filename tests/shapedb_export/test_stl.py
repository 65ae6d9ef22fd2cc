import struct
from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.cad.meshes import RawMesh, load_mesh
from p2o_shapedb.cad.model_folder import LoadLimits
from points2objects.errors import InputError

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], np.float32)
TRIANGLES = POINTS[[[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]]
AREA = (2 + 3 + 6 + 7) / 2


def binary(header: bytes = b"made by hand", behind: bytes = b"", count: int = 4) -> bytes:
    body = b"".join(struct.pack("<12fH", 0, 0, 1, *corners.flat, 7) for corners in TRIANGLES)
    return header.ljust(80, b"\0") + struct.pack("<I", count) + body + behind


def text(name: str = "part") -> str:
    facets = "".join(
        "facet normal 0 0 1\n outer loop\n"
        + "".join(f"  vertex {x} {y} {z}\n" for x, y, z in corners)
        + " endloop\nendfacet\n"
        for corners in TRIANGLES
    )
    return f"solid {name}\n{facets}endsolid {name}\n"


def load(folder: Path, content: str | bytes) -> RawMesh:
    (folder / "a.stl").write_bytes(content.encode() if isinstance(content, str) else content)
    return load_mesh(folder / "a.stl")


def area(mesh: RawMesh) -> float:
    corners = mesh.vertices[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(cross, axis=1).sum()) / 2


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        (binary(), ()),
        (binary(b"solid part"), ()),
        (binary(b"solid facet normal"), ()),
        (binary(b"COLOR=\xff\x00\x80\xff, MATERIAL=\xe9"), ()),
        (binary("St\u00fchl".encode("latin-1")), ()),
        (binary(b"\xff\xfe\xfa"), ()),
        (binary(behind=b"\r\n"), ("2 bytes behind the last triangle not read",)),
        (binary(b"solid part", b"x" * 77), ("77 bytes behind the last triangle not read",)),
        (binary(count=0), ()),
        (binary(b"\n solid"), ()),
    ],
)
def test_binary_files_are_known_by_their_size(
    content: bytes, notes: tuple[str, ...], tmp_path: Path
) -> None:
    mesh = load(tmp_path, content)
    assert area(mesh) == pytest.approx(AREA)
    assert mesh.repairs == notes


@pytest.mark.parametrize(
    "content",
    [
        text(), text(""), text("facet normal"), text().upper(), "\ufeff" + text(), "\n  " + text(),
        text().replace("\n", "\r\n"), text().replace("\n", "\r"), text().replace("\n", " "),
        text("St\u00fchl").encode("latin-1"), text("\u6905\u5b50").encode("gbk"),
        text().encode("utf-16"), text().replace("normal 0 0 1", "normal nan nan nan"),
        text().replace("normal 0 0 1", ""), text("vertex 1 2 3"),
        text().replace("solid part", "solid"),
        text().replace(".0", ".0e+00"), text().replace("endsolid part\n", ""),
        text().replace("endfacet\n", "endfacet\nendsolid a\nsolid b\n", 1),
        text() + "\0" * 300,
    ],
)  # fmt: skip
def test_text_is_read_whoever_wrote_it(content: str | bytes, tmp_path: Path) -> None:
    mesh = load(tmp_path, content)
    assert len(mesh.faces) == 4
    assert area(mesh) == pytest.approx(AREA)


def test_facets_may_have_more_corners(tmp_path: Path) -> None:
    extra = "facet\nouter loop\n"
    extra += "".join(f"vertex {x} {y} 5\n" for x, y in ((0, 0), (2, 0), (2, 2), (1, 0.5)))
    mesh = load(tmp_path, text().replace("endsolid", extra + "endloop\nendfacet\nendsolid"))
    assert len(mesh.faces) == 6
    assert area(mesh) == pytest.approx(AREA + 1.5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (text().replace(".0", ",0"), "'0,0' has a decimal comma"),
        (text().replace("2.0", "two"), "expected a number, got 'two'"),
        (text()[:-40], "is truncated"),
        (text()[: text().rindex("vertex") + 12], "is truncated: its last vertex has fewer"),
        (binary()[:-1], "its header claims 4 triangles, 284 bytes, and it has 283"),
        (binary(count=2**31), "truncated: its header claims 2147483648 triangles"),
        (b"", "is no STL file, or truncated"),
        (b"solid nothing\nendsolid nothing\n", "holds no triangles"),
        (binary(count=4).replace(struct.pack("<f", 3), struct.pack("<f", np.nan)), "NaN, infinite"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_gets_one_clear_line(
    content: str | bytes, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words) as error:
        load(tmp_path, content)
    assert "\n" not in str(error.value)


def test_indentation_does_not_count_as_words(tmp_path: Path) -> None:
    (tmp_path / "a.stl").write_text(text().replace("\n", "\n" + " " * 50))
    limits = LoadLimits(text_values=200)
    assert len(load_mesh(tmp_path / "a.stl", limits).faces) == 4
    with pytest.raises(InputError, match="has more than 3 triangles"):
        load_mesh(tmp_path / "a.stl", LoadLimits(triangles=3))
