"""Write the exemplars as one GLB with quantised vertices (KHR_mesh_quantization)."""

import json
import logging
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from p2o_shapedb.command import atomic_path, refuse_existing
from p2o_shapedb.database import ShapeDB
from p2o_shapedb.simplify import LowPoly, simplify

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1

CLASS_COLORS = (
    (0.10, 0.32, 0.18), (0.72, 0.66, 0.52), (0.45, 0.24, 0.10), (0.62, 0.12, 0.10),
    (0.13, 0.24, 0.46), (0.55, 0.36, 0.17), (0.40, 0.40, 0.42), (0.30, 0.14, 0.40),
)  # fmt: skip
"""Linear RGB of the materials; classes take them in turn."""

_BYTE, _SHORT, _USHORT, _UINT = 5120, 5122, 5123, 5125
_VERTICES, _INDICES = 34962, 34963


@dataclass(frozen=True)
class PackReport:
    """What a pack holds.

    Attributes:
        exemplars: Number of exemplars.
        bytes: Size of the file.
        triangles: Median number of triangles.
        mean_error: Mean over exemplars of `LowPoly.error`.
        worst_error: Largest `LowPoly.error`.
        worst_model: Model that has it.
    """

    exemplars: int
    bytes: int
    triangles: int
    mean_error: float
    worst_error: float
    worst_model: str


@dataclass
class _Glb:
    """A GLB under construction."""

    json: dict[str, Any]
    data: bytearray = field(default_factory=bytearray)

    def accessor(
        self, values: npt.NDArray[np.generic], kind: int, target: int, normalized: bool = False
    ) -> int:
        """Append an array, (n, w) with rows padded to 4 bytes or (n,), and return its accessor."""
        rows = np.ascontiguousarray(values if values.ndim == 2 else values[:, None])
        width = rows.shape[1]
        accessor: dict[str, Any] = {
            "bufferView": len(self.json["bufferViews"]),
            "componentType": kind,
            "count": len(rows),
            "type": "VEC3" if width == 3 else "SCALAR",
        }
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "target": target}
        if width == 3:
            accessor["normalized"] = normalized
            if kind == _SHORT:  # POSITION must have bounds, in stored integers
                accessor["min"] = rows.min(axis=0).tolist()
                accessor["max"] = rows.max(axis=0).tolist()
            rows = np.pad(rows, ((0, 0), (0, 1)))
            view["byteStride"] = rows.shape[1] * rows.itemsize
        data = rows.tobytes()
        view["byteLength"] = len(data)
        self.data += data + b"\0" * (-len(data) % 4)
        self.json["bufferViews"].append(view)
        self.json["accessors"].append(accessor)
        return len(self.json["accessors"]) - 1

    def to_bytes(self) -> bytes:
        """Return the file."""
        self.json["buffers"] = [{"byteLength": len(self.data)}]
        text = json.dumps(self.json, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + len(self.data)
        return b"".join(
            [
                struct.pack("<4sII", b"glTF", 2, total),
                struct.pack("<I4s", len(text), b"JSON"),
                text,
                struct.pack("<I4s", len(self.data), b"BIN\0"),
                bytes(self.data),
            ]
        )


def write_pack(
    database: ShapeDB, path: Path, triangles: int = 500, overwrite: bool = False
) -> PackReport:
    """Write `exemplars.glb`: per exemplar a node and mesh "chair/07" in the canonical cube.

    Positions are normalised 16-bit integers (the node's scale brings them back to the cube),
    normals 8-bit. Class, index, source, licence and attribution are in each node's extras, the
    digest of the database in the asset's.

    Raises:
        InputError: The file exists and `overwrite` is off, or the database has no meshes.
    """
    from tqdm import tqdm

    refuse_existing(path, overwrite)
    glb = _Glb(_skeleton(database))
    errors, counts = [], []
    ids = range(len(database.exemplar_model))
    for exemplar_id in tqdm(ids, unit="exemplar", disable=not sys.stderr.isatty()):
        low_poly = _low_poly(database, int(database.exemplar_model[exemplar_id]), triangles)
        _add(glb, database, exemplar_id, low_poly)
        errors.append(low_poly.error)
        counts.append(len(low_poly.faces))
    content = glb.to_bytes()
    with atomic_path(path, overwrite) as temporary:
        temporary.write_bytes(content)
    worst = int(np.argmax(errors))
    return PackReport(
        exemplars=len(counts),
        bytes=len(content),
        triangles=int(np.median(counts)),
        mean_error=float(np.mean(errors)),
        worst_error=errors[worst],
        worst_model=database.models[int(database.exemplar_model[worst])].id,
    )


def exemplar_name(database: ShapeDB, exemplar_id: int) -> str:
    """Name an exemplar, "chair/07": the index has two digits, or as many as k needs."""
    class_id, index = divmod(exemplar_id, database.exemplars_per_class)
    digits = max(2, len(str(database.exemplars_per_class - 1)))
    return f"{database.classes[class_id]}/{index:0{digits}d}"


def _low_poly(database: ShapeDB, model_index: int, triangles: int) -> LowPoly:
    """Simplify at natural proportions, and return the result in the canonical cube."""
    mesh = database.mesh(model_index)
    extent = np.asarray(database.models[model_index].extent_m)
    metric = simplify(mesh.vertices * extent, mesh.faces, triangles)
    vertices = np.clip(metric.vertices / extent, -0.5, 0.5)
    normals = metric.normals * extent  # inverse transpose of the division above
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return LowPoly(vertices, normals, metric.faces, metric.error)


def _skeleton(database: ShapeDB) -> dict[str, Any]:
    shipped = [database.models[i] for i in database.exemplar_model]
    credits = sorted({f"{m.source} ({m.licence})" for m in shipped})
    return {
        "asset": {
            "version": "2.0",
            "generator": "points2objects export_pack",
            "copyright": "; ".join(credits),
            "extras": {
                "points2objects": {
                    "schema": SCHEMA_VERSION,
                    "shapedb_digest": database.digest,
                    "classes": list(database.classes),
                    "exemplars_per_class": database.exemplars_per_class,
                }
            },
        },
        "extensionsUsed": ["KHR_mesh_quantization"],
        "extensionsRequired": ["KHR_mesh_quantization"],
        "scene": 0,
        "scenes": [{"nodes": []}],
        "nodes": [],
        "meshes": [],
        "materials": [
            {
                "name": name,
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*CLASS_COLORS[i % len(CLASS_COLORS)], 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.7,
                },
                "doubleSided": True,
            }
            for i, name in enumerate(database.classes)
        ],
        "accessors": [],
        "bufferViews": [],
    }


def _add(glb: _Glb, database: ShapeDB, exemplar_id: int, mesh: LowPoly) -> None:
    class_id, index = divmod(exemplar_id, database.exemplars_per_class)
    model = database.models[int(database.exemplar_model[exemplar_id])]
    name = exemplar_name(database, exemplar_id)
    positions = np.round(mesh.vertices * 2 * 32767).astype("<i2")
    normals = np.round(mesh.normals * 127).astype("i1")
    wide = len(positions) > 65535
    indices = mesh.faces.ravel().astype("<u4" if wide else "<u2")
    primitive = {
        "attributes": {
            "POSITION": glb.accessor(positions, _SHORT, _VERTICES, normalized=True),
            "NORMAL": glb.accessor(normals, _BYTE, _VERTICES, normalized=True),
        },
        "indices": glb.accessor(indices, _UINT if wide else _USHORT, _INDICES),
        "material": class_id,
    }
    node = len(glb.json["nodes"])
    glb.json["scenes"][0]["nodes"].append(node)
    glb.json["nodes"].append(
        {
            "name": name,
            "mesh": node,
            "scale": [0.5, 0.5, 0.5],
            "extras": {
                "class": model.class_name,
                "index": index,
                "exemplar_id": exemplar_id,
                "model": model.id,
                "source": model.source,
                "licence": model.licence,
                "attribution": model.attribution,
            },
        }
    )
    glb.json["meshes"].append({"name": name, "primitives": [primitive]})
