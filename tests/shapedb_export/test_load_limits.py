"""Files that are well-formed and ask for too much, or for what is not theirs."""

import base64
import io
import json
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed

from p2o_shapedb.cad.meshes import load_mesh
from p2o_shapedb.cad.model_folder import LoadLimits, ModelFolder
from points2objects.errors import InputError

trimesh: Any = trimesh_typed  # half of its own annotations are missing

MEMORY_BYTES = 3 << 30
CPU_S = 30
WORKER = Path(__file__).with_name("fuzz_worker.py")


def box_glb() -> tuple[Any, bytes]:
    """Return a box with a material: its document and its binary chunk."""
    box = trimesh.creation.box([1.0, 2.0, 3.0])
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[1.0, 0.0, 0.0, 1.0])
    box.visual = trimesh.visual.TextureVisuals(uv=np.zeros((8, 2)), material=material)
    data = trimesh.Scene(box).export(file_type="glb")
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def glb(document: Any, binary: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<III", 0x46546C67, 2, 28 + len(text) + len(binary))
    json_chunk = struct.pack("<II", len(text), 0x4E4F534A) + text
    return head + json_chunk + struct.pack("<II", len(binary), 0x4E4942) + binary


def png_bomb(side: int) -> bytes:
    """Return a small PNG that says it is side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * (20 << 20), 9))
    return b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")


def zigzag(corners: int) -> bytes:
    """Return a face whose every other corner is bent inwards."""
    ring = [(i, 1 + (i % 2) * 0.5) for i in range(corners)]
    turn = 6.283 / corners
    points = [(np.cos(i * turn) * r, np.sin(i * turn) * r) for i, r in ring]
    vertices = "".join(f"v {x:.5f} {y:.5f} 0\n" for x, y in points)
    return f"{vertices}f {' '.join(str(5 + i) for i in range(corners))}\n".encode()


DOCUMENT, BINARY = box_glb()
ACCESSORS, VIEWS = len(DOCUMENT["accessors"]), DOCUMENT["bufferViews"]
FIRST = DOCUMENT["meshes"][0]["primitives"][0]
BIG = {"type": "VEC3", "componentType": 5126, "count": 2**40}
SPARSE = {
    "count": 2**31,
    "indices": {"bufferView": 0, "componentType": 5125},
    "values": {"bufferView": 0},
}
ONE_ROOT = [{"nodes": [0]}]
DATA_BOMB = "data:image/png;base64," + base64.b64encode(png_bomb(60_000)).decode()

GLB_TRAPS: dict[str, tuple[dict[str, Any], str]] = {
    "cycle": (
        {"nodes": [{"children": [1]}, {"children": [0], "mesh": 0}], "scenes": ONE_ROOT},
        "reached twice",
    ),
    "own child": ({"nodes": [{"children": [0], "mesh": 0}], "scenes": ONE_ROOT}, "reached twice"),
    "circle without scene": ({"nodes": [{"children": [0]}], "scenes": []}, "circle"),
    "20,000 nodes deep": (
        {
            "nodes": [{"children": [i + 1]} for i in range(20_000)] + [{"mesh": 0}],
            "scenes": ONE_ROOT,
        },
        "12 triangles",
    ),
    "2^60 instances by doubling": (
        {
            "nodes": [{"children": [i + 1, i + 1]} for i in range(60)] + [{"mesh": 0}],
            "scenes": ONE_ROOT,
        },
        "reached twice",
    ),
    "too many instances": (
        {"nodes": [{"mesh": 0}] * 30_000, "scenes": [{"nodes": list(range(30_000))}]},
        "more than 20000 parts",
    ),
    "too many primitives": (
        {"meshes": [{"primitives": [FIRST] * 30_000}]},
        "more than 20000 parts",
    ),
    "accessor without data": ({"accessors": [BIG] * ACCESSORS}, "more than the"),
    "sparse beyond its base": (
        {"accessors": [{**BIG, "count": 5_000_000, "sparse": SPARSE}] * ACCESSORS},
        "more changes than elements",
    ),
    "sparse zeros": (
        {
            "accessors": [
                {**a, "bufferView": None, "count": 9, "sparse": {**SPARSE, "count": 99}}
                for a in DOCUMENT["accessors"]
            ]
        },
        "refers to bufferViews",
    ),
    "stride 0": ({"bufferViews": [{**v, "byteStride": 0} for v in VIEWS]}, "12 triangles"),
    "60 million elements at stride 0": (
        {
            "accessors": [{**BIG, "count": 60_000_000, "bufferView": 0}] * ACCESSORS,
            "bufferViews": [{**v, "byteStride": 0} for v in VIEWS],
        },
        "more than the",
    ),
    "5 million elements at stride 0": (
        {
            "accessors": [{**BIG, "count": 5_000_000, "bufferView": 0}] * ACCESSORS,
            "bufferViews": [{**v, "byteStride": 0} for v in VIEWS],
        },
        "elements of it end at",
    ),
    "200,000 nodes": ({"nodes": [{}] * 200_000, "scenes": ONE_ROOT}, "has 200000 nodes; at most"),
    "a child named 300,000 times": (
        {"nodes": [{"children": [1] * 300_000}, {}], "scenes": ONE_ROOT},
        "has 300000 children, but there are 2",
    ),
    "instances of instances": (
        {
            "nodes": [
                {
                    "mesh": 0,
                    "extensions": {
                        "EXT_mesh_gpu_instancing": {
                            "attributes": {"TRANSLATION": FIRST["attributes"]["POSITION"]}
                        }
                    },
                }
            ]
            * 3_000,
            "scenes": [{"nodes": list(range(3_000))}],
        },
        "more than 20000 parts",
    ),
    "skins with all joints": (
        {
            "nodes": [{"mesh": 0, "skin": i} for i in range(3_000)],
            "scenes": [{"nodes": list(range(3_000))}],
            "skins": [{"joints": list(range(100))}] * 3_000,
        },
        "without joints, placed by its node",
    ),
    "morphs in every node": (
        {
            "nodes": [{"mesh": 0}] * 10_000,
            "scenes": [{"nodes": list(range(10_000))}],
            "meshes": [
                {
                    "primitives": [{**FIRST, "targets": [{}] * 50_000}],
                    "weights": [1] * 50_000,
                }
            ],
        },
        "elements, more than the",
    ),
    "overlapping stride": ({"bufferViews": [{**v, "byteStride": 1} for v in VIEWS]}, "elements"),
    "huge stride": ({"bufferViews": [{**v, "byteStride": 2**52} for v in VIEWS]}, "elements"),
    "short views": ({"bufferViews": [{**v, "byteLength": 4} for v in VIEWS]}, "elements of it end"),
    "view beyond its buffer": (
        {"bufferViews": [{**v, "byteOffset": 2**40} for v in VIEWS]},
        "truncated",
    ),
    "negative offset": (
        {"bufferViews": [{**v, "byteOffset": -4} for v in VIEWS]},
        "should be a whole number",
    ),
    "buffer larger than the limit": ({"buffers": [{"byteLength": 2**50}]}, "at most"),
    "compressed": ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "without compression"),
    "unknown extension": ({"extensionsRequired": ["EXT_bend"]}, "needs the extension EXT_bend"),
    "glTF 1": ({"asset": {"version": "1.0"}}, "only 2.0 is read"),
    "infinite scale": (
        {"nodes": [{"mesh": 0, "scale": [1e300, 1e300, 1e300]}], "scenes": ONE_ROOT},
        "NaN, infinite or beyond",
    ),
    "empty scene": ({"scenes": [{"nodes": []}]}, "holds no triangles"),
    "decompression bomb": (
        {
            "images": [{"uri": DATA_BOMB}],
            "textures": [{"source": 0}],
            "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        },
        "texture 0 not read",
    ),
}


def ply(form: bytes, vertices: int, faces: int, rest: bytes) -> bytes:
    return (
        b"ply\nformat %s 1.0\nelement vertex %d\nproperty float x\nproperty float y\n"
        b"property float z\nelement face %d\nproperty list int int vertex_indices\nend_header\n"
        % (form, vertices, faces)
    ) + rest


TETRAHEDRON = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
WITH_URI = DOCUMENT | {"buffers": [{"byteLength": len(BINARY), "uri": "box.bin"}]}
PLAIN_TRAPS: dict[str, tuple[bytes, str]] = {
    "counts.off": (b"OFF\n4000000000 4000000000 0\n0 0 0\n", "claims 4000000000 vertices"),
    "short.off": (b"OFF\n900 900 0\n0 0 0\n", "is truncated"),
    "counts.stl": (b"\0" * 80 + b"\xff" * 4 + b"\0" * 50, "truncated: its header claims"),
    "counts.ply": (ply(b"binary_little_endian", 2**40, 2**40, b"\0" * 64), "more than are read"),
    "short.ply": (ply(b"binary_little_endian", 9999, 1, b"\0" * 64), "is truncated"),
    "text.ply": (ply(b"ascii", 2**20, 2**20, b"0 0 0\n" * 4), "is truncated"),
    "list.ply": (ply(b"binary_little_endian", 1, 1, b"\0" * 12 + b"\xff" * 5), ""),
    "polygon.obj": (TETRAHEDRON + b"f" + b" 1 2 3 4" * 200_000, "triangles; dropped 39"),
    "concave.obj": (TETRAHEDRON + zigzag(6_000), "concave faces of 6000 corners, too many to cut"),
    "many materials.obj": (
        TETRAHEDRON + b"".join(b"usemtl m%d\nf 1 2 3\n" % i for i in range(30_000)),
        "has 30001 materials; at most 20000 are read",
    ),
    "index.obj": (TETRAHEDRON + b"f 1 2 999999999999\n" * 9, "missing vertices|cannot read"),
    "continued.obj": (TETRAHEDRON + b"\\\n" * 2_000_000, "4 triangles"),
    "materials.obj": (b"mtllib many.mtl\nusemtl m\n" + TETRAHEDRON, ""),
    "words.obj": (b"v 1 1 1 \n" * 6_500_000, "words; at most"),
    "solids.stl": (b"solid\nendsolid\n" * 20_000, ""),
    "nested.gltf": (b'{"asset":' + b"[" * 200_000, "JSON is broken"),
    "commas.gltf": (b'{"a":[' + b"0," * 3_000_000 + b"0]}", "JSON has more"),
    "buffers.gltf": (
        json.dumps(WITH_URI | {"buffers": WITH_URI["buffers"] * 2_000}).encode(),
        "",
    ),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Load every trap in one process with little memory, and return what became of each."""
    folder = tmp_path_factory.mktemp("traps") / "chair"
    folder.mkdir()
    for name, (changes, _) in GLB_TRAPS.items():
        (folder / f"{name}.glb").write_bytes(glb({**DOCUMENT, "scene": 0, **changes}, BINARY))
    for name, (data, _) in PLAIN_TRAPS.items():
        (folder / name).write_bytes(data)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.gltf", b" " * (64 << 20))
    for suffix in (".glb", ".gltf", ".obj", ".ply", ".off", ".stl"):
        (folder / f"zip{suffix}").write_bytes(zipped.getvalue())
    (folder / "box.bin").write_bytes(BINARY)
    (folder / "many.mtl").write_bytes(b"newmtl m\n" + b"map_Kd bomb.png\n" * 5000)
    (folder / "bomb.png").write_bytes(png_bomb(30_000))
    words = [str(folder.parent), str(MEMORY_BYTES), str(CPU_S)]
    run = subprocess.run(
        [sys.executable, str(WORKER), *words], capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, f"{lines[-1:]}: {run.stderr[-2000:]}"
    return {Path(line["file"]).name: line for line in lines if "file" in line}


@pytest.mark.slow
@pytest.mark.parametrize("name", GLB_TRAPS)
def test_a_glb_that_asks_for_too_much(name: str, outcomes: dict[str, dict[str, Any]]) -> None:
    found = outcomes[f"{name}.glb"]
    assert found["outcome"] in ("loaded", "refused"), found
    assert re.search(GLB_TRAPS[name][1], found["line"]), found
    assert not found["opened"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PLAIN_TRAPS, "zip.glb", "zip.gltf", "zip.obj", "zip.ply"])
def test_a_plain_file_that_asks_for_too_much(
    name: str, outcomes: dict[str, dict[str, Any]]
) -> None:
    found = outcomes[name]
    assert found["outcome"] in ("loaded", "refused"), found
    assert re.search(PLAIN_TRAPS.get(name, (b"", ""))[1], found["line"]), found
    assert not name.startswith("zip") or found["outcome"] == "refused"
    assert not found["opened"]


@pytest.mark.slow
def test_no_trap_takes_much_memory(outcomes: dict[str, dict[str, Any]]) -> None:
    assert max(found["peak_bytes"] for found in outcomes.values()) < 1e9


@pytest.mark.parametrize(
    "reference",
    ["../secret.bin", "..%2Fsecret.bin", "/etc/hostname", "http://localhost/a.bin", "link.bin"],
)
@pytest.mark.parametrize("suffix", ["glb", "gltf"])
def test_buffers_come_from_the_models_folder_only(
    reference: str, suffix: str, tmp_path: Path
) -> None:
    folder = tmp_path / "chair"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(BINARY)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    document = DOCUMENT | {"buffers": [{"byteLength": len(BINARY), "uri": reference}]}
    data = glb(document, b"") if suffix == "glb" else json.dumps(document).encode()
    (folder / f"box.{suffix}").write_bytes(data)
    with pytest.raises(InputError, match=r"outside of its folder|only files in its own folder"):
        load_mesh(folder / f"box.{suffix}")


def test_buffers_beside_the_file_are_read_by_their_decoded_name(tmp_path: Path) -> None:
    document = DOCUMENT | {"buffers": [{"byteLength": len(BINARY), "uri": "my%20box.bin"}]}
    (tmp_path / "box.gltf").write_text(json.dumps(document))
    (tmp_path / "my box.bin").write_bytes(BINARY)
    assert len(load_mesh(tmp_path / "box.gltf").faces) == 12


def test_a_material_elsewhere_is_noted_and_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "chair"
    folder.mkdir()
    (tmp_path / "red.mtl").write_text("newmtl m\nKd 1 0 0\n")
    (folder / "a.obj").write_bytes(b"mtllib ../red.mtl\nusemtl m\n" + TETRAHEDRON)
    mesh = load_mesh(folder / "a.obj")
    assert not (mesh.colors == [255, 0, 0]).all()
    assert any("outside of its folder" in note for note in mesh.repairs)


def test_shapenets_own_layout_is_one_folder(tmp_path: Path) -> None:
    model = tmp_path / "02828884" / "abc" / "models" / "model_normalized.obj"
    folder = ModelFolder.of(model, LoadLimits())
    assert folder.folder == tmp_path / "02828884" / "abc"


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_bytes(TETRAHEDRON)
    with pytest.raises(InputError, match=r"a\.obj: is \d+ bytes long; at most 10 are read"):
        load_mesh(tmp_path / "a.obj", LoadLimits(file_bytes=10))


def test_triangles_over_the_limit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(glb(DOCUMENT, BINARY))
    with pytest.raises(InputError, match=r"a\.glb: .*more than the 30 allowed"):
        load_mesh(tmp_path / "a.glb", LoadLimits(triangles=10))
