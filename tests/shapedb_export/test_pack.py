import io
import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed
from pygltflib import GLTF2

from p2o_shapedb.config import PackConfig
from p2o_shapedb.database import CanonicalMesh, ShapeDB, mesh_path
from p2o_shapedb.packing.pack import (
    PackOptions,
    PackReport,
    encode_exemplars,
    exemplar_name,
    pack_exemplars,
    write_pack,
)
from p2o_shapedb.packing.surface_error import Tolerance
from p2o_shapedb.reports.report import BuildReport
from points2objects.errors import InputError
from points2objects.exemplars import ExemplarPack
from points2objects.glb import decode_glb

trimesh: Any = trimesh_typed  # half of its own annotations are missing

COARSE = PackOptions(Tolerance(0.003, 0.02, worst=0.1, normal_deg=15, triangles=400), workers=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pack")


@pytest.fixture(scope="module")
def report(small_build: BuildReport, folder: Path) -> PackReport:
    return write_pack(small_build.database, folder / "exemplars.glb", COARSE)


@pytest.fixture(scope="module")
def pack(report: PackReport, folder: Path) -> Path:
    return folder / "exemplars.glb"


@pytest.fixture(scope="module")
def compressed(report: PackReport, small_build: BuildReport, folder: Path) -> Path:
    path = folder / "compressed.glb"
    path.write_bytes(encode_exemplars(small_build.database, report.exemplars, "meshopt"))
    return path


@pytest.fixture
def one_each(small_build: BuildReport) -> ShapeDB:
    """The database with the first exemplar of each class alone."""
    database = small_build.database
    return replace(
        database,
        exemplars_per_class=1,
        sdf=database.sdf[::2],
        exemplar_model=database.exemplar_model[::2],
        soft_labels=database.soft_labels[:, :1],
    )


def read_json(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    loaded: dict[str, Any] = json.loads(data[20 : 20 + length])
    return loaded


def read_binary(path: Path) -> bytes:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    return data[28 + length :]


def run_node(needs: str, *arguments: str | Path) -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; make install brings it")
    there = subprocess.run([node, "-e", f"require('{needs}')"], capture_output=True, check=False)
    if there.returncode:
        pytest.skip(f"npm's {needs} is not installed; make install brings it")
    words = [node, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_the_file_is_a_well_formed_glb(pack: Path) -> None:
    data = pack.read_bytes()
    magic, version, total = struct.unpack_from("<4sII", data)
    (length, kind) = struct.unpack_from("<I4s", data, 12)
    (rest, bin_kind) = struct.unpack_from("<I4s", data, 20 + length)
    assert (magic, version, total) == (b"glTF", 2, len(data))
    assert (kind, bin_kind) == (b"JSON", b"BIN\0")
    assert length % 4 == rest % 4 == 0
    assert 28 + length + rest == total


def test_nodes_name_class_model_and_credit(pack: Path, small_build: BuildReport) -> None:
    database, document = small_build.database, read_json(pack)
    assert document["extensionsRequired"] == ["KHR_mesh_quantization"]
    about = document["asset"]["extras"]["points2objects"]
    assert about["shapedb_digest"] == database.digest
    assert about["classes"] == list(database.classes)
    assert about["exemplars_per_class"] == 2
    assert [node["name"] for node in document["nodes"][:3]] == [
        "bottle/00", "bottle/01", "bowl/00",
    ]  # fmt: skip
    for i, node in enumerate(document["nodes"]):
        model = database.models[int(database.exemplar_model[i])]
        assert node["extras"]["exemplar_id"] == i
        assert node["extras"]["model"] == model.id
        assert node["extras"]["licence"] == model.licence
        assert node["extras"]["class"] == model.class_name == node["name"].split("/")[0]
        assert document["meshes"][node["mesh"]]["name"] == node["name"]


def test_all_meshes_share_three_views(pack: Path) -> None:
    document = read_json(pack)
    assert [view.get("byteStride") for view in document["bufferViews"]] == [8, 4, None]
    for mesh in document["meshes"]:
        primitive = mesh["primitives"][0]
        position = document["accessors"][primitive["attributes"]["POSITION"]]
        normal = document["accessors"][primitive["attributes"]["NORMAL"]]
        index = document["accessors"][primitive["indices"]]
        assert (position["bufferView"], normal["bufferView"], index["bufferView"]) == (0, 1, 2)
        assert (position["componentType"], position.get("normalized", False)) == (5122, False)
        assert (normal["componentType"], normal["normalized"]) == (5120, True)
        assert (position["min"], position["max"]) == ([-2000] * 3, [2000] * 3)
        assert index["componentType"] == 5123
        assert index["count"] <= 3 * 400
        assert position["count"] == normal["count"]


def test_the_runtime_gets_the_shapes_back(pack: Path, small_build: BuildReport) -> None:
    database = small_build.database
    loaded = ExemplarPack.load(pack)
    assert loaded.digest == database.digest
    assert len(loaded.credits()) >= 1
    for mesh in loaded.meshes:
        np.testing.assert_allclose(mesh.vertices.min(axis=0), -0.5, atol=1e-6)
        np.testing.assert_allclose(mesh.vertices.max(axis=0), 0.5, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=0.02)


def test_the_reported_error_is_that_of_the_file(
    pack: Path, report: PackReport, small_build: BuildReport
) -> None:
    """Measured anew with trimesh: sampled points of the file against the model."""
    database = small_build.database
    loaded = ExemplarPack.load(pack)
    for exemplar_id in (0, 5):
        entry = database.models[int(database.exemplar_model[exemplar_id])]
        extent = np.asarray(entry.extent_m)
        full = database.mesh(int(database.exemplar_model[exemplar_id]))
        model = trimesh.Trimesh(full.vertices * extent, full.faces)
        ours = loaded.meshes[exemplar_id]
        found = trimesh.Trimesh(ours.vertices * extent, ours.faces)
        ways = []
        for one, other in ((model, found), (found, model)):
            points, _ = trimesh.sample.sample_surface(one, 500, seed=0)
            ways.append(trimesh.proximity.closest_point_naive(other, points)[1].mean())
        diagonal = float(np.linalg.norm(extent))
        assert report.exemplars[exemplar_id].error.mean == pytest.approx(
            max(ways) / diagonal, rel=0.25, abs=1e-5
        )


def test_every_exemplar_keeps_the_tolerance(report: PackReport) -> None:
    # The report measures with other samples than the search did.
    allowed = replace(COARSE.tolerance, mean=0.0033, tail=0.022, worst=0.11)
    for one in report.exemplars:
        assert allowed.accepts(one.error) or len(one.mesh.faces) > 350
        assert len(one.mesh.faces) <= 400
    assert report.worst.error.mean == max(one.error.mean for one in report.exemplars)
    assert report.mean_error <= report.worst.error.mean


def test_the_report_has_a_line_per_exemplar(report: PackReport) -> None:
    lines = report.to_csv().splitlines()
    assert lines[0].startswith("name,model,triangles,vertices,kB,mean_%,p99.9_%")
    assert len(lines) == 1 + len(report.exemplars)
    first = report.exemplars[0]
    assert lines[1].split(",")[:3] == ["bottle/00", first.model, str(len(first.mesh.faces))]


def test_an_exemplar_off_its_model_is_warned_of(
    one_each: ShapeDB, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crude = PackOptions(Tolerance(triangles=24), workers=0)
    write_pack(one_each, tmp_path / "crude.glb", crude)
    assert "of its diagonal from its model; raise --triangles" in caplog.text


def test_trimesh_reads_the_shapes_where_they_are(pack: Path) -> None:
    loaded = trimesh.load_scene(io.BytesIO(pack.read_bytes()), file_type="glb")
    ours = ExemplarPack.load(pack)
    assert set(loaded.graph.nodes_geometry) == set(ours.names)
    for mesh in ours.meshes:
        matrix, geometry = loaded.graph[mesh.name]
        theirs = loaded.geometry[geometry]
        corners = trimesh.transform_points(theirs.vertices, matrix)[theirs.faces]
        np.testing.assert_allclose(corners, mesh.vertices[mesh.faces], atol=1e-6)


def test_pygltflib_writes_back_what_it_read(pack: Path, tmp_path: Path) -> None:
    """Nodes, extras and arrays; pygltflib forgets empty strings and the asset's extras."""
    other = GLTF2().load(str(pack))
    assert other is not None
    other.save(str(tmp_path / "again.glb"))
    again = decode_glb((tmp_path / "again.glb").read_bytes(), "again.glb")
    for one, two in zip(ExemplarPack.load(pack).meshes, again.meshes, strict=True):
        told = {key: value for key, value in one.extras.items() if value != ""}
        assert (one.name, told, one.color) == (two.name, two.extras, two.color)
        np.testing.assert_array_equal(one.vertices, two.vertices)
        np.testing.assert_array_equal(one.faces, two.faces)


def test_meshopt_streams_decode_to_the_plain_arrays(pack: Path, compressed: Path) -> None:
    import meshoptimizer

    plain, small = read_json(pack), read_json(compressed)
    assert small["extensionsRequired"] == ["KHR_mesh_quantization", "EXT_meshopt_compression"]
    assert small["accessors"] == plain["accessors"]
    assert len(compressed.read_bytes()) < 0.65 * len(pack.read_bytes())
    packed, virtual = small["buffers"]
    assert virtual["byteLength"] == plain["buffers"][0]["byteLength"]
    binary, original = read_binary(compressed), read_binary(pack)
    assert packed["byteLength"] == len(binary)
    for view, twin in zip(small["bufferViews"], plain["bufferViews"], strict=True):
        about = view["extensions"]["EXT_meshopt_compression"]
        stream = binary[about["byteOffset"] :][: about["byteLength"]]
        wanted = original[twin["byteOffset"] :][: twin["byteLength"]]
        count, stride = about["count"], about["byteStride"]
        assert count * stride == view["byteLength"] == twin["byteLength"]
        if about["mode"] == "TRIANGLES":
            indices = meshoptimizer.decode_index_buffer(count, 4, stream)
            # The codec may turn a triangle's corners round, which changes nothing.
            triangles = np.frombuffer(wanted, "<u2").reshape(-1, 3)
            turned = np.stack([np.roll(triangles, turn, axis=1) for turn in range(3)])
            assert (turned == indices.reshape(-1, 3)).all(axis=2).any(axis=0).all()
            continue
        rows = meshoptimizer.decode_vertex_buffer(count, stride, stream).view(np.uint8)
        if about.get("filter") == "OCTAHEDRAL":
            normals = meshoptimizer.decode_filter_oct(rows, count, stride).view("i1")
            normals = normals.reshape(-1, 4)[:, :3] / 127
            expected = np.frombuffer(wanted, "i1").reshape(-1, 4)[:, :3] / 127
            np.testing.assert_allclose(normals, expected, atol=0.025)
        else:
            assert rows.tobytes() == wanted


def test_the_runtime_says_in_one_line_that_it_reads_no_compressed_pack(compressed: Path) -> None:
    with pytest.raises(InputError, match=r"needs EXT_meshopt_compression") as caught:
        ExemplarPack.load(compressed)
    assert "--compression none" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["none", "meshopt"])
def test_the_khronos_validator_finds_no_fault(kind: str, pack: Path, compressed: Path) -> None:
    path = pack if kind == "none" else compressed
    done = run_node(
        "gltf-validator",
        "-e",
        "require('gltf-validator').validateBytes(new Uint8Array(require('fs').readFileSync("
        "process.argv[1]))).then(report => console.log(JSON.stringify(report.issues)))",
        str(path),
    )
    issues = json.loads(done)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_a_worker_process_makes_the_same_exemplars(report: PackReport, one_each: ShapeDB) -> None:
    again = pack_exemplars(one_each, PackOptions(COARSE.tolerance, workers=1))
    for one, two in zip(report.exemplars[::2], again, strict=True):
        assert (one.name, one.error) == (two.name, two.error)
        np.testing.assert_array_equal(one.mesh.positions, two.mesh.positions)
        np.testing.assert_array_equal(one.mesh.normals, two.mesh.normals)
        np.testing.assert_array_equal(one.mesh.faces, two.mesh.faces)


def test_an_exemplar_that_cannot_be_packed_is_named(one_each: ShapeDB, tmp_path: Path) -> None:
    box = trimesh.creation.box()
    for model in one_each.exemplar_model:
        path = mesh_path(tmp_path / "shapedb", one_each.models[model].id)
        path.parent.mkdir(parents=True, exist_ok=True)
        nothing = one_each.models[model].class_name == "mug"
        faces = np.zeros((0, 3), np.int32) if nothing else np.asarray(box.faces, np.int32)
        CanonicalMesh(box.vertices, faces, np.zeros((8, 3), np.uint8), False).save(path)
    broken = replace(one_each, folder=tmp_path / "shapedb")
    with pytest.raises(InputError, match=r"mug/00 \(mug/.*\) cannot be packed: "):
        write_pack(broken, tmp_path / "exemplars.glb", PackOptions(workers=0))
    assert not (tmp_path / "exemplars.glb").exists()


def test_an_existing_pack_is_kept(pack: Path, small_build: BuildReport) -> None:
    with pytest.raises(InputError, match="add --overwrite"):
        write_pack(small_build.database, pack)


def test_indices_have_as_many_digits_as_k_needs(small_build: BuildReport) -> None:
    assert exemplar_name(small_build.database, 5) == "chair/01"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"triangles": 3}, "--triangles must be at least 12, got 3"),
        ({"mean_error": 0.0}, "--mean-error must be positive, got 0"),
        ({"tail_error": -1.0}, "--tail-error must be positive, got -1"),
        ({"worst_error": 0.0}, "--worst-error must be positive, got 0"),
        ({"normal_error": float("nan")}, "--normal-error must be positive, got nan"),
        ({"workers": -1}, "--workers must be at least 0, got -1"),
    ],
)
def test_refused_options_name_their_flag(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        PackConfig(Path("shapedb"), **options)
