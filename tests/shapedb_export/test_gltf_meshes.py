import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2o_shapedb.cad.meshes import load_mesh
from points2objects.errors import InputError
from points2objects.geometry import FloatArray
from points2objects.glb_container import split_chunks

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint16)


def write(path: Path, document: dict[str, Any], chunks: list[bytes]) -> None:
    """Write a GLB whose buffer views are the chunks, one after the other."""
    views, binary = [], b""
    for chunk in chunks:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(chunk)})
        binary += chunk + b"\0" * (-len(chunk) % 4)
    text = json.dumps(
        {"asset": {"version": "2.0"}, "buffers": [{"byteLength": len(binary)}]}
        | {"bufferViews": views, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}]}
        | document
    ).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<III", 0x46546C67, 2, 28 + len(text) + len(binary))
    parts = [head, struct.pack("<II", len(text), 0x4E4F534A), text]
    path.write_bytes(b"".join([*parts, struct.pack("<II", len(binary), 0x4E4942), binary]))


def accessor(view: int, count: int, kind: str, component: int, **more: Any) -> dict[str, Any]:
    return {"bufferView": view, "count": count, "type": kind, "componentType": component} | more


TETRAHEDRON = [accessor(0, 4, "VEC3", 5126), accessor(1, 12, "SCALAR", 5123)]
CHUNKS = [POINTS.tobytes(), FACES.tobytes()]
PRIMITIVE = {"attributes": {"POSITION": 0}, "indices": 1}


def corners(mesh: Any) -> FloatArray:
    return np.asarray(mesh.vertices[mesh.faces])


def test_plain_triangles_come_out_as_they_are(tmp_path: Path) -> None:
    write(
        tmp_path / "a.glb",
        {"accessors": TETRAHEDRON, "meshes": [{"primitives": [PRIMITIVE]}]},
        CHUNKS,
    )
    mesh = load_mesh(tmp_path / "a.glb")
    np.testing.assert_array_equal(corners(mesh), POINTS[FACES])
    assert not mesh.has_color
    assert mesh.repairs == ()


def test_quantised_positions_are_scaled_by_their_node(tmp_path: Path) -> None:
    quantised = (POINTS * 32767).astype(np.int16)
    document = {
        "accessors": [accessor(0, 4, "VEC3", 5122, normalized=True), TETRAHEDRON[1]],
        "extensionsRequired": ["KHR_mesh_quantization"],
        "meshes": [{"primitives": [PRIMITIVE]}],
        "nodes": [{"mesh": 0, "scale": [2, 3, 4], "translation": [1, 0, 0]}],
    }
    write(tmp_path / "a.glb", document, [quantised.tobytes(), FACES.tobytes()])
    want = POINTS * [2, 3, 4] + [1, 0, 0]
    np.testing.assert_allclose(corners(load_mesh(tmp_path / "a.glb")), want[FACES], atol=1e-6)


def test_rotations_turn_like_the_specification_says(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    document = {
        "accessors": TETRAHEDRON,
        "meshes": [{"primitives": [PRIMITIVE]}],
        "nodes": [{"rotation": [0, 0, half, half], "children": [1]}, {"mesh": 0}],
    }
    write(tmp_path / "a.glb", document, CHUNKS)
    # A quarter turn about +z takes +x to +y and +y to -x.
    want = np.stack([-POINTS[:, 1], POINTS[:, 0], POINTS[:, 2]], axis=1)
    np.testing.assert_allclose(corners(load_mesh(tmp_path / "a.glb")), want[FACES], atol=1e-6)


def test_sparse_accessors_change_their_base(tmp_path: Path) -> None:
    moved = np.array([[0, 0, 5]], np.float32)
    sparse = {
        "count": 1,
        "indices": {"bufferView": 2, "componentType": 5121},
        "values": {"bufferView": 3},
    }
    document = {
        "accessors": [{**TETRAHEDRON[0], "sparse": sparse}, TETRAHEDRON[1]],
        "meshes": [{"primitives": [PRIMITIVE]}],
    }
    write(tmp_path / "a.glb", document, [*CHUNKS, b"\x03", moved.tobytes()])
    assert load_mesh(tmp_path / "a.glb").vertices[:, 2].max() == 5.0


@pytest.mark.parametrize(
    ("mode", "order", "want"),
    [
        (5, [0, 1, 2, 3, 0], [[0, 1, 2], [3, 2, 1], [2, 3, 0]]),
        (6, [0, 1, 2, 3], [[0, 1, 2], [0, 2, 3]]),
    ],
)
def test_strips_and_fans_become_triangles(
    mode: int, order: list[int], want: list[list[int]], tmp_path: Path
) -> None:
    extra = np.array([[0, 2, 1], [1, 2, 3]], np.uint16)  # enough for a solid
    document = {
        "accessors": [
            TETRAHEDRON[0],
            accessor(1, len(order), "SCALAR", 5121),
            accessor(2, 6, "SCALAR", 5123),
        ],
        "meshes": [{"primitives": [{**PRIMITIVE, "mode": mode}, {**PRIMITIVE, "indices": 2}]}],
    }
    write(tmp_path / "a.glb", document, [POINTS.tobytes(), bytes(order), extra.tobytes()])
    found = corners(load_mesh(tmp_path / "a.glb"))[: len(want)]
    np.testing.assert_array_equal(found, POINTS[np.array(want)])


def test_materials_and_vertex_colours_multiply(tmp_path: Path) -> None:
    colors = np.tile(np.array([255, 0, 255, 255], np.uint8), (4, 1))
    red = {"pbrMetallicRoughness": {"baseColorFactor": [1.0, 1.0, 0.0, 1.0]}}
    attributes = {"POSITION": 0, "COLOR_0": 2}
    document = {
        "accessors": [*TETRAHEDRON, accessor(2, 4, "VEC4", 5121, normalized=True)],
        "materials": [red],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 1, "material": 0}]}],
    }
    write(tmp_path / "a.glb", document, [*CHUNKS, colors.tobytes()])
    assert (load_mesh(tmp_path / "a.glb").colors == [255, 0, 0]).all()


def test_several_materials_keep_their_colours(tmp_path: Path) -> None:
    materials = [
        {"pbrMetallicRoughness": {"baseColorFactor": [float(i == 0), 0.0, float(i == 1), 1.0]}}
        for i in range(2)
    ]
    primitives = [{**PRIMITIVE, "material": 0}, {**PRIMITIVE, "material": 1}, PRIMITIVE]
    document = {
        "accessors": TETRAHEDRON,
        "materials": materials,
        "meshes": [{"primitives": primitives}],
    }
    write(tmp_path / "a.glb", document, CHUNKS)
    mesh = load_mesh(tmp_path / "a.glb")
    first = mesh.colors[mesh.faces[:, 0]][::4]
    np.testing.assert_array_equal(first, [[255, 0, 0], [0, 0, 255], [170, 170, 170]])


def test_a_transform_that_is_not_finite_is_left_out_and_noted(tmp_path: Path) -> None:
    document = {
        "accessors": TETRAHEDRON,
        "meshes": [{"primitives": [PRIMITIVE]}],
        "nodes": [{"children": [1], "matrix": [float("nan")] * 16}, {"mesh": 0}],
    }
    write(tmp_path / "a.glb", document, CHUNKS)
    mesh = load_mesh(tmp_path / "a.glb")
    np.testing.assert_array_equal(corners(mesh), POINTS[FACES])
    assert mesh.repairs == ("a node's transform is not finite, and left out",)


def test_lines_are_noted_and_a_missing_texture_is_no_error(tmp_path: Path) -> None:
    texture = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 7}}}
    document = {
        "accessors": TETRAHEDRON,
        "materials": [texture],
        "meshes": [{"primitives": [{**PRIMITIVE, "material": 0}, {**PRIMITIVE, "mode": 1}]}],
    }
    write(tmp_path / "a.glb", document, CHUNKS)
    notes = load_mesh(tmp_path / "a.glb").repairs
    assert notes == ("texture 7 not read: refers to textures 7, but has 0", *notes[1:])
    assert notes[1:] == ("points or lines not read",)


def test_indices_beyond_a_primitive_do_not_reach_the_next(tmp_path: Path) -> None:
    beyond = FACES + np.uint16(1)
    document = {"accessors": TETRAHEDRON, "meshes": [{"primitives": [PRIMITIVE, PRIMITIVE]}]}
    write(tmp_path / "a.glb", document, [POINTS.tobytes(), beyond.tobytes()])
    with pytest.raises(InputError, match=r"a\.glb: has triangles that point at missing vertices"):
        load_mesh(tmp_path / "a.glb")


def tetrahedron(tmp_path: Path) -> tuple[bytes, bytes]:
    """Return the JSON and the binary chunk of a small model."""
    document = {"accessors": TETRAHEDRON, "meshes": [{"primitives": [PRIMITIVE]}]}
    write(tmp_path / "plain.glb", document, CHUNKS)
    text, binary = split_chunks((tmp_path / "plain.glb").read_bytes())
    assert binary is not None
    return text.rstrip(), binary


def chunked(*chunks: tuple[bytes, bytes, bytes]) -> bytes:
    """Join chunks of a kind, some bytes, and what pads them without being counted."""
    body = b"".join(struct.pack("<I", len(data)) + kind + data + pad for kind, data, pad in chunks)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


@pytest.mark.parametrize("spaces", [0, 1, 2, 3])
def test_chunks_need_not_be_padded(spaces: int, tmp_path: Path) -> None:
    text, binary = tetrahedron(tmp_path)
    text += b" " * ((spaces - len(text)) % 4)
    rest = -len(text) % 4
    for data in (
        chunked((b"JSON", text, b""), (b"BIN\0", binary, b"")),
        chunked((b"JSON", text, b" " * rest), (b"BIN\0", binary, b"")),
        chunked((b"JSON", text + b" " * rest, b""), (b"BIN\0", binary, b"")),
        chunked((b"JSON", text + b"\0" * rest, b""), (b"BIN\0", binary, b"\0\0")),
        chunked((b"JSON", text, b""), (b"BIN\0", binary + b"xyz", b""), (b"MORE", b"1", b"")),
    ):
        (tmp_path / "a.glb").write_bytes(data)
        np.testing.assert_array_equal(corners(load_mesh(tmp_path / "a.glb")), POINTS[FACES])


def test_a_truncated_chunk_is_refused(tmp_path: Path) -> None:
    text, binary = tetrahedron(tmp_path)
    whole = chunked((b"JSON", text, b""), (b"BIN\0", binary, b""))
    for cut in (whole[:-1], chunked((b"JSON", text, b""), (b"BIN\0", binary[:-4], b""))):
        (tmp_path / "a.glb").write_bytes(cut)
        with pytest.raises(InputError, match="truncated"):
            load_mesh(tmp_path / "a.glb")


def test_a_file_is_read_as_what_it_holds_not_as_its_name_says(tmp_path: Path) -> None:
    text, binary = tetrahedron(tmp_path)
    (tmp_path / "a.gltf").write_bytes((tmp_path / "plain.glb").read_bytes())
    mesh = load_mesh(tmp_path / "a.gltf")
    np.testing.assert_array_equal(corners(mesh), POINTS[FACES])
    assert mesh.repairs == ("holds GLB, but is named .gltf",)
    document = json.loads(text)
    document["buffers"][0]["uri"] = "a.bin?v=3"
    (tmp_path / "a.bin").write_bytes(binary)
    for name, notes in (("b.glb", ("holds JSON, but is named .glb",)), ("b.GLTF", ())):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())
        mesh = load_mesh(tmp_path / name)
        np.testing.assert_array_equal(corners(mesh), POINTS[FACES])
        assert mesh.repairs == notes


@pytest.mark.parametrize("listed", [{}, {"extensionsUsed": ["KHR_draco_mesh_compression"]}])
def test_draco_is_named_wherever_it_is_marked(listed: dict[str, Any], tmp_path: Path) -> None:
    draco = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    empty = [{k: v for k, v in a.items() if k != "bufferView"} for a in TETRAHEDRON]
    meshes = [{"primitives": [{**PRIMITIVE, "extensions": draco}]}]
    words = "needs KHR_draco_mesh_compression; save it without compression, e.g. by 'gltf-trans"
    for accessors in (empty, [TETRAHEDRON[0], empty[1]], [empty[0], TETRAHEDRON[1]]):
        write(tmp_path / "a.glb", {"accessors": accessors, "meshes": meshes} | listed, CHUNKS)
        with pytest.raises(InputError, match=words):
            load_mesh(tmp_path / "a.glb")
    # With a copy that is not compressed, that copy is read.
    write(tmp_path / "a.glb", {"accessors": TETRAHEDRON, "meshes": meshes} | listed, CHUNKS)
    assert len(load_mesh(tmp_path / "a.glb").faces) == 4


@pytest.mark.parametrize("name", ["EXT_meshopt_compression", "KHR_meshopt_compression"])
@pytest.mark.parametrize("marked", ["view", "buffer"])
def test_meshopt_is_named_wherever_it_is_marked(name: str, marked: str, tmp_path: Path) -> None:
    sizes = [len(chunk) for chunk in CHUNKS]
    packed = {"buffer": 0, "byteOffset": 0, "byteLength": 40, "byteStride": 12, "count": 4}
    on_view = {"extensions": {name: packed}} if marked == "view" else {}
    on_buffer = {"extensions": {name: {"fallback": True}}} if marked == "buffer" else {}
    document = {
        "accessors": TETRAHEDRON,
        "meshes": [{"primitives": [PRIMITIVE]}],
        "bufferViews": [{"buffer": 1, "byteLength": size, **on_view} for size in sizes],
        "buffers": [{"byteLength": 40}, {"byteLength": sum(sizes), **on_buffer}],
    }
    write(tmp_path / "a.glb", document, CHUNKS)
    with pytest.raises(InputError, match=f"needs {name}; save it without compression"):
        load_mesh(tmp_path / "a.glb")


def test_splats_and_points_are_named(tmp_path: Path) -> None:
    splat = {"mode": 0, "extensions": {"KHR_gaussian_splatting": {}}}
    for extra, words in (({"mode": 0}, "points or lines not read"), (splat, "Gaussian splats not")):
        meshes = [{"primitives": [{**PRIMITIVE, **extra}]}]
        write(tmp_path / "a.glb", {"accessors": TETRAHEDRON, "meshes": meshes}, CHUNKS)
        with pytest.raises(InputError, match=f"holds no triangles; {words}"):
            load_mesh(tmp_path / "a.glb")
