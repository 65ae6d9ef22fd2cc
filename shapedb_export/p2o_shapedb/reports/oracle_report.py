"""Measure the oracle overlap of a database: solids made in workers and kept in the cache."""

import logging
from pathlib import Path

import numpy as np

from p2o_shapedb.assemble import Made
from p2o_shapedb.cache import Cache
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.database import ShapeDB
from p2o_shapedb.progress import progress
from p2o_shapedb.reports.oracle import SOLID_SIZE, SolidTask, make_solid, overlap, read_solid
from p2o_shapedb.reports.report import OracleIou
from p2o_shapedb.workers import Limits, run_in_workers

log = logging.getLogger(__name__)


def measure_oracle(
    database: ShapeDB, made: tuple[Made, ...], cache: Cache, config: BuildConfig
) -> tuple[OracleIou, ...]:
    """Return the mean overlap of some models of each class with their nearest exemplar.

    Half of `config.oracle_models` are validation models where there are as many, evenly drawn.
    """
    chosen = [_choose(database, class_id, config) for class_id in range(len(database.classes))]
    exemplar_of = database.exemplar_model[database.exemplar_id]
    needed = {int(i) for rows in chosen for i in (*rows, *exemplar_of[rows])}
    solids = _solids({i: made[i] for i in sorted(needed)}, cache, config)
    reports = []
    for rows in chosen:
        found: dict[str, list[float]] = {"train": [], "val": []}
        for i in rows.tolist():
            own, other = solids.get(i), solids.get(int(exemplar_of[i]))
            if own and other:
                iou = overlap(read_solid(own), read_solid(other))
                found[database.models[i].split].append(iou)
        train, val = found["train"], found["val"]
        reports.append(OracleIou(_mean(train), len(train), _mean(val), len(val)))
    return tuple(reports)


def _choose(
    database: ShapeDB, class_id: int, config: BuildConfig
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    name, models = database.classes[class_id], database.models
    exemplars = set(database.exemplar_model.tolist())
    rows = [i for i, m in enumerate(models) if m.class_name == name and i not in exemplars]
    val = _spread([i for i in rows if models[i].split == "val"], config.oracle_models // 2)
    train = [i for i in rows if models[i].split == "train"]
    return np.array(val + _spread(train, config.oracle_models - len(val)), np.int64)


def _spread(rows: list[int], count: int) -> list[int]:
    if count >= len(rows):
        return rows
    return [rows[i * len(rows) // count] for i in range(count)]


def _solids(made: dict[int, Made], cache: Cache, config: BuildConfig) -> dict[int, Path]:
    """Make what solids the cache lacks, and return the files of all that can be made."""
    tasks = {
        i: SolidTask(
            mesh=cache.mesh_file(item.key),
            sdf=cache.sdf_file(item.key),
            method=item.facts.method,
            out=cache.folder(item.key) / f"solid-{SOLID_SIZE}.npz",
        )
        for i, item in made.items()
    }
    missing = [task for task in tasks.values() if not task.out.is_file()]
    limits = Limits(config.workers, config.time_limit_s, config.worker_memory_gb)
    outcomes = run_in_workers(make_solid, missing, limits)
    for outcome in progress(outcomes, "overlaps", "model", len(missing)):
        if outcome.failure:
            log.warning("%s: no overlap measured: %s", missing[outcome.index].mesh, outcome.failure)
    return {i: task.out for i, task in tasks.items() if task.out.is_file()}


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
