"""Score whole scenes on voxel grids: as predicted, aligned with the truth, and at best."""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.database import ShapeDB
from p2o_shapedb.reports.oracle import overlap
from p2o_train.data.sample import Sample
from p2o_train.metrics.procrustes import aligned
from p2o_train.metrics.scene_voxels import (
    PlacedSolid,
    SceneGrid,
    Solid,
    confusion,
    grid_around,
    label_cells,
)
from p2o_train.metrics.solids import SolidSource
from points2objects.decode import Peaks
from points2objects.geometry import Box9DoF, ByteArray, FloatArray, IntArray


@dataclass(frozen=True)
class SceneScore:
    """How one image's prediction compares cell by cell.

    Attributes:
        absolute: Confusion of the truth with the scene as predicted, (c + 1, c + 1).
        aligned: The same after `procrustes.aligned` of every detected object.
        oracle: The same of each true object's nearest exemplar in its true box: the best that the
            database's shapes can reach.
        size: Cells per side of the grid.
        cell_volume: Volume of one cell, cubic camera heights.
        chosen_iou: Overlap of the chosen exemplars with the true models, both in canonical pose,
            of the p detected objects, (p,), 0..1.
        nearest_iou: The same of the nearest exemplars, (p,).
    """

    absolute: IntArray
    aligned: IntArray
    oracle: IntArray
    size: int
    cell_volume: float
    chosen_iou: FloatArray
    nearest_iou: FloatArray


@dataclass(frozen=True)
class VoxelMeter:
    """Labels scenes on grids.

    Attributes:
        shapedb: The database that labels and predictions refer to.
        solids: The insides of its models.
        size: Cells per side of a scene's grid: the sample's own cube, or one around its objects.
    """

    shapedb: ShapeDB
    solids: SolidSource
    size: int = 128

    def truth(self, sample: Sample) -> "SceneTruth | None":
        """Label the cells of the truth; None without a true object, when there is no grid."""
        if not len(sample):
            return None
        grid, model = self._grid(sample), sample.model_index
        own = [self.solids.of_model(int(i)) for i in model]
        labels = self.labels(grid, sample.boxes, sample.class_id, own)
        nearest = self.exemplars(self.shapedb.exemplar_id[model])
        best = self.labels(grid, sample.boxes, sample.class_id, nearest)
        return SceneTruth(self, sample, grid, labels, self.confusion(labels, best))

    def _grid(self, sample: Sample) -> SceneGrid:
        if sample.scene_cube is not None:
            return SceneGrid(sample.scene_cube, self.size)
        return grid_around(sample.boxes, self.size)

    def exemplars(self, exemplar_id: IntArray) -> list[Solid]:
        """Return the solids of exemplars, (n,)."""
        return [self.solids.of_exemplar(int(i)) for i in exemplar_id]

    def labels(
        self, grid: SceneGrid, boxes: Box9DoF, class_id: IntArray, solids: list[Solid]
    ) -> ByteArray:
        """Return the label of every cell of a scene of n objects, (size, size, size)."""
        items = zip(class_id.tolist(), solids, strict=True)
        return label_cells(
            grid,
            [PlacedSolid(label + 1, boxes[i], solid) for i, (label, solid) in enumerate(items)],
        )

    def confusion(self, truth: ByteArray, predicted: ByteArray) -> IntArray:
        """Count the pairs of labels of two scenes, (c + 1, c + 1)."""
        return confusion(truth, predicted, len(self.shapedb.classes))


@dataclass(frozen=True)
class SceneTruth:
    """The truth of one image; the same for every prediction.

    Attributes:
        meter: What made it.
        sample: The labels.
        grid: What is counted.
        labels: Of the true models' own meshes, (size, size, size).
        oracle: See `SceneScore`.
    """

    meter: VoxelMeter
    sample: Sample
    grid: SceneGrid
    labels: ByteArray
    oracle: IntArray

    def score(self, peaks: Peaks, boxes: Box9DoF, matched: IntArray) -> SceneScore:
        """Compare a prediction with the truth.

        Args:
            peaks: m predicted objects.
            boxes: Their boxes, level frame.
            matched: True object that each of them detected, (m,); -1 for none.
        """
        meter, grid, sample = self.meter, self.grid, self.sample
        solids = meter.exemplars(peaks.exemplar_id)
        hit = np.flatnonzero(matched >= 0)
        row = matched[hit]
        in_place = replaced(boxes, hit, aligned(boxes[hit], sample.boxes[row]))
        absolute, moved = (
            meter.confusion(self.labels, meter.labels(grid, placed, peaks.class_id, solids))
            for placed in (boxes, in_place)
        )
        models = [meter.solids.of_model(int(i)) for i in sample.model_index[row]]
        nearest = meter.exemplars(meter.shapedb.exemplar_id[sample.model_index[row]])
        return SceneScore(
            absolute=absolute,
            aligned=moved,
            oracle=self.oracle,
            size=grid.size,
            cell_volume=grid.cell_volume,
            chosen_iou=_overlaps(models, [solids[i] for i in hit]),
            nearest_iou=_overlaps(models, nearest),
        )


def replaced(boxes: Box9DoF, index: IntArray, by: Box9DoF) -> Box9DoF:
    """Return n boxes with those of an index, (p,), replaced by p others."""
    rotation, translation, scale = (
        np.array(values, dtype=float) for values in (boxes.rotation, boxes.translation, boxes.scale)
    )
    rotation[index], translation[index], scale[index] = by.rotation, by.translation, by.scale
    return Box9DoF(rotation, translation, scale)


def _overlaps(first: list[Solid], second: list[Solid]) -> FloatArray:
    return np.array(
        [overlap(mine.cells, theirs.cells) for mine, theirs in zip(first, second, strict=True)]
    )
