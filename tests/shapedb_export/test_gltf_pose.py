import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2o_shapedb.cad.meshes import RawMesh, load_mesh
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, rotation_about_y
from points2objects.glb_container import join_chunks

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint16)
KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
COMPONENTS = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "float32": 5126}


def load(folder: Path, document: dict[str, Any], *arrays: Any, normalized: bool = False) -> RawMesh:
    """Write a GLB whose accessors are the points, the faces and more arrays, and read it."""
    views, accessors, binary = [], [], b""
    for number, array in enumerate((POINTS, FACES.reshape(-1, 1), *arrays)):
        data = np.ascontiguousarray(array).tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        accessor = {
            "bufferView": number,
            "count": len(array),
            "type": KINDS[array.shape[1]],
            "componentType": COMPONENTS[array.dtype.name],
        }
        accessors.append(accessor | ({"normalized": True} if normalized and number > 1 else {}))
        binary += data + b"\0" * (-len(data) % 4)
    whole = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
    } | document
    (folder / "a.glb").write_bytes(join_chunks(json.dumps(whole).encode(), binary))
    return load_mesh(folder / "a.glb")


def volume(mesh: RawMesh) -> float:
    return float(np.linalg.det(mesh.vertices[mesh.faces]).sum()) / 6


def matches(mesh: RawMesh, points: FloatArray) -> None:
    np.testing.assert_allclose(mesh.vertices[mesh.faces], points[FACES], atol=1e-5)


def morphed(weights: dict[str, Any], *target: dict[str, int]) -> dict[str, Any]:
    primitive = {"attributes": {"POSITION": 0}, "indices": 1, "targets": list(target)}
    return {"meshes": [{"primitives": [primitive], **weights}]}


UP = np.array([[0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)
OUT = np.array([[0, 0, 0], [4, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32)


def test_morph_targets_show_by_their_default_weights(tmp_path: Path) -> None:
    document = morphed({"weights": [0.5, 1.0]}, {"POSITION": 2}, {"POSITION": 3})
    matches(load(tmp_path, document, UP, OUT), POINTS + 0.5 * UP + OUT)
    # A node's own weights win over those of its mesh.
    nodes = [{"mesh": 0, "weights": [0, 0.25]}]
    matches(load(tmp_path, document | {"nodes": nodes}, UP, OUT), POINTS + 0.25 * OUT)
    without = morphed({}, {"POSITION": 2}, {"POSITION": 3})
    matches(load(tmp_path, without, UP, OUT), POINTS)


def test_targets_of_other_attributes_and_missing_weights_change_nothing(tmp_path: Path) -> None:
    document = morphed({"weights": [1.0]}, {"NORMAL": 2}, {"POSITION": 3})
    mesh = load(tmp_path, document, UP, OUT)
    matches(mesh, POINTS)
    assert mesh.repairs == ()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (morphed({"weights": ["1"]}, {"POSITION": 2}), "morph weights that are no numbers"),
        (morphed({"weights": [10**400]}, {"POSITION": 2}), "morph weight that is too large"),
        (morphed({"weights": [1.0]}, {"POSITION": 1}), "morph target that does not fit"),
        (morphed({"weights": [1.0]}, {"POSITION": 9}), "refers to accessors 9"),
        (morphed({"weights": [float("nan")]}, {"POSITION": 2}), "NaN, infinite or beyond"),
    ],
)
def test_broken_morphs_are_refused(document: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        load(tmp_path, document, UP)


JOINTS = np.zeros((4, 4), np.uint8)
WEIGHTS = np.tile(np.array([[1, 0, 0, 0]], np.float32), (4, 1))
SKINNED = {"attributes": {"POSITION": 0, "JOINTS_0": 2, "WEIGHTS_0": 3}, "indices": 1}
QUARTER = [-np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]


def skinned(nodes: list[dict[str, Any]], joints: list[int], **skin: Any) -> dict[str, Any]:
    return {
        "nodes": nodes,
        "meshes": [{"primitives": [SKINNED]}],
        "skins": [{"joints": joints, **skin}],
        "scenes": [{"nodes": [i for i in range(len(nodes)) if i < 2]}],
    }


def test_a_skin_stands_as_its_joints_do(tmp_path: Path) -> None:
    # Centimetres with z up, as Blender's armatures often are.
    armature = {"children": [2], "scale": [0.01] * 3, "rotation": QUARTER}
    document = skinned([{"mesh": 0, "skin": 0}, armature, {}], [2])
    mesh = load(tmp_path, document, JOINTS, WEIGHTS)
    matches(mesh, 0.01 * POINTS[:, [0, 2, 1]] * [1, 1, -1])
    assert volume(mesh) == pytest.approx(1e-6)
    assert mesh.repairs == ()


def test_the_meshs_own_node_does_not_move_a_skin(tmp_path: Path) -> None:
    node = {"mesh": 0, "skin": 0, "translation": [7, 7, 7], "scale": [9, 9, 9]}
    inverse = np.eye(4, dtype=np.float32)
    inverse[:3, 3] = [-5, 0, 0]
    document = skinned([node, {"translation": [5, 1, 0]}], [1], inverseBindMatrices=4)
    mesh = load(tmp_path, document, JOINTS, WEIGHTS, inverse.T.reshape(1, 16))
    matches(mesh, np.add(POINTS, [0, 1, 0]))


def test_vertices_between_joints_lie_between_them(tmp_path: Path) -> None:
    joints = np.tile(np.array([[0, 1, 0, 0]], np.uint8), (4, 1))
    weights = np.tile(np.array([[0.5, 1.5, 0, 0]], np.float32), (4, 1))  # not of sum 1
    weights[0] = 0  # hangs on its first joint
    nodes: list[dict[str, Any]] = [
        {"mesh": 0, "skin": 0},
        {"children": [2, 3]},
        {"translation": [4, 0, 0]},
        {},
    ]
    mesh = load(tmp_path, skinned(nodes, [2, 3]), joints, weights)
    matches(mesh, np.add(POINTS, [[4, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]]))


def test_joints_outside_of_the_scene_count(tmp_path: Path) -> None:
    nodes: list[dict[str, Any]] = [
        {"mesh": 0, "skin": 0},
        {},
        {"children": [3], "scale": [2, 2, 2]},
        {},
    ]
    matches(load(tmp_path, skinned(nodes, [3]), JOINTS, WEIGHTS), 2 * POINTS)


def test_a_mirroring_skin_keeps_the_outside_out(tmp_path: Path) -> None:
    document = skinned([{"mesh": 0, "skin": 0}, {"scale": [-1, 1, 1]}], [1])
    assert volume(load(tmp_path, document, JOINTS, WEIGHTS)) == pytest.approx(1)


def test_weights_may_be_bytes(tmp_path: Path) -> None:
    weights = np.tile(np.array([[255, 0, 0, 0]], np.uint8), (4, 1))
    document = skinned([{"mesh": 0, "skin": 0}, {"scale": [3, 3, 3]}], [1])
    document["accessors"] = None
    with pytest.raises(InputError, match="'accessors' should be a list"):
        load(tmp_path, document, JOINTS, weights)
    del document["accessors"]
    matches(load(tmp_path, document, JOINTS, weights), 3 * POINTS)


def test_a_mesh_without_joints_stands_where_its_node_does(tmp_path: Path) -> None:
    document = skinned([{"mesh": 0, "skin": 0, "scale": [2, 2, 2]}, {}], [1])
    document["meshes"] = [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}]
    mesh = load(tmp_path, document)
    matches(mesh, 2 * POINTS)
    assert mesh.repairs == ("a mesh with a skin, but without joints, placed by its node",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"skins": []}, "refers to skins 0, but has 0"),
        ({"skins": [{"joints": []}]}, "a skin of 0 joints"),
        ({"skins": [{"joints": [9]}]}, "refers to nodes 9"),
        ({"skins": [{"joints": [1], "inverseBindMatrices": 0}]}, "matrices do not fit its joints"),
        ({"skins": [{"joints": [1] * 70_000}]}, "a skin of 70000 joints; 1 to 65536 are read"),
        (
            {"nodes": [{"mesh": 0, "skin": 0}, {}, {"children": [3]}, {"children": [2]}]}
            | {"skins": [{"joints": [3]}], "scenes": [{"nodes": [0]}]},
            "joints form a circle",
        ),
    ],
)
def test_a_broken_skin_is_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    document = skinned([{"mesh": 0, "skin": 0}, {}], [1]) | changes
    with pytest.raises(InputError, match=words):
        load(tmp_path, document, JOINTS, WEIGHTS)


def test_a_vertex_of_a_missing_joint_is_refused(tmp_path: Path) -> None:
    document = skinned([{"mesh": 0, "skin": 0}, {}], [1])
    with pytest.raises(InputError, match="vertices of joints that are not among 1"):
        load(tmp_path, document, JOINTS + np.uint8(1), WEIGHTS)
    with pytest.raises(InputError, match="joints or weights do not fit"):
        load(tmp_path, document, JOINTS[:2], WEIGHTS)


def instanced(**attributes: int) -> dict[str, Any]:
    extension = {"EXT_mesh_gpu_instancing": {"attributes": attributes}}
    return {
        "nodes": [{"children": [1], "scale": [2, 2, 2]}, {"mesh": 0, "extensions": extension}],
        "extensionsUsed": list(extension),
    }


SHIFTS = np.array([[0, 0, 0], [0, 3, 0], [0, 6, 0]], np.float32)


@pytest.mark.parametrize("required", [False, True])
def test_instances_are_shown_one_by_one(required: bool, tmp_path: Path) -> None:
    document = instanced(TRANSLATION=2, ROTATION=3, SCALE=4)
    if required:
        document["extensionsRequired"] = document["extensionsUsed"]
    half = np.sqrt(0.5)
    turns = np.array([[0, 0, 0, 1], [0, half, 0, half], [0, 0, 0, 1]], np.float32)
    scales = np.array([[1, 1, 1], [1, 1, 1], [2, 1, 1]], np.float32)
    mesh = load(tmp_path, document, SHIFTS, turns, scales)
    assert len(mesh.faces) == 12
    turned = POINTS @ rotation_about_y(np.pi / 2).T
    want = [POINTS, turned + SHIFTS[1], POINTS * scales[2] + SHIFTS[2]]
    np.testing.assert_allclose(
        mesh.vertices[mesh.faces], 2 * np.concatenate([p[FACES] for p in want]), atol=1e-5
    )


def test_turns_of_instances_may_be_normalised_bytes(tmp_path: Path) -> None:
    turns = np.array([[0, 127, 0, 0]], np.int8)  # half a turn about y
    mesh = load(tmp_path, instanced(ROTATION=2), turns, normalized=True)
    matches(mesh, 2 * POINTS * [-1, 1, -1])


def test_instances_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="instances of which not all are placed"):
        load(tmp_path, instanced(TRANSLATION=2, SCALE=3), SHIFTS, SHIFTS[:2])
    with pytest.raises(InputError, match="instances of which not all are placed"):
        load(tmp_path, instanced(), SHIFTS)
    with pytest.raises(InputError, match="ROTATION is not 4 numbers"):
        load(tmp_path, instanced(ROTATION=2), SHIFTS)
    with pytest.raises(InputError, match="more than the 20000 allowed"):
        load(tmp_path, instanced(TRANSLATION=2), np.zeros((20_001, 3), np.float32))


def test_hidden_nodes_and_all_below_them_are_left_out(tmp_path: Path) -> None:
    hidden = {"extensions": {"KHR_node_visibility": {"visible": False}}}
    shown = {"extensions": {"KHR_node_visibility": {"visible": True}}}
    nodes = [{"children": [1, 2, 3]}, {"mesh": 0, **shown}, {"mesh": 0, **hidden}]
    nodes += [{"children": [4], **hidden}, {"mesh": 0, **shown, "translation": [9, 9, 9]}]
    mesh = load(tmp_path, {"nodes": nodes, "extensionsRequired": ["KHR_node_visibility"]})
    matches(mesh, POINTS)
    assert mesh.repairs == ("2 hidden meshes left out (KHR_node_visibility)",)
    with pytest.raises(InputError, match="holds no triangles; 1 hidden meshes left out"):
        load(tmp_path, {"nodes": [{"mesh": 0, **hidden}]})
