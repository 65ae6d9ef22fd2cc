"""Score the network in the middle of a training, and show what it sees."""

import logging
import math

import torch

from p2o_train.batches import TrainingData
from p2o_train.checkpoint import TrainingState, save_best
from p2o_train.config import TrainConfig
from p2o_train.evaluation import evaluate
from p2o_train.log import RunLog
from p2o_train.pictures import draw
from p2o_train.predictors import Predictor, torch_predictor
from p2o_train.report import EvaluationReport
from p2o_train.resized import at_size
from p2o_train.scoring import predict_level
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)


def validate(
    config: TrainConfig, data: TrainingData, spec: ModelSpec, state: TrainingState, run_log: RunLog
) -> None:
    """Score the averaged weights, and keep them if they are the best so far."""
    samples = [data.val[i] for i in range(min(len(data.val), config.validate_images))]
    predict = torch_predictor(state.average, spec)
    report = evaluate(predict, spec, samples, data.shapedb)
    state.validated = state.step
    run_log.validation(state.step, _figures(report))
    log.info("step %d: mAP@0.5 %.3f, @0.25 %.3f", state.step, report.map50, report.map25)
    if config.pictures:
        _show(predict, spec, data, min(config.pictures, len(samples)), state.step, run_log)
    score = (_or_zero(report.map50), _or_zero(report.map25))
    if score >= (state.best_map50, state.best_map25):
        state.best_map50, state.best_map25 = score
        save_best(config.out, state)


def _show(
    predict: Predictor,
    spec: ModelSpec,
    data: TrainingData,
    count: int,
    step: int,
    run_log: RunLog,
) -> None:
    """Send the first validation images, with heat-maps and with boxes, to TensorBoard."""
    samples = [at_size(data.val[i], spec.input_size) for i in range(count)]
    maps = [predict(sample.image) for sample in samples]
    images = torch.stack([torch.tensor(sample.image) for sample in samples])
    scores = torch.stack([torch.from_numpy(m["heatmap"].real()) for m in maps])
    run_log.heatmaps(step, images, scores.permute(0, 3, 1, 2))
    drawn = [
        draw(sample, predict_level(m, spec, sample.camera), spec)
        for sample, m in zip(samples, maps, strict=True)
    ]
    run_log.boxes(step, torch.stack([torch.from_numpy(picture) for picture in drawn]))


def _figures(report: EvaluationReport) -> dict[str, float]:
    """Return the numbers to log, without those that are unknown, as errors of no match are."""
    figures = {
        "map50": report.map50,
        "map25": report.map25,
        "rotation_deg": report.errors.rotation_deg,
        "translation_relative": report.errors.translation_relative,
        "scale": report.errors.scale,
        "exemplar_accuracy": report.errors.exemplar_accuracy,
        "shape_iou": report.errors.shape_iou,
        "gravity_deg": report.gravity_deg,
        "collisions": float(report.collisions),
    }
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
