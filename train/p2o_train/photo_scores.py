"""A detector's figures on labelled photographs: average precision, what it finds and invents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from p2o_train.data.photos2d import PhotoSample
from p2o_train.metrics.rectangle_ap import (
    LabelledPicture,
    Matched,
    Rectangles,
    average_precisions,
    found_at,
    match,
    operating,
)
from points2objects.geometry import FloatArray

LARGE = 0.1
"""Objects are large from this share of the picture's longer side on."""
FEW_INVENTIONS = 0.4
"""Inventions per photograph at which detectors are compared."""


@dataclass(frozen=True)
class PhotoScores:
    """A detector's figures on some photographs, percent but for the inventions.

    Attributes:
        photos: How many photographs.
        ap50: AP at IoU 0.5 of each class; NaN without ground truth.
        mean_ap50: Of these, of the classes that have some.
        large_ap50: The same of large objects alone.
        large_mean_ap50: Their mean.
        found: Share found at the detector's thresholds.
        invented: Inventions per photograph there.
        large_found: Share of the large objects found.
        large_invented: Large inventions per photograph.
        large_found_at_few: Share of the large ones at the one threshold for all classes that
            invents `FEW_INVENTIONS` large ones per photograph.
    """

    photos: int
    ap50: dict[str, float]
    mean_ap50: float
    large_ap50: dict[str, float]
    large_mean_ap50: float
    found: float
    invented: float
    large_found: float
    large_invented: float
    large_found_at_few: float


@dataclass(frozen=True, eq=False)
class Judged:
    """How a detector did on one photograph.

    Attributes:
        source: Where the photograph is from.
        ranked: Everything it found, for average precision.
        shown: What it shows at its thresholds.
        ranked_large: The same of large objects.
        shown_large: The same.
    """

    source: str
    ranked: Matched
    shown: Matched
    ranked_large: Matched
    shown_large: Matched


def judge(sample: PhotoSample, ranked: Rectangles, shown: Rectangles) -> Judged:
    """Compare what a detector found in a photograph with its labels.

    Boxes that detectors drew are no truth: like ignored ones, they count neither way.
    """
    truth = LabelledPicture(
        sample.boxes, sample.class_id, sample.ignore | (sample.weight < 1), sample.exhaustive
    )
    least_side = LARGE * max(sample.image.shape[:2])
    return Judged(
        sample.source,
        match(truth, ranked),
        match(truth, shown),
        match(truth, ranked, least_side),
        match(truth, shown, least_side),
    )


def summarise(judged: Sequence[Judged], classes: Sequence[str]) -> PhotoScores:
    """Return a detector's figures on some photographs."""
    ap = average_precisions([each.ranked for each in judged], len(classes))
    large = average_precisions([each.ranked_large for each in judged], len(classes))
    at_own = operating([each.shown for each in judged])
    large_at_own = operating([each.shown_large for each in judged])
    few = found_at([each.ranked_large for each in judged], FEW_INVENTIONS)
    return PhotoScores(
        photos=len(judged),
        ap50=_percent_each(ap, classes),
        mean_ap50=_mean_percent(ap),
        large_ap50=_percent_each(large, classes),
        large_mean_ap50=_mean_percent(large),
        found=100 * at_own.found,
        invented=at_own.invented,
        large_found=100 * large_at_own.found,
        large_invented=large_at_own.invented,
        large_found_at_few=100 * few,
    )


def _percent_each(values: FloatArray, classes: Sequence[str]) -> dict[str, float]:
    return {name: 100 * float(value) for name, value in zip(classes, values, strict=True)}


def _mean_percent(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return 100 * float(known.mean()) if len(known) else float("nan")
