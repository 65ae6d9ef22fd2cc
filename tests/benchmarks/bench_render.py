"""Time the renderer on scenes of three objects: images per second and core.

CPU seconds count, so that other work on the machine hardly matters; on a GPU, which CPU seconds say
nothing about, wall seconds do. Each scene is drawn from its seed, dressed, rendered and labelled,
once to fill the caches, as they are in all but the first of 20,000 images, and then timed.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from p2o_shapedb.command import atomic_path, parse, run_command
from p2o_shapedb.database import ShapeDB
from p2o_train.machine import describe_machine
from p2o_train.rendering.generate import SampleGenerator
from points2objects.errors import InputError

OBJECTS = 3
SEARCHED = 5000
"""Samples to look through for scenes with three labelled objects."""


@dataclass(frozen=True)
class BenchConfig:
    """Options of the benchmark."""

    shapedb: Path = Path("shapedb")
    """Shape database."""
    assets: Path | None = None
    """Assets folder, as for make_dataset.py."""
    out: Path = Path("build/bench/render.json")
    """File to write; an older one is replaced."""
    qualities: tuple[Literal["fast", "default"], ...] = ("fast", "default")
    """Qualities to time."""
    scenes: int = 34
    """Different scenes."""
    repeats: int = 3
    """How often each is timed."""
    verbose: bool = False
    """Show tracebacks."""

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.repeats < 1:
            raise InputError("--scenes and --repeats must be at least 1")


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one image, and images per second over all of them."""

    median_ms: float
    p95_ms: float
    images_per_s: float


def timing(seconds: list[float]) -> Timing:
    """Sum timings up."""
    median, p95 = 1e3 * np.percentile(seconds, [50, 95])
    rate = len(seconds) / sum(seconds)
    return Timing(round(float(median), 2), round(float(p95), 2), round(rate, 2))


def scenes_of_three(generator: SampleGenerator, count: int) -> list[int]:
    """Find numbers of samples with three labelled objects; this also fills the caches."""
    numbers: list[int] = []
    for number in range(SEARCHED):
        if len(numbers) == count:
            return numbers
        if len(generator.sample(number)) == OBJECTS:
            numbers.append(number)
    raise InputError(f"only {len(numbers)} of {SEARCHED} scenes have {OBJECTS} objects")


def time_quality(config: BenchConfig, shapedb: ShapeDB, quality: str) -> dict[str, Any]:
    """Time one quality."""
    generator = SampleGenerator(shapedb, "train", 0, quality, config.assets)
    numbers = scenes_of_three(generator, config.scenes)
    cpu, wall = list[float](), list[float]()
    for number in numbers * config.repeats:
        started = time.process_time(), time.perf_counter()
        generator.sample(number)
        cpu.append(time.process_time() - started[0])
        wall.append(time.perf_counter() - started[1])
    driver = generator.driver
    generator.close()
    return {
        "driver": driver,
        "images": len(cpu),
        "cpu": asdict(timing(cpu)),
        "wall": asdict(timing(wall)),
    }


def main() -> int:
    """Run the benchmark and report."""
    config = parse(BenchConfig, __doc__ or "")

    def body() -> None:
        shapedb = ShapeDB.load(config.shapedb)
        timings = {name: time_quality(config, shapedb, name) for name in config.qualities}
        for name, timed in timings.items():
            for clock in ("cpu", "wall"):
                one = timed[clock]
                sys.stdout.write(
                    f"{name:8} {clock:4} {one['median_ms']:7.1f} ms median {one['p95_ms']:7.1f} ms "
                    f"p95 {one['images_per_s']:6.2f} images/s ({timed['driver']})\n"
                )
        config.out.parent.mkdir(parents=True, exist_ok=True)
        result = {"machine": describe_machine(), "objects": OBJECTS, "qualities": timings}
        with atomic_path(config.out, overwrite=True) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        sys.stdout.write(f"wrote {config.out}\n")

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
