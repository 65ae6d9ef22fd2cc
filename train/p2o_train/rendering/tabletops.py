"""Things on a table: where its top is flat enough to stand on."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from p2o_train.data.sample import BoolArray
from p2o_train.rendering.layout import Standing, footprints_overlap, set_on
from p2o_train.rendering.meshes import RenderMesh

GRID = 48
_TOP = 0.475
"""Height in the canonical cube above which a surface counts as the table's top."""
_ATTEMPTS = 24


def flat_top(mesh: RenderMesh) -> BoolArray:
    """Return where a table's top lies, (48, 48), over x and z of the canonical cube."""
    import cv2

    corners = mesh.positions[mesh.outline]
    high = corners[corners[..., 1].min(1) > _TOP]
    filled = np.zeros((GRID, GRID), np.uint8)
    for triangle in np.round((high[..., [2, 0]] + 0.5) * GRID - 0.5).astype(np.int32):
        cv2.fillConvexPoly(filled, triangle, 1)
    return filled > 0


def stand_on(
    rng: np.random.Generator, table: Standing, mesh: RenderMesh, thing: Standing,
    others: Sequence[Standing], aligned: float = 0.0,
) -> Standing | None:  # fmt: skip
    """Find a place on a table's top for a thing, clear of others that stand there.

    Args:
        rng: Source of randomness.
        table: The table.
        mesh: Its mesh.
        thing: What to place; its pose is ignored.
        others: What stands there already.
        aligned: Chance that it lines up with the table.

    Returns:
        The thing in its place, or None when no place was found.
    """
    top = flat_top(mesh)
    width, height, depth = table.extent
    for _ in range(_ATTEMPTS):
        x, z = rng.uniform(-0.45, 0.45, 2) * [width, depth]
        yaw = float(rng.uniform(-np.pi, np.pi))
        if rng.random() < aligned:
            yaw = float(rng.integers(4) * np.pi / 2 + rng.normal(0, 0.08))
        proposal = set_on(table, replace(thing, yaw=yaw), np.array([x, height, z]))
        clear = not any(footprints_overlap(proposal, other, 0.01) for other in others)
        if clear and _supported(top, table, proposal):
            return proposal
    return None


def _supported(top: BoolArray, table: Standing, thing: Standing) -> bool:
    """Tell whether the top carries a thing's whole footprint."""
    share = np.linspace(0, 1, 5)
    a, b, _, d = thing.corners()
    points = a + share[:, None, None] * (b - a) + share[None, :, None] * (d - a)
    x, z = (points - [table.x, table.z]).reshape(-1, 2).T
    cos, sin = math.cos(table.yaw), math.sin(table.yaw)
    local = np.stack([cos * x - sin * z, sin * x + cos * z], -1) / table.extent[[0, 2]]
    cell = np.floor((local + 0.5) * GRID).astype(int)
    inside = ((cell >= 0) & (cell < GRID)).all()
    return bool(inside and top[cell[:, 0], cell[:, 1]].all())
