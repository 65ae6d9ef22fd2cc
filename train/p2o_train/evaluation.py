"""Score a network on labelled samples with the runtime's own decoder.

Whatever makes the output maps (torch, TFLite float or int8), `points2objects.decode` and
`points2objects.place` turn them into boxes, so the figures are those of the phone. Everything is
measured in the level frame: lengths are in camera heights, volumes in cubic ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from p2o_shapedb.database import ShapeDB
from p2o_train.data.sample import Sample
from p2o_train.metrics.box_ap import (
    LabelledBoxes,
    ScoredImage,
    average_precision,
    precision_recall,
    score_image,
)
from p2o_train.metrics.collisions import Collisions, collisions
from p2o_train.metrics.pair_errors import PairErrors, match_centers, pair_errors
from p2o_train.metrics.voxel_iou import shape_iou
from p2o_train.predictors import Predictor
from p2o_train.report import DetectionErrors, EvaluationReport
from points2objects.camera import Camera
from points2objects.decode import Peaks, decode
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, FloatArray, IntArray
from points2objects.place import estimate_up
from points2objects.settle import settle
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMaps

MIN_PEAKS = 32
"""Average precision looks at so many peaks an image at least, whatever the spec keeps."""


@dataclass(frozen=True)
class GravityReports:
    """The same predictions with the true pitch and roll, and with the network's own estimate."""

    known: EvaluationReport
    estimated: EvaluationReport


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
        shape_iou: Of the placed exemplars, (p,), 0..1; see `DetectionErrors`.
    """

    errors: PairErrors
    exemplar_correct: npt.NDArray[np.bool_]
    shape_iou: FloatArray


@dataclass(frozen=True)
class ImageScore:
    """Everything the report needs of one image.

    Attributes:
        overlaps: For average precision: all peaks down to the low threshold.
        detections: At the operating threshold.
        collisions: Among the predictions at the operating threshold.
        gravity_deg: Angle between the estimated and the true up direction, degrees.
    """

    overlaps: ScoredImage
    detections: Detections
    collisions: Collisions
    gravity_deg: float


def evaluate(
    predict: Predictor,
    spec: ModelSpec,
    samples: Iterable[Sample],
    shapedb: ShapeDB,
    *,
    threshold: float = 0.01,
    known_gravity: bool = True,
    progress: bool = False,
) -> EvaluationReport:
    """Run a network over samples and compare its boxes with theirs in the level frame.

    Args:
        predict: Makes output maps of a canonical image; see `p2o_train.predictors`.
        spec: The network's contract; its `score_threshold` is the operating threshold.
        samples: Labelled canonical views.
        shapedb: Database that the labels and the exemplar head refer to.
        threshold: Least score of a peak that counts for average precision.
        known_gravity: Place boxes with the true pitch and roll, as in an AR session; otherwise
            with what the gravity head says.
        progress: Show a bar.

    Raises:
        InputError: There is no sample, or the database is not the network's.
    """
    return _evaluate(predict, spec, samples, shapedb, threshold, (known_gravity,), progress)[0]


def evaluate_both(
    predict: Predictor,
    spec: ModelSpec,
    samples: Iterable[Sample],
    shapedb: ShapeDB,
    *,
    threshold: float = 0.01,
    progress: bool = False,
) -> GravityReports:
    """Evaluate with known and with estimated gravity, at one run of the network per image."""
    known, estimated = _evaluate(
        predict, spec, samples, shapedb, threshold, (True, False), progress
    )
    return GravityReports(known, estimated)


def predict_level(
    maps: OutputMaps, spec: ModelSpec, camera: Camera, threshold: float
) -> Prediction:
    """Read an image's boxes out of the maps, placed with the given camera's pitch and roll."""
    placed = settle(decode(maps, spec, threshold), camera, spec)
    return Prediction(placed.peaks, placed.boxes, camera)


def _evaluate(
    predict: Predictor,
    spec: ModelSpec,
    samples: Iterable[Sample],
    shapedb: ShapeDB,
    threshold: float,
    gravity_modes: Sequence[bool],
    progress: bool,
) -> list[EvaluationReport]:
    if spec.shapedb_digest != shapedb.digest:
        raise InputError(
            f"evaluate: the network was made for shape database {spec.shapedb_digest[:8]}, got "
            f"{shapedb.digest[:8]}; pass the database it was trained on"
        )
    scores: list[list[ImageScore]] = [[] for _ in gravity_modes]
    for sample in _with_bar(samples, progress):
        maps = predict(sample.image)
        for known, mode in zip(gravity_modes, scores, strict=True):
            mode.append(score_sample(maps, spec, sample, shapedb, threshold, known))
    if not scores[0]:
        raise InputError("evaluate: there is no sample; the split is empty")
    return [
        _summarise(mode, spec, known) for known, mode in zip(gravity_modes, scores, strict=True)
    ]


def score_sample(
    maps: OutputMaps,
    spec: ModelSpec,
    sample: Sample,
    shapedb: ShapeDB,
    threshold: float,
    known_gravity: bool,
) -> ImageScore:
    """Compare what the runtime reads out of one image's maps with its labels."""
    wide = replace(spec, max_objects=max(spec.max_objects, MIN_PEAKS))
    up_camera = estimate_up(decode(maps, spec))
    camera = sample.camera if known_gravity else sample.camera.with_gravity(up_camera)
    everything = predict_level(maps, wide, camera, threshold)
    shown = predict_level(maps, spec, camera, spec.score_threshold)

    truth = LabelledBoxes(sample.boxes, sample.class_id)
    symmetry = np.array([shapedb.models[i].symmetry for i in sample.model_index], dtype=int)
    overlaps = score_image(truth, symmetry, everything.labelled(), everything.peaks.score)
    return ImageScore(
        overlaps=overlaps,
        detections=_score_detections(shown, sample, symmetry, shapedb),
        collisions=collisions(shown.boxes, shapedb.sdf[shown.peaks.exemplar_id]),
        gravity_deg=_angle_deg(up_camera, sample.camera.up_camera),
    )


def _score_detections(
    shown: Prediction, sample: Sample, symmetry: IntArray, shapedb: ShapeDB
) -> Detections:
    truth = LabelledBoxes(sample.boxes, sample.class_id)
    truth_px = sample.camera.project(sample.boxes.translation)[:, :2]
    shown_px = shown.centers_px()
    matched = match_centers(truth, truth_px, shown.labelled(), shown_px, shown.peaks.score)
    hit = np.flatnonzero(matched >= 0)
    row = matched[hit]
    true_boxes, boxes = sample.boxes[row], shown.boxes[hit]
    true_exemplar = shapedb.exemplar_id[sample.model_index[row]]
    exemplar = shown.peaks.exemplar_id[hit]
    distance_px = np.linalg.norm(truth_px[row] - shown_px[hit], axis=-1)
    return Detections(
        errors=pair_errors(true_boxes, boxes, symmetry[row], distance_px),
        exemplar_correct=true_exemplar == exemplar,
        shape_iou=np.array(
            [
                shape_iou(shapedb.sdf[mine], true_boxes[i], shapedb.sdf[theirs], boxes[i])
                for i, (mine, theirs) in enumerate(zip(true_exemplar, exemplar, strict=True))
            ]
        ),
    )


def _summarise(scores: Sequence[ImageScore], spec: ModelSpec, known: bool) -> EvaluationReport:
    overlaps = [score.overlaps for score in scores]
    n_classes = len(spec.classes)
    truth = np.concatenate([image.truth_class for image in overlaps])
    volumes = np.concatenate([score.collisions.volume for score in scores])
    return EvaluationReport(
        classes=spec.classes,
        images=len(scores),
        objects=tuple(int((truth == class_id).sum()) for class_id in range(n_classes)),
        known_gravity=known,
        ap25=tuple(average_precision(overlaps, n_classes, 0.25).tolist()),
        ap50=tuple(average_precision(overlaps, n_classes, 0.5).tolist()),
        score_threshold=spec.score_threshold,
        at25=precision_recall(overlaps, 0.25, spec.score_threshold),
        at50=precision_recall(overlaps, 0.5, spec.score_threshold),
        errors=_summarise_detections([score.detections for score in scores]),
        collisions=len(volumes),
        collision_volume=float(volumes.mean()) if len(volumes) else 0.0,
        gravity_deg=float(np.median([score.gravity_deg for score in scores])),
    )


def _summarise_detections(found: Sequence[Detections]) -> DetectionErrors:
    def median(name: str) -> float:
        values = np.concatenate([getattr(image.errors, name) for image in found])
        return float(np.median(values)) if len(values) else float("nan")

    correct = np.concatenate([image.exemplar_correct for image in found])
    overlap = np.concatenate([image.shape_iou for image in found])
    return DetectionErrors(
        pairs=len(correct),
        rotation_deg=median("rotation_deg"),
        translation=median("translation"),
        translation_relative=median("translation_relative"),
        scale=median("scale"),
        center_px=median("center_px"),
        exemplar_accuracy=float(correct.mean()) if len(correct) else float("nan"),
        shape_iou=float(overlap.mean()) if len(overlap) else float("nan"),
    )


def _with_bar(samples: Iterable[Sample], progress: bool) -> Iterable[Sample]:
    if not progress:
        return samples
    from tqdm import tqdm

    # `disable=None`: quiet when stderr is no terminal.
    bar: Iterable[Sample] = tqdm(samples, desc="evaluate", unit="image", disable=None)
    return bar


def _angle_deg(first: FloatArray, second: FloatArray) -> float:
    """Return the angle between two unit vectors, (3,), degrees."""
    sine = float(np.linalg.norm(np.cross(first, second)))
    return float(np.degrees(np.arctan2(sine, first @ second)))
