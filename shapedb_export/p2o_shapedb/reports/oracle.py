"""Measure the overlap of models with their exemplars: the best a perfect shape choice can reach."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2o_shapedb.command import atomic_path
from p2o_shapedb.database import CanonicalMesh
from p2o_shapedb.solids.sdf import inside_by_method
from points2objects.geometry import ByteArray, FloatArray

SOLID_SIZE = 128
"""Cells per side of the grid that overlaps are counted on (paper, sec. 4)."""

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)


@dataclass(frozen=True)
class SolidTask:
    """A solid to make.

    Attributes:
        mesh: File of a canonical mesh.
        sdf: File of its signed distances.
        method: How its inside is found, see `sdf.SignedDistance`.
        out: File to write.
    """

    mesh: Path
    sdf: Path
    method: str
    out: Path


def make_solid(task: SolidTask) -> None:
    """Write the cells inside a mesh, packed eight to a byte."""
    if task.method == "fill":
        # Winding numbers of that many cells take 20 s; the coarse grid holds their sign.
        inside = enlarged(np.load(task.sdf, allow_pickle=False), SOLID_SIZE) < 0
    else:
        mesh = CanonicalMesh.load(task.mesh)
        inside = inside_by_method(task.method, mesh.vertices, mesh.faces, SOLID_SIZE)
    with atomic_path(task.out, overwrite=True) as path, path.open("wb") as file:
        np.savez_compressed(file, inside=np.packbits(inside))


def read_solid(path: Path) -> ByteArray:
    """Read what `make_solid` wrote, (128^3 / 8,) uint8."""
    with np.load(path, allow_pickle=False) as data:
        packed: ByteArray = data["inside"]
        return packed


def overlap(a: ByteArray, b: ByteArray) -> float:
    """Return the intersection over union of two packed solids, 0..1; 0 if both are empty."""
    union = int(_BITS[a | b].sum())
    return int(_BITS[a & b].sum()) / union if union else 0.0


def enlarged(grid: FloatArray, size: int) -> FloatArray:
    """Read a grid of cell centres, (d, d, d), trilinearly at those of a finer one."""
    cells = grid.shape[0]
    at = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    low = np.minimum(at.astype(int), cells - 2)
    weights = np.zeros((size, cells))
    weights[np.arange(size), low] = 1 - (at - low)
    weights[np.arange(size), low + 1] = at - low
    fine = np.asarray(grid, float)
    for axis in range(3):
        fine = np.moveaxis(np.tensordot(weights, fine, axes=(1, axis)), 0, axis)
    return fine
