"""Scenes: what they say about their objects and what they save."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from points2objects import Box9DoF, Camera, Detections, InputError, Mesh, Scene
from points2objects.geometry import FloatArray, rigid, rotation_about_y, transform_points
from points2objects.glb import decode_glb, unit_normals

CAMERA = Camera(
    np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]),
    640,
    480,
    rigid(np.diag([1.0, -1, -1]), np.array([0, 1.5, 0])),
    0.1,
)


def _meshes() -> tuple[Mesh, ...]:
    vertices = np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)
    credit = {"model": "m", "source": "s", "licence": "CC-BY-4.0"}
    return tuple(
        Mesh(
            vertices,
            unit_normals(vertices, faces),
            faces,
            name=f"chair/{i:02}",
            extras={**credit, "attribution": f"author {i}"},
        )
        for i in range(3)
    )


def _scene(n: int = 3) -> Scene:
    boxes = Box9DoF(
        rotation_about_y(np.array([0.0, 1.0, -2.5])),
        np.array([[0, 0.5, -2.0], [1, 0.4, -3], [-1, 0.3, -2.5]]),
        np.array([[0.5, 1, 0.5], [0.4, 0.8, 0.6], [0.1, 0.2, 0.3]]),
    )[:n]
    detections = Detections(
        boxes,
        np.array([0, 0, 1])[:n],
        np.array([0, 2, 0])[:n],
        np.array([0.9, 0.8, 0.4], np.float32)[:n],
        CAMERA.project(boxes.translation)[:, :2],
    )
    labels = ("chair", "chair", "mug")[:n]
    return Scene(detections, labels, np.array([4, 2, 7])[:n], CAMERA, _meshes(), 12)


def test_distance_is_from_the_camera() -> None:
    np.testing.assert_allclose(_scene().distance()[0], np.hypot(1, 2))
    assert _scene(0).distance().shape == (0,)


def test_names_are_distinct() -> None:
    assert _scene().names() == ("chair-0", "chair-1", "mug-0")


def _world_vertices(scene: Scene, index: int) -> FloatArray:
    box = scene.detections.boxes[index]
    exemplar = scene.exemplars[int(scene.detections.exemplar_id[index])]
    return transform_points(box.matrix(), exemplar.vertices.astype(float))


def test_saved_glb_shows_each_object_in_its_box(tmp_path: Path) -> None:
    scene = _scene()
    scene.save_glb(tmp_path / "scene.glb")
    file = decode_glb((tmp_path / "scene.glb").read_bytes(), "scene.glb")
    assert [mesh.name for mesh in file.meshes] == ["chair-0", "chair-1", "mug-0"]
    for index, mesh in enumerate(file.meshes):
        np.testing.assert_allclose(mesh.vertices, _world_vertices(scene, index), atol=1e-6)
        np.testing.assert_allclose(scene.mesh(index).vertices, mesh.vertices, atol=1e-6)
        np.testing.assert_allclose(scene.mesh(index).normals, mesh.normals, atol=1e-5)
    assert file.meshes[1].extras == {
        "class": "chair",
        "score": pytest.approx(0.8),
        "track_id": 2,
        "exemplar_id": 2,
        "exemplar": "chair/02",
        "model": "m",
        "source": "s",
        "licence": "CC-BY-4.0",
        "attribution": "author 2",
    }
    assert file.copyright == "author 0, author 2 (CC-BY-4.0)"
    assert file.extras["points2objects"] == {"schema": 1, "timestamp_ns": 12, "unit": "metre"}
    assert [path.name for path in tmp_path.iterdir()] == ["scene.glb"]


def test_json_holds_the_boxes_exactly(tmp_path: Path) -> None:
    scene = _scene()
    values = json.loads(scene.to_json())
    assert "\n" not in scene.to_json()
    scene.save_json(tmp_path / "scene.json")
    assert json.loads((tmp_path / "scene.json").read_text()) == values
    assert values["unit"] == "metre"
    assert values["camera"]["width"] == 640
    second = values["objects"][1]
    assert (second["name"], second["class"], second["track_id"]) == ("chair-1", "chair", 2)
    assert second["exemplar"] == "chair/02"
    box = scene.detections.boxes[1]
    assert second["rotation"] == box.rotation.tolist()
    assert second["translation"] == box.translation.tolist()
    assert second["scale"] == box.scale.tolist()
    assert second["distance"] == pytest.approx(scene.distance()[1])
    assert json.loads(replace(scene, metric=False).to_json())["unit"] == "camera height"


def test_an_empty_scene_saves(tmp_path: Path) -> None:
    scene = replace(_scene(0), exemplars=())
    scene.save_glb(tmp_path / "empty.glb")
    scene.save_json(tmp_path / "empty.json")
    assert decode_glb((tmp_path / "empty.glb").read_bytes(), "empty.glb").meshes == ()
    assert json.loads((tmp_path / "empty.json").read_text())["objects"] == []


def test_saving_replaces_whole_files_and_says_what_is_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "scene.json"
    path.write_text("older")
    _scene().save_json(path)
    assert path.read_text().startswith("{")
    with pytest.raises(InputError, match=r"cannot write .*is the folder there"):
        _scene().save_glb(tmp_path / "nowhere" / "scene.glb")


def test_a_scene_without_exemplars_has_no_glb() -> None:
    scene = replace(_scene(), exemplars=())
    with pytest.raises(InputError, match="wants exemplar 0, but the scene carries 0 meshes"):
        scene.to_glb()
    assert json.loads(scene.to_json())["objects"][0]["exemplar"] is None


def test_records_must_agree_in_number() -> None:
    scene = _scene()
    with pytest.raises(InputError, match="need as many labels, got 1"):
        replace(scene, labels=("chair",))
    with pytest.raises(InputError, match="track_id: expected shape"):
        replace(scene, track_id=np.zeros(2, int))
    with pytest.raises(InputError, match="score: expected shape"):
        replace(scene.detections, score=np.zeros(2))


@pytest.mark.parametrize("kind", [int, np.int64, np.uint64, np.int32, np.uint8])
def test_time_stamps_of_every_whole_kind_save(kind: type[int]) -> None:
    scene = replace(_scene(), timestamp_ns=kind(5))
    assert type(scene.timestamp_ns) is int
    assert json.loads(scene.to_json())["timestamp_ns"] == 5
    assert decode_glb(scene.to_glb(), "scene").extras["points2objects"]["timestamp_ns"] == 5


@pytest.mark.parametrize("time", [-1, np.int64(-1), 2**63, 2**70])
def test_time_stamps_out_of_range_are_refused(time: int) -> None:
    with pytest.raises(InputError, match="timestamp_ns: expected 0 or more, below"):
        replace(_scene(), timestamp_ns=time)
