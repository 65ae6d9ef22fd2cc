"""GLB reading and writing against other libraries and an independent writer."""

import io
import json
import os
import shutil
import struct
import subprocess
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from pygltflib import GLTF2

from points2objects import ExemplarPack, InputError, Mesh, ModelSpec
from points2objects.geometry import quaternion, rotation_about_y, transform_points
from points2objects.glb import decode_glb, unit_normals
from points2objects.glb_container import join_chunks
from points2objects.glb_writer import Instance, encode_glb

PackWriter = Callable[..., bytes]

VALIDATE = """
const validator = require('gltf-validator'), fs = require('fs');
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))
  .then(report => console.log(JSON.stringify(report.issues)));
"""


def _tetrahedron(name: str = "chair/01") -> Mesh:
    vertices = 0.5 * np.array([[-1, -1, -1], [1, -1, 1], [-1, 1, 1], [1, 1, -1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]], np.uint32)
    return Mesh(vertices, unit_normals(vertices, faces), faces, (0.5, 0.25, 0.125, 1.0), name)


def _instance(mesh: Mesh, name: str, angle: float) -> Instance:
    return Instance(
        mesh,
        np.array([angle, 0.5, -2.0]),
        quaternion(rotation_about_y(angle)),
        np.array([0.5, 1.0, 0.25]),
        name,
        {"score": 0.5},
    )


def _edited(data: bytes, edit: Callable[[dict[str, object]], object]) -> bytes:
    """Change the JSON chunk of a GLB."""
    size = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + size])
    edit(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + data[20 + size :]
    return struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body


def _surface(document: Any) -> Any:
    return document["materials"][0]["pbrMetallicRoughness"]


def test_a_quantised_pack_is_read_as_it_was_meant(spec: ModelSpec, write_pack: PackWriter) -> None:
    pack = ExemplarPack.from_bytes(write_pack(spec), "pack.glb")
    assert len(pack) == 4
    assert pack.names == ("chair/00", "chair/01", "mug/00", "mug/01")
    assert pack.classes == ("chair", "mug")
    assert pack.digest == spec.shapedb_digest
    assert set(pack.licences) == {"CC0-1.0"}
    assert set(pack.sources) == {"procedural"}
    assert pack.attributions == ("author 0", "author 1", "author 0", "author 1")
    assert pack.credits() == ("author 0 (CC0-1.0)", "author 1 (CC0-1.0)")
    twin = _tetrahedron()
    for mesh in pack.meshes:
        np.testing.assert_allclose(mesh.vertices, twin.vertices, atol=1e-4)
        np.testing.assert_allclose(mesh.normals, twin.normals, atol=0.01)
        np.testing.assert_array_equal(mesh.faces, twin.faces)
        assert mesh.color == (0.5, 0.25, 0.125, 1.0)
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)


def test_trimesh_reads_the_same_quantised_pack(spec: ModelSpec, write_pack: PackWriter) -> None:
    """Trimesh leaves normalised integers as they are, so it is told their unit."""
    data = write_pack(spec)
    loaded = trimesh.load_scene(io.BytesIO(data), file_type="glb")
    ours = ExemplarPack.from_bytes(data, "pack.glb").meshes[0]
    expected = [ours.vertices.min(axis=0), ours.vertices.max(axis=0)]
    np.testing.assert_allclose(loaded.bounds / 32767, expected, atol=1e-4)


def test_written_meshes_are_read_back(tmp_path: Path) -> None:
    mesh = _tetrahedron()
    instances = [_instance(mesh, "chair-0", 0.3), _instance(mesh, "chair-1", -2.0)]
    data = encode_glb(instances, {"points2objects": {"schema": 1}}, "somebody")
    file = decode_glb(data, "scene.glb")
    assert (file.copyright, file.extras) == ("somebody", {"points2objects": {"schema": 1}})
    assert [m.name for m in file.meshes] == ["chair-0", "chair-1"]
    loaded = trimesh.load_scene(io.BytesIO(data), file_type="glb")
    for instance, found in zip(instances, file.meshes, strict=True):
        matrix = np.eye(4)
        angle = float(instance.translation[0])
        matrix[:3, :3] = rotation_about_y(angle) * instance.scale
        matrix[:3, 3] = instance.translation
        expected = transform_points(matrix, mesh.vertices.astype(float))
        np.testing.assert_allclose(found.vertices, expected, atol=1e-6)
        from_trimesh = trimesh.transform_points(mesh.vertices, loaded.graph[instance.name][0])
        np.testing.assert_allclose(from_trimesh, expected, atol=1e-6)
        # Normals stay at right angles to the faces under uneven scale.
        recomputed = unit_normals(found.vertices, found.faces)
        assert ((recomputed * found.normals).sum(axis=1) > 0.9).all()
    path = tmp_path / "scene.glb"
    path.write_bytes(data)
    other = GLTF2().load(str(path))
    assert other is not None
    assert len(other.nodes) == 2
    assert len(other.meshes) == 1  # Shared by both nodes.
    assert other.nodes[0].extras == {"score": 0.5}


def test_trimesh_writes_what_we_read() -> None:
    scene = trimesh.Scene()
    box = trimesh.creation.box((1, 2, 3))
    turned = np.eye(4)
    turned[:3, :3] = rotation_about_y(0.7)
    turned[:3, 3] = [0, 1, 2]
    scene.add_geometry(box, node_name="box", transform=turned)
    found = decode_glb(
        scene.export(file_type="glb"),  # type: ignore[no-untyped-call]
        "box.glb",
    ).meshes[0]
    expected = trimesh.transform_points(box.vertices, turned)
    assert found.name == "box"
    np.testing.assert_allclose(found.vertices[found.faces], expected[box.faces], atol=1e-5)
    flat = np.cross(*np.diff(found.vertices[found.faces], axis=1).transpose(1, 0, 2))
    assert (np.einsum("fi,fi->f", flat, found.normals[found.faces].mean(axis=1)) > 0).all()


def test_large_meshes_get_wide_indices() -> None:
    count = 70_000
    vertices = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    faces = np.arange(count - 1, dtype=np.uint32)[: (count // 3) * 3].reshape(-1, 3)
    mesh = Mesh(vertices, unit_normals(vertices, faces), faces)
    found = decode_glb(encode_glb([_instance(mesh, "large", 0)], {}), "large.glb").meshes[0]
    np.testing.assert_array_equal(found.faces, faces)


def test_a_point_without_a_direction_gets_some_normal() -> None:
    vertices = np.zeros((3, 3), np.float32)
    normals = unit_normals(vertices, np.array([[0, 1, 2]], np.uint32))
    np.testing.assert_array_equal(normals, [[0, 1, 0]] * 3)


@pytest.mark.parametrize("kind", ["scene", "pack", "empty"])
def test_the_khronos_validator_finds_nothing(
    kind: str, spec: ModelSpec, write_pack: PackWriter, tmp_path: Path
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; make install brings it")
    there = subprocess.run(
        [node, "-e", "require('gltf-validator')"], capture_output=True, env=os.environ, check=False
    )
    if there.returncode:
        pytest.skip("npm's gltf-validator is not installed; make install brings it")
    meshes = ExemplarPack.from_bytes(write_pack(spec), "pack").meshes
    data = {
        "scene": encode_glb([_instance(mesh, mesh.name, 0.4) for mesh in meshes], {}, "a; b"),
        "pack": write_pack(spec),
        "empty": encode_glb([], {"points2objects": {"schema": 1}}),
    }[kind]
    path = tmp_path / "file.glb"
    path.write_bytes(data)
    done = subprocess.run(
        [node, "-e", VALIDATE, str(path)], capture_output=True, text=True, check=True
    )
    issues = json.loads(done.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def _drop_scenes(document: dict[str, object]) -> None:
    del document["scenes"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: d.update(extensionsRequired=["EXT_meshopt_compression"]), "EXT_meshopt"),
        (_drop_scenes, "'scenes'"),
        (lambda d: d["meshes"][0]["primitives"][0].update(mode=1), "not made of triangles"),
        (lambda d: d["accessors"][0].update(sparse={}), "sparse"),
        (lambda d: d["accessors"][0].update(count=9999), "not a GLB this version reads"),
        (lambda d: d["bufferViews"][0].update(byteOffset=99999), "not a GLB this version reads"),
        (lambda d: d["nodes"][4].update(children=[4]), "not a GLB this version reads"),
        (lambda d: d["bufferViews"][0].update(byteStride=0), "byteStride must be .* from 6, got 0"),
        (lambda d: d["accessors"][0].update(count=0), "count must be a whole number from 1"),
        (lambda d: d["accessors"][0].update(count=4.0), "count must be a whole number"),
        (lambda d: d["accessors"][0].update(byteOffset=-8), "byteOffset must be"),
        (lambda d: d["accessors"][0].update(componentType=5126), "byteStride must be .* from 12"),
        (lambda d: d["accessors"][0].update(type="VEC4"), "reaches beyond|no VEC3"),
        (lambda d: d["accessors"][2].update(componentType=5122), "indices that are no whole"),
        (lambda d: d["nodes"][4].update(children=[0, 0]), "node 0 is named twice"),
        (lambda d: d["nodes"][4].update(children=[-1]), "an index into nodes must be"),
        (lambda d: d["nodes"][4].update(children={}), "a list of nodes must be a list"),
        (lambda d: d["nodes"][0].update(name=7), "a node's name must be text, got 7"),
        (lambda d: d["nodes"][0].update(extras=[1]), "a node's extras must be an object"),
        (lambda d: d["nodes"][0].update(scale=[0, 0, 0]), "scales its mesh to nothing"),
        (lambda d: d["nodes"][0].update(scale=[1e300] * 3), "no numbers or beyond 1e"),
        (lambda d: d["nodes"][0].update(scale=["a"] * 3), "not a GLB this version reads"),
        (lambda d: d["nodes"][0].update(translation=[10**400, 0, 0]), "not a GLB this version"),
        (lambda d: d["nodes"][0].update(matrix=[float("nan")] * 16), "NaN is no number of JSON"),
        (lambda d: d["materials"][0].update(pbrMetallicRoughness=5), "a material must be"),
        (lambda d: _surface(d).update(baseColorFactor=[2, 0, 0, 1]), "colour must be RGBA in 0..1"),
        (lambda d: d["meshes"][0].update(primitives=[]), "a mesh without primitives"),
        (lambda d: d.update(asset=None), "asset must be an object of JSON, got None"),
        (lambda d: d["asset"].update(extras=None), "asset.extras must be an object"),
        (lambda d: d["asset"].update(copyright=[1]), "asset.copyright must be text"),
        (lambda d: d.update(nodes={}), "nodes must be a list"),
        (lambda d: d.update(extensionsRequired=[[]]), "not a GLB this version reads"),
        (lambda d: d["accessors"][2].update(count=11), "not a GLB this version reads"),
    ],
)
def test_files_it_cannot_read_are_refused(
    edit: Callable[[dict[str, object]], object],
    words: str,
    spec: ModelSpec,
    write_pack: PackWriter,
) -> None:
    with pytest.raises(InputError, match=words):
        decode_glb(_edited(write_pack(spec), edit), "pack.glb")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no GLB"),
        (b"PNG" * 20, "is no GLB"),
        (struct.pack("<III", 0x46546C67, 1, 20) + bytes(20), "is GLB version 1"),
        (struct.pack("<III", 0x46546C67, 2, 999) + bytes(20), "is truncated: 32 bytes of 999"),
        (struct.pack("<III", 0x46546C67, 2, 12) + bytes(20), "not a GLB"),
    ],
)
def test_bytes_that_are_no_glb_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        decode_glb(data, "pack.glb")


def test_every_truncation_is_an_input_error(spec: ModelSpec, write_pack: PackWriter) -> None:
    data = write_pack(spec)
    for size in range(0, len(data), 37):
        with pytest.raises(InputError):
            decode_glb(data[:size], "pack.glb")


def test_faces_must_name_vertices() -> None:
    mesh = _tetrahedron()
    with pytest.raises(InputError, match="names a vertex that is not there"):
        replace(mesh, faces=mesh.faces + np.uint32(1))


def test_packs_must_be_labelled(spec: ModelSpec, write_pack: PackWriter, tmp_path: Path) -> None:
    def mislabel(document: dict[str, object]) -> None:
        document["nodes"][0]["extras"]["class"] = "mug"  # type: ignore[index]

    with pytest.raises(InputError, match="not labelled as they should be"):
        ExemplarPack.from_bytes(_edited(write_pack(spec), mislabel), "pack.glb")
    with pytest.raises(InputError, match="need exemplars 0 to 3, got 3"):
        ExemplarPack.from_bytes(write_pack(spec, meshes=3), "pack.glb")
    with pytest.raises(InputError, match="not an exemplar pack"):
        ExemplarPack.from_bytes(encode_glb([], {}), "pack.glb")
    with pytest.raises(InputError, match=r"no such file; make it with shapedb_export"):
        ExemplarPack.load(tmp_path / "pack.glb")


def _glb(document: dict[str, Any], binary: bytes = b"") -> bytes:
    return join_chunks(
        json.dumps({"asset": {}, "scenes": [{"nodes": [0]}]} | document).encode(), binary
    )


def _deep_graph(depth: int) -> bytes:
    """Each node names the next twice: 2^depth visits without a check."""
    nodes: list[dict[str, Any]] = [{"children": [i + 1, i + 1]} for i in range(depth)]
    return _glb({"nodes": [*nodes, {}]})


def _same_mesh(times: int, vertices: int) -> bytes:
    """Many nodes with one mesh: a small file whose meshes take gigabytes."""
    view = {"byteLength": 12 * vertices}
    return _glb(
        {
            "scenes": [{"nodes": list(range(times))}],
            "nodes": [{"mesh": 0}] * times,
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
            "accessors": [
                {"bufferView": 0, "componentType": 5126, "count": vertices, "type": "VEC3"}
            ],
            "bufferViews": [view],
        },
        np.random.default_rng(0).random((vertices, 3), np.float32).tobytes(),
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_deep_graph(40), "node 40 is named twice"),
        (_glb({"nodes": [{"children": [0]}]}), "node 0 is named twice"),
        (_same_mesh(3000, 3000), "more meshes than a pack can have"),
        (_same_mesh(200_000, 3), "more meshes than a pack can have"),
        (_glb({"scenes": [{"nodes": [0] * 200_000}]}), "more meshes than a pack can have"),
        (join_chunks(b"[" * 100_000, b""), "nested too deeply"),
        (join_chunks(b" " * (9 << 20), b""), "bytes of JSON; at most"),
    ],
)
def test_small_files_with_large_effects_are_refused_at_once(data: bytes, words: str) -> None:
    tracemalloc.start()
    with pytest.raises(InputError, match=words):
        decode_glb(data, "pack.glb")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 400 << 20


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: _header(d).update(exemplars_per_class=10**9), "whole number from 1 to 4000"),
        (lambda d: _header(d).update(exemplars_per_class=2.0), "whole number from 1"),
        (lambda d: _header(d).update(classes=[1, 2]), "a class must be text"),
        (lambda d: _header(d).update(shapedb_digest=None), "shapedb_digest must be text"),
        (lambda d: d["nodes"][0]["extras"].update(exemplar_id=1e9), "an exemplar_id must be"),
        (lambda d: d["nodes"][0]["extras"].update(exemplar_id=1), "need exemplars 0 to 3, got 3"),
        (lambda d: d["nodes"][0]["extras"].update(licence=5), "its licence is no text"),
        (lambda d: d["nodes"][0].update(scale=[1e3] * 3), "must fill the cube .* reaches to 1e"),
        (lambda d: d["nodes"][0].update(scale=[1e-6] * 3), "must fill the cube"),
    ],
)
def test_packs_that_are_none_are_refused(
    edit: Callable[[dict[str, object]], object],
    words: str,
    spec: ModelSpec,
    write_pack: PackWriter,
) -> None:
    with pytest.raises(InputError, match=words):
        ExemplarPack.from_bytes(_edited(write_pack(spec), edit), "pack.glb")


def _header(document: Any) -> Any:
    return document["asset"]["extras"]["points2objects"]


def test_meshes_of_nothing_or_of_no_numbers_are_none() -> None:
    mesh = _tetrahedron()
    changes: list[tuple[dict[str, Any], str]] = [
        ({"faces": np.zeros((0, 3), np.uint32)}, "has no triangles"),
        ({"vertices": np.full((4, 3), np.nan, np.float32)}, "must be finite"),
        ({"normals": np.full((4, 3), np.inf, np.float32)}, "must be finite"),
        ({"color": (np.nan, 0, 0, 1)}, "colour must be"),
    ]
    for change, words in changes:
        with pytest.raises(InputError, match=words):
            replace(mesh, **change)
