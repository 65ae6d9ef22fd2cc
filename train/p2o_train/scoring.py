"""Score what the runtime reads out of one image's maps against its labels, in the level frame."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from p2o_shapedb.database import ShapeDB
from p2o_train.data.sample import Sample
from p2o_train.metrics.box_ap import LabelledBoxes, ScoredImage, score_image
from p2o_train.metrics.collisions import Collisions, collisions
from p2o_train.metrics.exemplar_choice import exemplar_rank
from p2o_train.metrics.pair_errors import PairErrors, match_centers, pair_errors
from p2o_train.metrics.voxel_iou import shape_iou
from p2o_train.scene_score import SceneScore, SceneTruth
from points2objects.camera import Camera
from points2objects.decode import Peaks, decode
from points2objects.geometry import Box9DoF, FloatArray, IntArray
from points2objects.place import estimate_up
from points2objects.settle import Placed, one_reading_each, settle
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMaps

MIN_PEAKS = 32
"""Average precision looks at so many peaks an image at least, whatever the spec keeps."""


@dataclass(frozen=True)
class Prediction:
    """What the runtime makes of one image.

    Attributes:
        peaks: m peaks, best first.
        boxes: m boxes, level frame.
        camera: The canonical camera they were placed with.
    """

    peaks: Peaks
    boxes: Box9DoF
    camera: Camera

    def labelled(self) -> LabelledBoxes:
        """Return the boxes with their classes."""
        return LabelledBoxes(self.boxes, self.peaks.class_id)

    def centers_px(self) -> FloatArray:
        """Return the projected box centres, (m, 2) px."""
        return self.camera.project(self.boxes.translation)[:, :2]


@dataclass(frozen=True)
class Detections:
    """How good the p objects of one image are that were detected at the operating threshold.

    Attributes:
        errors: (p,) each.
        exemplar_correct: Whether the true model's nearest exemplar was chosen, (p,).
        exemplar_rank: Place of the chosen exemplar, (p,); see `exemplar_choice.exemplar_rank`.
        shape_iou: Of the placed exemplars, (p,), 0..1; see `DetectionErrors`.
    """

    errors: PairErrors
    exemplar_correct: npt.NDArray[np.bool_]
    exemplar_rank: FloatArray
    shape_iou: FloatArray


@dataclass(frozen=True)
class ImageScore:
    """Everything the report needs of one image.

    Attributes:
        overlaps: For average precision: all peaks down to the low threshold.
        shown: For precision and recall: what the runtime shows, at the operating threshold.
        detections: Of these.
        collisions: Among these.
        real_collisions: How many of them are of two objects that both are there; in the others
            something collides with an invention, as with a second reading of one object.
        gravity_deg: Angle between the estimated and the true up direction, degrees.
        scene: On a voxel grid, at the operating threshold; None if not asked for, or if the image
            has no true object.
    """

    overlaps: ScoredImage
    shown: ScoredImage
    detections: Detections
    collisions: Collisions
    real_collisions: int
    gravity_deg: float
    scene: SceneScore | None = None


def predict_level(maps: OutputMaps, spec: ModelSpec, camera: Camera) -> Prediction:
    """Read an image's boxes out of the maps, placed with the given camera's pitch and roll."""
    return _prediction(one_reading_each(settle(decode(maps, spec), camera, spec)), camera)


def score_sample(
    maps: OutputMaps,
    spec: ModelSpec,
    sample: Sample,
    shapedb: ShapeDB,
    threshold: float,
    known_gravity: bool,
    scene: SceneTruth | None = None,
) -> ImageScore:
    """Compare what the runtime reads out of one image's maps with its labels.

    Args:
        maps: Of this image.
        spec: The network's contract.
        sample: The labels.
        shapedb: What labels and exemplar head refer to.
        threshold: Least score of a peak that counts for average precision.
        known_gravity: Place boxes with the true pitch and roll.
        scene: The truth on a voxel grid, to score the whole scene there.
    """
    wide = replace(spec, max_objects=max(spec.max_objects, MIN_PEAKS))
    peaks = decode(maps, wide, min(threshold, *spec.least_scores))
    # Peaks come best first, so what the runtime shows is how the list begins.
    least = np.array(spec.least_scores)
    shown_peaks = peaks[peaks.score >= least[peaks.class_id]][: spec.max_objects]
    up_camera = estimate_up(shown_peaks)
    camera = sample.camera if known_gravity else sample.camera.with_gravity(up_camera)
    everything = _prediction(settle(peaks[peaks.score >= threshold], camera, wide), camera)
    shown = _prediction(one_reading_each(settle(shown_peaks, camera, spec)), camera)

    truth = LabelledBoxes(sample.boxes, sample.class_id)
    symmetry = np.array([shapedb.models[i].symmetry for i in sample.model_index], dtype=int)
    matched = match_centers(
        truth, _centers_px(sample), shown.labelled(), shown.centers_px(), shown.peaks.score
    )
    collided = collisions(shown.boxes, shapedb.sdf[shown.peaks.exemplar_id])

    def overlaps(found: Prediction) -> ScoredImage:
        return score_image(truth, symmetry, found.labelled(), found.peaks.score)

    return ImageScore(
        overlaps=overlaps(everything),
        shown=overlaps(shown),
        detections=_score_detections(shown, sample, symmetry, shapedb, matched),
        collisions=collided,
        real_collisions=int((matched[collided.pair] >= 0).all(axis=1).sum()),
        gravity_deg=_angle_deg(up_camera, sample.camera.up_camera),
        scene=None if scene is None else scene.score(shown.peaks, shown.boxes, matched),
    )


def _prediction(placed: Placed, camera: Camera) -> Prediction:
    return Prediction(placed.peaks, placed.boxes, camera)


def _centers_px(sample: Sample) -> FloatArray:
    return sample.camera.project(sample.boxes.translation)[:, :2]


def _score_detections(
    shown: Prediction, sample: Sample, symmetry: IntArray, shapedb: ShapeDB, matched: IntArray
) -> Detections:
    hit = np.flatnonzero(matched >= 0)
    row = matched[hit]
    model, exemplar = sample.model_index[row], shown.peaks.exemplar_id[hit]
    nearest, k = shapedb.exemplar_id[model], shapedb.exemplars_per_class
    pairs = list(zip(model.tolist(), nearest.tolist(), exemplar.tolist(), strict=True))
    true_boxes, boxes = sample.boxes[row], shown.boxes[hit]
    distance_px = np.linalg.norm(_centers_px(sample)[row] - shown.centers_px()[hit], axis=-1)
    return Detections(
        errors=pair_errors(true_boxes, boxes, symmetry[row], distance_px),
        exemplar_correct=nearest == exemplar,
        exemplar_rank=np.array(
            [
                exemplar_rank(shapedb.soft_labels[own], mine % k, theirs % k)
                for own, mine, theirs in pairs
            ]
        ),
        shape_iou=np.array(
            [
                shape_iou(shapedb.sdf[mine], true_boxes[i], shapedb.sdf[theirs], boxes[i])
                for i, (_, mine, theirs) in enumerate(pairs)
            ]
        ),
    )


def _angle_deg(first: FloatArray, second: FloatArray) -> float:
    """Return the angle between two unit vectors, (3,), degrees."""
    sine = float(np.linalg.norm(np.cross(first, second)))
    return float(np.degrees(np.arctan2(sine, first @ second)))
