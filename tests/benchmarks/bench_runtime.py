"""Time each stage of the runtime on one frame.

    python tests/benchmarks/bench_runtime.py --bundle bundles/NAME --out runtime.json

Writes median and 95th percentile in milliseconds, with machine, threads, versions and the bundle's
digest. The frame is noise unless `--image` names a picture: time hardly depends on what it shows.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from p2o_train.processor import read_processor
from points2objects import Bundle, Camera, Points2ObjectsError, Reconstructor
from points2objects.decode import decode
from points2objects.geometry import ByteArray
from points2objects.interpreter import Interpreter
from points2objects.preprocess import preprocess
from points2objects.settle import one_reading_each, settle

WARM_UPS = 10


@dataclass(frozen=True)
class BenchConfig:
    """Time each stage of the runtime on one frame."""

    bundle: Path | None = None
    """Bundle folder; the package's default when left out."""
    out: Path | None = None
    """JSON file to write."""
    image: Path | None = None
    """Picture to run on (needs OpenCV); noise when left out."""
    width: int = 1280
    """Width of the noise frame, px."""
    height: int = 720
    """Height of the noise frame, px."""
    fov_deg: float = 65.0
    """Field of view across the longer side of the frame."""
    threads: int = 1
    """Threads of the interpreter."""
    repeats: int = 200
    """How often each stage is timed; at least 100 for a figure to be quoted."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one stage."""

    median_ms: float
    p95_ms: float
    minimum_ms: float


def measure(stage: Callable[[], object], repeats: int) -> Timing:
    """Time one stage, warm."""
    for _ in range(WARM_UPS):
        stage()
    times_ms = np.zeros(repeats)
    for i in range(repeats):
        start = time.perf_counter_ns()
        stage()
        times_ms[i] = (time.perf_counter_ns() - start) / 1e6
    median, p95 = np.percentile(times_ms, [50, 95])
    return Timing(round(float(median), 3), round(float(p95), 3), round(float(times_ms.min()), 3))


def load_frame(config: BenchConfig) -> ByteArray:
    """Read the picture, or make noise of the given size."""
    if config.image is None:
        shape = (config.height, config.width, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    import cv2

    picture = cv2.imread(str(config.image), cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"error: {config.image}: not a readable picture")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def time_stages(config: BenchConfig, bundle: Bundle, image: ByteArray) -> dict[str, Timing]:
    """Time every stage by itself, then the whole."""
    spec = bundle.spec
    camera = Camera.from_fov(config.fov_deg, image.shape[1], image.shape[0])
    camera = camera.with_gravity(np.array([0.1, -0.9, -0.4]))
    interpreter = Interpreter(bundle.model, spec, config.threads)
    model = Reconstructor(bundle, config.threads)
    view = preprocess(image, camera, spec)
    maps = interpreter.run(view.image)
    # So many peaks as the decoder ever returns: the slowest case.
    peaks = decode(maps, spec, threshold=0.0)
    scene = model(image, camera)
    stages: dict[str, Callable[[], object]] = {
        "preprocess": lambda: preprocess(image, camera, spec),
        "interpreter": lambda: interpreter.run(view.image),
        "decode": lambda: decode(maps, spec),
        "settle": lambda: one_reading_each(settle(peaks, view.camera, spec)),
        "total": lambda: model(image, camera),
        "to_glb": scene.to_glb,
    }
    return {name: measure(stage, config.repeats) for name, stage in stages.items()}


def describe_machine() -> dict[str, Any]:
    """Name what the figures depend on."""

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    packages = ("points2objects", "numpy", "ai-edge-litert", "opencv-python-headless")
    return {
        "machine": platform.machine(),
        "processor": str(read_processor()),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": {package: installed(package) for package in packages},
    }


def main() -> int:
    """Run the benchmark and report."""
    config = tyro.cli(BenchConfig)
    try:
        bundle = Bundle.load(config.bundle)
        image = load_frame(config)
        timings = time_stages(config, bundle, image)
    except Points2ObjectsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    result = {
        "bundle": bundle.digest,
        "model": bundle.spec.name,
        "frame": [int(side) for side in image.shape[:2]],
        "threads": config.threads,
        "repeats": config.repeats,
        **describe_machine(),
        "stages": {name: asdict(timing) for name, timing in timings.items()},
    }
    for name, timing in timings.items():
        line = f"{name:12} {timing.median_ms:8.2f} ms median {timing.p95_ms:8.2f} ms p95\n"
        sys.stdout.write(line)
    if config.out is not None:
        temporary = config.out.with_name(f".{config.out.name}.tmp")
        temporary.write_text(json.dumps(result, indent=2) + "\n")
        temporary.replace(config.out)
        sys.stdout.write(f"wrote {config.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
