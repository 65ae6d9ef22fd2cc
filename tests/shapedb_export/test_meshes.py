import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed
from PIL import Image

from p2o_shapedb.cad.meshes import EXTENSIONS, clean, find_cad, load_mesh
from p2o_shapedb.cad.meshes import RawMesh as Raw
from points2objects.errors import InputError

trimesh: Any = trimesh_typed  # half of its own annotations are missing


def cube() -> Any:
    return trimesh.creation.box([1.0, 2.0, 3.0])


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # trimesh's writer leaves .gltf open
@pytest.mark.parametrize("suffix", EXTENSIONS)
def test_every_format_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"cube{suffix}"
    cube().export(path)
    mesh = load_mesh(path)
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), [1, 2, 3], atol=1e-6)
    assert len(mesh.faces) == 12


def test_scenes_are_flattened_with_their_transforms(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(cube(), transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    scene.add_geometry(cube(), transform=np.diag([-1.0, 1.0, 1.0, 1.0]))
    scene.export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb")
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [5.5, 1, 1.5], atol=1e-6)
    # The mirrored one must not come out inside out.
    both = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert both.volume == pytest.approx(12.0)


def test_vertex_colours_are_kept(tmp_path: Path) -> None:
    mesh = cube()
    mesh.visual.vertex_colors = np.tile([10, 200, 30, 255], (8, 1))
    mesh.export(tmp_path / "cube.ply")
    loaded = load_mesh(tmp_path / "cube.ply")
    assert loaded.has_color
    assert (loaded.colors == [10, 200, 30]).all()


def test_material_factors_are_turned_from_linear_to_srgb(tmp_path: Path) -> None:
    mesh = cube()
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[0.5, 0.0, 1.0, 1.0])
    mesh.visual = trimesh.visual.TextureVisuals(uv=np.zeros((8, 2)), material=material)
    mesh.export(tmp_path / "cube.glb")
    colors = load_mesh(tmp_path / "cube.glb").colors
    assert np.abs(colors.astype(int) - [188, 0, 255]).max() <= 1


def test_textures_are_sampled_at_the_vertices(tmp_path: Path) -> None:
    mesh = cube()
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[:, 0], pixels[:, 1] = [250, 0, 0], [0, 0, 250]
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(pixels))
    left = mesh.vertices[:, 0] < 0
    uv = np.stack([np.where(left, 0.25, 0.75), np.full(8, 0.5)], -1)
    mesh.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    mesh.export(tmp_path / "cube.glb")
    loaded = load_mesh(tmp_path / "cube.glb")
    assert (loaded.colors[loaded.vertices[:, 0] < 0] == [250, 0, 0]).all()
    assert (loaded.colors[loaded.vertices[:, 0] > 0] == [0, 0, 250]).all()


def test_a_file_without_colours_is_grey(tmp_path: Path) -> None:
    cube().export(tmp_path / "cube.stl")
    assert not load_mesh(tmp_path / "cube.stl").has_color


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.glb", b"glTF but not really", "is no GLB"),
        ("empty.obj", b"", "cannot read it as a mesh|holds no triangles"),
        ("points.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no triangles|cannot read"),
        (
            "flat.off",
            b"OFF\n4 4 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n3 0 1 3\n3 1 2 3\n",
            "flat along z",
        ),
        ("two.off", b"OFF\n4 2 0\n0 0 0\n1 0 1\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n", "too few"),
        (
            "nan.obj",
            b"v 0 0 0\nv nan 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n",
            "NaN",
        ),
    ],
)
def test_unusable_files_get_one_clear_line(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        load_mesh(path)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.glb: cannot read"):
        load_mesh(tmp_path / "nothing.glb")


def test_cleaning_drops_slivers_and_unused_vertices() -> None:
    box = cube()
    vertices = np.concatenate([box.vertices, [[9.0, 9.0, 9.0]]])
    faces = np.concatenate([box.faces, [[0, 0, 1]]])
    grey = np.zeros((9, 3), np.uint8)
    cleaned = clean(Raw(vertices, faces, grey, False), "cube")
    assert len(cleaned.vertices) == 8
    assert len(cleaned.faces) == 12


def test_cleaning_refuses_indices_out_of_range() -> None:
    box = cube()
    grey = np.zeros((8, 3), np.uint8)
    with pytest.raises(InputError, match="missing vertices"):
        clean(Raw(np.array(box.vertices), np.array(box.faces) + 1, grey, False), "cube")


def test_folders_are_searched_by_class_and_described_by_the_index(tmp_path: Path) -> None:
    for name in ("chair/a b.obj", "chair/b.glb", "lamp/c.obj", "chair/readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    entry = {"path": "chair/b.glb", "source": "kit", "licence": "CC0", "ship": True}
    entry |= {"title": "Stool", "creator": "Ada"}
    (tmp_path / "index.json").write_text(json.dumps([entry]))
    first, second = find_cad(tmp_path, ("chair", "table"))
    assert (first.name, first.licence, first.ship) == ("a_b", "unknown", False)
    assert (second.source, second.licence, second.ship) == ("kit", "CC0", True)
    assert second.attribution == "Stool by Ada"


def test_a_folder_without_cad_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no CAD files of chair; expected <class>/\*"):
        find_cad(tmp_path, ("chair",))
    with pytest.raises(InputError, match="no such folder"):
        find_cad(tmp_path / "nowhere", ("chair",))


def test_a_broken_index_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("[1, 2]")
    with pytest.raises(InputError, match=r"index\.json: expected a JSON list"):
        find_cad(tmp_path, ("chair",))
