"""Hundreds of damaged CAD files, every one loaded or refused with one line, within bounds."""

import base64
import copy
import json
import re
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed
from PIL import Image

from p2o_shapedb import procedural
from p2o_shapedb.build import build
from p2o_shapedb.cad.meshes import EXTENSIONS, load_mesh
from p2o_shapedb.config import BuildConfig

trimesh: Any = trimesh_typed  # half of its own annotations are missing
Rng = np.random.Generator

BAD_VALUES: tuple[Any, ...] = (
    *(None, True, "", "1", "VEC3", "../../secret/secret.bin", [], {}, [[]], {"a": {}}),
    *(-1, 0, 1, 0.5, 2**31, 2**32 - 1, 2**53, 2**63, 10**400, 1e308, float("nan"), float("inf")),
    *(5121, 5125, 5126),
)
BAD_TOKENS = (
    *(b"nan", b"inf", b"-inf", b"1e39", b"-1e400", b"0", b"-1", b"99999999999999999999"),
    *(b"4294967296", b"1/0/0", b"x", b"0x10", b"", b"//", b"1e", b"\xff\xfe", b"9" * 5000),
)
PATHS = (
    *("../secret/secret.bin", "..%2fsecret%2fsecret.bin", "%2e%2e/secret/secret.bin"),
    *("..\\secret\\secret.bin", "./././../secret/secret.bin", "fifo/../../secret/secret.bin"),
    *("/etc/passwd", "file:///etc/passwd", "http://localhost:9/secret", "//localhost/secret"),
    *("~/secret", "link.bin", "%00", "a" * 5000, "c:\\secret", ".", "..", "self.gltf\0.bin"),
    *("data:,secret", "data:application/octet-stream;base64,%%%", "/proc/self/environ"),
    "/dev/zero",
)


def write_unharmed(folder: Path) -> None:
    """Write one chair in every format, in text and binary where there are both."""
    folder.mkdir(parents=True)
    model = procedural.generate("chair", 0, 0)
    mesh: Any = trimesh.Trimesh(model.vertices, model.faces, process=False)
    for name in ("a.off", "a.stl", "a.ply"):
        mesh.export(folder / name)
    mesh.export(folder / "text.ply", encoding="ascii")
    mesh.export(folder / "text.stl", file_type="stl_ascii")
    uv = np.random.default_rng(0).uniform(size=(len(mesh.vertices), 2))
    image = Image.fromarray(np.full((8, 8, 3), 200, np.uint8))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image)
    textured = mesh.copy()
    textured.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    scene = trimesh.Scene()
    scene.add_geometry(textured, node_name="chair")
    scene.add_geometry(
        trimesh.creation.box([0.1, 0.1, 0.1]), node_name="box", parent_node_name="chair"
    )
    (folder / "a.glb").write_bytes(scene.export(file_type="glb"))
    document, binary = split_glb((folder / "a.glb").read_bytes())
    document["buffers"][0]["uri"] = "a.bin"
    (folder / "a.bin").write_bytes(binary)
    (folder / "a.gltf").write_text(json.dumps(document))
    data = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    document["buffers"][0]["uri"] = data
    (folder / "inline.gltf").write_text(json.dumps(document))
    write_posed(folder / "posed.glb")
    write_polygons(folder)
    (folder / "a.obj").write_text(
        mesh.export(file_type="obj").replace("v ", "mtllib a.mtl\nusemtl m\nv ", 1)
    )
    (folder / "a.mtl").write_text("newmtl m\nKd 0.5 0.5 0.5\nmap_Kd a.png\n")
    image.save(folder / "a.png")


def write_posed(path: Path) -> None:
    """Write a tetrahedron with a skin, a morph target, instances, strips and a hidden node."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    arrays: list[tuple[Any, str, int]] = [
        (points, "VEC3", 5126),
        (np.array([0, 2, 1, 3, 0, 2], np.uint8), "SCALAR", 5121),
        (points * 0.1, "VEC3", 5126),
        (np.zeros((4, 4), np.uint8), "VEC4", 5121),
        (np.tile(np.array([[1, 0, 0, 0]], np.float32), (4, 1)), "VEC4", 5126),
        (np.eye(4, dtype=np.float32)[None], "MAT4", 5126),
        (np.array([[0, 0, 2], [0, 3, 0]], np.float32), "VEC3", 5126),
    ]
    views, accessors, binary = [], [], b""
    for number, (array, kind, component) in enumerate(arrays):
        data = array.tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        named = {"type": kind, "componentType": component, "count": len(array)}
        accessors.append({"bufferView": number, **named})
        binary += data + b"\0" * (-len(data) % 4)
    shape = {"attributes": {"POSITION": 0}, "indices": 1, "mode": 5, "targets": [{"POSITION": 2}]}
    rigged = {**shape, "attributes": {"POSITION": 0, "JOINTS_0": 3, "WEIGHTS_0": 4}}
    often = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": 6}}}
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
        "images": [{"bufferView": 0}],
        "meshes": [
            {"primitives": [shape], "weights": [0.5]},
            {"primitives": [rigged], "weights": [0.5]},
        ],
        "skins": [{"joints": [3], "inverseBindMatrices": 5}],
        "nodes": [
            {"mesh": 0, "extensions": often, "rotation": [0, 0, 0, 1]},
            {"mesh": 1, "skin": 0, "children": [2, 3], "scale": [1, 1, 1]},
            {"mesh": 0, "extensions": {"KHR_node_visibility": {"visible": False}}},
            {"translation": [3, 0, 0]},
        ],
        "scenes": [{"nodes": [0, 1]}],
        "extensionsUsed": ["EXT_mesh_gpu_instancing", "KHR_node_visibility"],
    }
    path.write_bytes(join_glb(document, binary))


def write_polygons(folder: Path) -> None:
    """Write a prism over a concave outline, coloured, in the text formats and as strips."""
    outline = [(0, 0), (3, 0), (3, 1), (1, 1), (1, 3), (0, 3)]
    points = [(x, y, z) for z in (0, 2) for x, y in outline]
    sides = [(i, (i + 1) % 6, (i + 1) % 6 + 6, i + 6) for i in range(6)]
    faces = [tuple(range(5, -1, -1)), tuple(range(6, 12)), *sides]
    lines = ["COFF 12 8 0", *(f"{x} {y} {z} 255 0 51 255" for x, y, z in points)]
    lines += [f"{len(f)} {' '.join(map(str, f))} 0.5 0.5 0.5" for f in faces]
    (folder / "polygons.off").write_text("\n".join(lines) + "\n")
    lines = ["mtllib a.mtl", *(f"v {x} {y} {z} 1 0 0.2" for x, y, z in points), "vt 0.5 0.5"]
    lines += ["usemtl m", *("f " + " ".join(f"{i - 12}/-1" for i in f) + " # side" for f in faces)]
    (folder / "polygons.obj").write_text("\r\n".join(lines))
    head = "ply\nformat {} 1.0\ncomment TextureFile a.png\nelement vertex 12\nproperty float x\n"
    head += "property float y\nproperty float z\nproperty uchar red\nproperty uchar green\n"
    head += (
        "property uchar blue\nelement {} {}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = [f"{x} {y} {z} 255 0 51" for x, y, z in points]
    rows += [f"{len(f)} {' '.join(map(str, f))}" for f in faces]
    (folder / "polygons.ply").write_text(head.format("ascii", "face", 8) + "\n".join(rows) + "\n")
    packed = b"".join(struct.pack(">3f3B", *point, 255, 0, 51) for point in points)
    strip = [0, 6, 1, 7, 2, 8, 3, -1, 3, 9, 4, 10]
    packed += struct.pack(">B12i", 12, *strip) + struct.pack(">B4i", 4, 4, 10, 5, 11)
    text = head.format("binary_big_endian", "tristrips", 2).encode()
    (folder / "strips.ply").write_bytes(text + packed)


def split_glb(data: bytes) -> tuple[Any, bytes]:
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def join_glb(document: Any, binary: bytes) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    head = struct.pack("<III", 0x46546C67, 2, 28 + len(text) + len(binary))
    chunks = (
        struct.pack("<II", len(text), 0x4E4F534A)
        + text
        + struct.pack("<II", len(binary), 0x4E4942)
        + binary
    )
    return head + chunks


def truncate(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def flip_bytes(data: bytes, rng: Rng) -> bytes:
    changed = bytearray(data)
    for where in rng.integers(0, len(data), int(rng.integers(1, 60))):
        changed[where] = int(rng.integers(0, 256))
    return bytes(changed)


def fill_block(data: bytes, rng: Rng) -> bytes:
    start, length = int(rng.integers(0, len(data))), int(rng.integers(1, 400))
    fill = rng.choice([b"\0", b"\xff", b" ", b"9", b"\x00\x00\xc0\x7f"])
    return data[:start] + (bytes(fill) * length)[:length] + data[start + length :]


def repeat_block(data: bytes, rng: Rng) -> bytes:
    start, length = int(rng.integers(0, len(data))), int(rng.integers(1, 2000))
    return data[:start] + data[start : start + length] * int(rng.integers(2, 9)) + data[start:]


def head_bytes(data: bytes, rng: Rng) -> bytes:
    """Change the header only, where counts and sizes stand."""
    changed = bytearray(data)
    for where in rng.integers(0, min(len(data), 200), 4):
        changed[where] = int(rng.choice([0, 255, 127, ord("9"), ord("-"), int(rng.integers(256))]))
    return bytes(changed)


def bad_numbers(data: bytes, rng: Rng) -> bytes:
    """Put NaN, infinite and huge floats into the binary part, or bad words into the text."""
    if b"\0" in data[:4000]:
        changed = bytearray(data)
        bad = [struct.pack("<f", v) for v in (float("nan"), float("inf"), 3e38, -3e38, 1e-42)]
        start = 84 if data[:4] != b"glTF" else 28 + struct.unpack_from("<I", data, 12)[0]
        for where in rng.integers(start // 4, len(data) // 4, 12):
            changed[4 * where : 4 * where + 4] = bad[int(rng.integers(len(bad)))]
        return bytes(changed)
    words = data.split(b" ")
    for where in rng.integers(0, len(words), int(rng.integers(1, 8))):
        words[where] = BAD_TOKENS[int(rng.integers(len(BAD_TOKENS)))]
    return b" ".join(words)


def no_faces(data: bytes, rng: Rng) -> bytes:
    """Take the faces away, or leave only a few."""
    if data[:4] == b"glTF":
        document, binary = split_glb(data)
        for accessor in document["accessors"]:
            if accessor["type"] == "SCALAR":
                accessor["count"] = int(rng.choice([0, 1, 2, 3]))
        return join_glb(document, binary)
    lines = data.split(b"\n")
    kept = [
        line for line in lines if not line.startswith((b"f ", b"3 ", b"facet", b"element face"))
    ]
    return b"\n".join(kept)


def change_json(data: bytes, rng: Rng) -> bytes:
    """Replace, drop or repeat values anywhere in a glTF document."""
    is_glb = data[:4] == b"glTF"
    document, binary = split_glb(data) if is_glb else (json.loads(data), b"")
    for _ in range(int(rng.integers(1, 4))):
        holder, key = _random_place(document, rng)
        action = rng.integers(4)
        if action == 0 and isinstance(holder, dict):
            del holder[key]
        elif action == 1 and isinstance(holder, list):
            holder.extend(copy.deepcopy(holder) * int(rng.integers(1, 50)))
        else:
            holder[key] = copy.deepcopy(BAD_VALUES[int(rng.integers(len(BAD_VALUES)))])
    text = json.dumps(document).encode()
    return join_glb(text, binary) if is_glb else text


def _random_place(document: Any, rng: Rng) -> tuple[Any, Any]:
    holder: Any = {"": document}
    key: Any = ""
    while True:
        value = holder[key]
        if (
            not isinstance(value, dict | list)
            or not value
            or (holder is not document and rng.random() < 0.1)
        ):
            return (document, next(iter(document))) if key == "" else (holder, key)
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        holder, key = value, keys[int(rng.integers(len(keys)))]


def change_paths(data: bytes, rng: Rng) -> bytes:
    """Make a file refer to places where it has no business."""
    path = PATHS[int(rng.integers(len(PATHS)))]
    if data[:4] == b"glTF":
        document, binary = split_glb(data)
        place = document["buffers" if rng.random() < 0.5 else "images"][0]
        place.pop("bufferView", None)
        place["uri"] = path
        return join_glb(document, binary)
    if data[:1] == b"{":
        document = json.loads(data)
        document["buffers" if rng.random() < 0.5 else "images"][0]["uri"] = path
        return json.dumps(document).encode()
    name = path.encode("utf-8", "replace").replace(b"\n", b"")
    if data[:3] == b"ply":
        return data.replace(b"\nelement", b"\ncomment TextureFile " + name + b"\nelement", 1)
    return data.replace(b"a.mtl", name, 1) if b"a.mtl" in data else b"mtllib " + name + b"\n" + data


ANY_FORMAT: tuple[Callable[[bytes, Rng], bytes], ...] = (
    truncate, flip_bytes, fill_block, repeat_block, head_bytes, bad_numbers, no_faces,
)  # fmt: skip
BY_SUFFIX: dict[str, tuple[Callable[[bytes, Rng], bytes], ...]] = {
    ".glb": (*ANY_FORMAT, change_json, change_json, change_paths),
    ".gltf": (*ANY_FORMAT, change_json, change_json, change_paths),
    ".obj": (*ANY_FORMAT, change_paths),
    ".ply": (*ANY_FORMAT, change_paths),
    ".off": ANY_FORMAT,
    ".stl": ANY_FORMAT,
}


def write_mutants(unharmed: Path, folder: Path, count: int, seed: int) -> None:
    """Write broken copies: formats in turn, kinds of damage in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("a.bin", "a.mtl", "a.png"):
        (folder / name).write_bytes((unharmed / name).read_bytes())
    sources = [p for p in sorted(unharmed.glob("*")) if p.suffix in BY_SUFFIX]
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        source = sources[number % len(sources)]
        kinds = BY_SUFFIX[source.suffix]
        kind = kinds[number // len(sources) % len(kinds)]
        data = source.read_bytes()
        mutant = (
            kind(data, rng)
            if source.suffix != ".gltf" or kind is not no_faces
            else truncate(data, rng)
        )
        (folder / f"{number:04}-{kind.__name__}{source.suffix}").write_bytes(mutant)


COUNT, MANY = 400, 1500
SEED, OTHER_SEED = 20261122, 20261201
MEMORY_BYTES = 3 << 30
"""Of addresses, most of which the libraries take at their start and never fill."""
PEAK_BYTES = 1e9
CPU_S = 10
WORKER = Path(__file__).with_name("fuzz_worker.py")


def write_root(root: Path, count: int, seed: int) -> Path:
    """Write a CAD root whose class folder is full of damage; what lies beside it is off limits."""
    unharmed = root / "unharmed"
    write_unharmed(unharmed)
    write_mutants(unharmed, root / "cad" / "chair", count, seed)
    (root / "cad" / "secret").mkdir()
    (root / "cad" / "secret" / "secret.bin").write_bytes((unharmed / "a.bin").read_bytes())
    (root / "cad" / "chair" / "link.bin").symlink_to(root / "cad" / "secret" / "secret.bin")
    return root / "cad"


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_root(tmp_path_factory.mktemp("fuzz"), COUNT, SEED)


def test_unharmed_files_are_read_without_a_note(tmp_path: Path) -> None:
    write_unharmed(tmp_path / "unharmed")
    for path in sorted((tmp_path / "unharmed").iterdir()):
        if path.suffix in EXTENSIONS:
            mesh = load_mesh(path)
            hidden = mesh.repairs == ("1 hidden meshes left out (KHR_node_visibility)",)
            assert len(mesh.faces) >= 9
            assert hidden or not mesh.repairs, path.name


def check_all(root: Path, count: int) -> None:
    """Load every file of a root in a process that is watched."""
    words = [str(root), str(MEMORY_BYTES), str(CPU_S)]
    run = subprocess.run(
        [sys.executable, str(WORKER), *words], capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    started = [line["start"] for line in lines if "start" in line]
    found = [line for line in lines if "file" in line]
    assert run.returncode == 0, f"{started[-1:]}: {run.stderr[-2000:]}"
    assert not run.stderr, "a warning or traceback beside the line that refuses"
    assert len(found) == count
    assert not [line for line in found if line["outcome"] == "escaped"]
    assert not [line for line in found if line["opened"]], "opened a file outside of its folder"
    # What only the last net of `load_mesh` caught, its reader should have refused itself.
    caught = [line for line in found if re.search(r"as a mesh \(\w+(Error|Exit)\b", line["line"])]
    assert not caught
    refused = [line for line in found if line["outcome"] == "refused"]
    assert len(refused) > count / 4
    for line in refused:
        assert line["line"].startswith(line["file"])
        assert len(line["line"].splitlines()) == 1
        assert len(line["line"]) < len(line["file"]) + 400
    peak = max(float(line["peak_bytes"]) for line in found)
    worst = max(found, key=lambda line: float(line["cpu_s"]))
    assert peak < PEAK_BYTES
    print(  # noqa: T201 - the measured figures, for pytest -s
        Counter(line["outcome"] for line in found),
        f"peak {peak / 1e6:.0f} MB,",
        f"slowest {worst['cpu_s']:.2f} s CPU ({Path(worst['file']).name})",
    )


@pytest.mark.slow
def test_damaged_files_are_loaded_or_refused_with_one_line(mutants: Path) -> None:
    check_all(mutants, COUNT)


@pytest.mark.weekly
def test_many_damaged_files_are_loaded_or_refused_with_one_line(tmp_path: Path) -> None:
    check_all(write_root(tmp_path, MANY, OTHER_SEED), MANY)


@pytest.mark.slow
def test_a_build_over_damaged_files_ends_and_names_each(mutants: Path, tmp_path: Path) -> None:
    report = build(
        BuildConfig(
            out=tmp_path / "shapedb",
            cad=(mutants,),
            procedural=4,
            classes=("chair",),
            exemplars_per_class=2,
            workers=2,
            oracle_models=0,
        )
    )
    built = [m for m in report.database.models if m.source != "points2objects procedural"]
    assert len(report.refused) + len(built) == COUNT
    assert all(len(line.splitlines()) == 1 for line in report.refused)
    assert not [line for line in report.refused if "worker process died" in line]
