"""Average precision of rectangles in photographs of which not all is labelled.

As in COCO: predictions are ranked by score, each takes the best true rectangle of its class that
is still free. One that takes none, but lies on an ignored rectangle, counts neither way; nor does
one of a class of which the photograph may hold more than is labelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from p2o_train.data.sample import BoolArray
from p2o_train.metrics.box_ap import area_under_curve, greedy_match
from points2objects.errors import check_shape
from points2objects.geometry import FloatArray, IntArray
from points2objects.scales import rectangle_iou

MIN_IOU = 0.5


@dataclass(frozen=True, eq=False)
class Rectangles:
    """m rectangles that a detector found in a photograph.

    Attributes:
        boxes: Left, top, right, bottom, px, (m, 4).
        class_id: (m,).
        score: (m,), 0..1.
    """

    boxes: FloatArray
    class_id: IntArray
    score: FloatArray

    def __post_init__(self) -> None:
        sizes = check_shape("boxes", self.boxes, "m 4")
        check_shape("class_id", self.class_id, "m", sizes)
        check_shape("score", self.score, "m", sizes)

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, index: "IntArray | BoolArray") -> "Rectangles":
        return Rectangles(self.boxes[index], self.class_id[index], self.score[index])


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """What is known of a photograph.

    Attributes:
        boxes: Left, top, right, bottom, px, (n, 4).
        class_id: (n,).
        ignore: Finding it or not is the same, (n,).
        exhaustive: Classes of which nothing unlabelled is in the picture, (c,).
    """

    boxes: FloatArray
    class_id: IntArray
    ignore: BoolArray
    exhaustive: BoolArray


@dataclass(frozen=True, eq=False)
class Matched:
    """How the m rectangles found in one photograph compare.

    Attributes:
        score: (m,).
        class_id: (m,).
        hit: Took a true rectangle, (m,).
        wrong: Is an invention, (m,); what is neither does not count.
        n_truth: Rectangles to be found, of each class, (c,).
    """

    score: FloatArray
    class_id: IntArray
    hit: BoolArray
    wrong: BoolArray
    n_truth: IntArray


@dataclass(frozen=True)
class Operating:
    """What a detector shows at some thresholds.

    Attributes:
        found: Share of the true rectangles, 0..1; NaN without any.
        invented: Inventions per photograph.
    """

    found: float
    invented: float


def match(truth: LabelledPicture, found: Rectangles, least_side: float = 0.0) -> Matched:
    """Compare what was found in a photograph with what is there.

    Args:
        truth: Labels.
        found: By a detector.
        least_side: True rectangles whose longer side is shorter, px, are ignored, and what was
            found and is neither true nor that large.
    """
    n_classes = len(truth.exhaustive)
    ignore = truth.ignore | (_longer_side(truth.boxes) < least_side)
    hit = np.zeros(len(found), dtype=bool)
    wrong = np.zeros(len(found), dtype=bool)
    for class_id in np.unique(found.class_id):
        columns = np.flatnonzero(found.class_id == class_id)
        own = truth.class_id == class_id
        iou = rectangle_iou(truth.boxes[own & ~ignore], found.boxes[columns])
        taken = greedy_match(iou, found.score[columns], MIN_IOU) >= 0
        beside = _on_ignored(truth.boxes[own & ignore], found.boxes[columns])
        hit[columns] = taken
        wrong[columns] = ~taken & ~beside & truth.exhaustive[class_id]
    wrong &= _longer_side(found.boxes) >= least_side
    return Matched(
        found.score,
        found.class_id,
        hit,
        wrong,
        np.bincount(truth.class_id[~ignore], minlength=n_classes),
    )


def average_precisions(pictures: Sequence[Matched], n_classes: int) -> FloatArray:
    """Return the AP of each class, (c,), 0..1; NaN where there is nothing to be found."""
    result = np.full(n_classes, np.nan)
    n_truth = sum((picture.n_truth for picture in pictures), np.zeros(n_classes, dtype=np.int64))
    for class_id in np.flatnonzero(n_truth):
        hits, scores = [], []
        for picture in pictures:
            counts = (picture.class_id == class_id) & (picture.hit | picture.wrong)
            hits.append(picture.hit[counts])
            scores.append(picture.score[counts])
        result[class_id] = area_under_curve(
            np.concatenate(hits), np.concatenate(scores), int(n_truth[class_id])
        )
    return result


def operating(shown: Sequence[Matched]) -> Operating:
    """Return what is found and invented by what a detector shows."""
    hits = sum(int(picture.hit.sum()) for picture in shown)
    wrong = sum(int(picture.wrong.sum()) for picture in shown)
    n_truth = sum(int(picture.n_truth.sum()) for picture in shown)
    return Operating(hits / n_truth if n_truth else float("nan"), wrong / max(len(shown), 1))


def found_at(pictures: Sequence[Matched], invented: float) -> float:
    """Return the share found, 0..1, at the one threshold that invents so much per photograph."""
    score = np.concatenate([np.zeros(0), *(picture.score for picture in pictures)])
    hit = np.concatenate([np.zeros(0, bool), *(picture.hit for picture in pictures)])
    wrong = np.concatenate([np.zeros(0, bool), *(picture.wrong for picture in pictures)])
    order = np.argsort(-score, kind="stable")
    allowed = np.cumsum(wrong[order]) <= invented * len(pictures)
    n_truth = int(sum(picture.n_truth.sum() for picture in pictures))
    return float(hit[order][allowed].sum() / n_truth) if n_truth else float("nan")


def _on_ignored(ignored: FloatArray, found: FloatArray) -> BoolArray:
    """Tell which rectangles, (m, 4), are an ignored one, or lie in one as one of a crowd does."""
    if not len(ignored):
        return np.zeros(len(found), dtype=bool)
    low = np.maximum(ignored[:, None, :2], found[None, :, :2])
    high = np.minimum(ignored[:, None, 2:], found[None, :, 2:])
    common = np.maximum(high - low, 0.0).prod(axis=-1)
    area = np.maximum((found[:, 2:] - found[:, :2]).prod(axis=-1), 1e-9)
    iou = rectangle_iou(ignored, found)
    return np.asarray((np.maximum(common / area, iou) >= MIN_IOU).any(axis=0))


def _longer_side(boxes: FloatArray) -> FloatArray:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=-1, initial=0.0))
