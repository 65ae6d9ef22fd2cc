import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed
from PIL import Image

from p2o_shapedb.build import build
from p2o_shapedb.cad.overrides import read_overrides
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.process import Job, process_model
from p2o_shapedb.sources import Found, find_jobs
from points2objects.errors import InputError
from points2objects.geometry import FloatArray

trimesh: Any = trimesh_typed  # half of its own annotations are missing


def chair(width: float = 0.5) -> Any:
    """A chair of metres with +y up that faces +z: seat, and a back at -z."""
    seat = trimesh.creation.box([width, 0.1, 0.6])
    seat.apply_translation([0, 0.45, 0])
    back = trimesh.creation.box([width, 0.6, 0.08])
    back.apply_translation([0, 0.7, -0.26])
    foot = trimesh.creation.box([0.1, 0.45, 0.1])
    foot.apply_translation([0, 0.225, 0])
    return trimesh.util.concatenate([seat, back, foot])


def turned(mesh: Any, file_from_usual: FloatArray) -> Any:
    matrix = np.eye(4)
    matrix[:3, :3] = file_from_usual
    moved = mesh.copy()
    moved.apply_transform(matrix)
    return moved


def jobs(root: Path, toml: str = "", **changes: object) -> Found:
    values: dict[str, object] = {"cad": (root,), "procedural": 0, "classes": ("chair",)}
    path = root.parent / "mine.toml"
    path.write_text(toml)
    return find_jobs(BuildConfig(**(values | changes)), read_overrides(path))  # type: ignore[arg-type]


def back_of(job: Job) -> float:
    """Where along z the upper half of a model lies: the back of a chair that faces -z is at +z."""
    vertices = np.asarray(process_model(job).mesh.vertices)
    return float(vertices[vertices[:, 1] > 0.2, 2].mean())


@pytest.fixture
def cad(tmp_path: Path) -> Path:
    (tmp_path / "cad" / "chair").mkdir(parents=True)
    return tmp_path / "cad"


USUAL_FROM_BLENDER = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])


def test_a_file_of_the_usual_frame_faces_minus_z(cad: Path) -> None:
    chair().export(cad / "chair" / "a.obj")
    (job,) = jobs(cad).jobs
    assert back_of(job) > 0.3
    np.testing.assert_allclose(process_model(job).facts.extent_m, [0.5, 1.0, 0.6], atol=1e-6)


def test_blenders_frame_and_millimetres_are_an_option(cad: Path) -> None:
    mesh = turned(chair(), 1000 * USUAL_FROM_BLENDER.T)
    mesh.export(cad / "chair" / "a.stl")
    (job,) = jobs(cad, up="z", unit_m=0.001).jobs
    np.testing.assert_allclose(process_model(job).facts.extent_m, [0.5, 1.0, 0.6], rtol=1e-4)
    assert back_of(job) > 0.3


@pytest.mark.parametrize("front", ["x", "-x", "z", "-z"])
def test_any_front_ends_up_at_minus_z(cad: Path, front: str) -> None:
    yaw = {"z": 0, "x": 90, "-z": 180, "-x": 270}[front]
    rotation = trimesh.transformations.rotation_matrix(np.radians(yaw), [0, 1, 0])[:3, :3]
    turned(chair(), rotation).export(cad / "chair" / "a.ply")
    (job,) = jobs(cad, front=front).jobs
    assert back_of(job) > 0.3


def test_a_file_overrides_its_source_and_that_the_command_line(cad: Path) -> None:
    for name in "abc":
        chair().export(cad / "chair" / f"{name}.obj")
    toml = (
        '[source.cad]\nfront = "x"\n[file."chair/b.obj"]\nfront = "-x"\n'
        '[file."chair/c.obj"]\nturn_deg = 90\nreason = "looks left"\n'
    )
    a, b, c = jobs(cad, toml, front="-z").jobs
    assert (a.axes.front, b.axes.front, c.axes.front) == ("x", "-x", "x")
    assert (a.turn_deg, c.turn_deg) == (180.0, 270.0)
    assert c.notes == ("turned +90 degrees about y by --overrides (looks left)",)


def test_files_can_be_left_out_or_moved_to_another_class(cad: Path) -> None:
    for name in "abc":
        chair().export(cad / "chair" / f"{name}.obj")
    toml = (
        '[file."chair/a.obj"]\nskip = true\nreason = "a stool"\n'
        '[file."chair/b.obj"]\nclass = "sofa"\n[file."chair/c.obj"]\nclass = "car"\n'
    )
    found = jobs(cad, toml, classes=("chair", "sofa"))
    assert [job.id for job in found.jobs] == ["sofa/b"]
    assert found.jobs[0].notes == ("moved from class chair by --overrides",)
    assert "a.obj: left out by --overrides (a stool)" in found.left_out[0]
    assert "c.obj: is a car, which is not in --classes" in found.left_out[1]


def test_a_source_says_what_the_index_does_not(cad: Path) -> None:
    for name in "ab":
        chair().export(cad / "chair" / f"{name}.obj")
    entry = {"path": "chair/a.obj", "licence": "CC-BY", "source": "kit", "ship": False}
    (cad / "index.json").write_text(json.dumps([entry]))
    toml = '[source.cad]\nsource = "ours"\nlicence = "CC0"\nship = true\n'
    a, b = (job.file for job in jobs(cad, toml).jobs)
    assert a is not None
    assert b is not None
    assert (a.source, a.licence, a.ship) == ("kit", "CC-BY", False)
    assert (b.source, b.licence, b.ship) == ("ours", "CC0", True)


def write_shapenet(root: Path, number: str, count: int) -> Path:
    """Write models in ShapeNetCore.v2's layout: +y up, facing -z, diagonal 1, no unit."""
    for i in range(count):
        folder = root / number / f"{i:032x}" / "models"
        folder.mkdir(parents=True)
        mesh = turned(chair(0.4 + 0.1 * i), np.diag([-1.0, 1.0, -1.0]))
        mesh.apply_scale(1 / np.linalg.norm(mesh.extents))
        mesh.export(folder / "model_normalized.obj")
        (folder / "model_normalized.json").write_text("{}")
    return root


def test_shapenets_tree_is_read(tmp_path: Path) -> None:
    root = write_shapenet(tmp_path / "ShapeNetCore.v2", "03001627", 3)
    (root / "03001627" / "empty" / "models").mkdir(parents=True)  # v2 lacks some models
    (root / "taxonomy.json").write_text("[]")
    config = BuildConfig(
        out=tmp_path / "db", shapenet=(root,), procedural=0, classes=("chair",),
        exemplars_per_class=2, exemplars="any", val_share=0.0, workers=0,
    )  # fmt: skip
    database = build(config).database
    assert [model.id for model in database.models] == [f"chair/{i:032x}" for i in range(3)]
    model = database.models[0]
    assert (model.source, model.ship) == ("ShapeNetCore.v2", False)
    assert np.linalg.norm(model.extent_m) == pytest.approx(1.2)
    (job, *_) = find_jobs(config, read_overrides()).jobs
    assert back_of(job) > 0.3


def test_synsets_and_sizes_can_be_added(tmp_path: Path) -> None:
    root = write_shapenet(tmp_path / "snc", "09999999", 1)
    toml = tmp_path / "mine.toml"
    toml.write_text('[synset]\n09999999 = { class = "stool", diagonal_m = 0.8 }\n')
    config = BuildConfig(shapenet=(root,), procedural=0, classes=("stool",))
    (job,) = find_jobs(config, read_overrides(toml)).jobs
    assert (job.class_name, job.diagonal_m) == ("stool", 0.8)
    toml.write_text(toml.read_text() + f'[file."09999999/{0:032x}"]\nunit_m = 1.5\n')
    (job,) = find_jobs(config, read_overrides(toml)).jobs
    assert (job.diagonal_m, job.axes.unit_m) == (0.0, 1.5)


def test_a_tree_without_the_classes_says_what_was_looked_for(tmp_path: Path) -> None:
    root = write_shapenet(tmp_path / "snc", "03001627", 1)
    config = BuildConfig(shapenet=(root,), procedural=0, classes=("mug", "teapot"))
    words = r"no models; expected <synset>/<id>/models/model_normalized\.obj with synset one of "
    words += r"03797390; no \[synset\] of --overrides names teapot"
    with pytest.raises(InputError, match=words):
        find_jobs(config, read_overrides())
    with pytest.raises(InputError, match=r"--shapenet .*: no such folder"):
        find_jobs(BuildConfig(shapenet=(tmp_path / "none",)), read_overrides())


def test_models_in_subfolders_build_with_their_textures(cad: Path) -> None:
    for name in ("foo", "bar"):
        folder = cad / "chair" / name
        (folder / "textures").mkdir(parents=True)
        Image.fromarray(np.full((2, 2, 3), (200, 60, 20), np.uint8)).save(
            folder / "textures" / "wood.png"
        )
        (folder / "scene.mtl").write_text("newmtl wood\nmap_Kd textures/wood.png\n")
        uv = "".join("vt 0.5 0.5\n" for _ in range(8))
        box = trimesh.creation.box([0.5, 1.0, 0.6])
        lines = [f"v {x} {y} {z}" for x, y, z in box.vertices]
        lines += ["f " + " ".join(f"{i + 1}/1" for i in face) for face in box.faces]
        head = "mtllib scene.mtl\nusemtl wood\n"
        (folder / "scene.obj").write_text(head + uv + "\n".join(lines) + "\n")
    found = jobs(cad).jobs
    assert [job.id for job in found] == ["chair/bar_scene", "chair/foo_scene"]
    assert (process_model(found[0]).mesh.colors == [200, 60, 20]).all()
    # Patterns of --overrides reach them by their path.
    assert jobs(cad, '[file."chair/foo/*"]\nskip = true\n').jobs[0].id == "chair/bar_scene"


def test_files_of_other_formats_are_one_line_of_the_report(
    cad: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chair().export(cad / "chair" / "a.obj")
    for name in ("b.fbx", "c.FBX", "d.usdz"):
        (cad / "chair" / name).touch()
    (line,) = jobs(cad).left_out
    assert "3 files of other formats not read (2 .fbx, 1 .usdz); convert models to .glb" in line
    assert line in caplog.text


def test_a_folder_of_nearly_the_classs_name_is_warned_of(
    cad: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chair().export(cad / "chair" / "a.obj")
    (cad / "Mugs").mkdir()
    assert len(jobs(cad, classes=("chair", "mug")).jobs) == 1
    assert "the folder 'Mugs' is not read for the class mug; rename it" in caplog.text
