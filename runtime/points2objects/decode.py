"""From output maps to peaks: non-maximum suppression, then one read of every head per peak."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError
from points2objects.geometry import FloatArray, IntArray
from points2objects.heads import read_cells
from points2objects.spec import GravityEncoding, ModelSpec
from points2objects.tensors import OutputMap, OutputMaps

_HEADS = ("rotation", "translation", "scale", "exemplar", "gravity")

GRAVITY_STEP = 4
"""Where gravity is pooled, every so many cells one is asked, in rows and in columns."""


@dataclass(frozen=True, eq=False)
class Peaks:
    """n peaks of the heat-map, best first, with the raw regressions read there.

    Attributes:
        class_id: (n,).
        score: (n,), 0..1.
        row: (n,), cell.
        column: (n,), cell.
        rotation: (n, 9), raw; (n, 8) if the spec says bins.
        translation: (n, 3), raw.
        scale: (n, 3), raw.
        gravity: (n, 3), raw; if the spec says pooled, the whole picture's answer for each.
        exemplar_id: (n,), the best exemplar among the detected class's own.
    """

    class_id: IntArray
    score: FloatArray
    row: IntArray
    column: IntArray
    rotation: FloatArray
    translation: FloatArray
    scale: FloatArray
    gravity: FloatArray
    exemplar_id: IntArray

    def __len__(self) -> int:
        return len(self.class_id)

    def __getitem__(self, index: "slice | IntArray | npt.NDArray[np.bool_]") -> "Peaks":
        return Peaks(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def find_peaks(
    heatmap: OutputMap, threshold: float | Sequence[float] | FloatArray, limit: int
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Find local maxima of each class in 3x3 neighbourhoods (paper, section 3.1).

    Of equal neighbours, which int8 maps have, only the first in row-major order is a peak.

    Args:
        heatmap: Scores 0..1, (h, w, c).
        threshold: Least score, of all classes or of each, (c,).
        limit: At most so many.

    Returns:
        row (n,), column (n,), class (n,), score (n,), best first.
    """
    values: npt.NDArray[Any] = heatmap.values
    height, width, n_classes = values.shape
    flat = values.reshape(-1)
    raw_threshold = np.asarray(threshold) / heatmap.scale + heatmap.zero_point
    candidates = np.flatnonzero(values.astype(np.float32) >= raw_threshold.astype(np.float32))
    row, rest = np.divmod(candidates, width * n_classes)
    column, class_id = np.divmod(rest, n_classes)
    value = flat[candidates]
    keep = np.ones(len(candidates), dtype=bool)
    for d_row in (-1, 0, 1):
        for d_column in (-1, 0, 1):
            if d_row == d_column == 0:
                continue
            r, c = row + d_row, column + d_column
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            neighbour = values[np.clip(r, 0, height - 1), np.clip(c, 0, width - 1), class_id]
            earlier = (d_row, d_column) < (0, 0)
            beaten = neighbour >= value if earlier else neighbour > value
            keep &= ~(inside & beaten)
    row, column, class_id = row[keep], column[keep], class_id[keep]
    score = heatmap.scale * (value[keep].astype(np.float32) - heatmap.zero_point)
    order = np.argsort(-score, kind="stable")[:limit]
    return row[order], column[order], class_id[order], np.clip(score[order], 0.0, 1.0)


def decode(
    maps: OutputMaps, spec: ModelSpec, threshold: float | Sequence[float] | FloatArray | None = None
) -> Peaks:
    """Read the peaks of one image.

    Args:
        maps: Every tensor that `spec.outputs` names.
        spec: The model's contract.
        threshold: Least score, of all classes or of each, (c,); the spec's when None.

    Raises:
        InputError: A map is missing or has another shape than the spec says.
    """
    size = spec.map_size
    for name, channels in spec.outputs.items():
        if name not in maps:
            raise InputError(f"decode: output {name!r} is missing; got {sorted(maps)}")
        if maps[name].shape != (size, size, channels):
            raise InputError(
                f"output {name}: expected shape ({size} {size} {channels}), got {maps[name].shape}"
            )
    heatmap = maps["heatmap"]
    if not isinstance(heatmap, OutputMap):
        raise InputError("decode: the heat-map must be an output of the network")
    threshold = spec.least_scores if threshold is None else threshold
    row, column, class_id, score = find_peaks(heatmap, threshold, spec.max_objects)
    read = _read_heads(maps, row, column, class_id, spec.vote_radius)
    gravity = read["gravity"]
    if spec.gravity is GravityEncoding.POOLED and len(row):
        gravity = np.broadcast_to(pooled_gravity(maps, spec), (len(row), 3))
    k = spec.exemplars_per_class
    own = class_id[:, None] * k + np.arange(k)
    best = np.take_along_axis(read["exemplar"], own, axis=1).argmax(axis=1)
    return Peaks(
        class_id=class_id,
        score=score,
        row=row,
        column=column,
        rotation=read["rotation"],
        translation=read["translation"],
        scale=read["scale"],
        gravity=gravity[:, :3],
        exemplar_id=(class_id * k + best).astype(np.int64),
    )


def pooled_gravity(maps: OutputMaps, spec: ModelSpec) -> FloatArray:
    """Return the raw gravity of the whole picture, (3,): the mean of a grid, by confidence."""
    rows, columns = gravity_cells(spec.map_size)
    values = read_cells(maps, ("gravity",), rows, columns)["gravity"].astype(np.float64)
    weight = np.exp(values[:, 3] - values[:, 3].max())
    return np.asarray(weight @ values[:, :3] / weight.sum())


def gravity_cells(map_size: int) -> tuple[IntArray, IntArray]:
    """Return rows and columns, (n,) each, of the cells that gravity is pooled from."""
    line = np.arange(GRAVITY_STEP // 2, map_size, GRAVITY_STEP)
    rows, columns = np.meshgrid(line, line, indexing="ij")
    return rows.ravel(), columns.ravel()


def _read_heads(
    maps: OutputMaps, row: IntArray, column: IntArray, class_id: IntArray, radius: int
) -> dict[str, FloatArray]:
    """Average the heads around n peaks, weighted by the squares of the class's scores.

    The cells beside an object's centre learned the same pose and exemplars, with an offset of their
    own to the same pixel: their errors differ, so the mean of nine is better than one.

    Returns:
        Name -> (n, channels) for every head but the heat-map, as if read at the peaks.
    """
    size = maps["heatmap"].shape[0]
    steps = np.arange(-radius, radius + 1)
    d_row, d_column = (step.reshape(-1) for step in np.meshgrid(steps, steps, indexing="ij"))
    rows, columns = row[:, None] + d_row, column[:, None] + d_column
    inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    rows, columns = np.clip(rows, 0, size - 1), np.clip(columns, 0, size - 1)
    scores = np.take_along_axis(
        maps["heatmap"].gather(rows, columns), class_id[:, None, None], axis=2
    )[..., 0]
    weight = np.where(inside, np.square(scores), 0.0)
    # A peak of score 0 has nobody to vote.
    weight[:, len(steps) ** 2 // 2] += 1e-9
    weight /= weight.sum(axis=1, keepdims=True)
    read = read_cells(maps, _HEADS, rows, columns)
    if radius:
        read["translation"][..., 0] += d_column
        read["translation"][..., 1] += d_row
    return {name: np.einsum("nm,nmc->nc", weight, values) for name, values in read.items()}
