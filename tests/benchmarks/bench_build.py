"""Time the shape database's build: first and second run, and both again at ten times the models.

Procedural models stand for CAD: their time per model differs from yours, its growth does not.
CPU time is what counts on a machine that others use too; it adds up over all processes.
"""

import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from p2o_shapedb.clustering.cluster import ClusterOptions, cluster_class
from p2o_shapedb.command import atomic_path, parse, run_command
from p2o_shapedb.database import CLASSES, SDF_SIZE
from points2objects.errors import InputError

SCRIPT = Path(__file__).parents[2] / "shapedb_export" / "build_db.py"
KINDS = 40
"""Shapes that the models of the clustering benchmark vary."""


@dataclass(frozen=True)
class BenchConfig:
    """Options of the benchmark."""

    out: Path = Path("build/bench/build.json")
    """File to write; an older one is replaced."""
    cad: tuple[Path, ...] = ()
    """Folders with CAD files to build from as well, the same at both sizes."""
    classes: tuple[str, ...] = CLASSES
    """Classes to build."""
    models: int = 10
    """Procedural models per class of the small build."""
    factor: int = 10
    """How many times larger the other build is."""
    cluster_models: int = 2000
    """Models of the small clustering; 0 leaves clustering out."""
    cluster_sample: int = 500
    """Models that k-means++ starts from."""
    exemplars_per_class: int = 5
    """Exemplars per class."""
    workers: int = 1
    """Processes."""
    verbose: bool = False
    """Show tracebacks."""

    def __post_init__(self) -> None:
        if self.models < 1 or self.factor < 2:
            raise InputError("--models must be at least 1 and --factor at least 2")


@dataclass(frozen=True)
class Cost:
    """What a step took.

    Attributes:
        models: Models in it.
        cpu_s: User and system time of all its processes, seconds.
        wall_s: Elapsed time, seconds.
        peak_mb: Most memory of one process: resident for a build, allocated for clustering.
    """

    models: int
    cpu_s: float
    wall_s: float
    peak_mb: float


def timed_build(config: BenchConfig, procedural: int, folder: Path) -> Cost:
    """Run `build_db.py` once; a second run into the same folder finds the first one's cache."""
    words = [sys.executable, str(SCRIPT), "--out", str(folder / "db"), "--overwrite"]
    words += ["--procedural", str(procedural), "--workers", str(config.workers)]
    words += ["--exemplars-per-class", str(config.exemplars_per_class)]
    words += ["--oracle-models", "0"]  # bounded by that option, whatever the models
    words += ["--classes", *config.classes]
    if config.cad:
        words += ["--cad", *map(str, config.cad)]
    start = time.perf_counter()
    with (folder / "log.txt").open("a") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise InputError(f"the build failed: {(folder / 'log.txt').read_text()[-500:]}")
    models = len(json.loads((folder / "db" / "shapedb.json").read_text("utf-8"))["models"])
    cpu_s = usage.ru_utime + usage.ru_stime
    return Cost(models, cpu_s, time.perf_counter() - start, usage.ru_maxrss / 1024)


def timed_clustering(models: int, k: int, sample: int) -> Cost:
    """Cluster that many made-up distance grids from a file, in this process."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sdf.npy"
        shape = (models, SDF_SIZE, SDF_SIZE, SDF_SIZE)
        grids = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        kinds = rng.normal(scale=0.1, size=(KINDS, *shape[1:])).astype(np.float32)
        for row in range(models):
            noise = rng.normal(scale=0.03, size=(4, 4, 4)).astype(np.float32)
            grids[row] = kinds[row % KINDS] + np.kron(noise, np.ones((8, 8, 8), np.float32))
        every = np.ones(models, bool)
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        tracemalloc.start()
        cluster_class(grids, every, every, ClusterOptions(k, 0, "bench", exact_up_to=sample))
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        after, wall_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - start
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(models, cpu_s, wall_s, peak)


def main(config: BenchConfig) -> None:
    """Measure, write the JSON and print the table."""
    found: dict[str, Cost] = {}
    for name, models in (("small", config.models), ("large", config.models * config.factor)):
        with tempfile.TemporaryDirectory() as folder:
            found[f"{name} build, first"] = timed_build(config, models, Path(folder))
            found[f"{name} build, second"] = timed_build(config, models, Path(folder))
    for factor in (1, config.factor) if config.cluster_models else ():
        models = config.cluster_models * factor
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, context) as pool:  # a fresh process, for its memory
            arguments = (models, config.exemplars_per_class, config.cluster_sample)
            cost = pool.submit(timed_clustering, *arguments).result()
        found[f"clustering of {models}"] = cost
    small, large = found["small build, first"], found["large build, first"]
    # What a build costs besides its models drops out of the difference.
    per_model = (large.cpu_s - small.cpu_s) / (large.models - small.models)
    result = {
        "costs": {name: asdict(cost) for name, cost in found.items()},
        "cpu_s_per_model": per_model,
        "models_per_cpu_s": 1 / per_model,
        "second_run_is_faster_by": large.cpu_s / found["large build, second"].cpu_s,
        "cpu_hours_for_50000_models": 50_000 * per_model / 3600,
        "config": json.loads(json.dumps(asdict(config), default=str)),
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "versions": {name: metadata.version(name) for name in ("numpy", "scikit-learn", "libigl")},
    }
    with atomic_path(config.out, overwrite=True) as path:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, cost in found.items():
        sys.stdout.write(
            f"{name}: {cost.models} models, {cost.cpu_s:.1f} s CPU, {cost.wall_s:.1f} s wall, "
            f"{cost.peak_mb:.0f} MB\n"
        )
    sys.stdout.write(
        f"{per_model:.2f} s CPU per model; 50,000 models: "
        f"{result['cpu_hours_for_50000_models']:.1f} hours of one core\nwrote {config.out}\n"
    )


if __name__ == "__main__":
    options = parse(BenchConfig, __doc__ or "")
    sys.exit(run_command(lambda: main(options), options.verbose))
