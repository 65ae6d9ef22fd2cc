"""The figures of one evaluation, as a record, JSON and a table."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from p2o_train.metrics.box_ap import PrecisionRecall


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
        score_threshold: Operating threshold of all that follows.
        at25: Precision and recall there at an IoU of 0.25.
        at50: The same at 0.5.
        errors: How good the detected objects are.
        collisions: Pairs of predicted solids that overlap, over all images.
        collision_volume: Their mean shared volume, cubic camera heights; 0 without collisions.
        gravity_deg: Median angle between the estimated and the true up direction, degrees.
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
    collision_volume: float
    gravity_deg: float

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
            rows.append(f"| {name} | {count} | {_percent(ap25)} | {_percent(ap50)} |")
        means = f"{_percent(self.map25)} | {_percent(self.map50)}"
        rows.append(f"| **mean** | {sum(self.objects)} | {means} |")
        return "\n".join([*rows, "", *self._lines()])

    def _lines(self) -> list[str]:
        errors, at25, at50 = self.errors, self.at25, self.at50
        return [
            f"- {self.images} images, {'known' if self.known_gravity else 'estimated'} gravity "
            f"(the estimate is off by {self.gravity_deg:.1f} deg)",
            f"- at score {self.score_threshold:g}: precision {_percent(at25.precision)} and recall "
            f"{_percent(at25.recall)} at IoU 0.25; {_percent(at50.precision)} and "
            f"{_percent(at50.recall)} at IoU 0.5",
            f"- {errors.pairs} objects found by their centre, median errors: "
            f"{errors.center_px:.1f} px, rotation {errors.rotation_deg:.1f} deg, position "
            f"{errors.translation:.3f} camera heights ({_percent(errors.translation_relative)} of "
            f"the distance), sides {_percent(errors.scale)}",
            f"- nearest exemplar chosen {_percent(errors.exemplar_accuracy)}, shape IoU "
            f"{_percent(errors.shape_iou)}; {self.collisions} collisions of "
            f"{self.collision_volume:.2g} cubic camera heights each",
        ]


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f} %"


def _plain(value: Any) -> Any:
    """Replace NaN, which JSON lacks, by None at any depth."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
