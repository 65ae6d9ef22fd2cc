"""Time the network as torch, ONNX, float TFLite and int8 TFLite, at one and two threads.

Speed does not depend on the weights, so without `--run` an untrained phone network is timed. The
formats take turns, image by image, so that a busy machine slows all of them alike.
"""

import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from p2o_shapedb.command import atomic_path, parse, run_command
from points2objects.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from p2o_train.predictors import Predictor
    from points2objects.spec import ModelSpec

WARM_UP = 10
THREADS = (1, 2)


@dataclass(frozen=True)
class BenchConfig:
    """Options of the benchmark."""

    run: Path | None = None
    """Training run to time instead of an untrained phone network."""
    out: Path = Path("build/bench/formats.json")
    """File to write; an older one is replaced."""
    repeats: int = 100
    """Timed images per format."""
    verbose: bool = False
    """Show tracebacks."""

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise InputError(f"--repeats must be at least 1, got {self.repeats}")


def load(run: Path | None) -> "tuple[nn.Module, ModelSpec]":
    """Return the network to time and its contract."""
    from p2o_train.config import NetworkConfig
    from p2o_train.network.build import build_network
    from points2objects.spec import ModelSpec

    if run is not None:
        from p2o_train.checkpoint import load_network

        loaded = load_network(run)
        return loaded.network, loaded.spec
    classes = ("bottle", "bowl", "chair", "mug", "sofa", "table")
    spec = ModelSpec("untrained", classes, 50, "0" * 64)
    return build_network(NetworkConfig(pretrained=False), spec).eval(), spec


def time_formats(
    predictors: "dict[str, Predictor]", image: "np.ndarray[Any, Any]", repeats: int
) -> dict[str, dict[str, float]]:
    """Return least, median and 95th percentile of each format, ms."""
    times: dict[str, list[float]] = {name: [] for name in predictors}
    for turn in tqdm(range(WARM_UP + repeats), unit="round", disable=None):
        for name, predict in predictors.items():
            start = time.perf_counter()
            predict(image)
            if turn >= WARM_UP:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {
        name: {
            "min_ms": float(np.min(values)),
            "median_ms": float(np.median(values)),
            "p95_ms": float(np.percentile(values, 95)),
        }
        for name, values in times.items()
    }


def main(config: BenchConfig) -> None:
    """Convert, time, write the JSON and print the table."""
    import torch

    from p2o_convert.fingerprint import versions
    from p2o_convert.onnx_export import export_onnx
    from p2o_convert.quantise import quantise
    from p2o_convert.stages import onnx_predictor, tflite_predictor
    from p2o_convert.tflite_export import export_tflite
    from p2o_train.predictors import torch_predictor

    network, spec = load(config.run)
    side = spec.input_size
    images = np.random.default_rng(0).integers(0, 256, (16, side, side, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "model.onnx"
        export_onnx(network, spec, onnx)
        float32 = export_tflite(onnx, spec)
        int8 = quantise(float32, images, spec)
        found: dict[str, dict[str, dict[str, float]]] = {}
        for threads in THREADS:
            torch.set_num_threads(threads)
            predictors = {
                "torch": torch_predictor(network, spec),
                "onnx": onnx_predictor(onnx, spec, threads),
                "float32": tflite_predictor(float32, spec, threads),
                "int8": tflite_predictor(int8, spec, threads),
            }
            found[str(threads)] = time_formats(predictors, images[0], config.repeats)
        result = {
            "model": spec.name,
            "int8_sha256": hashlib.sha256(int8).hexdigest(),
            "bytes": {
                "onnx": onnx.stat().st_size,
                "float32": len(float32),
                "int8": len(int8),
            },
            "repeats": config.repeats,
            "threads": found,
            "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.platform()},
            "versions": versions(),
        }
    with atomic_path(config.out, overwrite=True) as path:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for threads_name, formats in found.items():
        for name, times in formats.items():
            figures = ", ".join(f"{key[:-3]} {value:.1f}" for key, value in times.items())
            sys.stdout.write(f"{threads_name} thread(s), {name}: {figures} ms\n")
    sys.stdout.write(f"wrote {config.out}\n")


def cpu_name() -> str:
    """Return the processor's name where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    options = parse(BenchConfig, __doc__ or "")
    sys.exit(run_command(lambda: main(options), options.verbose))
