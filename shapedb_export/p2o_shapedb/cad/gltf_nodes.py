"""Walk the nodes of a glTF scene: what is shown, where, and how often."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from p2o_shapedb.cad.gltf_document import Record, item, items, numbers
from p2o_shapedb.fixed_order import transformed
from points2objects.errors import InputError
from points2objects.geometry import FloatArray

_NODES_PER_PART = 5


@dataclass(frozen=True)
class PlacedNode:
    """A node that shows a mesh.

    Attributes:
        node: The node.
        file_from_node: (4, 4).
        mended: Whether a transform above it was not finite and is left out.
    """

    node: Record
    file_from_node: FloatArray
    mended: bool


@dataclass(frozen=True)
class SceneNodes:
    """The nodes of a scene.

    Attributes:
        shown: Those that show a mesh.
        hidden: Number of meshes that KHR_node_visibility hides.
        placed: `file_from_node` of every node of the scene, and of all others where the file has
            skins, whose joints need not be in the scene.
    """

    shown: tuple[PlacedNode, ...]
    hidden: int
    placed: Mapping[int, FloatArray]


def walk_scene(document: Record, parts: int) -> SceneNodes:
    """Walk the scene from its roots; without scenes, from every node that is no one's child.

    Args:
        document: The glTF document.
        parts: How many parts may be read of it.

    Raises:
        InputError: A node is reached twice, be it by two parents or in a circle; or too many.
    """
    count = len(items(document, "nodes"))
    if count > _NODES_PER_PART * parts:
        raise InputError(f"has {count} nodes; at most {_NODES_PER_PART * parts} are read")
    identity: FloatArray = np.eye(4)
    waiting = [(root, identity, False, False) for root in reversed(_roots(document))]
    placed: dict[int, FloatArray] = {}
    shown: list[PlacedNode] = []
    hidden = 0
    while waiting:
        index, file_from_parent, mended, unseen = waiting.pop()
        node = item(document, "nodes", index)
        if index in placed:
            raise InputError(f"node {index} is reached twice; the nodes should form a tree")
        with np.errstate(all="ignore"):
            file_from_node = transformed(file_from_parent, node_matrix(node).T)
        if not np.isfinite(file_from_node).all():
            file_from_node, mended = file_from_parent, True
        placed[index] = file_from_node
        unseen = unseen or extension(node, "KHR_node_visibility").get("visible") is False
        children = items(node, "children")
        if len(children) > count:
            raise InputError(f"node {index} has {len(children)} children, but there are {count}")
        waiting += [(child, file_from_node, mended, unseen) for child in reversed(children)]
        if "mesh" in node and not unseen:
            shown.append(PlacedNode(node, file_from_node, mended))
        hidden += "mesh" in node and unseen
    if items(document, "skins"):
        placed |= _placed_elsewhere(document, placed)
    return SceneNodes(tuple(shown), hidden, placed)


def _placed_elsewhere(document: Record, placed: Mapping[int, FloatArray]) -> dict[int, FloatArray]:
    """Return `file_from_node` of the nodes outside of the scene; none of those in circles."""
    nodes = [item(document, "nodes", i) for i in range(len(items(document, "nodes")))]
    parents = {
        child: parent
        for parent, node in enumerate(nodes)
        for child in items(node, "children")
        if isinstance(child, int)
    }
    found: dict[int, FloatArray] = {}
    for index in range(len(nodes)):
        chain: dict[int, None] = {}
        node: int | None = index
        while node is not None and node not in placed and node not in found and node not in chain:
            chain[node] = None
            node = parents.get(node)
        if node is None or node not in chain:
            matrix = np.eye(4) if node is None else found[node] if node in found else placed[node]
            for below in reversed(chain):
                with np.errstate(all="ignore"):
                    matrix = transformed(matrix, node_matrix(nodes[below]).T)
                found[below] = matrix
    return found


def extension(record: Record, name: str) -> Record:
    """Return what an extension says of a record, empty if nothing."""
    extensions = record.get("extensions")
    found = extensions.get(name) if isinstance(extensions, dict) else None
    return found if isinstance(found, dict) else {}


def _roots(document: Record) -> list[Any]:
    if items(document, "scenes"):
        return items(item(document, "scenes", document.get("scene", 0)), "nodes")
    count = len(items(document, "nodes"))
    children = {
        str(child) for i in range(count) for child in items(item(document, "nodes", i), "children")
    }
    roots = [i for i in range(count) if str(i) not in children]
    if count and not roots:
        raise InputError("its nodes form a circle; they should form a tree")
    return roots


def node_matrix(node: Record) -> FloatArray:
    """Return a node's own transform, (4, 4)."""
    if "matrix" in node:
        return numbers(node, "matrix", (0.0,) * 16).reshape(4, 4).T
    (matrix,) = trs_matrices(
        numbers(node, "translation", (0.0, 0.0, 0.0))[None],
        numbers(node, "rotation", (0.0, 0.0, 0.0, 1.0))[None],
        numbers(node, "scale", (1.0, 1.0, 1.0))[None],
    )
    return np.asarray(matrix)


def trs_matrices(translation: FloatArray, rotation: FloatArray, scale: FloatArray) -> FloatArray:
    """Return transforms, (n, 4, 4), of shifts (n, 3), quaternions x y z w (n, 4), scales (n, 3)."""
    with np.errstate(all="ignore"):  # overflow shows up as a transform that is not finite
        largest = np.abs(rotation).max(axis=1, keepdims=True)  # squares of large ones overflow
        unit = np.where(largest > 0, rotation / largest, [0.0, 0.0, 0.0, 1.0])
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        x, y, z, w = unit.T
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        matrices = np.tile(np.eye(4), (len(x), 1, 1))
        matrices[:, :3, :3] = np.array(rows).transpose(2, 0, 1) * scale[:, None, :]
        matrices[:, :3, 3] = translation
    return matrices
