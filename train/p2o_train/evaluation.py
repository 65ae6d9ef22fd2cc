"""Score a network on labelled samples with the runtime's own decoder.

Whatever makes the output maps (torch, TFLite float or int8), `points2objects.decode` and
`points2objects.place` turn them into boxes, so the figures are those of the phone. Everything is
measured in the level frame: lengths are in camera heights, volumes in cubic ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from p2o_shapedb.database import ShapeDB
from p2o_shapedb.progress import progress as with_progress
from p2o_train.data.sample import Sample
from p2o_train.metrics.box_ap import average_precision, precision_recall
from p2o_train.predictors import Predictor
from p2o_train.report import DetectionErrors, EvaluationReport
from p2o_train.resized import at_size
from p2o_train.scene_score import VoxelMeter
from p2o_train.scoring import Detections, ImageScore, score_sample
from p2o_train.voxel_report import VoxelReport, summarise_scenes
from points2objects.errors import InputError
from points2objects.spec import ModelSpec


@dataclass(frozen=True)
class GravityReports:
    """The same predictions with the true pitch and roll, and with the network's own estimate."""

    known: EvaluationReport
    estimated: EvaluationReport


def evaluate(
    predict: Predictor,
    spec: ModelSpec,
    samples: Iterable[Sample],
    shapedb: ShapeDB,
    *,
    threshold: float = 0.01,
    known_gravity: bool = True,
    progress: bool = False,
    voxels: VoxelMeter | None = None,
) -> EvaluationReport:
    """Run a network over samples and compare its boxes with theirs in the level frame.

    Args:
        predict: Makes output maps of a canonical image; see `p2o_train.predictors`.
        spec: The network's contract; its `least_scores` are the operating thresholds.
        samples: Labelled canonical views.
        shapedb: Database that the labels and the exemplar head refer to.
        threshold: Least score of a peak that counts for average precision.
        known_gravity: Place boxes with the true pitch and roll, as in an AR session; otherwise
            with what the gravity head says.
        progress: Show how far it is.
        voxels: Also score whole scenes on voxel grids; takes about a tenth of a second per image.

    Raises:
        InputError: There is no sample, or the database is not the network's.
    """
    plan = _Plan(shapedb, threshold, (known_gravity,), voxels)
    return _evaluate(predict, spec, _with_bar(samples, progress), plan)[0]


def evaluate_both(
    predict: Predictor,
    spec: ModelSpec,
    samples: Iterable[Sample],
    shapedb: ShapeDB,
    *,
    threshold: float = 0.01,
    progress: bool = False,
    voxels: VoxelMeter | None = None,
    own_exemplars: bool = False,
) -> GravityReports:
    """Evaluate with known and with estimated gravity, at one run of the network per image.

    With `own_exemplars` the database may be any of the network's classes that
    `foreign_exemplars.with_exemplars` has given the network's exemplars.
    """
    plan = _Plan(shapedb, threshold, (True, False), voxels, own_exemplars)
    known, estimated = _evaluate(predict, spec, _with_bar(samples, progress), plan)
    return GravityReports(known, estimated)


@dataclass(frozen=True)
class _Plan:
    """What to score, see `evaluate`; `gravity_modes` are values of `known_gravity`."""

    shapedb: ShapeDB
    threshold: float
    gravity_modes: tuple[bool, ...]
    meter: VoxelMeter | None
    own_exemplars: bool = False


def _evaluate(
    predict: Predictor, spec: ModelSpec, samples: Iterable[Sample], plan: _Plan
) -> list[EvaluationReport]:
    shapedb, modes = plan.shapedb, plan.gravity_modes
    if spec.shapedb_digest != shapedb.digest and not plan.own_exemplars:
        raise InputError(
            f"evaluate: the network was made for shape database {spec.shapedb_digest[:8]}, got "
            f"{shapedb.digest[:8]}; pass the database it was trained on, or the model's own "
            "exemplars with --exemplars BUNDLE"
        )
    scores: list[list[ImageScore]] = [[] for _ in modes]
    for sample in (at_size(sample, spec.input_size) for sample in samples):
        maps = predict(sample.image)
        scene = plan.meter.truth(sample) if plan.meter else None
        for known, mode in zip(modes, scores, strict=True):
            mode.append(score_sample(maps, spec, sample, shapedb, plan.threshold, known, scene))
    if not scores[0]:
        raise InputError("evaluate: there is no sample; the split is empty")
    return [_summarise(mode, spec, known) for known, mode in zip(modes, scores, strict=True)]


def _summarise(scores: Sequence[ImageScore], spec: ModelSpec, known: bool) -> EvaluationReport:
    overlaps = [score.overlaps for score in scores]
    shown = [score.shown for score in scores]
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
        at25=precision_recall(shown, 0.25),
        at50=precision_recall(shown, 0.5),
        errors=_summarise_detections([score.detections for score in scores]),
        collisions=len(volumes),
        real_collisions=sum(score.real_collisions for score in scores),
        collision_volume=float(volumes.mean()) if len(volumes) else 0.0,
        gravity_deg=float(np.median([score.gravity_deg for score in scores])),
        voxels=_summarise_voxels(scores),
    )


def _summarise_voxels(scores: Sequence[ImageScore]) -> VoxelReport | None:
    found = [(score.scene, score.collisions.volume) for score in scores if score.scene is not None]
    return summarise_scenes(*zip(*found, strict=True)) if found else None


def _summarise_detections(found: Sequence[Detections]) -> DetectionErrors:
    def median(name: str) -> float:
        values = np.concatenate([getattr(image.errors, name) for image in found])
        return float(np.median(values)) if len(values) else float("nan")

    correct = np.concatenate([image.exemplar_correct for image in found])
    rank = np.concatenate([image.exemplar_rank for image in found])
    overlap = np.concatenate([image.shape_iou for image in found])
    return DetectionErrors(
        pairs=len(correct),
        rotation_deg=median("rotation_deg"),
        translation=median("translation"),
        translation_relative=median("translation_relative"),
        scale=median("scale"),
        center_px=median("center_px"),
        exemplar_accuracy=float(correct.mean()) if len(correct) else float("nan"),
        exemplar_rank=float(rank.mean()) if len(rank) else float("nan"),
        shape_iou=float(overlap.mean()) if len(overlap) else float("nan"),
    )


def _with_bar(samples: Iterable[Sample], progress: bool) -> Iterable[Sample]:
    if not progress:
        return samples
    return with_progress(samples, "evaluate", "image")
