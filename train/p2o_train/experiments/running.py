"""Train a table's arms on the same batches, measure each, and fill the table."""

import json
import logging
import shutil
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2o_shapedb.command import atomic_path
from p2o_shapedb.database import ShapeDB
from p2o_train.checkpoint import BEST, METRICS, SPEC
from p2o_train.config import TrainConfig
from p2o_train.data.rendered import RenderedDataset
from p2o_train.engine import train
from p2o_train.evaluate_command import FirstSamples
from p2o_train.evaluation import evaluate
from p2o_train.experiments.options import Experiment
from p2o_train.experiments.tables import TABLES, Arm, Row, Table
from p2o_train.experiments.writing import FilledRow, write_table
from p2o_train.machine import describe_machine
from p2o_train.metrics.solids import Solids, solids_folder
from p2o_train.options import parse_training
from p2o_train.predictors import load_predictor
from p2o_train.rendered_data import load_training_data
from p2o_train.scene_score import VoxelMeter
from points2objects.errors import InputError
from points2objects.files import sha256

log = logging.getLogger(__name__)

TIMED_STEPS = 24
SETTLED_STEPS = 8
"""The first steps of a timed training do not count: the machine still warms up."""

PLAN = "plan.json"


@dataclass(frozen=True)
class Trained:
    """An arm that is ready to be measured.

    Attributes:
        model: Run, bundle or .tflite.
        words: Options of train/run.py that made it; none for a model that was there.
        minutes: What its training took.
        steps: Of its training.
    """

    model: Path
    words: tuple[str, ...] = ()
    minutes: float = 0.0
    steps: int = 0


def run_table(number: int, options: Experiment) -> None:
    """Train what is not trained yet, measure what is not measured yet, and write the table.

    Raises:
        InputError: Data or database are missing, or `options.out` holds an experiment with other
            options.
    """
    started = time.monotonic()
    shapedb = ShapeDB.load(options.shapedb)
    table = TABLES[number](shapedb.classes)
    arms = _chosen(table, options)
    steps = None if options.trained() else _steps(table, arms, options)
    trained = {arm.name: _train(arm, table, options, steps) for arm in arms}
    rows = []
    for row in table.rows:
        if row.arm in trained:
            report = _measure(row, trained[row.arm], options, shapedb)
            rows.append(FilledRow(row, report["report"], _facts(trained[row.arm], report)))
    facts = {
        "command": " ".join(sys.argv),
        "seed": options.seed,
        "steps": steps,
        "machine": describe_machine(),
        "minutes_of_this_call": (time.monotonic() - started) / 60,
        "init": None if options.init is None else str(options.init),
        "frozen": options.frozen,
        "shapedb_digest": shapedb.digest,
    }
    write_table(table, rows, facts, options.out)
    print((options.out / "table.md").read_text(encoding="utf-8"))
    print(f"wrote {options.out}/table.md and table.json ({len(rows)} rows)")


def training_words(
    arm: Arm, table: Table, options: Experiment, steps: int | None
) -> tuple[str, ...]:
    """Return the options of train/run.py for one arm; the user's own come last and win."""
    words = ["--shapedb", options.shapedb, "--dataset", options.datasets()[arm.data]]
    words += ["--out", options.out / arm.name, "--seed", options.seed, "--batch", options.batch]
    words += ["--input-size", options.input_size]
    # What counts is measured at the end, on more images; a validation on the way would only cost.
    words += ["--validate-every", 1_000_000, "--validate-images", 1, "--pictures", 0]
    if steps is not None:
        words += ["--steps", steps]
    if options.init is not None:
        words += ["--init", options.init]
        if table.fresh_heads:
            words += ["--fresh-heads", *table.fresh_heads]
    if options.frozen is not None:
        words += ["--frozen", options.frozen, "--features", options.features]
    return (*map(str, words), *table.common, *arm.words, *options.training)


def _chosen(table: Table, options: Experiment) -> list[Arm]:
    names = [arm.name for arm in table.arms]
    unknown = set(options.arms) - set(names)
    if unknown:
        raise InputError(f"--arms must be of {', '.join(names)}, got {', '.join(sorted(unknown))}")
    return [arm for arm in table.arms if not options.arms or arm.name in options.arms]


def _config(words: tuple[str, ...], overwrite: bool = False) -> TrainConfig:
    extra = ("--overwrite",) if overwrite else ()
    return parse_training("One arm of an experiment.", (*words, *extra))


def _steps(table: Table, arms: list[Arm], options: Experiment) -> int | None:
    """Return the steps of every arm; by minutes, from the speed of the first, noted for later."""
    minutes = options.minutes
    if minutes is None:
        return options.steps
    plan = options.out / PLAN
    if plan.is_file() and not options.overwrite:
        known = json.loads(plan.read_text(encoding="utf-8"))
        if known["minutes"] != minutes:
            raise InputError(
                f"{options.out} holds an experiment of --minutes {known['minutes']:g}; give the "
                "same, add --overwrite, or choose another --out"
            )
        return int(known["steps"])
    folder = options.out / ".timing"
    words = (*training_words(arms[0], table, options, TIMED_STEPS), "--out", str(folder))
    config = _config(words, overwrite=True)
    train(config, load_training_data(config))
    lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
    entries = [entry for entry in map(json.loads, lines) if "s" in entry]
    step_s = float(statistics.median(entry["s"] for entry in entries[SETTLED_STEPS:]))
    shutil.rmtree(folder)
    steps = max(round(minutes * 60 / step_s), 1)
    log.info("%.2f s a step: %d steps for each arm", step_s, steps)
    _write_json(plan, {"minutes": minutes, "steps": steps, "step_s": step_s})
    return steps


def _train(arm: Arm, table: Table, options: Experiment, steps: int | None) -> Trained:
    """Train an arm, or return at once if it is trained already."""
    model = options.trained()
    if model is not None:
        return Trained(model)
    words = training_words(arm, table, options, steps)
    log.info("%s: python train/run.py %s", arm.name, " ".join(words))
    config = _config(words, options.overwrite)
    result = train(config, load_training_data(config))
    return Trained(result.folder, words, result.minutes, result.steps)


def _measure(row: Row, trained: Trained, options: Experiment, shapedb: ShapeDB) -> dict[str, Any]:
    """Score an arm on a row's data set, or return what an earlier call found."""
    path = options.out / f"{row.arm}-on-{row.data}.json"
    dataset = RenderedDataset(options.measured_on(row.data), "val", shapedb)
    samples = FirstSamples(dataset, options.limit or len(dataset))
    on_voxels = options.voxels and row.on_voxels
    key = {
        "weights": _digest(trained.model),
        "data": dataset.digest,
        "images": len(samples),
        # Grids take most of the time: a table that shows nothing of them goes without.
        "voxel_size": options.voxel_size if on_voxels else None,
        "score": options.score,
    }
    if path.is_file() and not options.overwrite:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if known["key"] == key:
            return known
    started = time.monotonic()
    model = load_predictor(trained.model)
    spec = model.spec
    if options.score is not None:
        spec = spec.with_threshold(options.score)
    solids = Solids(shapedb, solids_folder(options.shapedb, options.solids))
    meter = VoxelMeter(shapedb, solids, options.voxel_size) if on_voxels else None
    report = evaluate(model.predict, spec, samples, shapedb, progress=True, voxels=meter)
    minutes = (time.monotonic() - started) / 60
    values = {"key": key, "minutes": minutes, "report": report.to_dict()}
    _write_json(path, values)
    return values


def _facts(trained: Trained, measured: Mapping[str, Any]) -> dict[str, object]:
    return {
        "training": " ".join(("python train/run.py", *trained.words)) if trained.words else None,
        "model": str(trained.model),
        "steps": trained.steps,
        "training_minutes": trained.minutes,
        "evaluation_minutes": measured["minutes"],
        **measured["key"],
    }


def _digest(model: Path) -> str:
    if model.is_file():
        return sha256(model.read_bytes())
    files = [model / name for name in (BEST, SPEC, "bundle.json") if (model / name).is_file()]
    return sha256(b"".join(file.read_bytes() for file in files))


def _write_json(path: Path, values: object) -> None:
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
