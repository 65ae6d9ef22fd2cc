"""Voxel IoU of whole scenes (paper, table 1), counted as CoReNet counts.

A cube of the scene is cut into equal cells. A cell carries the largest label of the solids whose
surface touches it or that hold its centre, 0 for none; the label of a class is its id plus one.
So a wall thinner than a cell is there. (Touches: holds the centre of a rim cell of the solid's own
grid. A surface that reaches less than half of such a cell into another is not seen to touch it.)
One confusion matrix takes the cells of all scenes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError, check_shape
from points2objects.geometry import Box9DoF, ByteArray, FloatArray, IntArray, transform_points

MARGIN = 0.1
"""Room around the true objects, on each side, as a share of their longest extent."""

_CHUNK = 1 << 16
"""Cells at once: what they need stays in the processor's cache."""


@dataclass(frozen=True)
class SceneGrid:
    """A cube that is cut into cells.

    Attributes:
        cube: One box with equal sides; cells are counted along its own x, y and z.
        size: Cells per side.
    """

    cube: Box9DoF
    size: int

    def __post_init__(self) -> None:
        check_shape("cube", self.cube.scale, "3")
        if not np.allclose(self.cube.scale, self.cube.scale[0]):
            raise InputError(f"grid: expected a cube, got sides {self.cube.scale.tolist()}")
        if self.size < 1:
            raise InputError(f"grid: expected at least 1 cell per side, got {self.size}")

    @property
    def cell_volume(self) -> float:
        """Volume of one cell, cubic units of the cube's frame."""
        return float((self.cube.scale[0] / self.size) ** 3)

    def frame_from_cell(self) -> FloatArray:
        """Return the transform, (4, 4), that takes cell indices to the cells' centres."""
        return np.asarray(self.cube.matrix() @ _cube_from_cell(self.size))


@dataclass(frozen=True, eq=False)
class Solid:
    """What a shape fills of its canonical cube, on a grid of its own.

    Attributes:
        cells: Filled cells, (d^3 / 8,) uint8: the packed bits of (d, d, d), along x, y and z.
        rim: Those beside an empty cell or the cube's side, (3, p), 0..d-1.
        size: d, a multiple of 2.
    """

    cells: ByteArray
    rim: ByteArray
    size: int

    @classmethod
    def of(cls, filled: npt.NDArray[np.bool_]) -> "Solid":
        """Take the filled cells, (d, d, d), d even and up to 256."""
        size = check_shape("filled", filled, "d d d")["d"]
        if size % 2 or size > 256:
            raise InputError(f"filled: expected an even side of up to 256 cells, got {size}")
        walled = np.pad(filled, 1)
        inner = filled.copy()
        for axis in range(3):
            for step in (-1, 1):
                inner &= np.roll(walled, step, axis)[1:-1, 1:-1, 1:-1]
        rim = np.stack(np.nonzero(filled & ~inner)).astype(np.uint8)
        return cls(np.packbits(filled), rim, size)

    def walled(self) -> npt.NDArray[np.bool_]:
        """Return the cells with a wall of empty ones about them, ((d + 2)^3,)."""
        walled = np.zeros((self.size + 2,) * 3, bool)
        walled[1:-1, 1:-1, 1:-1] = np.unpackbits(self.cells).reshape((self.size,) * 3)
        return walled.ravel()


@dataclass(frozen=True)
class PlacedSolid:
    """One object of a scene.

    Attributes:
        label: Class id plus one.
        box: One box, in the frame of the grid's cube.
        solid: What its shape fills.
    """

    label: int
    box: Box9DoF
    solid: Solid


@dataclass(frozen=True)
class VoxelIou:
    """What a confusion matrix comes to.

    Attributes:
        by_class: IoU of each class, (c,), 0..1; NaN for a class without a true cell.
        mean: Mean over the classes that have one; NaN without any.
        overall: All classes as one against the void, 0..1: the paper's "global".
    """

    by_class: tuple[float, ...]
    mean: float
    overall: float


def grid_around(boxes: Box9DoF, size: int) -> SceneGrid:
    """Return the grid of a rendered scene: level axes, about the true boxes, `MARGIN` wider.

    It depends on the truth alone, so every model is counted on the same cells. As in CoReNet's
    unit cube, what a prediction puts outside costs it the cells that it misses, and no more.

    Args:
        boxes: n true boxes, level frame, n > 0.
        size: Cells per side.
    """
    corners = boxes.corners().reshape(-1, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    side = float((high - low).max()) * (1 + 2 * MARGIN)
    return SceneGrid(Box9DoF(np.eye(3), (low + high) / 2, np.full(3, side)), size)


def label_cells(grid: SceneGrid, objects: Iterable[PlacedSolid]) -> ByteArray:
    """Return the label of every cell, (size, size, size), along the cube's x, y and z."""
    # What falls outside lands in a wall about the grid.
    walled = np.zeros((grid.size + 2,) * 3, np.uint8)
    for item in sorted(objects, key=lambda item: item.label):
        _fill(walled[1:-1, 1:-1, 1:-1], grid, item)
        _touch(walled, grid, item)
    return np.ascontiguousarray(walled[1:-1, 1:-1, 1:-1])


def confusion(truth: ByteArray, predicted: ByteArray, n_classes: int) -> IntArray:
    """Count the cells of each true and predicted label, (c + 1, c + 1), true ones in rows."""
    n = n_classes + 1
    # Scenes are mostly void and rather flat, so the layers above all objects are left out.
    used = np.flatnonzero((truth | predicted).max(axis=(0, 2), initial=0))
    layers = slice(used[0], used[-1] + 1) if len(used) else slice(0, 0)
    mine, theirs = truth[:, layers].ravel(), predicted[:, layers].ravel()
    counts = np.bincount(mine.astype(np.uint16) * np.uint16(n) + theirs, minlength=n * n)
    counts[0] += truth.size - mine.size
    return counts.reshape(n, n)


def voxel_iou(counts: IntArray) -> VoxelIou:
    """Return the IoUs of a confusion matrix, (c + 1, c + 1), label 0 the void."""
    hit = np.diag(counts)[1:].astype(float)
    true, predicted = counts.sum(axis=1)[1:], counts.sum(axis=0)[1:]
    union = true + predicted - hit
    by_class = np.where(true > 0, hit / np.maximum(union, 1), np.nan)
    occupied = int(counts.sum() - counts[0, 0])
    seen = by_class[true > 0]
    return VoxelIou(
        by_class=tuple(by_class.tolist()),
        mean=float(seen.mean()) if len(seen) else float("nan"),
        overall=float(counts[1:, 1:].sum() / occupied) if occupied else float("nan"),
    )


def _fill(labels: ByteArray, grid: SceneGrid, item: PlacedSolid) -> None:
    """Label the cells whose centres lie in one solid; only those about its box are looked at."""
    filled, side = item.solid.walled(), item.solid.size
    # Whole parts of this map are indices among the solid's cells, the wall included.
    own_from_cell = np.linalg.inv(_cell_from_own(grid, item))
    own_from_cell[:3, 3] += 1.5
    low, high = _reach(grid, item.box)
    if not (high > low).all():
        return
    x, y, z = (np.arange(low[i], high[i]) for i in range(3))
    by_x = (own_from_cell[:3, 0, None] * x).astype(np.float32)
    by_y = own_from_cell[:3, 1, None] * y
    by_z = own_from_cell[:3, 2, None] * z + own_from_cell[:3, 3, None]
    by_yz = (by_y[:, :, None] + by_z[:, None]).astype(np.float32)
    step = max(1, _CHUNK // (len(y) * len(z)))
    for start in range(0, len(x), step):
        index = np.zeros((1, 1, 1), np.int32)
        for axis in range(3):
            own = by_x[axis, start : start + step, None, None] + by_yz[axis]
            index = index * np.int32(side + 2) + np.clip(own, 0, side + 1).astype(np.int32)
        block = labels[low[0] + start :, low[1] : high[1], low[2] : high[2]][: index.shape[0]]
        np.copyto(block, np.uint8(item.label), where=filled[index])


def _touch(walled: ByteArray, grid: SceneGrid, item: PlacedSolid) -> None:
    """Label the cells that hold a rim cell's centre of one solid; the labels have their wall."""
    cell_from_own = _cell_from_own(grid, item).astype(np.float32)
    cells = cell_from_own[:3, :3] @ item.solid.rim.astype(np.float32)
    # Whole parts count from the wall.
    cells += cell_from_own[:3, 3:] + np.float32(1.5)
    x, y, z = np.clip(cells, 0, grid.size + 1).astype(np.int32)
    side = np.int32(grid.size + 2)
    walled.reshape(-1)[(x * side + y) * side + z] = item.label


def _cell_from_own(grid: SceneGrid, item: PlacedSolid) -> FloatArray:
    """Return the transform, (4, 4), from indices of a solid's cells to those of the grid's."""
    frame_from_own = item.box.matrix() @ _cube_from_cell(item.solid.size)
    return np.asarray(np.linalg.inv(grid.frame_from_cell()) @ frame_from_own)


def _cube_from_cell(size: int) -> FloatArray:
    """Return the transform, (4, 4), from cell indices to cell centres in the unit cube."""
    matrix = np.diag([1 / size, 1 / size, 1 / size, 1.0])
    matrix[:3, 3] = 0.5 / size - 0.5
    return matrix


def _reach(grid: SceneGrid, box: Box9DoF) -> tuple[IntArray, IntArray]:
    """Return the first cell, (3,), whose centre a box may hold, and the one past the last."""
    corners = transform_points(np.linalg.inv(grid.frame_from_cell()), box.corners())
    low = np.clip(np.ceil(corners.min(axis=0)), 0, grid.size).astype(int)
    return low, np.clip(np.floor(corners.max(axis=0)) + 1, low, grid.size).astype(int)
