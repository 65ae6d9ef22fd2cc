"""The training loop."""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from p2o_train.batches import (
    Batch,
    BatchDataset,
    MixedDataset,
    TrainingData,
    batches_from,
    steps_per_epoch,
)
from p2o_train.checkpoint import (
    TrainingState,
    extend,
    load_state,
    resume,
    save_checkpoint,
    start_from,
    start_run,
)
from p2o_train.config import TrainConfig
from p2o_train.ema import averaged_copy
from p2o_train.frozen import FrozenBatch, frozen_batches, load_or_freeze
from p2o_train.log import RunLog
from p2o_train.machine import describe_machine, peak_memory_gb, prepare_machine
from p2o_train.network.build import build_network
from p2o_train.schedule import Horizon
from p2o_train.step import Learner, make_optimizer
from p2o_train.stopping import Stopping, stopping
from p2o_train.team import Team, joined, share_norms
from p2o_train.validation import validate
from points2objects.errors import InputError
from points2objects.spec import GravityEncoding, ModelSpec, PoseEncoding, RotationEncoding

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        folder: The run.
        steps: Steps done.
        minutes: Time spent training.
        map50: mAP at an IoU of 0.5 of best.pt; the leading process alone knows it.
        map25: The same at 0.25.
        leads: Whether this is the leading process of those that trained.
    """

    folder: Path
    steps: int
    minutes: float
    map50: float
    map25: float
    leads: bool = True


def make_spec(config: TrainConfig, data: TrainingData) -> ModelSpec:
    """Return the contract of the network that this run trains."""
    bins = config.rotation == "bins"
    return ModelSpec(
        name=config.out.name,
        classes=data.shapedb.classes,
        exemplars_per_class=data.shapedb.exemplars_per_class,
        shapedb_digest=data.shapedb.digest,
        input_size=config.input_size,
        stride=config.network.stride,
        mean=config.mean,
        std=config.std,
        pose=PoseEncoding(config.pose),
        rotation=RotationEncoding.BINS if bins else RotationEncoding.MATRIX,
        gravity=GravityEncoding(config.gravity),
        # Cells beside the centre's learned the pose as well: let them vote.
        vote_radius=int(config.pose == "ray" and config.loss.positive_radius >= 1),
    )


def train(config: TrainConfig, data: TrainingData) -> TrainResult:
    """Train a network, or go on with the run that lies in `config.out`.

    Started by torchrun, each process takes its share of every batch (`p2o_train.team`).

    Raises:
        InputError: There are no training images, or `config.out` holds a run with other options.
    """
    if not len(data.train) or not len(data.val):
        raise InputError(f"{config.dataset}: the train and val splits need at least one image each")
    device = prepare_machine(config)
    with joined(device) as team:
        _check_shares(config, data, team)
        spec = make_spec(config, data)
        state = _begin(config, data, spec, device, team)
        epoch_steps = _epoch_steps(config, data)
        horizon = Horizon.of(config, epoch_steps)
        logging_run = RunLog(config.out, state.step, horizon.steps) if team.leads else None
        with logging_run or contextlib.nullcontext():
            run = Run(horizon, epoch_steps, device, team, logging_run)
            _loop(config, data, spec, state, run)
    return TrainResult(
        config.out,
        state.step,
        state.elapsed_s / 60,
        state.best_map50,
        state.best_map25,
        team.leads,
    )


def _epoch_steps(config: TrainConfig, data: TrainingData) -> int:
    return config.frozen // config.batch if config.frozen else steps_per_epoch(data, config.batch)


def _check_shares(config: TrainConfig, data: TrainingData, team: Team) -> None:
    if config.frozen and team.size > 1:
        raise InputError("--frozen trains in one process; start it without torchrun")
    if config.batch % team.size or (team.size > 1 and len(data.train) < config.batch):
        raise InputError(
            f"--batch must be a multiple of the {team.size} processes and at most the "
            f"{len(data.train)} training images, got {config.batch}"
        )


def _begin(
    config: TrainConfig, data: TrainingData, spec: ModelSpec, device: torch.device, team: Team
) -> TrainingState:
    """Return the state to go on from: a checkpoint's, or a fresh one in a new run folder."""
    torch.manual_seed(config.seed)
    state = _fresh_state(config, spec, device, team)
    resumed, failed = False, True
    try:
        if team.leads:
            resumed = not config.overwrite and resume(config.out, state, config, spec, data.record)
            if resumed:
                horizon = Horizon.of(config, _epoch_steps(config, data))
                done = horizon.progress(state.step, state.elapsed_s) >= 1
                extend(config.out, config, done)
        if not resumed and config.init is not None:
            _fine_tune(state, config, team)
        if team.leads and not resumed:
            start_run(config.out, config, spec, data.record)
        failed = False
    finally:
        # The others must not wait for a leader that has given up.
        leader_failed = bool(team.leaders(float(failed)))
    if leader_failed:
        raise InputError("the leading process stopped; its own message says why")
    if team.leaders(float(resumed)) and not team.leads:
        load_state(config.out, state)
    if team.leads:
        horizon = Horizon.of(config, _epoch_steps(config, data))
        log.info("%s: step %d of %s", config.out, state.step, horizon.steps or "as many as fit")
        log.info("machine: %s", describe_machine())
    return state


def _fine_tune(state: TrainingState, config: TrainConfig, team: Team) -> None:
    assert config.init is not None
    left = start_from(state.network, config.init, config.fresh_heads)
    state.average.load_state_dict(state.network.state_dict())
    if team.leads:
        log.info("weights from %s; new: %s", config.init, ", ".join(left) or "none")


@dataclass(frozen=True)
class Run:
    """What the loop needs besides config, data, spec and state.

    Attributes:
        horizon: Where the run ends.
        epoch_steps: Steps of an epoch.
        device: Where the network is.
        team: The processes that train together.
        log: Of the leading process; the others have none.
    """

    horizon: Horizon
    epoch_steps: int
    device: torch.device
    team: Team
    log: RunLog | None


def _loop(
    config: TrainConfig, data: TrainingData, spec: ModelSpec, state: TrainingState, run: Run
) -> None:
    if run.horizon.progress(state.step, state.elapsed_s) >= 1:
        if run.log and state.validated < state.step:  # it was stopped in its last validation
            validate(config, data, spec, state, run.log)
            save_checkpoint(config.out, state)
        return
    learner = Learner.of(config, spec, data.shapedb, run.team, run.device)
    epoch_start = (state.step, state.elapsed_s)
    batches = _batches(config, BatchDataset(data, spec, config, run.team), state)
    saved_at = clock = time.monotonic()
    with stopping() as watch, _kept(config, state, run, watch):
        for batch in batches:
            with watch.whole():
                progress = run.horizon.progress(state.step, state.elapsed_s)
                values = learner.step(state, batch.to(run.device), progress)
                now = time.monotonic()
                # By the leader's clock: all processes must agree on where the run is.
                state.elapsed_s = run.team.leaders(state.elapsed_s + now - clock)
            progress = run.horizon.progress(state.step, state.elapsed_s)
            if run.log:
                speed = {"images_per_s": config.batch / max(values["s"], 1e-9)}
                run.log.step(state.step, values | speed, progress)
            epoch, inside = divmod(state.step, run.epoch_steps)
            done = progress >= 1
            if run.log and (done or inside == 0):
                _report_epoch(config, state, run, epoch_start)
            if inside == 0:
                epoch_start = (state.step, state.elapsed_s)
            if run.log and (done or (inside == 0 and epoch % config.validate_every == 0)):
                validate(config, data, spec, state, run.log)
            if run.log and (done or inside == 0 or now - saved_at > config.save_minutes * 60):
                save_checkpoint(config.out, state)
                saved_at = time.monotonic()
            clock = time.monotonic()
            if done:
                return


@contextlib.contextmanager
def _kept(config: TrainConfig, state: TrainingState, run: Run, watch: Stopping) -> Iterator[None]:
    """Keep what has been learned when the body is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        if run.log:
            with watch.whole():
                save_checkpoint(config.out, state)
            log.info("%s: stopped at step %d; the same command goes on", config.out, state.step)
        raise


def _batches(
    config: TrainConfig, dataset: BatchDataset, state: TrainingState
) -> Iterator[Batch] | Iterator[FrozenBatch]:
    """Yield the batches from the state's step on, without end."""
    if config.frozen is None:
        return batches_from(MixedDataset(dataset), state.step, config.workers)
    return frozen_batches(load_or_freeze(config, dataset, state.network), config.seed, state.step)


def _report_epoch(
    config: TrainConfig, state: TrainingState, run: Run, start: tuple[int, float]
) -> None:
    """Say how fast the machine was since the epoch's start, and how much memory it took."""
    steps, seconds = state.step - start[0], state.elapsed_s - start[1]
    log.info(
        "step %d, epoch %.1f: %.1f images/s, peak memory %.2f GB",
        state.step,
        state.step / run.epoch_steps,
        steps * config.batch / max(seconds, 1e-9),
        peak_memory_gb(run.device),
    )


def _fresh_state(
    config: TrainConfig, spec: ModelSpec, device: torch.device, team: Team
) -> TrainingState:
    network = build_network(config.network, spec).to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    share_norms(network, team)
    if config.frozen is not None:
        network.freeze_body(config.fresh_heads)
    return TrainingState(network, averaged_copy(network), make_optimizer(network, config.optim))
