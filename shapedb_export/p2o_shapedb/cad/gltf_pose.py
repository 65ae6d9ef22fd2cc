"""Pose a glTF mesh as its file shows it: morph targets, skins, and instances."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from p2o_shapedb.cad.gltf_document import GltfDocument, Record, item, items, read_accessor
from p2o_shapedb.cad.gltf_nodes import PlacedNode, SceneNodes, extension, trs_matrices
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, IntArray

_MOST_JOINTS = 65_536
_VERTICES_AT_ONCE = 1 << 16


def instances(document: GltfDocument, placed: PlacedNode) -> FloatArray:
    """Return where a node shows its mesh, (n, 4, 4): once, or by EXT_mesh_gpu_instancing.

    Raises:
        InputError: More instances than the limits allow, or their numbers do not fit.
    """
    attributes = extension(placed.node, "EXT_mesh_gpu_instancing").get("attributes")
    if not isinstance(attributes, dict):
        return placed.file_from_node[None]
    found: dict[str, FloatArray] = {}
    for name, width in (("TRANSLATION", 3), ("ROTATION", 4), ("SCALE", 3)):
        if name in attributes:
            values = read_accessor(document, attributes[name], document.limits.parts)
            if values.shape[1] != width:
                raise InputError(f"has instances whose {name} is not {width} numbers each")
            found[name] = values.astype(float)
    sizes = {len(values) for values in found.values()}
    if len(sizes) != 1:
        raise InputError("has instances of which not all are placed")
    count = sizes.pop()
    matrices = trs_matrices(
        found.get("TRANSLATION", np.zeros((count, 3))),
        found.get("ROTATION", np.tile([0.0, 0.0, 0.0, 1.0], (count, 1))),
        found.get("SCALE", np.ones((count, 3))),
    )
    with np.errstate(all="ignore"):  # overflow shows up as vertices that are not finite
        return _chained(placed.file_from_node, matrices)


def morph_weights(node: Record, mesh: Record) -> list[float]:
    """Return the default weights of a mesh's morph targets: of the node, else of the mesh.

    Raises:
        InputError: They are no numbers.
    """
    weights = items(node, "weights") if "weights" in node else items(mesh, "weights")
    if not all(isinstance(w, int | float) and not isinstance(w, bool) for w in weights):
        raise InputError("has morph weights that are no numbers")
    try:
        return [float(w) for w in weights]
    except OverflowError:
        raise InputError("has a morph weight that is too large") from None


@dataclass(frozen=True)
class Target:
    """A morph target that shows.

    Attributes:
        accessor: Index of its displacements.
        weight: Their factor.
    """

    accessor: Any
    weight: float


def targets(primitive: Record, weights: Sequence[float]) -> list[Target]:
    """List the morph targets of a primitive that move its vertices."""
    count = min(len(weights), len(items(primitive, "targets")))
    found = ((item(primitive, "targets", i), weights[i]) for i in range(count) if weights[i])
    return [Target(target["POSITION"], w) for target, w in found if "POSITION" in target]


@dataclass(frozen=True)
class Skin:
    """The joints of a skin in the pose of the file.

    Attributes:
        file_from_mesh: Of each joint, (j, 4, 4).
    """

    file_from_mesh: FloatArray

    def moved(
        self, position: FloatArray, joints: IntArray, weights: FloatArray
    ) -> "SkinnedVertices":
        """Return vertices moved by their joints.

        Args:
            position: (v, 3).
            joints: (v, n).
            weights: (v, n).

        Raises:
            InputError: A vertex hangs on a joint that is not there.
        """
        if joints.size and int(joints.max()) >= len(self.file_from_mesh):
            raise InputError(
                f"has vertices of joints that are not among {len(self.file_from_mesh)}"
            )
        weights = np.nan_to_num(weights, posinf=0.0, neginf=0.0)
        total = weights.sum(axis=1, keepdims=True)
        # Vertices without weight hang on their first joint, as in three.js.
        first = np.eye(1, weights.shape[1])
        weights = np.where(total > 0, weights / np.where(total > 0, total, 1.0), first)
        moved = np.zeros_like(position)
        mirrored = 0
        with np.errstate(all="ignore"):  # overflow shows up as vertices that are not finite
            for start in range(0, len(position), _VERTICES_AT_ONCE):
                some = slice(start, start + _VERTICES_AT_ONCE)
                # Not `einsum`, whose order of adding differs between processors.
                matrices = reduce(
                    np.add,
                    (
                        weights[some, n, None, None] * self.file_from_mesh[joints[some, n], :3]
                        for n in range(joints.shape[1])
                    ),
                )
                columns = (matrices[..., i] * position[some, i, None] for i in range(3))
                moved[some] = reduce(np.add, columns) + matrices[..., 3]
                mirrored += int((np.linalg.det(matrices[..., :3]) < 0).sum())
        return SkinnedVertices(moved, 2 * mirrored > len(position))


@dataclass(frozen=True)
class SkinnedVertices:
    """Vertices that a skin has moved.

    Attributes:
        positions: (v, 3), in the frame of the file.
        mirrored: Whether most were turned inside out.
    """

    positions: FloatArray
    mirrored: bool


def read_skin(document: GltfDocument, index: Any, scene: SceneNodes) -> Skin:
    """Read the joints of a skin, each where the file's nodes place it.

    The transform of the mesh's own node does not count, as glTF says: only that of the joints.

    Raises:
        InputError: The skin is broken.
    """
    skin = item(document.json, "skins", index)
    joints = items(skin, "joints")
    if not 0 < len(joints) <= _MOST_JOINTS:
        raise InputError(f"has a skin of {len(joints)} joints; 1 to {_MOST_JOINTS} are read")
    for joint in joints:
        item(document.json, "nodes", joint)
        if joint not in scene.placed:
            raise InputError("has a skin whose joints form a circle")
    placed = np.stack([scene.placed[joint] for joint in joints])
    if "inverseBindMatrices" not in skin:
        return Skin(placed)
    values = read_accessor(document, skin["inverseBindMatrices"], 2 * _MOST_JOINTS)
    if values.shape[1] != 16 or len(values) < len(joints):
        raise InputError("has a skin whose matrices do not fit its joints")
    joint_from_mesh = values[: len(joints)].astype(float).reshape(-1, 4, 4).transpose(0, 2, 1)
    with np.errstate(all="ignore"):  # overflow shows up as vertices that are not finite
        return Skin(_chained(placed, joint_from_mesh))


def _chained(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return `first @ second` of matrices, (..., 4, 4), added in one order on every processor."""
    terms = (first[..., :, i, None] * second[..., None, i, :] for i in range(4))
    return np.asarray(reduce(np.add, terms))
