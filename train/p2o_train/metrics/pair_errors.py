"""How far off the detected objects are: rotation, position, size, pixel and exemplar.

Objects are paired by their projected centres and not by their IoU, which would leave out the
very errors that spoil the overlap.
"""

from dataclasses import dataclass

import numpy as np

from p2o_train.metrics.box_ap import LabelledBoxes, greedy_match
from p2o_train.metrics.box_iou import aligning_turn, symmetry_turns, turned_about_own_y
from points2objects.geometry import Box9DoF, FloatArray, IntArray
from points2objects.place import CAMERA_LEVEL

MATCH_PX = 16.0
"""Centres of one class that are no farther apart than this, px, are taken for one object."""


@dataclass(frozen=True)
class PairErrors:
    """Errors of p matched pairs, each (p,).

    Attributes:
        rotation_deg: Geodesic angle modulo the true shape's symmetry, degrees, 0..180.
        translation: Distance of the box centres, camera heights.
        translation_relative: That over the true centre's distance from the camera.
        scale: Mean factor by which a side is off, less one: 0.1 for 10 % too long or short.
        center_px: Distance of the projected centres, px.
    """

    rotation_deg: FloatArray
    translation: FloatArray
    translation_relative: FloatArray
    scale: FloatArray
    center_px: FloatArray


def match_centers(
    truth: LabelledBoxes,
    truth_px: FloatArray,
    predicted: LabelledBoxes,
    predicted_px: FloatArray,
    score: FloatArray,
) -> IntArray:
    """Return the true object whose projected centre each prediction hits, (m,); -1 for none.

    Args:
        truth: n true objects.
        truth_px: Their projected centres, (n, 2).
        predicted: m predictions.
        predicted_px: Theirs, (m, 2).
        score: (m,).
    """
    distance = np.linalg.norm(truth_px[:, None] - predicted_px[None], axis=-1)
    same = truth.class_id[:, None] == predicted.class_id[None]
    # A centre behind the camera has NaN pixels and matches nothing.
    affinity = np.where(same & np.isfinite(distance), -distance, -np.inf)
    return greedy_match(affinity, score, -MATCH_PX)


def pair_errors(
    truth: Box9DoF, predicted: Box9DoF, symmetry: IntArray, center_px: FloatArray
) -> PairErrors:
    """Measure p matched pairs in the level frame.

    Args:
        truth: p true boxes.
        predicted: p boxes.
        symmetry: Order of each true shape, (p,); see `symmetric_iou`.
        center_px: Distances of the projected centres, (p,).
    """
    translation = np.linalg.norm(predicted.translation - truth.translation, axis=-1)
    distance = np.linalg.norm(truth.translation - CAMERA_LEVEL, axis=-1)
    log_ratio = np.abs(np.log(predicted.scale / truth.scale))
    return PairErrors(
        rotation_deg=rotation_error_deg(truth, predicted, symmetry),
        translation=translation,
        translation_relative=translation / distance,
        scale=np.exp(log_ratio.mean(axis=-1)) - 1,
        center_px=center_px,
    )


def rotation_error_deg(truth: Box9DoF, predicted: Box9DoF, symmetry: IntArray) -> FloatArray:
    """Return the least angle, degrees, (p,), between the boxes over the true shape's symmetry."""
    error = np.full(len(truth), np.inf)
    for order in np.unique(symmetry):
        rows = np.flatnonzero(symmetry == order)
        mine, theirs = truth[rows], predicted.rotation[rows]
        # The best turn of a solid of revolution has a closed form.
        turns = [aligning_turn(mine.rotation, theirs)] if order == 0 else symmetry_turns(int(order))
        for turn in turns:
            angle = _geodesic_deg(turned_about_own_y(mine, turn).rotation, theirs)
            error[rows] = np.minimum(error[rows], angle)
    return error


def _geodesic_deg(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the angle between rotations, (n, 3, 3) -> (n,); exact for small ones too."""
    chord = np.linalg.norm(first - second, axis=(-1, -2)) / np.sqrt(8)
    return np.asarray(np.degrees(2 * np.arcsin(np.clip(chord, 0, 1))))
