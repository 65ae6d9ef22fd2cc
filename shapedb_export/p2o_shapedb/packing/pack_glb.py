"""Lay packed meshes out as one binary glTF: plain, or compressed by meshoptimizer."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from p2o_shapedb.packing.quantise import HALF_SIDE, PackedMesh

Compression = Literal["none", "meshopt"]

_BYTE, _SHORT, _USHORT, _UINT = 5120, 5122, 5123, 5125
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_MESHOPT = "EXT_meshopt_compression"


@dataclass(frozen=True)
class PackedNode:
    """One mesh of the file.

    Attributes:
        name: Name of its node and its mesh.
        mesh: Its triangles.
        material: Index into the materials.
        extras: JSON values of its node.
    """

    name: str
    mesh: PackedMesh
    material: int
    extras: Mapping[str, Any]


def encode_pack(
    nodes: Sequence[PackedNode],
    asset: Mapping[str, Any],
    materials: Sequence[Mapping[str, Any]],
    compression: Compression,
) -> bytes:
    """Return a GLB with one node and mesh per entry.

    All positions share one buffer view, and so do all normals and all indices: a view for every
    array would cost more JSON than the arrays save by it.

    Args:
        nodes: The meshes; their nodes scale the stored integers to the unit cube.
        asset: `copyright` and `extras` of the file.
        materials: glTF materials.
        compression: "meshopt" needs a reader with EXT_meshopt_compression.
    """
    positions = np.concatenate([node.mesh.positions for node in nodes])
    normals = np.concatenate([node.mesh.normals for node in nodes])
    wide = max(len(node.mesh.positions) for node in nodes) > 65535
    indices = np.concatenate([node.mesh.faces.ravel() for node in nodes])
    indices = indices.astype("<u4" if wide else "<u2")
    arrays = (
        _Array(_four_wide(positions, "<i2"), _ARRAY_BUFFER, "ATTRIBUTES"),
        _Array(_four_wide(normals, "i1"), _ARRAY_BUFFER, "OCTAHEDRAL"),
        _Array(indices[:, None], _ELEMENT_ARRAY_BUFFER, "TRIANGLES"),
    )
    extensions = ["KHR_mesh_quantization"]
    if compression == "meshopt":
        extensions.append(_MESHOPT)
        views, buffers, binary = _compressed(arrays)
    else:
        views, buffers, binary = _plain(arrays)
    document = {
        "asset": {"version": "2.0", "generator": "points2objects export_pack", **asset},
        "extensionsUsed": extensions,
        "extensionsRequired": extensions,
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": [_node(index, node) for index, node in enumerate(nodes)],
        "meshes": [_mesh(index, node) for index, node in enumerate(nodes)],
        "materials": list(materials),
        "accessors": _accessors(nodes, indices.itemsize),
        "bufferViews": views,
        "buffers": buffers,
    }
    return _container(document, binary)


@dataclass(frozen=True, eq=False)
class _Array:
    """Rows of one buffer view, (n, width), what they are for, and how meshoptimizer takes them."""

    rows: npt.NDArray[Any]
    target: int
    coding: Literal["ATTRIBUTES", "OCTAHEDRAL", "TRIANGLES"]

    @property
    def stride(self) -> int:
        """Bytes of a row."""
        return int(self.rows.shape[1] * self.rows.itemsize)


def _four_wide(rows: npt.NDArray[Any], kind: str) -> npt.NDArray[Any]:
    """Pad (n, 3) to (n, 4): rows of vertex data begin at multiples of four bytes."""
    return np.pad(rows, ((0, 0), (0, 1))).astype(kind)


def _node(index: int, node: PackedNode) -> dict[str, Any]:
    scale = [0.5 / HALF_SIDE] * 3
    return {"name": node.name, "mesh": index, "scale": scale, "extras": dict(node.extras)}


def _mesh(index: int, node: PackedNode) -> dict[str, Any]:
    first = 3 * index
    primitive = {
        "attributes": {"POSITION": first, "NORMAL": first + 1},
        "indices": first + 2,
        "material": node.material,
    }
    return {"name": node.name, "primitives": [primitive]}


def _accessors(nodes: Sequence[PackedNode], index_size: int) -> list[dict[str, Any]]:
    """Return position, normals and indices of each mesh in turn."""
    accessors: list[dict[str, Any]] = []
    vertex = corner = 0
    for node in nodes:
        positions, corners = node.mesh.positions, node.mesh.faces.size
        position = {
            "bufferView": 0,
            "byteOffset": 8 * vertex,
            "componentType": _SHORT,
            "count": len(positions),
            "type": "VEC3",
            "min": positions.min(axis=0).tolist(),
            "max": positions.max(axis=0).tolist(),
        }
        normal = {
            "bufferView": 1,
            "byteOffset": 4 * vertex,
            "componentType": _BYTE,
            "normalized": True,
            "count": len(positions),
            "type": "VEC3",
        }
        index = {
            "bufferView": 2,
            "byteOffset": index_size * corner,
            "componentType": _UINT if index_size == 4 else _USHORT,
            "count": corners,
            "type": "SCALAR",
        }
        accessors += [position, normal, index]
        vertex += len(positions)
        corner += corners
    return accessors


def _plain(
    arrays: Sequence[_Array],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bytes]:
    """Return buffer views, buffers and the binary chunk."""
    views, binary = [], bytearray()
    for array in arrays:
        views.append(_view(array, 0, len(binary)))
        binary += _padded(array.rows.tobytes())
    return views, [{"byteLength": len(binary)}], bytes(binary)


def _compressed(
    arrays: Sequence[_Array],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bytes]:
    """Return the same with meshoptimizer's streams in the file; the plain buffer is virtual."""
    import meshoptimizer

    # What EXT_meshopt_compression specifies; newer versions are for other extensions.
    meshoptimizer.encode_vertex_version(0)
    meshoptimizer.encode_index_version(1)
    views, binary, plain = [], bytearray(), 0
    for array in arrays:
        count = len(array.rows)
        encoded: dict[str, Any] = {"buffer": 0, "byteOffset": len(binary), "count": count}
        encoded |= {"byteStride": array.stride, "mode": array.coding}
        if array.coding == "TRIANGLES":
            vertices = int(array.rows.max()) + 1
            stream = meshoptimizer.encode_index_buffer(array.rows.ravel(), count, vertices)
        else:
            rows = array.rows
            if array.coding == "OCTAHEDRAL":
                encoded |= {"mode": "ATTRIBUTES", "filter": "OCTAHEDRAL"}
                rows = _octahedral(rows)
            stream = meshoptimizer.encode_vertex_buffer(rows, count, array.stride)
        encoded["byteLength"] = len(stream)
        views.append(_view(array, 1, plain) | {"extensions": {_MESHOPT: encoded}})
        binary += _padded(stream)
        plain += len(_padded(array.rows.tobytes()))
    virtual = {"byteLength": plain, "extensions": {_MESHOPT: {"fallback": True}}}
    return views, [{"byteLength": len(binary)}, virtual], bytes(binary)


def _octahedral(normals: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Fold normals, (n, 4) with length 127, onto the square that the decoder's filter unfolds."""
    x, y, z = normals[:, :3].astype(float).T
    x, y = np.stack([x, y]) / (np.abs(x) + np.abs(y) + np.abs(z))
    below = (1 - np.abs(y)) * np.where(x < 0, -1, 1), (1 - np.abs(x)) * np.where(y < 0, -1, 1)
    x, y = np.where(z < 0, below[0], x), np.where(z < 0, below[1], y)
    one = np.ones_like(x)
    return np.asarray(np.rint(127 * np.stack([x, y, one, 0 * one], axis=1)), np.int8)


def _view(array: _Array, buffer: int, offset: int) -> dict[str, Any]:
    view = {
        "buffer": buffer,
        "byteOffset": offset,
        "byteLength": array.rows.nbytes,
        "target": array.target,
    }
    if array.target == _ARRAY_BUFFER:
        view["byteStride"] = array.stride
    return view


def _padded(data: bytes, fill: bytes = b"\0") -> bytes:
    return data + fill * (-len(data) % 4)


def _container(document: Mapping[str, Any], binary: bytes) -> bytes:
    text = _padded(json.dumps(document, separators=(",", ":")).encode(), b" ")
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
