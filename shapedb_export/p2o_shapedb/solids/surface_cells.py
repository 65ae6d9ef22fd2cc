"""Find the cells of a grid that a surface touches."""

import numpy as np

from p2o_shapedb.solids.solid_columns import BoolArray, runs
from points2objects.geometry import FloatArray, IntArray

_STEP = 0.45
"""Largest distance of neighbouring samples, in cells."""


def touched_cells(vertices: FloatArray, faces: IntArray, size: int) -> BoolArray:
    """Mark the cells that any triangle touches, by sampling it at under half a cell's spacing.

    Args:
        vertices: (v, 3), within [-0.5, 0.5].
        faces: (f, 3).
        size: Cells per side.
    """
    corners = (np.asarray(vertices, float)[faces] + 0.5) * size
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    # The longest side becomes the one from a to b; long thin triangles then take few rows.
    turn = (sides.argmax(axis=1)[:, None] + [2, 0, 1]) % 3
    a, b, c = np.take_along_axis(corners, turn[:, :, None], axis=1).transpose(1, 0, 2)
    base = sides.max(axis=1)
    height = np.linalg.norm(np.cross(b - a, c - a), axis=1) / np.maximum(base, 1e-12)
    columns = np.ceil(base / _STEP).astype(np.int64) + 1
    count = columns * (np.ceil(height / _STEP).astype(np.int64) + 1)
    touched = np.zeros((size, size, size), bool)
    for some in runs(count):
        number = np.repeat(some, count[some])
        within = np.arange(len(number)) - np.repeat(
            np.cumsum(count[some]) - count[some], count[some]
        )
        row, column = np.divmod(within, columns[number])
        up = row / np.maximum(count // columns - 1, 1)[number]
        along = (1 - up) * column / np.maximum(columns - 1, 1)[number]
        cells = [
            a[number, i] + along * (b - a)[number, i] + up * (c - a)[number, i] for i in range(3)
        ]
        x, y, z = (np.clip(cell.astype(np.int64), 0, size - 1) for cell in cells)
        touched[x, y, z] = True
    return touched
