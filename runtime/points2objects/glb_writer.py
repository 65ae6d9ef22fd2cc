"""Write scenes to binary glTF 2.0, with NumPy alone: plain float meshes, which all viewers open."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.glb import Color, Mesh
from points2objects.glb_container import COMPONENTS, join_chunks

_COMPONENT_CODES = {np.dtype(name): code for code, name in COMPONENTS.items()}
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963


@dataclass(frozen=True, eq=False)
class Instance:
    """One placed mesh: `x_world = rotate(rotation, scale * x_mesh) + translation`.

    Attributes:
        mesh: What to draw; instances of the same `Mesh` object share its data in the file.
        translation: (3,), m.
        rotation: (4,), unit quaternion x y z w.
        scale: (3,), positive.
        name: Name of the node.
        extras: JSON values for the node.
    """

    mesh: Mesh
    translation: npt.NDArray[np.floating[Any]]
    rotation: npt.NDArray[np.floating[Any]]
    scale: npt.NDArray[np.floating[Any]]
    name: str
    extras: Mapping[str, Any]


def encode_glb(
    instances: Sequence[Instance], extras: Mapping[str, Any], copyright_line: str = ""
) -> bytes:
    """Return a binary glTF with one node per instance; metres, +Y up.

    Args:
        instances: May be empty: the file is then an empty scene.
        extras: JSON values for `asset.extras`.
        copyright_line: Credits for `asset.copyright`.
    """
    writer = _Writer()
    nodes = [
        {
            "name": instance.name,
            "mesh": writer.add_mesh(instance.mesh),
            "translation": [float(v) for v in instance.translation],
            "rotation": [float(v) for v in instance.rotation],
            "scale": [float(v) for v in instance.scale],
            "extras": dict(instance.extras),
        }
        for instance in instances
    ]
    asset: dict[str, Any] = {"version": "2.0", "generator": "points2objects"}
    if copyright_line:
        asset["copyright"] = copyright_line
    asset["extras"] = dict(extras)
    scene: dict[str, Any] = {"name": "scene"}
    document: dict[str, Any] = {"asset": asset, "scene": 0, "scenes": [scene]}
    if nodes:  # glTF forbids empty arrays.
        scene["nodes"] = list(range(len(nodes)))
        document |= {"nodes": nodes} | writer.tables()
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return join_chunks(text.encode(), bytes(writer.binary))


class _Writer:
    """Collects meshes and their bytes; each mesh and each colour is written once."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []
        self._meshes: list[dict[str, Any]] = []
        self._mesh_index: dict[int, int] = {}
        self._materials: dict[Color, int] = {}

    def add_mesh(self, mesh: Mesh) -> int:
        if id(mesh) not in self._mesh_index:
            self._mesh_index[id(mesh)] = len(self._meshes)
            vertices = np.asarray(mesh.vertices, dtype="<f4")
            wide = len(vertices) > 65535
            position = self._add_array(vertices, _ARRAY_BUFFER, "VEC3")
            self._accessors[position]["min"] = vertices.min(axis=0).tolist()
            self._accessors[position]["max"] = vertices.max(axis=0).tolist()
            attributes = {
                "POSITION": position,
                "NORMAL": self._add_array(mesh.normals.astype("<f4"), _ARRAY_BUFFER, "VEC3"),
            }
            faces = mesh.faces.reshape(-1).astype("<u4" if wide else "<u2")
            primitive = {
                "attributes": attributes,
                "indices": self._add_array(faces, _ELEMENT_ARRAY_BUFFER, "SCALAR"),
                "material": self._materials.setdefault(mesh.color, len(self._materials)),
            }
            self._meshes.append({"name": mesh.name, "primitives": [primitive]})
        return self._mesh_index[id(mesh)]

    def tables(self) -> dict[str, Any]:
        materials = [
            {
                "pbrMetallicRoughness": {
                    "baseColorFactor": list(color),
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.9,
                },
                "doubleSided": True,
            }
            for color in self._materials
        ]
        return {
            "meshes": self._meshes,
            "materials": materials,
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": len(self.binary)}],
        }

    def _add_array(self, array: npt.NDArray[Any], target: int, kind: str) -> int:
        self.binary += b"\0" * (-len(self.binary) % 4)
        self._views.append(
            {
                "buffer": 0,
                "byteOffset": len(self.binary),
                "byteLength": array.nbytes,
                "target": target,
            }
        )
        self._accessors.append(
            {
                "bufferView": len(self._views) - 1,
                "componentType": _COMPONENT_CODES[array.dtype],
                "count": len(array),
                "type": kind,
            }
        )
        self.binary += array.tobytes()
        return len(self._accessors) - 1
