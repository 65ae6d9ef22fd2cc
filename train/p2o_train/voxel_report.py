"""The voxel figures of one evaluation: the paper's table 1, and what its grid says of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from p2o_train.metrics.scene_voxels import VoxelIou, voxel_iou
from p2o_train.scene_score import SceneScore
from points2objects.geometry import FloatArray


@dataclass(frozen=True)
class RelativeIou:
    """Voxel IoU over that of the oracle; NaN where the oracle has none.

    Attributes:
        mean: Of the means over the classes.
        overall: Of all classes as one.
    """

    mean: float
    overall: float


@dataclass(frozen=True)
class VoxelReport:
    """Figures on voxel grids, at the operating threshold.

    Attributes:
        size: Cells per side of a scene.
        images: Images with a true object; the others have no grid.
        absolute: Of the scenes as predicted.
        aligned: With every detected object moved onto its true one by `procrustes.aligned`.
        oracle: With each true object's nearest exemplar in its true box.
        relative: `absolute` over `oracle`.
        aligned_relative: `aligned` over `oracle`.
        collision_cells: Mean shared volume of the pairs that collide, in cells of their scene; 0
            without collisions.
        chosen_iou: Mean overlap of the chosen exemplar with the true model, both in canonical
            pose, over the detected objects, 0..1; NaN without any.
        nearest_iou: The same of the nearest exemplar.
    """

    size: int
    images: int
    absolute: VoxelIou
    aligned: VoxelIou
    oracle: VoxelIou
    relative: RelativeIou
    aligned_relative: RelativeIou
    collision_cells: float
    chosen_iou: float
    nearest_iou: float

    def to_markdown(self, classes: Sequence[str]) -> str:
        """Return the paper's table 1 for this model."""
        rows = [
            f"| voxel IoU, {self.size}^3 | {' | '.join(classes)} | mean | global | "
            "relative mean | relative global |",
            "|---" + "|---:" * (len(classes) + 4) + "|",
            _row("as predicted", self.absolute, self.relative),
            _row("detected objects aligned", self.aligned, self.aligned_relative),
            _row("oracle", self.oracle, RelativeIou(1.0, 1.0)),
        ]
        return "\n".join(rows)


def summarise_scenes(
    scenes: Sequence[SceneScore], collision_volumes: Sequence[FloatArray]
) -> VoxelReport:
    """Add up the scenes of a split.

    Args:
        scenes: One or more.
        collision_volumes: Shared volumes of the colliding pairs of each, cubic camera heights.
    """
    absolute, aligned, oracle = (
        voxel_iou(np.sum([getattr(scene, name) for scene in scenes], axis=0))
        for name in ("absolute", "aligned", "oracle")
    )
    cells = np.concatenate(
        [
            volume / scene.cell_volume
            for scene, volume in zip(scenes, collision_volumes, strict=True)
        ]
    )
    return VoxelReport(
        size=scenes[0].size,
        images=len(scenes),
        absolute=absolute,
        aligned=aligned,
        oracle=oracle,
        relative=_relative(absolute, oracle),
        aligned_relative=_relative(aligned, oracle),
        collision_cells=float(cells.mean()) if len(cells) else 0.0,
        chosen_iou=_mean([scene.chosen_iou for scene in scenes]),
        nearest_iou=_mean([scene.nearest_iou for scene in scenes]),
    )


def percent(value: float) -> str:
    """Write a share, 0..1, for people; a dash for NaN."""
    return "-" if np.isnan(value) else f"{100 * value:.1f} %"


def _relative(reached: VoxelIou, best: VoxelIou) -> RelativeIou:
    def share(value: float, limit: float) -> float:
        return value / limit if limit > 0 else float("nan")

    return RelativeIou(share(reached.mean, best.mean), share(reached.overall, best.overall))


def _mean(values: Sequence[FloatArray]) -> float:
    joined = np.concatenate(values)
    return float(joined.mean()) if len(joined) else float("nan")


def _row(name: str, iou: VoxelIou, relative: RelativeIou) -> str:
    values = (*iou.by_class, iou.mean, iou.overall, relative.mean, relative.overall)
    return f"| {name} | {' | '.join(percent(value) for value in values)} |"
