"""The run folder: weights, config, spec and metrics of one training.

`checkpoint.pt` holds all it takes to go on, `best.pt` the weights to use, `config.json` and
`spec.json` what they mean, `data.json` what they were learned from, `metrics.jsonl` one JSON
object a step.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from p2o_shapedb.command import atomic_path
from p2o_train.config import FREE, LENGTH, MOST_CONFIG_BYTES, TrainConfig
from p2o_train.network.build import PointsNetwork, build_network
from points2objects.errors import BundleError, InputError
from points2objects.files import read_file
from points2objects.spec import ModelSpec

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
CONFIG = "config.json"
SPEC = "spec.json"
DATA = "data.json"
METRICS = "metrics.jsonl"

_STATE: dict[str, type | tuple[type, ...]] = {
    "network": dict,
    "average": dict,
    "optimizer": dict,
    "step": int,
    "elapsed_s": (int, float),
    "best_map50": (int, float),
    "best_map25": (int, float),
}
"""Fields of `checkpoint.pt`."""


@dataclass
class TrainingState:
    """What changes while a run goes on.

    Attributes:
        network: Being trained.
        average: Running mean of its weights.
        optimizer: Of the network's parameters.
        step: Steps done.
        elapsed_s: Time spent training, over all parts of the run.
        best_map50: Best validation so far, -1 before the first.
        best_map25: Its mAP at 0.25, which breaks ties.
        validated: Step of the last validation, -1 before the first.
    """

    network: PointsNetwork
    average: PointsNetwork
    optimizer: torch.optim.Optimizer
    step: int = 0
    elapsed_s: float = 0.0
    best_map50: float = -1.0
    best_map25: float = -1.0
    validated: int = -1


@dataclass(frozen=True)
class LoadedRun:
    """A trained network, ready to predict.

    Attributes:
        network: In eval mode, on the CPU.
        spec: What its outputs mean.
        config: How it was trained.
    """

    network: PointsNetwork
    spec: ModelSpec
    config: TrainConfig


def start_run(folder: Path, config: TrainConfig, spec: ModelSpec, data: dict[str, Any]) -> None:
    """Make a run folder; with `config.overwrite`, remove what an earlier run left there.

    Raises:
        InputError: It holds weights or metrics, and `config.overwrite` is not set.
    """
    left = [name for name in (BEST, METRICS) if _has_content(folder / name)]
    if left and not config.overwrite:
        raise InputError(
            f"{folder} holds {' and '.join(left)} of an earlier run, and no {CHECKPOINT} to go on "
            "from; add --overwrite to start anew, or choose another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CHECKPOINT, BEST, METRICS):
        (folder / name).unlink(missing_ok=True)
    _write_text(folder / CONFIG, config.to_json())
    _write_text(folder / SPEC, spec.to_json())
    _write_text(folder / DATA, json.dumps(data, indent=2))


def save_checkpoint(folder: Path, state: TrainingState) -> None:
    """Write `checkpoint.pt`, whole or not at all."""
    values = {
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
        "elapsed_s": state.elapsed_s,
        "best_map50": state.best_map50,
        "best_map25": state.best_map25,
        "validated": state.validated,
    }
    with atomic_path(folder / CHECKPOINT, overwrite=True) as path:
        torch.save(values, path)


def save_best(folder: Path, state: TrainingState) -> None:
    """Write `best.pt`: the averaged weights and the step they are from."""
    with atomic_path(folder / BEST, overwrite=True) as path:
        torch.save({"network": state.average.state_dict(), "step": state.step}, path)


def resume(
    folder: Path, state: TrainingState, config: TrainConfig, spec: ModelSpec, data: dict[str, Any]
) -> bool:
    """Fill a fresh state from a run folder's checkpoint, if there is one.

    Lines of the metrics past the checkpoint are dropped: those steps are done again.

    Returns:
        Whether there was one.

    Raises:
        InputError: The run was started with another config, shape database or dataset.
    """
    if not (folder / CHECKPOINT).is_file():
        return False
    earlier = TrainConfig.from_json(_read_text(folder / CONFIG))
    earlier_spec = ModelSpec.from_json(_read_text(folder / SPEC))
    # The name is the folder's: a run that was moved or renamed is still the same.
    same_spec = replace(spec, name=earlier_spec.name) == earlier_spec
    if not config.same_training(earlier) or not same_spec:
        raise InputError(
            f"{folder} holds a run with other options ({_difference(config, earlier)}); "
            "give the same options to go on with it, --overwrite to start anew, or another --out"
        )
    if json.loads(json.dumps(data)) != json.loads((folder / DATA).read_text(encoding="utf-8")):
        raise InputError(
            f"{folder} holds a run on another dataset or augmentation ({DATA} differs); pass the "
            "dataset it was started on, --overwrite to start anew, or another --out"
        )
    load_state(folder, state)
    _keep_metrics(folder / METRICS, state.step)
    return True


def extend(folder: Path, config: TrainConfig, done: bool) -> None:
    """Note in a run folder that the run is to become longer or shorter than it was meant to.

    The learning rate then follows the schedule of the new length from where the run is.

    Args:
        folder: The run, which `resume` has read.
        config: The new options.
        done: Whether the run is as long already.

    Raises:
        InputError: It is, so that nothing would be left to learn.
    """
    earlier = TrainConfig.from_json((folder / CONFIG).read_text(encoding="utf-8"))
    if all(getattr(config, name) == getattr(earlier, name) for name in LENGTH):
        return
    if done:
        flags = " or ".join(f"--{name}" for name in LENGTH)
        raise InputError(f"{folder} is that long already; give more {flags}, or another --out")
    length = {name: getattr(config, name) for name in LENGTH}
    _write_text(folder / CONFIG, replace(earlier, **length).to_json())


def load_state(folder: Path, state: TrainingState) -> None:
    """Fill a fresh state from a run folder's checkpoint; `resume` checks that it belongs there."""
    values = _load(folder / CHECKPOINT, _STATE)
    try:
        state.network.load_state_dict(values["network"])
        state.average.load_state_dict(values["average"])
        state.optimizer.load_state_dict(values["optimizer"])
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{folder / CHECKPOINT}: does not fit config.json; delete it to train again"
        ) from error
    state.step, state.elapsed_s = values["step"], values["elapsed_s"]
    state.best_map50, state.best_map25 = values["best_map50"], values["best_map25"]
    # Checkpoints from before this was kept were written after their validation.
    state.validated = values.get("validated", state.step)


def load_network(run: Path) -> LoadedRun:
    """Load the best network of a run; the last one if none was validated yet.

    Raises:
        InputError: The folder is no run, or its files do not belong together.
    """
    weights = run / BEST if (run / BEST).is_file() else run / CHECKPOINT
    for path in (weights, run / CONFIG, run / SPEC):
        if not path.is_file():
            raise InputError(
                f"{run}: expected a folder of train/run.py, but {path.name} is missing"
            )
    config = TrainConfig.from_json(_read_text(run / CONFIG))
    try:
        spec = ModelSpec.from_json(_read_text(run / SPEC))
    except BundleError as error:
        raise InputError(f"{run / SPEC}: {error}") from error
    # The weights are about to be replaced; do not ask for the ImageNet package.
    network = build_network(replace(config.network, pretrained=False), spec)
    name = "network" if weights.name == BEST else "average"
    _fill(network, _load(weights, {name: dict})[name], weights)
    return LoadedRun(network.eval(), spec, config)


def start_from(network: nn.Module, run: Path, fresh_heads: Sequence[str] = ()) -> list[str]:
    """Take over the weights of an earlier run wherever name and shape agree.

    Args:
        network: What to fill, in place.
        run: The earlier run.
        fresh_heads: Names of outputs whose heads stay as they are.

    Returns:
        Names of the network's tensors that found none and stay as they are.

    Raises:
        InputError: The folder is no run, or nothing of it fits.
    """
    theirs = load_network(run).network.state_dict()
    mine = network.state_dict()
    kept = tuple(f"heads.heads.{head}." for head in fresh_heads)
    fitting = {
        name: theirs[name]
        for name, value in mine.items()
        if name in theirs and theirs[name].shape == value.shape and not name.startswith(kept)
    }
    if not fitting:
        raise InputError(f"--init {run}: none of its weights fits this network")
    network.load_state_dict({**mine, **fitting})
    return [name for name in mine if name not in fitting]


def _fill(network: nn.Module, values: dict[str, Any], path: Path) -> None:
    try:
        network.load_state_dict(values)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: its weights do not fit config.json; train again") from error
    if not all(torch.isfinite(tensor).all() for tensor in network.state_dict().values()):
        raise InputError(f"{path}: has weights that are no finite numbers; train again")


def _load(path: Path, fields: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """Load a checkpoint that holds at least these fields, of these types."""
    try:
        _refuse_packed(path)
        values: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        wrong = [name for name, kind in fields.items() if not isinstance(values[name], kind)]
        if wrong:
            raise ValueError(f"its {wrong[0]} is none")
    except Exception as error:
        raise InputError(f"{path}: not a readable checkpoint; delete it to train again") from error
    return values


def _refuse_packed(path: Path) -> None:
    """Refuse a zip that unpacks to more than it is: torch stores, and never packs."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > path.stat().st_size:
            raise ValueError(f"it unpacks to {unpacked} bytes")


def _has_content(path: Path) -> bool:
    """Tell a result from the empty file of a run that stopped before its first step."""
    return path.is_file() and path.stat().st_size > 0


def _keep_metrics(path: Path, last_step: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= last_step]
    _write_text(path, "".join(line + "\n" for line in kept))


def _difference(config: TrainConfig, earlier: TrainConfig) -> str:
    """Name the options that differ."""
    mine, theirs = json.loads(config.to_json()), json.loads(earlier.to_json())
    names = []
    for name, value in mine.items():
        if isinstance(value, dict):
            names += [f"{name}.{key}" for key in value if value[key] != theirs[name].get(key)]
        elif value != theirs[name]:
            names.append(name)
    changed = [name.replace("_", "-") for name in names if name not in FREE + LENGTH]
    return ", ".join(changed) or "another shape database"


def _read_text(path: Path) -> str:
    """Read a small file of text; what is none is left to whoever parses it."""
    return read_file(path, MOST_CONFIG_BYTES).decode("utf-8", "replace")


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
