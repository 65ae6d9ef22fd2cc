import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2o_shapedb.build import BuildReport
from p2o_shapedb.pack import exemplar_name, write_pack
from points2objects.errors import InputError


@pytest.fixture(scope="module")
def pack(small_build: BuildReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "exemplars.glb"
    write_pack(small_build.database, path, triangles=400)
    return path


def read_json(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    loaded: dict[str, Any] = json.loads(data[20 : 20 + length])
    return loaded


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


def test_layout_is_what_the_runtime_reads(pack: Path) -> None:
    document = read_json(pack)
    for mesh in document["meshes"]:
        primitive = mesh["primitives"][0]
        position = document["accessors"][primitive["attributes"]["POSITION"]]
        normal = document["accessors"][primitive["attributes"]["NORMAL"]]
        index = document["accessors"][primitive["indices"]]
        assert (position["componentType"], position["normalized"]) == (5122, True)
        assert (normal["componentType"], normal["normalized"]) == (5120, True)
        assert document["bufferViews"][position["bufferView"]]["byteStride"] == 8
        assert document["bufferViews"][normal["bufferView"]]["byteStride"] == 4
        assert index["componentType"] == 5123
        assert index["count"] <= 3 * 400
        assert position["count"] == normal["count"]


def test_the_runtime_gets_the_shapes_back(pack: Path, small_build: BuildReport) -> None:
    from points2objects.exemplars import ExemplarPack

    database = small_build.database
    loaded = ExemplarPack.load(pack)
    assert loaded.digest == database.digest
    for i, mesh in enumerate(loaded.meshes):
        # Low-poly surface against the full mesh: same box, within the decimation's error.
        full = database.mesh(int(database.exemplar_model[i]))
        np.testing.assert_allclose(mesh.vertices.min(axis=0), -0.5, atol=0.03)
        np.testing.assert_allclose(mesh.vertices.max(axis=0), 0.5, atol=0.03)
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=0.02)
        nearest = np.linalg.norm(mesh.vertices[:40, None] - full.vertices[None], axis=2).min(axis=1)
        assert np.median(nearest) < 0.02


def test_writing_twice_gives_the_same_bytes(
    pack: Path, small_build: BuildReport, tmp_path: Path
) -> None:
    write_pack(small_build.database, tmp_path / "again.glb", triangles=400)
    assert (tmp_path / "again.glb").read_bytes() == pack.read_bytes()


def test_an_existing_pack_is_kept(pack: Path, small_build: BuildReport) -> None:
    with pytest.raises(InputError, match="add --overwrite"):
        write_pack(small_build.database, pack)


def test_indices_have_as_many_digits_as_k_needs(small_build: BuildReport) -> None:
    assert exemplar_name(small_build.database, 5) == "chair/01"
