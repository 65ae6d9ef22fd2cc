"""USDZ scenes, read back and checked by USD itself."""

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from points2objects import Box9DoF, Camera, Detections, InputError, Mesh, Scene
from points2objects.geometry import rotation_about_y, transform_points
from points2objects.glb import unit_normals

CAMERA = Camera(np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), 640, 480, np.eye(4), -1.0)


def _mesh(name: str, color: tuple[float, float, float, float]) -> Mesh:
    vertices = 0.5 * np.array([[-1, -1, -1], [1, -1, 1], [-1, 1, 1], [1, 1, -1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]], np.uint32)
    extras = {"licence": "CC-BY-4.0", "attribution": "somebody", "source": "somewhere"}
    return Mesh(vertices, unit_normals(vertices, faces), faces, color, name, extras)


def _scene(n: int = 3) -> Scene:
    boxes = Box9DoF(
        rotation_about_y(np.array([0.3, 1.0, -2.5])),
        np.array([[0, 0.5, -2.0], [1, 0.4, -3], [-1, 0.3, -2.5]]),
        np.array([[0.5, 1, 0.5], [0.4, 0.8, 0.6], [0.1, 0.2, 0.3]]),
    )[:n]
    detections = Detections(
        boxes, np.zeros(n, int), np.array([0, 1, 0])[:n], np.linspace(1, 0.5, n), np.zeros((n, 2))
    )
    meshes = (_mesh("chair/00", (0.5, 0.25, 0.125, 1.0)), _mesh("mug/00", (0.1, 0.2, 0.3, 1.0)))
    labels = ("chair", "mug", "chair")[:n]
    return Scene(detections, labels, np.arange(n), CAMERA, meshes, timestamp_ns=2**40)


@pytest.fixture
def stage(tmp_path: Path) -> Any:
    usd = pytest.importorskip("pxr.Usd")
    _scene().save_usdz(tmp_path / "scene.usdz")
    return usd.Stage.Open(str(tmp_path / "scene.usdz"))


@pytest.mark.parametrize("n", [0, 1, 3])
def test_every_validator_of_usd_is_content(n: int, tmp_path: Path) -> None:
    validation = pytest.importorskip("pxr.UsdValidation")
    usd = pytest.importorskip("pxr.Usd")
    registry = validation.ValidationRegistry()
    names = [about.name for about in registry.GetAllValidatorMetadata()]
    assert len(names) >= 25
    assert any("Usdz" in name for name in names)
    path = tmp_path / "scene.usdz"
    _scene(n).save_usdz(path)
    context = validation.ValidationContext(registry.GetOrLoadValidatorsByName(names))
    found = context.Validate(usd.Stage.Open(str(path)))
    assert [error.GetErrorAsString() for error in found] == []


def test_the_validators_see_a_fault(stage: Any) -> None:
    validation = pytest.importorskip("pxr.UsdValidation")
    registry = validation.ValidationRegistry()
    names = [about.name for about in registry.GetAllValidatorMetadata()]
    stage.GetRootLayer().ClearDefaultPrim()
    context = validation.ValidationContext(registry.GetOrLoadValidatorsByName(names))
    assert context.Validate(stage)


def test_meshes_lie_where_the_scene_has_them(stage: Any) -> None:
    geom = pytest.importorskip("pxr.UsdGeom")
    assert geom.GetStageUpAxis(stage) == "Y"
    assert geom.GetStageMetersPerUnit(stage) == 1.0
    meshes = [prim for prim in stage.Traverse() if prim.IsA(geom.Mesh)]
    assert len(meshes) == 3
    for index, prim in enumerate(meshes):
        ours = _scene().mesh(index)
        matrix = np.array(geom.Xformable(prim).ComputeLocalToWorldTransform(0)).T
        mesh = geom.Mesh(prim)
        points = transform_points(matrix, np.array(mesh.GetPointsAttr().Get(), float))
        np.testing.assert_allclose(points, ours.vertices, atol=1e-5)
        faces = np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)
        np.testing.assert_array_equal(faces, ours.faces)
        normals = np.array(mesh.GetNormalsAttr().Get(), float) @ np.linalg.inv(matrix[:3, :3])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        np.testing.assert_allclose(normals, ours.normals, atol=1e-5)


def test_objects_carry_name_credit_and_colour(stage: Any) -> None:
    shade = pytest.importorskip("pxr.UsdShade")
    root = stage.GetDefaultPrim()
    objects = [prim for prim in root.GetChildren() if prim.GetTypeName() == "Xform"]
    assert [prim.GetDisplayName() for prim in objects] == ["chair-0", "mug-0", "chair-1"]
    about = objects[1].GetCustomDataByKey("points2objects")
    assert about["class"] == "mug"
    assert about["exemplar"] == "mug/00"
    assert (about["licence"], about["attribution"]) == ("CC-BY-4.0", "somebody")
    layer = stage.GetRootLayer()
    assert layer.documentation == "somebody (CC-BY-4.0)"
    assert layer.customLayerData["points2objects"]["points2objects"]["timestamp_ns"] == 2**40
    materials = [shade.MaterialBindingAPI(prim.GetChildren()[0]) for prim in objects]
    paths = [binding.ComputeBoundMaterial()[0].GetPath() for binding in materials]
    assert paths[0] == paths[2] != paths[1]
    surface = shade.Shader(stage.GetPrimAtPath(paths[0]).GetChildren()[0])
    color = surface.GetInput("diffuseColor").Get()
    np.testing.assert_allclose(color, (0.5, 0.25, 0.125))


def test_the_package_is_one_uncompressed_layer(tmp_path: Path) -> None:
    pytest.importorskip("pxr.Usd")
    _scene().save_usdz(tmp_path / "scene.usdz")
    with zipfile.ZipFile(tmp_path / "scene.usdz") as package:
        assert [entry.filename for entry in package.infolist()] == ["scene.usdc"]
        assert package.infolist()[0].compress_type == zipfile.ZIP_STORED


def test_a_scene_without_exemplars_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="carries 0 meshes"):
        replace(_scene(), exemplars=()).save_usdz(tmp_path / "scene.usdz")


WITHOUT_USD = """
import sys
sys.modules["pxr"] = None
from points2objects.errors import InputError
from points2objects.usdz import encode_usdz
try:
    encode_usdz([], {})
except InputError as error:
    print(error)
"""


def test_a_missing_extra_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_USD], capture_output=True, text=True, check=True
    )
    assert "needs usd-core" in done.stdout
    assert "pip install 'points2objects[usd]'" in done.stdout
