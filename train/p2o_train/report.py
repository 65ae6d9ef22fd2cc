"""The figures of one evaluation, as a record, JSON and a table."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from p2o_train.metrics.box_ap import PrecisionRecall
from p2o_train.voxel_report import VoxelReport, percent


@dataclass(frozen=True)
class DetectionErrors:
    """How good the detected objects are, at the operating threshold.

    Objects count as detected when a prediction of their class hits their projected centre.
    Medians and shares; NaN without a detected object.

    Attributes:
        pairs: Number of detected objects.
        rotation_deg: Median angle modulo symmetry, degrees.
        translation: Median distance of the centres, camera heights.
        translation_relative: Median of that over the distance from the camera.
        scale: Median factor by which a side is off, less one.
        center_px: Median distance of the projected centres, px.
        exemplar_accuracy: Share with the true model's own nearest exemplar, 0..1.
        exemplar_rank: Mean place of the chosen exemplar among those of its class by distance to
            the true model, from 1; see `exemplar_choice.exemplar_rank`.
        shape_iou: Mean volumetric IoU of the placed predicted exemplar with the true model's
            nearest exemplar in the true box, 0..1.
    """

    pairs: int
    rotation_deg: float
    translation: float
    translation_relative: float
    scale: float
    center_px: float
    exemplar_accuracy: float
    exemplar_rank: float
    shape_iou: float


@dataclass(frozen=True)
class EvaluationReport:
    """Figures of one evaluation.

    Attributes:
        classes: Class names, c.
        images: Number of images.
        objects: True objects of each class, (c,).
        known_gravity: Whether the true pitch and roll were given, or the network's estimate used.
        ap25: Average precision of each class at a 3D IoU of 0.25, (c,), 0..1; NaN without
            objects.
        ap50: The same at 0.5.
        score_threshold: Operating threshold of all that follows, unless a class has its own.
        at25: Precision and recall there at an IoU of 0.25.
        at50: The same at 0.5.
        errors: How good the detected objects are.
        collisions: Pairs of predicted solids that overlap, over all images.
        real_collisions: Those of them between two objects that both are there.
        collision_volume: Their mean shared volume, cubic camera heights; 0 without collisions.
        gravity_deg: Median angle between the estimated and the true up direction, degrees.
        voxels: Figures on voxel grids; None if they were not asked for, or no image has an object.
    """

    classes: tuple[str, ...]
    images: int
    objects: tuple[int, ...]
    known_gravity: bool
    ap25: tuple[float, ...]
    ap50: tuple[float, ...]
    score_threshold: float
    at25: PrecisionRecall
    at50: PrecisionRecall
    errors: DetectionErrors
    collisions: int
    real_collisions: int
    collision_volume: float
    gravity_deg: float
    voxels: VoxelReport | None = None

    @property
    def map25(self) -> float:
        """Mean over the classes with objects of `ap25`; NaN without any."""
        return _mean(self.ap25)

    @property
    def map50(self) -> float:
        """The same of `ap50`."""
        return _mean(self.ap50)

    def to_dict(self) -> dict[str, object]:
        """Return what `to_json` writes: all figures and both means; NaN becomes None."""
        values = {"map25": self.map25, "map50": self.map50, **asdict(self)}
        return {name: _plain(value) for name, value in values.items()}

    def to_json(self) -> str:
        """Serialise for a file beside the result."""
        return json.dumps(self.to_dict(), indent=2)

    def to_markdown(self) -> str:
        """Return a table of the classes and a list of the other figures."""
        rows = ["| class | objects | AP@0.25 | AP@0.5 |", "|---|---:|---:|---:|"]
        for name, count, ap25, ap50 in zip(
            self.classes, self.objects, self.ap25, self.ap50, strict=True
        ):
            rows.append(f"| {name} | {count} | {percent(ap25)} | {percent(ap50)} |")
        means = f"{percent(self.map25)} | {percent(self.map50)}"
        rows.append(f"| **mean** | {sum(self.objects)} | {means} |")
        table = [self.voxels.to_markdown(self.classes), ""] if self.voxels else []
        return "\n".join([*rows, "", *table, *self._lines()])

    def _lines(self) -> list[str]:
        errors, at25, at50 = self.errors, self.at25, self.at50
        return [
            f"- {self.images} images, {'known' if self.known_gravity else 'estimated'} gravity "
            f"(the estimate is off by {self.gravity_deg:.1f} deg)",
            f"- at the operating threshold: precision {percent(at25.precision)} and recall "
            f"{percent(at25.recall)} at IoU 0.25; {percent(at50.precision)} and "
            f"{percent(at50.recall)} at IoU 0.5",
            f"- {errors.pairs} objects found by their centre, median errors: "
            f"{errors.center_px:.1f} px, rotation {errors.rotation_deg:.1f} deg, position "
            f"{errors.translation:.3f} camera heights ({percent(errors.translation_relative)} of "
            f"the distance), sides {percent(errors.scale)}",
            f"- nearest exemplar chosen {percent(errors.exemplar_accuracy)}, mean rank "
            f"{errors.exemplar_rank:.1f}{self._exemplar_iou()}; shape IoU of placed exemplars "
            f"{percent(errors.shape_iou)}",
            f"- {self.collisions} collisions ({self.real_collisions} between objects that both are "
            f"there) of {self.collision_volume:.2g} cubic camera heights"
            f"{self._collision_cells()} each",
        ]

    def _exemplar_iou(self) -> str:
        if self.voxels is None:
            return ""
        chosen, nearest = percent(self.voxels.chosen_iou), percent(self.voxels.nearest_iou)
        return f", IoU with the true model in canonical pose {chosen} (nearest: {nearest})"

    def _collision_cells(self) -> str:
        return "" if self.voxels is None else f" ({self.voxels.collision_cells:.0f} cells)"


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _plain(value: Any) -> Any:
    """Replace NaN, which JSON lacks, by None at any depth."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
