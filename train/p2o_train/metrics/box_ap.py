"""3D average precision, precision and recall of boxes (paper, table 2).

As in PASCAL VOC since 2010 and COCO: predictions of all images are ranked by score, each takes
the best true box of its class that is still free, and AP is the whole area under the
interpolated precision-recall curve. A class without true boxes has no AP (NaN).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from p2o_train.metrics.box_iou import symmetric_iou
from points2objects.errors import check_shape
from points2objects.geometry import Box9DoF, FloatArray, IntArray


@dataclass(frozen=True)
class LabelledBoxes:
    """True or predicted boxes of one image.

    Attributes:
        boxes: n boxes, in one frame for the truth and the predictions.
        class_id: (n,).
    """

    boxes: Box9DoF
    class_id: IntArray

    def __post_init__(self) -> None:
        check_shape("class_id", self.class_id, "n", {"n": len(self.boxes)})


@dataclass(frozen=True)
class ScoredImage:
    """How n true and m predicted boxes of one image overlap.

    Attributes:
        iou: (n, m), 0..1; 0 where the classes differ.
        truth_class: (n,).
        predicted_class: (m,).
        score: (m,), 0..1.
    """

    iou: FloatArray
    truth_class: IntArray
    predicted_class: IntArray
    score: FloatArray

    def __post_init__(self) -> None:
        sizes = check_shape("iou", self.iou, "n m")
        check_shape("truth_class", self.truth_class, "n", sizes)
        check_shape("predicted_class", self.predicted_class, "m", sizes)
        check_shape("score", self.score, "m", sizes)


@dataclass(frozen=True)
class PrecisionRecall:
    """Share of the predictions that are right, and of the true boxes that were found, 0..1.

    NaN where there is nothing to share out.
    """

    precision: float
    recall: float


def score_image(
    truth: LabelledBoxes, symmetry: IntArray, predicted: LabelledBoxes, score: FloatArray
) -> ScoredImage:
    """Compare the boxes of one image class by class.

    Args:
        truth: n true boxes.
        symmetry: Order of the rotational symmetry of each true shape, (n,); see `symmetric_iou`.
        predicted: m boxes.
        score: (m,), 0..1.
    """
    iou = np.zeros((len(truth.class_id), len(predicted.class_id)))
    for class_id in np.intersect1d(truth.class_id, predicted.class_id):
        rows = np.flatnonzero(truth.class_id == class_id)
        columns = np.flatnonzero(predicted.class_id == class_id)
        iou[np.ix_(rows, columns)] = symmetric_iou(
            truth.boxes[rows], predicted.boxes[columns], symmetry[rows]
        )
    return ScoredImage(iou, truth.class_id, predicted.class_id, score)


def greedy_match(affinity: FloatArray, score: FloatArray, least: float) -> IntArray:
    """Give each prediction, best score first, the best true object that is still free.

    Args:
        affinity: How well each true object suits each prediction, (n, m).
        score: (m,).
        least: Pairs below this affinity do not match.

    Returns:
        True object of each prediction, (m,); -1 for none.
    """
    matched = np.full(len(score), -1, dtype=np.int64)
    free = np.array(affinity, dtype=float)
    for column in np.argsort(-score, kind="stable") if len(free) else ():
        row = int(free[:, column].argmax())
        if free[row, column] >= least:
            matched[column] = row
            free[row] = -np.inf
    return matched


def average_precision(images: Sequence[ScoredImage], n_classes: int, min_iou: float) -> FloatArray:
    """Return the AP of each class at one IoU threshold, (c,), 0..1; NaN without true boxes."""
    matched = [greedy_match(image.iou, image.score, min_iou) >= 0 for image in images]
    hit = _joined(matched, bool)
    score = _joined([image.score for image in images], float)
    predicted_class = _joined([image.predicted_class for image in images], int)
    truth_class = _joined([image.truth_class for image in images], int)
    result = np.full(n_classes, np.nan)
    for class_id in range(n_classes):
        n_truth = int((truth_class == class_id).sum())
        if n_truth:
            own = predicted_class == class_id
            result[class_id] = area_under_curve(hit[own], score[own], n_truth)
    return result


def area_under_curve(hit: npt.NDArray[np.bool_], score: FloatArray, n_truth: int) -> float:
    """Return the area under the interpolated precision-recall curve, 0..1.

    Args:
        hit: Whether each prediction matched, (m,).
        score: (m,).
        n_truth: Number of true objects, positive.
    """
    hit = hit[np.argsort(-score, kind="stable")]
    true_positives = np.cumsum(hit)
    precision = true_positives / np.arange(1, len(hit) + 1)
    # Precision at a recall is the best one at that recall or any higher.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hit].sum() / n_truth)


def precision_recall(images: Sequence[ScoredImage], min_iou: float) -> PrecisionRecall:
    """Return precision and recall over all classes.

    Args:
        images: Overlaps of each image, at its operating point: all predictions count.
        min_iou: Least overlap of a hit.
    """
    hits = kept = n_truth = 0
    for image in images:
        hits += int((greedy_match(image.iou, image.score, min_iou) >= 0).sum())
        kept += len(image.score)
        n_truth += len(image.truth_class)
    return PrecisionRecall(
        hits / kept if kept else float("nan"), hits / n_truth if n_truth else float("nan")
    )


def _joined(parts: Sequence[npt.NDArray[np.generic]], kind: type) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *parts])
