"""The training loop."""

import ctypes
import logging
import math
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from p2o_train.batches import BatchDataset, TrainingData, batches_from, steps_per_epoch
from p2o_train.checkpoint import (
    TrainingState,
    resume,
    save_best,
    save_checkpoint,
    start_from,
    start_run,
)
from p2o_train.config import OptimConfig, TrainConfig
from p2o_train.ema import averaged_copy, update_average
from p2o_train.evaluation import evaluate
from p2o_train.log import RunLog
from p2o_train.network.build import PointsNetwork, build_network, normalise
from p2o_train.predictors import torch_predictor
from p2o_train.report import EvaluationReport
from p2o_train.schedule import Horizon, lr_factor
from p2o_train.targets import Targets
from p2o_train.total import loss_terms
from points2objects.errors import InputError
from points2objects.spec import ModelSpec, PoseEncoding

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        folder: The run.
        steps: Steps done.
        minutes: Time spent training.
        map50: mAP at an IoU of 0.5 of best.pt.
        map25: The same at 0.25.
    """

    folder: Path
    steps: int
    minutes: float
    map50: float
    map25: float


def make_spec(config: TrainConfig, data: TrainingData) -> ModelSpec:
    """Return the contract of the network that this run trains."""
    return ModelSpec(
        name=config.out.name,
        classes=data.shapedb.classes,
        exemplars_per_class=data.shapedb.exemplars_per_class,
        shapedb_digest=data.shapedb.digest,
        mean=config.mean,
        std=config.std,
        pose=PoseEncoding(config.pose),
        # Cells beside the centre's learned the pose as well: let them vote.
        vote_radius=int(config.pose == "ray" and config.loss.positive_radius >= 1),
    )


def train(config: TrainConfig, data: TrainingData) -> TrainResult:
    """Train a network, or go on with the run that lies in `config.out`.

    Raises:
        InputError: There are no training images, or `config.out` holds a run with other options.
    """
    if not len(data.train) or not len(data.val):
        raise InputError(f"{config.dataset}: the train and val splits need at least one image each")
    device = _prepare_machine(config)
    spec = make_spec(config, data)
    torch.manual_seed(config.seed)
    state = _fresh_state(config, spec, device)
    if config.overwrite or not resume(config.out, state, config, spec, data.record):
        if config.init is not None:
            _fine_tune(state, config.init)
        start_run(config.out, config, spec, data.record)
    epoch_steps = steps_per_epoch(data, config.batch)
    horizon = Horizon.of(config, epoch_steps)
    log.info("%s: step %d of %s", config.out, state.step, horizon.steps or "as many as fit")
    with RunLog(config.out, state.step, horizon.steps) as run_log:
        _loop(config, data, spec, state, Run(horizon, epoch_steps, device, run_log))
    return TrainResult(
        config.out, state.step, state.elapsed_s / 60, state.best_map50, state.best_map25
    )


def _fine_tune(state: TrainingState, run: Path) -> None:
    left = start_from(state.network, run)
    state.average.load_state_dict(state.network.state_dict())
    log.info("weights from %s; new: %s", run, ", ".join(left) or "none")


@dataclass(frozen=True)
class Run:
    """What the loop needs besides config, data, spec and state."""

    horizon: Horizon
    epoch_steps: int
    device: torch.device
    log: RunLog


def _loop(
    config: TrainConfig, data: TrainingData, spec: ModelSpec, state: TrainingState, run: Run
) -> None:
    if run.horizon.progress(state.step, state.elapsed_s) >= 1:
        return
    sdf = torch.from_numpy(data.shapedb.sdf).to(run.device, torch.float32)
    saved_at = clock = time.monotonic()
    for batch in batches_from(BatchDataset(data, spec, config), state.step, config.workers):
        progress = run.horizon.progress(state.step, state.elapsed_s)
        collide = progress >= config.loss.collision_from and config.loss.collision > 0
        values = _step(
            config, spec, state, batch.to(run.device), sdf if collide else None, progress
        )
        now = time.monotonic()
        state.elapsed_s, clock = state.elapsed_s + now - clock, now
        run.log.step(state.step, values | {"images_per_s": config.batch / max(values["s"], 1e-9)})
        epoch, inside = divmod(state.step, run.epoch_steps)
        done = run.horizon.progress(state.step, state.elapsed_s) >= 1
        if done or (inside == 0 and epoch % config.validate_every == 0):
            _validate(config, data, spec, state, run)
        if done or inside == 0 or now - saved_at > config.save_minutes * 60:
            save_checkpoint(config.out, state)
            saved_at = time.monotonic()
        clock = time.monotonic()
        if done:
            return


def _step(
    config: TrainConfig,
    spec: ModelSpec,
    state: TrainingState,
    batch: Targets,
    sdf: torch.Tensor | None,
    progress: float,
) -> dict[str, float]:
    """Learn from one batch, and return the numbers to log."""
    started = time.monotonic()
    factor = lr_factor(progress, config.optim)
    for group in state.optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    state.network.train()
    device = batch.images.device
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        outputs = state.network.forward_at(normalise(batch.images, spec), batch.cells)
    outputs = {name: value.float() for name, value in outputs.items()}
    terms = loss_terms(outputs, batch, sdf, spec, config.loss)
    total = terms.total(config.loss)
    value = total.item()
    _check_finite("loss", value, state.step)
    state.optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    trained = [p for p in state.network.parameters() if p.requires_grad]
    norm = nn.utils.clip_grad_norm_(trained, config.optim.clip).item()
    _check_finite("gradient", norm, state.step)
    state.optimizer.step()
    state.step += 1
    update_average(state.average, state.network, config.optim.ema, state.step)
    return {
        "total": value,
        **terms.numbers(),
        "gradient": norm,
        "lr": config.optim.lr * factor,
        "s": time.monotonic() - started,
    }


def _check_finite(what: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise RuntimeError(
            f"the {what} became {value} at step {step}; the last checkpoint is whole: "
            "lower --optim.lr or --optim.clip"
        )


def _validate(
    config: TrainConfig, data: TrainingData, spec: ModelSpec, state: TrainingState, run: Run
) -> None:
    """Score the averaged weights, and keep them if they are the best so far."""
    samples = [data.val[i] for i in range(min(len(data.val), config.validate_images))]
    predict = torch_predictor(state.average, spec)
    report = evaluate(predict, spec, samples, data.shapedb)
    run.log.validation(state.step, _figures(report))
    log.info("step %d: mAP@0.5 %.3f, @0.25 %.3f", state.step, report.map50, report.map25)
    if config.pictures:
        shown = [sample.image for sample in islice(samples, config.pictures)]
        images = torch.stack([torch.from_numpy(image) for image in shown])
        scores = [torch.from_numpy(predict(image)["heatmap"].real()) for image in shown]
        run.log.heatmaps(state.step, images, torch.stack(scores).permute(0, 3, 1, 2))
    score = (_or_zero(report.map50), _or_zero(report.map25))
    if score >= (state.best_map50, state.best_map25):
        state.best_map50, state.best_map25 = score
        save_best(config.out, state)


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


def _fresh_state(config: TrainConfig, spec: ModelSpec, device: torch.device) -> TrainingState:
    network = build_network(config.network, spec).to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainingState(network, averaged_copy(network), _optimizer(network, config.optim))


def _optimizer(network: PointsNetwork, config: OptimConfig) -> torch.optim.Optimizer:
    """Make AdamW: kernels decay, biases and norms do not; the backbone has its own rate."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            lr = config.lr * (config.backbone_lr if name.startswith("body.backbone") else 1.0)
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((lr, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": lr, "peak_lr": lr, "weight_decay": decay}
            for (lr, decay), parameters in groups.items()
        ],
        fused=True,
    )


def _prepare_machine(config: TrainConfig) -> torch.device:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device; use --device cpu")
    if config.device != "cpu" and torch.cuda.is_available():
        return torch.device("cuda")
    if config.threads:
        torch.set_num_threads(config.threads)
    _keep_freed_memory()
    return torch.device("cpu")


def _keep_freed_memory() -> None:
    """Let glibc reuse large buffers instead of returning them to the system.

    Otherwise every activation map is mapped and zeroed anew each step: a fifth of the time.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            m_trim_threshold, m_mmap_max = -1, -4
            mallopt(m_mmap_max, 0)
            mallopt(m_trim_threshold, 2**31 - 1)
