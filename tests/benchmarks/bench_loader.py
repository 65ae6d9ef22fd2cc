"""Time what feeds a training: decoding, augmenting and labelling batches, against training steps.

One process does both in turn. The loader is no bottleneck if the CPU seconds of a batch are few
beside those of a step; on a GPU, if the wall seconds of a batch over --workers are.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from p2o_shapedb.command import atomic_path, parse, run_command
from p2o_train.batches import BatchDataset, MixedDataset
from p2o_train.checkpoint import TrainingState
from p2o_train.config import TrainConfig
from p2o_train.ema import averaged_copy
from p2o_train.engine import make_spec
from p2o_train.machine import describe_machine, prepare_machine
from p2o_train.network.build import build_network
from p2o_train.rendered_data import load_training_data
from p2o_train.step import Learner, make_optimizer
from points2objects.errors import InputError


@dataclass(frozen=True)
class BenchConfig:
    """Options of the benchmark."""

    dataset: Path = Path("dataset")
    """Folder from train/make_dataset.py."""
    shapedb: Path = Path("shapedb")
    """Folder from shapedb_export/build_db.py."""
    out: Path = Path("build/bench/loader.json")
    """File to write; an older one is replaced."""
    batch: int = 16
    """Images a batch."""
    batches: int = 12
    """Batches to time, after two that warm up."""
    verbose: bool = False
    """Show tracebacks."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.batches < 1:
            raise InputError("--batch and --batches must be at least 1")


def measure(config: BenchConfig) -> dict[str, float]:
    """Return CPU milliseconds an image of the loader and of training."""
    training = TrainConfig(
        dataset=config.dataset, shapedb=config.shapedb, batch=config.batch, workers=0
    )
    device = prepare_machine(training)
    data = load_training_data(training)
    spec = make_spec(training, data)
    network = build_network(training.network, spec).to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainingState(network, averaged_copy(network), make_optimizer(network, training.optim))
    learner = Learner.of(training, spec, data.shapedb, device=device)
    dataset = MixedDataset(BatchDataset(data, spec, training))
    loading, learning = list[float](), list[float]()
    for step in range(config.batches + 2):
        started = time.process_time()
        batch = dataset[step]
        loaded = time.process_time()
        learner.step(state, batch.to(device), 0.5)
        loading.append(loaded - started)
        learning.append(time.process_time() - loaded)
    per_image = 1e3 / config.batch
    return {
        "loader_ms": per_image * float(np.median(loading[2:])),
        "loader_p95_ms": per_image * float(np.percentile(loading[2:], 95)),
        "training_ms": per_image * float(np.median(learning[2:])),
        "training_p95_ms": per_image * float(np.percentile(learning[2:], 95)),
    }


def main() -> int:
    """Run the benchmark and report."""
    config = parse(BenchConfig, __doc__ or "")

    def body() -> None:
        found = measure(config)
        sys.stdout.write(
            f"CPU time an image: loader {found['loader_ms']:.1f} ms (p95 "
            f"{found['loader_p95_ms']:.1f}), training {found['training_ms']:.1f} ms (p95 "
            f"{found['training_p95_ms']:.1f})\n"
        )
        config.out.parent.mkdir(parents=True, exist_ok=True)
        result = {"machine": describe_machine(), **found}
        with atomic_path(config.out, overwrite=True) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        sys.stdout.write(f"wrote {config.out}\n")

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
