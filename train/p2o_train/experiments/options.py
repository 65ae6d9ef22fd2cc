"""Options of the commands in train/experiments."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import tyro

from p2o_shapedb.command import parse, run_command
from points2objects.errors import InputError


@dataclass(frozen=True)
class Experiment(ABC):
    """What every table needs. Words after a lone -- go to train/run.py, for all arms alike."""

    shapedb: Path = Path("shapedb")
    """Folder from shapedb_export/build_db.py."""
    out: Path = Path("experiments")
    """Where runs, reports, table.md and table.json go; if not given, the table's own folder below
    this one. The same command again goes on."""
    steps: int | None = None
    """Steps of each training; or give --minutes."""
    minutes: float | None = None
    """About so long for each training: a short one is timed first, so that all arms take the same
    number of steps over the same batches."""
    init: Path | None = None
    """Run that all arms start from; the heads that the table is about start anew."""
    frozen: int | None = None
    """Only the heads that the table is about learn, on the features of --init of so many augmented
    images, computed once and shared by all arms and tables: minutes an arm on one core."""
    features: Path = Path("experiments/features")
    """Where --frozen keeps them."""
    input_size: int = 256
    """Side of the network's input, px: 128 trains four times as fast."""
    batch: int = 16
    """Images a step."""
    seed: int = 0
    """Of weights, order and augmentation: the same in all arms."""
    arms: tuple[str, ...] = ()
    """Only these arms; all by default."""
    limit: int | None = None
    """Only so many validation images."""
    score: float | None = None
    """Operating threshold of voxels and collisions; the model's own by default. The paper takes
    0.01 on synthetic images."""
    voxels: bool = True
    """Count on voxel grids, which takes most of a measurement; without, those figures stay out."""
    voxel_size: int = 128
    """Cells per side of a scene's grid."""
    solids: Path | None = None
    """Folder that keeps the models' solids; <shapedb>.cache/solids by default."""
    overwrite: bool = False
    """Train and measure again what is there already."""
    verbose: bool = False
    """Show tracebacks and debug messages."""
    training: tyro.conf.Suppress[tuple[str, ...]] = ()
    """Filled from the words after a lone --."""

    def __post_init__(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise InputError("--steps and --minutes exclude each other; give one")
        if (self.steps is not None and self.steps < 1) or (self.minutes or 1) <= 0:
            raise InputError("--steps and --minutes must be positive")
        if self.frozen is not None and self.init is None:
            raise InputError("--frozen needs --init: it says whose features the heads learn on")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"--limit must be at least 1, got {self.limit}")
        if self.score is not None and not 0 <= self.score < 1:
            raise InputError(f"--score must be in 0..1, got {self.score}")
        if not 8 <= self.voxel_size <= 256:
            raise InputError(f"--voxel-size must be in 8..256, got {self.voxel_size}")

    @abstractmethod
    def datasets(self) -> dict[str, Path]:
        """Return the data sets by name."""

    def measured_on(self, name: str) -> Path:
        """Return the data set whose validation images stand for that of a name."""
        return self.datasets()[name]

    def trained(self) -> Path | None:
        """Return a model to measure instead of training one."""
        return None


@dataclass(frozen=True)
class OneDataset(Experiment):
    """A table on one data set."""

    dataset: Path = Path("dataset")
    """Folder from train/make_dataset.py."""
    test: Path | None = None
    """Data set of the same shape database whose validation images count, as of the triplets
    protocol; --dataset by default."""

    def datasets(self) -> dict[str, Path]:
        """Return the data set."""
        return {"dataset": self.dataset}

    def measured_on(self, name: str) -> Path:
        """Return the data set to measure on."""
        return self.test or super().measured_on(name)


@dataclass(frozen=True)
class OneModel(OneDataset):
    """Table 1, which may take a model that is there."""

    model: Path | None = None
    """Run, bundle or .tflite to measure; without one, a network is trained."""

    def trained(self) -> Path | None:
        """Return the model that is there."""
        return self.model


@dataclass(frozen=True)
class PairsAndTriplets(Experiment):
    """Table 5: two data sets of one shape database."""

    pairs: Path = Path("pairs")
    """Data set with two objects an image."""
    triplets: Path = Path("triplets")
    """Data set with three objects an image."""

    def datasets(self) -> dict[str, Path]:
        """Return both."""
        return {"pairs": self.pairs, "triplets": self.triplets}


Options = TypeVar("Options", bound=Experiment)


def run_experiment(number: int, kind: type[Experiment], description: str) -> int:
    """Read a table's options, train and measure what is missing, and return the exit code."""
    options = parse_experiment(kind, description, Path(f"experiments/table{number}"))

    def body() -> None:
        from p2o_train.experiments.running import run_table

        run_table(number, options)

    return run_command(body, options.verbose)


def parse_experiment(
    kind: type[Options], description: str, out: Path, args: Sequence[str] | None = None
) -> Options:
    """Read a table's options.

    Args:
        kind: Which options.
        description: What the command does.
        out: Folder unless the user names another.
        args: Words of the command line; those of the process by default.

    Raises:
        SystemExit: As in `p2o_shapedb.command.parse`.
    """
    words = list(sys.argv[1:] if args is None else args)
    cut = words.index("--") if "--" in words else len(words)
    options = parse(kind, description, ["--out", str(out), *words[:cut]])
    return replace(options, training=(*options.training, *words[cut + 1 :]))
