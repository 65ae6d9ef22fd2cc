from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from p2o_shapedb.cad.meshes import RawMesh, load_mesh
from p2o_shapedb.cad.side_files import side_files
from points2objects.errors import InputError

# A box of 1 x 2 x 3: area 22, volume 6.
CORNERS = [(x, y, z) for x in (0, 1) for y in (0, 2) for z in (0, 3)]
QUADS = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
VERTICES = "".join(f"v {x} {y} {z}\n" for x, y, z in CORNERS)
FACES = "".join(f"f {' '.join(map(str, quad))}\n" for quad in QUADS)
UV = "vt 0.25 0.75\nvt 0.75 0.75\nvt 0.75 0.25\nvt 0.25 0.25\n"
UV_FACES = "".join("f " + " ".join(f"{v}/{t}" for t, v in enumerate(q, 1)) + "\n" for q in QUADS)
WOOD = (200, 60, 20)


def load(folder: Path, content: str | bytes, **files: str | bytes) -> RawMesh:
    """Write an OBJ file, and others beside it, and read it."""
    for name, data in {"a.obj": content, **files}.items():
        path = folder / name.replace("__", "/").replace("_mtl", ".mtl")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return load_mesh(folder / "a.obj")


def area(mesh: RawMesh) -> float:
    corners = mesh.vertices[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(cross, axis=1).sum()) / 2


def volume(mesh: RawMesh) -> float:
    corners = mesh.vertices[mesh.faces]
    return float(np.linalg.det(corners).sum()) / 6


def is_the_box(mesh: RawMesh) -> bool:
    return (
        np.ptp(mesh.vertices, axis=0).tolist() == [1, 2, 3]
        and area(mesh) == pytest.approx(22)
        and volume(mesh) == pytest.approx(6)
    )


def texture(path: Path, colors: list[list[tuple[int, int, int]]]) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.array(colors, np.uint8)).save(path)


def test_negative_indices_count_back_from_the_vertices_read_so_far(tmp_path: Path) -> None:
    blocks = "".join(
        "".join("v {} {} {}\n".format(*CORNERS[i - 1]) for i in quad) + "f -4 -3 -2 -1\n"
        for quad in QUADS
    )
    assert is_the_box(load(tmp_path, blocks))
    mixed = VERTICES + "".join(f"f {a} {b - 9} {c} {d - 9}\n" for a, b, c, d in QUADS)
    assert is_the_box(load(tmp_path, mixed))
    # Texture coordinates count by themselves.
    texture(tmp_path / "t.png", [[WOOD, (0, 0, 0)]])
    with_uv = "mtllib m.mtl\nusemtl m\n" + VERTICES + "vt 0.2 0.5\nvt 0.8 0.5\n"
    with_uv += "".join("f " + " ".join(f"{v - 9}/-2" for v in q) + "\n" for q in QUADS)
    mesh = load(tmp_path, with_uv, m_mtl="newmtl m\nmap_Kd t.png\n")
    assert is_the_box(mesh)
    assert (mesh.colors == WOOD).all()


def test_an_index_before_the_first_vertex_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.obj: has faces that point at missing vertices"):
        load(tmp_path, "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -4\n")
    with pytest.raises(InputError, match="missing vertices"):
        load(tmp_path, VERTICES + "f 0 1 2\n")


def test_concave_faces_keep_their_area(tmp_path: Path) -> None:
    outline = [(0, 0), (3, 0), (3, 1), (1, 1), (1, 3), (0, 3)]
    vertices = "".join(f"v {x} {y} {z}\n" for z in (0, 2) for x, y in outline)
    for shift in range(6):
        ring = [(i + shift) % 6 for i in range(6)]
        faces = "f " + " ".join(str(i + 7) for i in ring) + "\n"
        faces += "f " + " ".join(str(i + 1) for i in reversed(ring)) + "\n"
        faces += "".join(
            f"f {i + 1} {(i + 1) % 6 + 1} {(i + 1) % 6 + 7} {i + 7}\n" for i in range(6)
        )
        mesh = load(tmp_path, vertices + faces)
        assert area(mesh) == pytest.approx(2 * 5 + 2 * 12)
        assert volume(mesh) == pytest.approx(10)


def test_quads_that_are_not_flat_are_cut_from_their_first_corner(tmp_path: Path) -> None:
    bent = VERTICES.replace("v 1 2 3", "v 1.5 2.5 3")
    mesh = load(tmp_path, bent + FACES)
    corners = np.array(CORNERS, float)
    corners[7] = [1.5, 2.5, 3]
    fans = [[q[0] - 1, q[i] - 1, q[i + 1] - 1] for q in QUADS for i in (1, 2)]
    cross = [np.cross(corners[b] - corners[a], corners[c] - corners[a]) for a, b, c in fans]
    assert area(mesh) == pytest.approx(np.linalg.norm(cross, axis=1).sum() / 2)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + VERTICES + FACES,
        (VERTICES + FACES).replace("\n", "\r"),
        (VERTICES + FACES).replace("\n", "\r\n"),
        (VERTICES + FACES).replace("v ", "   v ").replace("f ", "\tf "),
        (VERTICES + FACES).replace(" ", "\t"),
        (VERTICES + FACES).replace(" ", "  ").replace("\n", " \n"),
        (VERTICES + FACES).replace("\n", " # a comment\n"),
        FACES + VERTICES,
        VERTICES.replace("\n", " 1.0\n") + FACES,
        VERTICES.replace("v ", "v \\\n  ") + FACES.replace("f 1", "f \\\r\n 1"),
        VERTICES.replace(" 0 ", " 0.0e+00 ").replace(" 3\n", " 3.0E0\n") + FACES,
        VERTICES + "vn 0 0 1\n" + FACES.replace(" ", "//1 ").replace("f//1", "f"),
        VERTICES + FACES + "l 1 2 3\np 1\n",
        VERTICES + FACES + "f 1 2\nf 3\ng face of f 1 2 3\no f\ns off\n",
        VERTICES + FACES.replace("\n", "/\n").replace(" ", "/ ").replace("f/", "f"),
        "# B\u00fcrostuhl \u6905\u5b50\n" + VERTICES + FACES,
        "v -1.#IND 1.#QNAN nan(0x8000)\n" + VERTICES
        + "".join("f " + " ".join(str(i + 1) for i in q) + "\n" for q in QUADS),
    ],
)  # fmt: skip
def test_oddities_of_writers_are_read(text: str, tmp_path: Path) -> None:
    mesh = load(tmp_path, text)
    assert is_the_box(mesh)
    assert not mesh.has_color


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "cp1252", "gbk"]
)
def test_any_encoding_of_text_is_read(encoding: str, tmp_path: Path) -> None:
    comment = {"cp1252": "# Sch\u00f6ner St\u00fchl\n", "gbk": "# \u6905\u5b50\n"}.get(
        encoding, "# chair\n"
    )
    assert is_the_box(load(tmp_path, (comment + VERTICES + FACES).encode(encoding)))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "gbk", "shift_jis"])
def test_names_in_a_code_page_lead_to_their_files(encoding: str, tmp_path: Path) -> None:
    word = {"cp1252": "w\u00f6\u00df", "utf-8": "w\u00f6\u6728"}.get(encoding, "\u6728\u6750")
    texture(tmp_path / f"{word}.png", [[WOOD]])
    (tmp_path / f"{word}.mtl").write_bytes(f"newmtl {word}\nmap_Kd {word}.png\n".encode(encoding))
    text = f"# {word}\nmtllib {word}.mtl\nusemtl {word}\n" + VERTICES + UV + UV_FACES
    mesh = load(tmp_path, text.encode(encoding))
    assert mesh.repairs == ()
    assert (mesh.colors == WOOD).all()


@pytest.mark.parametrize("word", ["\u6728", "\u6728\u5934", "\u6d93\u6728"])
def test_a_name_in_gbk_that_is_utf8_by_chance_leads_to_its_files(word: str, tmp_path: Path) -> None:
    texture(tmp_path / f"{word}.png", [[WOOD]])
    (tmp_path / "m.mtl").write_bytes(f"newmtl {word}\nmap_Kd {word}.png\n".encode("gbk"))
    for comment in ("", "# \u6905\u5b50\n"):  # with it, the OBJ is no UTF-8 and the MTL may be
        text = f"{comment}mtllib m.mtl\nusemtl {word}\n" + VERTICES + UV + UV_FACES
        assert (load(tmp_path, text.encode("gbk")).colors == WOOD).all()


def test_zeros_that_fill_the_last_block_are_no_text(tmp_path: Path) -> None:
    assert is_the_box(load(tmp_path, (VERTICES + FACES).encode() + b"\0" * 300))


def test_a_material_named_in_another_code_page_is_found(tmp_path: Path) -> None:
    (tmp_path / "m.mtl").write_bytes("newmtl w\u00f6\nKd 1 0 0\n".encode("cp1252"))
    text = "# \u6905\nmtllib m.mtl\nusemtl w\u00f6\n" + VERTICES + FACES
    assert (load(tmp_path, text).colors == [255, 0, 0]).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (VERTICES.replace(" 2 ", " 2,5 ") + FACES, "'2,5' has a decimal comma"),
        (VERTICES + "f 1 2 x\n", r"line 9: expected a face like 'f 1 2 3', got 'f 1 2 x'"),
        (VERTICES + "f 1 2 99999999999999999999\n", "line 9: expected a face"),
        (VERTICES + "f 1 2 9\n", "point at missing vertices"),
        ("v 1 2\n" + VERTICES + FACES, r"a vertex \(number 1\): expected 3 numbers, got '1 2'"),
        ("v 1 2 abc\n" + VERTICES + FACES, "a vertex: expected a number, got 'abc'"),
        (VERTICES.replace("v 0 0 0", "v nan 0 0") + FACES, "NaN, infinite or beyond"),
        (VERTICES.replace("v 0 0 0", "v 1e300 0 0") + FACES, "NaN, infinite or beyond"),
        (VERTICES, "holds no triangles"),
    ],
)
def test_what_cannot_be_read_gets_one_clear_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as error:
        load(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'a.obj'}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "head",
    ["", "usemtl wood\n", "mtllib gone.mtl\nusemtl wood\n", "mtllib m.mtl\nusemtl other\n"],
)
def test_uv_without_a_material_is_grey(head: str, tmp_path: Path) -> None:
    mesh = load(tmp_path, head + VERTICES + UV + UV_FACES, m_mtl="newmtl wood\nKd 1 0 0\n")
    assert (mesh.colors == 170).all()
    assert not mesh.has_color
    assert not any("image" in note for note in mesh.repairs)


@pytest.mark.parametrize(
    "factor", ["", "Kd 0 0 0\n", "Kd 0.00 0.00 0.00\n", "Kd 1 1 1\n", "Kd 1\n"]
)
def test_a_texture_shows_whatever_a_writer_puts_for_white(factor: str, tmp_path: Path) -> None:
    texture(tmp_path / "wood.png", [[WOOD]])
    text = "mtllib m.mtl\nusemtl m\n" + VERTICES + UV + UV_FACES
    mesh = load(tmp_path, text, m_mtl=f"newmtl m\n{factor}map_Kd wood.png\n")
    assert mesh.has_color
    assert (mesh.colors == WOOD).all()
    assert bool(mesh.repairs) == ("Kd 0" in factor)


def test_colours_multiply_and_black_without_texture_is_black(tmp_path: Path) -> None:
    texture(tmp_path / "wood.png", [[WOOD]])
    text = "mtllib m.mtl\nusemtl m\n" + VERTICES + UV + UV_FACES
    mesh = load(tmp_path, text, m_mtl="newmtl m\nmap_Kd wood.png\nKd 0.5 1 0\n")
    assert (mesh.colors == [100, 60, 0]).all()
    assert (load(tmp_path, text, m_mtl="newmtl m\nKd 0 0 0\n").colors == 0).all()
    assert (load(tmp_path, text, m_mtl="newmtl m\nKd 0.8 0.2 0.1\n").colors == [204, 51, 26]).all()


@pytest.mark.parametrize(
    "line",
    [
        "map_Kd wood.png", "map_kd wood.png", "\tMAP_KD\twood.png ", "map_Kd WOOD.PNG",
        "map_Kd -s 2.0 2.0 1.0 wood.png", "map_Kd -o 0 0 0 -clamp on wood.png",
        "map_Kd -s 2 wood.png", "map_Kd -blendu off -bm 1.0 -mm 0 1 -texres 512 wood.png",
        "map_Kd -o 0.1 -s 2 2 -t 0 0 0 -cc on -imfchan r wood.png", "map_Kd \"wood.png\"",
        r"map_Kd C:\Users\someone\wood.png", "map_Kd /home/someone/wood.png", "map_Kd ./wood.png",
    ],
)  # fmt: skip
def test_options_and_spellings_of_a_texture_are_read(line: str, tmp_path: Path) -> None:
    texture(tmp_path / "wood.png", [[WOOD]])
    text = "mtllib m.mtl\nusemtl m\n" + VERTICES + UV + UV_FACES
    mesh = load(tmp_path, text, m_mtl=f"newmtl m\nKd 1 1 1\n{line}\n")
    assert mesh.repairs == ()
    assert (mesh.colors == WOOD).all()


@pytest.mark.parametrize("name", ["my wood.png", "tex/my wood.png", r"tex\wood.png", "-wood.png"])
def test_names_of_textures_may_hold_blanks_and_folders(name: str, tmp_path: Path) -> None:
    texture(tmp_path / name.replace("\\", "/"), [[WOOD]])
    text = "mtllib my m.mtl\nusemtl dark wood #25\n" + VERTICES + UV + UV_FACES
    (tmp_path / "my m.mtl").write_text(f"newmtl dark wood #25\nmap_Kd {name}\n")
    assert (load(tmp_path, text).colors == WOOD).all()


def test_textures_are_found_in_a_folder_of_textures(tmp_path: Path) -> None:
    texture(tmp_path / "textures" / "wood.png", [[WOOD]])
    text = "mtllib m.mtl\nusemtl m\n" + VERTICES + UV + UV_FACES
    mesh = load(tmp_path, text, m_mtl="newmtl m\nmap_Kd D:/work/wood.png\n")
    assert (mesh.colors == WOOD).all()


def test_a_texture_lies_as_its_options_say(tmp_path: Path) -> None:
    # Upper row of the picture: red, green; lower row: blue, white.
    texture(tmp_path / "t.png", [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]])
    head = "mtllib m.mtl\nusemtl m\n" + VERTICES

    def color(u: float, v: float, options: str) -> list[int]:
        faces = "".join("f " + " ".join(f"{i}/1" for i in q) + "\n" for q in QUADS)
        text = head + f"vt {u} {v}\n" + faces
        mesh = load(tmp_path, text, m_mtl=f"newmtl m\nmap_Kd {options}t.png\n")
        assert (mesh.colors == mesh.colors[0]).all()
        return [int(c) for c in mesh.colors[0]]

    assert color(0.25, 0.75, "") == [255, 0, 0]
    assert color(0.75, 0.75, "") == [0, 255, 0]
    assert color(0.25, 0.25, "") == [0, 0, 255]
    assert color(1.25, 0.75, "") == [255, 0, 0]
    assert color(1.25, 0.75, "-clamp on ") == [0, 255, 0]
    assert color(0.25, 0.75, "-o 0.5 0 ") == [0, 255, 0]
    assert color(0.25, 0.75, "-o 0 0.5 0 ") == [0, 0, 255]
    assert color(0.4, 0.9, "-s 2 1 1 ") == [0, 255, 0]


def test_materials_of_one_file_are_kept_apart(tmp_path: Path) -> None:
    head = "mtllib one.mtl two.mtl\n" + VERTICES
    first = "usemtl red\n" + "\n".join(FACES.splitlines()[:3])
    second = "\nusemtl blue\n" + "\n".join(FACES.splitlines()[3:]) + "\n"
    (tmp_path / "one.mtl").write_text("newmtl red\nKd 1 0 0\n")
    (tmp_path / "two.mtl").write_text("newmtl blue\nKd 0 0 1\nnewmtl red\nKd 0 1 0\n")
    mesh = load(tmp_path, head + first + second)
    assert is_the_box(mesh)
    of_face = mesh.colors[mesh.faces]
    assert (of_face[:6] == [255, 0, 0]).all()
    assert (of_face[6:] == [0, 0, 255]).all()


@pytest.mark.parametrize("color", ["1.0 0.0 0.2", "255 0 51", "1.0 0.0 0.2 1.0"])
def test_colours_behind_vertices_are_read(color: str, tmp_path: Path) -> None:
    mesh = load(tmp_path, VERTICES.replace("\n", f" {color}\n") + FACES)
    assert mesh.has_color
    assert (mesh.colors == [255, 0, 51]).all()


def test_a_damaged_texture_is_noted_and_its_factor_stays(tmp_path: Path) -> None:
    text = "mtllib m.mtl\nusemtl m\n" + VERTICES + UV + UV_FACES
    mesh = load(tmp_path, text, m_mtl="newmtl m\nKd 1 0 0\nmap_Kd t.png\n", **{"t.png": b"no"})
    assert (mesh.colors == [255, 0, 0]).all()
    assert mesh.repairs[0].startswith("texture not read: is no image")


def test_a_texture_without_coordinates_is_no_colour(tmp_path: Path) -> None:
    texture(tmp_path / "wood.png", [[WOOD]])
    text = "mtllib m.mtl\nusemtl m\n" + VERTICES + FACES
    mesh = load(tmp_path, text, m_mtl="newmtl m\nmap_Kd wood.png\n")
    assert not mesh.has_color
    assert (mesh.colors == 170).all()
    mesh = load(tmp_path, text, m_mtl="newmtl m\nKd 1 0 0\nmap_Kd wood.png\n")
    assert (mesh.colors == [255, 0, 0]).all()


def test_textures_may_lie_beside_their_material_file(tmp_path: Path) -> None:
    texture(tmp_path / "mat" / "wood.png", [[WOOD]])
    text = "mtllib mat/m.mtl\nusemtl m\n" + VERTICES + UV + UV_FACES
    mesh = load(tmp_path, text, mat__m_mtl="newmtl m\nmap_Kd wood.png\n")
    assert (mesh.colors == WOOD).all()
    assert [p.name for p in side_files(tmp_path / "a.obj")] == ["m.mtl", "wood.png"]
