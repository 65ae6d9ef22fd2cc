"""Time the signed distances and solids of a shape database's models, on one core.

Figures are CPU time of the process, so they hold on a busy machine, too; more than one thread
would show up in them.
"""

import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from p2o_shapedb.command import atomic_path, parse, run_command
from points2objects.errors import InputError


@dataclass(frozen=True)
class BenchConfig:
    """Options of the benchmark."""

    shapedb: Path
    """Shape database whose meshes are timed."""
    out: Path = Path("build/bench/sdf.json")
    """File to write; an older one is replaced."""
    models: int = 100
    """Models, drawn evenly from the whole database."""
    solid_size: int = 128
    """Cells per side of the solids."""
    verbose: bool = False
    """Show tracebacks."""

    def __post_init__(self) -> None:
        if self.models < 1:
            raise InputError(f"--models must be at least 1, got {self.models}")


@dataclass(frozen=True)
class Timing:
    """CPU time of one model.

    Attributes:
        id: The model.
        triangles: Number of triangles.
        method: How its inside was found.
        sdf_s: Time of the signed distances at 32^3.
        solid_s: Time of the solid.
    """

    id: str
    triangles: int
    method: str
    sdf_s: float
    solid_s: float


def time_models(config: BenchConfig) -> list[Timing]:
    """Time models of the database, evenly spread."""
    from tqdm import tqdm

    from p2o_shapedb.database import ShapeDB
    from p2o_shapedb.process import open_policy
    from p2o_shapedb.solids.sdf import find_solid, signed_distance

    database = ShapeDB.load(config.shapedb)
    count = len(database.models)
    rows = np.unique(np.linspace(0, count - 1, min(config.models, count)).round().astype(int))
    found = []
    for row in tqdm(rows.tolist(), unit="model", disable=None):
        mesh, policy = database.mesh(row), open_policy(database.models[row].class_name)
        start = time.process_time()
        method = signed_distance(mesh.vertices, mesh.faces, policy).method
        middle = time.process_time()
        find_solid(mesh.vertices, mesh.faces, policy, config.solid_size)
        end = time.process_time()
        model_id = database.models[row].id
        found.append(Timing(model_id, len(mesh.faces), method, middle - start, end - middle))
    return found


def summary(timings: list[Timing]) -> dict[str, dict[str, float]]:
    """Return median, 95th percentile and worst of each time, s, by method and for all."""
    result = {}
    for method in ("all", *sorted({timing.method for timing in timings})):
        some = [timing for timing in timings if method in ("all", timing.method)]
        result[method] = {"models": float(len(some))}
        for name in ("sdf_s", "solid_s"):
            values = [float(getattr(timing, name)) for timing in some]
            result[method] |= {
                f"{name}_median": float(np.median(values)),
                f"{name}_p95": float(np.percentile(values, 95)),
                f"{name}_max": max(values),
            }
    return result


def main(config: BenchConfig) -> None:
    """Time, write the JSON and print the table."""
    timings = time_models(config)
    rows = summary(timings)
    result = {
        "config": {key: str(value) for key, value in asdict(config).items()},
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("numpy", "libigl", "scipy")},
        "cpu_time_s": rows,
        "models": [asdict(timing) for timing in timings],
    }
    config.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(config.out, overwrite=True) as path:
        path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    columns = [key for key in rows["all"] if key != "models"]
    sys.stdout.write(f"{'CPU time, s':12} {'models':>6} " + " ".join(f"{c:>14}" for c in columns))
    for method, row in rows.items():
        cells = " ".join(f"{row[column]:14.3f}" for column in columns)
        sys.stdout.write(f"\n{method:12} {row['models']:6.0f} {cells}")
    sys.stdout.write(f"\nwrote {config.out}\n")


if __name__ == "__main__":
    # libigl reads it when it first starts threads.
    os.environ.setdefault("IGL_NUM_THREADS", "1")
    options = parse(BenchConfig, "Time signed distances and solids.")
    sys.exit(run_command(lambda: main(options), options.verbose))
