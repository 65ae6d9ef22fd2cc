"""three.js in headless Chromium draws packs and scenes; see docs/exemplar-pack.md to run it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2o_shapedb.packing.pack_glb import PackedNode, encode_pack
from p2o_shapedb.packing.quantise import quantise
from points2objects import Box9DoF, Camera, Detections, ExemplarPack, Scene
from points2objects.bundle import Bundle
from points2objects.geometry import rotation_about_y

VIEWER = Path(__file__).with_name("three_viewer.cjs")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exemplars() -> ExemplarPack:
    return Bundle.load().exemplars


def view(path: Path, picture: Path, layout: str) -> dict[str, Any]:
    """Return what three.js found in a file, or skip where it cannot be asked."""
    node = shutil.which("node")
    browsers = (os.environ.get("CHROMIUM"), shutil.which("chromium"), shutil.which("google-chrome"))
    if node is None or not any(browsers):
        pytest.skip("node or Chromium is not installed; run make install as root")
    needs = "require('three'), require('playwright-core')"
    if subprocess.run([node, "-e", needs], capture_output=True, check=False).returncode:
        pytest.skip("npm's three and playwright-core are not installed; make install brings them")
    words = [node, str(VIEWER), str(path), str(picture), layout, "600"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["logged"] == []
    assert picture.stat().st_size > 5000
    return found


@pytest.mark.parametrize("compression", ["none", "meshopt"])
def test_every_exemplar_of_a_pack_is_drawn(
    compression: Any, exemplars: ExemplarPack, tmp_path: Path
) -> None:
    nodes = [
        PackedNode(
            mesh.name,
            quantise(mesh.vertices.astype(float), mesh.normals.astype(float), mesh.faces),
            0,
            mesh.extras,
        )
        for mesh in exemplars.meshes[::10]
    ]
    content = encode_pack(nodes, {"extras": {"digest": exemplars.digest}}, [{}], compression)
    (tmp_path / "pack.glb").write_bytes(content)
    found = view(tmp_path / "pack.glb", tmp_path / "pack.png", "grid")
    assert found["names"] == [node.name for node in nodes]
    assert found["triangles"] == sum(len(node.mesh.faces) for node in nodes)
    assert found["drawn_triangles"] == found["triangles"]
    assert found["extras"] == {"digest": exemplars.digest}
    assert 0.15 < found["drawn_share"] < 0.7


def test_the_pack_of_the_default_bundle_is_drawn(tmp_path: Path, exemplars: ExemplarPack) -> None:
    import points2objects

    path = Path(points2objects.__file__).parent / "assets/default/exemplars.glb"
    found = view(path, tmp_path / "pack.png", "grid")
    assert found["names"] == list(exemplars.names)
    assert found["drawn_triangles"] == sum(len(mesh.faces) for mesh in exemplars.meshes)


def test_a_placed_scene_is_drawn_where_it_should_be(
    exemplars: ExemplarPack, tmp_path: Path
) -> None:
    chosen = [exemplars.names.index(name) for name in ("chair/10", "table/20", "mug/05")]
    boxes = Box9DoF(
        rotation_about_y(np.array([0.4, 0.0, -1.0])),
        np.array([[0.9, 0.45, -2.0], [0, 0.37, -2.4], [0.1, 0.79, -2.3]]),
        np.array([[0.5, 0.9, 0.5], [1.2, 0.74, 0.7], [0.12, 0.1, 0.09]]),
    )
    detections = Detections(
        boxes, np.arange(3), np.array(chosen), np.array([0.9, 0.8, 0.7]), np.zeros((3, 2))
    )
    camera = Camera(np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), 640, 480, np.eye(4), -1)
    scene = Scene(detections, ("chair", "table", "mug"), np.arange(3), camera, exemplars.meshes)
    scene.save_glb(tmp_path / "scene.glb")
    found = view(tmp_path / "scene.glb", tmp_path / "scene.png", "scene")
    assert found["names"] == ["chair-0", "table-0", "mug-0"]
    points = np.concatenate([scene.mesh(index).vertices for index in range(3)])
    np.testing.assert_allclose(found["box"], [points.min(axis=0), points.max(axis=0)], atol=1e-3)
    assert 0.05 < found["drawn_share"] < 0.9
